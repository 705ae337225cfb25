//! SQL over one version of a lake.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::catalog::{DynamicFileCatalog, MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::common::config::Dialect;
use datafusion::datasource::MemTable;
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use url::Url;

use super::errors::{self, Names};
use super::files::FileTables;
use super::functions;
use super::ledger::LedgerTable;
use super::names;
use super::params::{self, Params};
use super::progress::{QueryProgress, Scanned};
use super::rejected::RejectedTable;
use super::rewrite;
use super::table::{LakeTable, MOST_LISTED};
use super::views::Tables;
use crate::error::{Context, Error, Result};
use crate::lake::layout::DataFile;
use crate::lake::snapshot::Lake;
use crate::schema::{COLUMNS, EVENT_DATE, Origin};
use crate::store::{Location, Options};

const CATALOG: &str = "lake";
const SCHEMA: &str = "public";

/// SQL over the tables `events`, `ledger`, `rejected` and `columns`, over [`super::views`], and over the views it is given.
/// The dialect is PostgreSQL's, and what else Trino and DuckDB take.
///
/// Nothing a statement does changes the lake: views and settings last as long as the session.
pub struct Session {
    pub(super) context: SessionContext,
    scanned: Arc<Scanned>,
    params: Mutex<Params>,
}

/// A statement that runs.
pub struct Running {
    /// Its rows. Errors in the stream are the engine's; [`super::explain`] turns them into the user's.
    pub rows: SendableRecordBatchStream,
    /// How far it is.
    pub progress: QueryProgress,
}

impl Session {
    /// A session over `lake` whose joins, sorts and groups use at most `memory_bytes`, then spill to files in the
    /// system's temporary folder. Scans use memory of their own: a few megabytes for every core.
    pub fn open(lake: &Lake, memory_bytes: u64) -> Result<Session> {
        let files = lake.files()?.collect();
        let names = lake.partitioning().names();
        let session = Session::over(lake.location().clone(), &names, files, memory_bytes)?;
        session.add_history(SCHEMA, lake)?;
        Ok(session)
    }

    /// A session without a lake: over files that statements name, and what is attached.
    pub fn without_lake(memory_bytes: u64) -> Result<Session> {
        Session::empty(memory_bytes).map_err(errors::explain)
    }

    /// Adds the tables of another lake as `name.events`, `name.ledger` and `name.rejected`.
    pub fn attach(&self, name: &str, lake: &Lake) -> Result<()> {
        let attaching = || format!("attaching {} as {name}", lake.location().url);
        let files = lake.files()?.collect();
        let names = lake.partitioning().names();
        let catalog = self.context.catalog(CATALOG);
        let Some(catalog) = catalog.filter(|catalog| catalog.schema(name).is_none()) else {
            return Err(
                Error::usage(format!("there is a schema {name} already")).hint("attach it by another name")
            );
        };
        catalog.register_schema(name, Arc::new(MemorySchemaProvider::new())).map_err(errors::explain)?;
        // A URL of its own: two lakes may be in one bucket, and be reached with different settings.
        let added = ObjectStoreUrl::parse(format!("attached-{}://{name}", self.context.session_id()))
            .and_then(|store| self.add_events(name, lake.location().clone(), &names, files, store));
        added.map_err(errors::explain).context(attaching)?;
        self.add_history(name, lake)
    }

    /// Adds a file, or the files that a pattern names, as the table `name`.
    pub async fn attach_file(&self, name: &str, url: &str) -> Result<()> {
        let view = format!("CREATE VIEW {} AS SELECT * FROM {}", quote_name(name), quote_text(url));
        self.query(&view).await.map(drop).context(|| format!("attaching {url} as {name}"))
    }

    fn add_history(&self, schema: &str, lake: &Lake) -> Result<()> {
        let tables: [(&str, Arc<dyn TableProvider>); 2] =
            [("ledger", Arc::new(LedgerTable::new(lake)?)), ("rejected", Arc::new(RejectedTable::new(lake)))];
        for (name, table) in tables {
            let name = TableReference::partial(schema, name);
            self.context.register_table(name, table).map_err(errors::explain)?;
        }
        Ok(())
    }

    fn add_events(
        &self,
        schema: &str,
        location: Location,
        names: &[String],
        files: Vec<DataFile>,
        store: ObjectStoreUrl,
    ) -> datafusion::error::Result<()> {
        self.context.runtime_env().register_object_store(store.as_ref(), location.store.clone());
        let table = LakeTable::new(location, names, files, store)?.counted_by(self.scanned.clone());
        self.context.register_table(TableReference::partial(schema, "events"), Arc::new(table))?;
        Ok(())
    }

    /// Sets the value of the parameter `$name` for the statements that follow.
    pub fn set_param(&self, name: &str, value: &str) {
        self.params().insert(name.to_owned(), value.to_owned());
    }

    /// The parameters that have a value.
    pub fn params(&self) -> MutexGuard<'_, Params> {
        self.params.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session over `files`, data files of the lake at `location` that are partitioned by the columns `names`.
    pub(super) fn over(
        location: Location,
        names: &[String],
        files: Vec<DataFile>,
        memory_bytes: u64,
    ) -> Result<Session> {
        let opening = format!("opening the lake {}", location.url);
        let session = Session::build(location, names, files, memory_bytes);
        session.map_err(errors::explain).context(|| opening)
    }

    fn build(
        location: Location,
        names: &[String],
        files: Vec<DataFile>,
        memory_bytes: u64,
    ) -> datafusion::error::Result<Session> {
        let root = Url::parse(&location.url).map_err(|error| DataFusionError::External(error.into()))?;
        let store = ObjectStoreUrl::parse(&root[..url::Position::BeforePath])?;
        let session = Session::empty(memory_bytes)?;
        session.add_events(SCHEMA, location, names, files, store)?;
        Ok(session)
    }

    fn empty(memory_bytes: u64) -> datafusion::error::Result<Session> {
        let memory_bytes = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
            // Listings are only cached for tables that users create over folders, where it would hide new files.
            .with_object_list_cache_limit(0)
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(config(memory_bytes))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(optimizer_rules())
            .build();
        // First of all, for this makes another context.
        let mut context = with_files(SessionContext::new_with_state(state));
        let tables = Arc::new(Tables::new());
        let state = context.state_weak_ref();
        tables.plan_with(move || Some(state.upgrade()?.read().clone()));
        if let Some(catalog) = context.catalog(CATALOG) {
            catalog.register_schema(SCHEMA, tables)?;
        }
        datafusion_functions_json::register_all(&mut context)?;
        functions::register(&mut context)?;
        context.register_table("columns", Arc::new(columns_table()?))?;
        Ok(Session { context, scanned: Arc::default(), params: Mutex::default() })
    }

    /// The statements of `sql`, which are separated by `;`.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(rewrite::parse(sql).map_err(errors::explain)?.into())
    }

    /// Runs one statement. Those that answer nothing, such as `CREATE VIEW`, give rows without columns.
    ///
    /// Errors in the stream are the engine's; [`super::explain`] turns them into the user's.
    pub async fn run(&self, statement: Statement) -> Result<SendableRecordBatchStream> {
        Ok(self.start(statement).await?.rows)
    }

    /// Runs one statement as [`Session::run`] does, and tells how far it is.
    pub async fn start(&self, mut statement: Statement) -> Result<Running> {
        params::bind(&mut statement, &self.params().clone())?;
        self.scanned.reset();
        let started = start(&self.context, statement).await;
        let (rows, plan) = started.map_err(|error| errors::explain_plan(error, &self.names()))?;
        Ok(Running { rows, progress: QueryProgress::new(plan, &self.scanned) })
    }

    /// Runs the statements of `sql` in order and gives the rows of the last.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        let mut statements = self.parse(sql)?;
        let Some(last) = statements.pop() else {
            return Err(Error::failed("the query is empty"));
        };
        for statement in statements {
            let mut rows = self.run(statement).await?;
            while let Some(batch) = futures::StreamExt::next(&mut rows).await {
                batch.map_err(errors::explain)?;
            }
        }
        self.run(last).await
    }

    /// The tables by the name a statement needs.
    pub(super) fn tables(&self) -> Vec<(String, TableReference)> {
        let mut tables = Vec::new();
        let Some(catalog) = self.context.catalog(CATALOG) else { return tables };
        for schema in catalog.schema_names() {
            let names = catalog.schema(&schema).map(|schema| schema.table_names()).unwrap_or_default();
            for table in names {
                let name = if schema == SCHEMA { table.clone() } else { format!("{schema}.{table}") };
                tables.push((name, TableReference::partial(schema.clone(), table)));
            }
        }
        tables
    }

    /// What a misspelt name may have been meant for.
    pub(super) fn names(&self) -> Names {
        let schema = self.context.catalog(CATALOG).and_then(|catalog| catalog.schema(SCHEMA));
        let mut tables = schema.map(|schema| schema.table_names()).unwrap_or_default();
        tables.sort();
        let state = self.context.state();
        let mut functions: Vec<String> = state.scalar_functions().keys().cloned().collect();
        functions.extend(state.aggregate_functions().keys().cloned());
        functions.extend(state.window_functions().keys().cloned());
        functions.sort();
        functions.dedup();
        Names { tables, functions }
    }
}

/// Plans and starts one statement.
pub(super) async fn run(
    context: &SessionContext,
    statement: Statement,
) -> datafusion::error::Result<SendableRecordBatchStream> {
    Ok(start(context, statement).await?.0)
}

async fn start(
    context: &SessionContext,
    statement: Statement,
) -> datafusion::error::Result<(SendableRecordBatchStream, Arc<dyn ExecutionPlan>)> {
    // What other engines allow and this one does not: names in any case though they are quoted, and the same name twice.
    let others = [names::unquoted(&statement), names::named(&statement)];
    let mut plan = context.state().statement_to_plan(statement).await;
    for other in others.into_iter().flatten() {
        if !plan.as_ref().is_err_and(is_about_names) {
            break;
        }
        if let Ok(other) = context.state().statement_to_plan(other).await {
            plan = Ok(other);
        }
    }
    let plan = plan?;
    let frame = context.execute_logical_plan(plan).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    Ok((execute_stream(plan.clone(), task)?, plan))
}

/// The session, where `FROM '…'` is a file.
fn with_files(context: SessionContext) -> SessionContext {
    let files =
        Arc::new(FileTables { session: DynamicListTableFactory::default(), options: Options::default() });
    let tables = context.state().catalog_list().clone();
    let tables = Arc::new(DynamicFileCatalog::new(tables, files.clone()));
    let state = context.into_state_builder().with_catalog_list(tables).build();
    let context = SessionContext::new_with_state(state);
    files.session.session_store().with_state(context.state_weak_ref());
    context
}

/// A name as a statement has it.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a statement has it.
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether an error is about names that are unknown or there twice.
fn is_about_names(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(..) => true,
        DataFusionError::Plan(said) => said.contains("unique expression names"),
        DataFusionError::Collection(errors) => errors.first().is_some_and(is_about_names),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => is_about_names(inner),
        _ => false,
    }
}

/// The engine's rules. Once filters have come down to where views make structs and texts, those are taken apart; at
/// once, before the rule for common expressions hides them.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        let filters_are_down = rule.name() == "push_down_filter";
        let projections_are_down = rule.name() == "optimize_projections";
        rules.push(rule);
        if filters_are_down || projections_are_down {
            rules.push(Arc::new(functions::StructsUnfolded));
        }
        if filters_are_down {
            rules.push(Arc::new(SimplifyExpressions::new()));
        }
    }
    rules
}

fn config(memory_bytes: usize) -> SessionConfig {
    let mut config =
        SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema(CATALOG, SCHEMA);
    let options = config.options_mut();
    // With the generic dialect `a ->> 'k' LIKE 'x%'` means `a ->> ('k' LIKE 'x%')`.
    options.sql_parser.dialect = Dialect::PostgreSQL;
    // A rule that fails (it happens where common expressions and struct fields meet) leaves the plan as it was.
    options.optimizer.skip_failed_rules = true;
    let parquet = &mut options.execution.parquet;
    // Events are wide and questions narrow: decode the columns that are asked about, then only the rows that match.
    parquet.pushdown_filters = true;
    parquet.reorder_filters = true;
    parquet.enable_page_index = true;
    parquet.bloom_filter_on_read = true;
    parquet.max_in_list_size = MOST_LISTED;
    // Every sorting partition sets this much aside; with the default, little memory and many cores leave no more.
    let partitions = options.execution.target_partitions.max(1);
    let most = memory_bytes / partitions / 8;
    options.execution.sort_spill_reservation_bytes = options.execution.sort_spill_reservation_bytes.min(most);
    config
}

/// The `columns` table: what every column of `events` means.
fn columns_table() -> datafusion::error::Result<MemTable> {
    let columns: Vec<_> = [&EVENT_DATE].into_iter().chain(COLUMNS).collect();
    let text = |of: fn(&crate::schema::Column) -> Option<&'static str>| -> ArrayRef {
        Arc::new(columns.iter().map(|column| of(column)).collect::<StringArray>())
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("name", text(|column| Some(column.name)), false),
        ("type", text(|column| Some(column.form.sql_type())), false),
        ("json_path", text(|column| (!column.path.is_empty()).then_some(column.path)), true),
        ("origin", text(|column| Some(origin(column.origin))), false),
        ("description", text(|column| Some(column.doc)), false),
    ])?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Field => "field",
        Origin::Copy => "copy",
        Origin::Derived => "derived",
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use serde_json::json;

    use super::super::testing::{TestLake, ask, batch, encoded, events};
    use super::*;

    async fn lake() -> TestLake {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        lake.add(
            &[Some("2026-03-01")],
            &events(&[(0, Some("GetUser")), (1, Some("ConsoleLogin"))]),
            json!({}),
        )
        .await;
        lake
    }

    async fn fails(session: &Session, sql: &str) -> String {
        let error = match session.query(sql).await {
            Err(error) => error,
            Ok(rows) => match futures::TryStreamExt::try_collect::<Vec<_>>(rows).await {
                Ok(rows) => panic!("{sql} gave {rows:?}"),
                Err(error) => errors::explain(error),
            },
        };
        format!("{} | {}", error.chain(), error.hints().join(" | "))
    }

    #[tokio::test]
    async fn a_wrong_name_is_answered_with_the_right_one() {
        let session = lake().await.session();
        for (sql, said) in [
            ("SELECT eventName FROM events", "there is no column eventname | did you mean event_name?"),
            (
                "SELECT userIdentity.arn FROM events",
                "there is no column useridentity.arn | did you mean user_identity_arn?",
            ),
            (
                "SELECT 1 FROM events WHERE requestid = 'x'",
                "there is no column requestid | did you mean request_id?",
            ),
            (
                "SELECT e.eventSource FROM events e",
                "there is no column e.eventsource | did you mean event_source?",
            ),
            (
                "SELECT wibble FROM events",
                "there is no column wibble | SELECT name, description FROM columns shows those of events",
            ),
            (
                "SELECT wibble FROM (SELECT event_name, region FROM events) e",
                "there is no column wibble | the columns here are event_name, region",
            ),
            ("SELECT * FROM event", "there is no table event | did you mean events?"),
            ("SELECT * FROM wibble", "there is no table wibble | SHOW TABLES lists the tables and views"),
            (
                "SELECT json_get_string(request_parameters, 'a') FROM events",
                "there is no function json_get_string | did you mean json_get_str",
            ),
            ("SELECT event_name FRM events", "syntax: "),
        ] {
            let error = fails(&session, sql).await;
            assert!(error.starts_with(said), "{sql}: {error}");
            assert!(!error.contains('\n') && error.len() < 250, "{error}");
        }
    }

    #[tokio::test]
    async fn statements_run_in_order_and_views_last_as_long_as_the_session() {
        let session = lake().await.session();
        let sql = "CREATE VIEW logins AS SELECT * FROM events WHERE event_name = 'ConsoleLogin'; -- ; a comment\n\
                   SELECT count(*), 'a;b' FROM logins;";
        assert_eq!(ask(&session, sql).await, ["1|a;b"]);
        assert!(ask(&session, "SHOW TABLES").await.iter().any(|line| line.contains("|logins|")));
        let error = fails(&session, "SELECT * FROM login").await;
        assert!(error.contains("did you mean logins?"), "{error}");
        assert!(fails(&session, " ; ").await.contains("the query is empty"));
        assert!(fails(&session, "INSERT INTO events SELECT * FROM events").await.len() < 250);
    }

    #[tokio::test]
    async fn the_tables_describe_themselves() {
        let session = lake().await.session();
        let described = ask(&session, "DESCRIBE events").await;
        assert_eq!(described.len(), COLUMNS.len() + 1);
        let sql = "SELECT type, json_path, origin FROM columns WHERE name = 'user_identity_arn'";
        assert_eq!(ask(&session, sql).await, ["text|userIdentity.arn|field"]);
        let sql = "SELECT count(*) FROM columns c JOIN information_schema.columns i \
                   ON i.table_name = 'events' AND i.column_name = c.name";
        assert_eq!(ask(&session, sql).await, [(COLUMNS.len() + 1).to_string()]);
        assert!(!ask(&session, "EXPLAIN SELECT * FROM events").await.is_empty());
    }

    #[tokio::test]
    async fn json_columns_are_read_into_with_operators() {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        let payloads =
            StringArray::from(vec![Some(r#"{"bucketName":"logs","n":{"a":[1,2]}}"#), Some("{}"), None]);
        lake.add(&[Some("2026-03-01")], &batch(&[("request_parameters", Arc::new(payloads))]), json!({}))
            .await;
        let session = lake.session();
        let sql = "SELECT request_parameters->>'bucketName', (request_parameters->'n'->'a'->>1)::int \
                   FROM events WHERE request_parameters->>'bucketName' LIKE 'lo%'";
        assert_eq!(ask(&session, sql).await, ["logs|2"]);
    }

    #[tokio::test]
    async fn a_lake_in_a_folder_is_read_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, size) = encoded(&events(&[(0, Some("GetUser"))]));
        std::fs::write(folder.path().join("a b.parquet"), file).unwrap();
        let root = object_store::path::Path::from_absolute_path(folder.path()).unwrap();
        let location = Location {
            store: Arc::new(object_store::local::LocalFileSystem::new()),
            url: format!("file:///{root}/"),
            prefix: root,
            meter: Arc::default(),
        };
        let stats = String::new();
        let file = DataFile { path: "a b.parquet".into(), size, rows: 1, partition: Vec::new(), stats };
        let session = Session::over(location, &[], vec![file], 64 << 20).unwrap();
        assert_eq!(ask(&session, "SELECT event_name FROM events").await, ["GetUser"]);
    }

    #[tokio::test]
    async fn copy_writes_a_file() {
        let session = lake().await.session();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("names.csv");
        let sql = format!("COPY (SELECT event_name FROM events ORDER BY 1) TO '{}'", file.display());
        assert_eq!(ask(&session, &sql).await, ["2"]);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "event_name\nConsoleLogin\nGetUser\n");
    }

    #[tokio::test]
    async fn more_memory_than_allowed_is_spilt_or_refused_with_the_flag_to_raise_it() {
        let session = lake().await.session_of(4 << 20);
        let ranked = "SELECT row_number() OVER (ORDER BY value % 1000, value) AS place FROM generate_series(1, 400000)";
        let plan =
            ask(&session, &format!("EXPLAIN ANALYZE SELECT max(place) FROM ({ranked})")).await.join("\n");
        let sort = plan.lines().find(|line| line.contains("SortExec")).unwrap();
        assert!(sort.contains("spill_count=") && !sort.contains("spill_count=0"), "{sort}");
        assert_eq!(ask(&session, &format!("SELECT max(place) FROM ({ranked})")).await, ["400000"]);
        let hoarding = "SELECT value FROM generate_series(1, 400000) ORDER BY value % 1000 LIMIT 390000";
        let error = fails(&session, hoarding).await;
        assert!(error.contains("more memory") && error.contains("--memory"), "{error}");
    }
}
