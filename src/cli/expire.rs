//! `trailhouse expire`: fewer days.

use chrono::Utc;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};

use super::lake::LakeArgs;
use super::ui::{self, counted};
use super::when::when;
use super::{Outcome, run_id};
use crate::error::{Error, Result};
use crate::lake::expire::{self, Options, Report};

/// Take old days out of a lake
///
/// Removes the events of all days before the given one from the table, in one commit, and remembers that day: what later
/// conversions find of earlier days is left out, and the day never moves back. Events without a date stay.
///
/// The data files remain in the lake until it is vacuumed; until then older versions of the table still have the rows.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ExpireArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Keep this day and what is after it
    ///
    /// A date, or a time ago such as 365d: the day on which that was, in UTC.
    #[arg(long, value_name = "WHEN")]
    before: String,

    /// Say only what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  Keep a year:
    trailhouse expire s3://org-lake/events/ --before 365d

  Remove what was before March for good: from the table, and a week later from the bucket:
    trailhouse expire lake --before 2026-03-01
    trailhouse vacuum lake";

/// Expires and reports.
///
/// # Errors
/// See [`expire::run`]; and where the day is in the future.
pub async fn run(args: ExpireArgs, quiet: bool) -> Result<Outcome> {
    let now = Utc::now();
    let before = when("before", &args.before, now)?.date_naive();
    if before > now.date_naive() {
        let text =
            format!("--before {:?} is in the future: no event would ever be kept until then", args.before);
        return Err(Error::usage(text).hint("check the year"));
    }
    let options = Options { before, dry_run: args.dry_run, run_id: run_id(now) };
    let report = expire::run(args.lake.open().await?, &options).await?;
    if args.json {
        ui::print_report(&report)?;
    }
    if !quiet {
        say(&report);
    }
    Ok(Outcome::Done)
}

fn say(report: &Report) {
    let Some((first, last)) = &report.days else {
        let version = if report.committed { format!(", version {}", report.version) } else { String::new() };
        return ui::say(&format!("No day before {} is in the table{version}.", report.before));
    };
    let what = format!(
        "{} ({first} to {last}) with {} in {} ({})",
        counted(report.days_removed, "day"),
        counted(report.rows, "event"),
        counted(report.files, "file"),
        HumanBytes(report.bytes),
    );
    if report.dry_run {
        ui::say(&format!("To remove: {what}. Nothing was written."));
    } else {
        ui::say(&format!("Removed {what}, table version {}.", HumanCount(report.version)));
    }
}
