//! Which rows a lake has already: the keys of its data files, read when they are asked for, and kept within a budget.
//!
//! A key is a 64-bit hash of the event id, and of account and time where there is none. Equal keys only say where to
//! look: whoever asks compares the rows. Files are passed over by what the log says of them: copies of an event have
//! the same time, hence the same `event_date` and a file whose times span it.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::DateTime;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use serde_json::Value;
use tokio::sync::watch;

use super::layout::{self, DataFile, Partition};
use super::snapshot::Lake;
use crate::error::{Context, Error, Result};
use crate::schema::{EVENT_DATE, arrow_schema};
use crate::store::{self, Location};

/// The columns that keys are made of.
const KEY_COLUMNS: [&str; 3] = ["event_id", "account", "event_time"];

/// Rows of a file handed over at once.
const ROWS_AT_ONCE: usize = 4096;

/// The keys of rows, sorted, each with the row's position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Keys {
    hashes: Vec<u64>,
    positions: Vec<u32>,
}

impl Keys {
    /// The keys of rows with these values, which are text, text and a time.
    ///
    /// # Errors
    /// Where the columns have other types.
    pub fn new(ids: &ArrayRef, accounts: &ArrayRef, times: &ArrayRef) -> Result<Keys> {
        let failed = || "reading the keys of rows".to_owned();
        let ids = cast(ids, &DataType::Utf8View).context(failed)?;
        let accounts = cast(accounts, &DataType::Utf8View).context(failed)?;
        let (ids, accounts): (&StringViewArray, &StringViewArray) =
            (ids.as_string_view(), accounts.as_string_view());
        let wrong = || Error::failed("the times of rows are no timestamps");
        let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
        let hash = |row: usize| {
            // Its keys are fixed, but no hash is ever stored.
            let mut hasher = DefaultHasher::new();
            if ids.is_valid(row) {
                hasher.write(ids.value(row).as_bytes());
            } else {
                let account = accounts.is_valid(row).then(|| accounts.value(row));
                (account, times.is_valid(row).then(|| times.value(row))).hash(&mut hasher);
            }
            hasher.finish()
        };
        let mut pairs: Vec<(u64, u32)> = (0..ids.len()).map(|row| (hash(row), row as u32)).collect();
        pairs.sort_unstable();
        Ok(pairs.into_iter().unzip::<u64, u32, Vec<u64>, Vec<u32>>().into())
    }

    /// Calls `each` with every pair of a position here and one there that have the same key.
    pub fn meet(&self, other: &Keys, mut each: impl FnMut(u32, u32)) {
        let (mut here, mut there) = (0, 0);
        while let (Some(&one), Some(&two)) = (self.hashes.get(here), other.hashes.get(there)) {
            match one.cmp(&two) {
                std::cmp::Ordering::Less => here += gap(&self.hashes, here, two),
                std::cmp::Ordering::Greater => there += gap(&other.hashes, there, one),
                std::cmp::Ordering::Equal => {
                    let run = |hashes: &[u64], at: usize| {
                        hashes[at..].iter().take_while(|&&hash| hash == one).count()
                    };
                    let (ours, theirs) = (run(&self.hashes, here), run(&other.hashes, there));
                    for &position in &self.positions[here..here + ours] {
                        for &row in &other.positions[there..there + theirs] {
                            each(position, row);
                        }
                    }
                    here += ours;
                    there += theirs;
                }
            }
        }
    }

    /// The same without the rows at these positions; those behind them move up.
    pub fn without(&self, positions: &BTreeSet<u32>) -> Keys {
        let positions: Vec<u32> = positions.iter().copied().collect();
        let pairs = self.hashes.iter().zip(&self.positions);
        let left = pairs.filter_map(|(&hash, &position)| {
            let before = positions.binary_search(&position).err()?;
            Some((hash, position - before as u32))
        });
        left.unzip::<u64, u32, Vec<u64>, Vec<u32>>().into()
    }

    fn bytes(&self) -> usize {
        self.hashes.len() * 12
    }
}

/// How far the first hash that is not below `least` is from `at`: near, mostly, so the steps double.
fn gap(hashes: &[u64], at: usize, least: u64) -> usize {
    let mut step = 1;
    while hashes.get(at + step).is_some_and(|&hash| hash < least) {
        step *= 2;
    }
    let (from, to) = (at + step / 2, (at + step).min(hashes.len()));
    from - at + hashes[from..to].partition_point(|&hash| hash < least)
}

impl From<(Vec<u64>, Vec<u32>)> for Keys {
    fn from((hashes, positions): (Vec<u64>, Vec<u32>)) -> Self {
        Keys { hashes, positions }
    }
}

/// What rows have in common that may be copies of each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// Their `event_date`.
    pub date: Option<String>,
    /// The first and the last of their times, microseconds since 1970; none where none has one.
    pub times: Option<(i64, i64)>,
    /// Whether some have no time: then their date is that of the object they came from, which may differ.
    pub timeless: bool,
    /// Bounds of their accounts; none where it can be any, or some have none.
    pub accounts: Option<(String, String)>,
}

impl Span {
    /// The span of rows of one date with these accounts and times.
    ///
    /// # Errors
    /// Where the columns are no text and no timestamp.
    pub fn of(date: Option<String>, accounts: &ArrayRef, times: &ArrayRef) -> Result<Span> {
        let wrong = || Error::failed("the accounts or times of rows have another type");
        let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
        let texts = accounts.as_string_view_opt().filter(|_| accounts.null_count() == 0);
        let accounts = texts.and_then(|texts| {
            let (first, last) =
                arrow::compute::min_string_view(texts).zip(arrow::compute::max_string_view(texts))?;
            Some((first.to_owned(), last.to_owned()))
        });
        let bounds = arrow::compute::min(times).zip(arrow::compute::max(times));
        Ok(Span { date, times: bounds, timeless: times.null_count() > 0, accounts })
    }

    fn meets(&self, other: &Span) -> bool {
        let accounts = self.accounts.as_ref().zip(other.accounts.as_ref());
        let timed = self.date == other.date
            && self.times.zip(other.times).is_some_and(|(one, two)| one.0 <= two.1 && two.0 <= one.1);
        accounts.is_none_or(|(one, two)| one.0 <= two.1 && two.0 <= one.1)
            && (timed || (self.timeless && other.timeless))
    }
}

/// A data file that may have copies.
#[derive(Debug)]
pub struct Holder {
    number: u64,
    span: Span,
    keys: Mutex<Option<Arc<Keys>>>,
    file: watch::Receiver<Option<DataFile>>,
}

impl Holder {
    /// The file, once it is in the lake's store.
    async fn file(&self) -> Result<DataFile> {
        let mut file = self.file.clone();
        let file = file.wait_for(Option::is_some).await;
        let file = file.ok().and_then(|file| file.clone());
        file.ok_or_else(|| Error::failed("a task that another one waited for was stopped"))
    }

    fn cached(&self) -> MutexGuard<'_, Option<Arc<Keys>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that was announced, until it is in the store.
#[derive(Debug)]
pub struct Arrival {
    sender: watch::Sender<Option<DataFile>>,
    holder: Arc<Holder>,
}

/// The data files of a lake, and those that are being added to it, by what may be copied in them.
#[derive(Debug)]
pub struct Lookup {
    location: Location,
    files: Mutex<Files>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Files {
    count: u64,
    by_date: HashMap<Option<String>, Vec<Arc<Holder>>>,
    timeless: Vec<Arc<Holder>>,
    /// The files of the table.
    paths: HashSet<String>,
    /// The files that were announced and are not in the table yet.
    arrived: HashMap<String, Arc<Holder>>,
}

impl Files {
    fn add(&mut self, span: Span, file: watch::Receiver<Option<DataFile>>) -> Arc<Holder> {
        let holder = Arc::new(Holder { number: self.count, span, keys: Mutex::default(), file });
        self.count += 1;
        if holder.span.times.is_some() {
            self.by_date.entry(holder.span.date.clone()).or_default().push(Arc::clone(&holder));
        }
        if holder.span.timeless {
            self.timeless.push(Arc::clone(&holder));
        }
        holder
    }

    /// Of the files with these numbers, those that may have copies of rows of this span.
    fn meeting(&self, span: &Span, numbers: Range<u64>) -> impl Iterator<Item = &Arc<Holder>> {
        let dated = self.by_date.get(&span.date).into_iter().flatten();
        let is_dated = |holder: &Holder| holder.span.times.is_some() && holder.span.date == span.date;
        let timeless = self.timeless.iter().filter(move |holder| span.timeless && !is_dated(holder));
        let meets = move |holder: &&Arc<Holder>| numbers.contains(&holder.number) && holder.span.meets(span);
        dated.chain(timeless).filter(meets)
    }
}

/// Keys in memory, the oldest first.
#[derive(Debug)]
struct Cache {
    holders: VecDeque<Arc<Holder>>,
    bytes: usize,
    most_bytes: usize,
}

impl Lookup {
    /// Of no file yet; keys may take this much memory.
    pub fn new(location: &Location, most_bytes: usize) -> Lookup {
        Lookup {
            location: location.clone(),
            files: Mutex::default(),
            cache: Mutex::new(Cache { holders: VecDeque::new(), bytes: 0, most_bytes }),
        }
    }

    /// Adds the data files of this version that are not known yet, and returns them.
    ///
    /// # Errors
    /// Where the log is not as this program writes it.
    pub fn add_files(&self, lake: &Lake) -> Result<Vec<Arc<Holder>>> {
        let mut files = self.files();
        let mut added = Vec::new();
        for file in lake.files()? {
            if !files.paths.insert(file.path.clone()) {
                continue;
            }
            let (_, there) = watch::channel(Some(DataFile { stats: String::new(), ..file.clone() }));
            added.push(files.add(span_of(&file), there));
        }
        Ok(added)
    }

    /// How many files were added or announced so far.
    pub fn count(&self) -> u64 {
        self.files().count
    }

    /// Announces files, given by their spans and keys, if none but the first `seen` files may have copies of their rows:
    /// these are from now on rows that there are already. `None` where others came first, which are to be looked at.
    pub fn announce(&self, new: &[(Span, Arc<Keys>)], seen: u64) -> Option<Vec<Arrival>> {
        let mut files = self.files();
        if new.iter().any(|(span, _)| files.meeting(span, seen..u64::MAX).next().is_some()) {
            return None;
        }
        let announce = |(span, keys): &(Span, Arc<Keys>)| {
            let (sender, file) = watch::channel(None);
            let holder = files.add(span.clone(), file);
            self.keep(&holder, keys);
            Arrival { sender, holder }
        };
        Some(new.iter().map(announce).collect())
    }

    /// Says that an announced file is in the store.
    pub fn arrived(&self, arrival: Arrival, file: &DataFile) {
        self.files().arrived.insert(file.path.clone(), Arc::clone(&arrival.holder));
        arrival.sender.send_replace(Some(DataFile { stats: String::new(), ..file.clone() }));
    }

    /// What an announced file holds, until it is in the table.
    pub fn holder(&self, file: &DataFile) -> Option<Arc<Holder>> {
        self.files().arrived.get(&file.path).cloned()
    }

    /// Says that announced files are in the table: [`Lookup::add_files`] passes them over.
    pub fn committed(&self, committed: &[DataFile]) {
        let mut files = self.files();
        for file in committed {
            files.arrived.remove(&file.path);
            files.paths.insert(file.path.clone());
        }
    }

    /// Of the files with these numbers (see [`Lookup::count`]), those that may have copies of rows of this span.
    pub fn holders(&self, span: &Span, numbers: Range<u64>) -> Vec<Arc<Holder>> {
        self.files().meeting(span, numbers).map(Arc::clone).collect()
    }

    /// Whether rows of two files have a key in common.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub async fn have_common_keys(&self, one: &Holder, two: &Holder) -> Result<bool> {
        if !one.span.meets(&two.span) {
            return Ok(false);
        }
        let mut common = false;
        self.keys_of(one).await?.meet(&*self.keys_of(two).await?, |_, _| common = true);
        Ok(common)
    }

    /// The keys of a file's rows.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn keys(&self, holder: &Arc<Holder>) -> Result<Arc<Keys>> {
        let cached = holder.cached().clone();
        if let Some(keys) = cached {
            return Ok(keys);
        }
        let keys = Arc::new(self.read_keys(holder).await?);
        self.keep(holder, &keys);
        Ok(keys)
    }

    async fn keys_of(&self, holder: &Holder) -> Result<Arc<Keys>> {
        let cached = holder.cached().clone();
        match cached {
            Some(keys) => Ok(keys),
            None => self.read_keys(holder).await.map(Arc::new),
        }
    }

    async fn read_keys(&self, holder: &Holder) -> Result<Keys> {
        let file = holder.file().await?;
        let reading = || format!("reading {}{}", self.location.url, file.path);
        let builder = self.open(&file, false).await.context(reading)?;
        let only = ProjectionMask::columns(builder.parquet_schema(), KEY_COLUMNS);
        let mut batches = builder.with_projection(only).build().context(reading)?;
        let mut pairs: (Vec<u64>, Vec<u32>) = Default::default();
        let mut start = 0;
        while let Some(batch) = batches.try_next().await.context(reading)? {
            let column = |name: &str| column(&batch, &file.partition, name).context(reading);
            let [ids, accounts, times] = KEY_COLUMNS.map(column);
            let keys = Keys::new(&ids?, &accounts?, &times?)?;
            pairs.0.extend(keys.hashes);
            pairs.1.extend(keys.positions.iter().map(|position| position + start));
            start += batch.num_rows() as u32;
        }
        let mut sorted: Vec<(u64, u32)> = pairs.0.into_iter().zip(pairs.1).collect();
        sorted.sort_unstable();
        Ok(sorted.into_iter().unzip::<u64, u32, Vec<u64>, Vec<u32>>().into())
    }

    /// Calls `each` with the rows at these positions of a file, which are in ascending order, some at a time; the
    /// batches have the columns of the schema.
    ///
    /// # Errors
    /// Where the file cannot be read, and what `each` fails with.
    pub async fn rows(
        &self,
        holder: &Holder,
        positions: &[u32],
        mut each: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let file = holder.file().await?;
        let reading = || format!("reading {}{}", self.location.url, file.path);
        let mut selectors: Vec<RowSelector> = Vec::new();
        let mut next = 0;
        for &position in positions {
            let position = position as usize;
            if position > next {
                selectors.push(RowSelector::skip(position - next));
            }
            selectors.push(RowSelector::select(1));
            next = position + 1;
        }
        let builder = self.open(&file, true).await.context(reading)?;
        let builder = builder.with_row_selection(RowSelection::from(selectors)).with_batch_size(ROWS_AT_ONCE);
        let mut batches = builder.build().context(reading)?;
        while let Some(batch) = batches.try_next().await.context(reading)? {
            each(whole(&batch, &file.partition).context(reading)?)?;
        }
        Ok(())
    }

    async fn open(
        &self,
        file: &DataFile,
        page_index: bool,
    ) -> Result<ParquetRecordBatchStreamBuilder<Reader>> {
        let object = layout::object(&self.location, &file.path)?;
        let reader = Reader { store: Arc::clone(&self.location.store), object, size: file.size };
        let policy = if page_index { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new().with_offset_index_policy(policy);
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options).await;
        builder.map_err(|error| Error::failed("it cannot be opened").caused_by(error))
    }

    fn keep(&self, holder: &Arc<Holder>, keys: &Arc<Keys>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if holder.cached().replace(Arc::clone(keys)).is_some() {
            return;
        }
        cache.bytes += keys.bytes();
        cache.holders.push_back(Arc::clone(holder));
        while cache.bytes > cache.most_bytes && cache.holders.len() > 1 {
            let Some(oldest) = cache.holders.pop_front() else { break };
            let bytes = oldest.cached().take().map_or(0, |keys| keys.bytes());
            cache.bytes -= bytes;
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data file in its store.
struct Reader {
    store: Arc<dyn ObjectStore>,
    object: Path,
    size: u64,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let got = self.store.get_range(&self.object, range);
        got.map_err(|error| ParquetError::External(store::explain(error).into())).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let got = self.store.get_ranges(&self.object, &ranges).await;
            got.map_err(|error| ParquetError::External(store::explain(error).into()))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let policy = options.map_or(PageIndexPolicy::Skip, ArrowReaderOptions::offset_index_policy);
            let reader = ParquetMetaDataReader::new().with_offset_index_policy(policy);
            let size = self.size;
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

/// What the log says of a file's times. Where it says nothing, the file may have any.
fn span_of(file: &DataFile) -> Span {
    let stats: Value = serde_json::from_str(&file.stats).unwrap_or_default();
    let bound = |name: &str| {
        let time = stats.pointer(&format!("/{name}/event_time"))?.as_str()?;
        Some(DateTime::parse_from_rfc3339(time).ok()?.timestamp_micros())
    };
    let nulls = stats.pointer("/nullCount/event_time").and_then(Value::as_u64);
    let timeless = nulls.is_none_or(|nulls| nulls > 0);
    let all_timeless = nulls == Some(file.rows);
    let times = (bound("minValues").unwrap_or(i64::MIN), bound("maxValues").unwrap_or(i64::MAX));
    let value = |column: &str| {
        let found = file.partition.iter().find(|(name, _)| name == column)?;
        found.1.clone()
    };
    let has_accounts = stats.pointer("/nullCount/account").and_then(Value::as_u64) == Some(0);
    let account = |name: &str| Some(stats.pointer(&format!("/{name}/account"))?.as_str()?.to_owned());
    let accounts = account("minValues").zip(account("maxValues")).filter(|_| has_accounts);
    Span {
        date: value(EVENT_DATE.name),
        times: (!all_timeless).then_some(times),
        timeless,
        accounts: value("account").map(|account| (account.clone(), account)).or(accounts),
    }
}

/// A column of a batch of a file, of the type in the schema: that of a partition has one value, one that is lacking
/// has none.
fn column(batch: &RecordBatch, partition: &Partition, name: &str) -> Result<ArrayRef> {
    let failed = || format!("reading the column {name}");
    let schema = arrow_schema();
    let data_type = schema.field_with_name(name).context(failed)?.data_type();
    if let Some(array) = batch.column_by_name(name) {
        return cast(array, data_type).context(failed);
    }
    Ok(match partition.iter().find(|(column, _)| column == name) {
        Some((_, Some(value))) => {
            Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(value, batch.num_rows())))
        }
        _ => new_null_array(data_type, batch.num_rows()),
    })
}

/// A batch of a file with the columns of the schema.
fn whole(batch: &RecordBatch, partition: &Partition) -> Result<RecordBatch> {
    let schema = arrow_schema();
    let columns = schema.fields().iter().map(|field| column(batch, partition, field.name()));
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(schema, columns).context(|| "reading columns".into())
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    fn keys(ids: &[Option<u8>]) -> Keys {
        let texts = ids.iter().map(|id| id.map(|id| id.to_string()));
        let ids: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let accounts: ArrayRef = Arc::new(StringArray::from(vec!["1"; ids.len()]));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![7; ids.len()]));
        Keys::new(&ids, &accounts, &times).unwrap()
    }

    fn span(date: &str, times: Option<(i64, i64)>, timeless: bool) -> Span {
        Span { date: Some(date.to_owned()), times, timeless, accounts: None }
    }

    #[test]
    fn spans_meet_in_date_and_time_or_in_having_none() {
        let here = span("2026-03-01", Some((10, 20)), false);
        for (there, meets) in [
            (span("2026-03-01", Some((20, 30)), false), true),
            (span("2026-03-01", Some((21, 30)), true), false),
            (span("2026-03-02", Some((10, 20)), false), false),
            (span("2026-03-01", None, true), false),
        ] {
            assert_eq!((here.meets(&there), there.meets(&here)), (meets, meets), "{there:?}");
        }
        let of =
            |first: &str, last: &str| Span { accounts: Some((first.into(), last.into())), ..here.clone() };
        assert!(
            of("1", "3").meets(&of("3", "4"))
                && of("2", "2").meets(&of("1", "3"))
                && here.meets(&of("1", "1"))
        );
        assert!(!of("1", "2").meets(&of("3", "4")));
        let timeless = span("2026-03-02", None, true);
        assert!(timeless.meets(&span("2026-03-01", Some((1, 2)), true)));
    }

    #[test]
    fn what_the_log_does_not_say_of_a_file_can_be_anything() {
        let file = |stats: &str| {
            let partition = vec![("event_date".to_owned(), Some("2026-03-01".to_owned()))];
            span_of(&DataFile { path: "x".into(), size: 1, rows: 3, partition, stats: stats.into() })
        };
        assert_eq!(file(""), span("2026-03-01", Some((i64::MIN, i64::MAX)), true));
        let full = r#"{"minValues":{"event_time":"2026-03-01T00:00:00.001Z"},"maxValues":{"event_time":"2026-03-01T00:00:01.000Z"},"nullCount":{"event_time":0}}"#;
        let first = 1_772_323_200_001_000;
        assert_eq!(file(full), span("2026-03-01", Some((first, first + 999_000)), false));
        assert_eq!(file(r#"{"nullCount":{"event_time":3}}"#), span("2026-03-01", None, true));
        let accounts = |nulls: u64| {
            let stats =
                r#"{"minValues":{"account":"1"},"maxValues":{"account":"2"},"nullCount":{"account":N}}"#;
            file(&stats.replace('N', &nulls.to_string())).accounts
        };
        assert_eq!((accounts(0), accounts(1)), (Some(("1".into(), "2".into())), None));
    }

    proptest! {
        #[test]
        fn every_pair_of_equal_keys_is_met_once(
            here in prop::collection::vec(prop::option::of(0u8..40), 0..60),
            there in prop::collection::vec(prop::option::of(0u8..40), 0..60),
        ) {
            let mut met = Vec::new();
            keys(&here).meet(&keys(&there), |one, two| met.push((one as usize, two as usize)));
            met.sort_unstable();
            let all = (0..here.len()).flat_map(|one| (0..there.len()).map(move |two| (one, two)));
            let equal: Vec<(usize, usize)> = all.filter(|(one, two)| here[*one] == there[*two]).collect();
            prop_assert_eq!(met, equal);
        }
    }
}
