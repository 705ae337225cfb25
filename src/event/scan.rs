//! Walking JSON text without building values: what the decoder and the flattener stand on.
//!
//! The grammar is RFC 8259's, checked in full: what `Scanner::skip_value` accepts is valid JSON, so that payloads can
//! be kept verbatim. The text is bytes; whoever makes strings of it has checked that it is UTF-8. No recursion, so no
//! nesting is too deep.

use std::ops::Range;

use crate::intern::same;

/// Where and why text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong, lower-case without a full stop.
    pub what: &'static str,
}

/// A JSON string as it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringSpan {
    /// The bytes between the quotes.
    pub inner: Range<usize>,
    /// Whether a backslash occurs in them.
    pub escaped: bool,
}

/// A position in a text, moved forward over JSON.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a [u8],
    /// The byte offset of what comes next.
    pub at: usize,
}

type Scan<T> = Result<T, SyntaxError>;

impl<'a> Scanner<'a> {
    /// A scanner over `text`, standing at byte `at`.
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Scanner { text, at }
    }

    /// Bytes of the text.
    pub fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// Moves over `text` if that is what comes next.
    pub fn take(&mut self, text: &[u8]) -> bool {
        let next = self.text.get(self.at..self.at + text.len()).is_some_and(|next| same(next, text));
        if next {
            self.at += text.len();
        }
        next
    }

    /// An error at the current byte.
    #[cold]
    pub fn error(&self, what: &'static str) -> SyntaxError {
        let what = if self.at >= self.text.len() { "the text ends in the middle of a value" } else { what };
        SyntaxError { at: self.at.min(self.text.len()), what }
    }

    /// The next byte, not consumed.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Moves over white space and returns the byte after it, not consumed.
    pub fn next_token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Moves over `byte`, white space allowed before it.
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        if self.next_token() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(what))
        }
    }

    /// Moves over `{` or `,` and the key and colon that follow; `None` where the object ends instead, its brace
    /// consumed. Call it with `first` after `{` was consumed, without after each value.
    pub fn member(&mut self, first: bool) -> Scan<Option<StringSpan>> {
        let mut next = self.next_token();
        if next == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        if !first {
            if next != Some(b',') {
                return Err(self.error("a comma or a closing brace is missing"));
            }
            self.at += 1;
            next = self.next_token();
        }
        if next != Some(b'"') {
            return Err(self.error("a key in double quotes is missing"));
        }
        let key = self.string()?;
        self.expect(b':', "a colon is missing after the key")?;
        self.next_token();
        Ok(Some(key))
    }

    /// Moves to the next element of an array, like [`Scanner::member`]; `false` where the array ends.
    pub fn element(&mut self, first: bool) -> Scan<bool> {
        let next = self.next_token();
        if next == Some(b']') {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            if next != Some(b',') {
                return Err(self.error("a comma or a closing bracket is missing"));
            }
            self.at += 1;
            if self.next_token() == Some(b']') {
                return Err(self.error("a comma stands before the closing bracket"));
            }
        }
        Ok(true)
    }

    /// Moves over the string that starts here.
    pub fn string(&mut self) -> Scan<StringSpan> {
        if self.peek() != Some(b'"') {
            return Err(self.error("a string is missing"));
        }
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = plain_end(self.text, at);
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(StringSpan { inner: start..at, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    let length = match self.text.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u')
                            if self
                                .text
                                .get(at + 2..at + 6)
                                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                        {
                            6
                        }
                        _ => {
                            self.at = at;
                            return Err(self.error("the escape sequence is none that JSON has"));
                        }
                    };
                    at += length;
                }
                _ => {
                    self.at = at;
                    return Err(self.error("a string holds a raw control character"));
                }
            }
        }
    }

    /// Moves over the value that starts at the next token and returns where it stands.
    pub fn skip_value(&mut self) -> Scan<Range<usize>> {
        self.next_token();
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            match self.next_token() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.at += 1;
                    if self.member(true)?.is_some() {
                        open.push(true);
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if self.element(true)? {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            // A value has ended: close what ends with it, or go on to the next member or element.
            loop {
                let more = match open.last() {
                    None => return Ok(start..self.at),
                    Some(true) => self.member(false)?.is_some(),
                    Some(false) => self.element(false)?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    /// Moves over a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Scan<()> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for word in [&b"null"[..], b"true", b"false"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = usize::from(rest.first() == Some(&b'-'));
        let whole = digits(at);
        if whole == 0 {
            return Err(self.error("a value is missing"));
        }
        if whole > 1 && rest[at] == b'0' {
            return Err(self.error("a number starts with a zero"));
        }
        at += whole;
        if rest.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(self.error("a number has no digit after its point"));
            }
            at += 1 + fraction;
        }
        if matches!(rest.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return Err(self.error("a number has no digit in its exponent"));
            }
            at += exponent;
        }
        self.at += at;
        Ok(())
    }
}

/// The first byte at or after `at` that ends a run of plain string characters: a quote, a backslash, a control
/// character, or the end of the text.
#[cfg(target_arch = "x86_64")]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    while let Some(chunk) = text.get(at..at + 16) {
        // SAFETY: the chunk is the sixteen bytes that are loaded, and every x86-64 processor has SSE2.
        let hits = unsafe {
            let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let last_control = _mm_set1_epi8(0x1f);
            let control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control))
        };
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += 16;
    }
    plain_end_anywhere(text, at)
}

#[cfg(not(target_arch = "x86_64"))]
use plain_end_anywhere as plain_end;

/// The same on any processor, eight bytes a step.
fn plain_end_anywhere(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = text.get(at..at + 8) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        let word = u64::from_le_bytes(bytes);
        let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        // A borrow can raise a false flag only above a true one, so the lowest flag is always true.
        let hits = zero_in(word ^ (ONES * b'"' as u64)) | zero_in(word ^ (ONES * b'\\' as u64)) | below_space;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Which of the open brackets are braces: a stack of bits.
#[derive(Default)]
struct Nesting {
    top: u64,
    depth: usize,
    below: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, brace: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(brace);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.top >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth > 0
            && self.depth.is_multiple_of(64)
            && let Some(top) = self.below.pop()
        {
            self.top = top;
        }
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.top & 1 == 1)
    }
}

/// Appends the characters that the escaped string `inner` stands for to `out`. `false` where it holds half of a
/// surrogate pair, which no UTF-8 text can hold; `out` is then as it was. `inner` was accepted by
/// [`Scanner::string`].
pub fn unescape(inner: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let hex = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(inner.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while at < inner.len() {
        let plain = memchr::memchr(b'\\', &inner[at..]).map_or(inner.len(), |found| at + found);
        out.extend_from_slice(&inner[at..plain]);
        let Some(&letter) = inner.get(plain + 1) else { break };
        at = plain + 2;
        let simple = match letter {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let first = hex(at);
                at += 4;
                let code = match first {
                    Some(high @ 0xd800..=0xdbff) if inner.get(at..at + 2) == Some(b"\\u") => {
                        let low = hex(at + 2).filter(|low| (0xdc00..=0xdfff).contains(low));
                        at += 6;
                        low.map(|low| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    other => other,
                };
                let Some(character) = code.and_then(char::from_u32) else {
                    out.truncate(before);
                    return false;
                };
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.push(simple);
    }
    true
}

/// Appends `text` as a JSON string, quotes included, with the fewest escapes.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at);
        out.extend_from_slice(&bytes[at..end]);
        let Some(&byte) = bytes.get(end) else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
        at = end + 1;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &str) -> Scan<Range<usize>> {
        Scanner::new(text.as_bytes(), 0).skip_value()
    }

    #[test]
    fn accepts_what_json_is_and_says_where_it_ends() {
        for (text, end) in [
            ("null,", 4),
            (" {\"a\":[1,-2.5e+3,{}],\"b\":\"\\\"}\"} x", 31),
            ("[]", 2),
            ("0]", 1),
            ("\"\\ud83e\\udd16\"", 14),
        ] {
            assert_eq!(skip(text).unwrap().end, end, "{text}");
        }
    }

    #[test]
    fn refuses_what_json_is_not() {
        for text in [
            "",
            "{",
            "{]",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            "1e",
            "-",
            "\"a",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "nul",
            "{\"a\" 1}",
            "“x”",
            "[}",
            "{\"a\":}",
        ] {
            assert!(skip(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_has_no_limit() {
        let deep = 200_000;
        let text = format!("{}{}", "[{\"a\":".repeat(deep), "1") + &"}]".repeat(deep);
        assert_eq!(skip(&text).unwrap(), 0..text.len());
        assert!(skip(&text[..text.len() - 1]).is_err());
        assert!(skip(&(text[..text.len() - 2].to_owned() + "]}")).is_err());
    }

    #[test]
    fn half_a_surrogate_pair_cannot_be_unescaped() {
        for text in [r"\ud83e", r"a\udd16", r"\ud83e\ud83e", r"\ud83ex"] {
            let mut out = b"kept".to_vec();
            assert!(!unescape(text.as_bytes(), &mut out), "{text}");
            assert_eq!(out, b"kept");
        }
    }

    proptest! {
        #[test]
        fn every_way_of_finding_a_strings_end_finds_the_same(
            text in proptest::collection::vec(prop_oneof![8 => 0x20u8..=0xff, 1 => 0u8..0x24, 1 => Just(b'\\')], 0..80),
            at in 0usize..40,
        ) {
            let slow = (at.min(text.len())..text.len())
                .find(|&at| text[at] == b'"' || text[at] == b'\\' || text[at] < 0x20)
                .unwrap_or(text.len().max(at));
            prop_assert_eq!(plain_end(&text, at), slow);
            prop_assert_eq!(plain_end_anywhere(&text, at), slow);
        }

        #[test]
        fn quoting_is_undone_by_unescaping(text in any::<String>()) {
            let mut quoted = Vec::new();
            quote(&text, &mut quoted);
            let span = Scanner::new(&quoted, 0).string().unwrap();
            prop_assert_eq!(span.inner.end + 1, quoted.len());
            let mut plain = Vec::new();
            prop_assert!(unescape(&quoted[span.inner], &mut plain));
            prop_assert_eq!(plain, text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
        }

        /// serde_json is the judge of what is JSON.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:,"\\ a0-9.eEtrufalsn+\-]{0,24}"#) {
            let ours = skip(&text).is_ok_and(|span| text[span.end..].trim().is_empty());
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }
}
