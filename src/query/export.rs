//! The rows `trailhouse export` rebuilds records from.

use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;

use super::errors;
use super::session::{self, Session};
use crate::error::{Error, Result};
use crate::schema::{COLUMNS, Form};

/// Every column of [`COLUMNS`], of the types of [`crate::schema::arrow_schema`], of the events that `where_sql`, an
/// expression, holds for.
///
/// Rows come in the order of file paths and, within a file, in its own: files are decoded one after another, while
/// the caller can rebuild on other cores.
pub async fn export_stream(session: &Session, where_sql: Option<&str>) -> Result<SendableRecordBatchStream> {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|column| match column.form {
            // Partition columns are plain text.
            Form::Text => format!("arrow_cast(\"{name}\", 'Utf8View') AS \"{name}\"", name = column.name),
            _ => format!("\"{}\"", column.name),
        })
        .collect();
    let mut sql = format!("SELECT {} FROM events", columns.join(", "));
    if let Some(condition) = where_sql {
        // On lines of its own, so that a comment in it ends.
        sql.push_str(&format!(" WHERE (\n{condition}\n)"));
    }
    let mut statements = session.parse(&sql)?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Error::usage("--where takes one condition, not statements"));
    };

    let mut state = session.context.state();
    state.config_mut().options_mut().execution.target_partitions = 1;
    let context = SessionContext::new_with_state(state);
    let rows = session::run(&context, statement).await;
    rows.map_err(|error| errors::explain_plan(error, &session.names()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, RecordBatch};
    use futures::TryStreamExt;
    use serde_json::json;

    use super::super::testing::{TestLake, events};
    use super::*;
    use crate::schema::{arrow_schema, known};

    async fn names(session: &Session, condition: Option<&str>) -> Vec<String> {
        let rows = export_stream(session, condition).await.unwrap();
        let schema = rows.schema();
        let expected = arrow_schema();
        for (field, expected) in schema.fields().iter().zip(expected.fields()) {
            assert_eq!((field.name(), field.data_type()), (expected.name(), expected.data_type()));
        }
        assert_eq!(schema.fields().len(), expected.fields().len());
        let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        let column = const { known("event_name") };
        batches
            .iter()
            .flat_map(|batch| batch.column(column).as_string_view().iter())
            .flatten()
            .map(String::from)
            .collect()
    }

    #[tokio::test]
    async fn rows_come_in_the_order_of_files_with_the_types_that_decoding_gives() {
        let mut lake = TestLake::partitioned_by(&["account", "event_date"]);
        for file in 0..9 {
            let (first, second) = (format!("{file}a"), format!("{file}b"));
            let rows = events(&[(1, Some(&first)), (0, Some(&second))]);
            lake.add(&[Some("1"), Some("2026-03-01")], &rows, json!({})).await;
        }
        let session = lake.session();
        let all: Vec<String> = (0..9).flat_map(|file| [format!("{file}a"), format!("{file}b")]).collect();
        assert_eq!(names(&session, None).await, all);
        assert_eq!(names(&session, Some("event_name > '8' -- the last")).await, ["8a", "8b"]);
        assert_eq!(names(&session, Some("event_name = '1a' OR account = '2'")).await, ["1a"]);
    }

    #[tokio::test]
    async fn a_condition_is_one_expression() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        for condition in ["true); DROP TABLE events; SELECT (1", "", "true; true", "eventName = 'x'"] {
            assert!(export_stream(&session, Some(condition)).await.is_err(), "{condition}");
        }
    }
}
