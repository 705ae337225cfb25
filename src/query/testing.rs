//! Small lakes in memory, which remember what was read of them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::session::Session;
use crate::lake::layout::DataFile;
use crate::store::Location;

/// Microseconds of 2026-03-01T00:00:00Z.
pub(super) const MARCH: i64 = 1_772_323_200_000_000;

/// A lake under construction.
pub(super) struct TestLake {
    store: Arc<Watched>,
    keys: Vec<String>,
    files: Vec<DataFile>,
}

impl TestLake {
    pub(super) fn partitioned_by(keys: &[&str]) -> TestLake {
        let store = Arc::new(Watched { inner: InMemory::new(), read: Mutex::default() });
        TestLake { store, keys: keys.iter().map(|key| (*key).to_owned()).collect(), files: Vec::new() }
    }

    /// Adds a file, named by its number, with these rows and these statistics.
    pub(super) async fn add(
        &mut self,
        partition: &[Option<&str>],
        rows: &RecordBatch,
        stats: serde_json::Value,
    ) {
        let (bytes, size) = encoded(rows);
        let path = format!("event_date=x/{}.parquet", self.files.len());
        self.store.inner.put(&Path::from(format!("some/lake/{path}")), bytes.into()).await.unwrap();
        let values = partition.iter().map(|value| value.map(str::to_owned));
        self.files.push(DataFile {
            path,
            size,
            rows: rows.num_rows() as u64,
            partition: self.keys.iter().cloned().zip(values).collect(),
            stats: stats.to_string(),
        });
    }

    pub(super) fn session(&self) -> Session {
        self.session_of(64 << 20)
    }

    pub(super) fn session_of(&self, memory_bytes: u64) -> Session {
        let location = Location {
            store: self.store.clone(),
            prefix: Path::from("some/lake"),
            url: "memory://here/some/lake/".into(),
            meter: Arc::default(),
        };
        Session::over(location, &self.keys, self.files.clone(), memory_bytes).unwrap()
    }

    /// The numbers of the files that were read since this was last asked.
    pub(super) fn read(&self) -> Vec<usize> {
        let read = std::mem::take(&mut *self.store.read.lock().unwrap());
        read.iter()
            .map(|path| path.rsplit('/').next().unwrap().trim_end_matches(".parquet").parse().unwrap())
            .collect()
    }
}

/// A Parquet file of these rows, without the Arrow schema, and its size.
pub(super) fn encoded(rows: &RecordBatch) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    let plain = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, rows.schema(), plain).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    let size = bytes.len() as u64;
    (bytes, size)
}

/// Rows with an event time, in microseconds after [`MARCH`], and an event name.
pub(super) fn events(rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let times: TimestampMicrosecondArray = rows.iter().map(|(time, _)| Some(MARCH + time)).collect();
    let names: StringArray = rows.iter().map(|(_, name)| *name).collect();
    batch(&[("event_time", Arc::new(times.with_timezone("UTC"))), ("event_name", Arc::new(names))])
}

pub(super) fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, array.clone(), true)))
        .unwrap()
}

/// The rows as lines of cells, after the header.
pub(super) async fn lines(rows: SendableRecordBatchStream) -> Vec<String> {
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let cells = text.lines().filter(|line| line.starts_with('|')).skip(1);
    cells.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect()
}

/// The answer to a query, as [`lines`].
pub(super) async fn ask(session: &Session, sql: &str) -> Vec<String> {
    lines(session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))).await
}

/// A store that remembers what was read, and refuses what a query must not do.
#[derive(Debug)]
struct Watched {
    inner: InMemory,
    read: Mutex<BTreeSet<String>>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watched {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        panic!("a query writes nothing")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("a query writes nothing")
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        assert!(!options.head, "the log says how large {path} is");
        self.read.lock().unwrap().insert(path.to_string());
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        panic!("a query deletes nothing")
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        panic!("a query lists nothing")
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("a query lists nothing")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("a query copies nothing")
    }
}
