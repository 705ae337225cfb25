//! Lakes made through the library, of rows that a test names; and what is in the files of a lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use chrono::Utc;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use trailhouse::lake::commit::{About, Change, Outcome, Purpose, commit, put_new};
use trailhouse::lake::layout::{self, DataFile, Partitioning};
use trailhouse::lake::ledger::Entry;
use trailhouse::lake::snapshot::Lake;
use trailhouse::lake::write::encode;
use trailhouse::schema::arrow_schema;
use trailhouse::store::Location;

/// Microseconds of 2026-03-01T00:00:00Z.
pub const MARCH: i64 = 1_772_323_200_000_000;

/// A row, so far as tests name it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestRow {
    pub account: Option<String>,
    pub region: Option<String>,
    /// Microseconds since 1970.
    pub time: Option<i64>,
    pub id: Option<String>,
    pub record: i64,
    pub payload: Option<String>,
}

/// A folder in a store.
pub fn at(store: Arc<dyn ObjectStore>) -> Location {
    let prefix = Path::from("lakes/one");
    Location { store, prefix, url: "memory:///lakes/one/".to_owned(), meter: Arc::default() }
}

/// A copy of a store's objects.
pub fn fork(store: &InMemory) -> Arc<InMemory> {
    Arc::new(store.fork())
}

/// The rows as a batch, in their order.
pub fn batch(rows: &[TestRow]) -> RecordBatch {
    let texts = |value: fn(&TestRow) -> Option<&String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| value(row).map(String::as_str)).collect::<StringViewArray>())
    };
    let times = rows.iter().map(|row| row.time).collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let times: ArrayRef = Arc::new(times);
    let schema = arrow_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "account" => texts(|row| row.account.as_ref()),
        "region" => texts(|row| row.region.as_ref()),
        "event_time" => times.clone(),
        "event_id" => texts(|row| row.id.as_ref()),
        "request_parameters" => texts(|row| row.payload.as_ref()),
        "row_source_record" => Arc::new(rows.iter().map(|row| row.record).collect::<Int64Array>()),
        _ => new_null_array(field.data_type(), rows.len()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// Puts rows as a data file. They are sorted as all files are, up to the time.
pub async fn file(location: &Location, by: &Partitioning, day: Option<&str>, rows: &[TestRow]) -> DataFile {
    let mut rows = rows.to_vec();
    rows.sort_by(|left, right| {
        (&left.account, &left.region, left.time).cmp(&(&right.account, &right.region, right.time))
    });
    let encoded = encode(&batch(&rows), by).unwrap();
    let first = rows.first().cloned().unwrap_or_default();
    let partition = by.partition(day, first.account.as_deref(), first.region.as_deref());
    let name = Sha256::digest(&encoded.bytes);
    let file = DataFile {
        path: layout::data_file(&partition, &name, 0),
        size: encoded.bytes.len() as u64,
        rows: encoded.rows,
        partition,
        stats: encoded.stats,
    };
    put_new(location, &file.path, encoded.bytes.into()).await.unwrap();
    file
}

/// Commits what a conversion would: these files, and an object with this name.
pub async fn add(location: &Location, files: Vec<DataFile>, entry: &str) {
    let entries = vec![Entry { url: format!("s3://trail/{entry}"), ..Entry::default() }];
    let change = Change { adds: files, entries, ..Change::default() };
    assert!(commit_it(location, &change).await, "somebody else has committed");
}

/// Commits files; false where somebody else was faster.
pub async fn try_add(location: &Location, files: Vec<DataFile>) -> bool {
    commit_it(location, &Change { adds: files, ..Change::default() }).await
}

async fn commit_it(location: &Location, change: &Change) -> bool {
    let lake = open(location).await;
    let run_id = format!("run {}", lake.version());
    let about = About { purpose: Purpose::Convert, run_id, time: Utc::now(), counts: BTreeMap::new() };
    matches!(commit(&lake, change, &about).await.unwrap(), Outcome::Committed { .. })
}

pub async fn open(location: &Location) -> Lake {
    Lake::open(location).await.unwrap().unwrap()
}

/// The rows of each data file, as JSON, in the order of the files' names; by partition folder.
pub async fn contents(lake: &Lake) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut files: Vec<DataFile> = lake.files().unwrap().collect();
    files.sort_by_key(|file| file.path.rsplit('-').next().unwrap().to_owned());
    let mut contents: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for file in files {
        let bytes = bytes(lake.location(), &file.path).await;
        assert_eq!(bytes.len() as u64, file.size, "{}", file.path);
        let rows = lines(bytes);
        assert_eq!(rows.len() as u64, file.rows, "{}", file.path);
        contents.entry(layout::folder(&file.partition)).or_default().push(rows);
    }
    contents
}

async fn bytes(location: &Location, path: &str) -> Bytes {
    let object = layout::object(location, path).unwrap();
    location.store.get(&object).await.unwrap().bytes().await.unwrap()
}

fn lines(bytes: Bytes) -> Vec<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    let text = String::from_utf8(writer.into_inner()).unwrap();
    // With the keys in order, as files may have their columns in any.
    let sorted = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap().to_string();
    text.lines().map(sorted).collect()
}

/// All rows, whatever file they are in: by partition folder, sorted.
pub async fn rows(lake: &Lake) -> BTreeMap<String, Vec<String>> {
    let sorted = |files: Vec<Vec<String>>| {
        let mut rows = files.concat();
        rows.sort();
        rows
    };
    contents(lake).await.into_iter().map(|(folder, files)| (folder, sorted(files))).collect()
}

/// The paths below the lake's root of all objects but the table log's, sorted.
pub async fn objects(location: &Location) -> Vec<String> {
    let listed: Vec<_> = location.store.list(Some(&location.prefix)).try_collect().await.unwrap();
    let below = |path: &Path| path.as_ref().strip_prefix(location.prefix.as_ref()).unwrap()[1..].to_owned();
    let mut paths: Vec<String> = listed.iter().map(|object| below(&object.location)).collect();
    paths.retain(|path| !path.starts_with("_delta_log/"));
    paths.sort();
    paths
}
