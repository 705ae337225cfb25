//! The order of rows, and which of them are copies.
//!
//! Rows are ordered by (account, Region, event time, event id, object, record): the last two only make the order total, so
//! that the same objects give the same files. Two trails that cover the same account deliver every event twice, in
//! different objects. Copies are rows of equal account and equal content; they agree in time and id too, so nearly all
//! of them are neighbours in this order. Of copies the first is kept. The same account, time and id with different
//! content is kept, and counted as a conflict.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::take;
use arrow::datatypes::UInt32Type;
use arrow::error::ArrowError;
use sha2::{Digest, Sha256};

use super::batch::{Rows, without_dictionaries};
use super::scan::Scanner;
use super::time;
use crate::schema::{arrow_schema, known};

const EVENT_TIME: usize = known("event_time");
const EVENT_ID: usize = known("event_id");
const AWS_REGION: usize = known("aws_region");
const ACCOUNT: usize = known("account");
const REGION: usize = known("region");

/// Where a row's record stands in the arena, and which object of the chunk it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordSpan {
    pub start: usize,
    pub end: usize,
    pub object: u32,
}

/// What rows of one group have in common: one group becomes one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// The event date.
    pub date: bool,
    /// The account.
    pub account: bool,
    /// The Region.
    pub region: bool,
}

/// Rows that belong into one file, sorted.
#[derive(Debug)]
pub struct Group<'a> {
    /// The event date `YYYY-MM-DD`, where the grouping has it and the rows have one.
    pub date: Option<String>,
    /// The account, where the grouping has it and the rows have one.
    pub account: Option<String>,
    /// The Region, where the grouping has it and the rows have one.
    pub region: Option<String>,
    /// The chunk's columns; `None` for one without a value.
    columns: &'a [Option<ArrayRef>],
    rows: UInt32Array,
    spans: &'a [RecordSpan],
    /// The rows of the chunk that are counted as conflicts.
    conflicting: &'a HashSet<u32>,
}

impl Group<'_> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The chunk's columns, and the positions in them of the rows, in order. Texts are dictionaries where few are
    /// distinct; `None` is a column without a value.
    pub fn ordered(&self) -> (&[Option<ArrayRef>], &[u32]) {
        (self.columns, self.rows.values())
    }

    /// The rows from `start` on, at most `most` of them, with the columns of the schema.
    ///
    /// # Errors
    /// Where Arrow refuses the columns, which would be a defect of this program.
    pub fn batch(&self, start: usize, most: usize) -> Result<RecordBatch, ArrowError> {
        let start = start.min(self.rows());
        self.take(&self.rows.slice(start, most.min(self.rows() - start)))
    }

    /// The rows at these positions, with the columns of the schema.
    ///
    /// # Errors
    /// As [`Group::batch`], and where there is no such position.
    pub fn select(&self, positions: &[u32]) -> Result<RecordBatch, ArrowError> {
        let positions = UInt32Array::from(positions.to_vec());
        self.take(&take(&self.rows, &positions, None)?.as_primitive::<UInt32Type>().clone())
    }

    /// One column of all rows.
    ///
    /// # Errors
    /// As [`Group::batch`].
    pub fn column(&self, column: usize) -> Result<ArrayRef, ArrowError> {
        match self.columns.get(column) {
            Some(Some(array)) => without_dictionaries(take(array, &self.rows, None)?),
            _ => Ok(new_null_array(arrow_schema().field(column).data_type(), self.rows())),
        }
    }

    /// The number of the object that the row at a position came from, in the order the chunk was given them.
    pub fn object(&self, position: usize) -> usize {
        self.spans[self.rows.value(position) as usize].object as usize
    }

    /// Whether the row at a position is counted as a conflict.
    pub fn is_conflict(&self, position: usize) -> bool {
        self.conflicting.contains(&self.rows.value(position))
    }

    /// Leaves out the rows at these positions, which are in ascending order.
    pub fn leave_out(&mut self, positions: &[u32]) {
        let mut left_out = positions.iter().copied().peekable();
        let kept = (0u32..).zip(self.rows.values()).filter(|(at, _)| left_out.next_if_eq(at).is_none());
        self.rows = kept.map(|(_, row)| *row).collect::<Vec<u32>>().into();
    }

    fn take(&self, indices: &UInt32Array) -> Result<RecordBatch, ArrowError> {
        // Most columns have no value in most chunks: one array of nulls a type does for all of them.
        let mut nulls: Vec<ArrayRef> = Vec::new();
        let schema = arrow_schema();
        let arrays = self.columns.iter().zip(schema.fields()).map(|(array, field)| match array {
            Some(array) => without_dictionaries(take(array, indices, None)?),
            None => Ok(match nulls.iter().find(|nulls| nulls.data_type() == field.data_type()) {
                Some(known) => known.clone(),
                None => {
                    let made = new_null_array(field.data_type(), indices.len());
                    nulls.push(made.clone());
                    made
                }
            }),
        });
        let arrays = arrays.collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
        RecordBatch::try_new(schema, arrays)
    }
}

/// What became of a chunk's rows, by object in the order the chunk was given them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows left out as copies of others.
    pub duplicates: Vec<u64>,
    /// Rows kept although another has the same account, time and event id: their content differs.
    pub conflicts: Vec<u64>,
}

/// The values rows are grouped and first sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    /// Days since 1970.
    date: Option<i64>,
    account: Option<Box<[u8]>>,
    region: Option<Box<[u8]>>,
}

struct Key {
    place: u32,
    time: Option<i64>,
    id: u128,
    row: u32,
}

/// The rows to keep, in order.
pub(super) struct Order {
    /// For each group its values and the rows in it.
    groups: Vec<(Place, Vec<u32>)>,
    copies: Copies,
}

/// What looking for copies has found.
struct Copies {
    /// Rows left out, by object.
    duplicates: Vec<u64>,
    /// The rows that differ from one before them of the same account, time and id.
    conflicting: HashSet<u32>,
}

/// Works out the order of `rows`, whose record `i` stands at `spans[i]`; `days` has the path day of each object.
/// Copies are left out if `dedupe` says so.
pub(super) fn order(
    rows: &Rows,
    arena: &[u8],
    spans: &[RecordSpan],
    days: &[Option<i64>],
    grouping: Grouping,
    dedupe: bool,
) -> Order {
    let (places, mut keys) = keys(rows, arena, spans, days, grouping);
    keys.sort_unstable_by(|left, right| {
        (left.place, left.time, left.id, left.row).cmp(&(right.place, right.time, right.id, right.row))
    });
    let copies = Copies { duplicates: vec![0; days.len()], conflicting: HashSet::new() };
    let mut order = Order { groups: Vec::new(), copies };
    let elsewhere =
        if dedupe { apart(rows, arena, spans, &places, &keys, &mut order.copies) } else { HashSet::new() };
    let mut last = None;
    let mut start = 0;
    while start < keys.len() {
        let same = |key: &&Key| {
            let first = &keys[start];
            (key.place, key.time, key.id) == (first.place, first.time, first.id)
        };
        let end = start + keys[start..].iter().take_while(same).count();
        let number = keys[start].place;
        if last != Some(number) {
            last = Some(number);
            let place = &places[number as usize];
            let group = Place {
                date: place.date.filter(|_| grouping.date),
                account: place.account.clone().filter(|_| grouping.account),
                region: place.region.clone().filter(|_| grouping.region),
            };
            if order.groups.last().is_none_or(|(last, _)| *last != group) {
                order.groups.push((group, Vec::new()));
            }
        }
        if let Some((_, members)) = order.groups.last_mut() {
            let run = keys[start..end].iter().map(|key| key.row);
            match end - start {
                1 if elsewhere.is_empty() => members.push(keys[start].row),
                _ if !dedupe => members.extend(run),
                _ => {
                    let run: Vec<u32> = run.filter(|row| !elsewhere.contains(row)).collect();
                    members.extend(distinct(rows, arena, spans, &run, &mut order.copies));
                }
            }
        }
        start = end;
    }
    order
}

/// Copies that are no neighbours, because their place is not that of the record but of its object: a record that names
/// no Region and was delivered in two, or has no time and was delivered on two days.
fn apart(
    rows: &Rows,
    arena: &[u8],
    spans: &[RecordSpan],
    places: &[Place],
    keys: &[Key],
    found: &mut Copies,
) -> HashSet<u32> {
    let mut alike: BTreeMap<(Option<&[u8]>, Option<i64>, u128), Vec<(u32, u32)>> = BTreeMap::new();
    for key in keys {
        if key.time.is_none() || rows.view(AWS_REGION, key.row as usize).is_none() {
            let account = places[key.place as usize].account.as_deref();
            alike.entry((account, key.time, key.id)).or_default().push((key.place, key.row));
        }
    }
    let mut copies = HashSet::new();
    for members in
        alike.into_values().filter(|members| members.iter().any(|(place, _)| *place != members[0].0))
    {
        let mut members: Vec<u32> = members.into_iter().map(|(_, row)| row).collect();
        members.sort_unstable();
        let kept: HashSet<u32> = distinct(rows, arena, spans, &members, found).into_iter().collect();
        copies.extend(members.into_iter().filter(|row| !kept.contains(row)));
    }
    copies
}

/// The rows, given in their order, that are not copies of one before them.
fn distinct(rows: &Rows, arena: &[u8], spans: &[RecordSpan], run: &[u32], found: &mut Copies) -> Vec<u32> {
    if run.len() < 2 {
        return run.to_vec();
    }
    let text = |row: u32| &arena[spans[row as usize].start..spans[row as usize].end];
    let mut texts = HashSet::new();
    let (different, mut copies): (Vec<u32>, Vec<u32>) = run.iter().partition(|&&row| texts.insert(text(row)));
    let mut kept: Vec<u32> = Vec::new();
    let mut contents = HashSet::new();
    for &row in &different {
        if different.len() == 1 || contents.insert(Sha256::digest(content(text(row)))) {
            kept.push(row);
        } else {
            copies.push(row);
        }
    }
    for row in copies {
        found.duplicates[spans[row as usize].object as usize] += 1;
    }
    if rows.text(arena, EVENT_ID, run[0] as usize).is_some() {
        found.conflicting.extend(kept.iter().skip(1));
    }
    kept
}

/// Whether two records are equal as JSON values, as far as that can be known.
pub fn is_same_record(one: &[u8], other: &[u8]) -> bool {
    one == other || content(one) == content(other)
}

/// What two records have in common exactly if they are equal as JSON values, however they are laid out. Text that
/// `serde_json` cannot read, or reads with a loss (half surrogate pairs, nesting beyond its limit, digits, repeated
/// keys), is equal only to itself.
fn content(text: &[u8]) -> Vec<u8> {
    let read = || -> Option<serde_json::Value> {
        let value: serde_json::Value = serde_json::from_slice(text).ok()?;
        let mut scanner = Scanner::new(text, 0);
        let mut keys = 0;
        while let Some(byte) = scanner.next_token() {
            let start = scanner.at;
            match byte {
                b'{' | b'}' | b'[' | b']' | b',' => scanner.at += 1,
                b':' => {
                    keys += 1;
                    scanner.at += 1;
                }
                _ => {
                    scanner.skip_value().ok()?;
                    let scalar = &text[start..scanner.at];
                    let is_number = byte == b'-' || byte.is_ascii_digit();
                    let read: serde_json::Value = serde_json::from_slice(scalar).ok()?;
                    if is_number && read.to_string().as_bytes() != scalar {
                        return None;
                    }
                }
            }
        }
        (keys == members(&value)).then_some(value)
    };
    // Keys come out sorted: serde_json's maps are ordered by key.
    read().map_or_else(|| text.to_vec(), |value| value.to_string().into_bytes())
}

/// How many members all objects of a value have together. `serde_json` has bounded the depth.
fn members(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(values) => values.iter().map(members).sum(),
        serde_json::Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// The distinct places in order, and a key for every row.
fn keys(
    rows: &Rows,
    arena: &[u8],
    spans: &[RecordSpan],
    days: &[Option<i64>],
    grouping: Grouping,
) -> (Vec<Place>, Vec<Key>) {
    let mut numbers: HashMap<Place, u32> = HashMap::new();
    let mut last: Option<(Place, u32)> = None;
    let mut keys = Vec::with_capacity(rows.len());
    for (row, span) in spans.iter().enumerate() {
        let time = rows.number(EVENT_TIME, row);
        let date = if grouping.date {
            time.map(time::day).or_else(|| days.get(span.object as usize).copied().flatten())
        } else {
            None
        };
        let account = rows.text(arena, ACCOUNT, row);
        let region = rows.text(arena, REGION, row);
        let account = account.as_ref().map(|text| text.bytes());
        let region = region.as_ref().map(|text| text.bytes());
        let number = match &last {
            Some((place, number))
                if place.date == date
                    && place.account.as_deref() == account
                    && place.region.as_deref() == region =>
            {
                *number
            }
            _ => {
                let place = Place { date, account: account.map(Box::from), region: region.map(Box::from) };
                let next = numbers.len() as u32;
                let number = *numbers.entry(place.clone()).or_insert(next);
                last = Some((place, number));
                number
            }
        };
        keys.push(Key { place: number, time, id: rows.id(row), row: row as u32 });
    }
    let mut places: Vec<(Place, u32)> = numbers.into_iter().collect();
    // What rows are grouped by comes first, so that a group's rows are neighbours.
    places.sort_unstable_by(|(left, _), (right, _)| {
        let by = |place: &Place| {
            (
                place.date,
                place.account.clone().filter(|_| grouping.account),
                place.region.clone().filter(|_| grouping.region),
                place.account.clone(),
                place.region.clone(),
            )
        };
        by(left).cmp(&by(right))
    });
    let mut ranks = vec![0; places.len()];
    for (rank, (_, number)) in places.iter().enumerate() {
        ranks[*number as usize] = rank as u32;
    }
    for key in &mut keys {
        key.place = ranks[key.place as usize];
    }
    (places.into_iter().map(|(place, _)| place).collect(), keys)
}

/// A number that orders event ids: a UUID's own value, so that rows of one second are in the order of their ids.
pub(super) fn id_key(id: &[u8]) -> u128 {
    const NO_DIGIT: u8 = 0x80;
    static DIGITS: [u8; 256] = {
        let mut digits = [NO_DIGIT; 256];
        let mut digit = 0;
        while digit < 16 {
            digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
            digit += 1;
        }
        digits
    };
    if id.len() != 36 || [8, 13, 18, 23].iter().any(|&at| id[at] != b'-') {
        return hash(id);
    }
    let mut value = 0u128;
    let mut seen = 0;
    for part in [0..8, 9..13, 14..18, 19..23, 24..36] {
        let mut digits = 0u64;
        for &byte in &id[part.clone()] {
            let digit = DIGITS[usize::from(byte)];
            seen |= digit;
            digits = digits << 4 | u64::from(digit);
        }
        value = value << (4 * part.len()) | u128::from(digits);
    }
    if seen & NO_DIGIT == 0 { value } else { hash(id) }
}

fn hash(bytes: &[u8]) -> u128 {
    // `DefaultHasher::new` has fixed keys, so the order is the same in every run.
    let mut first = DefaultHasher::new();
    bytes.hash(&mut first);
    let mut second = first.clone();
    0x9e37_79b9u32.hash(&mut second);
    u128::from(first.finish()) << 64 | u128::from(second.finish())
}

impl Order {
    /// Hands the kept rows to `each`, all groups together.
    pub(super) fn hand_over<E: From<ArrowError>>(
        self,
        rows: Rows,
        arena: &Buffer,
        spans: &[RecordSpan],
        each: impl FnOnce(Vec<Group<'_>>, &mut Tally) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let columns = rows.finish(arena.clone())?;
        let text = |bytes: Option<Box<[u8]>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let groups = self.groups.into_iter().filter(|(_, members)| !members.is_empty());
        let groups = groups.map(|(place, members)| Group {
            date: place.date.and_then(time::format_day),
            account: text(place.account),
            region: text(place.region),
            columns: &columns,
            rows: UInt32Array::from(members),
            spans,
            conflicting: &self.copies.conflicting,
        });
        let mut conflicts = vec![0; self.copies.duplicates.len()];
        for &row in &self.copies.conflicting {
            conflicts[spans[row as usize].object as usize] += 1;
        }
        let mut tally = Tally { duplicates: self.copies.duplicates, conflicts };
        each(groups.collect(), &mut tally)?;
        Ok(tally)
    }
}
