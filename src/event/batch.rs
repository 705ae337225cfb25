//! Rows in the making: one builder a column, over one shared text.
//!
//! Strings are not copied: a column holds Arrow string views into the inflated text of all the objects of the batch
//! (the *arena*), or into the *side* buffer where what is stored differs from what was delivered (unescaped strings,
//! `unmapped`). Columns that a row has no value for cost that row nothing until the batch is finished.
//!
//! Most columns have few distinct texts. They are told apart here, while a record's text is in the processor's cache:
//! whoever sorts and writes the rows then need not touch the text again, only a number a row.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, DictionaryArray, Int64Array, ListArray,
    StringViewArray, StructArray, TimestampMicrosecondArray, UInt32Array, make_view,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type};
use arrow::error::ArrowError;
use std::sync::{Arc, LazyLock};

use crate::intern::{Interner, hash, same};
use crate::schema::{COLUMNS, Form, RESOURCE_FIELDS, known, resource_item, resource_members};

/// The columns in which hardly any text comes twice: looking for it would be in vain.
const UNIQUE: [usize; 3] = [known("event_id"), known("request_id"), known("shared_event_id")];

const RESOURCES: usize = known("resources");

/// The objects of each node that are kept, the last one met first: calls of a few callers take turns.
const MEMOS: usize = 4;

/// Which buffer a string lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Arena = 0,
    Side = 1,
}

/// Values, and for each whether it is there; shorter than the batch until a later row has a value.
#[derive(Default)]
struct Sparse<T> {
    values: Vec<T>,
    /// A byte each, which is faster to append than a bit.
    valid: Vec<bool>,
}

impl<T: Copy + Default> Sparse<T> {
    fn set(&mut self, row: usize, value: T, likely_rows: usize) {
        if self.values.capacity() == 0 {
            self.values.reserve(likely_rows);
            self.valid.reserve(likely_rows);
        }
        if self.values.len() != row {
            self.cut(row);
            self.pad(row);
        }
        self.values.push(value);
        self.valid.push(true);
    }

    fn get(&self, row: usize) -> Option<T> {
        (row < self.values.len() && self.valid[row]).then(|| self.values[row])
    }

    /// Forgets the values at and after `row`.
    fn cut(&mut self, row: usize) {
        if self.values.len() > row {
            self.values.truncate(row);
            self.valid.truncate(row);
        }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.values.len());
        if missing > 0 {
            self.values.resize(rows, T::default());
            self.valid.resize(rows, false);
        }
    }

    fn finish(mut self, rows: usize) -> (Vec<T>, NullBuffer) {
        self.pad(rows);
        (self.values, NullBuffer::from(self.valid))
    }
}

/// Distinct texts, numbered; the number 0 stands for no text.
struct Distinct {
    /// The first is no text's.
    views: Vec<u128>,
    interner: Interner,
    /// Where the last text that was delivered stands in the arena, as JSON, and its number.
    last: (u32, u32, u32),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct { views: vec![0], interner: Interner::default(), last: (0, 0, 0) }
    }
}

impl Distinct {
    fn number(&mut self, view: u128, buffers: [&[u8]; 2]) -> u32 {
        let text = Text::of(view, buffers);
        let next = self.views.len() as u32;
        let views = &self.views;
        let number = self.interner.number(hash(text.bytes()), next, |known| {
            let known = views[known as usize];
            // The length and the first bytes, or all there is.
            known == view
                || (known as u64 == view as u64
                    && view as u32 > INLINE
                    && same(Text::of(known, buffers).bytes(), text.bytes()))
        });
        if number == next {
            self.views.push(view);
        }
        number
    }

    /// Remembers that the JSON `start..end` of the arena is the text of this number. Only JSON that ends by itself: a
    /// string, a list, an object.
    fn remember(&mut self, start: usize, end: usize, number: u32) {
        if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) {
            self.last = (start, end, number);
        }
    }

    /// The text remembered last if the arena has the same JSON at `at`: its number, and the byte after the JSON.
    fn repeated(&self, arena: &[u8], at: usize) -> Option<(u32, usize)> {
        let (start, end, number) = self.last;
        let known = &arena[start as usize..end as usize];
        let after = at + known.len();
        (number > 0 && arena.get(at..after).is_some_and(|next| same(next, known))).then_some((number, after))
    }

    fn memory_bytes(&self) -> usize {
        self.views.len() * size_of::<u128>() + self.interner.memory_bytes()
    }
}

/// A column of texts of which few are distinct.
#[derive(Default)]
struct Texts {
    /// A number a row; shorter than the batch until a later row has a text.
    numbers: Vec<u32>,
    distinct: Distinct,
    /// The last text that was copied from another column: the column, its number there, and here.
    copied: (usize, u32, u32),
}

impl Texts {
    fn set(&mut self, row: usize, number: u32, likely_rows: usize) {
        if self.numbers.capacity() == 0 {
            self.numbers.reserve(likely_rows);
        }
        if self.numbers.len() != row {
            self.numbers.truncate(row);
            self.numbers.resize(row, 0);
        }
        self.numbers.push(number);
    }

    fn get(&self, row: usize) -> u32 {
        self.numbers.get(row).copied().unwrap_or_default()
    }
}

/// One resource: a text's number a member, in [`RESOURCE_FIELDS`]'s order.
pub(super) type Resource = [u32; RESOURCE_FIELDS.len()];

#[derive(Default)]
struct Resources {
    /// Where each row's elements start, and whether it has the list at all.
    lists: Sparse<(u32, u32)>,
    elements: Vec<(bool, Resource)>,
    members: [Distinct; RESOURCE_FIELDS.len()],
}

/// An object of the record whose members all are texts, and what they became.
#[derive(Default)]
struct Memo {
    start: usize,
    end: usize,
    numbers: Vec<(usize, u32)>,
}

enum Builder {
    Texts(Texts),
    Views(Sparse<u128>),
    Bools(Sparse<bool>),
    Numbers(Sparse<i64>),
    /// Much larger than the others.
    Resources(Box<Resources>),
}

/// The rows of a batch while they are being flattened.
///
/// One row is being written at any time, the row number [`Rows::len`]; `end_row` keeps it,
/// `cancel_row` forgets what was written.
pub struct Rows {
    builders: Vec<Builder>,
    /// The objects met last, for each node of the record's tree that was asked for.
    memos: Vec<Vec<Memo>>,
    /// What was worked out last from a text: the text's number, and what it says.
    pub(super) worked_out: [(u32, u8); 2],
    /// What orders the rows kept so far by their ids.
    ids: Vec<u128>,
    side: Vec<u8>,
    /// How much of `side` stays if the row being written is forgotten.
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
            .enumerate()
            .map(|(at, column)| match column.form {
                Form::Text | Form::Json if UNIQUE.contains(&at) => Builder::Views(Sparse::default()),
                Form::Text | Form::Json => Builder::Texts(Texts::default()),
                Form::Bool => Builder::Bools(Sparse::default()),
                Form::Time | Form::Int => Builder::Numbers(Sparse::default()),
                Form::Resources => Builder::Resources(Box::default()),
            })
            .collect();
        Rows {
            builders,
            memos: Vec::new(),
            worked_out: [(0, 0); 2],
            ids: Vec::new(),
            side: Vec::new(),
            side_before: 0,
            len: 0,
            likely_rows: rows,
        }
    }

    /// Rows kept so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row was kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Roughly the memory the builders hold beside the arena.
    pub fn memory_bytes(&self) -> usize {
        let builders: usize = self
            .builders
            .iter()
            .map(|builder| match builder {
                Builder::Texts(texts) => texts.numbers.len() * 4 + texts.distinct.memory_bytes(),
                Builder::Views(sparse) => sparse.values.len() * 16,
                Builder::Bools(sparse) => sparse.values.len(),
                Builder::Numbers(sparse) => sparse.values.len() * 8,
                Builder::Resources(resources) => {
                    resources.lists.values.len() * 8
                        + resources.elements.len() * size_of::<(bool, Resource)>()
                        + resources.members.iter().map(Distinct::memory_bytes).sum::<usize>()
                }
            })
            .sum();
        builders + self.side.len() + self.ids.len() * size_of::<u128>()
    }

    /// Keeps what was put into the side buffer, whatever becomes of the row being written.
    pub(super) fn keep_side(&mut self) {
        self.side_before = self.side.len();
    }

    /// Keeps the row being written, which `id` orders among those of its time, and starts the next.
    pub(super) fn end_row(&mut self, id: u128) {
        self.ids.push(id);
        self.len += 1;
        self.keep_side();
    }

    /// Forgets the row being written.
    pub(super) fn cancel_row(&mut self) {
        let row = self.len;
        self.ids.truncate(row);
        for builder in &mut self.builders {
            match builder {
                Builder::Texts(texts) => texts.numbers.truncate(row),
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
        let view = make_view(&self.side[start..], Place::Side as u32, u32::try_from(start).ok()?);
        if view as u32 <= INLINE {
            self.side.truncate(start);
        }
        Some(view)
    }

    /// The number of a text in a column. What only just came into the side buffer stays there for good where the text
    /// is new, whatever becomes of the row, and is taken back where it is not.
    fn number_of(distinct: &mut Distinct, side: &mut Vec<u8>, arena: &[u8], view: u128) -> (u32, bool) {
        let before = distinct.views.len();
        let number = distinct.number(view, [arena, side]);
        let is_new = distinct.views.len() > before;
        let (length, place, offset) = (view as u32, (view >> 64) as u32, (view >> 96) as usize);
        if !is_new
            && length > INLINE
            && place == Place::Side as u32
            && offset + length as usize == side.len()
            && distinct.views[number as usize] != view
        {
            side.truncate(offset);
        }
        (number, is_new)
    }

    /// Sets a text in the row being written.
    pub(super) fn set_view(&mut self, column: usize, arena: &[u8], view: u128) {
        match &mut self.builders[column] {
            Builder::Texts(texts) => {
                let (number, is_new) = Rows::number_of(&mut texts.distinct, &mut self.side, arena, view);
                texts.set(self.len, number, self.likely_rows);
                if is_new {
                    self.keep_side();
                }
            }
            Builder::Views(sparse) => sparse.set(self.len, view, self.likely_rows),
            _ => {}
        }
    }

    /// Remembers that the text set last in the column is that of the JSON `start..end` of the arena, which ends by
    /// itself.
    pub(super) fn remember(&mut self, column: usize, start: usize, end: usize) {
        if let Builder::Texts(texts) = &mut self.builders[column]
            && let Some(&number) = texts.numbers.last()
        {
            texts.distinct.remember(start, end, number);
        }
    }

    /// Sets the text remembered last in the column if the arena has the same JSON at `at`, and returns the byte after
    /// it.
    pub(super) fn repeat(&mut self, column: usize, arena: &[u8], at: usize) -> Option<usize> {
        let Builder::Texts(texts) = &mut self.builders[column] else { return None };
        let (number, after) = texts.distinct.repeated(arena, at)?;
        texts.set(self.len, number, self.likely_rows);
        Some(after)
    }

    /// Sets what an equal object at `node` became, if one was among the last, and returns the byte after the object
    /// that starts at `at`.
    pub(super) fn repeat_object(&mut self, node: usize, arena: &[u8], at: usize) -> Option<usize> {
        let memos = self.memos.get_mut(node)?;
        let same = |memo: &Memo| {
            let known = &arena[memo.start..memo.end];
            arena.get(at..at + known.len()).is_some_and(|next| same(next, known))
        };
        let found = memos.iter().position(same)?;
        memos[..=found].rotate_right(1);
        let memo = &memos[0];
        for &(column, number) in &memo.numbers {
            if let Builder::Texts(texts) = &mut self.builders[column] {
                texts.set(self.len, number, self.likely_rows);
            }
        }
        Some(at + memo.end - memo.start)
    }

    /// Remembers what the object `start..end` of the arena became in `columns`, which are all that it set.
    pub(super) fn remember_object(&mut self, node: usize, start: usize, end: usize, columns: &[usize]) {
        if self.memos.len() <= node {
            self.memos.resize_with(node + 1, Vec::new);
        }
        let memos = &mut self.memos[node];
        if memos.len() < MEMOS {
            memos.push(Memo::default());
        }
        memos.rotate_right(1);
        let memo = &mut memos[0];
        (memo.start, memo.end) = (start, end);
        memo.numbers.clear();
        for &column in columns {
            if let Builder::Texts(texts) = &self.builders[column]
                && let number @ 1.. = texts.get(self.len)
            {
                memo.numbers.push((column, number));
            }
        }
    }

    /// Sets in the row being written the text that another column has in it.
    pub(super) fn copy(&mut self, arena: &[u8], from: usize, to: usize) {
        let row = self.len;
        let source = match &self.builders[from] {
            Builder::Texts(texts) => texts.get(row),
            _ => 0,
        };
        if source > 0
            && let Builder::Texts(texts) = &mut self.builders[to]
            && texts.copied.0 == from
            && texts.copied.1 == source
        {
            let number = texts.copied.2;
            texts.set(row, number, self.likely_rows);
            return;
        }
        let Some(view) = self.view(from, row) else { return };
        self.set_view(to, arena, view);
        if let Builder::Texts(texts) = &mut self.builders[to] {
            texts.copied = (from, source, texts.get(row));
        }
    }

    /// The number of a text that is to be set in many rows.
    pub(super) fn number_for(&mut self, column: usize, arena: &[u8], view: u128) -> u32 {
        let Builder::Texts(texts) = &mut self.builders[column] else { return 0 };
        let (number, is_new) = Rows::number_of(&mut texts.distinct, &mut self.side, arena, view);
        if is_new {
            self.keep_side();
        }
        number
    }

    /// Sets a text by its number, 0 for none.
    pub(super) fn set_text_number(&mut self, column: usize, number: u32) {
        if let Builder::Texts(texts) = &mut self.builders[column]
            && number > 0
        {
            texts.set(self.len, number, self.likely_rows);
        }
    }

    /// The number of a text in the row being written; 0 for none.
    pub(super) fn text_number(&self, column: usize) -> u32 {
        match &self.builders[column] {
            Builder::Texts(texts) => texts.get(self.len),
            _ => 0,
        }
    }

    /// The number of a resource's text, whose JSON is `start..end` of the arena.
    pub(super) fn resource_text(
        &mut self,
        member: usize,
        arena: &[u8],
        view: u128,
        (start, end): (usize, usize),
    ) -> u32 {
        let Builder::Resources(resources) = &mut self.builders[RESOURCES] else { return 0 };
        let distinct = &mut resources.members[member];
        let (number, is_new) = Rows::number_of(distinct, &mut self.side, arena, view);
        distinct.remember(start, end, number);
        if is_new {
            self.keep_side();
        }
        number
    }

    /// The number of a resource's text if the arena has at `at` the JSON that had it last, and the byte after it.
    pub(super) fn repeat_resource_text(
        &self,
        member: usize,
        arena: &[u8],
        at: usize,
    ) -> Option<(u32, usize)> {
        match &self.builders[RESOURCES] {
            Builder::Resources(resources) => resources.members[member].repeated(arena, at),
            _ => None,
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
            Builder::Texts(texts) => match texts.get(row) {
                0 => None,
                number => texts.distinct.views.get(number as usize).copied(),
            },
            Builder::Views(sparse) => sparse.get(row),
            _ => None,
        }
    }

    /// What orders a row that is kept among those of its time.
    pub(super) fn id(&self, row: usize) -> u128 {
        self.ids[row]
    }

    pub(super) fn number(&self, column: usize, row: usize) -> Option<i64> {
        match &self.builders[column] {
            Builder::Numbers(sparse) => sparse.get(row),
            _ => None,
        }
    }

    /// A column's text in a row.
    pub(super) fn text<'a>(&'a self, arena: &'a [u8], column: usize, row: usize) -> Option<Text<'a>> {
        Some(Text::of(self.view(column, row)?, [arena, &self.side]))
    }

    /// The finished columns in [`COLUMNS`]'s order; `None` for one that no row has a value in. Texts are dictionaries,
    /// in which the first entry is null and not all need occur, or, where hardly any comes twice, views.
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
                Builder::Texts(Texts { mut numbers, distinct, .. }) if !numbers.is_empty() => {
                    numbers.resize(rows, 0);
                    Some(dictionary(numbers, distinct, &strings))
                }
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
                    Some(finish_resources(*resources, rows, &strings)?)
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
    let elements = resources.elements;
    let members = resources.members.into_iter().enumerate().map(|(member, distinct)| {
        dictionary(elements.iter().map(|(_, resource)| resource[member]).collect(), distinct, strings)
    });
    let members: Vec<ArrayRef> = members.collect();
    let present = NullBuffer::from_iter(elements.iter().map(|(present, _)| *present));
    let fields: Fields = resource_members()
        .iter()
        .map(|field| Field::new(field.name(), DICTIONARY.clone(), field.is_nullable()))
        .collect();
    let elements = StructArray::try_new(fields, members, Some(present))?;
    let item: FieldRef =
        Arc::new(resource_item().as_ref().clone().with_data_type(elements.data_type().clone()));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(elements), Some(nulls))?))
}

static DICTIONARY: LazyLock<DataType> =
    LazyLock::new(|| DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8View)));

/// Texts by number, as an array.
fn dictionary(
    numbers: Vec<u32>,
    distinct: Distinct,
    strings: &dyn Fn(Vec<u128>, Option<NullBuffer>) -> ArrayRef,
) -> ArrayRef {
    let mut valid = BooleanBufferBuilder::new(distinct.views.len());
    valid.append(false);
    valid.append_n(distinct.views.len() - 1, true);
    let texts = strings(distinct.views, Some(NullBuffer::new(valid.finish())));
    // SAFETY: every number is 0 or was given by `Distinct::number`, so it is the position of a view.
    Arc::new(unsafe { DictionaryArray::<UInt32Type>::new_unchecked(UInt32Array::from(numbers), texts) })
}

/// A finished column, or some of its rows, with the type that the schema gives it.
///
/// # Errors
/// Where Arrow finds the parts inconsistent, which would be a defect of this module.
pub(super) fn without_dictionaries(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    if let Some(texts) = array.as_dictionary_opt::<UInt32Type>() {
        return take(texts.values(), texts.keys(), None);
    }
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(array) };
    let Some(elements) = list.values().as_struct_opt() else { return Ok(array) };
    let members = elements.columns().iter().cloned().map(without_dictionaries);
    let members = members.collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let elements = StructArray::try_new(resource_members(), members, elements.nulls().cloned())?;
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(resource_item(), offsets, Arc::new(elements), nulls)?))
}

/// The most bytes that a view holds itself.
const INLINE: u32 = 12;

/// The bytes that a view stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// Up to twelve bytes, which a view holds itself, after its length.
    Inline([u8; 16], usize),
    Long(&'a [u8]),
}

impl<'a> Text<'a> {
    /// What a view into one of the buffers, the arena and the side buffer, stands for.
    fn of(view: u128, buffers: [&'a [u8]; 2]) -> Self {
        let length = view as u32 as usize;
        if length <= INLINE as usize {
            return Text::Inline(view.to_le_bytes(), length);
        }
        let offset = (view >> 96) as u32 as usize;
        let buffer = buffers[usize::from((view >> 64) as u32 == Place::Side as u32)];
        Text::Long(buffer.get(offset..offset + length).unwrap_or_default())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Text::Inline(view, length) => &view[4..4 + length],
            Text::Long(bytes) => bytes,
        }
    }
}
