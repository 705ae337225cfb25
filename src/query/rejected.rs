//! The `rejected` table: what could not be converted, and was not replayed since.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use super::table::external;
use crate::error::{self, Context};
use crate::lake::layout;
use crate::lake::rejected::{Line, lines};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;

/// A batch is passed on when it has this many rows,
const BATCH_ROWS: usize = 8192;

/// or this much text: a line may hold a whole object.
const BATCH_BYTES: usize = 8 << 20;

/// The rejected input of one version of a lake. Nothing of it is read before a query asks.
#[derive(Debug)]
pub(super) struct RejectedTable {
    lake: Lake,
    schema: SchemaRef,
}

impl RejectedTable {
    pub(super) fn new(lake: &Lake) -> RejectedTable {
        let schema = Schema::new(vec![
            Field::new("object", DataType::Utf8, false),
            Field::new("size", DataType::UInt64, false),
            Field::new("version", DataType::Utf8, false),
            Field::new("record", DataType::UInt64, true),
            Field::new("byte", DataType::UInt64, true),
            Field::new("reason", DataType::Utf8, false),
            Field::new("data", DataType::Utf8, true),
            Field::new("data_base64", DataType::Utf8, true),
        ]);
        RejectedTable { lake: lake.clone(), schema: Arc::new(schema) }
    }
}

#[async_trait]
impl TableProvider for RejectedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let vouched = Vouched::read(&self.lake).await.map_err(external)?;
        let paths = vouched.rejected().map(layout::rejected_file).collect();
        let rows = Lines { lake: self.lake.clone(), paths, schema: self.schema.clone() };
        let rows = vec![Arc::new(rows) as Arc<dyn PartitionStream>];
        Ok(Arc::new(StreamingTableExec::try_new(self.schema(), rows, projection, [], false, limit)?))
    }
}

/// The lines of some files.
#[derive(Debug, Clone)]
struct Lines {
    lake: Lake,
    paths: Vec<String>,
    schema: SchemaRef,
}

impl PartitionStream for Lines {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reading = Reading { of: self.clone(), next: 0, open: None };
        let batches = stream::try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await.map_err(external)?;
            Ok(batch.map(|batch| (batch, reading)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

struct Reading {
    of: Lines,
    next: usize,
    open: Option<Box<dyn Iterator<Item = error::Result<Line>> + Send>>,
}

impl Reading {
    /// The next rows of one file.
    async fn next(&mut self) -> error::Result<Option<RecordBatch>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.of.paths.get(self.next) else { return Ok(None) };
                self.next += 1;
                let file = Cursor::new(self.of.lake.fetch(path).await?);
                self.open = Some(Box::new(lines(file).context(|| self.reading())?));
            }
            let batch = self.batch().context(|| self.reading())?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
            self.open = None;
        }
    }

    fn reading(&self) -> String {
        let path = self.of.paths.get(self.next - 1).map_or("", String::as_str);
        format!("reading {}{path}", self.of.lake.location().url)
    }

    fn batch(&mut self) -> error::Result<RecordBatch> {
        let [mut size, mut record, mut byte] = [(); 3].map(|()| UInt64Builder::new());
        let [mut object, mut version, mut reason, mut data, mut data_base64] =
            [(); 5].map(|()| StringBuilder::new());
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(line) = self.open.as_mut().and_then(Iterator::next) else { break };
            let line = line?;
            rows += 1;
            bytes += [&line.data, &line.data_base64].into_iter().flatten().map(String::len).sum::<usize>();
            object.append_value(line.object);
            size.append_value(line.size);
            version.append_value(line.version);
            record.append_option(line.record);
            byte.append_option(line.byte);
            reason.append_value(line.reason);
            data.append_option(line.data);
            data_base64.append_option(line.data_base64);
        }
        let columns = vec![
            Arc::new(object.finish()) as _,
            Arc::new(size.finish()) as _,
            Arc::new(version.finish()) as _,
            Arc::new(record.finish()) as _,
            Arc::new(byte.finish()) as _,
            Arc::new(reason.finish()) as _,
            Arc::new(data.finish()) as _,
            Arc::new(data_base64.finish()) as _,
        ];
        RecordBatch::try_new(self.of.schema.clone(), columns).context(|| "decoding".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::super::Session;
    use super::super::testing::ask;
    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit, put_new};
    use crate::lake::layout::Partitioning;
    use crate::lake::rejected::{Rejected, encode};
    use crate::lake::snapshot::tests::in_memory;

    fn item(object: &str, record: Option<u64>, data: &[u8]) -> Rejected {
        Rejected {
            object: format!("s3://trail/{object}"),
            size: 7,
            version: "etag".into(),
            record,
            byte: record.map(|record| record * 10),
            reason: "no object".into(),
            data: data.to_vec(),
        }
    }

    #[tokio::test]
    async fn what_is_vouched_for_and_not_replayed_is_in_it() {
        let location = in_memory();
        let lake = Lake::create(&location, &Partitioning::default()).await.unwrap();
        let file = |name: &'static str, items: Vec<Rejected>| {
            let path = layout::rejected_file(name);
            let location = location.clone();
            async move { put_new(&location, &path, encode(&items).unwrap().into()).await.unwrap() }
        };
        let large = vec![b'x'; BATCH_BYTES];
        file("one", vec![item("a", Some(3), b"[1]"), item("b", None, &[0x1f, 0x8b, 0xff, 0xfe])]).await;
        file("two", vec![item("c", Some(1), &large), item("c", Some(2), &large), item("c", Some(3), b"")])
            .await;
        file("replayed", vec![item("d", None, b"")]).await;
        file("nobodys", vec![item("e", None, b"")]).await;
        let about = |run: &str| About {
            run_id: run.into(),
            time: DateTime::UNIX_EPOCH,
            counts: BTreeMap::new(),
            purpose: Purpose::Convert,
        };
        let rejected = ["one", "two", "replayed"].map(str::to_owned).to_vec();
        let outcome = commit(&lake, &Change { rejected, ..Change::default() }, &about("1")).await.unwrap();
        assert_eq!(outcome, Outcome::Committed { version: 1 });
        let lake = Lake::open(&location).await.unwrap().unwrap();
        let change = Change { replayed: vec!["replayed".to_owned()], ..Change::default() };
        let outcome = commit(&lake, &change, &about("2")).await.unwrap();
        assert_eq!(outcome, Outcome::Committed { version: 2 });

        let lake = Lake::open(&location).await.unwrap().unwrap();
        let session = Session::open(&lake, 64 << 20).unwrap();
        let sql =
            "SELECT object, record, byte, reason, length(data), data_base64 FROM rejected ORDER BY 1, 2";
        let expected = [
            "s3://trail/a|3|30|no object|3|",
            "s3://trail/b|||no object||H4v//g==",
            "s3://trail/c|1|10|no object|8388608|",
            "s3://trail/c|2|20|no object|8388608|",
            "s3://trail/c|3|30|no object|0|",
        ];
        assert_eq!(ask(&session, sql).await, expected);
        assert_eq!(ask(&session, "SELECT count(*) FROM rejected WHERE record > 1").await, ["3"]);
        assert_eq!(ask(&session, "SELECT data FROM rejected WHERE object LIKE '%/a' LIMIT 1").await, ["[1]"]);
    }
}
