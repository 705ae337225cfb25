//! One record to one row, driven by the column table.
//!
//! A field's value is held by its column alone only where it is spelled canonically, occurs once and fits the column.
//! Everything else goes to `unmapped`, a JSON object of the record's own shape, and **where `unmapped` has a field, it and
//! not the column is what was delivered**; the column may still hold a readable form of it (a timestamp of another
//! format, the last of several occurrences). `row_shape` lists what neither can say: known fields that were null or an
//! empty object, and `event_time` where it was filled in. `rebuild` undoes exactly this.

use arrow::array::make_view;

use super::batch::{Place, Resource, Rows};
use super::derive::{Provenance, derive};
use super::overflow::Overflow;
use super::scan::{Scanner, StringSpan, SyntaxError, unescape};
use super::sort::id_key;
use super::time;
use super::tree::{Member, Node, TREE};
use crate::intern::same;
use crate::schema::{COLUMNS, Form, RESOURCE_FIELDS, known};

const EVENT_SOURCE: usize = known("event_source");
const EVENT_ID: usize = known("event_id");
const UNMAPPED: usize = known("unmapped");
const ROW_SHAPE: usize = known("row_shape");
const ROW_SOURCE_RECORD: usize = known("row_source_record");

/// A longer list of resources is kept in `unmapped` only: an element costs up to seventy times its text as a column.
const MOST_RESOURCES: usize = 10_000;

/// Why a record became no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not JSON; where it ends cannot be known.
    Syntax(SyntaxError),
    /// It is JSON, up to byte `end`, but no CloudTrail event.
    NotAnEvent {
        /// The byte after the record.
        end: usize,
        /// Why, lower-case without a full stop.
        reason: String,
    },
}

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Self {
        Refusal::Syntax(error)
    }
}

/// How an object's members are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// As the record's own, exactly once each; a repeated or oddly spelled key ends it with [`Halt::LookCloser`].
    Plain,
    /// As the record's own, every key unescaped and counted first.
    Exact,
    /// For convenience only: the value is kept elsewhere.
    Copy,
}

enum Halt {
    Syntax(SyntaxError),
    LookCloser,
}

impl From<SyntaxError> for Halt {
    fn from(error: SyntaxError) -> Self {
        Halt::Syntax(error)
    }
}

/// Flattens records one after the other.
pub struct Flattener {
    nodes: &'static [Node],
    /// For each node, the member that followed each member last time: records repeat their key order.
    follows: Vec<Vec<u8>>,
    overflow: Overflow,
    shape: Vec<u8>,
    key: Vec<u8>,
    elements: Vec<Option<Resource>>,
    /// Whether the record has a field that CloudTrail's records have.
    is_event: bool,
}

impl Default for Flattener {
    fn default() -> Self {
        Flattener {
            nodes: &TREE,
            follows: TREE.iter().map(|node| vec![0; node.members.len() + 1]).collect(),
            overflow: Overflow::default(),
            shape: Vec::new(),
            key: Vec::new(),
            elements: Vec::new(),
            is_event: false,
        }
    }
}

impl Flattener {
    /// Flattens the JSON object that starts at byte `at` of `arena` into the next row of `rows`, which is kept.
    /// Returns the byte after the record.
    ///
    /// `number` is the record's number in its object, from 1.
    ///
    /// # Errors
    /// Where the text is not JSON, or the record is no CloudTrail event; `rows` is then as it was.
    pub fn record(
        &mut self,
        arena: &[u8],
        at: usize,
        number: i64,
        provenance: &Provenance,
        rows: &mut Rows,
    ) -> Result<usize, Refusal> {
        let flattened = match self.try_record(arena, at, Mode::Plain, rows) {
            Err(Halt::LookCloser) => {
                rows.cancel_row();
                self.try_record(arena, at, Mode::Exact, rows)
            }
            other => other,
        };
        let end = match flattened {
            Ok(end) => end,
            Err(halt) => {
                rows.cancel_row();
                return Err(Refusal::Syntax(match halt {
                    Halt::Syntax(error) => error,
                    Halt::LookCloser => SyntaxError { at, what: "the record's keys are not clear" },
                }));
            }
        };
        let row = rows.len();
        // Notifications of S3 and others come in a `Records` list too (S3 user guide, "Event message structure").
        let notifier = rows
            .text(arena, EVENT_SOURCE, row)
            .filter(|source| source.bytes().starts_with(b"aws:"))
            .map(|source| String::from_utf8_lossy(source.bytes()).into_owned());
        if notifier.is_some() || !self.is_event {
            rows.cancel_row();
            let reason = match notifier {
                Some(source) => format!("a notification from {source}, not a CloudTrail event"),
                None => "no field of it is CloudTrail's".into(),
            };
            return Err(Refusal::NotAnEvent { end, reason });
        }
        if derive(arena, provenance, rows) {
            note(&mut self.shape, "eventTime", "!");
        }
        rows.set_number(ROW_SOURCE_RECORD, number);
        let unmapped = self.overflow.finish();
        let stored = [(UNMAPPED, unmapped), (ROW_SHAPE, self.shape.as_slice())]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .all(|(column, text)| match store(rows, text) {
                Some(view) => {
                    rows.set_view(column, arena, view);
                    true
                }
                None => false,
            });
        if !stored {
            rows.cancel_row();
            return Err(Refusal::NotAnEvent { end, reason: "too large to be held".into() });
        }
        // Worked out here, where the text is at hand.
        let id = match rows.text(arena, EVENT_ID, row) {
            Some(id) => id_key(id.bytes()),
            // Records of version 1.0 have no id: equal content is all that can make them copies.
            None => 0,
        };
        rows.end_row(id);
        Ok(end)
    }

    fn try_record(&mut self, arena: &[u8], at: usize, mode: Mode, rows: &mut Rows) -> Result<usize, Halt> {
        self.overflow.clear();
        self.shape.clear();
        let mut scanner = Scanner::new(arena, at);
        scanner.expect(b'{', "a record is not an object")?;
        self.is_event = false;
        self.object(0, arena, &mut scanner, mode, rows)?;
        Ok(scanner.at)
    }

    /// Takes the members of an object whose brace was consumed.
    fn object(
        &mut self,
        node: usize,
        arena: &[u8],
        scanner: &mut Scanner<'_>,
        mode: Mode,
        rows: &mut Rows,
    ) -> Result<(), Halt> {
        let unclear = if mode == Mode::Exact { self.unclear_members(node, arena, scanner.at)? } else { 0 };
        let mut seen = 0u64;
        let mut previous = 0;
        let mut first = true;
        loop {
            if mode == Mode::Plain {
                // The key that followed last time, as delivered logs spell it, needs no reading.
                let guess = usize::from(self.follows[node][previous]);
                let nodes = self.nodes;
                let likely = nodes[node].members.get(guess).filter(|_| seen & (1 << guess) == 0);
                if likely.is_some_and(|member| scanner.take(&member.opening[usize::from(first)..])) {
                    seen |= 1 << guess;
                    previous = guess + 1;
                    first = false;
                    self.is_event = true;
                    scanner.next_token();
                    self.value(node, guess, arena, scanner, mode, rows)?;
                    continue;
                }
            }
            let Some(key) = scanner.member(first)? else { break };
            first = false;
            if key.escaped && mode == Mode::Plain {
                return Err(Halt::LookCloser);
            }
            let Some((member, alias)) = self.lookup(node, arena, &key, previous) else {
                let value = scanner.skip_value()?;
                if mode != Mode::Copy {
                    self.overflow.add(&arena[key.inner.start - 1..key.inner.end + 1], &arena[value]);
                }
                continue;
            };
            if !alias {
                self.follows[node][previous] = member as u8;
                previous = member + 1;
            }
            let bit = 1u64 << member;
            if mode == Mode::Plain && (alias || seen & bit != 0) {
                return Err(Halt::LookCloser);
            }
            seen |= bit;
            self.is_event = true;
            if unclear & bit != 0 {
                let start = scanner.at;
                let value = scanner.skip_value()?;
                self.overflow.add(&arena[key.inner.start - 1..key.inner.end + 1], &arena[value]);
                // The spelling that the column is named after wins over another one, the last occurrence over others.
                if !alias || self.column_is_empty(node, member, rows) {
                    self.value(node, member, arena, &mut Scanner::new(arena, start), Mode::Copy, rows)?;
                }
            } else {
                self.value(node, member, arena, scanner, mode, rows)?;
            }
        }
        if first && mode != Mode::Copy && node != 0 {
            let path = &self.nodes[node].path;
            note(&mut self.shape, path, "{}");
        }
        Ok(())
    }

    /// The members of the object at `at` that occur more than once or under another spelling, as bits.
    fn unclear_members(&mut self, node: usize, arena: &[u8], at: usize) -> Result<u64, SyntaxError> {
        let mut scanner = Scanner::new(arena, at);
        let (mut seen, mut unclear) = (0u64, 0u64);
        let mut first = true;
        while let Some(key) = scanner.member(first)? {
            first = false;
            if let Some((member, alias)) = self.lookup(node, arena, &key, 0) {
                let bit = 1 << member;
                if alias || seen & bit != 0 {
                    unclear |= bit;
                }
                seen |= bit;
            }
            scanner.skip_value()?;
        }
        Ok(unclear)
    }

    /// The member a key stands for, and whether by another spelling.
    fn lookup(
        &mut self,
        node: usize,
        arena: &[u8],
        key: &StringSpan,
        previous: usize,
    ) -> Option<(usize, bool)> {
        let members = &self.nodes[node].members;
        let text = if key.escaped {
            self.key.clear();
            if !unescape(&arena[key.inner.clone()], &mut self.key) {
                return None;
            }
            self.key.as_slice()
        } else {
            &arena[key.inner.clone()]
        };
        let guess = usize::from(self.follows[node][previous]);
        if members.get(guess).is_some_and(|member| member.key.as_bytes() == text) {
            return Some((guess, false));
        }
        self.nodes[node].find(text)
    }

    fn column_is_empty(&self, node: usize, member: usize, rows: &Rows) -> bool {
        self.nodes[node].members[member].column.is_none_or(|column| rows.view(column, rows.len()).is_none())
    }

    /// Takes the value of a known member.
    fn value(
        &mut self,
        node: usize,
        member: usize,
        arena: &[u8],
        scanner: &mut Scanner<'_>,
        mode: Mode,
        rows: &mut Rows,
    ) -> Result<(), Halt> {
        let nodes = self.nodes;
        let Member { key, ref path, column, node: child, .. } = nodes[node].members[member];
        let start = scanner.at;
        let next = scanner.peek();
        if next == Some(b'n') {
            scanner.skip_value()?;
            if mode != Mode::Copy {
                note(&mut self.shape, path, "");
            }
            return Ok(());
        }
        let Some(column) = column else {
            let (Some(child), Some(b'{')) = (child, next) else {
                let value = scanner.skip_value()?;
                self.misfit(key, &arena[value], mode);
                return Ok(());
            };
            scanner.at += 1;
            if mode == Mode::Copy {
                return self.object(child, arena, scanner, mode, rows);
            }
            if mode == Mode::Plain
                && let Some(end) = rows.repeat_object(child, arena, start)
            {
                scanner.at = end;
                return Ok(());
            }
            let before = (self.overflow.len(), self.shape.len());
            self.overflow.enter(key);
            self.object(child, arena, scanner, mode, rows)?;
            self.overflow.leave();
            if let (Mode::Plain, Some(columns)) = (mode, &nodes[child].texts)
                && before == (self.overflow.len(), self.shape.len())
            {
                rows.remember_object(child, start, scanner.at, columns);
            }
            return Ok(());
        };
        let fits = match COLUMNS[column].form {
            Form::Text if next == Some(b'"') => {
                if let Some(end) = rows.repeat(column, arena, start) {
                    scanner.at = end;
                    return Ok(());
                }
                let string = scanner.string()?;
                match text_view(arena, &string, rows) {
                    Some(view) => {
                        rows.set_view(column, arena, view);
                        rows.remember(column, start, scanner.at);
                        true
                    }
                    None => false,
                }
            }
            Form::Time if next == Some(b'"') => {
                let string = scanner.string()?;
                let parsed = time::parse(&arena[string.inner]);
                if let Some(parsed) = parsed {
                    rows.set_number(column, parsed.micros());
                }
                matches!(parsed, Some(time::Parsed::Canonical(_)))
            }
            Form::Bool if matches!(next, Some(b't' | b'f')) => {
                if !scanner.take(b"true") && !scanner.take(b"false") {
                    scanner.skip_value()?;
                }
                rows.set_bool(column, next == Some(b't'));
                true
            }
            Form::Json => {
                let ends_itself = matches!(next, Some(b'{' | b'[' | b'"'));
                if ends_itself
                    && child.is_none()
                    && let Some(end) = rows.repeat(column, arena, start)
                {
                    scanner.at = end;
                    return Ok(());
                }
                let value = scanner.skip_value()?;
                match view_of(arena, value.start, value.end) {
                    Some(view) => {
                        rows.set_view(column, arena, view);
                        if ends_itself {
                            rows.remember(column, value.start, value.end);
                        }
                    }
                    None => {
                        self.misfit(key, &arena[value], mode);
                        return Ok(());
                    }
                }
                if let (Some(child), Some(b'{')) = (child, next) {
                    let mut inside = Scanner::new(arena, start + 1);
                    self.object(child, arena, &mut inside, Mode::Copy, rows)?;
                }
                true
            }
            Form::Resources => {
                let value = scanner.skip_value()?;
                let exact = self.resources(arena, start, rows)?;
                rows.set_resources(column, &self.elements);
                if !exact {
                    self.misfit(key, &arena[value], mode);
                }
                return Ok(());
            }
            _ => {
                scanner.skip_value()?;
                false
            }
        };
        if !fits {
            self.misfit(key, &arena[start..scanner.at], mode);
        }
        Ok(())
    }

    /// Keeps a value that its column cannot hold.
    fn misfit(&mut self, key: &str, value: &[u8], mode: Mode) {
        if mode != Mode::Copy {
            self.overflow.add_key(key, value);
        }
    }

    /// Reads the resources into `self.elements`; `false` where the list cannot be rebuilt from them.
    fn resources(&mut self, arena: &[u8], at: usize, rows: &mut Rows) -> Result<bool, SyntaxError> {
        self.elements.clear();
        let mut scanner = Scanner::new(arena, at);
        match scanner.next_token() {
            Some(b'[') => {
                scanner.at += 1;
                let mut exact = true;
                let mut first = true;
                while scanner.element(first)? {
                    first = false;
                    if self.elements.len() >= MOST_RESOURCES {
                        self.elements.clear();
                        return Ok(false);
                    }
                    exact &= self.resource(arena, &mut scanner, rows)?;
                }
                Ok(exact)
            }
            // A single resource without its list, seen in hand-made records.
            Some(b'{') => self.resource(arena, &mut scanner, rows).map(|_| false),
            _ => Ok(false),
        }
    }

    fn resource(
        &mut self,
        arena: &[u8],
        scanner: &mut Scanner<'_>,
        rows: &mut Rows,
    ) -> Result<bool, SyntaxError> {
        if scanner.next_token() != Some(b'{') {
            scanner.skip_value()?;
            self.elements.push(None);
            return Ok(false);
        }
        scanner.at += 1;
        let mut resource = Resource::default();
        let mut exact = true;
        let mut first = true;
        while let Some(key) = scanner.member(first)? {
            first = false;
            let name = &arena[key.inner];
            // `arn` is what the ARN is called after a round trip through Athena's lower-case schema.
            let name = if name == b"arn" {
                exact = false;
                b"ARN"
            } else {
                name
            };
            let member = RESOURCE_FIELDS.iter().position(|(field, _)| same(field.as_bytes(), name));
            match member {
                Some(member) if scanner.peek() == Some(b'"') => {
                    exact &= resource[member] == 0;
                    let start = scanner.at;
                    if let Some((number, end)) = rows.repeat_resource_text(member, arena, start) {
                        resource[member] = number;
                        scanner.at = end;
                        continue;
                    }
                    match text_view(arena, &scanner.string()?, rows) {
                        Some(view) => {
                            let json = (start, scanner.at);
                            resource[member] = rows.resource_text(member, arena, view, json);
                        }
                        None => exact = false,
                    }
                }
                _ => {
                    scanner.skip_value()?;
                    exact = false;
                }
            }
        }
        self.elements.push(Some(resource));
        Ok(exact)
    }
}

/// A view of a string's text: into the arena, or of its unescaped form. `None` where no UTF-8 text can hold it.
fn text_view(arena: &[u8], string: &StringSpan, rows: &mut Rows) -> Option<u128> {
    if string.escaped {
        rows.side(|side| unescape(&arena[string.inner.clone()], side))
    } else {
        view_of(arena, string.inner.start, string.inner.end)
    }
}

fn view_of(arena: &[u8], start: usize, end: usize) -> Option<u128> {
    Some(make_view(&arena[start..end], Place::Arena as u32, u32::try_from(start).ok()?))
}

fn store(rows: &mut Rows, text: &[u8]) -> Option<u128> {
    rows.side(|side| {
        side.extend_from_slice(text);
        true
    })
}

/// Adds an entry to the comma-separated shape.
fn note(shape: &mut Vec<u8>, path: &str, mark: &str) {
    if !shape.is_empty() {
        shape.push(b',');
    }
    shape.extend_from_slice(path.as_bytes());
    shape.extend_from_slice(mark.as_bytes());
}
