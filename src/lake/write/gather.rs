//! Rows to the values of one column after the other, in the order in which they are to be written.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringViewArray, StructArray};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType, UInt32Type};

use super::chunk::{Lists, Values};
use crate::error::{Error, Result};
use crate::intern::{Interner, hash};

/// The values of all leaves of a column, and how they lie in lists.
pub(super) struct Column<'a> {
    pub lists: Option<Lists>,
    /// In the order of the leaves.
    pub leaves: Vec<Values<'a>>,
}

/// The values that a column has in `rows`, which are positions in `array`; a column without an array has none.
pub(super) fn column<'a>(array: Option<&'a ArrayRef>, kind: &DataType, rows: &[u32]) -> Result<Column<'a>> {
    let Some(array) = array else { return none(kind, rows.len()) };
    let flat = |values| Ok(Column { lists: None, leaves: vec![values] });
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (lists, elements) = lists(list, rows.iter().map(|&row| row as usize));
            let members = structs(list)?;
            let leaves = members.columns().iter().map(|member| {
                Ok(match texts(member, &elements)? {
                    Values::Texts { numbers, distinct } => {
                        Values::Texts { numbers: spread(&lists.levels, numbers), distinct }
                    }
                    other => other,
                })
            });
            let leaves = leaves.collect::<Result<_>>()?;
            Ok(Column { lists: Some(lists), leaves })
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            let value = |&row: &u32| array.is_valid(row as usize).then(|| array.value(row as usize));
            flat(Values::Bools(rows.iter().map(value).collect()))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            let value = |&row: &u32| array.is_valid(row as usize).then(|| array.value(row as usize));
            flat(Values::Longs(rows.iter().map(value).collect()))
        }
        DataType::Timestamp(..) => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            let value = |&row: &u32| array.is_valid(row as usize).then(|| array.value(row as usize));
            flat(Values::Longs(rows.iter().map(value).collect()))
        }
        _ => flat(texts(array, rows)?),
    }
}

/// What a column without any value has.
fn none(kind: &DataType, rows: usize) -> Result<Column<'static>> {
    let texts = || Values::Texts { numbers: vec![0; rows], distinct: Vec::new() };
    Ok(match kind {
        DataType::List(item) => {
            let DataType::Struct(members) = item.data_type() else { return Err(unknown(kind)) };
            let lists = Lists {
                continues: vec![false; rows],
                levels: vec![Lists::NO_LIST; rows],
                starts: (0..rows).collect(),
            };
            Column { lists: Some(lists), leaves: members.iter().map(|_| texts()).collect() }
        }
        DataType::Boolean => Column { lists: None, leaves: vec![Values::Bools(vec![None; rows])] },
        DataType::Int64 | DataType::Timestamp(..) => {
            Column { lists: None, leaves: vec![Values::Longs(vec![None; rows])] }
        }
        _ => Column { lists: None, leaves: vec![texts()] },
    })
}

fn unknown(kind: &DataType) -> Error {
    Error::failed(format!("a column to be written is of type {kind}"))
}

/// Texts by number. A dictionary's entries are renumbered in the order of their first rows, so that what is written
/// does not depend on what else is in the dictionary; views are taken as different, each one.
fn texts<'a>(array: &'a ArrayRef, rows: &[u32]) -> Result<Values<'a>> {
    let mut distinct: Vec<&[u8]> = Vec::new();
    if let Some(array) = array.as_any_dictionary_opt()
        && let Some(keyed) = array.keys().as_primitive_opt::<UInt32Type>()
        && let Some(texts) = array.values().as_string_view_opt()
        && keyed.null_count() == 0
    {
        const NEW: u32 = u32::MAX;
        let mut known = vec![NEW; texts.len()];
        let keys = keyed.values();
        let number = |&row: &u32| {
            let key = keys[row as usize] as usize;
            if known[key] == NEW {
                known[key] = 0;
                if texts.is_valid(key) {
                    distinct.push(texts.value(key).as_bytes());
                    known[key] = distinct.len() as u32;
                }
            }
            known[key]
        };
        let numbers = rows.iter().map(number).collect();
        return Ok(Values::Texts { numbers, distinct });
    }
    let Some(texts) = array.as_string_view_opt() else { return Err(unknown(array.data_type())) };
    let number = |&row: &u32| {
        if texts.is_null(row as usize) {
            return 0;
        }
        distinct.push(texts.value(row as usize).as_bytes());
        distinct.len() as u32
    };
    let numbers = rows.iter().map(number).collect();
    Ok(Values::Texts { numbers, distinct })
}

/// How the lists of some rows lie, and the positions of their elements.
fn lists(list: &ListArray, rows: impl Iterator<Item = usize>) -> (Lists, Vec<u32>) {
    let mut lists = Lists::default();
    let mut elements = Vec::new();
    let offsets = list.value_offsets();
    for row in rows {
        lists.starts.push(lists.levels.len());
        if list.is_null(row) || offsets[row] == offsets[row + 1] {
            lists.continues.push(false);
            lists.levels.push(if list.is_null(row) { Lists::NO_LIST } else { Lists::EMPTY });
            continue;
        }
        for element in offsets[row]..offsets[row + 1] {
            let is_null = list.values().is_null(element as usize);
            lists.continues.push(element > offsets[row]);
            lists.levels.push(if is_null { Lists::NO_STRUCT } else { Lists::STRUCT });
            elements.push(element as u32);
        }
    }
    (lists, elements)
}

fn structs(list: &ListArray) -> Result<&StructArray> {
    list.values().as_struct_opt().ok_or_else(|| unknown(list.data_type()))
}

/// The numbers of elements, with a 0 for every slot that has none.
fn spread(levels: &[u8], numbers: Vec<u32>) -> Vec<u32> {
    let mut numbers = numbers.into_iter();
    levels
        .iter()
        .map(|&level| if level < Lists::NO_STRUCT { 0 } else { numbers.next().unwrap_or_default() })
        .zip(levels)
        // A null struct's members are not to be seen.
        .map(|(number, &level)| if level == Lists::STRUCT { number } else { 0 })
        .collect()
}

/// Rows that arrive in batches, kept until they fill a row group. Texts are copied, distinct ones once, so that the
/// batches can go.
pub(super) struct Gathered {
    columns: Vec<Gathering>,
    rows: usize,
}

enum Gathering {
    Texts(Texts),
    Longs(Vec<Option<i64>>),
    Bools(Vec<Option<bool>>),
    Lists(Lists, Vec<Texts>),
}

/// A column of texts, or one member of its lists' structs.
struct Texts {
    numbers: Vec<u32>,
    /// The distinct texts, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    interner: Option<Interner>,
}

impl Texts {
    fn new(is_unique: bool) -> Self {
        let interner = (!is_unique).then(Interner::default);
        Texts { numbers: Vec::new(), bytes: Vec::new(), ends: Vec::new(), interner }
    }

    fn add(&mut self, array: &StringViewArray, at: usize) {
        let number = if array.is_null(at) { 0 } else { self.number(array.value(at).as_bytes()) };
        self.numbers.push(number);
    }

    fn number(&mut self, text: &[u8]) -> u32 {
        let next = self.ends.len() as u32 + 1;
        let (bytes, ends) = (&self.bytes, &self.ends);
        let number = match &mut self.interner {
            Some(interner) => interner.number(hash(text), next, |known| text_at(bytes, ends, known) == text),
            None => next,
        };
        if number == next {
            self.bytes.extend_from_slice(text);
            self.ends.push(self.bytes.len());
        }
        number
    }

    fn values(&self) -> Values<'_> {
        let distinct = (1..=self.ends.len() as u32).map(|number| text_at(&self.bytes, &self.ends, number));
        Values::Texts { numbers: self.numbers.clone(), distinct: distinct.collect() }
    }
}

fn text_at<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let at = number as usize - 1;
    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start..ends[at]]
}

impl Gathered {
    /// For columns of these types; `is_unique` says of which hardly any text comes twice.
    pub fn new<'a>(columns: impl Iterator<Item = (&'a DataType, bool)>) -> Result<Self> {
        let gathering = |(kind, is_unique): (&DataType, bool)| {
            Ok(match kind {
                DataType::Utf8View => Gathering::Texts(Texts::new(is_unique)),
                DataType::Boolean => Gathering::Bools(Vec::new()),
                DataType::Int64 | DataType::Timestamp(..) => Gathering::Longs(Vec::new()),
                DataType::List(item) => {
                    let DataType::Struct(members) = item.data_type() else { return Err(unknown(kind)) };
                    let members = members.iter().map(|_| Texts::new(false)).collect();
                    Gathering::Lists(Lists::default(), members)
                }
                _ => return Err(unknown(kind)),
            })
        };
        Ok(Gathered { columns: columns.map(gathering).collect::<Result<_>>()?, rows: 0 })
    }

    /// How many rows are kept.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Roughly the memory of what is kept.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &Texts| texts.bytes.len() + texts.ends.len() * 24 + texts.numbers.len() * 4;
        let column = |column: &Gathering| match column {
            Gathering::Texts(column) => texts(column),
            Gathering::Longs(values) => values.len() * 16,
            Gathering::Bools(values) => values.len(),
            Gathering::Lists(lists, members) => {
                lists.levels.len() * 2 + members.iter().map(texts).sum::<usize>()
            }
        };
        self.columns.iter().map(column).sum()
    }

    /// Adds the rows of a batch whose columns are those this was made for.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        self.rows += rows;
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            match column {
                Gathering::Texts(texts) => {
                    let array = array.as_string_view();
                    if array.null_count() == rows {
                        texts.numbers.resize(texts.numbers.len() + rows, 0);
                    } else {
                        (0..rows).for_each(|row| texts.add(array, row));
                    }
                }
                Gathering::Bools(values) => values.extend(array.as_boolean().iter()),
                Gathering::Longs(values) => match array.data_type() {
                    DataType::Int64 => values.extend(array.as_primitive::<Int64Type>().iter()),
                    _ => values.extend(array.as_primitive::<TimestampMicrosecondType>().iter()),
                },
                Gathering::Lists(kept, members) => {
                    let list = array.as_list::<i32>();
                    let (new, elements) = lists(list, 0..rows);
                    let base = kept.levels.len();
                    kept.starts.extend(new.starts.iter().map(|start| base + start));
                    kept.continues.extend(&new.continues);
                    kept.levels.extend(&new.levels);
                    for (member, array) in members.iter_mut().zip(structs(list)?.columns()) {
                        let array = array.as_string_view();
                        let mut elements = elements.iter();
                        for &level in &new.levels {
                            let element = if level < Lists::NO_STRUCT { None } else { elements.next() };
                            match element.filter(|_| level == Lists::STRUCT) {
                                Some(&element) => member.add(array, element as usize),
                                None => member.numbers.push(0),
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The values of the column at this position.
    pub fn column(&self, at: usize) -> Column<'_> {
        match &self.columns[at] {
            Gathering::Texts(texts) => Column { lists: None, leaves: vec![texts.values()] },
            Gathering::Longs(values) => Column { lists: None, leaves: vec![Values::Longs(values.clone())] },
            Gathering::Bools(values) => Column { lists: None, leaves: vec![Values::Bools(values.clone())] },
            Gathering::Lists(lists, members) => {
                Column { lists: Some(lists.clone()), leaves: members.iter().map(Texts::values).collect() }
            }
        }
    }
}
