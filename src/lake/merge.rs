//! Several sorted data files to one sequence of sorted rows, a batch or two of each in memory.
//!
//! ```text
//! file ─read, decode─▶ batches ─ties ordered─▶ ┐
//! file ─read, decode─▶ batches ─ties ordered─▶ ├─ merge ─▶ slices of rows
//! file (opened when its first row is near)     ┘
//! ```
//!
//! The order is (account, Region, event time, event id, object, record), nulls first. A file is in this order up to the
//! event time; what follows may be in another one, as ids that are no UUIDs are when they are converted. So rows that are
//! equal up to the time are held back until all of them are there, and put in order then. They are few: those of one
//! account, Region and second.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, interleave, take_record_batch};
use arrow::datatypes::{FieldRef, Schema};
use arrow::row::{Row, RowConverter, Rows as Keys, SortField};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::layout::{self, DataFile, Partition};
use super::write;
use crate::error::{Context, Error, Result};
use crate::schema::{arrow_schema, known};
use crate::store::{self, Location};

/// A file up to this size is read by one request.
const READ_WHOLE_BYTES: u64 = 8 << 20;

/// Read of a file's end to have its description; more is asked for where that is longer.
const FOOTER_BYTES: usize = 64 << 10;

/// Rows of a page at most, as files are written.
const PAGE_ROWS: u64 = 10_000;

/// What the rows are sorted by first: what every file is sorted by.
const FIRST: [usize; 3] = [known("account"), known("region"), known("event_time")];

/// What they are sorted by then; object and record make the order total.
const THEN: [usize; 3] = [known("event_id"), known("row_source_object"), known("row_source_record")];

/// A file to be merged, and what its description says.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub file: DataFile,
    /// The columns of the schema that have a value in some row.
    with_values: Vec<bool>,
    /// Memory that it takes while it is open, about, beside the rows that are decoded.
    fixed_bytes: u64,
    /// Memory of a decoded row.
    row_bytes: u64,
    /// A bound of the merge column from below; `None` where it is not known, or there are nulls.
    pub least: Option<String>,
    /// The same from above.
    pub most: Option<String>,
}

impl Input {
    /// Reads the file's description.
    pub async fn survey(location: &Location, file: DataFile, column: &str) -> Result<Input> {
        let reading = || format!("reading {}{}", location.url, file.path);
        let mut reader = Reader::new(location, &file)?;
        let metadata = reader.get_metadata(None).await.context(reading)?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        if rows != file.rows {
            let text = format!(
                "{}{} has {rows} rows, and the table log says {}",
                location.url, file.path, file.rows
            );
            return Err(
                Error::failed(text).hint("something other than trailhouse has changed the file or the log")
            );
        }
        let with_values = with_values(&metadata);
        let (fixed_bytes, row_bytes) = memory(&file, &metadata, &with_values);
        let (least, most) = bounds(&file, column);
        Ok(Input { file, with_values, fixed_bytes, row_bytes, least, most })
    }

    /// Memory that it takes while it is open, about, where so many rows are decoded at once: some are being merged, some
    /// wait for that, and some are being decoded.
    pub fn memory_bytes(&self, batch_rows: u64) -> u64 {
        self.fixed_bytes + 3 * batch_rows.min(self.file.rows) * self.row_bytes
    }
}

#[cfg(test)]
impl Input {
    /// A file that is not looked at.
    pub fn of(file: DataFile, fixed_bytes: u64, row_bytes: u64) -> Input {
        let (least, most) = bounds(&file, "account");
        Input { file, with_values: Vec::new(), fixed_bytes, row_bytes, least, most }
    }
}

/// The column whose bounds say which files overlap: the first that the rows of a partition are sorted by and that is
/// not the same in all of them.
pub(super) fn merge_column(partitioning: &layout::Partitioning) -> &'static str {
    if partitioning.contains("account") { "region" } else { "account" }
}

/// The column's bounds in the table log.
fn bounds(file: &DataFile, column: &str) -> (Option<String>, Option<String>) {
    let stats: serde_json::Value = serde_json::from_str(&file.stats).unwrap_or_default();
    let bound = |which: &str| Some(stats.get(which)?.get(column)?.as_str()?.to_owned());
    let no_nulls =
        stats.pointer(&format!("/nullCount/{column}")).and_then(serde_json::Value::as_u64) == Some(0);
    (bound("minValues").filter(|_| no_nulls), bound("maxValues"))
}

/// Which columns of the schema have a value in some row; those of which it is not known for sure are taken to.
fn with_values(metadata: &ParquetMetaData) -> Vec<bool> {
    let schema = arrow_schema();
    let mut with_values = vec![false; schema.fields().len()];
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let Some(at) = chunk.column_path().parts().first().and_then(|name| schema.index_of(name).ok())
            else {
                continue;
            };
            let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
            with_values[at] |= nulls != u64::try_from(chunk.num_values()).ok();
        }
    }
    with_values
}

/// An estimate, rather too high: the largest row group as stored and a page of every column; and a decoded row.
fn memory(file: &DataFile, metadata: &ParquetMetaData, with_values: &[bool]) -> (u64, u64) {
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    let columns = with_values.iter().filter(|&&has| has).count() as u64;
    let (mut stored, mut pages, mut row) = (0, 0, 0);
    for group in metadata.row_groups() {
        let (rows, bytes) = (number(group.num_rows()).max(1), number(group.total_byte_size()));
        stored = stored.max(number(group.compressed_size()));
        pages = pages.max(bytes * rows.min(PAGE_ROWS) / rows);
        row = row.max(bytes / rows);
    }
    if file.size <= READ_WHOLE_BYTES {
        stored = file.size;
    }
    // A text takes 16 bytes beside its own.
    ((256 << 10) + stored + pages, columns * 16 + 2 * row + 256)
}

/// What to read of a file: all of it at once, or ranges.
struct Reader {
    location: Location,
    object: Path,
    size: u64,
    whole: Option<Bytes>,
}

impl Reader {
    fn new(location: &Location, file: &DataFile) -> Result<Reader> {
        let object = layout::object(location, &file.path)?;
        Ok(Reader { location: location.clone(), object, size: file.size, whole: None })
    }
}

fn explained(error: object_store::Error) -> ParquetError {
    ParquetError::External(store::explain(error).into())
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            if let Some(whole) = &self.whole {
                return slice(whole, &range);
            }
            self.location.store.get_range(&self.object, range).await.map_err(explained)
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            if let Some(whole) = &self.whole {
                return ranges.iter().map(|range| slice(whole, range)).collect();
            }
            self.location.store.get_ranges(&self.object, &ranges).await.map_err(explained)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new()
                .with_column_index_policy(PageIndexPolicy::Skip)
                .with_offset_index_policy(PageIndexPolicy::Skip)
                .with_prefetch_hint(Some(FOOTER_BYTES));
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

fn slice(whole: &Bytes, range: &Range<u64>) -> parquet::errors::Result<Bytes> {
    let at = |at: u64| usize::try_from(at).ok().filter(|&at| at <= whole.len());
    match (at(range.start), at(range.end)) {
        (Some(start), Some(end)) if start <= end => Ok(whole.slice(start..end)),
        _ => Err(ParquetError::EOF("the file ends before its description says".to_owned())),
    }
}

/// Reads a file and hands its batches over, with all columns of the schema, until nobody wants them any more.
async fn read(
    location: Location,
    file: DataFile,
    with_values: Vec<bool>,
    batch_rows: usize,
    out: mpsc::Sender<Result<RecordBatch>>,
) {
    let reading = || format!("reading {}{}", location.url, file.path);
    let reading_all = async {
        let mut reader = Reader::new(&location, &file)?;
        if file.size <= READ_WHOLE_BYTES {
            let got = location.store.get(&reader.object).await.map_err(store::explain).context(reading)?;
            reader.whole = Some(got.bytes().await.map_err(store::explain).context(reading)?);
        }
        let metadata = reader.get_metadata(None).await.context(reading)?;
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let read_as = ArrowReaderMetadata::try_new(metadata.clone(), plain.clone()).context(reading)?;
        let wanted = arrow_schema();
        let as_ours = |field: &FieldRef| match wanted.index_of(field.name()) {
            Ok(at) => Ok(wanted.fields()[at].clone()),
            Err(_) => Err(Error::failed(format!(
                "it has a column {:?}, which this program does not know",
                field.name()
            ))
            .hint("upgrade trailhouse")),
        };
        let fields =
            read_as.schema().fields().iter().map(as_ours).collect::<Result<Vec<_>>>().context(reading)?;
        let options = plain.with_schema(Arc::new(Schema::new(fields)));
        let read_as = ArrowReaderMetadata::try_new(metadata, options).context(reading)?;
        let columns = read_as.schema().fields().iter().enumerate().filter_map(|(at, field)| {
            let known = wanted.index_of(field.name()).ok()?;
            with_values[known].then_some(at)
        });
        let mask = ProjectionMask::roots(read_as.parquet_schema(), columns.collect::<Vec<_>>());
        let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, read_as)
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
            .context(reading)?;
        while let Some(batch) = batches.next().await {
            let batch = whole(&batch.context(reading)?, &file.partition).context(reading)?;
            if out.send(Ok(batch)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    if let Err(error) = reading_all.await {
        out.send(Err(error)).await.ok();
    }
}

/// The batch with all columns of the schema: those that the file lacks are null, or the partition's value.
fn whole(batch: &RecordBatch, partition: &Partition) -> Result<RecordBatch> {
    let schema = arrow_schema();
    let rows = batch.num_rows();
    let mut nulls: Vec<ArrayRef> = Vec::new();
    let columns = schema.fields().iter().map(|field| {
        if let Some(column) = batch.column_by_name(field.name()) {
            return column.clone();
        }
        let value =
            partition.iter().find(|(name, _)| name == field.name()).and_then(|(_, value)| value.as_deref());
        if let Some(value) = value {
            return Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(value, rows))) as ArrayRef;
        }
        // Most columns have no value: one array of nulls a type does for all of them.
        match nulls.iter().find(|nulls| nulls.data_type() == field.data_type()) {
            Some(nulls) => nulls.clone(),
            None => {
                let made = new_null_array(field.data_type(), rows);
                nulls.push(made.clone());
                made
            }
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).context(|| "decoding rows".into())
}

/// The keys of a batch's rows.
struct Sorted {
    batch: RecordBatch,
    first: Keys,
    then: Keys,
}

impl Sorted {
    fn key(&self, row: usize) -> (Row<'_>, Row<'_>) {
        (self.first.row(row), self.then.row(row))
    }
}

/// Makes keys that are compared as the rows are sorted.
struct Order {
    first: RowConverter,
    then: RowConverter,
}

impl Order {
    fn new() -> Result<Order> {
        let schema = arrow_schema();
        let converter = |columns: [usize; 3]| {
            let fields = columns.map(|at| SortField::new(schema.field(at).data_type().clone()));
            RowConverter::new(fields.to_vec()).context(|| "comparing rows".into())
        };
        Ok(Order { first: converter(FIRST)?, then: converter(THEN)? })
    }

    fn first(&self, batch: &RecordBatch) -> Result<Keys> {
        let columns = FIRST.map(|at| batch.column(at).clone());
        self.first.convert_columns(&columns).context(|| "comparing rows".into())
    }

    /// The rows in order, which they are already up to the event time.
    fn sorted(&self, batch: RecordBatch, first: Keys) -> Result<Sorted> {
        let comparing = || "comparing rows".to_owned();
        let then = |batch: &RecordBatch| {
            let columns = THEN.map(|at| batch.column(at).clone());
            self.then.convert_columns(&columns).context(comparing)
        };
        let sorted = Sorted { then: then(&batch)?, first, batch };
        if (1..sorted.batch.num_rows()).all(|row| sorted.key(row - 1) <= sorted.key(row)) {
            return Ok(sorted);
        }
        let mut rows: Vec<u32> = (0..sorted.batch.num_rows() as u32).collect();
        rows.sort_by(|&left, &right| sorted.key(left as usize).cmp(&sorted.key(right as usize)));
        let batch = take_record_batch(&sorted.batch, &UInt32Array::from(rows)).context(comparing)?;
        Ok(Sorted { first: self.first(&batch)?, then: then(&batch)?, batch })
    }
}

/// An open file.
struct Open {
    url: String,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    /// Rows that may not be all of their time yet, and the keys of the last of these batches.
    held: Vec<RecordBatch>,
    last: Option<Keys>,
    current: Option<Sorted>,
    /// The next row of the current batch.
    at: usize,
    /// Where the current batch is among those of the slice being made.
    slot: Option<usize>,
}

impl Open {
    /// Makes the next rows the current ones; false where there are no more.
    fn advance(&mut self, order: &Order) -> Result<bool> {
        (self.current, self.at, self.slot) = (None, 0, None);
        loop {
            let Some(batch) = self.batches.blocking_recv().transpose()? else {
                self.last = None;
                let Some(held) = self.joined(None)? else { return Ok(false) };
                let first = order.first(&held)?;
                self.current = Some(order.sorted(held, first)?);
                return Ok(true);
            };
            let rows = batch.num_rows();
            if rows == 0 {
                continue;
            }
            let first = order.first(&batch)?;
            let before = self.last.as_ref().map(|keys| keys.row(keys.num_rows() - 1));
            let in_order = (1..rows).all(|row| first.row(row - 1) <= first.row(row))
                && before.is_none_or(|before| before <= first.row(0));
            if !in_order {
                return Err(Error::failed(format!("the rows of {} are not sorted", self.url))
                    .hint("something other than trailhouse has written the file: take it out of the table"));
            }
            // The rows of the last time in it are held back: more of them may come.
            let start =
                (0..rows).rev().find(|&row| first.row(row) != first.row(rows - 1)).map_or(0, |row| row + 1);
            let all_held = start == 0 && before.is_none_or(|before| before == first.row(0));
            if all_held {
                self.held.push(batch);
                self.last = Some(first);
                continue;
            }
            let ready = self.joined(Some(batch.slice(0, start)))?;
            self.held.push(batch.slice(start, rows - start));
            self.last = Some(first);
            let Some(ready) = ready else { continue };
            let first = order.first(&ready)?;
            self.current = Some(order.sorted(ready, first)?);
            return Ok(true);
        }
    }

    /// What is held and `more` after it.
    fn joined(&mut self, more: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
        let mut batches = std::mem::take(&mut self.held);
        batches.extend(more.filter(|batch| batch.num_rows() > 0));
        match batches.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            several => concat_batches(&arrow_schema(), several).map(Some).context(|| "joining rows".into()),
        }
    }
}

/// The rows of several files, in order. Not for a thread of the runtime: it waits for them.
pub(super) struct Merge {
    location: Location,
    batch_rows: usize,
    runtime: Handle,
    order: Order,
    merge_column: usize,
    with_values: Vec<bool>,
    /// Files whose rows all come later than those that were handed out, by their lower bound.
    waiting: VecDeque<Input>,
    open: Vec<Open>,
    /// The open files that have a current row, as a heap: the least row's is the first.
    heap: Vec<usize>,
}

impl Merge {
    /// Reads on `runtime`, so many rows of a file at once. The order of the paths decides between rows that are equal in
    /// everything they are sorted by.
    pub fn new(
        location: &Location,
        column: &str,
        inputs: Vec<Input>,
        batch_rows: usize,
        runtime: Handle,
    ) -> Result<Merge> {
        let schema = arrow_schema();
        let merge_column = schema.index_of(column).context(|| "comparing rows".into())?;
        let mut with_values = vec![false; schema.fields().len()];
        for input in &inputs {
            with_values.iter_mut().zip(&input.with_values).for_each(|(any, &this)| *any |= this);
            for (name, value) in &input.file.partition {
                if let (Ok(at), Some(_)) = (schema.index_of(name), value) {
                    with_values[at] = true;
                }
            }
        }
        let mut waiting: Vec<Input> = inputs;
        waiting.sort_by(|left, right| (&left.least, &left.file.path).cmp(&(&right.least, &right.file.path)));
        Ok(Merge {
            location: location.clone(),
            batch_rows,
            runtime,
            order: Order::new()?,
            merge_column,
            with_values,
            waiting: waiting.into(),
            open: Vec::new(),
            heap: Vec::new(),
        })
    }

    /// The next rows, as many as are asked for unless there are no more.
    fn next(&mut self, most: usize) -> Result<RecordBatch> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(most);
        for open in &mut self.open {
            open.slot = None;
        }
        while rows.len() < most {
            self.open_what_is_near()?;
            let Some(&least) = self.heap.first() else { break };
            let next = self.runner_up();
            let next = next.and_then(|next| Some((next, self.open[next].current.as_ref()?)));
            let next_key = next.map(|(next, sorted)| (sorted.key(self.open[next].at), next));
            let Some(current) = &self.open[least].current else { break };
            let slot = match self.open[least].slot {
                Some(slot) => slot,
                None => {
                    batches.push(current.batch.clone());
                    batches.len() - 1
                }
            };
            let bound = self.waiting.front().and_then(|input| input.least.as_deref());
            let column = current.batch.column(self.merge_column).as_string_view_opt();
            let mut at = self.open[least].at;
            let end = current.batch.num_rows();
            // As long as it stays the least, and no file has to be opened.
            loop {
                rows.push((slot, at));
                at += 1;
                if at == end || rows.len() == most {
                    break;
                }
                if next_key.as_ref().is_some_and(|(key, next)| (current.key(at), least) > (*key, *next)) {
                    break;
                }
                let reaches = |bound: &str| {
                    column.is_some_and(|column| column.is_valid(at) && column.value(at) >= bound)
                };
                if bound.is_some_and(reaches) {
                    break;
                }
            }
            let open = &mut self.open[least];
            (open.at, open.slot) = (at, Some(slot));
            if at == end && !open.advance(&self.order)? {
                self.heap.swap_remove(0);
            }
            self.sift_down(0);
        }
        self.gathered(&batches, &rows)
    }

    /// Opens the files that may have a row before the least one of those that are open.
    fn open_what_is_near(&mut self) -> Result<()> {
        while let Some(next) = self.waiting.front() {
            let near = match (&next.least, self.heap.first().and_then(|&least| self.value(least))) {
                (None, _) => true,
                (Some(bound), Some(Some(value))) => bound.as_str() <= value,
                // The least row is a null, which is before every value.
                (Some(_), Some(None)) => false,
                (Some(_), None) => true,
            };
            if !near {
                break;
            }
            let Some(input) = self.waiting.pop_front() else { break };
            self.open(input)?;
        }
        Ok(())
    }

    /// The value of the merge column in the next row of an open file.
    fn value(&self, open: usize) -> Option<Option<&str>> {
        let open = &self.open[open];
        let column = open.current.as_ref()?.batch.column(self.merge_column).as_string_view_opt()?;
        Some(column.is_valid(open.at).then(|| column.value(open.at)))
    }

    fn open(&mut self, input: Input) -> Result<()> {
        let url = format!("{}{}", self.location.url, input.file.path);
        let (send, batches) = mpsc::channel(1);
        self.runtime.spawn(read(self.location.clone(), input.file, input.with_values, self.batch_rows, send));
        let mut open = Open { url, batches, held: Vec::new(), last: None, current: None, at: 0, slot: None };
        let has_rows = open.advance(&self.order)?;
        self.open.push(open);
        if has_rows {
            self.heap.push(self.open.len() - 1);
            let mut at = self.heap.len() - 1;
            while at > 0 && self.less(self.heap[at], self.heap[(at - 1) / 2]) {
                self.heap.swap(at, (at - 1) / 2);
                at = (at - 1) / 2;
            }
        }
        Ok(())
    }

    fn less(&self, left: usize, right: usize) -> bool {
        let key = |open: usize| {
            let this = &self.open[open];
            this.current.as_ref().map(|sorted| (sorted.key(this.at), open))
        };
        key(left) < key(right)
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                return;
            }
            let is_right = right < self.heap.len() && self.less(self.heap[right], self.heap[left]);
            let least = if is_right { right } else { left };
            if !self.less(self.heap[least], self.heap[at]) {
                return;
            }
            self.heap.swap(least, at);
            at = least;
        }
    }

    /// The open file whose row is the least but one.
    fn runner_up(&self) -> Option<usize> {
        match *self.heap.as_slice() {
            [] | [_] => None,
            [_, only] => Some(only),
            [_, left, right, ..] => Some(if self.less(right, left) { right } else { left }),
        }
    }

    fn gathered(&self, batches: &[RecordBatch], rows: &[(usize, usize)]) -> Result<RecordBatch> {
        let merging = || "merging rows".to_owned();
        let schema = arrow_schema();
        let mut nulls: Vec<ArrayRef> = Vec::new();
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            if self.with_values[at] && !batches.is_empty() {
                let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
                return interleave(&arrays, rows);
            }
            Ok(match nulls.iter().find(|nulls| nulls.data_type() == field.data_type()) {
                Some(nulls) => nulls.clone(),
                None => {
                    let made = new_null_array(field.data_type(), rows.len());
                    nulls.push(made.clone());
                    made
                }
            })
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().context(merging)?;
        RecordBatch::try_new(schema.clone(), columns).context(merging)
    }

    /// Whether every row has been handed out.
    pub fn is_at_end(&self) -> bool {
        self.heap.is_empty() && self.waiting.is_empty()
    }
}

/// The next rows of a merge, as the rows of a file. They can be had once, from the first on.
pub(super) struct Part<'a> {
    merge: RefCell<&'a mut Merge>,
    rows: usize,
    handed_out: Cell<usize>,
}

impl<'a> Part<'a> {
    pub fn new(merge: &'a mut Merge, rows: usize) -> Part<'a> {
        Part { merge: RefCell::new(merge), rows, handed_out: Cell::new(0) }
    }

    /// Whether all of them have been had.
    pub fn is_at_end(&self) -> bool {
        self.handed_out.get() == self.rows
    }
}

impl write::Rows for Part<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn slice(&self, start: usize, most: usize) -> Result<RecordBatch> {
        if start != self.handed_out.get() {
            return Err(Error::failed("merged rows were asked for twice, which is a defect of this program"));
        }
        let batch = self.merge.borrow_mut().next(most.min(self.rows - start))?;
        self.handed_out.set(start + batch.num_rows());
        Ok(batch)
    }
}
