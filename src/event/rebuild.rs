//! Rows back to records: what `flatten` did, undone.
//!
//! A record comes back equal as a JSON value: keys may be in another order, strings may be escaped otherwise, and white
//! space is gone. See `flatten` for what `unmapped` and `row_shape` say.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::scan::{Scanner, SyntaxError, quote, unescape};
use super::time;
use super::tree::{Node, TREE};
use crate::schema::{COLUMNS, Form, RESOURCE_FIELDS};

/// Rebuilds records from batches that have (at least) every column of [`COLUMNS`].
#[derive(Debug, Default)]
pub struct Rebuilder;

impl Rebuilder {
    /// Appends the record of every row of `batch` to `out`, one line each.
    ///
    /// # Errors
    /// Where a column is missing or has another type, or `unmapped` is not what this program writes.
    pub fn lines(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns = Columns::of(batch)?;
        for row in 0..batch.num_rows() {
            let unmapped = columns.text(columns.unmapped, row);
            let shape: Vec<&str> =
                columns.text(columns.shape, row).map_or(Vec::new(), |text| text.split(',').collect());
            let record = Record { columns: &columns, row, shape: &shape };
            let start = out.len();
            record.object(0, unmapped.map(str::as_bytes), out).map_err(|error| {
                ArrowError::ParseError(format!("column unmapped, byte {}: {}", error.at, error.what))
            })?;
            if out.len() == start {
                out.extend_from_slice(b"{}");
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

/// A batch's columns in the form that rebuilding reads.
struct Columns {
    arrays: Vec<ArrayRef>,
    unmapped: usize,
    shape: usize,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let arrays = COLUMNS.iter().map(|column| {
            let array = batch
                .column_by_name(column.name)
                .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {}", column.name)))?;
            match column.form {
                Form::Text | Form::Json => cast(array, &DataType::Utf8View),
                Form::Time => cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
                Form::Bool => cast(array, &DataType::Boolean),
                Form::Int => cast(array, &DataType::Int64),
                Form::Resources => Ok(array.clone()),
            }
        });
        Ok(Columns {
            arrays: arrays.collect::<Result<_, _>>()?,
            unmapped: const { crate::schema::known("unmapped") },
            shape: const { crate::schema::known("row_shape") },
        })
    }

    fn text(&self, column: usize, row: usize) -> Option<&str> {
        let array: &StringViewArray = self.arrays[column].as_string_view_opt()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

struct Record<'a> {
    columns: &'a Columns,
    row: usize,
    shape: &'a [&'a str],
}

/// A member of `unmapped`.
struct Kept<'a> {
    key: Vec<u8>,
    raw_key: &'a [u8],
    value: &'a [u8],
}

impl Record<'_> {
    /// Appends the object of `node`, or nothing where the record has none; `kept` is its part of `unmapped`.
    fn object(&self, node: usize, kept: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let kept = kept.map_or(Ok(Vec::new()), members)?;
        let mut merged = vec![false; kept.len()];
        let start = out.len();
        let separate = |out: &mut Vec<u8>| out.push(if out.len() == start { b'{' } else { b',' });
        let Node { members, aliases, .. } = &TREE[node];
        for (index, member) in members.iter().enumerate() {
            let is_this = |kept: &Kept<'_>| {
                let is_alias = |(alias, of): &(&str, usize)| *of == index && kept.key == alias.as_bytes();
                kept.key == member.key.as_bytes() || aliases.iter().any(is_alias)
            };
            let found: Vec<usize> = (0..kept.len()).filter(|&at| is_this(&kept[at])).collect();
            let child = member.node.unwrap_or_default();
            match (member.column, found.as_slice()) {
                (None, &[only]) if kept[only].value.starts_with(b"{") => {
                    separate(out);
                    put_key(member.key, out);
                    merged[only] = true;
                    let before = out.len();
                    self.object(child, Some(kept[only].value), out)?;
                    if out.len() == before {
                        out.extend_from_slice(b"{}");
                    }
                }
                // What `unmapped` has is what was delivered.
                (_, [_, ..]) => {}
                (_, []) if self.shape.contains(&member.path.as_str()) => {
                    separate(out);
                    put_key(member.key, out);
                    out.extend_from_slice(b"null");
                }
                (None, []) => {
                    let before = out.len();
                    separate(out);
                    put_key(member.key, out);
                    let value = out.len();
                    self.object(child, None, out)?;
                    if out.len() == value {
                        if self.has_mark(&member.path, "{}") {
                            out.extend_from_slice(b"{}");
                        } else {
                            out.truncate(before);
                        }
                    }
                }
                (Some(column), []) => {
                    if self.columns.arrays[column].is_valid(self.row) && !self.has_mark(&member.path, "!") {
                        separate(out);
                        put_key(member.key, out);
                        self.value(column, out);
                    }
                }
            }
        }
        for (kept, _) in kept.iter().zip(merged).filter(|(_, merged)| !merged) {
            separate(out);
            out.extend_from_slice(kept.raw_key);
            out.push(b':');
            put_json(kept.value, out);
        }
        if out.len() > start {
            out.push(b'}');
        }
        Ok(())
    }

    fn has_mark(&self, path: &str, mark: &str) -> bool {
        self.shape.iter().any(|entry| entry.strip_suffix(mark) == Some(path))
    }

    /// Appends a column's value, which is not null.
    fn value(&self, column: usize, out: &mut Vec<u8>) {
        let array = &self.columns.arrays[column];
        match COLUMNS[column].form {
            Form::Text => quote(self.columns.text(column, self.row).unwrap_or_default(), out),
            Form::Json => put_json(self.columns.text(column, self.row).unwrap_or("null").as_bytes(), out),
            Form::Bool => {
                let value = array.as_boolean().value(self.row);
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Form::Time => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(self.row);
                quote(&time::format(micros).unwrap_or_default(), out);
            }
            Form::Int => {}
            Form::Resources => self.resources(array, out),
        }
    }

    fn resources(&self, array: &ArrayRef, out: &mut Vec<u8>) {
        let Some(list) = array.as_list_opt::<i32>() else { return out.extend_from_slice(b"[]") };
        let elements = list.value(self.row);
        let elements: &StructArray = elements.as_struct();
        let members = RESOURCE_FIELDS.iter().filter_map(|(key, name)| {
            let texts = cast(elements.column_by_name(name)?, &DataType::Utf8View).ok()?;
            Some((key, texts))
        });
        let members: Vec<_> = members.collect();
        let mut before = b'[';
        for element in 0..elements.len() {
            out.push(before);
            before = b'{';
            for (key, texts) in members.iter().filter(|(_, texts)| texts.is_valid(element)) {
                out.push(before);
                before = b',';
                put_key(key, out);
                quote(texts.as_string_view().value(element), out);
            }
            out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
            before = b',';
        }
        out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
    }
}

fn put_key(key: &str, out: &mut Vec<u8>) {
    quote(key, out);
    out.push(b':');
}

/// Appends JSON text without its line breaks, so that a record stays one line.
fn put_json(text: &[u8], out: &mut Vec<u8>) {
    if memchr::memchr2(b'\n', b'\r', text).is_none() {
        out.extend_from_slice(text);
        return;
    }
    // Inside strings JSON has no raw line breaks, so every one found is white space.
    out.extend(text.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
}

fn members(object: &[u8]) -> Result<Vec<Kept<'_>>, SyntaxError> {
    let mut scanner = Scanner::new(object, 0);
    scanner.expect(b'{', "an object is missing")?;
    let mut found = Vec::new();
    while let Some(key) = scanner.member(found.is_empty())? {
        let value = scanner.skip_value()?;
        let mut plain = Vec::new();
        if !unescape(&object[key.inner.clone()], &mut plain) {
            // Half a surrogate pair: certainly none of ours.
            plain.extend_from_slice(&object[key.inner.clone()]);
        }
        found.push(Kept {
            key: plain,
            raw_key: &object[key.inner.start - 1..key.inner.end + 1],
            value: &object[value],
        });
    }
    Ok(found)
}
