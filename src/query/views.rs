//! The views of `sql/views`. Each is planned when a statement first names it: a session pays for those it uses.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::{TableType, ViewTable};
use datafusion::execution::SessionState;

use super::rewrite;

/// A view that every session has.
pub struct View {
    /// What it is called.
    pub name: &'static str,
    /// The statement, after a line of help.
    sql: &'static str,
}

impl View {
    /// What it shows, in one line.
    pub fn help(&self) -> &'static str {
        self.sql.lines().next().unwrap_or_default().trim_start_matches("-- ")
    }
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        &[$(View { name: $name, sql: include_str!(concat!("../../sql/views/", $name, ".sql")) }),*]
    };
}

/// The views, in the order in which they are listed.
pub const VIEWS: &[View] = views![
    "cloudtrail_logs",
    "cloudtrail_lake",
    "aws_cloudtrail_log",
    "ocsf_api_activity",
    "console_logins",
    "role_assumptions",
    "denied_calls",
    "principals",
    "sessions",
    "insights",
    "network_activity",
];

type State = Box<dyn Fn() -> Option<SessionState> + Send + Sync>;

/// The tables of a session, with [`VIEWS`] beneath those that it registers itself.
pub(super) struct Tables {
    registered: MemorySchemaProvider,
    /// What views are planned with. The session owns this, so it must not own the session.
    state: OnceLock<State>,
}

impl Tables {
    pub(super) fn new() -> Tables {
        Tables { registered: MemorySchemaProvider::new(), state: OnceLock::new() }
    }

    /// The views, where there is what they are views of: a session may be without a lake.
    fn views(&self) -> &'static [View] {
        if self.registered.table_exist("events") { VIEWS } else { &[] }
    }

    fn view(&self, name: &str) -> Option<&'static View> {
        self.views().iter().find(|view| view.name == name)
    }

    /// Says how to come by the session's state, once there is one.
    pub(super) fn plan_with(&self, state: impl Fn() -> Option<SessionState> + Send + Sync + 'static) {
        self.state.get_or_init(|| Box::new(state));
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("registered", &self.registered).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.registered.table_names();
        for view in self.views() {
            if !names.iter().any(|name| name == view.name) {
                names.push(view.name.to_owned());
            }
        }
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let registered = self.registered.table(name).await?;
        let (None, Some(view)) = (&registered, self.view(name)) else {
            return Ok(registered);
        };
        let Some(state) = self.state.get().and_then(|state| state()) else {
            return plan_err!("the session of the view {name} is closed");
        };
        let mut statements = rewrite::parse(view.sql)?;
        let Some(statement) = statements.pop_front() else {
            return plan_err!("the view {name} is empty");
        };
        let plan = state.statement_to_plan(statement).await?;
        let table: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, Some(view.sql.to_owned())));
        // Another statement, or completion, may have planned it meanwhile.
        match self.registered.register_table(name.to_owned(), table.clone()) {
            Ok(_) => Ok(Some(table)),
            Err(_) => self.registered.table(name).await,
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        if !self.registered.table_exist(name) && self.view(name).is_some() {
            return Ok(Some(TableType::View));
        }
        self.registered.table_type(name).await
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        self.registered.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.registered.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.registered.table_exist(name) || self.view(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{TestLake, ask, batch, events};
    use super::*;
    use arrow::array::{ArrayRef, StringArray};

    #[test]
    fn every_file_is_a_view_with_a_line_of_help() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/views");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let mut names: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        for view in VIEWS {
            assert!(view.sql.starts_with("-- ") && view.help().len() > 20, "{}", view.name);
        }
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        for view in VIEWS {
            assert!(
                readme.contains(&format!("\n| `{}` | ", view.name)),
                "README.md does not list {}",
                view.name
            );
        }
    }

    #[tokio::test]
    async fn a_view_is_planned_when_it_is_named() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        let state = session.context.state();
        let tables = Tables::new();
        tables.plan_with(move || Some(state.clone()));
        assert!(tables.table_names().is_empty() && tables.table("cloudtrail_logs").await.unwrap().is_none());
        let events = session.context.table_provider("events").await.unwrap();
        tables.register_table("events".to_owned(), events).unwrap();
        assert!(tables.table_exist("cloudtrail_logs") && tables.registered.table_names().len() == 1);
        assert!(tables.table("cloudtrail_logs").await.unwrap().is_some());
        assert_eq!(tables.registered.table_names().len(), 2);
        for view in VIEWS {
            assert!(ask(&session, &format!("SELECT * FROM {}", view.name)).await.is_empty(), "{}", view.name);
        }
        let listed = ask(&session, "SHOW TABLES").await;
        assert!(listed.iter().any(|line| line.ends_with("|principals|VIEW")), "{listed:?}");
        assert!(!ask(&session, "DESCRIBE console_logins").await.is_empty());
    }

    #[tokio::test]
    async fn a_view_of_the_users_stands_before_ours() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        ask(&session, "CREATE OR REPLACE VIEW insights AS SELECT 1 AS mine").await;
        assert_eq!(ask(&session, "SELECT mine FROM insights").await, ["1"]);
        ask(&session, "DROP VIEW insights").await;
        assert!(ask(&session, "SELECT state FROM insights").await.is_empty());
    }

    /// A lake of one event a file, on three days, by two users.
    async fn three_days() -> TestLake {
        let mut lake = TestLake::partitioned_by(&["event_date"]);
        for (day, user) in [(0, "alina"), (1, "bo"), (2, "alina")] {
            let rows = events(&[(day * 86_400_000_000 + 1_000_000, Some("GetUser"))]);
            let arn = format!("arn:aws:iam::1:user/{user}");
            let column = |text: &str| Arc::new(StringArray::from(vec![text.to_owned()])) as ArrayRef;
            let mut columns: Vec<(&str, ArrayRef)> =
                vec![("event_time", rows.column(0).clone()), ("event_name", rows.column(1).clone())];
            columns.push(("user_identity_arn", column(&arn)));
            columns.push(("request_parameters", column("{\"bucketName\":\"logs\",\"n\":[1]}")));
            let date = format!("2026-03-0{}", day + 1);
            let time = format!("{date}T00:00:01.000Z");
            let bounds = json!({"event_time": time, "user_identity_arn": arn});
            let stats = json!({"numRecords": 1, "minValues": bounds, "maxValues": bounds,
                "nullCount": {"event_time": 0, "user_identity_arn": 0}});
            lake.add(&[Some(date.as_str())], &batch(&columns), stats).await;
        }
        lake
    }

    #[tokio::test]
    async fn what_is_asked_of_a_view_decides_which_files_are_opened() {
        let lake = three_days().await;
        let session = lake.session();
        let logs = "cloudtrail_logs";
        for (view, filter, files) in [
            (logs, "year = '2026' AND month = '03' AND day = '02'", vec![1]),
            (logs, "\"timestamp\" BETWEEN '2026/03/02' AND '2026/03/09'", vec![1, 2]),
            (logs, "date_partition = '2026/03/01'", vec![0]),
            (logs, "eventtime >= '2026-03-02'", vec![1, 2]),
            (logs, "eventtime = '2026-03-02T00:00:01Z'", vec![1]),
            (logs, "eventtime BETWEEN '2026-03-02T00:00:00Z' AND '2026-03-02T23:59:59Z'", vec![1]),
            (logs, "eventtime LIKE '2026-03-01%'", vec![0]),
            (logs, "eventtime > timestamp '2026-03-03 00:00:00'", vec![2]),
            (logs, "from_iso8601_timestamp(eventtime) < timestamp '2026-03-02 00:00:00 UTC'", vec![0]),
            (logs, "date_parse(eventtime, '%Y-%m-%dT%H:%i:%sZ') >= date '2026-03-03'", vec![2]),
            (logs, "date(from_iso8601_timestamp(eventtime)) = date '2026-03-03'", vec![2]),
            (
                logs,
                "CAST(from_iso8601_timestamp(eventtime) AS date) BETWEEN date '2026-03-02' AND date '2026-03-09'",
                vec![1, 2],
            ),
            ("cloudtrail_lake", "CAST(eventtime AS date) < date '2026-03-02'", vec![0]),
            (logs, "from_iso8601_timestamp(eventtime) > date_add('day', -7, current_timestamp)", vec![]),
            (
                logs,
                "from_iso8601_timestamp(eventtime) > timestamp '2026-03-02' AND eventtime < '2026-03-03'",
                vec![1],
            ),
            (logs, "useridentity.arn = 'arn:aws:iam::1:user/bo'", vec![1]),
            (logs, "useridentity.arn IS NULL", vec![]),
            ("cloudtrail_lake", "eventtime > '2026-03-03 00:00:00'", vec![2]),
            ("cloudtrail_lake", "useridentity.arn = 'arn:aws:iam::1:user/bo'", vec![1]),
            (
                "cloudtrail_lake",
                "json_extract_scalar(eventjson, '$.userIdentity.arn') = 'arn:aws:iam::1:user/bo'",
                vec![1],
            ),
            ("aws_cloudtrail_log", "tp_date = date '2026-03-02'", vec![1]),
            ("aws_cloudtrail_log", "tp_timestamp < timestamp '2026-03-02 00:00:00'", vec![0]),
            ("aws_cloudtrail_log", "user_identity.arn = 'arn:aws:iam::1:user/bo'", vec![1]),
            ("ocsf_api_activity", "eventday = '20260302'", vec![1]),
            ("ocsf_api_activity", "actor.user.uid = 'arn:aws:iam::1:user/bo'", vec![1]),
        ] {
            let found = ask(&session, &format!("SELECT * FROM {view} WHERE {filter}")).await;
            assert_eq!((found.len(), lake.read()), (files.len(), files), "{view}: {filter}");
        }
    }

    #[tokio::test]
    async fn the_latest_events_open_only_the_latest_files() {
        let lake = three_days().await;
        let session = lake.session();
        ask(&session, "SET datafusion.execution.target_partitions = 1").await;
        let sql = "SELECT eventtime, eventname FROM cloudtrail_lake ORDER BY eventtime DESC LIMIT 1";
        assert_eq!(ask(&session, sql).await, ["2026-03-03T00:00:01Z|GetUser"]);
        assert_eq!(lake.read(), [2]);
        let sql = "SELECT eventtime, useridentity.arn FROM cloudtrail_logs ORDER BY eventtime DESC LIMIT 1";
        assert_eq!(ask(&session, sql).await, ["2026-03-03T00:00:01Z|arn:aws:iam::1:user/alina"]);
    }

    #[tokio::test]
    async fn what_is_not_asked_for_is_not_built() {
        let session = three_days().await.session();
        for (sql, read) in [
            (
                "SELECT useridentity.arn, eventname FROM cloudtrail_logs",
                vec!["event_name", "user_identity_arn"],
            ),
            ("SELECT eventname FROM cloudtrail_lake GROUP BY eventname", vec!["event_name"]),
            (
                "SELECT element_at(requestparameters, 'bucketName') FROM cloudtrail_lake",
                vec!["request_parameters"],
            ),
            ("SELECT requestparameters['bucketName'] FROM cloudtrail_lake", vec!["request_parameters"]),
            (
                "SELECT count(*) FROM aws_cloudtrail_log WHERE user_identity.arn LIKE '%o'",
                vec!["user_identity_arn"],
            ),
        ] {
            let plan = ask(&session, &format!("EXPLAIN {sql}")).await.join("\n");
            let (_, scan) = plan.split_once("TableScan: events projection=[").unwrap();
            let (columns, _) = scan.split_once(']').unwrap();
            let mut columns: Vec<&str> = columns.split(", ").collect();
            columns.sort_unstable();
            assert_eq!(columns, read, "{sql}");
            assert!(!plan.contains("json_map(") && !plan.contains("nullable_struct("), "{sql}: {plan}");
        }
        let found = "SELECT DISTINCT requestparameters['bucketName'], element_at(requestparameters, 'n') FROM cloudtrail_lake";
        assert_eq!(ask(&session, found).await, ["logs|[1]"]);
    }
}
