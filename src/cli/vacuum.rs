//! `trailhouse vacuum`: what nothing needs any more.

use chrono::{TimeDelta, Utc};
use clap::Args;
use indicatif::HumanBytes;

use super::Outcome;
use super::lake::LakeArgs;
use super::ui::{self, counted};
use super::when::parse_duration;
use crate::error::Result;
use crate::lake::vacuum::{self, Files, Options, Report};

/// Delete files that no recent version of the table needs
///
/// Deletes data files that are not in the table, and were not within the retention time; what runs that broke off or lost
/// a race have left; and rejected input that was converted since. Older versions of the table within the retention time
/// can still be read. Only files whose names are trailhouse's are deleted, and none of the table log.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VacuumArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Keep what was needed, or written, within this time
    ///
    /// A number and m, h, d or w. It must be longer than any query or conversion takes: only their age protects files that
    /// a run has written and not committed yet. At most 30d, for which the table log remembers removed files.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    retention: TimeDelta,

    /// Allow a retention of less than a day
    ///
    /// Make sure first that no other command writes to the lake or queries it.
    #[arg(long)]
    force: bool,

    /// Say only what would be deleted
    #[arg(long)]
    dry_run: bool,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  Every week:
    trailhouse vacuum s3://org-lake/events/

  See first what it would delete:
    trailhouse vacuum s3://org-lake/events/ --retention 14d --dry-run

  Everything that is not in the newest version, when nothing else is running:
    trailhouse vacuum lake --retention 0m --force";

/// Vacuums and reports.
///
/// # Errors
/// See [`vacuum::run`].
pub async fn run(args: VacuumArgs, quiet: bool) -> Result<Outcome> {
    let options =
        Options { retention: args.retention, force: args.force, dry_run: args.dry_run, now: Utc::now() };
    let report = vacuum::run(&args.lake.open().await?, &options).await?;
    if args.json {
        ui::print_report(&report)?;
    }
    if !quiet {
        say(&report);
    }
    Ok(Outcome::Done)
}

fn say(report: &Report) {
    let of =
        |files: Files, what: &str| format!("{} ({})", counted(files.files, what), HumanBytes(files.bytes));
    let deleted = report.deleted();
    let verb = if report.dry_run { "To delete" } else { "Deleted" };
    ui::say(&format!("{verb}: {}, older than {}.", of(deleted, "file"), report.older_than));
    let kinds = [
        (report.data, "data file"),
        (report.ledger, "ledger file"),
        (report.rejected, "rejects file"),
        (report.leftovers, "broken upload"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(files, _)| files.files > 0).map(|(files, what)| of(*files, what)).collect();
    if !kinds.is_empty() {
        ui::say(&format!("Among them: {}.", kinds.join(", ")));
    }
    let others = match report.others.files {
        0 => String::new(),
        _ => format!(", and {} not of trailhouse", of(report.others, "file")),
    };
    ui::say(&format!("Kept: {}{others}.", of(report.kept, "file")));
}
