//! The `ledger` table: of every source object the newest entry.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;

use super::errors;
use super::table::{MOST_LISTED, external, has_subquery};
use crate::lake::ledger::LedgerFile;
use crate::lake::newest::{Held, newest, schema};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;

/// The ledger of one version of a lake. Nothing of it is read before a query asks.
pub(super) struct LedgerTable {
    lake: Lake,
    schema: SchemaRef,
}

impl LedgerTable {
    pub(super) fn new(lake: &Lake) -> crate::error::Result<LedgerTable> {
        Ok(LedgerTable { lake: lake.clone(), schema: schema()? })
    }

    /// Leaves out the files that, by the path days in their names, have no entry that `filters` hold for. An object
    /// has one path day, so either all of its entries are in files that are left, or those that are do not matter.
    fn prune(
        &self,
        state: &dyn Session,
        files: Vec<LedgerFile>,
        filters: &[Expr],
    ) -> Result<Vec<LedgerFile>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(files) };
        let schema = DFSchema::try_from(self.schema.clone())?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(self.schema.clone())
            .with_max_in_list_size(MOST_LISTED)
            .build(state.create_physical_expr(filter, &schema)?);
        let Some(predicate) = predicate else { return Ok(files) };
        let kept = predicate.prune(&PathDays(&files))?;
        Ok(files.into_iter().zip(kept).filter_map(|(file, kept)| kept.then_some(file)).collect())
    }
}

impl std::fmt::Debug for LedgerTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerTable({:?})", self.lake)
    }
}

#[async_trait]
impl TableProvider for LedgerTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if has_subquery(filter) {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let vouched = Vouched::read(&self.lake).await.map_err(external)?;
        let files: Vec<LedgerFile> = vouched.ledgers().map(LedgerFile::named).collect();
        let all = files.len();
        let files = self.prune(state, files, filters)?;
        tracing::debug!(files = all, scanned = files.len(), "planned a scan of the ledger");
        let schema = datafusion::physical_plan::project_schema(&self.schema, projection)?;
        let entries = Entries { lake: self.lake.clone(), files, schema: schema.clone() };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(entries)], None, [], false, limit)?))
    }
}

/// The entries of some ledger files.
#[derive(Debug)]
struct Entries {
    lake: Lake,
    files: Vec<LedgerFile>,
    schema: SchemaRef,
}

impl PartitionStream for Entries {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reservation = MemoryConsumer::new("ledger").register(context.memory_pool());
        let held: Held = Box::new(move |bytes| reservation.try_resize(bytes).map_err(errors::explain));
        let rows = newest(&self.lake, self.files.clone(), self.schema.clone(), held);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows.map(|rows| rows.map_err(external))))
    }
}

/// The path days of ledger files.
struct PathDays<'a>(&'a [LedgerFile]);

impl PathDays<'_> {
    fn days(&self, column: &Column, of: fn((NaiveDate, NaiveDate)) -> NaiveDate) -> Option<ArrayRef> {
        if column.name != "path_day" {
            return None;
        }
        // Of a file with undated objects the name has no first day.
        let known = |day: NaiveDate| (day != NaiveDate::MIN).then(|| day.to_string());
        let days = self.0.iter().map(|file| file.days.map(of).and_then(known));
        Some(Arc::new(days.collect::<StringArray>()))
    }
}

impl PruningStatistics for PathDays<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.days(column, |(first, _)| first)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.days(column, |(_, last)| last)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.0.iter().map(|file| (!file.undated).then_some(0));
        (column.name == "path_day").then(|| Arc::new(counts.collect::<UInt64Array>()) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use object_store::ObjectStoreExt;

    use super::super::Session;
    use super::super::testing::ask;
    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
    use crate::lake::layout::{Partitioning, object};
    use crate::lake::ledger::{Entry, Verdict};
    use crate::lake::snapshot::tests::in_memory;

    fn entry(name: &str, day: Option<&str>, rows: u64, filter: Option<&str>) -> Entry {
        Entry {
            url: format!("s3://trail/{name}"),
            size: 100,
            path_day: day.map(str::to_owned),
            converted_at: 1_772_323_200_000_000,
            verdict: if filter.is_some() { Verdict::Partly } else { Verdict::Converted },
            rows,
            filter: filter.map(str::to_owned),
            ..Entry::default()
        }
    }

    /// A lake, and after each of these commits.
    async fn lake_of(commits: Vec<Vec<Entry>>) -> Lake {
        let location = in_memory();
        let mut lake = Lake::create(&location, &Partitioning::default()).await.unwrap();
        for entries in commits {
            let about = About {
                run_id: lake.version().to_string(),
                time: DateTime::UNIX_EPOCH,
                counts: BTreeMap::new(),
                purpose: Purpose::Convert,
            };
            let change = Change { entries, ..Change::default() };
            let outcome = commit(&lake, &change, &about).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }));
            lake = Lake::open(&location).await.unwrap().unwrap();
        }
        lake
    }

    const DAYS: [Option<&str>; 3] = [Some("2026-03-01"), Some("2026-03-02"), None];

    async fn delete_ledger_file(lake: &Lake, at: usize) {
        let vouched = Vouched::read(lake).await.unwrap();
        let file = LedgerFile::named(vouched.ledgers().nth(at).unwrap());
        lake.location().store.delete(&object(lake.location(), &file.path).unwrap()).await.unwrap();
    }

    async fn fails(session: &Session, sql: &str) -> String {
        let rows = match session.query(sql).await {
            Ok(rows) => futures::TryStreamExt::try_collect::<Vec<_>>(rows).await,
            Err(error) => return format!("{} | {}", error.chain(), error.hints().join(" | ")),
        };
        let error = errors::explain(rows.unwrap_err());
        format!("{} | {}", error.chain(), error.hints().join(" | "))
    }

    #[tokio::test]
    async fn an_object_has_one_row_its_newest() {
        let lake = lake_of(vec![
            vec![entry("a", DAYS[0], 1, None), entry("b", DAYS[0], 2, Some("{\"since\":1}"))],
            vec![entry("c", DAYS[1], 3, None), entry("d", None, 4, None)],
            vec![entry("b", DAYS[0], 5, None)],
        ])
        .await;
        let session = Session::open(&lake, 64 << 20).unwrap();
        let sql = "SELECT url, rows, table_version, verdict, path_day, converted_at FROM ledger ORDER BY url";
        let expected = [
            "s3://trail/a|1|1|converted|2026-03-01|2026-03-01T00:00:00Z",
            "s3://trail/b|5|3|converted|2026-03-01|2026-03-01T00:00:00Z",
            "s3://trail/c|3|2|converted|2026-03-02|2026-03-01T00:00:00Z",
            "s3://trail/d|4|2|converted||2026-03-01T00:00:00Z",
        ];
        assert_eq!(ask(&session, sql).await, expected);
        assert_eq!(ask(&session, "SELECT count(*), sum(rows) FROM ledger").await, ["4|13"]);
        // The entry of version 1 that version 3 took the place of is not found by asking for it.
        assert_eq!(ask(&session, "SELECT url FROM ledger WHERE table_version = 1").await, ["s3://trail/a"]);
        assert_eq!(ask(&session, "SELECT url FROM ledger WHERE filter IS NOT NULL").await, [""; 0]);
        assert_eq!(ask(&session, "SELECT count(*) FROM (SELECT * FROM ledger LIMIT 2)").await, ["2"]);
        assert_eq!(ask(&session, "SELECT url FROM ledger WHERE path_day IS NULL").await, ["s3://trail/d"]);
        let sql = "SELECT l.url FROM ledger l WHERE rows = (SELECT max(rows) FROM ledger)";
        assert_eq!(ask(&session, sql).await, ["s3://trail/b"]);
    }

    #[tokio::test]
    async fn path_days_decide_which_files_are_read() {
        let lake = lake_of(DAYS.iter().map(|day| vec![entry("x", *day, 1, None)]).collect::<Vec<_>>()).await;
        let session = Session::open(&lake, 64 << 20).unwrap();
        delete_ledger_file(&lake, 0).await;
        for (filter, rows) in [
            ("path_day = '2026-03-02'", 1),
            ("path_day > '2026-03-01'", 1),
            ("path_day BETWEEN '2026-03-02' AND '2026-04-01' AND rows = 1", 1),
            ("path_day IN ('2026-03-02', '2026-03-05') OR path_day IS NULL", 2),
            ("path_day >= '2027'", 0),
            ("path_day LIKE '2026-03-02%'", 1),
        ] {
            let found = ask(&session, &format!("SELECT url FROM ledger WHERE {filter}")).await;
            assert_eq!(found.len(), rows, "{filter}");
        }
        for filter in ["true", "path_day < '2026-03-02'", "path_day <> '2026-03-02'", "verdict = 'x'"] {
            let error = fails(&session, &format!("SELECT url FROM ledger WHERE {filter}")).await;
            assert!(error.starts_with("reading memory:///lake/_trailhouse/ledger/0000"), "{filter}: {error}");
        }
        // No table is read that is not asked for.
        assert_eq!(ask(&session, "SELECT count(*) FROM events").await, ["0"]);
        assert!(ask(&session, "SHOW TABLES").await.iter().any(|line| line.contains("|ledger|")));
        let sql = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'ledger'";
        assert_eq!(ask(&session, sql).await, ["20"]);
    }

    #[tokio::test]
    async fn its_memory_is_the_querys() {
        let entries = (0..5000).map(|at| entry(&at.to_string(), DAYS[0], 1, Some("{}"))).collect();
        let session = Session::open(&lake_of(vec![entries]).await, 64 << 10).unwrap();
        let error = fails(&session, "SELECT url FROM ledger").await;
        assert!(error.contains("more memory than it may use") && error.contains("--memory"), "{error}");
    }

    #[tokio::test]
    async fn it_is_offered_and_not_changed() {
        let session = Session::open(&lake_of(Vec::new()).await, 64 << 20).unwrap();
        let error = fails(&session, "SELECT * FROM ledgers").await;
        assert_eq!(error, "there is no table ledgers | did you mean ledger?");
        let error = fails(&session, "SELECT * FROM x").await;
        assert_eq!(error, "there is no table x | SHOW TABLES lists the tables and views");
        assert_eq!(ask(&session, "SELECT count(*) FROM ledger").await, ["0"]);
        let error = fails(&session, "SELECT eventTime FROM ledger").await;
        assert!(error.starts_with("there is no column eventtime"), "{error}");
        let error = fails(&session, "INSERT INTO ledger SELECT * FROM ledger").await;
        assert!(error.starts_with("no statement changes"), "{error}");
    }
}
