//! The same rows in fewer files.
//!
//! ```text
//! the log ─▶ which partitions gain, by which files ─▶ merge, partition by partition ─▶ commit, now and then
//! ```
//!
//! Which files are merged is decided for each partition by their sizes alone. Those from half the target size on stay as
//! they are: reading them costs little, rewriting them much. Of the others the largest is left out while it is both over
//! a sixteenth of the target and over four times all that would join it: so whatever arrives in a day that is long
//! converted, a byte is rewritten a few times in its life and not every night. What remains is merged if fewer files come
//! out than went in.
//!
//! Others commit meanwhile. Losing that race costs nothing while the files that were merged are still in the table: a
//! merge adds no row and takes none away, so it can be committed to any version that has its inputs, and to no other.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use bytes::Bytes;
use chrono::{NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::commit::{About, Change, Outcome, Purpose, commit, put_new};
use super::layout::{self, DataFile, Partition, Partitioning};
use super::merge::{Input, Merge, Part, merge_column};
use super::snapshot::Lake;
use super::write::encode;
use crate::error::{Error, Result};
use crate::schema::EVENT_DATE;
use crate::store::Location;

/// Memory of a job beside its inputs and the file that it makes: a row group, and what the encoder keeps.
const JOB_BYTES: u64 = 96 << 20;

/// Rows decoded at once of each file: where memory is not enough for the first number, the second is taken.
const BATCH_ROWS: [usize; 2] = [1024, 192];

/// Descriptions of files read at once.
const SURVEYS: usize = 16;

/// Files of which the log's whole entries are in memory at once.
const PLANNED_FILES: usize = 20_000;

/// A run commits whenever this much was merged, so that little is lost where it is broken off.
const COMMIT_BYTES: u64 = 4 << 30;

/// And whenever this many files wait for it: they are read whole by every reader of the log.
const COMMIT_FILES: usize = 10_000;

/// Commits that may be lost to other writers in a row.
const COMMIT_TRIES: usize = 20;

/// Times that the table is planned anew: for what did not fit into one merge, and what others have changed.
const ROUNDS: usize = 10;

/// What to compact, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first event date wanted.
    pub first_day: Option<NaiveDate>,
    /// The last one.
    pub last_day: Option<NaiveDate>,
    /// The size of the files to make.
    pub target_bytes: u64,
    /// Memory for all jobs together.
    pub memory_bytes: u64,
    /// Merges at once; fewer where memory is not enough.
    pub jobs: usize,
    /// Plan only.
    pub dry_run: bool,
    /// A name for the run that no other run has.
    pub run_id: String,
}

/// Files or bytes that were taken out and put in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Taken out of the table.
    pub removed: u64,
    /// Added to it; in a dry run, the number to expect.
    pub added: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The lake's URL.
    pub lake: String,
    /// The id of the run, which its commits carry.
    pub run_id: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The table version it left.
    pub version: u64,
    /// Commits made.
    pub commits: u64,
    /// Partitions that gained by it.
    pub partitions: u64,
    /// Partitions that had nothing to gain.
    pub partitions_left: u64,
    /// Data files.
    pub files: Exchange,
    /// Their bytes.
    pub bytes: Exchange,
    /// Rows that were rewritten.
    pub rows: u64,
    /// Merges that were dropped because somebody else had removed a file of theirs.
    pub conflicts: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

/// Compacts the lake.
///
/// # Errors
/// Where the memory is not enough for a file of the target size, a file is not as the log says, the store fails, or
/// others commit all the time. What was committed before stays.
pub async fn run(mut lake: Lake, options: &Options) -> Result<Report> {
    let clock = Instant::now();
    let jobs = jobs(options)?;
    let job_bytes = options.memory_bytes / jobs as u64;
    let mut report = Report {
        lake: lake.location().url.clone(),
        run_id: options.run_id.clone(),
        dry_run: options.dry_run,
        version: lake.version(),
        ..Report::default()
    };
    let mut compacted = HashSet::new();
    for round in 0..ROUNDS {
        let plan = Plan::new(&lake, options)?;
        if round == 0 {
            report.partitions_left = plan.left;
        }
        if options.dry_run {
            report.partitions = plan.wanted.len() as u64;
            for wanted in plan.wanted.values() {
                report.files.removed += wanted.files as u64;
                report.files.added += outputs(wanted.bytes, options.target_bytes);
                report.bytes.removed += wanted.bytes;
            }
            break;
        }
        let before = (report.commits, report.conflicts);
        for folders in plan.portions() {
            let partitions = plan.partitions(&lake, &folders)?;
            let location = lake.location().clone();
            let partitioning = lake.partitioning().clone();
            let mut merges = stream::iter(partitions)
                .map(|files| {
                    compacted_partition(&location, &partitioning, files, options.target_bytes, job_bytes)
                })
                .buffered(jobs);
            let mut pending = Vec::new();
            while let Some(merged) = merges.try_next().await? {
                pending.extend(merged);
                let bytes: u64 =
                    pending.iter().flat_map(|merged: &Merged| &merged.removes).map(|file| file.size).sum();
                let files: usize = pending.iter().map(|merged| merged.removes.len()).sum();
                if bytes >= COMMIT_BYTES || files >= COMMIT_FILES {
                    lake = commit_merged(lake, &mut pending, options, &mut report, &mut compacted).await?;
                }
            }
            lake = commit_merged(lake, &mut pending, options, &mut report, &mut compacted).await?;
        }
        if before == (report.commits, report.conflicts) {
            break;
        }
    }
    if !options.dry_run {
        report.partitions = compacted.len() as u64;
    }
    report.version = lake.version();
    report.duration_seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

/// Memory for making one file: the file, which grows as it is written, and the encoder's.
fn room(target_bytes: u64) -> u64 {
    target_bytes + target_bytes / 4 + JOB_BYTES
}

/// How many merges there is memory for.
fn jobs(options: &Options) -> Result<usize> {
    // A few inputs at least must have room as well.
    let least = room(options.target_bytes) + JOB_BYTES;
    let fit = usize::try_from(options.memory_bytes / least).unwrap_or(usize::MAX);
    if fit == 0 {
        let mib = |bytes: u64| format!("{}MiB", bytes.div_ceil(1 << 20));
        let text = format!(
            "files of {} need {} of memory, and --memory is {}",
            mib(options.target_bytes),
            mib(least),
            mib(options.memory_bytes)
        );
        return Err(Error::usage(text).hint("give more --memory, or a smaller --target-size"));
    }
    Ok(options.jobs.clamp(1, fit))
}

/// How many files come out of so many bytes.
fn outputs(bytes: u64, target_bytes: u64) -> u64 {
    bytes.div_ceil(target_bytes.max(1)).max(1)
}

/// The size of the largest file to merge, of the files of a partition with these sizes; `None` where there is nothing to
/// gain.
fn largest_to_merge(sizes: &mut Vec<u64>, target_bytes: u64) -> Option<u64> {
    sizes.retain(|&size| size < target_bytes / 2);
    sizes.sort_unstable();
    let mut all: u64 = sizes.iter().sum();
    while let Some(&largest) = sizes.last() {
        let rest = all - largest;
        if largest <= target_bytes / 16 || largest <= 4 * rest {
            break;
        }
        all = rest;
        sizes.pop();
    }
    if sizes.len() as u64 > outputs(all, target_bytes) { sizes.last().copied() } else { None }
}

/// Of a partition, what to merge.
struct Wanted {
    /// Files up to this size.
    up_to_bytes: u64,
    files: usize,
    bytes: u64,
}

/// The partitions that gain, by their folders.
struct Plan {
    wanted: BTreeMap<String, Wanted>,
    left: u64,
}

impl Plan {
    fn new(lake: &Lake, options: &Options) -> Result<Plan> {
        let mut sizes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let columns = lake.partitioning().names();
        // Another program's files, of which it is not known how they are sorted, stay as they are.
        let is_ours = |file: &DataFile| layout::is_data_file(&file.path, &columns);
        for file in lake.files()?.filter(|file| is_within(&file.partition, options) && is_ours(file)) {
            sizes.entry(layout::folder(&file.partition)).or_default().push(file.size);
        }
        let mut plan = Plan { wanted: BTreeMap::new(), left: 0 };
        for (folder, mut sizes) in sizes {
            match largest_to_merge(&mut sizes, options.target_bytes) {
                Some(up_to_bytes) => {
                    let wanted = Wanted { up_to_bytes, files: sizes.len(), bytes: sizes.iter().sum() };
                    plan.wanted.insert(folder, wanted);
                }
                None => plan.left += 1,
            }
        }
        Ok(plan)
    }

    /// The folders, in portions of not too many files.
    fn portions(&self) -> Vec<HashSet<&str>> {
        let mut portions: Vec<HashSet<&str>> = Vec::new();
        let mut files = PLANNED_FILES;
        for (folder, wanted) in &self.wanted {
            files += wanted.files;
            match portions.last_mut() {
                Some(last) if files <= PLANNED_FILES => drop(last.insert(folder)),
                _ => {
                    portions.push(HashSet::from([folder.as_str()]));
                    files = wanted.files;
                }
            }
        }
        portions
    }

    /// The files to merge in these folders, a list a folder.
    fn partitions(&self, lake: &Lake, folders: &HashSet<&str>) -> Result<Vec<Vec<DataFile>>> {
        let mut partitions: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
        let columns = lake.partitioning().names();
        for file in lake.files()?.filter(|file| layout::is_data_file(&file.path, &columns)) {
            let folder = layout::folder(&file.partition);
            let wanted = self.wanted.get(&folder).filter(|_| folders.contains(folder.as_str()));
            if wanted.is_some_and(|wanted| file.size <= wanted.up_to_bytes) {
                partitions.entry(folder).or_default().push(file);
            }
        }
        Ok(partitions.into_values().collect())
    }
}

/// Whether the partition's day is wanted; one without a day is where every day is.
fn is_within(partition: &Partition, options: &Options) -> bool {
    if options.first_day.is_none() && options.last_day.is_none() {
        return true;
    }
    day(partition).is_some_and(|day| {
        options.first_day.is_none_or(|first| day >= first) && options.last_day.is_none_or(|last| day <= last)
    })
}

/// The event date of a partition's rows.
pub(super) fn day(partition: &Partition) -> Option<NaiveDate> {
    let (_, value) = partition.iter().find(|(name, _)| name == EVENT_DATE.name)?;
    value.as_deref()?.parse().ok()
}

/// Files, and what was made of them.
struct Merged {
    removes: Vec<DataFile>,
    adds: Vec<DataFile>,
}

/// Merges files of one partition: all together where there is memory for it, else in groups, which the next round
/// merges further.
async fn compacted_partition(
    location: &Location,
    partitioning: &Partitioning,
    files: Vec<DataFile>,
    target_bytes: u64,
    job_bytes: u64,
) -> Result<Vec<Merged>> {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let budget = job_bytes.saturating_sub(room(target_bytes.min(bytes)));
    let column = merge_column(partitioning);
    let surveys = files.into_iter().map(|file| Input::survey(location, file, column));
    let inputs: Vec<Input> = stream::iter(surveys).buffered(SURVEYS).try_collect().await?;
    let mut merged = Vec::new();
    let [many, few] = BATCH_ROWS;
    let (mut batch_rows, mut all) = (many, groups(inputs, budget, many));
    if all.len() > 1 {
        (batch_rows, all) = (few, groups(all.concat(), budget, few));
    }
    for group in all {
        let bytes = group.iter().map(|input| input.file.size).sum();
        let parts = outputs(bytes, target_bytes);
        if group.len() as u64 > parts {
            merged.push(merged_group(location, partitioning, group, batch_rows, parts).await?);
        }
    }
    Ok(merged)
}

/// Packs inputs such that those of a group that are open at the same time have room together. In the order of their
/// lower bounds, so that what a group's files hold is near each other, and few of them are open at a time.
fn groups(mut inputs: Vec<Input>, budget: u64, batch_rows: usize) -> Vec<Vec<Input>> {
    inputs.sort_by(|left, right| (&left.least, &left.file.path).cmp(&(&right.least, &right.file.path)));
    let mut groups: Vec<Vec<Input>> = Vec::new();
    let mut open: Vec<(Option<String>, u64)> = Vec::new();
    for input in inputs {
        // Of `most`, none is no bound at all.
        open.retain(|(most, _)| most.is_none() || input.least.is_none() || *most >= input.least);
        let this = (input.most.clone(), input.memory_bytes(batch_rows as u64));
        let needed = open.iter().map(|(_, bytes)| bytes).sum::<u64>() + this.1;
        match groups.last_mut() {
            Some(group) if needed <= budget || group.len() == 1 => group.push(input),
            _ => {
                open.clear();
                groups.push(vec![input]);
            }
        }
        open.push(this);
    }
    groups
}

/// A file to be put, and who waits for it.
struct Put {
    path: String,
    bytes: Bytes,
    done: oneshot::Sender<()>,
}

/// Merges files into so many. The work is done by a thread of its own; the files are put here.
async fn merged_group(
    location: &Location,
    partitioning: &Partitioning,
    inputs: Vec<Input>,
    batch_rows: usize,
    parts: u64,
) -> Result<Merged> {
    let removes: Vec<DataFile> = inputs.iter().map(|input| input.file.clone()).collect();
    let folder = removes.first().map(|file| layout::folder(&file.partition)).unwrap_or_default();
    tracing::debug!(%folder, files = removes.len(), parts, "merging");
    let (send_put, mut puts) = mpsc::channel::<Put>(1);
    let (send_done, done) = oneshot::channel();
    let work = {
        let (location, partitioning, runtime) = (location.clone(), partitioning.clone(), Handle::current());
        move || {
            let merge =
                Merge::new(&location, merge_column(&partitioning), inputs.clone(), batch_rows, runtime);
            let merged = merge.and_then(|merge| write_parts(&partitioning, &inputs, merge, parts, &send_put));
            drop(send_put);
            // Nobody waits any more where the run was ended.
            send_done.send(merged).ok();
        }
    };
    std::thread::Builder::new()
        .name("merge".to_owned())
        .spawn(work)
        .map_err(|error| Error::failed("starting a thread to merge files").caused_by(error))?;
    while let Some(put) = puts.recv().await {
        put_new(location, &put.path, put.bytes).await?;
        put.done.send(()).ok();
    }
    let adds = done.await.map_err(|_| Error::failed("a thread that merges files has died"))??;
    Ok(Merged { removes, adds })
}

/// Writes the rows of `inputs` into so many files of about as many rows each. A file is put before the next is made: one
/// is in memory.
fn write_parts(
    partitioning: &Partitioning,
    inputs: &[Input],
    mut merge: Merge,
    parts: u64,
    out: &mpsc::Sender<Put>,
) -> Result<Vec<DataFile>> {
    let stopped = || Error::failed("the merge was stopped");
    let not_as_said = || Error::failed("the merged files have not as many rows as they say");
    let Some(partition) = inputs.first().map(|input| input.file.partition.clone()) else {
        return Ok(Vec::new());
    };
    let rows: u64 = inputs.iter().map(|input| input.file.rows).sum();
    let mut paths: Vec<&str> = inputs.iter().map(|input| input.file.path.as_str()).collect();
    paths.sort_unstable();
    let named_by = paths
        .iter()
        .fold(Sha256::new_with_prefix("compact"), |hash, path| hash.chain_update([0]).chain_update(path));
    let mut files = Vec::new();
    for part in 0..parts {
        let rows = share(rows, part + 1, parts) - share(rows, part, parts);
        if rows == 0 {
            continue;
        }
        let next = Part::new(&mut merge, usize::try_from(rows).map_err(|_| not_as_said())?);
        let encoded = encode(&next, partitioning)?;
        if !next.is_at_end() {
            return Err(not_as_said());
        }
        let name = named_by.clone().chain_update(&encoded.bytes).finalize();
        let file = DataFile {
            path: layout::data_file(&partition, &name, files.len()),
            size: encoded.bytes.len() as u64,
            rows: encoded.rows,
            partition: partition.clone(),
            stats: encoded.stats,
        };
        let (done, is_put) = oneshot::channel();
        let put = Put { path: file.path.clone(), bytes: encoded.bytes.into(), done };
        out.blocking_send(put).map_err(|_| stopped())?;
        is_put.blocking_recv().map_err(|_| stopped())?;
        files.push(file);
    }
    if merge.is_at_end() { Ok(files) } else { Err(not_as_said()) }
}

/// How many of `rows` are in the first `part` of `parts`.
fn share(rows: u64, part: u64, parts: u64) -> u64 {
    let share = u128::from(rows) * u128::from(part) / u128::from(parts);
    u64::try_from(share).unwrap_or(rows)
}

/// Commits what was merged, without that of which somebody else has removed an input; returns the lake as it is then.
async fn commit_merged(
    mut lake: Lake,
    pending: &mut Vec<Merged>,
    options: &Options,
    report: &mut Report,
    compacted: &mut HashSet<String>,
) -> Result<Lake> {
    let mut merged = std::mem::take(pending);
    for _ in 0..COMMIT_TRIES {
        if merged.is_empty() {
            return Ok(lake);
        }
        let change = Change {
            adds: merged.iter().flat_map(|merged| merged.adds.clone()).collect(),
            removes: merged.iter().flat_map(|merged| merged.removes.clone()).collect(),
            ..Change::default()
        };
        let rows: u64 = change.removes.iter().map(|file| file.rows).sum();
        let counts =
            [("filesRemoved", change.removes.len() as u64), ("filesAdded", change.adds.len() as u64)];
        let about = About {
            purpose: Purpose::Compact,
            run_id: options.run_id.clone(),
            // Not the run's: a vacuum spares a removed file for some time from this one on.
            time: Utc::now(),
            counts: counts
                .into_iter()
                .chain([("rows", rows)])
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        };
        let outcome = commit(&lake, &change, &about).await?;
        lake = lake.newest().await?;
        match outcome {
            Outcome::Committed { version } => {
                let bytes = |files: &[DataFile]| files.iter().map(|file| file.size).sum::<u64>();
                tracing::info!(
                    version,
                    removed = change.removes.len(),
                    added = change.adds.len(),
                    "committed"
                );
                report.commits += 1;
                report.rows += rows;
                report.files.removed += change.removes.len() as u64;
                report.files.added += change.adds.len() as u64;
                report.bytes.removed += bytes(&change.removes);
                report.bytes.added += bytes(&change.adds);
                compacted.extend(change.removes.iter().map(|file| layout::folder(&file.partition)));
                return Ok(lake);
            }
            Outcome::Conflict { version } => {
                let before = merged.len();
                let active = still_active(&lake, &change.removes)?;
                merged.retain(|merged| merged.removes.iter().all(|file| active.contains(&file.path)));
                let dropped = before - merged.len();
                report.conflicts += dropped as u64;
                tracing::info!(version, dropped, "another writer has committed first");
            }
        }
    }
    Err(Error::failed(format!(
        "other writers committed to {} {COMMIT_TRIES} times in a row",
        lake.location().url
    ))
    .hint("run the command again when fewer writers are at work"))
}

/// Which of these files are in the table.
fn still_active(lake: &Lake, files: &[DataFile]) -> Result<HashSet<String>> {
    let asked: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    Ok(lake.files()?.map(|file| file.path).filter(|path| asked.contains(path.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The files that are merged of those with these sizes in MiB, where the target is 256 MiB.
    fn merged(sizes: &[u64]) -> usize {
        let mut sizes: Vec<u64> = sizes.iter().map(|size| size * MIB).collect();
        let count = sizes.len();
        match largest_to_merge(&mut sizes, 256 * MIB) {
            Some(largest) => {
                assert!(sizes.len() <= count && sizes.iter().all(|&size| size <= largest));
                sizes.len()
            }
            None => 0,
        }
    }

    #[test]
    fn what_is_merged_is_worth_it() {
        for (sizes, files) in [
            (&[][..], 0),
            (&[1], 0),
            (&[1, 1], 2),
            (&[8; 130], 130),
            // Large enough.
            (&[128, 300, 128], 0),
            (&[128, 1, 1], 2),
            // As many come out as went in.
            (&[127, 127, 127], 3),
            (&[127, 127], 2),
            // A large file is not rewritten for a small one, but is for enough of them.
            (&[100, 1], 0),
            (&[100, 1, 1], 2),
            (&[100, 20], 0),
            (&[100, 25], 2),
            (&[100, 13, 13], 3),
            (&[100, 100, 1], 3),
            // A small one always is.
            (&[16, 1], 2),
            (&[17, 1], 0),
        ] {
            assert_eq!(merged(sizes), files, "{sizes:?}");
        }
        assert_eq!(largest_to_merge(&mut vec![2, 2, 2], 4), None);
        assert_eq!(largest_to_merge(&mut vec![0, 0], 4), Some(0));
    }

    #[test]
    fn a_late_file_a_day_rewrites_little() {
        // A day's large file, and every night a file of 1 MiB that comes late.
        let mut sizes = vec![120 * MIB];
        let mut rewritten = 0;
        for _ in 0..30 {
            sizes.push(MIB);
            let mut chosen = sizes.clone();
            if let Some(largest) = largest_to_merge(&mut chosen, 256 * MIB) {
                let sum = chosen.iter().sum();
                rewritten += sum;
                sizes.retain(|&size| size > largest);
                sizes.push(sum);
            }
            assert!(sizes.len() <= 4, "{sizes:?}");
        }
        assert!(rewritten < 600 * MIB, "{} MiB", rewritten / MIB);
    }

    fn input(number: usize, bounds: Option<(&str, &str)>, memory_bytes: u64) -> Input {
        let stats = bounds.map_or("{}".to_owned(), |(least, most)| {
            format!(r#"{{"minValues":{{"account":"{least}"}},"maxValues":{{"account":"{most}"}},"nullCount":{{"account":0}}}}"#)
        });
        let file = DataFile { path: format!("{number}"), size: 1, rows: 4, partition: Vec::new(), stats };
        Input::of(file, memory_bytes - 6, 1)
    }

    #[test]
    fn what_is_open_at_a_time_fits_the_budget() {
        let grouped = |bounds: &[Option<(&str, &str)>], budget: u64| -> Vec<usize> {
            let inputs =
                bounds.iter().enumerate().map(|(number, bounds)| input(number, *bounds, 10)).collect();
            groups(inputs, budget, 2).iter().map(Vec::len).collect()
        };
        let apart = [Some(("d", "e")), Some(("a", "b")), Some(("c", "c"))];
        assert_eq!(grouped(&apart, 10), [3], "one is open at a time");
        let touching = [Some(("a", "b")), Some(("b", "c")), Some(("c", "d"))];
        assert_eq!((grouped(&touching, 20), grouped(&touching, 10)), (vec![3], vec![2, 1]));
        // Two at least, whatever the budget: else nothing would ever be merged.
        let all = [Some(("a", "z")); 7];
        assert_eq!(
            (grouped(&all, 1), grouped(&all, 35), grouped(&all, 70)),
            (vec![2, 2, 2, 1], vec![3, 3, 1], vec![7])
        );
        assert_eq!(grouped(&[None; 5], 20), [2, 2, 1]);
        assert_eq!(grouped(&[], 20), [0; 0]);
    }

    #[test]
    fn jobs_are_as_many_as_memory_allows() {
        let options = |memory_mib: u64, jobs: usize| Options {
            first_day: None,
            last_day: None,
            target_bytes: 256 * MIB,
            memory_bytes: memory_mib * MIB,
            jobs,
            dry_run: false,
            run_id: String::new(),
        };
        for (memory_mib, wanted, given) in
            [(1024, 1, 1), (1024, 2, 2), (1024, 8, 2), (8192, 8, 8), (600, 8, 1)]
        {
            assert_eq!(jobs(&options(memory_mib, wanted)).unwrap(), given, "{memory_mib} MiB, {wanted} jobs");
        }
        assert!(jobs(&options(500, 1)).is_err());
    }

    #[test]
    fn rows_are_shared_out_whole() {
        for (rows, parts) in [(0, 1), (10, 3), (2, 5), (u64::MAX, 7)] {
            let sum: u64 =
                (0..parts).map(|part| share(rows, part + 1, parts) - share(rows, part, parts)).sum();
            assert_eq!(sum, rows);
        }
    }
}
