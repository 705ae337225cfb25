//! `trailhouse convert`: sources into a lake.

use std::sync::Arc;

use chrono::Utc;
use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, HumanCount};

use super::Outcome;
use super::lake::parse_option;
use super::size::parse_size;
use super::ui::{self, Show, counted};
use super::when::between;
use crate::convert::report::{Note, Report, Verdict};
use crate::convert::{Options, Progress, run as convert};
use crate::error::{Error, Result};
use crate::lake::layout::Partitioning;
use crate::store::{self, Location};

/// Convert CloudTrail logs into a lake
///
/// Lists every CloudTrail object under the sources, converts those that the lake does not have yet, and adds their
/// events to the lake in one commit (a large run commits as it goes). Trails are found at any depth below a source, in
/// the plain and the organization layout; a local directory may be laid out in any way. Input that cannot be converted
/// is kept in the lake under _trailhouse/rejected, and reported.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ConvertArgs {
    /// Where trails deliver: s3://bucket/prefix/, file:///dir or a local path (can be repeated)
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake to write, a URL or a path; made if it is not there
    #[arg(long, value_name = "LAKE")]
    to: String,

    /// Convert this account only (can be repeated)
    ///
    /// The account in the object's key, which is the event's recipient account; where a key has none, the event's own.
    #[arg(long, value_name = "ID")]
    account: Vec<String>,

    /// Convert what was delivered in this Region only (can be repeated)
    ///
    /// The Region in the object's key. An event's awsRegion may be another: trails deliver the events of global
    /// services in their own Region. Where a key has none, the event's awsRegion decides.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// Convert events from this time on
    ///
    /// A date, an RFC 3339 time, or a time ago such as 36h or 7d, or yesterday. It is the time of the event, in UTC.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,

    /// Convert events before this time
    ///
    /// Objects are looked for up to one day later, as events are delivered some minutes after they happened.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,

    /// Look for new objects this many path days back, or in all of them
    ///
    /// A source that is new to the lake is listed whole. Later runs list the days from this many before the newest one
    /// that was converted; objects that are delivered later still are found with --since, or with all.
    #[arg(long, value_name = "DAYS", default_value = "3", value_parser = parse_lookback)]
    lookback: Lookback,

    /// Leave out copies of events
    ///
    /// Copies have the same account, event id and content; two trails over one account deliver every event twice. Off
    /// keeps every delivery.
    #[arg(long, value_name = "HOW", default_value = "on")]
    dedupe: Dedupe,

    /// Keep a SHA-256 of every object's inflated bytes in the ledger
    #[arg(long)]
    sha256: bool,

    /// Commit whenever objects of this size are converted
    ///
    /// An interrupted run goes on from its last commit.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    commit_every: u64,

    /// Partition the lake by these columns, in this order [default: date]
    ///
    /// Date, and account and region beside it, in any order, separated by commas. It is decided when the lake is made;
    /// naming another partitioning later is an error.
    #[arg(long, value_name = "COLUMNS")]
    partition_by: Option<String>,

    /// List and plan only: say what would be converted, and what it would cost
    #[arg(long)]
    dry_run: bool,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// Use about this much memory [default: 256MiB for each job, 512MiB at least]
    ///
    /// Less memory gives smaller data files.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,

    /// Convert this many tasks at once [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Reject objects that are larger than this, stored or inflated
    ///
    /// CloudTrail's own objects have at most 50 MB inflated. The limit is what a gzip bomb can cost.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size)]
    max_object_size: u64,

    /// Show progress on standard error
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: Show,

    /// Set an option of the sources' store, over the environment (can be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option)]
    source_option: Vec<(String, String)>,

    /// Set an option of the lake's store, over the environment (can be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option)]
    lake_option: Vec<(String, String)>,
}

/// How far back a run looks by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookback {
    Days(u64),
    All,
}

pub(super) fn parse_lookback(text: &str) -> Result<Lookback, String> {
    match text.trim_end_matches('d').parse() {
        Ok(days) => Ok(Lookback::Days(days)),
        Err(_) if text == "all" => Ok(Lookback::All),
        Err(_) => Err("a number of days, or all".to_owned()),
    }
}

/// Whether copies are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dedupe {
    /// Leave them out
    On,
    /// Keep every delivery
    Off,
}

const EXAMPLES: &str = "\
Examples:
  Convert an organization's trail, every night, adding what is new:
    trailhouse convert s3://org-trail/ --to s3://org-lake/events/

  See first what it would do and cost:
    trailhouse convert s3://org-trail/ --to s3://org-lake/events/ --dry-run

  One account, the last week, into a local directory:
    trailhouse convert s3://org-trail/ --to lake --account 111122223333 --since 7d

  Read with another profile's credentials than those that write the lake:
    trailhouse convert s3://org-trail/ --to s3://org-lake/ --source-option profile=log-archive

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 converted but some input was rejected or not readable, 130 interrupted.";

/// Memory of one worker, unless the user says otherwise.
pub(super) const MEMORY_PER_JOB: u64 = 256 << 20;

/// Runs a conversion and reports it.
///
/// # Errors
/// See [`convert`].
pub async fn run(args: ConvertArgs, quiet: bool) -> Result<Outcome> {
    let now = Utc::now();
    let (since, until) = between(args.since.as_deref(), args.until.as_deref(), now)?;
    expect_accounts(&args.account)?;
    let partitioning = args.partition_by.as_deref().map(str::parse::<Partitioning>).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from);
    let source_options = store::Options { pairs: args.source_option };
    let mut sources = Vec::with_capacity(args.sources.len());
    for source in &args.sources {
        sources.push(Location::open(source, &source_options).await?);
    }
    let options = Options {
        sources,
        lake: Location::open(&args.to, &store::Options { pairs: args.lake_option }).await?,
        partitioning,
        accounts: args.account.into_iter().collect(),
        regions: args.region.into_iter().collect(),
        since,
        until,
        lookback_days: match args.lookback {
            Lookback::Days(days) => Some(days),
            Lookback::All => None,
        },
        dedupe: args.dedupe == Dedupe::On,
        sha256: args.sha256,
        commit_bytes: args.commit_every,
        memory_bytes: args.memory.unwrap_or((MEMORY_PER_JOB * jobs as u64).max(2 * MEMORY_PER_JOB)),
        jobs,
        max_object_bytes: args.max_object_size,
        dry_run: args.dry_run,
        now,
        run_id: super::run_id(now),
    };
    let progress = Arc::new(Progress::default());
    let watch = ui::watch(Arc::clone(&progress), if quiet { Show::None } else { args.progress });
    let report = convert(&options, &progress).await;
    drop(watch);
    let report = report?;
    if args.json {
        ui::print_report(&report)?;
    }
    if !quiet {
        if report.verdict == Verdict::Planned {
            say_plan(&report)
        } else {
            say_result(&report)
        }
        for (source, day) in &report.listed_from {
            ui::say(&format!("{source} was listed from {day} on; --since reaches further back."));
        }
        say_skipped(&report);
    }
    say_losses(&report);
    Ok(if report.verdict == Verdict::Rejected { Outcome::Rejected } else { Outcome::Done })
}

/// How many rejected or unreadable objects the summary names; the report has more of them.
const NAMED: usize = 20;

/// Refuses what is no account id.
pub(super) fn expect_accounts(accounts: &[String]) -> Result<()> {
    for account in accounts {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::usage(format!("--account {account:?} is no account id"))
                .hint("an account id has twelve digits, leading zeros included"));
        }
    }
    Ok(())
}

fn say_plan(report: &Report) {
    let objects = &report.objects;
    let days = match &report.days {
        Some((first, last)) if first == last => format!(" of {first}"),
        Some((first, last)) => format!(" of {first} to {last}"),
        None => String::new(),
    };
    ui::say(&format!(
        "{} listed ({}), {} of them converted before.",
        counted(objects.listed, "object"),
        HumanBytes(report.bytes.listed),
        HumanCount(objects.known)
    ));
    ui::say(&format!(
        "To convert: {}{days}, {}, {}, into about {}.",
        counted(objects.listed - objects.known, "object"),
        counted(report.accounts, "account"),
        counted(report.regions, "Region"),
        counted(report.files, "file")
    ));
    ui::say(&format!(
        "Requests: {} LIST, {} GET, {} PUT, about ${:.2} on S3. Nothing was written.",
        HumanCount(report.requests.list),
        HumanCount(report.requests.get),
        HumanCount(report.requests.put),
        report.request_price_usd()
    ));
}

fn say_result(report: &Report) {
    let (objects, records) = (&report.objects, &report.records);
    ui::say(&format!(
        "{}, {} into {} ({}) in {:.1} s{}.",
        counted(objects.listed - objects.known, "object"),
        counted(records.rows, "event"),
        counted(report.files, "file"),
        HumanBytes(report.bytes.written),
        report.duration_seconds,
        report.version.map_or(String::new(), |version| format!(", table version {version}")),
    ));
    let beside = [
        (objects.known, "object", " converted before"),
        (objects.replaced, "object", " replaced under its URL"),
        (objects.empty, "object", " without records"),
        (objects.foreign, "object", " of another kind"),
        (records.duplicates, "duplicate record", ""),
        (records.filtered, "record", " outside the filters"),
        (report.conflicts, "event", " with the id of another one"),
    ];
    let beside = beside.iter().filter(|(number, ..)| *number > 0);
    let beside: Vec<String> =
        beside.map(|(number, what, how)| format!("{}{how}", counted(*number, what))).collect();
    if !beside.is_empty() {
        ui::say(&format!("Beside them: {}.", beside.join(", ")));
    }
}

fn say_skipped(report: &Report) {
    let skipped = report.skipped.iter().map(|(reason, number)| format!("{} {reason}", HumanCount(*number)));
    let skipped: Vec<String> = skipped.collect();
    if !skipped.is_empty() {
        ui::say(&format!("Left out: {}.", skipped.join(", ")));
    }
}

/// Says what went wrong, which is said to the quiet as well.
pub(super) fn say_losses(report: &Report) {
    let objects = &report.objects;
    if objects.rejected + report.records.rejected > 0 {
        ui::say(&format!(
            "Rejected: {}, {}.",
            counted(objects.rejected, "object"),
            counted(report.records.rejected, "record")
        ));
    }
    name(&report.rejected);
    if objects.unreadable + report.unlisted > 0 {
        ui::say(&format!(
            "Not readable: {}, {}.",
            counted(objects.unreadable, "object"),
            counted(report.unlisted, "folder")
        ));
    }
    name(&report.unreadable);
}

fn name(notes: &[Note]) {
    for note in notes.iter().take(NAMED) {
        let at = match (note.record, note.byte) {
            (Some(record), Some(byte)) => format!(": record {record} (byte {byte})"),
            _ => String::new(),
        };
        ui::say(&format!("  {}{at}: {}", note.object, note.reason));
    }
    if notes.len() > NAMED {
        ui::say(&format!("  … and {} more; --json lists them", HumanCount((notes.len() - NAMED) as u64)));
    }
}
