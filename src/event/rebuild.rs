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
use crate::schema::{ALIASES, COLUMNS, Form, Origin, RESOURCE_FIELDS};

/// A known object of the record.
struct Node {
    path: String,
    members: Vec<Member>,
}

struct Member {
    key: &'static str,
    path: String,
    /// Other spellings of the key.
    aliases: Vec<&'static str>,
    /// The column that holds the value, or else the node of the object.
    holds: Holds,
}

enum Holds {
    Column(usize),
    Object(usize),
}

/// Rebuilds records from batches that have (at least) every column of [`COLUMNS`].
pub struct Rebuilder {
    nodes: Vec<Node>,
}

impl Default for Rebuilder {
    fn default() -> Self {
        let mut nodes = vec![Node { path: String::new(), members: Vec::new() }];
        for (index, column) in COLUMNS.iter().enumerate().filter(|(_, column)| column.origin == Origin::Field)
        {
            let mut node = 0;
            let mut walked = String::new();
            let mut steps = column.path.split('.').peekable();
            while let Some(key) = steps.next() {
                if !walked.is_empty() {
                    walked.push('.');
                }
                walked.push_str(key);
                if steps.peek().is_none() {
                    let aliases = ALIASES
                        .iter()
                        .filter(|(_, canonical)| *canonical == column.path)
                        .filter_map(|(alias, _)| alias.rsplit('.').next())
                        .collect();
                    let member = Member { key, path: walked.clone(), aliases, holds: Holds::Column(index) };
                    nodes[node].members.push(member);
                    continue;
                }
                let known = nodes[node].members.iter().find_map(|member| match member.holds {
                    Holds::Object(child) if member.key == key => Some(child),
                    _ => None,
                });
                node = known.unwrap_or_else(|| {
                    nodes.push(Node { path: walked.clone(), members: Vec::new() });
                    let child = nodes.len() - 1;
                    let holds = Holds::Object(child);
                    nodes[node].members.push(Member {
                        key,
                        path: walked.clone(),
                        aliases: Vec::new(),
                        holds,
                    });
                    child
                });
            }
        }
        Rebuilder { nodes }
    }
}

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
            let record = Record { nodes: &self.nodes, columns: &columns, row, shape: &shape };
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
    nodes: &'a [Node],
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
        for member in &self.nodes[node].members {
            let is_this = |kept: &Kept<'_>| {
                kept.key == member.key.as_bytes()
                    || member.aliases.iter().any(|alias| kept.key == alias.as_bytes())
            };
            let found: Vec<usize> = (0..kept.len()).filter(|&at| is_this(&kept[at])).collect();
            match (&member.holds, found.as_slice()) {
                (Holds::Object(child), &[only]) if kept[only].value.starts_with(b"{") => {
                    separate(out);
                    put_key(member.key, out);
                    merged[only] = true;
                    let before = out.len();
                    self.object(*child, Some(kept[only].value), out)?;
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
                (Holds::Object(child), []) => {
                    let before = out.len();
                    separate(out);
                    put_key(member.key, out);
                    let value = out.len();
                    self.object(*child, None, out)?;
                    if out.len() == value {
                        if self.has_mark(&self.nodes[*child].path, "{}") {
                            out.extend_from_slice(b"{}");
                        } else {
                            out.truncate(before);
                        }
                    }
                }
                (Holds::Column(column), []) => {
                    if self.columns.arrays[*column].is_valid(self.row) && !self.has_mark(&member.path, "!") {
                        separate(out);
                        put_key(member.key, out);
                        self.value(*column, out);
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
        out.push(b'[');
        if let Some(list) = array.as_list_opt::<i32>() {
            let elements = list.value(self.row);
            let elements: &StructArray = elements.as_struct();
            for element in 0..elements.len() {
                out.push(if element == 0 { b'{' } else { b',' });
                if element > 0 {
                    out.push(b'{');
                }
                let mut first = true;
                for (key, name) in RESOURCE_FIELDS {
                    let Some(member) = elements.column_by_name(name) else { continue };
                    let Ok(member) = cast(member, &DataType::Utf8View) else { continue };
                    let member = member.as_string_view();
                    if member.is_valid(element) {
                        if !first {
                            out.push(b',');
                        }
                        first = false;
                        put_key(key, out);
                        quote(member.value(element), out);
                    }
                }
                out.push(b'}');
            }
        }
        out.push(b']');
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
