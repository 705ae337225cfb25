//! Conversions through the library, over stores that tests make; and what is in a lake, with its books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use chrono::Utc;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use trailhouse::convert::report::{Report, Verdict};
use trailhouse::convert::{Options, Progress};
use trailhouse::error::Result;
use trailhouse::event::rebuild::Rebuilder;
use trailhouse::lake::compact;
use trailhouse::lake::layout::{self, DataFile};
use trailhouse::lake::ledger::{self, Entry, Window};
use trailhouse::lake::rejected;
use trailhouse::lake::snapshot::Lake;
use trailhouse::lake::vouched::Vouched;
use trailhouse::schema::{EVENT_DATE, arrow_schema};
use trailhouse::store::Location;

use super::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use super::trail::Trail;

/// The bucket `name`, whole, of a store.
pub fn bucket(store: Arc<dyn ObjectStore>, name: &str) -> Location {
    Location { store, prefix: Path::default(), url: format!("s3://{name}/"), meter: Arc::default() }
}

/// A location on a server.
pub async fn open(server: &S3Server, url: &str) -> Location {
    let pairs = [
        ("endpoint", server.endpoint.as_str()),
        ("region", "us-east-1"),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", SECRET_KEY),
    ];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    Location::open(url, &trailhouse::store::Options { pairs }).await.unwrap()
}

/// A store that holds a trail.
pub async fn holding(trail: &Trail) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    put(&store, trail).await;
    store
}

/// Puts the objects of a trail, over what there is.
pub async fn put(store: &InMemory, trail: &Trail) {
    for (key, bytes) in &trail.0 {
        store.put(&Path::from(key.as_str()), bytes.clone().into()).await.unwrap();
    }
}

/// A run that looks at everything, and commits after every task.
pub fn options(sources: &[Location], lake: &Location) -> Options {
    Options {
        sources: sources.to_vec(),
        lake: lake.clone(),
        partitioning: None,
        accounts: BTreeSet::new(),
        regions: BTreeSet::new(),
        since: None,
        until: None,
        lookback_days: None,
        dedupe: true,
        sha256: false,
        commit_bytes: 1,
        memory_bytes: 16 << 20,
        jobs: 2,
        max_object_bytes: 64 << 20,
        dry_run: false,
        now: Utc::now(),
        run_id: run_id(),
    }
}

/// Converts; a report balances.
pub async fn convert(options: &Options) -> Result<Report> {
    let report = trailhouse::convert::run(options, &Arc::new(Progress::default())).await?;
    let (objects, records) = (&report.objects, &report.records);
    assert!(report.balanced, "{report:?}");
    assert_eq!(objects.listed, objects.known + objects.tried(), "{report:?}");
    let became = records.rows + records.duplicates + records.filtered + records.rejected;
    assert_eq!(records.found, became, "{report:?}");
    let lost = objects.rejected + records.rejected + objects.unreadable + report.unlisted;
    assert_eq!(report.verdict, if lost == 0 { Verdict::Done } else { Verdict::Rejected }, "{report:?}");
    Ok(report)
}

/// Converts what was rejected once more.
pub async fn replay(options: &Options) -> Result<Report> {
    let report = trailhouse::convert::replay::run(options, &Arc::new(Progress::default())).await?;
    assert!(report.balanced, "{report:?}");
    Ok(report)
}

/// Converts on a thread of its own.
pub fn start(options: Options) -> JoinHandle<Result<Report>> {
    tokio::task::spawn_blocking(move || Handle::current().block_on(convert(&options)))
}

/// Compacts a lake, if there is one.
pub async fn compact(location: &Location) -> Result<()> {
    let Some(lake) = Lake::open(location).await? else { return Ok(()) };
    let options = compact::Options {
        first_day: None,
        last_day: None,
        target_bytes: 16 << 20,
        memory_bytes: 1 << 30,
        jobs: 1,
        dry_run: false,
        run_id: run_id(),
    };
    compact::run(lake, &options).await.map(drop)
}

/// Compacts on a thread of its own.
pub fn start_compact(location: Location) -> JoinHandle<Result<()>> {
    tokio::task::spawn_blocking(move || Handle::current().block_on(compact(&location)))
}

fn run_id() -> String {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    format!("run {}", RUNS.fetch_add(1, SeqCst))
}

/// What is in a lake, so far as no clock and no order of commits shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every column of every row, as JSON; sorted.
    pub rows: Vec<String>,
    /// By URL, size and ETag, what the ledger said last.
    pub ledger: BTreeMap<(String, u64, String), Entry>,
    /// Object, its ETag, record, reason and data; sorted.
    pub rejected: Vec<(String, String, Option<u64>, String, Vec<u8>)>,
}

impl Contents {
    /// Reads the newest version of a lake, which is empty where there is none. Its books balance.
    pub async fn of(location: &Location) -> Contents {
        match Lake::open(location).await.unwrap() {
            Some(lake) => Contents::at(&lake).await,
            None => Contents::default(),
        }
    }

    pub async fn at(lake: &Lake) -> Contents {
        let mut contents = Contents::default();
        for batch in batches(lake).await {
            let mut writer = LineDelimitedWriter::new(Vec::new());
            writer.write(&batch).unwrap();
            let text = String::from_utf8(writer.into_inner()).unwrap();
            contents.rows.extend(text.lines().map(str::to_owned));
        }
        contents.rows.sort();
        let (location, vouched) = (lake.location(), Vouched::read(lake).await.unwrap());
        let each = |version: u64, mut entry: Entry| {
            assert!(version <= lake.version());
            entry.converted_at = 0;
            contents.ledger.insert((entry.url.clone(), entry.size, entry.version.clone()), entry);
        };
        ledger::read(lake, &vouched, &Window::default(), each).await.unwrap();
        for name in vouched.rejected() {
            let items = rejected::decode(&read(location, &layout::rejected_file(name)).await).unwrap();
            let items = items
                .into_iter()
                .map(|item| (item.object, item.version, item.record, item.reason, item.data));
            contents.rejected.extend(items);
        }
        contents.rejected.sort();
        contents.expect_balance();
        contents
    }

    /// The ledger's sums are what there is.
    fn expect_balance(&self) {
        for entry in self.ledger.values() {
            let became = entry.rows + entry.duplicates + entry.filtered + entry.rejected;
            assert_eq!(entry.records, became, "{entry:?}");
        }
        let sum = |of: fn(&Entry) -> u64| self.ledger.values().map(of).sum::<u64>();
        assert_eq!(sum(|entry| entry.rows), self.rows.len() as u64, "{:#?}", self.ledger);
        let records = self.rejected.iter().filter(|(_, _, record, ..)| record.is_some()).count();
        assert_eq!(sum(|entry| entry.rejected), records as u64);
        let mut once = self.rejected.clone();
        once.dedup();
        assert_eq!(once.len(), self.rejected.len(), "rejected twice: {:?}", self.rejected);
    }

    /// Fails where another lake has other contents, and says which.
    pub fn expect(&self, other: &Contents, what: &str) {
        let others: BTreeSet<&String> = other.rows.iter().collect();
        let these: BTreeSet<&String> = self.rows.iter().collect();
        let (more, fewer) = (these.difference(&others), others.difference(&these));
        let (more, fewer) = (more.collect::<Vec<_>>(), fewer.collect::<Vec<_>>());
        assert!(more.is_empty() && fewer.is_empty(), "{what}: more {more:#?}\nfewer {fewer:#?}");
        assert_eq!(self.rows.len(), other.rows.len(), "{what}: doubled rows");
        assert_eq!(self.ledger, other.ledger, "{what}");
        assert_eq!(self.rejected, other.rejected, "{what}");
    }
}

/// The account and the record of every row.
pub async fn events(lake: &Lake) -> Vec<(Option<String>, serde_json::Value)> {
    let mut events = Vec::new();
    for batch in batches(lake).await {
        let mut lines = Vec::new();
        Rebuilder.lines(&batch, &mut lines).unwrap();
        let accounts = cast(batch.column_by_name("account").unwrap(), &DataType::Utf8View).unwrap();
        let accounts = accounts.as_string_view();
        let records = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        for (row, record) in records.enumerate() {
            let account = accounts.is_valid(row).then(|| accounts.value(row).to_owned());
            events.push((account, serde_json::from_slice(record).unwrap()));
        }
    }
    events
}

/// The rows of every data file, with all columns, the partition's among them.
async fn batches(lake: &Lake) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for file in lake.files().unwrap().collect::<Vec<_>>() {
        let bytes = read(lake.location(), &file.path).await;
        assert_eq!(bytes.len() as u64, file.size, "{}", file.path);
        let mut rows = 0;
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows += batch.num_rows() as u64;
            all.push(whole(&batch, &file));
        }
        assert_eq!(rows, file.rows, "{}", file.path);
    }
    all
}

fn whole(batch: &RecordBatch, file: &DataFile) -> RecordBatch {
    let schema = arrow_schema();
    let names = schema.fields().iter().map(|field| field.name().as_str()).chain([EVENT_DATE.name]);
    let columns = names.map(|name| {
        let value = file.partition.iter().find(|(column, _)| column == name);
        let column: ArrayRef = match (batch.column_by_name(name), value) {
            (Some(column), _) => column.clone(),
            (None, Some((_, Some(value)))) => {
                let values = std::iter::repeat_n(value, batch.num_rows());
                Arc::new(StringViewArray::from_iter_values(values))
            }
            (None, _) => {
                let data_type = schema.field_with_name(name).map(|field| field.data_type().clone());
                new_null_array(&data_type.unwrap_or(DataType::Utf8View), batch.num_rows())
            }
        };
        (name, column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

async fn read(location: &Location, path: &str) -> Bytes {
    let object = layout::object(location, path).unwrap();
    location.store.get(&object).await.unwrap().bytes().await.unwrap()
}
