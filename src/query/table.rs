//! The `events` table: a lake's active data files as one Parquet scan of [`datafusion`]'s own.
//!
//! Nothing is listed and no file is asked for its size: the log has told. Before a file is opened it has passed its
//! partition values and its statistics; inside it, row groups, pages and bloom filters leave out what they can.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;

use super::progress::Scanned;
use super::stats::{FileStats, FilesBounds, merged, partition_value};
use crate::lake::layout::{DataFile, object};
use crate::schema::COLUMNS;
use crate::store::Location;

/// How many column statistics a plan may carry in all (files times columns, some 300 bytes each). A query over more
/// is planned with row counts alone: files have been left out by then, and only top-k queries and `min`/`max` would
/// have gained by them.
const MOST_STATISTICS: usize = 200_000;

/// Lists longer than this one are not compared with statistics. The default of the engine, 20, is less than the days
/// of a month, and than the addresses of a usual indicator list.
pub(super) const MOST_LISTED: usize = 200;

/// One version of a lake as a table: [`COLUMNS`] in order without those that are partition columns, then the
/// partition columns, as plain text.
#[derive(Debug)]
pub struct LakeTable {
    store: ObjectStoreUrl,
    location: Location,
    schema: SchemaRef,
    /// How many of the schema's columns are in the files; the rest are partition columns.
    file_columns: usize,
    files: Vec<DataFile>,
    /// The partition columns, one row a file.
    partitions: RecordBatch,
    scanned: Arc<Scanned>,
}

impl LakeTable {
    /// The table of `files`, data files of the lake at `location`, partitioned by the columns `names`. The lake's
    /// store is registered as `store`.
    pub fn new(
        location: Location,
        names: &[String],
        files: Vec<DataFile>,
        store: ObjectStoreUrl,
    ) -> Result<LakeTable> {
        let mut fields: Vec<Field> = COLUMNS
            .iter()
            .filter(|column| !names.iter().any(|name| name == column.name))
            .map(|column| Field::new(column.name, column.form.arrow_type(), true))
            .collect();
        let file_columns = fields.len();
        let keys: Fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        fields.extend(keys.iter().map(|field| field.as_ref().clone()));

        let mut values: Vec<ArrayRef> = Vec::with_capacity(names.len());
        for name in names {
            let mut column = Vec::with_capacity(files.len());
            for file in &files {
                let Some(value) = partition_value(file, name) else {
                    return internal_err!(
                        "the log gives {} no value for the partition column {name}",
                        file.path
                    );
                };
                column.push(value);
            }
            values.push(Arc::new(StringArray::from(column)));
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(files.len()));
        let partitions = RecordBatch::try_new_with_options(Arc::new(Schema::new(keys)), values, &rows)?;
        Ok(LakeTable {
            store,
            location,
            schema: Arc::new(Schema::new(fields)),
            file_columns,
            files,
            partitions,
            scanned: Arc::default(),
        })
    }

    /// The same table, which tells `scanned` what its scans leave out.
    pub(super) fn counted_by(self, scanned: Arc<Scanned>) -> LakeTable {
        LakeTable { scanned, ..self }
    }

    /// Whether a file's partition values alone decide `filter`, the same for all its rows.
    fn is_about_partitions(&self, filter: &Expr) -> bool {
        let known = self.partitions.schema();
        let known: Vec<&str> = known.fields().iter().map(|field| field.name().as_str()).collect();
        datafusion::datasource::listing::helpers::expr_applicable_for_cols(&known, filter)
            && !has_subquery(filter)
    }

    /// The files whose partition values satisfy every one of `filters`, in the log's order.
    fn matching(&self, state: &dyn Session, filters: &[&Expr]) -> Result<Vec<&DataFile>> {
        let Some(filter) = conjunction(filters.iter().map(|filter| (*filter).clone())) else {
            return Ok(self.files.iter().collect());
        };
        let schema = DFSchema::try_from(self.partitions.schema())?;
        let verdict = state.create_physical_expr(filter, &schema)?.evaluate(&self.partitions)?;
        let verdict = verdict.into_array(self.partitions.num_rows())?;
        let Some(verdict) = verdict.as_boolean_opt() else {
            return internal_err!("a filter on partition columns is of type {}", verdict.data_type());
        };
        let passes = |at: usize| verdict.is_valid(at) && verdict.value(at);
        Ok(self.files.iter().enumerate().filter(|(at, _)| passes(*at)).map(|(_, file)| file).collect())
    }

    /// Leaves out the files that, by their statistics, have no row that satisfies every one of `filters`.
    fn prune<'a>(
        &self,
        state: &dyn Session,
        files: Vec<&'a DataFile>,
        filters: &[&Expr],
    ) -> Result<Vec<FileStats<'a>>> {
        let stats: Vec<FileStats<'a>> = files.into_iter().map(FileStats::read).collect();
        let Some(filter) = conjunction(filters.iter().map(|filter| (*filter).clone())) else {
            return Ok(stats);
        };
        let schema = DFSchema::try_from(self.schema.clone())?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(self.schema.clone())
            .with_max_in_list_size(MOST_LISTED)
            .build(state.create_physical_expr(filter, &schema)?);
        let Some(predicate) = predicate else {
            return Ok(stats);
        };
        let kept = predicate.prune(&FilesBounds { files: &stats, schema: &self.schema })?;
        Ok(stats.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(stats, _)| stats).collect())
    }

    /// The columns a scan carries: those of `projection` and of `filters`, in the table's order. Files are read as
    /// if they had no others, so that a plan over many files holds no statistics that nobody asked for.
    fn narrowed(&self, projection: Option<&Vec<usize>>, filters: &[&Expr]) -> Vec<usize> {
        let Some(projection) = projection else {
            return (0..self.file_columns).collect();
        };
        let mut columns: BTreeSet<usize> = projection.iter().copied().collect();
        for filter in filters {
            columns.extend(
                filter.column_refs().iter().filter_map(|column| self.schema.index_of(&column.name).ok()),
            );
        }
        columns.into_iter().filter(|column| *column < self.file_columns).collect()
    }

    fn partitioned_file(&self, stats: &FileStats<'_>) -> Result<PartitionedFile> {
        let file = stats.file();
        let location = object(&self.location, &file.path);
        let mut partitioned = PartitionedFile::new_from_meta(ObjectMeta {
            location: location.map_err(external)?,
            // A data file never changes, so its time is of no use, and the log's would have to be trusted.
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.size,
            e_tag: None,
            version: None,
        });
        let keys = self.partitions.schema();
        partitioned.partition_values = keys
            .fields()
            .iter()
            .map(|field| {
                let value = partition_value(file, field.name()).flatten();
                ScalarValue::Utf8(value.map(str::to_owned))
            })
            .collect();
        Ok(partitioned)
    }
}

#[async_trait]
impl TableProvider for LakeTable {
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
            } else if self.is_about_partitions(filter) {
                TableProviderFilterPushDown::Exact
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
        let (about_partitions, about_rows): (Vec<&Expr>, Vec<&Expr>) =
            filters.iter().partition(|filter| self.is_about_partitions(filter));
        let files = self.matching(state, &about_partitions)?;
        let matching = files.len();
        let stats = self.prune(state, files, &about_rows)?;
        self.scanned.add(&self.files, stats.iter().map(FileStats::file));
        tracing::debug!(files = self.files.len(), matching, scanned = stats.len(), "planned a scan");
        if stats.is_empty() {
            let schema = datafusion::physical_plan::project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }

        let columns = self.narrowed(projection, &about_rows);
        let table_schema = TableSchema::builder(Arc::new(self.schema.project(&columns)?))
            .with_table_partition_cols(self.partitions.schema().fields().clone())
            .build();
        let narrow = |column: &usize| match columns.binary_search(column) {
            Ok(at) => at,
            Err(_) => columns.len() + column.saturating_sub(self.file_columns),
        };
        let projection = projection.map(|projection| projection.iter().map(narrow).collect());

        let scanned = table_schema.table_schema();
        let carry_statistics = stats.len().saturating_mul(scanned.fields().len()) <= MOST_STATISTICS;
        let mut files = Vec::with_capacity(stats.len());
        for stats in &stats {
            let mut file = self.partitioned_file(stats)?;
            file.statistics = carry_statistics.then(|| Arc::new(stats.statistics(scanned)));
            files.push(file);
        }
        let mut statistics =
            merged(files.iter().filter_map(|file| file.statistics.as_deref()), scanned, columns.len())?;
        let rows: u64 = stats.iter().map(|stats| stats.file().rows).sum();
        statistics.num_rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);

        let runtime = state.runtime_env();
        let metadata = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&self.store)?, metadata);
        let options = state.config_options().execution.parquet.clone();
        let hint = options.metadata_size_hint;
        let mut source = ParquetSource::new(table_schema)
            .with_table_parquet_options(TableParquetOptions { global: options, ..Default::default() })
            .with_parquet_file_reader_factory(Arc::new(reader));
        if let Some(hint) = hint {
            source = source.with_metadata_size_hint(hint);
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions().max(1));
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection)?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// One of our errors, for the engine to carry.
pub(super) fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}

/// Whether a subquery must be answered before `expr` can be.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let mut found = false;
    let walked = expr.apply(|part| {
        found |= matches!(
            part,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(_, _)
        );
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int64Array, ListArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use serde_json::json;

    use super::super::testing::{TestLake, ask, batch, events};
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn times(rows: usize, min: &str, max: &str) -> serde_json::Value {
        json!({"numRecords": rows, "minValues": {"event_time": min}, "maxValues": {"event_time": max}, "nullCount": {"event_time": 0}})
    }

    /// Two days of two accounts, and a file whose partition values are null.
    async fn lake() -> TestLake {
        let mut lake = TestLake::partitioned_by(&["account", "event_date"]);
        let rows = events(&[(0, Some("GetUser")), (SECOND, Some("PutObject"))]);
        lake.add(&[Some("001111111111"), Some("2026-03-01")], &rows, json!({})).await;
        lake.add(&[Some("001111111111"), Some("2026-03-02")], &rows, json!({})).await;
        lake.add(&[Some("222222222222"), Some("2026-03-01")], &rows, json!({})).await;
        lake.add(&[None, None], &events(&[(0, Some("Lost"))]), json!({})).await;
        lake
    }

    #[tokio::test]
    async fn partition_values_decide_which_files_are_opened() {
        let lake = lake().await;
        let session = lake.session();
        for (filter, names, files) in [
            ("event_date = '2026-03-02'", 2, vec![1]),
            ("account = '222222222222' AND event_date < '2026-03-02'", 2, vec![2]),
            ("event_date LIKE '2026-03-0%' AND substr(account, 1, 2) = '00'", 4, vec![0, 1]),
            (
                "event_date BETWEEN '2026-03-01' AND '2026-03-02' AND event_name = 'PutObject'",
                3,
                vec![0, 1, 2],
            ),
            ("account IS NULL", 1, vec![3]),
            ("account <> '222222222222'", 4, vec![0, 1]),
            ("account IS DISTINCT FROM '222222222222'", 5, vec![0, 1, 3]),
            ("account = '222222222222' OR event_name = 'Lost'", 3, vec![0, 1, 2, 3]),
            ("account IN ('222222222222', '333333333333')", 2, vec![2]),
            ("event_date = (SELECT max(event_date) FROM events)", 2, vec![1]),
            ("event_date > '2027'", 0, vec![]),
        ] {
            let found =
                ask(&session, &format!("SELECT event_name, account FROM events WHERE {filter}")).await;
            assert_eq!(found.len(), names, "{filter}: {found:?}");
            let read = lake.read();
            if !filter.contains("SELECT") {
                assert_eq!(read, files, "{filter}");
            }
        }
    }

    #[tokio::test]
    async fn counts_and_partition_columns_are_answered_without_opening_a_file() {
        let lake = lake().await;
        let session = lake.session();
        assert_eq!(ask(&session, "SELECT count(*) FROM events").await, ["7"]);
        assert_eq!(ask(&session, "SELECT count(*) FROM events WHERE account = '001111111111'").await, ["4"]);
        assert_eq!(ask(&session, "SELECT count(account) FROM events").await, ["6"], "null is not counted");
        assert_eq!(
            ask(&session, "SELECT max(event_date) FROM events WHERE account IS NOT NULL").await,
            ["2026-03-02"]
        );
        assert_eq!(lake.read(), [0; 0]);
        assert_eq!(ask(&session, "SELECT count(*) FROM events WHERE event_name = 'GetUser'").await, ["3"]);
    }

    #[tokio::test]
    async fn null_partition_values_are_null_in_rows_and_groups() {
        let lake = lake().await;
        let sql = "SELECT account, event_date, count(*) FROM events GROUP BY ALL ORDER BY 1 NULLS FIRST, 2";
        let found = ask(&lake.session(), sql).await;
        let expected =
            ["||1", "001111111111|2026-03-01|2", "001111111111|2026-03-02|2", "222222222222|2026-03-01|2"];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_time_range_leaves_out_files_and_never_the_rest_of_a_millisecond() {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        // The log cuts times to milliseconds: the last row lies 999 µs after the greatest time it tells.
        lake.add(
            &[Some("2026-03-01")],
            &events(&[(0, None), (1_500_999, None)]),
            times(2, "2026-03-01T00:00:00.000Z", "2026-03-01T00:00:01.500Z"),
        )
        .await;
        lake.add(
            &[Some("2026-03-01")],
            &events(&[(2 * SECOND, None), (3 * SECOND, None)]),
            times(2, "2026-03-01T00:00:02Z", "2026-03-01T00:00:03Z"),
        )
        .await;
        let session = lake.session();
        for (filter, rows, files) in [
            ("event_time > '2026-03-01T00:00:01.500900Z'", 3, vec![0, 1]),
            ("event_time >= '2026-03-01T00:00:01.501Z'", 2, vec![1]),
            ("event_time > timestamp '2026-03-01 00:00:01.6'", 2, vec![1]),
            ("event_time < '2026-03-01T00:00:02Z'", 2, vec![0]),
            ("event_time <= '2026-03-01T00:00:02Z'", 3, vec![0, 1]),
            ("event_time > now()", 0, vec![]),
        ] {
            let found = ask(&session, &format!("SELECT event_time FROM events WHERE {filter}")).await;
            assert_eq!((found.len(), lake.read()), (rows, files), "{filter}");
        }
        assert_eq!(
            ask(&session, "SELECT max(event_time) < '2026-03-01T00:00:03.000001Z' FROM events").await,
            ["true"]
        );
        let sql = "SELECT count(*) FROM (SELECT max(event_time) m FROM events WHERE event_time < '2026-03-01T00:00:01.6Z') \
                   WHERE m = '2026-03-01T00:00:01.500999Z'";
        assert_eq!(ask(&session, sql).await, ["1"], "a bound is no answer");
    }

    #[tokio::test]
    async fn text_bounds_that_are_cut_still_hold() {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        let stats = json!({"numRecords": 1, "minValues": {"event_name": "Assu"}, "maxValues": {"event_name": "Assv"}, "nullCount": {"event_name": 0}});
        lake.add(&[Some("2026-03-01")], &events(&[(0, Some("AssumeRole"))]), stats).await;
        let session = lake.session();
        assert_eq!(
            ask(&session, "SELECT event_name FROM events WHERE event_name = 'AssumeRole'").await,
            ["AssumeRole"]
        );
        assert_eq!(lake.read(), [0]);
        assert_eq!(ask(&session, "SELECT max(event_name) FROM events").await, ["AssumeRole"]);
        lake.read();
        assert!(
            ask(&session, "SELECT event_name FROM events WHERE event_name IN ('GetUser', 'PutObject')")
                .await
                .is_empty()
        );
        assert!(ask(&session, "SELECT event_name FROM events WHERE event_name IS NULL").await.is_empty());
        assert_eq!(lake.read(), [0; 0]);
    }

    #[tokio::test]
    async fn a_file_of_an_older_schema_reads_as_null_where_it_has_no_column() {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        lake.add(&[Some("2026-03-01")], &events(&[(0, Some("Old"))]), json!({})).await;
        let members: StructArray = vec![(
            Arc::new(Field::new("arn", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["arn:aws:s3:::b"])) as ArrayRef,
        )]
        .into();
        let item = Arc::new(Field::new("element", members.data_type().clone(), true));
        let resources = ListArray::new(item, OffsetBuffer::from_lengths([1]), Arc::new(members), None);
        let new = batch(&[
            ("event_name", Arc::new(StringArray::from(vec!["New"]))),
            ("resources", Arc::new(resources)),
            ("read_only", Arc::new(BooleanArray::from(vec![true]))),
            ("row_source_record", Arc::new(Int64Array::from(vec![3]))),
            ("column_of_the_future", Arc::new(StringArray::from(vec!["?"]))),
        ]);
        lake.add(&[Some("2026-03-01")], &new, json!({})).await;
        let session = lake.session();
        let sql = "SELECT event_name, read_only, resources[1]['arn'], resources[1]['type'], row_source_record FROM events ORDER BY 1";
        assert_eq!(ask(&session, sql).await, ["New|true|arn:aws:s3:::b||3", "Old||||"]);
        assert_eq!(ask(&session, "SELECT event_name FROM events WHERE read_only IS NULL").await, ["Old"]);
        assert_eq!(ask(&session, "SELECT * FROM events").await.len(), 2);
    }

    #[tokio::test]
    async fn the_latest_events_open_only_the_latest_files() {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        for hour in 0..20 {
            let start = hour * 3600 * SECOND;
            let time = format!("2026-03-01T{hour:02}:00:00.000Z");
            lake.add(&[Some("2026-03-01")], &events(&[(start, Some("E"))]), times(1, &time, &time)).await;
        }
        let session = lake.session();
        ask(&session, "SET datafusion.execution.target_partitions = 1").await;
        let found = ask(&session, "SELECT event_time FROM events ORDER BY event_time DESC LIMIT 2").await;
        assert_eq!(found, ["2026-03-01T19:00:00Z", "2026-03-01T18:00:00Z"]);
        let read = lake.read();
        assert_eq!(read, [18, 19]);
    }

    #[tokio::test]
    async fn filters_run_while_files_are_decoded() {
        let session = lake().await.session();
        let sql =
            "EXPLAIN SELECT event_time FROM events WHERE event_name = 'GetUser' AND account = '222222222222'";
        let plan = ask(&session, sql).await.join("\n");
        assert!(plan.contains("DataSourceExec") && plan.contains("pruning_predicate="), "{plan}");
        assert!(!plan.contains("FilterExec"), "{plan}");
    }

    #[tokio::test]
    async fn an_empty_lake_answers() {
        let session = TestLake::partitioned_by(&["event_date", "account"]).session();
        assert_eq!(ask(&session, "SELECT count(*), max(account) FROM events").await, ["0|"]);
        assert!(ask(&session, "SELECT * FROM events WHERE event_date = 'x'").await.is_empty());
    }
}
