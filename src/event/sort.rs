//! The order of rows, and which of them are copies.
//!
//! Rows are ordered by (account, Region, event time, event id, object, record): the last two only make the order total, so
//! that the same objects give the same files. Two trails that cover the same account deliver every event twice, in
//! different objects; copies agree in account, Region, time and id, so they are neighbours in this order. Of copies with
//! equal content the first is kept. The same id with different content is kept, and counted as a conflict.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::take;
use arrow::error::ArrowError;

use super::batch::{Rows, without_dictionaries};
use super::scan::Scanner;
use super::time;
use crate::schema::{arrow_schema, known};

const EVENT_TIME: usize = known("event_time");
const EVENT_ID: usize = known("event_id");
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
        let indices = self.rows.slice(start, most.min(self.rows() - start));
        // Most columns have no value in most chunks: one array of nulls a type does for all of them.
        let mut nulls: Vec<ArrayRef> = Vec::new();
        let schema = arrow_schema();
        let arrays = self.columns.iter().zip(schema.fields()).map(|(array, field)| match array {
            Some(array) => without_dictionaries(take(array, &indices, None)?),
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

/// What became of a chunk's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows left out as copies of others, by object in the order the chunk was given them.
    pub duplicates: Vec<u64>,
    /// Rows kept although another has the same account and event id: their content differs.
    pub conflicts: u64,
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
    tally: Tally,
}

/// Works out the order of `rows`, whose record `i` stands at `spans[i]`; `days` has the path day of each object.
pub(super) fn order(
    rows: &Rows,
    arena: &[u8],
    spans: &[RecordSpan],
    days: &[Option<i64>],
    grouping: Grouping,
) -> Order {
    let (places, mut keys) = keys(rows, arena, spans, days, grouping);
    keys.sort_unstable_by(|left, right| {
        (left.place, left.time, left.id, left.row).cmp(&(right.place, right.time, right.id, right.row))
    });
    let tally = Tally { duplicates: vec![0; days.len()], conflicts: 0 };
    let mut order = Order { groups: Vec::new(), tally };
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
            match &keys[start..end] {
                [only] => members.push(only.row),
                run => members.extend(distinct(rows, arena, spans, run, &mut order.tally)),
            }
        }
        start = end;
    }
    order
}

/// The rows of a run of equal keys that are not copies of one before them.
fn distinct(rows: &Rows, arena: &[u8], spans: &[RecordSpan], run: &[Key], tally: &mut Tally) -> Vec<u32> {
    let text = |row: u32| &arena[spans[row as usize].start..spans[row as usize].end];
    let mut kept: Vec<u32> = Vec::new();
    let mut texts = HashSet::new();
    let (different, same): (Vec<u32>, Vec<u32>) =
        run.iter().map(|key| key.row).partition(|&row| texts.insert(text(row)));
    let mut contents = HashSet::new();
    let mut copies = same;
    for &row in &different {
        if different.len() == 1 || contents.insert(content(text(row))) {
            kept.push(row);
        } else {
            copies.push(row);
        }
    }
    for row in copies {
        tally.duplicates[spans[row as usize].object as usize] += 1;
    }
    if rows.text(arena, EVENT_ID, run[0].row as usize).is_some() {
        tally.conflicts += kept.len() as u64 - 1;
    }
    kept
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

pub(super) fn hash(bytes: &[u8]) -> u128 {
    // `DefaultHasher::new` has fixed keys, so the order is the same in every run.
    let mut first = DefaultHasher::new();
    bytes.hash(&mut first);
    let mut second = first.clone();
    0x9e37_79b9u32.hash(&mut second);
    u128::from(first.finish()) << 64 | u128::from(second.finish())
}

impl Order {
    /// Hands the kept rows to `each`, a group at a time.
    pub(super) fn hand_over<E: From<ArrowError>>(
        self,
        rows: Rows,
        arena: &Buffer,
        each: &mut impl FnMut(Group<'_>) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let columns = rows.finish(arena.clone())?;
        let text = |bytes: Option<Box<[u8]>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        for (place, members) in self.groups {
            each(Group {
                date: place.date.and_then(time::format_day),
                account: text(place.account),
                region: text(place.region),
                columns: &columns,
                rows: UInt32Array::from(members),
            })?;
        }
        Ok(self.tally)
    }
}
