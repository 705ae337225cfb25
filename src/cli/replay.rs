//! `trailhouse replay`: rejected input, once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use clap::Args;
use indicatif::HumanCount;

use super::convert::{MEMORY_PER_JOB, say_losses};
use super::lake::LakeArgs;
use super::size::parse_size;
use super::ui::{self, counted};
use super::{Outcome, run_id};
use crate::convert::report::Verdict;
use crate::convert::{Options, Progress, replay};
use crate::error::{Error, Result};

/// Convert the rejected input of a lake again
///
/// After an upgrade, or with a larger --max-object-size, what `convert` has kept under _trailhouse/rejected may be
/// readable. What is, is added to the events, exactly once, and withdrawn from the rejected input; the rest stays.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReplayArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// Reject objects that are larger than this when inflated
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size)]
    max_object_size: u64,
}

const EXAMPLES: &str = "\
Examples:
  After an upgrade of trailhouse:
    trailhouse replay s3://org-lake/events/

  What there is, and why:
    trailhouse sql s3://org-lake/events/ -c 'SELECT reason, count(*) FROM rejected GROUP BY 1 ORDER BY 2 DESC'

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of it was rejected again, 130 interrupted.";

/// Replays and reports it.
///
/// # Errors
/// See [`replay::run`].
pub async fn run(args: ReplayArgs, quiet: bool) -> Result<Outcome> {
    let now = Utc::now();
    let options = Options {
        sources: Vec::new(),
        lake: args.lake.open().await?.location().clone(),
        partitioning: None,
        accounts: BTreeSet::new(),
        regions: BTreeSet::new(),
        since: None,
        until: None,
        lookback_days: None,
        dedupe: true,
        sha256: false,
        commit_bytes: u64::MAX,
        memory_bytes: 2 * MEMORY_PER_JOB,
        jobs: 1,
        max_object_bytes: args.max_object_size,
        dry_run: false,
        now,
        run_id: run_id(now),
    };
    let report = replay::run(&options, &Arc::new(Progress::default())).await?;
    if args.json {
        let text = serde_json::to_string(&report)
            .map_err(|error| Error::failed("writing the report").caused_by(error))?;
        ui::print_out(format!("{text}\n").as_bytes())?;
    }
    if !quiet {
        ui::say(&format!(
            "{} of rejected input: {} added, {}, {} still rejected.",
            counted(report.objects.listed, "piece"),
            counted(report.records.rows, "event"),
            counted(report.records.duplicates, "duplicate"),
            HumanCount(report.objects.rejected)
        ));
    }
    say_losses(&report);
    Ok(if report.verdict == Verdict::Rejected { Outcome::Rejected } else { Outcome::Done })
}
