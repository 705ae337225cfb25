//! Text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, ListBuilder, StringViewBuilder};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use regex::Regex;

use super::{Call, Function, Returns};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("split", (2, 3), Returns::Texts, split).also(&["string_split", "str_split"]),
    Function::new("regexp_extract", (2, 3), Returns::Text, regexp_extract),
    Function::new("regexp_extract_all", (2, 3), Returns::Texts, regexp_extract_all),
    Function::new("url_extract_protocol", (1, 1), Returns::Text, |call| url(call, |url| url.scheme)),
    Function::new("url_extract_host", (1, 1), Returns::Text, |call| url(call, |url| url.host)),
    Function::new("url_extract_path", (1, 1), Returns::Text, |call| url(call, |url| Some(url.path))),
    Function::new("url_extract_query", (1, 1), Returns::Text, |call| url(call, |url| url.query)),
    Function::new("url_extract_fragment", (1, 1), Returns::Text, |call| url(call, |url| url.fragment)),
    Function::new("url_extract_port", (1, 1), Returns::Int, url_port),
    Function::new("url_extract_parameter", (2, 2), Returns::Text, url_parameter),
    Function::new("url_decode", (1, 1), Returns::Text, url_decode),
    Function::new("url_encode", (1, 1), Returns::Text, url_encode),
    Function::new("format", (1, usize::MAX), Returns::Text, format),
];

/// `split(text, separator[, limit])`: with a limit, the last part is all the rest.
fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (call.text(0)?, call.text(1)?);
    let limits = if call.len() == 3 { Some(call.ints(2)?) } else { None };
    let mut out = ListBuilder::new(StringViewBuilder::new());
    for row in 0..call.rows {
        if texts.is_null(row) || separators.is_null(row) {
            out.append(false);
            continue;
        }
        let (text, separator) = (texts.value(row), separators.value(row));
        let limit = match &limits {
            Some(limits) if limits.value(row) <= 0 => return exec_err!("split: the limit must be positive"),
            Some(limits) => usize::try_from(limits.value(row)).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        if separator.is_empty() {
            for (at, char) in text.char_indices() {
                out.values().append_value(&text[at..at + char.len_utf8()]);
            }
        } else {
            text.splitn(limit, separator).for_each(|part| out.values().append_value(part));
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        exec_datafusion_err!("{pattern:?} is no regular expression: {why}")
    })
}

fn group(call: &Call<'_>, row: usize) -> Result<usize> {
    match call.len() {
        3 => usize::try_from(call.ints(2)?.value(row))
            .map_err(|_| exec_datafusion_err!("{}: no such group", call.name)),
        _ => Ok(0),
    }
}

/// The first match, or a group of it; null where there is none.
fn regexp_extract(call: &Call<'_>) -> Result<ArrayRef> {
    let patterns = call.each(1, regex)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (row, text) in call.text(0)?.iter().enumerate() {
        let (Some(text), Some(pattern)) = (text, &patterns[row]) else {
            out.append_null();
            continue;
        };
        let group = group(call, row)?;
        if group >= pattern.captures_len() {
            return exec_err!("{}: the pattern has no group {group}", call.name);
        }
        let found = match group {
            0 => pattern.find(text),
            group => pattern.captures(text).and_then(|captures| captures.get(group)),
        };
        out.append_option(found.map(|found| found.as_str()));
    }
    Ok(Arc::new(out.finish()))
}

fn regexp_extract_all(call: &Call<'_>) -> Result<ArrayRef> {
    let patterns = call.each(1, regex)?;
    let mut out = ListBuilder::new(StringViewBuilder::new());
    for (row, text) in call.text(0)?.iter().enumerate() {
        let (Some(text), Some(pattern)) = (text, &patterns[row]) else {
            out.append(false);
            continue;
        };
        let group = group(call, row)?;
        for captures in pattern.captures_iter(text) {
            out.values().append_option(captures.get(group).map(|found| found.as_str()));
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

/// The parts of a URL (RFC 3986), as they are written.
struct Url<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<i64>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

fn parts(text: &str) -> Option<Url<'_>> {
    if text.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return None;
    }
    let (rest, fragment) = cut(text, '#');
    let (rest, query) = cut(rest, '?');
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, rest),
    };
    let (host, port, path) = match rest.strip_prefix("//") {
        None => (None, None, rest),
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
                _ => (authority, None),
            };
            (Some(host).filter(|host| !host.is_empty()), port, path)
        }
    };
    Some(Url { scheme, host, port, path, query, fragment })
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn url(call: &Call<'_>, of: impl for<'a> Fn(Url<'a>) -> Option<&'a str>) -> Result<ArrayRef> {
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for text in &call.text(0)? {
        // Trino gives the empty text for a part that a URL does not have.
        out.append_option(text.and_then(parts).map(|url| decoded(of(url).unwrap_or_default(), false)));
    }
    Ok(Arc::new(out.finish()))
}

fn url_port(call: &Call<'_>) -> Result<ArrayRef> {
    let mut out = Int64Builder::with_capacity(call.rows);
    for text in &call.text(0)? {
        out.append_option(text.and_then(parts).and_then(|url| url.port));
    }
    Ok(Arc::new(out.finish()))
}

fn url_parameter(call: &Call<'_>) -> Result<ArrayRef> {
    let names = call.text(1)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (text, name) in call.text(0)?.iter().zip(&names) {
        let value = text.zip(name).and_then(|(text, name)| {
            let mut pairs = parts(text)?.query?.split('&').map(|pair| cut(pair, '='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value.unwrap_or_default(), true))
        });
        out.append_option(value);
    }
    Ok(Arc::new(out.finish()))
}

/// Undoes percent-encoding; what is not encoded right stays.
fn decoded(text: &str, form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[2..];
            }
            None if form && *first == b'+' => bytes.push(b' '),
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn url_decode(call: &Call<'_>) -> Result<ArrayRef> {
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for text in &call.text(0)? {
        out.append_option(text.map(|text| decoded(text, true)));
    }
    Ok(Arc::new(out.finish()))
}

fn url_encode(call: &Call<'_>) -> Result<ArrayRef> {
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for text in &call.text(0)? {
        out.append_option(text.map(|text| {
            let encoded = text.bytes().map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            });
            encoded.collect::<String>()
        }));
    }
    Ok(Arc::new(out.finish()))
}

/// A piece of a format as `java.util.Formatter` has them, which Trino's `format` takes.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Value { at: usize, flags: String, width: usize, precision: Option<usize>, kind: char },
}

fn pieces(format: &str) -> Result<Vec<Piece>> {
    let wrong = || exec_datafusion_err!("{format:?} is no format: values are %s, %d, %f, %x, %b or %,d");
    let mut all = Vec::new();
    let mut rest = format;
    let mut next = 0;
    while let Some((text, after)) = rest.split_once('%') {
        if !text.is_empty() {
            all.push(Piece::Text(text.to_owned()));
        }
        let mut chars = after.char_indices().peekable();
        let mut take = |allowed: fn(char) -> bool| {
            let mut taken = String::new();
            while let Some((_, char)) = chars.next_if(|(_, char)| allowed(*char)) {
                taken.push(char);
            }
            taken
        };
        let mut flags = take(|char| "-+ 0,(#".contains(char));
        let mut width = take(|char| char.is_ascii_digit());
        let position = take(|char| char == '$');
        let mut at = None;
        if !position.is_empty() {
            at = width.parse::<usize>().ok().and_then(|at| at.checked_sub(1));
            flags = take(|char| "-+ 0,(#".contains(char));
            width = take(|char| char.is_ascii_digit());
        }
        let precision = if take(|char| char == '.').is_empty() {
            None
        } else {
            Some(take(|char| char.is_ascii_digit()).parse().map_err(|_| wrong())?)
        };
        let (end, kind) = chars.next().ok_or_else(wrong)?;
        match kind {
            '%' => all.push(Piece::Text("%".to_owned())),
            'n' => all.push(Piece::Text("\n".to_owned())),
            's' | 'S' | 'd' | 'f' | 'e' | 'x' | 'X' | 'b' => {
                let at = at.unwrap_or_else(|| {
                    next += 1;
                    next - 1
                });
                let width = if width.is_empty() { 0 } else { width.parse().map_err(|_| wrong())? };
                all.push(Piece::Value { at, flags, width, precision, kind });
            }
            _ => return Err(wrong()),
        }
        rest = &after[end + kind.len_utf8()..];
    }
    if !rest.is_empty() {
        all.push(Piece::Text(rest.to_owned()));
    }
    Ok(all)
}

fn format(call: &Call<'_>) -> Result<ArrayRef> {
    let formats = call.each(0, pieces)?;
    let values = (1..call.len()).map(|at| call.text(at)).collect::<Result<Vec<_>>>()?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (row, format) in formats.iter().enumerate() {
        let Some(format) = format else {
            out.append_null();
            continue;
        };
        let mut text = String::new();
        for piece in format {
            match piece {
                Piece::Text(piece) => text += piece,
                Piece::Value { at, flags, width, precision, kind } => {
                    let Some(value) = values.get(*at) else {
                        return exec_err!("format: there is no value for argument {}", at + 1);
                    };
                    let value = if value.is_null(row) { "null" } else { value.value(row) };
                    let value = written(value, flags, *precision, *kind)?;
                    let missing = width.saturating_sub(value.chars().count());
                    if flags.contains('-') {
                        text += &value;
                        text.extend(std::iter::repeat_n(' ', missing));
                    } else if flags.contains('0') && *kind != 's' {
                        let sign = value.len() - value.trim_start_matches(['-', '+']).len();
                        text += &value[..sign];
                        text.extend(std::iter::repeat_n('0', missing));
                        text += &value[sign..];
                    } else {
                        text.extend(std::iter::repeat_n(' ', missing));
                        text += &value;
                    }
                }
            }
        }
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

fn written(value: &str, flags: &str, precision: Option<usize>, kind: char) -> Result<String> {
    if value == "null" {
        return Ok(value.to_owned());
    }
    let number = || {
        value
            .parse::<f64>()
            .map_err(|_| exec_datafusion_err!("format: %{kind} takes a number, not {value:?}"))
    };
    let whole = || {
        value
            .parse::<i128>()
            .map_err(|_| exec_datafusion_err!("format: %{kind} takes a whole number, not {value:?}"))
    };
    let text = match kind {
        's' | 'S' => {
            let text: String = value.chars().take(precision.unwrap_or(usize::MAX)).collect();
            if kind == 'S' { text.to_uppercase() } else { text }
        }
        'b' => value.to_owned(),
        'd' => whole()?.to_string(),
        'x' => format!("{:x}", whole()?),
        'X' => format!("{:X}", whole()?),
        'e' => format!("{:.*e}", precision.unwrap_or(6), number()?),
        _ => format!("{:.*}", precision.unwrap_or(6), number()?),
    };
    let text = if flags.contains(',') && "df".contains(kind) { grouped(&text) } else { text };
    Ok(if flags.contains('+') && "dfe".contains(kind) && !text.starts_with('-') {
        format!("+{text}")
    } else {
        text
    })
}

/// `1234567.5` as `1,234,567.5`.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, whole) = whole.split_at(whole.len() - whole.trim_start_matches('-').len());
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}
