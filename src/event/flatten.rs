//! One record to one row, driven by the column table.
//!
//! A field's value is held by its column alone only where it is spelled canonically, occurs once and fits the column.
//! Everything else goes to `unmapped`, a JSON object of the record's own shape, and **where `unmapped` has a field, it and
//! not the column is what was delivered**; the column may still hold a readable form of it (a timestamp of another
//! format, the last of several occurrences). `row_shape` lists what neither can say: known fields that were null or an
//! empty object, and `event_time` where it was filled in. `rebuild` undoes exactly this.

use arrow::array::make_view;

use super::batch::{Place, Resource, Rows};
use super::scan::{Scanner, StringSpan, SyntaxError, unescape};
use super::time;
use crate::schema::{ALIASES, COLUMNS, Form, Origin, RESOURCE_FIELDS, known};

const EVENT_TIME: usize = known("event_time");
const EVENT_SOURCE: usize = known("event_source");
const AWS_REGION: usize = known("aws_region");
const ACCOUNT: usize = known("account");
const REGION: usize = known("region");
const PRINCIPAL: usize = known("principal");
const BY_ROOT_OR_IAM_USER: usize = known("by_root_or_iam_user");
const BY_TEMPORARY_CREDENTIALS: usize = known("by_temporary_credentials");
const BY_AWS_SERVICE: usize = known("by_aws_service");
const SOURCE_IP_ADDRESS: usize = known("source_ip_address");
const RECIPIENT_ACCOUNT_ID: usize = known("recipient_account_id");
const ACCOUNT_ID: usize = known("account_id");
const IDENTITY_TYPE: usize = known("user_identity_type");
const IDENTITY_ARN: usize = known("user_identity_arn");
const IDENTITY_PRINCIPAL_ID: usize = known("user_identity_principal_id");
const IDENTITY_ACCOUNT_ID: usize = known("user_identity_account_id");
const IDENTITY_INVOKED_BY: usize = known("user_identity_invoked_by");
const ISSUER_ARN: usize = known("user_identity_session_context_session_issuer_arn");
const WINDOW_START: usize = known("time_window_window_start");
const UNMAPPED: usize = known("unmapped");
const ROW_SHAPE: usize = known("row_shape");
const ROW_SOURCE_OBJECT: usize = known("row_source_object");
const ROW_SOURCE_RECORD: usize = known("row_source_record");

/// A known object of the record, and what its keys mean.
struct Node {
    /// The path, steps joined by `.`; empty for the record itself.
    path: String,
    members: Vec<Member>,
    /// Other spellings: the key and the member it stands for.
    aliases: Vec<(&'static str, usize)>,
}

struct Member {
    key: &'static str,
    /// The column that holds the value; `None` for objects that are flattened away.
    column: Option<usize>,
    /// The node of the object that the value may be.
    node: Option<usize>,
}

/// What a record is found with, the same for all records of an object.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provenance {
    account: Option<u128>,
    region: Option<u128>,
    object: Option<u128>,
}

impl Provenance {
    /// Puts the object's URL and what its key says into `rows`, for all rows that come from it.
    pub fn new(rows: &mut Rows, url: &str, account: Option<&str>, region: Option<&str>) -> Self {
        let mut store = |text: &str| {
            rows.side(|side| {
                side.extend_from_slice(text.as_bytes());
                true
            })
        };
        let provenance = Provenance {
            object: store(url),
            account: account.and_then(&mut store),
            region: region.and_then(store),
        };
        rows.keep_side();
        provenance
    }
}

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
    nodes: Vec<Node>,
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
        let mut nodes = vec![Node { path: String::new(), members: Vec::new(), aliases: Vec::new() }];
        for (index, column) in
            COLUMNS.iter().enumerate().filter(|(_, column)| column.origin != Origin::Derived)
        {
            let mut node = 0;
            let mut steps = column.path.split('.').peekable();
            while let Some(key) = steps.next() {
                let member = member_of(&mut nodes, node, key);
                if steps.peek().is_none() {
                    nodes[node].members[member].column = Some(index);
                } else {
                    node = child_of(&mut nodes, node, member);
                }
            }
        }
        for (alias, canonical) in ALIASES {
            let (path, alias) = alias.rsplit_once('.').unwrap_or(("", alias));
            let key = canonical.rsplit('.').next().unwrap_or(canonical);
            for node in nodes.iter_mut().filter(|node| node.path == path) {
                if let Some(member) = node.members.iter().position(|member| member.key == key) {
                    node.aliases.push((alias, member));
                }
            }
        }
        let follows = nodes.iter().map(|node| vec![0; node.members.len() + 1]).collect();
        Flattener {
            nodes,
            follows,
            overflow: Overflow::default(),
            shape: Vec::new(),
            key: Vec::new(),
            elements: Vec::new(),
            is_event: false,
        }
    }
}

fn member_of(nodes: &mut [Node], node: usize, key: &'static str) -> usize {
    let members = &mut nodes[node].members;
    members.iter().position(|member| member.key == key).unwrap_or_else(|| {
        members.push(Member { key, column: None, node: None });
        members.len() - 1
    })
}

fn child_of(nodes: &mut Vec<Node>, node: usize, member: usize) -> usize {
    if let Some(child) = nodes[node].members[member].node {
        return child;
    }
    let key = nodes[node].members[member].key;
    let path = if node == 0 { key.to_owned() } else { format!("{}.{key}", nodes[node].path) };
    nodes.push(Node { path, members: Vec::new(), aliases: Vec::new() });
    let child = nodes.len() - 1;
    nodes[node].members[member].node = Some(child);
    child
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
        self.derive(arena, row, provenance, rows);
        rows.set_number(ROW_SOURCE_RECORD, number);
        if let Some(object) = provenance.object {
            rows.set_view(ROW_SOURCE_OBJECT, object);
        }
        let unmapped = self.overflow.finish();
        let stored = [(UNMAPPED, unmapped), (ROW_SHAPE, self.shape.as_slice())]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .all(|(column, text)| match store(rows, text) {
                Some(view) => {
                    rows.set_view(column, view);
                    true
                }
                None => false,
            });
        if !stored {
            rows.cancel_row();
            return Err(Refusal::NotAnEvent { end, reason: "too large to be held".into() });
        }
        rows.end_row();
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
        while let Some(key) = scanner.member(first)? {
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
        if let Some(member) = members.iter().position(|member| member.key.as_bytes() == text) {
            return Some((member, false));
        }
        let aliases = &self.nodes[node].aliases;
        aliases.iter().find(|(alias, _)| alias.as_bytes() == text).map(|&(_, member)| (member, true))
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
        let Member { key, column, node: child } = self.nodes[node].members[member];
        let start = scanner.at;
        let next = scanner.peek();
        if next == Some(b'n') {
            scanner.skip_value()?;
            if mode != Mode::Copy {
                let path = &self.nodes[node].path;
                if !path.is_empty() {
                    note(&mut self.shape, path, ".");
                    self.shape.extend_from_slice(key.as_bytes());
                } else {
                    note(&mut self.shape, key, "");
                }
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
            self.overflow.enter(key);
            self.object(child, arena, scanner, mode, rows)?;
            self.overflow.leave();
            return Ok(());
        };
        let fits = match COLUMNS[column].form {
            Form::Text if next == Some(b'"') => {
                let string = scanner.string()?;
                match text_view(arena, &string, rows) {
                    Some(view) => {
                        rows.set_view(column, view);
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
                scanner.skip_value()?;
                rows.set_bool(column, next == Some(b't'));
                true
            }
            Form::Json => {
                let value = scanner.skip_value()?;
                match view_of(arena, value.start, value.end) {
                    Some(view) => rows.set_view(column, view),
                    None => return Ok(self.misfit(key, &arena[value], mode)),
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
            let member = RESOURCE_FIELDS.iter().position(|(field, _)| field.as_bytes() == name);
            match member {
                Some(member) if scanner.peek() == Some(b'"') => {
                    let view = text_view(arena, &scanner.string()?, rows);
                    exact &= view.is_some() && resource[member].is_none();
                    resource[member] = view.or(resource[member]);
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

    fn derive(&mut self, arena: &[u8], row: usize, provenance: &Provenance, rows: &mut Rows) {
        // Aggregated events have no time of their own, only a window.
        if rows.number(EVENT_TIME, row).is_none()
            && let Some(time) =
                rows.text(arena, WINDOW_START, row).and_then(|start| time::parse(start.bytes()))
        {
            rows.set_number(EVENT_TIME, time.micros());
            note(&mut self.shape, "eventTime", "!");
        }
        let first_of = |rows: &Rows, columns: &[usize]| {
            columns.iter().find_map(|&column| {
                let filled = rows.text(arena, column, row).is_some_and(|text| !text.bytes().is_empty());
                filled.then(|| rows.view(column, row)).flatten()
            })
        };
        let account = first_of(rows, &[RECIPIENT_ACCOUNT_ID, ACCOUNT_ID]).or(provenance.account);
        let region = first_of(rows, &[AWS_REGION]).or(provenance.region);
        let is = |rows: &Rows, names: &[&[u8]]| {
            rows.text(arena, IDENTITY_TYPE, row).is_some_and(|kind| names.contains(&kind.bytes()))
        };
        let assumed = is(rows, &[b"AssumedRole"]);
        let issuer = if assumed { first_of(rows, &[ISSUER_ARN]) } else { None };
        let principal = issuer.or_else(|| {
            first_of(rows, &[IDENTITY_ARN, IDENTITY_PRINCIPAL_ID, IDENTITY_INVOKED_BY, IDENTITY_ACCOUNT_ID])
        });
        for (column, view) in [(ACCOUNT, account), (REGION, region), (PRINCIPAL, principal)] {
            if let Some(view) = view {
                rows.set_view(column, view);
            }
        }
        let by_user = is(rows, &[b"Root", b"IAMUser"]);
        let by_session = assumed || is(rows, &[b"FederatedUser"]);
        // Unlike the user agent, the source address is not the caller's to choose.
        let from_service = rows
            .text(arena, SOURCE_IP_ADDRESS, row)
            .is_some_and(|address| address.bytes().ends_with(b".amazonaws.com"));
        let by_service =
            is(rows, &[b"AWSService"]) || from_service || first_of(rows, &[IDENTITY_INVOKED_BY]).is_some();
        rows.set_bool(BY_ROOT_OR_IAM_USER, by_user);
        rows.set_bool(BY_TEMPORARY_CREDENTIALS, by_session);
        rows.set_bool(BY_AWS_SERVICE, by_service);
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

/// The JSON object `unmapped` while it is written: objects are opened only once they have a member.
#[derive(Default)]
struct Overflow {
    text: Vec<u8>,
    /// The keys of the objects being flattened, outermost first.
    path: Vec<String>,
    /// How many of them are open in `text`.
    open: usize,
}

impl Overflow {
    fn clear(&mut self) {
        self.text.clear();
        self.path.clear();
        self.open = 0;
    }

    fn enter(&mut self, key: &str) {
        self.path.push(key.to_owned());
    }

    fn leave(&mut self) {
        self.path.pop();
        if self.open > self.path.len() {
            self.text.push(b'}');
            self.open = self.path.len();
        }
    }

    fn comma(&mut self) {
        if self.text.is_empty() {
            self.text.push(b'{');
        } else if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
    }

    /// Adds a member; `key` is a JSON string with its quotes.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        while self.open < self.path.len() {
            self.comma();
            let step = &self.path[self.open];
            self.text.extend_from_slice(b"\"");
            self.text.extend_from_slice(step.as_bytes());
            self.text.extend_from_slice(b"\":{");
            self.open += 1;
        }
        self.comma();
        self.text.extend_from_slice(key);
        self.text.push(b':');
        self.text.extend_from_slice(value);
    }

    /// Adds a member whose key is one of ours, which needs no escapes.
    fn add_key(&mut self, key: &str, value: &[u8]) {
        self.add(format!("\"{key}\"").as_bytes(), value);
    }

    fn finish(&mut self) -> &[u8] {
        if !self.text.is_empty() {
            self.text.push(b'}');
        }
        &self.text
    }
}
