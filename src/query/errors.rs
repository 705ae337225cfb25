//! What an engine's error means to the person who wrote the query: one line, and a hint where there is one.

use std::error::Error as StdError;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

use crate::error::{Error, Place};
use crate::store;

/// The names that a query may use.
pub(super) struct Names {
    /// Tables and views.
    pub(super) tables: Vec<String>,
    /// Functions of every kind.
    pub(super) functions: Vec<String>,
}

/// The most names a hint offers.
const MOST_OFFERED: usize = 3;

/// Says what an error met while rows were read means.
pub fn explain(error: DataFusionError) -> Error {
    explain_plan(error, &Names { tables: Vec::new(), functions: Vec::new() })
}

/// Says what an error met while a statement was planned means, with the names that come nearest to a wrong one.
pub(super) fn explain_plan(error: DataFusionError, names: &Names) -> Error {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            explain_plan(*inner, names)
        }
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(error) => explain_plan(error, names),
            Err(shared) => explain_text(&shared, names),
        },
        DataFusionError::ObjectStore(error) => explain_store(*error),
        DataFusionError::ParquetError(error) => match *error {
            ParquetError::External(cause) => explain_cause(cause),
            error => Error::failed("a data file cannot be read").caused_by(error),
        },
        DataFusionError::ArrowError(error, _) => match *error {
            ArrowError::ExternalError(cause) => explain_cause(cause),
            error => Error::failed(one_line(&error.to_string())),
        },
        DataFusionError::External(cause) => explain_cause(cause),
        error => explain_text(&error, names),
    }
}

/// The part of [`explain_plan`] that need not own the error.
fn explain_text(error: &DataFusionError, names: &Names) -> Error {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            explain_text(inner, names)
        }
        DataFusionError::Shared(shared) => explain_text(shared, names),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => explain_text(first, names),
            None => Error::failed("the query failed"),
        },
        DataFusionError::SchemaError(schema, _) => explain_schema(schema),
        DataFusionError::SQL(parser, _) => {
            let said = one_line(parser.to_string().trim_start_matches("sql parser error: "))
                .replace("Expected: ", "expected ")
                .replace(", found: ", ", found ")
                .replace("found EOF", "found the end")
                .replace(" at Line: ", " at line ")
                .replace(", Column: ", ", column ");
            syntax(said)
        }
        DataFusionError::Plan(said) => explain_names(said, names).unwrap_or_else(|| explain_refusal(said)),
        DataFusionError::ResourcesExhausted(said) => {
            Error::failed("the query needs more memory than it may use")
                .caused_by(one_line(said))
                .hint("allow more with --memory, or ask about fewer days: WHERE event_date BETWEEN … AND …")
        }
        error => explain_refusal(&error.message()),
    }
}

/// A syntax error, about the place that it names.
fn syntax(said: String) -> Error {
    let error = Error::failed(format!("syntax: {said}"));
    let place = said.rsplit_once(" at line ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", column ")?;
        Some(Place::Position { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    match place {
        Some(place) => error.at(place),
        None if said.ends_with("found the end") => error.at(Place::End),
        None => error,
    }
}

/// What the engine does not do, where it is what people try.
fn explain_refusal(said: &str) -> Error {
    if said.contains("Cannot access field") {
        Error::failed("JSON text is not reached into with a dot or with brackets")
            .hint("write ->> and the key in quotes: request_parameters->>'bucketName'")
    } else if said.contains("not supported for Base table") || said.contains("Insert into not implemented") {
        Error::failed("no statement changes the events of a lake")
            .hint("CREATE VIEW, and CREATE TABLE … AS SELECT, last as long as this command")
    } else {
        Error::failed(one_line(said))
    }
}

fn explain_cause(cause: Box<dyn StdError + Send + Sync>) -> Error {
    let cause = match cause.downcast::<Error>() {
        Ok(error) => return *error,
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<DataFusionError>() {
        Ok(error) => return explain(*error),
        Err(cause) => cause,
    };
    match cause.downcast::<object_store::Error>() {
        Ok(error) => explain_store(*error),
        Err(cause) => Error::failed(one_line(&cause.to_string())),
    }
}

fn explain_store(error: object_store::Error) -> Error {
    let gone = matches!(error, object_store::Error::NotFound { .. });
    let explained = store::explain(error);
    if gone {
        explained.hint("the lake may have been compacted since the query began: run it again")
    } else {
        explained
    }
}

fn explain_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error =
                Error::failed(format!("there is no column {}", field.flat_name())).at_name(field.flat_name());
            let valid: Vec<&str> = valid_fields.iter().map(Column::name).collect();
            // `userIdentity.arn` reads as a column of a table, and is a path.
            let mut near = nearest(&field.flat_name(), &valid);
            if near.is_empty() {
                near = nearest(field.name(), &valid);
            }
            match offer(&near) {
                Some(hint) => error.hint(hint),
                None if valid.len() <= 12 && !valid.is_empty() => {
                    error.hint(format!("the columns here are {}", valid.join(", ")))
                }
                None => error.hint("SELECT name, description FROM columns shows those of events"),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Error::failed(format!("the column {} is in more than one table", field.name()))
                .at_name(field.name())
                .hint(format!("say which: table.{}", field.name()))
        }
        other => Error::failed(one_line(&other.to_string())),
    }
}

/// Planning errors that are about a name are only known by their text.
fn explain_names(said: &str, names: &Names) -> Option<Error> {
    if let Some(table) = between(said, "table '", "' not found") {
        let table = table.rsplit('.').next().unwrap_or(table);
        let known: Vec<&str> = names.tables.iter().map(String::as_str).collect();
        let error = Error::failed(format!("there is no table {table}")).at_name(table);
        return Some(match offer(&nearest(table, &known)) {
            Some(hint) => error.hint(hint),
            None if known.is_empty() => error,
            None => error.hint("SHOW TABLES lists the tables and views"),
        });
    }
    let function = between(said, "Invalid function '", "'")?;
    let known: Vec<&str> = names.functions.iter().map(String::as_str).collect();
    let error = Error::failed(format!("there is no function {function}")).at_name(function);
    Some(error.hint(match offer(&nearest(function, &known)) {
        Some(hint) => hint,
        None => "SHOW FUNCTIONS lists them".to_owned(),
    }))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

fn offer(names: &[&str]) -> Option<String> {
    let (last, others) = names.split_last()?;
    Some(match others {
        [] => format!("did you mean {last}?"),
        others => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// The names that `wanted` may stand for, the likeliest first. SQL folds names to lower case, so that what people
/// copy from a record, `eventName`, arrives as `eventname`: case, underscores and dots count for nothing.
fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = bare(wanted);
    let mut near: Vec<(usize, &str)> = Vec::new();
    for name in names {
        let bare_name = bare(name);
        let distance = if bare_name == wanted {
            0
        } else if wanted.len() >= 4 && (bare_name.ends_with(&wanted) || wanted.ends_with(&bare_name)) {
            1
        } else {
            1 + levenshtein(&wanted, &bare_name)
        };
        if distance <= 1 + wanted.len() / 4 {
            near.push((distance, name));
        }
    }
    near.sort();
    near.dedup();
    if near.first().is_some_and(|(distance, _)| *distance == 0) {
        near.retain(|(distance, _)| *distance == 0);
    }
    near.into_iter().take(MOST_OFFERED).map(|(_, name)| name).collect()
}

fn bare(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The first line, without a full stop, as messages are.
fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] =
        &["event_name", "event_time", "user_identity_arn", "user_identity_user_name", "region"];

    #[test]
    fn a_folded_name_and_a_json_path_find_their_column() {
        assert_eq!(nearest("eventname", COLUMNS), ["event_name"]);
        assert_eq!(nearest("useridentity.arn", COLUMNS), ["user_identity_arn"]);
        assert_eq!(nearest("username", COLUMNS), ["user_identity_user_name"]);
        assert_eq!(nearest("event_tiem", COLUMNS), ["event_time"]);
        assert_eq!(nearest("vpc", COLUMNS), [""; 0]);
    }

    #[test]
    fn several_offers_read_as_a_sentence() {
        assert_eq!(offer(&["a", "b", "c"]).unwrap(), "did you mean a, b or c?");
        assert_eq!(offer(&[]), None);
    }
}
