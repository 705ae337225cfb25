//! `trailhouse sql`: answers from a lake.

use std::io::{self, BufWriter, IsTerminal, Read};
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::lake::{LakeArgs, MemoryArgs};
use crate::error::{Context, Error, Result};
use crate::query::format::{self, Written};
use crate::query::{Format, Session};

/// Answer SQL over a lake
///
/// Runs statements over the tables `events`, one row an event; `ledger`, what became of every source object;
/// `rejected`, what could not be converted; and `columns`, one row a column of `events` with its meaning. The dialect is PostgreSQL's as Apache DataFusion speaks it. Read into the JSON columns with `->>`. Rows go
/// to standard output, everything else to standard error. Nothing a statement does changes the lake.
///
/// Files run before commands; without either, statements are read from standard input.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SqlArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Run these statements, separated by `;` (can be repeated)
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,

    /// Run the statements in this file; `-` is standard input (can be repeated)
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,

    /// Write rows in this format
    ///
    /// Where the table is written to a terminal, long values are cut to fit, with `…`; into a pipe or a file they are
    /// written whole.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,

    #[command(flatten)]
    memory: MemoryArgs,
}

const EXAMPLES: &str = "\
Examples:
  What did this access key do, in every account, since March?
    trailhouse sql s3://org-lake/ -c \"
      SELECT event_time, account, region, event_source, event_name, source_ip_address, error_code
      FROM events
      WHERE event_date >= '2026-03-01' AND user_identity_access_key_id = 'AKIAEXAMPLE'
      ORDER BY event_time\"

  Which buckets were made public, as one JSON object a line?
    trailhouse sql lake/ --format ndjson -c \"
      SELECT event_time, principal, request_parameters->>'bucketName' AS bucket
      FROM events WHERE event_name = 'DeleteBucketPublicAccessBlock'\"

  Which columns are there?
    trailhouse sql lake/ -c 'SELECT name, description FROM columns'

  What became of the objects that were delivered on a day?
    trailhouse sql lake/ -c \"
      SELECT verdict, count(*) AS objects, sum(rows) AS rows, sum(rejected) AS rejected
      FROM ledger WHERE path_day = '2026-03-01' GROUP BY verdict\"

  Keep an answer as a file:
    trailhouse sql lake/ -c \"
      COPY (SELECT * FROM events WHERE error_code IS NOT NULL) TO 'errors.parquet'\"

Name days with event_date where you can: it decides which files are opened.";

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Format::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(match self {
            Format::Table => "Drawn for people",
            Format::Csv => "Comma-separated with a header; null is empty, the empty text is \"\"",
            Format::Tsv => "The same, separated by tabs",
            Format::Json => "One array of objects",
            Format::Ndjson => "One object a line",
            Format::Markdown => "A Markdown table",
        }))
    }
}

/// Runs the statements and writes their rows, each statement's after the other's.
///
/// # Errors
/// The first statement that fails ends the command; the rows of those before it have been written.
pub async fn run(args: SqlArgs) -> Result<()> {
    let texts = statements(&args)?;
    let lake = args.lake.open().await?;
    let session = Session::open(&lake, args.memory.memory)?;

    let stdout = io::stdout();
    let terminal_width = stdout.is_terminal().then(terminal_width);
    let mut out = BufWriter::with_capacity(64 * 1024, stdout.lock());
    for text in &texts {
        for statement in session.parse(text)? {
            let rows = session.run(statement).await?;
            match format::write(args.format, rows, terminal_width, &mut out).await? {
                Written::All(rows) => tracing::debug!(rows, "a statement is done"),
                Written::Closed => return Ok(()),
            }
        }
    }
    Ok(())
}

/// The texts to run, in order, all of them read before anything runs.
fn statements(args: &SqlArgs) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for file in &args.file {
        texts.push(if file.as_os_str() == "-" {
            standard_input()?
        } else {
            std::fs::read_to_string(file).context(|| format!("reading {}", file.display()))?
        });
    }
    texts.extend(args.command.iter().cloned());
    if texts.is_empty() {
        let (why, text) = if io::stdin().is_terminal() {
            ("this version has no interactive shell", String::new())
        } else {
            ("standard input is empty", standard_input()?)
        };
        if text.trim().is_empty() {
            return Err(Error::usage(format!("no statement is given, and {why}"))
                .hint("give one with -c 'SELECT …', in a file with -f FILE, or on standard input"));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context(|| "reading standard input".to_owned())?;
    Ok(text)
}

/// The columns of the terminal, as shells that export it say; else what most have at least.
fn terminal_width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.unwrap_or(120)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: SqlArgs,
    }

    fn parsed(words: &[&str]) -> Result<SqlArgs, String> {
        let words = ["sql"].iter().chain(words);
        Alone::try_parse_from(words).map(|alone| alone.args).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_mean_what_their_help_says() {
        Alone::command().debug_assert();
        let args = parsed(&["lake/", "-c", "SELECT 1", "-c", "SELECT 2"]).unwrap();
        assert_eq!((args.format, args.memory.memory), (Format::Table, 1 << 30));
        assert_eq!(statements(&args).unwrap(), ["SELECT 1", "SELECT 2"]);
        let args = parsed(&["lake/", "--format", "ndjson", "--memory", "512MiB"]).unwrap();
        assert_eq!((args.format, args.memory.memory), (Format::Ndjson, 512 << 20));
    }

    #[test]
    fn a_wrong_value_is_answered_with_the_right_ones() {
        assert!(
            parsed(&["lake/", "--format", "xml"])
                .unwrap_err()
                .contains("table, csv, tsv, json, ndjson, markdown")
        );
        assert!(parsed(&["lake/", "--memory", "lots"]).unwrap_err().contains("512MiB"));
        assert!(parsed(&["lake/", "--lake-option", "region"]).unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn files_run_before_commands() {
        let folder = tempfile::tempdir().unwrap();
        let views = folder.path().join("views.sql");
        std::fs::write(&views, "CREATE VIEW v AS SELECT 1").unwrap();
        let views = views.to_str().unwrap();
        let args = parsed(&["lake/", "-c", "SELECT * FROM v", "-f", views]).unwrap();
        assert_eq!(statements(&args).unwrap(), ["CREATE VIEW v AS SELECT 1", "SELECT * FROM v"]);
        let args = parsed(&["lake/", "-f", "no/such.sql"]).unwrap();
        assert!(statements(&args).unwrap_err().chain().starts_with("reading no/such.sql: "));
    }
}
