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

fn view(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.registered.table_names();
        for view in VIEWS {
            if !names.iter().any(|name| name == view.name) {
                names.push(view.name.to_owned());
            }
        }
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let registered = self.registered.table(name).await?;
        let (None, Some(view)) = (&registered, view(name)) else {
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
        self.registered.register_table(name.to_owned(), table.clone())?;
        Ok(Some(table))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        if !self.registered.table_exist(name) && view(name).is_some() {
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
        self.registered.table_exist(name) || view(name).is_some()
    }
}
