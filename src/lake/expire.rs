//! Fewer days: what is older than it may be kept is taken out of the table. The files go when the lake is vacuumed.
//!
//! The first day that is kept becomes a property of the table, which never moves back: what a later conversion finds of
//! earlier days it leaves out. Rows without a date stay.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{NaiveDate, Utc};
use serde::Serialize;

use super::commit::{About, Change, Outcome, Purpose, commit};
use super::compact::day;
use super::layout::DataFile;
use super::snapshot::Lake;
use crate::error::{Error, Result};

/// Commits that may be lost to other writers in a row.
const COMMIT_TRIES: usize = 20;

/// What to expire.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first day that is kept.
    pub before: NaiveDate,
    /// Say only what would be done.
    pub dry_run: bool,
    /// A name for the run that no other run has.
    pub run_id: String,
}

/// What was expired.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The lake's URL.
    pub lake: String,
    /// The id of the run, which its commit carries.
    pub run_id: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The first day that is kept from now on; a later one where days up to it were expired before.
    pub before: String,
    /// The table version it left.
    pub version: u64,
    /// Whether a commit was needed.
    pub committed: bool,
    /// The first and the last day that was removed.
    pub days: Option<(String, String)>,
    /// How many days were.
    pub days_removed: u64,
    /// The data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows.
    pub rows: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

/// Takes the days before the wanted one out of the table, in one commit.
///
/// # Errors
/// Where the store fails, and where others commit all the time; then nothing was removed.
pub async fn run(mut lake: Lake, options: &Options) -> Result<Report> {
    let clock = Instant::now();
    for _ in 0..COMMIT_TRIES {
        let expired = lake.expired_before();
        let before = expired.map_or(options.before, |expired| expired.max(options.before));
        let is_old = |file: &DataFile| day(&file.partition).is_some_and(|day| day < before);
        let removes: Vec<DataFile> = lake.files()?.filter(is_old).collect();
        let mut report = report(&lake, options, before, &removes);
        if options.dry_run || (removes.is_empty() && expired == Some(before)) {
            report.duration_seconds = clock.elapsed().as_secs_f64();
            return Ok(report);
        }
        let counts = [
            ("filesRemoved", report.files),
            ("rowsRemoved", report.rows),
            ("daysRemoved", report.days_removed),
        ];
        let about = About {
            purpose: Purpose::Expire,
            run_id: options.run_id.clone(),
            time: Utc::now(),
            counts: counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        };
        let change = Change { removes, expire_before: Some(before), ..Change::default() };
        match commit(&lake, &change, &about).await? {
            Outcome::Committed { version } => {
                tracing::info!(version, files = report.files, "committed");
                (report.version, report.committed) = (version, true);
                report.duration_seconds = clock.elapsed().as_secs_f64();
                return Ok(report);
            }
            Outcome::Conflict { version } => {
                tracing::info!(version, "another writer has committed first");
                lake = lake.newest().await?;
            }
        }
    }
    Err(Error::failed(format!(
        "other writers committed to {} {COMMIT_TRIES} times in a row",
        lake.location().url
    ))
    .hint("nothing was removed: run the command again when fewer writers are at work"))
}

fn report(lake: &Lake, options: &Options, before: NaiveDate, removes: &[DataFile]) -> Report {
    let days: BTreeSet<NaiveDate> = removes.iter().filter_map(|file| day(&file.partition)).collect();
    Report {
        lake: lake.location().url.clone(),
        run_id: options.run_id.clone(),
        dry_run: options.dry_run,
        before: before.to_string(),
        version: lake.version(),
        days: days.first().zip(days.last()).map(|(first, last)| (first.to_string(), last.to_string())),
        days_removed: days.len() as u64,
        files: removes.len() as u64,
        bytes: removes.iter().map(|file| file.size).sum(),
        rows: removes.iter().map(|file| file.rows).sum(),
        ..Report::default()
    }
}
