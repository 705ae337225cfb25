//! `trailhouse compact`: the same rows in fewer files.

use chrono::{Days, Timelike, Utc};
use clap::Args;
use indicatif::HumanBytes;

use super::lake::{LakeArgs, MemoryArgs};
use super::size::parse_size;
use super::ui::{self, counted};
use super::when::between;
use super::{Outcome, run_id};
use crate::error::Result;
use crate::lake::compact::{self, Options, Report};

/// Merge small data files into larger ones
///
/// Runs that convert every night or every hour leave many small files in a day's folder. Their rows are merged into files
/// of about the target size, each sorted as all data files are, and all of them as a whole where memory allows it. No row
/// changes; readers see either the old files or the new ones, and conversions may go on meanwhile.
///
/// Files of half the target size or more are left alone, and so is a large file that little would join. The old files
/// remain in the lake until it is vacuumed; readers that list its files instead of reading the table see both until then.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompactArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Compact days from this one on
    ///
    /// A date, an RFC 3339 time, or a time ago such as 36h or 7d, or yesterday, in UTC.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,

    /// Compact days before this one
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,

    /// Make files of about this size
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    target_size: u64,

    /// Say only what would be merged
    #[arg(long)]
    dry_run: bool,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    memory: MemoryArgs,

    /// Merge this many partitions at once [default: one for each core, as far as memory allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), display_order = 701)]
    jobs: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  Every night, after the conversion, what it may have touched:
    trailhouse compact s3://org-lake/events/ --since 35d

  See first what it would do:
    trailhouse compact s3://org-lake/events/ --dry-run

  Two large files at a time in much memory:
    trailhouse compact lake --target-size 1GiB --memory 4GiB --jobs 2";

/// Compacts and reports.
///
/// # Errors
/// See [`compact::run`].
pub async fn run(args: CompactArgs, quiet: bool) -> Result<Outcome> {
    let now = Utc::now();
    let (since, until) = between(args.since.as_deref(), args.until.as_deref(), now)?;
    // The day in which the last wanted moment is.
    let last_day = until.map(|until| {
        let day = until.date_naive();
        let at_midnight = until.num_seconds_from_midnight() == 0 && until.nanosecond() == 0;
        if at_midnight { day.checked_sub_days(Days::new(1)).unwrap_or(day) } else { day }
    });
    let options = Options {
        first_day: since.map(|since| since.date_naive()),
        last_day,
        target_bytes: args.target_size,
        memory_bytes: args.memory.memory,
        jobs: args
            .jobs
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from),
        dry_run: args.dry_run,
        run_id: run_id(now),
    };
    let report = compact::run(args.lake.open().await?, &options).await?;
    if args.json {
        ui::print_report(&report)?;
    }
    if !quiet {
        say(&report);
    }
    Ok(Outcome::Done)
}

fn say(report: &Report) {
    let (files, bytes) = (report.files, report.bytes);
    let partitions = counted(report.partitions, "partition");
    if report.files.removed == 0 {
        ui::say(&format!("Nothing to gain in {}.", counted(report.partitions_left, "partition")));
    } else if report.dry_run {
        ui::say(&format!(
            "To merge: {} ({}) of {partitions}, into about {}. Nothing was written.",
            counted(files.removed, "file"),
            HumanBytes(bytes.removed),
            counted(files.added, "file"),
        ));
    } else {
        ui::say(&format!(
            "{} ({}) of {partitions} into {} ({}), {}, in {:.1} s, table version {}.",
            counted(files.removed, "file"),
            HumanBytes(bytes.removed),
            counted(files.added, "file"),
            HumanBytes(bytes.added),
            counted(report.rows, "event"),
            report.duration_seconds,
            report.version,
        ));
    }
    if report.conflicts > 0 {
        ui::say(&format!(
            "Planned anew, as others removed files of them: {}.",
            counted(report.conflicts, "merge")
        ));
    }
}
