//! The ledger's entries that count: of each object the newest, as record batches, while the ledger is read once.
//!
//! An object gets another entry only where an earlier one left something of it: records that filters left out, or that
//! were rejected. All other entries count wherever they are, and are passed on as they are read. Of those that left
//! something it is remembered where they are, until a newer entry takes their place or the last file is read.

use std::collections::{BTreeMap, HashMap};
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use sha2::{Digest, Sha256};

use super::ledger::{self, LedgerFile, Verdict};
use super::snapshot::Lake;
use crate::error::{Context, Error, Result};

/// The column that a ledger file's name has, and not the file.
const TABLE_VERSION: &str = "table_version";

/// What tells objects apart, and what tells whether an entry left something.
const LOOKED_AT: [&str; 6] = ["url", "size", "version", "verdict", "rejected", "filter"];

/// Ledger files fetched ahead.
const AT_ONCE: usize = 8;

/// Entries of a batch.
const BATCH_ROWS: usize = 8192;

/// Is told how many bytes are held beyond the batch in hand, and may refuse.
pub type Held = Box<dyn FnMut(usize) -> Result<()> + Send>;

/// The columns of an entry: those of [`ledger::Entry`], and the version of the table that its commit made.
///
/// # Errors
/// Never, as long as the columns have different names.
pub fn schema() -> Result<SchemaRef> {
    let written = ledger::schema()?;
    let version = Arc::new(Field::new(TABLE_VERSION, DataType::UInt64, false));
    Ok(Arc::new(Schema::new(written.fields().iter().cloned().chain([version]).collect::<Vec<_>>())))
}

/// Some of the columns of [`schema`], by their names.
///
/// # Errors
/// Where there is no such column.
pub fn columns(names: &[&str]) -> Result<SchemaRef> {
    let all = schema()?;
    let field = |name: &&str| all.fields().find(name).map(|(_, field)| field.clone());
    let fields = names.iter().map(|name| field(name).ok_or_else(|| missing(name)));
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

/// The newest entry of every object in `files`, which are in the order of their commits, with these columns of
/// [`schema`]. All files that can have entries of an object must be among them, or none.
///
/// # Errors
/// In the stream: where a file cannot be read, and where `held` refuses.
pub fn newest(
    lake: &Lake,
    files: Vec<LedgerFile>,
    columns: SchemaRef,
    held: Held,
) -> BoxStream<'static, Result<RecordBatch>> {
    let files: Arc<[LedgerFile]> = files.into();
    let all = (0..files.len()).map(|file| (file, None)).collect();
    let fetched = fetch(lake, &files, all);
    let reading = Reading {
        lake: lake.clone(),
        files,
        columns,
        fetched,
        open: None,
        left: HashMap::new(),
        held,
        is_second: false,
    };
    stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|batch| (batch, reading)))
    })
    .boxed()
}

type Key = [u8; 16];

/// Rows of a file; none stands for all.
type Rows = Option<Vec<usize>>;

struct Reading {
    lake: Lake,
    files: Arc<[LedgerFile]>,
    columns: SchemaRef,
    fetched: BoxStream<'static, Result<(usize, Rows, Bytes)>>,
    open: Option<Open>,
    /// The file and the row of the entries that left something, and that nothing newer was found for yet.
    left: HashMap<Key, (usize, usize)>,
    held: Held,
    is_second: bool,
}

struct Open {
    file: usize,
    rows: Rows,
    reader: ParquetRecordBatchReader,
    /// Rows read before.
    before: usize,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.open.is_none() {
                match self.fetched.try_next().await? {
                    Some((file, rows, bytes)) => self.open = Some(self.open(file, rows, bytes)?),
                    None if self.is_second => return Ok(None),
                    None => self.read_what_was_left(),
                }
            }
            if let Some(batch) = self.next_of_file()?
                && batch.num_rows() > 0
            {
                return Ok(Some(batch));
            }
        }
    }

    fn open(&self, file: usize, rows: Rows, bytes: Bytes) -> Result<Open> {
        let reading = || format!("reading {}{}", self.lake.location().url, self.files[file].path);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).context(reading)?;
        let mut names: Vec<&str> = self.columns.fields().iter().map(|field| field.name().as_str()).collect();
        if rows.is_none() {
            names.extend(LOOKED_AT);
        }
        let only = ProjectionMask::columns(builder.parquet_schema(), names);
        let reader = builder.with_projection(only).with_batch_size(BATCH_ROWS).build().context(reading)?;
        Ok(Open { file, rows, reader, before: 0 })
    }

    /// The next rows of the open file that count; `None` where none is open, or no more are in it.
    fn next_of_file(&mut self) -> Result<Option<RecordBatch>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let file = &self.files[open.file];
        let reading = || format!("reading {}{}", self.lake.location().url, file.path);
        let Some(batch) = open.reader.next().transpose().context(reading)? else {
            self.open = None;
            return Ok(None);
        };
        let before = open.before;
        open.before += batch.num_rows();
        let count = match &open.rows {
            None => look(&batch, open.file, before, &mut self.left, &mut self.held).context(reading)?,
            Some(rows) => (before..open.before).map(|row| Some(rows.binary_search(&row).is_ok())).collect(),
        };
        let batch = shown(&batch, &self.columns, file.version).context(reading)?;
        filter_record_batch(&batch, &count).context(reading).map(Some)
    }

    /// Goes on with the entries that left something and still count.
    fn read_what_was_left(&mut self) {
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (file, row) in self.left.drain().map(|(_, place)| place) {
            rows.entry(file).or_default().push(row);
        }
        rows.values_mut().for_each(|rows| rows.sort_unstable());
        let rows = rows.into_iter().map(|(file, rows)| (file, Some(rows))).collect();
        self.fetched = fetch(&self.lake, &self.files, rows);
        self.is_second = true;
    }
}

fn fetch(
    lake: &Lake,
    files: &Arc<[LedgerFile]>,
    which: Vec<(usize, Rows)>,
) -> BoxStream<'static, Result<(usize, Rows, Bytes)>> {
    let (lake, files) = (lake.clone(), files.clone());
    let fetched = move |(file, rows): (usize, Rows)| {
        let (lake, files) = (lake.clone(), files.clone());
        async move { Ok((file, rows, lake.fetch(&files[file].path).await?)) }
    };
    stream::iter(which).map(fetched).buffered(AT_ONCE).boxed()
}

/// Says which rows are known to count, and remembers the others in `left`.
fn look(
    batch: &RecordBatch,
    file: usize,
    before: usize,
    left: &mut HashMap<Key, (usize, usize)>,
    held: &mut Held,
) -> Result<BooleanArray> {
    let [url, version, verdict, filter] =
        ["url", "version", "verdict", "filter"].map(|name| texts(batch, name));
    let (url, version, verdict, filter) = (url?, version?, verdict?, filter?);
    let (size, rejected) = (numbers(batch, "size")?, numbers(batch, "rejected")?);
    let whole = [Verdict::Converted, Verdict::Empty].map(Verdict::word);
    let mut counts = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let is_final = whole.contains(&verdict.value(row)) && filter.is_null(row) && rejected.value(row) == 0;
        counts.push(is_final);
        if is_final && left.is_empty() {
            continue;
        }
        let key = key(url.value(row), size.value(row), version.value(row));
        if is_final {
            left.remove(&key);
            continue;
        }
        let before_it = left.capacity();
        left.insert(key, (file, before + row));
        if left.capacity() != before_it {
            held(left.capacity() * (size_of::<(Key, (usize, usize))>() + 1))?;
        }
    }
    Ok(counts.into())
}

/// The columns of `batch` that are asked for.
fn shown(batch: &RecordBatch, columns: &SchemaRef, table_version: u64) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef> {
        if field.name() == TABLE_VERSION {
            return Ok(Arc::new(UInt64Array::from_value(table_version, batch.num_rows())));
        }
        batch.column_by_name(field.name()).cloned().ok_or_else(|| missing(field.name()))
    };
    let arrays = columns.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(columns.clone(), arrays, &rows).context(|| "decoding".to_owned())
}

/// The texts of a column.
///
/// # Errors
/// Where there is no such column of text.
pub fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    batch.column_by_name(name).and_then(|array| array.as_string_opt()).ok_or_else(|| missing(name))
}

/// The numbers of a column.
///
/// # Errors
/// Where there is no such column of numbers.
pub fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a UInt64Array> {
    let array = batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<UInt64Type>());
    array.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::failed(format!("it has no usable column {name:?}"))
}

fn key(url: &str, size: u64, version: &str) -> Key {
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    hash.update((url.len() as u64).to_le_bytes());
    hash.update(url);
    hash.update(version);
    let mut key = Key::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use chrono::DateTime;

    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
    use crate::lake::layout::Partitioning;
    use crate::lake::ledger::Entry;
    use crate::lake::snapshot::tests::in_memory;
    use crate::lake::vouched::Vouched;

    fn entry(name: &str, rows: u64, rejected: u64, filter: Option<&str>) -> Entry {
        Entry {
            url: format!("s3://trail/{name}"),
            rows,
            rejected,
            filter: filter.map(str::to_owned),
            path_day: Some("2026-03-01".into()),
            ..Entry::default()
        }
    }

    async fn lake_of(commits: &[Vec<Entry>]) -> Lake {
        let location = in_memory();
        Lake::create(&location, &Partitioning::default()).await.unwrap();
        for entries in commits {
            let lake = Lake::open(&location).await.unwrap().unwrap();
            let about = About {
                run_id: lake.version().to_string(),
                time: DateTime::UNIX_EPOCH,
                counts: BTreeMap::new(),
                purpose: Purpose::Convert,
            };
            let change = Change { entries: entries.clone(), ..Change::default() };
            let outcome = commit(&lake, &change, &about).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }));
        }
        Lake::open(&location).await.unwrap().unwrap()
    }

    async fn read(lake: &Lake, columns: &[&str], held: Held) -> Result<Vec<RecordBatch>> {
        let files = Vouched::read(lake).await?.ledgers().map(LedgerFile::named).collect();
        newest(lake, files, super::columns(columns)?, held).try_collect().await
    }

    #[tokio::test]
    async fn of_several_entries_the_newest_counts() {
        let lake = lake_of(&[
            vec![entry("once", 1, 0, None), entry("widened", 2, 0, Some("{}")), entry("waiting", 3, 1, None)],
            vec![entry("other", 4, 0, None), entry("twice", 5, 2, None), entry("replayed", 6, 1, None)],
            vec![entry("widened", 7, 0, None), entry("twice", 8, 1, Some("{}"))],
            vec![entry("replayed", 9, 0, None), entry("last", 10, 0, None)],
        ])
        .await;
        let batches = read(&lake, &["rows", "table_version", "url"], Box::new(|_| Ok(()))).await.unwrap();
        let mut found = Vec::new();
        for batch in &batches {
            assert_eq!(batch.num_columns(), 3);
            for row in 0..batch.num_rows() {
                found.push((
                    texts(batch, "url").unwrap().value(row).trim_start_matches("s3://trail/").to_owned(),
                    numbers(batch, "rows").unwrap().value(row),
                    numbers(batch, "table_version").unwrap().value(row),
                ));
            }
        }
        found.sort();
        let expected = [
            ("last", 10, 4),
            ("once", 1, 1),
            ("other", 4, 2),
            ("replayed", 9, 4),
            ("twice", 8, 3),
            ("waiting", 3, 1),
            ("widened", 7, 3),
        ];
        assert_eq!(found, expected.map(|(name, rows, version)| (name.to_owned(), rows, version)));
        let counted = read(&lake, &[], Box::new(|_| Ok(()))).await.unwrap();
        assert_eq!(counted.iter().map(RecordBatch::num_rows).sum::<usize>(), 7);
    }

    #[tokio::test]
    async fn only_what_may_be_superseded_is_held() {
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let watch = || -> Held {
            Box::new(|bytes| {
                MOST.fetch_max(bytes, Relaxed);
                if bytes > 4096 { Err(Error::failed("too much")) } else { Ok(()) }
            })
        };
        let named = |at: usize| at.to_string();
        let whole = (0..1000).map(|at| entry(&named(at), 1, 0, None)).collect();
        let lake = lake_of(&[whole, vec![entry("x", 1, 1, None)]]).await;
        let rows =
            read(&lake, &["url"], watch()).await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(rows, 1001);
        assert!((1..4096).contains(&MOST.load(Relaxed)));
        let partly = (0..1000).map(|at| entry(&named(at), 1, 0, Some("{}"))).collect();
        let error = read(&lake_of(&[partly]).await, &["url"], watch()).await.unwrap_err();
        assert!(error.chain().ends_with(".parquet: too much"), "{}", error.chain());
    }
}
