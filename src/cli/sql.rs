//! `trailhouse sql`: answers from a lake.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::lake::{MemoryArgs, open_lake, parse_option};
use super::shell::{Flow, Settings, Shell};
use crate::error::{Context, Error, Result};
use crate::query::{Format, Session};

/// Answer SQL over a lake
///
/// Runs statements over the tables `events`, one row an event; `ledger`, what became of every source object;
/// `rejected`, what could not be converted; and `columns`, one row a column of `events` with its meaning. A Parquet,
/// CSV or JSON file is a table by its name in quotes. Views show the events in other tools' shapes: `cloudtrail_logs`
/// (Athena), `cloudtrail_lake`, `aws_cloudtrail_log` (Tailpipe), and more; `SHOW TABLES` lists them. The dialect is
/// PostgreSQL's as Apache DataFusion speaks it, with what those tools add. Read into the JSON columns with `->>`. Rows go
/// to standard output, everything else to standard error. Nothing a statement does changes the lake.
///
/// Files run before commands; without either, statements are read from standard input, and where that is a terminal, this is
/// a shell: Tab completes, `\h` shows help.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SqlArgs {
    /// The lake, a URL or a path
    ///
    /// Without one there are the files that statements name, and what is attached.
    #[arg(value_name = "LAKE")]
    lake: Option<String>,

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

    /// Write rows to this file
    ///
    /// It has its name once it is whole: where a statement fails, what had the name before is still there.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Give the parameter $NAME of the statements a value (can be repeated)
    ///
    /// The value is never part of the statement's text. It is converted to what it is compared with, as a quoted text is; say
    /// how where it is not compared: $days::int. In LIMIT it is a number.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_option)]
    param: Vec<(String, String)>,

    /// Attach a lake as NAME.events, or a Parquet, CSV or JSON file as NAME (can be repeated)
    #[arg(long, value_name = "NAME=URL", value_parser = parse_attached)]
    attach: Vec<(String, String)>,

    /// Write at most this many rows of a result
    #[arg(long, value_name = "ROWS")]
    max_rows: Option<u64>,

    /// Say on standard error how long each statement took, and how much of the lake it read
    #[arg(long)]
    timing: bool,

    /// In CSV and TSV, put a `'` before text that a spreadsheet would run as a formula
    ///
    /// That is text that starts with =, +, -, @, a tab or a carriage return: whoever may choose a user agent may write a
    /// formula into a log. It changes the values, so only ask for it where a spreadsheet will read them.
    #[arg(long)]
    no_formulas: bool,

    /// Show no colors (NO_COLOR does the same)
    #[arg(long)]
    no_color: bool,

    #[command(flatten)]
    memory: MemoryArgs,

    /// Set an option of the lake's store, over the environment (can be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option, display_order = 800)]
    lake_option: Vec<(String, String)>,
}

impl SqlArgs {
    /// Whether somebody types at a prompt.
    pub fn is_interactive(&self) -> bool {
        self.command.is_empty()
            && self.file.is_empty()
            && io::stdin().is_terminal()
            && io::stdout().is_terminal()
    }
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

  What did they do? Ask in a shell:
    trailhouse sql lake/

  Keep an answer as a file; give values apart from the statement:
    trailhouse sql lake/ --format parquet -o errors.parquet --param code=AccessDenied -c \"
      SELECT * FROM events WHERE error_code = $code\"

  Join with a file, or with another lake:
    trailhouse sql lake/ --attach old=s3://old-lake/ -c \"
      SELECT team, count(*) FROM old.events JOIN 'teams.csv' USING (account) GROUP BY 1\"

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
            Format::Record => "One field a line, JSON laid out",
            Format::Parquet => "A Parquet file of one result",
            Format::Arrow => "An Arrow IPC file of one result",
        }))
    }
}

/// Runs the statements and writes their rows, each statement's after the other's; or lets somebody type them.
///
/// # Errors
/// The first statement that fails ends the command; the rows of those before it have been written.
pub async fn run(args: SqlArgs, quiet: bool) -> Result<()> {
    let interactive = args.is_interactive();
    let texts = if interactive { Vec::new() } else { statements(&args)? };
    let lake = match &args.lake {
        Some(lake) => Some(open_lake(lake, &args.lake_option).await?),
        None => None,
    };
    let session = match &lake {
        Some(lake) => Session::open(lake, args.memory.memory)?,
        None => Session::without_lake(args.memory.memory)?,
    };
    for (name, value) in &args.param {
        session.set_param(name, value);
    }

    let settings = Settings {
        format: args.format,
        expanded: false,
        timing: args.timing || interactive,
        pager: true,
        progress: !quiet,
        color: !args.no_color && std::env::var_os("NO_COLOR").is_none(),
        no_formulas: args.no_formulas,
        max_rows: args.max_rows,
    };
    let mut shell = Shell::new(session, lake, args.lake_option, settings)?;
    for (name, url) in &args.attach {
        shell.attach(name, url).await?;
    }
    shell.write_to(args.output.as_deref())?;
    if interactive {
        return shell.interact().await;
    }
    for (origin, text) in &texts {
        if shell.run(text, origin.as_deref()).await? == Flow::Quit {
            break;
        }
    }
    shell.write_to(None)
}

/// The texts to run, in order, all of them read before anything runs; those of files with their names.
fn statements(args: &SqlArgs) -> Result<Vec<(Option<PathBuf>, String)>> {
    let mut texts = Vec::new();
    for file in &args.file {
        texts.push(if file.as_os_str() == "-" {
            (None, standard_input()?)
        } else {
            let text = std::fs::read_to_string(file).context(|| format!("reading {}", file.display()))?;
            (Some(file.clone()), text)
        });
    }
    texts.extend(args.command.iter().map(|text| (None, text.clone())));
    if texts.is_empty() {
        let (why, text) = if io::stdin().is_terminal() {
            ("the shell needs a terminal to write to", String::new())
        } else {
            ("standard input is empty", standard_input()?)
        };
        if text.trim().is_empty() {
            return Err(Error::usage(format!("no statement is given, and {why}"))
                .hint("give one with -c 'SELECT …', in a file with -f FILE, or on standard input"));
        }
        texts.push((None, text));
    }
    Ok(texts)
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context(|| "reading standard input".to_owned())?;
    Ok(text)
}

/// Reads `NAME=URL`, the name one that a statement need not quote.
pub(super) fn parse_attached(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("expected NAME=URL")?;
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if !name.starts_with(|char: char| char.is_ascii_lowercase()) || !name.chars().all(plain) {
        return Err("a name is of lower-case letters, digits and `_`, and starts with a letter".into());
    }
    if url.is_empty() {
        return Err("expected NAME=URL".into());
    }
    Ok((name.to_owned(), url.to_owned()))
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
        let args =
            parsed(&["lake/", "-c", "SELECT 1", "-c", "SELECT 2", "--lake-option", "region=eu-west-1=x"])
                .unwrap();
        assert_eq!((args.format, args.memory.memory), (Format::Table, 1 << 30));
        assert_eq!(args.lake_option, [("region".to_owned(), "eu-west-1=x".to_owned())]);
        let texts = statements(&args).unwrap();
        assert_eq!(texts, ["SELECT 1", "SELECT 2"].map(|text| (None, text.to_owned())));
        let args = parsed(&["lake/", "--format", "ndjson", "--memory", "512MiB"]).unwrap();
        assert_eq!((args.format, args.memory.memory), (Format::Ndjson, 512 << 20));
        let args =
            parsed(&["-o", "x.parquet", "-p", "key=a=b", "--attach", "old=s3://b/l/", "-c", ""]).unwrap();
        assert_eq!((args.lake, args.param[0].1.as_str()), (None, "a=b"));
        assert_eq!(args.attach, [("old".to_owned(), "s3://b/l/".to_owned())]);
    }

    #[test]
    fn a_wrong_value_is_answered_with_the_right_ones() {
        assert!(
            parsed(&["lake/", "--format", "xml"])
                .unwrap_err()
                .contains("table, csv, tsv, json, ndjson, markdown")
        );
        assert!(parsed(&["lake/", "--memory", "lots"]).unwrap_err().contains("512MiB"));
        assert!(parsed(&["--attach", "My Lake=s3://b/"]).unwrap_err().contains("lower-case letters"));
        assert!(parsed(&["lake/", "--lake-option", "region"]).unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn files_run_before_commands() {
        let folder = tempfile::tempdir().unwrap();
        let views = folder.path().join("views.sql");
        std::fs::write(&views, "CREATE VIEW v AS SELECT 1").unwrap();
        let views = views.to_str().unwrap();
        let args = parsed(&["lake/", "-c", "SELECT * FROM v", "-f", views]).unwrap();
        let texts: Vec<String> = statements(&args).unwrap().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["CREATE VIEW v AS SELECT 1", "SELECT * FROM v"]);
        let args = parsed(&["lake/", "-f", "no/such.sql"]).unwrap();
        assert!(statements(&args).unwrap_err().chain().starts_with("reading no/such.sql: "));
    }
}
