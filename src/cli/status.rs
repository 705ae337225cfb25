//! `trailhouse status`: what a lake holds, and what it does not hold yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use chrono::Utc;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};

use super::Outcome;
use super::convert::{Lookback, expect_accounts, parse_lookback};
use super::lake::{LakeArgs, parse_option};
use super::ui::{self, counted};
use super::when::between;
use crate::convert::status::{Amount, Run, SourceStatus, Span, Status, Wanted, status};
use crate::error::{Error, Result};
use crate::store::{Location, Options};

/// Say what a lake holds, and what sources hold that it does not yet
///
/// Days, accounts, Regions, events and files; what became of every object and record; the last runs. It is read from
/// the table log and the ledger: no data file is opened. Sources are listed as `convert` lists them, whole unless
/// --since or --until say otherwise, and no object of them is read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Compare these with the lake: s3://bucket/prefix/, file:///dir or a local path
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Look for objects of this account only (can be repeated)
    #[arg(long, value_name = "ID", requires = "sources")]
    account: Vec<String>,

    /// Look for objects that were delivered in this Region only (can be repeated)
    #[arg(long, value_name = "REGION", requires = "sources")]
    region: Vec<String>,

    /// Look for objects with events from this time on
    ///
    /// A date, an RFC 3339 time, or a time ago such as 36h or 7d, or yesterday. It is the time of the event, in UTC.
    #[arg(long, value_name = "WHEN", requires = "sources")]
    since: Option<String>,

    /// Look for objects with events before this time
    #[arg(long, value_name = "WHEN", requires = "sources")]
    until: Option<String>,

    /// List as far back as `convert` with the same --lookback would, where --since does not say
    #[arg(long, value_name = "DAYS", default_value = "all", value_parser = parse_lookback, requires = "sources")]
    lookback: Lookback,

    /// Print it as one JSON object
    #[arg(long)]
    json: bool,

    /// Set an option of the sources' store, over the environment (can be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option, requires = "sources")]
    source_option: Vec<(String, String)>,
}

const EXAMPLES: &str = "\
Examples:
  What is in the lake, and how did the last runs end?
    trailhouse status s3://org-lake/events/

  Is everything of the last week converted?
    trailhouse status s3://org-lake/events/ s3://org-trail/ --since 7d

  For a monitor: how many objects wait?
    trailhouse status s3://org-lake/events/ s3://org-trail/ --since 7d --json |
      jq '.sources[].new.number'

What became of single objects is in the SQL table `ledger`, and rejected input in `rejected`.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some folder of a source could not be listed.";

/// Runs are shown, and lines of what is new by account, Region and day.
const SHOWN: usize = 10;

/// Accounts and Regions are named where there are no more.
const NAMED: usize = 8;

/// Looks, and prints it.
///
/// # Errors
/// See [`status`].
pub async fn run(args: StatusArgs) -> Result<Outcome> {
    let now = Utc::now();
    expect_accounts(&args.account)?;
    let (since, until) = between(args.since.as_deref(), args.until.as_deref(), now)?;
    let wanted = Wanted {
        since,
        until,
        lookback_days: match args.lookback {
            Lookback::Days(days) => Some(days),
            Lookback::All => None,
        },
        now,
        accounts: args.account.into_iter().collect(),
        regions: args.region.into_iter().collect(),
    };
    let lake = args.lake.open().await?;
    let options = Options { pairs: args.source_option };
    let mut sources = Vec::with_capacity(args.sources.len());
    for source in &args.sources {
        sources.push(Location::open(source, &options).await?);
    }
    let status = status(&lake, &sources, &wanted).await?;
    let text = if args.json {
        let json = serde_json::to_string(&status);
        json.map_err(|error| Error::failed("writing the status").caused_by(error))? + "\n"
    } else {
        text(&status)
    };
    ui::print_out(text.as_bytes())?;
    for source in status.sources.iter().filter(|source| source.unlisted > 0) {
        ui::say(&format!("Not listed: {} of {}.", counted(source.unlisted, "folder"), source.source));
        for note in source.unlisted_folders.iter().take(SHOWN) {
            ui::say(&format!("  {}: {}", note.object, note.reason));
        }
    }
    let unlisted = status.sources.iter().any(|source| source.unlisted > 0);
    Ok(if unlisted { Outcome::Rejected } else { Outcome::Done })
}

fn text(status: &Status) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("Lake", status.lake.clone()),
        ("Table", format!("version {}, partitioned by {}", status.version, status.partitioned_by)),
        ("Days", days(status)),
    ];
    if let Some(day) = status.expired_before {
        lines.push(("Expired", format!("events before {day}")));
    }
    lines.push(("Accounts", named(&status.accounts)));
    lines.push(("Regions", named(&status.regions)));
    lines.push(("Events", HumanCount(status.events).to_string()));
    lines.push(("Files", files(status)));
    let objects = &status.objects;
    let became = [
        (objects.converted, "converted"),
        (objects.partly, "converted in part, as filters left records out"),
        (objects.empty, "without records"),
        (objects.foreign, "of another kind"),
        (objects.rejected, "rejected"),
    ];
    let became = became.iter().filter(|(number, _)| *number > 0);
    let became: Vec<String> = became.map(|(number, how)| format!("{} {how}", HumanCount(*number))).collect();
    let all = amount(&Amount { number: objects.known, bytes: status.object_bytes });
    lines.push(("Objects", if became.is_empty() { all } else { format!("{all}: {}", became.join(", ")) }));
    lines.push(("Records", records(status)));
    if status.rejected_files > 0 {
        let wait = if status.rejected_files == 1 { "waits" } else { "wait" };
        let files = counted(status.rejected_files, "file");
        lines.push(("Rejected", format!("{files} of input {wait} for a replay: SELECT * FROM rejected")));
    }
    if !status.balanced {
        let records = &status.records;
        lines.push((
            "DEFECT",
            format!(
                "the books do not balance: {} rows in the table, {} in the ledger, of {} records",
                status.events, records.rows, records.found
            ),
        ));
    }
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:9} {value}");
    }
    say_runs(&status.runs, &mut text);
    for source in &status.sources {
        say_source(source, &mut text);
    }
    text
}

fn span(span: &Span) -> String {
    if span.first == span.last { span.first.to_string() } else { format!("{} to {}", span.first, span.last) }
}

fn days(status: &Status) -> String {
    let days = &status.days;
    let undated = match days.undated_events {
        0 => String::new(),
        events => format!("; {} without a day", counted(events, "event")),
    };
    let Some(all) = &days.span else { return format!("none{undated}") };
    let missing = match days.missing {
        0 => String::new(),
        missing => {
            let mut spans: Vec<String> = days.missing_spans.iter().take(SHOWN).map(span).collect();
            if days.missing_spans.len() > SHOWN {
                spans.push("…".to_owned());
            }
            format!("; {} between without events: {}", counted(missing, "day"), spans.join(", "))
        }
    };
    format!("{}, {}{missing}{undated}", counted(days.number, "day"), span(all))
}

fn named(values: &BTreeSet<String>) -> String {
    let number = HumanCount(values.len() as u64);
    if values.is_empty() || values.len() > NAMED {
        return number.to_string();
    }
    format!("{number}: {}", values.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

fn amount(amount: &Amount) -> String {
    format!("{} ({})", HumanCount(amount.number), HumanBytes(amount.bytes))
}

fn files(status: &Status) -> String {
    let small = match status.small_files.number {
        0 => String::new(),
        _ => format!(", {} of them small enough to be merged", amount(&status.small_files)),
    };
    format!("{}{small}", amount(&status.files))
}

fn records(status: &Status) -> String {
    let records = &status.records;
    let conflicts = match status.conflicts {
        0 => String::new(),
        conflicts => format!("; {} with the id of another one", counted(conflicts, "row")),
    };
    format!(
        "{} = {} + {} + {} filtered + {} rejected{conflicts}",
        HumanCount(records.found),
        counted(records.rows, "row"),
        counted(records.duplicates, "duplicate"),
        HumanCount(records.filtered),
        HumanCount(records.rejected),
    )
}

fn say_runs(runs: &[Run], text: &mut String) {
    if runs.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{:20}  {:9}  {:>7}  {:>9}  {:>11}  {:>6}  run",
        "Last runs", "", "version", "objects", "rows", "files"
    );
    for run in runs.iter().take(SHOWN) {
        let count = |name: &str| run.counts.get(name).map_or("-".to_owned(), |n| HumanCount(*n).to_string());
        let _ = writeln!(
            text,
            "{:20}  {:9}  {:>7}  {:>9}  {:>11}  {:>6}  {}",
            run.time.as_deref().unwrap_or("-"),
            run.operation,
            run.version,
            count("objects"),
            count("rows"),
            count("files"),
            run.run_id.as_deref().unwrap_or("-"),
        );
    }
}

fn say_source(source: &SourceStatus, text: &mut String) {
    let _ = writeln!(text, "\n{}", source.source);
    let from = source.first_day.map_or(String::new(), |day| format!(" from path day {day} on"));
    let _ = writeln!(text, "{:9} {}{from}", "Listed", amount(&source.listed));
    let _ = writeln!(text, "{:9} {}", "Known", HumanCount(source.known));
    if source.partly.number > 0 {
        let _ = writeln!(
            text,
            "{:9} {} known in part, as filters left records out",
            "Partly",
            amount(&source.partly)
        );
    }
    let replaced = match source.replaced {
        0 => String::new(),
        replaced => format!(", {} of them in place of another one", HumanCount(replaced)),
    };
    let _ = writeln!(text, "{:9} {}{replaced}", "New", amount(&source.new));
    for (what, by) in [
        ("account", &source.new_by_account),
        ("Region", &source.new_by_region),
        ("path day", &source.new_by_path_day),
    ] {
        say_new(what, by, text);
    }
    let skipped: Vec<String> =
        source.skipped.iter().map(|(reason, number)| format!("{} {reason}", HumanCount(*number))).collect();
    if !skipped.is_empty() {
        let _ = writeln!(text, "{:9} {}", "Left out", skipped.join(", "));
    }
}

/// The greatest of what is new, in the order of their names.
fn say_new(what: &str, by: &BTreeMap<String, Amount>, text: &mut String) {
    let mut greatest: Vec<(&String, &Amount)> = by.iter().collect();
    greatest.sort_by_key(|(_, amount)| std::cmp::Reverse(amount.number));
    greatest.truncate(SHOWN);
    greatest.sort_by_key(|(name, _)| *name);
    for (at, (name, new)) in greatest.iter().enumerate() {
        let heading = if at == 0 { what } else { "" };
        let name = if name.is_empty() { "(none)" } else { name };
        let _ = writeln!(text, "  {heading:9} {name:14} {}", amount(new));
    }
    if by.len() > SHOWN {
        let more = HumanCount((by.len() - SHOWN) as u64);
        let _ = writeln!(text, "  {:9} … and {more} more; --json lists them", "");
    }
}
