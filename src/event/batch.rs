//! Rows in the making: one builder a column, over one shared text.
//!
//! Strings are not copied: a column holds Arrow string views into the inflated text of all the objects of the batch
//! (the *arena*), or into the *side* buffer where what is stored differs from what was delivered (unescaped strings,
//! `unmapped`). Columns that a row has no value for cost that row nothing until the batch is finished.

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Int64Array, ListArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, make_view,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;
use std::sync::Arc;

use crate::schema::{COLUMNS, Form, RESOURCE_FIELDS, resource_item, resource_members};

/// Which buffer a string lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Arena = 0,
    Side = 1,
}

/// Values with a bit each for whether they are there; shorter than the batch until a later row has a value.
#[derive(Default)]
struct Sparse<T> {
    values: Vec<T>,
    valid: BitVec,
}

/// A growable bitmap that can be cut.
struct BitVec(BooleanBufferBuilder);

impl Default for BitVec {
    fn default() -> Self {
        BitVec(BooleanBufferBuilder::new(0))
    }
}

impl<T: Copy + Default> Sparse<T> {
    fn set(&mut self, row: usize, value: T, likely_rows: usize) {
        if self.values.capacity() == 0 {
            self.values.reserve(likely_rows);
        }
        self.cut(row);
        self.pad(row);
        self.values.push(value);
        self.valid.0.append(true);
    }

    fn get(&self, row: usize) -> Option<T> {
        (row < self.values.len() && self.valid.0.get_bit(row)).then(|| self.values[row])
    }

    /// Forgets the values at and after `row`.
    fn cut(&mut self, row: usize) {
        if self.values.len() > row {
            self.values.truncate(row);
            self.valid.0.truncate(row);
        }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.values.len());
        if missing > 0 {
            self.values.resize(rows, T::default());
            self.valid.0.append_n(missing, false);
        }
    }

    fn finish(mut self, rows: usize) -> (Vec<T>, NullBuffer) {
        self.pad(rows);
        (self.values, NullBuffer::new(self.valid.0.finish()))
    }
}

/// One resource: a view a member, in [`RESOURCE_FIELDS`]'s order.
pub(super) type Resource = [Option<u128>; RESOURCE_FIELDS.len()];

#[derive(Default)]
struct Resources {
    /// Where each row's elements start, and whether it has the list at all.
    lists: Sparse<(u32, u32)>,
    elements: Vec<(bool, Resource)>,
}

enum Builder {
    Views(Sparse<u128>),
    Bools(Sparse<bool>),
    Numbers(Sparse<i64>),
    Resources(Resources),
}

/// The rows of a batch while they are being flattened.
///
/// One row is being written at any time, the row number [`Rows::len`]; `end_row` keeps it,
/// `cancel_row` forgets what was written.
pub struct Rows {
    builders: Vec<Builder>,
    side: Vec<u8>,
    /// The length of `side` before the row being written.
    side_before: usize,
    len: usize,
    /// What a column reserves when it gets its first value.
    likely_rows: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Rows::likely(0)
    }
}

impl Rows {
    /// For about as many rows.
    pub fn likely(rows: usize) -> Self {
        let builders = COLUMNS
            .iter()
            .map(|column| match column.form {
                Form::Text | Form::Json => Builder::Views(Sparse::default()),
                Form::Bool => Builder::Bools(Sparse::default()),
                Form::Time | Form::Int => Builder::Numbers(Sparse::default()),
                Form::Resources => Builder::Resources(Resources::default()),
            })
            .collect();
        Rows { builders, side: Vec::new(), side_before: 0, len: 0, likely_rows: rows }
    }

    /// Rows kept so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row was kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of strings that are not in the arena.
    pub fn side_bytes(&self) -> usize {
        self.side.len()
    }

    /// Roughly the memory the builders hold beside the arena.
    pub fn memory_bytes(&self) -> usize {
        let builders: usize = self
            .builders
            .iter()
            .map(|builder| match builder {
                Builder::Views(sparse) => sparse.values.len() * 16,
                Builder::Bools(sparse) => sparse.values.len(),
                Builder::Numbers(sparse) => sparse.values.len() * 8,
                Builder::Resources(resources) => {
                    resources.lists.values.len() * 8
                        + resources.elements.len() * size_of::<(bool, Resource)>()
                }
            })
            .sum();
        builders + self.side.len()
    }

    /// Keeps what was put into the side buffer, whatever becomes of the row being written.
    pub(super) fn keep_side(&mut self) {
        self.side_before = self.side.len();
    }

    /// Keeps the row being written and starts the next.
    pub(super) fn end_row(&mut self) {
        self.len += 1;
        self.keep_side();
    }

    /// Forgets the row being written.
    pub(super) fn cancel_row(&mut self) {
        let row = self.len;
        for builder in &mut self.builders {
            match builder {
                Builder::Views(sparse) => sparse.cut(row),
                Builder::Bools(sparse) => sparse.cut(row),
                Builder::Numbers(sparse) => sparse.cut(row),
                Builder::Resources(resources) => {
                    if let Some((start, _)) = resources.lists.get(row) {
                        resources.elements.truncate(start as usize);
                    }
                    resources.lists.cut(row);
                }
            }
        }
        self.side.truncate(self.side_before);
    }

    /// Forgets the last row that was kept.
    pub(super) fn drop_last_row(&mut self) {
        self.len = self.len.saturating_sub(1);
        // What the row left in the side buffer stays there unused.
        self.keep_side();
        self.cancel_row();
    }

    /// Appends to the side buffer and returns where; `None` once 4 GiB are there, the most a view can point into.
    pub(super) fn side(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<u128> {
        let start = self.side.len();
        if !write(&mut self.side) || u32::try_from(self.side.len()).is_err() {
            self.side.truncate(start);
            return None;
        }
        Some(make_view(&self.side[start..], Place::Side as u32, u32::try_from(start).ok()?))
    }

    pub(super) fn set_view(&mut self, column: usize, view: u128) {
        if let Builder::Views(sparse) = &mut self.builders[column] {
            sparse.set(self.len, view, self.likely_rows);
        }
    }

    pub(super) fn set_bool(&mut self, column: usize, value: bool) {
        if let Builder::Bools(sparse) = &mut self.builders[column] {
            sparse.set(self.len, value, self.likely_rows);
        }
    }

    pub(super) fn set_number(&mut self, column: usize, value: i64) {
        if let Builder::Numbers(sparse) = &mut self.builders[column] {
            sparse.set(self.len, value, self.likely_rows);
        }
    }

    pub(super) fn set_resources(&mut self, column: usize, elements: &[Option<Resource>]) {
        if let Builder::Resources(resources) = &mut self.builders[column] {
            let start =
                resources.lists.get(self.len).map_or(resources.elements.len(), |(start, _)| start as usize);
            resources.elements.truncate(start);
            resources
                .elements
                .extend(elements.iter().map(|element| (element.is_some(), element.unwrap_or_default())));
            let end = resources.elements.len();
            // Fewer than 2^32 elements fit the arena, each being at least two bytes of it.
            resources.lists.set(self.len, (start as u32, end as u32), self.likely_rows);
        }
    }

    pub(super) fn view(&self, column: usize, row: usize) -> Option<u128> {
        match &self.builders[column] {
            Builder::Views(sparse) => sparse.get(row),
            _ => None,
        }
    }

    pub(super) fn number(&self, column: usize, row: usize) -> Option<i64> {
        match &self.builders[column] {
            Builder::Numbers(sparse) => sparse.get(row),
            _ => None,
        }
    }

    /// A column's text in a row.
    pub(super) fn text<'a>(&'a self, arena: &'a [u8], column: usize, row: usize) -> Option<Text<'a>> {
        let view = self.view(column, row)?;
        let length = view as u32 as usize;
        if length <= 12 {
            return Some(Text::Inline(view.to_le_bytes(), length));
        }
        let offset = (view >> 96) as u32 as usize;
        let buffer = if (view >> 64) as u32 == Place::Arena as u32 { arena } else { &self.side };
        buffer.get(offset..offset + length).map(Text::Long)
    }

    /// The finished columns in [`COLUMNS`]'s order; `None` for one that no row has a value in.
    ///
    /// `arena` is the text that the flattened records were in.
    ///
    /// # Errors
    /// Where Arrow finds the parts inconsistent, which would be a defect of this module.
    pub(super) fn finish(self, arena: Buffer) -> Result<Vec<Option<ArrayRef>>, ArrowError> {
        let rows = self.len;
        let buffers: Arc<[Buffer]> = Arc::from([arena, Buffer::from_vec(self.side)]);
        let strings = |views: Vec<u128>, nulls: Option<NullBuffer>| -> ArrayRef {
            // SAFETY: every view was made by `make_view` from a range of the arena or of the side buffer that was UTF-8
            // as a whole: the decoder checks each record before it is flattened, strings end at ASCII quotes, and what
            // is written to the side buffer is made of such strings.
            Arc::new(unsafe {
                StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers.clone(), nulls)
            })
        };
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(self.builders.len());
        for (builder, column) in self.builders.into_iter().zip(COLUMNS) {
            columns.push(match builder {
                Builder::Views(sparse) if !sparse.values.is_empty() => {
                    let (views, nulls) = sparse.finish(rows);
                    Some(strings(views, Some(nulls)))
                }
                Builder::Bools(sparse) if !sparse.values.is_empty() => {
                    let (values, nulls) = sparse.finish(rows);
                    Some(Arc::new(BooleanArray::new(BooleanBuffer::from(values), Some(nulls))))
                }
                Builder::Numbers(sparse) if !sparse.values.is_empty() => {
                    let (values, nulls) = sparse.finish(rows);
                    let values = ScalarBuffer::from(values);
                    Some(match column.form {
                        Form::Time => Arc::new(
                            TimestampMicrosecondArray::try_new(values, Some(nulls))?.with_timezone("UTC"),
                        ),
                        _ => Arc::new(Int64Array::try_new(values, Some(nulls))?),
                    })
                }
                Builder::Resources(resources) if !resources.lists.values.is_empty() => {
                    Some(finish_resources(resources, rows, &strings)?)
                }
                _ => None,
            });
        }
        Ok(columns)
    }
}

fn finish_resources(
    resources: Resources,
    rows: usize,
    strings: &dyn Fn(Vec<u128>, Option<NullBuffer>) -> ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let (lists, nulls) = resources.lists.finish(rows);
    let lengths = lists.iter().map(|(start, end)| (end - start) as usize);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let members: Vec<ArrayRef> = (0..RESOURCE_FIELDS.len())
        .map(|member| {
            let values = resources.elements.iter().map(|(_, resource)| resource[member]);
            let nulls = NullBuffer::from_iter(values.clone().map(|view| view.is_some()));
            strings(values.map(Option::unwrap_or_default).collect(), Some(nulls))
        })
        .collect();
    let present = NullBuffer::from_iter(resources.elements.iter().map(|(present, _)| *present));
    let elements = StructArray::try_new(resource_members(), members, Some(present))?;
    Ok(Arc::new(ListArray::try_new(resource_item(), offsets, Arc::new(elements), Some(nulls))?))
}

/// The bytes that a view stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// Up to twelve bytes, which a view holds itself, after its length.
    Inline([u8; 16], usize),
    Long(&'a [u8]),
}

impl Text<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Text::Inline(view, length) => &view[4..4 + length],
            Text::Long(bytes) => bytes,
        }
    }
}
