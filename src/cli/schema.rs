//! `trailhouse schema`: the columns of `events`.

use std::fmt::Write;

use clap::{Args, ValueEnum};

use super::{Outcome, ui};
use crate::error::Result;
use crate::schema::{COLUMNS, Column, EVENT_DATE, Origin};

/// Print the columns of the events table: name, type, JSON path and meaning
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SchemaArgs {
    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: SchemaFormat,
}

const EXAMPLES: &str = "\
Examples:
  Which column has the role's name?
    trailhouse schema | grep -i sessionIssuer";

/// How the columns are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// Aligned text
    Table,
    /// An array of objects
    Json,
    /// A Markdown table
    Markdown,
}

/// Prints the columns.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &SchemaArgs) -> Result<Outcome> {
    let columns: Vec<&Column> = std::iter::once(&EVENT_DATE).chain(COLUMNS).collect();
    let text = match args.format {
        SchemaFormat::Table => table(&columns),
        SchemaFormat::Json => json(&columns),
        SchemaFormat::Markdown => markdown(&columns),
    };
    ui::print_out(text.as_bytes())?;
    Ok(Outcome::Done)
}

/// What stands for the path of a column that is no field of its own.
fn path(column: &Column) -> &str {
    if column.origin == Origin::Derived { "(derived)" } else { column.path }
}

fn table(columns: &[&Column]) -> String {
    let width = |text: fn(&Column) -> usize| columns.iter().map(|column| text(column)).max().unwrap_or(0);
    let (names, paths) = (width(|column| column.name.len()), width(|column| path(column).len()));
    let mut text = String::new();
    for column in columns {
        let kind = column.form.sql_type();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:names$}  {kind:19}  {:paths$}  {}", column.name, path(column), column.doc);
    }
    text
}

fn markdown(columns: &[&Column]) -> String {
    let mut text = String::from("| column | type | JSON path | meaning |\n|---|---|---|---|\n");
    for column in columns {
        let path =
            if column.origin == Origin::Derived { "derived".into() } else { format!("`{}`", column.path) };
        let _ =
            writeln!(text, "| `{}` | {} | {path} | {} |", column.name, column.form.sql_type(), column.doc);
    }
    text
}

fn json(columns: &[&Column]) -> String {
    let objects: Vec<serde_json::Value> = columns
        .iter()
        .map(|column| {
            serde_json::json!({
                "name": column.name,
                "type": column.form.sql_type(),
                "json_path": (column.origin != Origin::Derived).then_some(column.path),
                "origin": format!("{:?}", column.origin).to_lowercase(),
                "description": column.doc,
            })
        })
        .collect();
    format!("{}\n", serde_json::Value::Array(objects))
}
