//! Text to records: the envelopes that CloudTrail events are found in.
//!
//! A delivered object is `{"Records":[…]}`. What people keep beside such objects is taken too: bare arrays, single
//! events, NDJSON and concatenated objects, `lookup-events` output, EventBridge events, CloudWatch Logs subscription
//! messages and export lines, Splunk's `_raw` and Wazuh's `aws` wrappings. A wrapping's own fields are transport and are
//! not kept; the event inside is the record.

use std::ops::Range;

use super::scan::{Scanner, StringSpan, SyntaxError};

/// Takes what is found in an object.
pub trait Sink {
    /// A record starts at byte `at` of `text`. Returns the byte after it.
    ///
    /// # Errors
    /// Where the record is not JSON, so that its end cannot be known.
    fn record(&mut self, text: &[u8], at: usize) -> Result<usize, SyntaxError>;

    /// A record is the content of a JSON string of `text`.
    fn embedded(&mut self, text: &[u8], string: StringSpan);

    /// The bytes of `range` of `text` are no record that can be kept.
    fn rejected(&mut self, text: &[u8], range: Range<usize>, reason: String);
}

/// What an object turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It held records, or was an envelope for them; also one that is broken somewhere.
    Events,
    /// Nothing but white space.
    Empty,
    /// JSON that another AWS service or feature delivers beside CloudTrail logs; there are no events in it.
    Foreign(&'static str),
}

/// Decodes one object: what stands in `text` from byte `base` on, given whether all of that `is_utf8`. Byte numbers in
/// reasons count from `base`.
pub fn decode(text: &[u8], base: usize, is_utf8: bool, sink: &mut impl Sink) -> Verdict {
    Decoder { text, base, is_utf8, sink, verdict: Verdict::Empty, lists: 0, foreign: Vec::new() }.documents()
}

/// Decodes the text of a record that was found inside a string: `text[at..]`, to its end.
///
/// # Errors
/// Where it is not one JSON object that looks like an event.
pub fn embedded_event(text: &[u8], at: usize) -> Result<(), String> {
    let mut scanner = Scanner::new(text, at);
    if scanner.next_token() != Some(b'{') {
        return Err("the wrapped text is no JSON object".into());
    }
    let members =
        Members::of(&mut scanner).map_err(|error| format!("the wrapped text is not JSON: {}", error.what))?;
    if scanner.next_token().is_some() {
        return Err("the wrapped text goes on after its JSON object".into());
    }
    if members.looks_like_event() { Ok(()) } else { Err(NOT_AN_EVENT.into()) }
}

const NOT_AN_EVENT: &str = "JSON, but no CloudTrail event";

/// Keys of which an event outside a `Records` list must have two: any other object in the tree might be anything.
const EVENT_KEYS: &[&[u8]] = &[
    b"eventVersion",
    b"eventTime",
    b"eventSource",
    b"eventName",
    b"eventID",
    b"eventId",
    b"eventType",
    b"eventCategory",
    b"userIdentity",
    b"awsRegion",
    b"requestParameters",
];

/// Keys under which an envelope or a wrapping holds events.
const ENVELOPE_KEYS: &[&[u8]] =
    &[b"Records", b"Events", b"logEvents", b"CloudTrailEvent", b"_raw", b"detail", b"aws", b"message"];

/// Lists of lists of events are walked this deep: `lookup-events` output in an array is the deepest that is known.
const MOST_LISTS: usize = 4;

struct Decoder<'a, S> {
    text: &'a [u8],
    base: usize,
    is_utf8: bool,
    sink: &'a mut S,
    verdict: Verdict,
    /// The lists being walked.
    lists: usize,
    /// Documents of another kind, which are nothing to speak of only where there is nothing else.
    foreign: Vec<Range<usize>>,
}

/// Why a document was given up: where, why, and where the part that is lost begins.
struct Broken {
    error: SyntaxError,
    from: usize,
}

impl<S: Sink> Decoder<'_, S> {
    fn documents(mut self) -> Verdict {
        let text = self.text;
        let mut scanner = Scanner::new(text, self.base);
        if text[self.base..].starts_with(b"\xef\xbb\xbf") {
            scanner.at += 3;
        }
        while scanner.next_token().is_some() {
            let start = scanner.at;
            scanner.at = export_line(text, start).unwrap_or(start);
            let done = match scanner.peek() {
                Some(b'{') => self.object(&mut scanner, false),
                Some(b'[') => self.array(&mut scanner),
                _ => Err(Broken { error: SyntaxError { at: start, what: "" }, from: start }),
            };
            let Err(broken) = done else { continue };
            let error = broken.error;
            self.verdict = Verdict::Events;
            self.lists = 0;
            // A line that starts like an event starts anew: one bad line of many costs that line.
            let resume = error.at.max(start);
            let lines = memchr::memchr_iter(b'\n', &text[resume..]).map(|found| resume + found + 1);
            let starts_anew = |at: &usize| text.get(*at) == Some(&b'{') || export_line(text, *at).is_some();
            let end = lines.into_iter().find(starts_anew).unwrap_or(text.len());
            let reason = if error.what.is_empty() {
                not_json(&text[self.base..], start - self.base)
            } else {
                self.invalid(&error)
            };
            self.sink.rejected(text, broken.from..end, reason);
            scanner.at = end;
        }
        if self.verdict == Verdict::Events {
            for document in std::mem::take(&mut self.foreign) {
                self.sink.rejected(text, document, NOT_AN_EVENT.into());
            }
        }
        self.verdict
    }

    fn array(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Broken> {
        self.verdict = Verdict::Events;
        self.lists += 1;
        self.elements(scanner, |decoder, scanner| decoder.object(scanner, true))?;
        self.lists -= 1;
        Ok(())
    }

    /// Walks an array whose bracket is next, handing every element that is an object on.
    fn elements(
        &mut self,
        scanner: &mut Scanner<'_>,
        mut take: impl FnMut(&mut Self, &mut Scanner<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        scanner.at += 1;
        let mut first = true;
        loop {
            match self.element(scanner, first, &mut take) {
                Ok(true) => first = false,
                Ok(false) => return Ok(()),
                Err(broken) => {
                    let Some(resume) = self.after_stray_punctuation(broken.from) else { return Err(broken) };
                    self.sink.rejected(self.text, broken.from..resume, self.invalid(&broken.error));
                    scanner.at = resume;
                    first = true;
                }
            }
        }
    }

    /// Hands the next element on if it is an object; `false` at the end of the array.
    fn element(
        &mut self,
        scanner: &mut Scanner<'_>,
        first: bool,
        take: &mut impl FnMut(&mut Self, &mut Scanner<'_>) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        let from = scanner.at;
        if !scanner.element(first).map_err(|error| Broken { error, from })? {
            return Ok(false);
        }
        if scanner.peek() == Some(b'{') {
            take(self, scanner)?;
        } else {
            let from = scanner.at;
            let value = scanner.skip_value().map_err(|error| Broken { error, from })?;
            let reason = format!("a record is {}, not an object", kind_of(self.text[value.start]));
            self.sink.rejected(self.text, value, reason);
        }
        Ok(true)
    }

    /// Where the next element starts, if only commas and closing braces stand before it that are one too many: cutting
    /// and joining logs by hand leaves them.
    fn after_stray_punctuation(&self, from: usize) -> Option<usize> {
        let rest = &self.text[from..];
        let length = rest.iter().position(|byte| !b"},\r\n\t ".contains(byte))?;
        (length > 0 && rest[length] == b'{').then_some(from + length)
    }

    fn invalid(&self, error: &SyntaxError) -> String {
        format!("not valid JSON at byte {}: {}", error.at - self.base, error.what)
    }

    /// Takes the record at the scanner as it is.
    fn record(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Broken> {
        self.verdict = Verdict::Events;
        let from = scanner.at;
        if !self.is_utf8 {
            let mut ahead = scanner.clone();
            let value = ahead.skip_value().map_err(|error| Broken { error, from })?;
            if let Err(error) = simdutf8::compat::from_utf8(&self.text[value.clone()]) {
                let reason =
                    format!("invalid UTF-8 at byte {}", value.start - self.base + error.valid_up_to());
                self.sink.rejected(self.text, value, reason);
                scanner.at = ahead.at;
                return Ok(());
            }
        }
        scanner.at = self.sink.record(self.text, from).map_err(|error| Broken { error, from })?;
        Ok(())
    }

    fn embedded(&mut self, string: Range<usize>, whole: Range<usize>) {
        self.verdict = Verdict::Events;
        let mut scanner = Scanner::new(self.text, string.start);
        match scanner.string() {
            Ok(string) if self.is_utf8 || std::str::from_utf8(&self.text[string.inner.clone()]).is_ok() => {
                self.sink.embedded(self.text, string);
            }
            _ => self.sink.rejected(self.text, whole, "the wrapped event is no text in UTF-8".into()),
        }
    }

    /// Takes the object at the scanner: an envelope, a wrapping or an event; in a list if `listed`.
    fn object(&mut self, scanner: &mut Scanner<'_>, listed: bool) -> Result<(), Broken> {
        let from = scanner.at;
        let text = self.text;
        let broken = |error| Broken { error, from };
        // The two forms that matter for speed are told by their first key, without walking the object first.
        let mut ahead = Scanner::new(text, from + 1);
        if let Some(key) = ahead.member(true).map_err(broken)? {
            let key = &text[key.inner];
            if key == b"Records" && ahead.peek() == Some(b'[') {
                self.verdict = Verdict::Events;
                self.elements(&mut ahead, Self::record)?;
                let after = ahead.at;
                while let Some(key) = ahead.member(false).map_err(|error| Broken { error, from: after })? {
                    let value = ahead.skip_value().map_err(|error| Broken { error, from: after })?;
                    let key = &text[key.inner];
                    if ENVELOPE_KEYS.contains(&key) || EVENT_KEYS.contains(&key) {
                        let reason = format!("{:?} stands beside \"Records\"", String::from_utf8_lossy(key));
                        self.sink.rejected(text, value, reason);
                    }
                }
                scanner.at = ahead.at;
                return Ok(());
            }
            if key == b"eventVersion" {
                return self.record(scanner);
            }
        }
        let members = Members::of(scanner).map_err(broken)?;
        let whole = from..scanner.at;
        let again = |range: &Range<usize>| Scanner::new(text, range.start);
        if members.looks_like_event() {
            return self.record(&mut Scanner::new(text, from));
        }
        if members.is_ambiguous() {
            self.verdict = Verdict::Events;
            self.sink.rejected(text, whole, "events could be in more than one of its fields".into());
            return Ok(());
        }
        if let Some(records) = members.list(text, b"Records") {
            self.verdict = Verdict::Events;
            return self.elements(&mut again(records), Self::record);
        }
        if let Some(events) = members.list(text, b"Events").filter(|_| self.lists < MOST_LISTS) {
            return self.array(&mut again(events));
        }
        if let Some(messages) = members.list(text, b"logEvents") {
            self.verdict = Verdict::Events;
            let kind = members.get(b"messageType").map(|kind| &text[kind.clone()]);
            let is_control = kind == Some(b"\"CONTROL_MESSAGE\"");
            return self.elements(&mut again(messages), |decoder, scanner| {
                let from = scanner.at;
                let members = Members::of(scanner).map_err(|error| Broken { error, from })?;
                let whole = from..scanner.at;
                match members.get(b"message") {
                    // The health check's own text.
                    Some(message) if is_control && !text[message.clone()].starts_with(b"\"{") => {}
                    _ if members.is_ambiguous() => {
                        decoder.sink.rejected(text, whole, "a log event with several messages".into());
                    }
                    Some(message) => decoder.embedded(message.clone(), whole),
                    None => decoder.sink.rejected(text, whole, "a log event without a message".into()),
                }
                Ok(())
            });
        }
        for key in [&b"CloudTrailEvent"[..], b"_raw"] {
            if let Some(string) = members.get(key) {
                self.embedded(string.clone(), whole);
                return Ok(());
            }
        }
        // EventBridge has the event in `detail`, Wazuh in `aws`.
        for key in [&b"detail"[..], b"aws"] {
            if let Some(inner) = members.get(key).filter(|inner| text[inner.start] == b'{') {
                let found = Members::of(&mut again(inner)).map_err(broken)?;
                if found.looks_like_event() {
                    return self.record(&mut again(inner));
                }
            }
        }
        if !listed && let Some(foreign) = members.foreign() {
            if self.verdict == Verdict::Empty {
                self.verdict = Verdict::Foreign(foreign);
            }
            self.foreign.push(whole);
            return Ok(());
        }
        self.verdict = Verdict::Events;
        let reason =
            if members.get(b"Records").is_some() { "\"Records\" is not a list" } else { NOT_AN_EVENT };
        self.sink.rejected(text, whole, reason.into());
        Ok(())
    }
}

/// The members of an object that is not known to be an event: key and value ranges.
struct Members<'a>(Vec<(&'a [u8], Range<usize>)>);

impl<'a> Members<'a> {
    fn of(scanner: &mut Scanner<'a>) -> Result<Self, SyntaxError> {
        scanner.expect(b'{', "an object is missing")?;
        let mut members = Vec::new();
        while let Some(key) = scanner.member(members.is_empty())? {
            members.push((scanner.slice(key.inner), scanner.skip_value()?));
        }
        Ok(Members(members))
    }

    fn get(&self, key: &[u8]) -> Option<&Range<usize>> {
        self.0.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn list(&self, text: &[u8], key: &[u8]) -> Option<&Range<usize>> {
        self.get(key).filter(|value| text[value.start] == b'[')
    }

    /// Whether events could be in more than one of the members.
    fn is_ambiguous(&self) -> bool {
        let count = |keys: &[&[u8]]| self.0.iter().filter(|(key, _)| keys.contains(key)).count();
        let envelopes = count(ENVELOPE_KEYS);
        envelopes > 0 && envelopes + count(EVENT_KEYS) > 1
    }

    fn looks_like_event(&self) -> bool {
        self.0.iter().filter(|(key, _)| EVENT_KEYS.contains(key)).count() >= 2
    }

    /// What else is delivered into the folders that trails use.
    fn foreign(&self) -> Option<&'static str> {
        let has = |key: &[u8]| self.get(key).is_some();
        if has(b"digestS3Object") || has(b"digestStartTime") {
            Some("a CloudTrail digest")
        } else if has(b"configurationItems") || has(b"configSnapshotId") || has(b"configurationItem") {
            Some("an AWS Config delivery")
        } else {
            None
        }
    }
}

fn kind_of(byte: u8) -> &'static str {
    match byte {
        b'[' => "a list",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// Where the JSON of a CloudWatch Logs export line (`2021-07-10T20:27:23.000Z {…}`) starts.
fn export_line(text: &[u8], start: usize) -> Option<usize> {
    let line = text.get(start..)?;
    let space = memchr::memchr(b' ', line.get(..40.min(line.len()))?)?;
    let stamp = std::str::from_utf8(&line[..space]).ok()?;
    let is_time = super::time::parse(stamp.as_bytes()).is_some();
    (is_time && line.get(space + 1) == Some(&b'{')).then_some(start + space + 1)
}

/// Names what is no JSON as well as its first bytes allow.
fn not_json(text: &[u8], start: usize) -> String {
    let rest = &text[start..];
    if start == 0
        && (rest.starts_with(b"User name,")
            || rest.starts_with(b"Event ID,")
            || rest.starts_with(b"AWS access key,"))
    {
        return "a CSV export of the console's event history, which does not hold the events themselves"
            .into();
    }
    match rest.first() {
        Some(b'<') => "not JSON: it starts like XML or HTML".into(),
        Some(&byte) if byte.is_ascii_graphic() => format!("not JSON: byte {start} is {:?}", char::from(byte)),
        Some(&byte) => format!("not JSON: byte {start} is 0x{byte:02x}"),
        None => "not JSON".into(),
    }
}
