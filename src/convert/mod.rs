//! Sources into a lake: list, plan, run the tasks, commit.
//!
//! ```text
//! list ─▶ subtract the ledger ─▶ plan ─▶ task ┐
//!                                        task ├─ reports ─▶ commit (here only)
//!                                        task ┘
//! ```

/// Which objects are converted together.
pub mod plan;

/// What a run did.
pub mod report;

/// One task.
pub mod task;

/// The threads.
mod workers;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
use crate::lake::layout::{DataFile, Partitioning};
use crate::lake::ledger::{self, Entry};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;
use crate::source::list::{Filter, Listing, list};
use crate::store::Location;
use plan::{Bounds, Item, Plan, object, plan};
use report::{Note, Objects, Report, Requests, Verdict};
use task::{TaskObject, TaskReport, TaskSpec};
use workers::Workers;

/// Of a worker's memory, what its text buffer gets: the rest is for columns, sorted copies of them, and the encoder.
const TEXT_SHARE: u64 = 4;

/// Text that is sorted together at most. Every job has room for it by default, so that files do not depend on how many
/// jobs there are: a run that was broken off finds its files again on another machine.
const MOST_TEXT: u64 = 64 << 20;

/// Inflated bytes that a byte of gzip is taken for when tasks are packed; AWS's documentation says 10.
const EXPECTED_RATIO: u64 = 10;

/// Objects of a task, whatever their size: a GET each.
const TASK_OBJECTS: usize = 20_000;

/// A run commits whenever this many data files wait.
const COMMIT_FILES: usize = 1_000;

/// And whenever this many objects do.
const COMMIT_OBJECTS: usize = 200_000;

/// Commits that may be lost to other writers in a row.
const COMMIT_TRIES: usize = 20;

/// Notes kept for the report, of each kind; all of them are logged, and rejected input is in the lake.
const MOST_NOTES: usize = 1_000;

/// Path days after the last wanted event day that are listed too: deliveries take minutes, and events before midnight
/// are in the next day's folder.
const DAYS_AFTER: u64 = 1;

/// What the bytes of a data file depend on, beside its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How the lake is partitioned.
    pub partitioning: Partitioning,
    /// Wanted accounts; empty is all.
    pub accounts: BTreeSet<String>,
    /// Wanted Regions of delivery; empty is all.
    pub regions: BTreeSet<String>,
    /// The first wanted event time, microseconds since 1970, UTC.
    pub since: Option<i64>,
    /// The first event time that is not wanted any more.
    pub until: Option<i64>,
    /// Inflated bytes that are sorted together.
    pub chunk_bytes: usize,
    /// An object may have this many bytes, stored and inflated.
    pub max_object_bytes: u64,
    /// KiB of objects that may be read ahead; no byte depends on it.
    pub in_flight_kib: u32,
}

/// What to convert.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where trails deliver.
    pub sources: Vec<Location>,
    /// The output root.
    pub lake: Location,
    /// How the lake is partitioned; `None` is as it is, or by date where it is made now.
    pub partitioning: Option<Partitioning>,
    /// Wanted accounts; empty is all.
    pub accounts: BTreeSet<String>,
    /// Wanted Regions of delivery; empty is all.
    pub regions: BTreeSet<String>,
    /// The first wanted event time.
    pub since: Option<DateTime<Utc>>,
    /// The first event time that is not wanted any more.
    pub until: Option<DateTime<Utc>>,
    /// Memory for all workers together, bytes.
    pub memory_bytes: u64,
    /// Tasks at once, each on a core.
    pub jobs: usize,
    /// An object may have this many bytes, stored and inflated.
    pub max_object_bytes: u64,
    /// List and plan only.
    pub dry_run: bool,
    /// The time of the run.
    pub now: DateTime<Utc>,
    /// A name for the run that no other run has.
    pub run_id: String,
}

/// How far a run is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects found so far.
    pub listed: AtomicU64,
    /// Objects to convert; 0 until the plan is made.
    pub objects: AtomicU64,
    /// Their bytes as stored.
    pub bytes: AtomicU64,
    /// Objects converted.
    pub objects_done: AtomicU64,
    /// Their bytes.
    pub bytes_done: AtomicU64,
    /// Records found in them.
    pub records_done: AtomicU64,
}

impl Progress {
    fn object_done(&self, bytes: u64) {
        self.objects_done.fetch_add(1, Relaxed);
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    fn records_done(&self, records: u64) {
        self.records_done.fetch_add(records, Relaxed);
    }
}

/// Converts.
///
/// # Errors
/// Where a source cannot be listed at all, the lake cannot be opened, written or committed to, or is not what the
/// options say. What was committed before stays.
pub async fn run(options: &Options, progress: &Arc<Progress>) -> Result<Report> {
    let clock = Instant::now();
    let mut report = Report {
        lake: options.lake.url.clone(),
        sources: options.sources.iter().map(|source| source.url.clone()).collect(),
        run_id: options.run_id.clone(),
        started: options.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        ..Report::default()
    };
    let mut opened = Lake::open(&options.lake).await?;
    if let (Some(lake), Some(wanted)) = (&opened, &options.partitioning) {
        lake.expect_partitioning(wanted)?;
    }
    let listings = list_sources(options, progress, &mut report).await?;
    if opened.is_none() {
        // Only now, so that a mistyped source leaves no empty lake behind.
        opened = open_lake(options).await?;
    }
    let known = match &opened {
        Some(lake) => Known::read(lake).await?,
        None => Known::default(),
    };
    let partitioning = match &opened {
        Some(lake) => lake.partitioning().clone(),
        None => options.partitioning.clone().unwrap_or_default(),
    };
    let settings = settings(options, partitioning);
    let bounds = Bounds { bytes: settings.chunk_bytes as u64 / EXPECTED_RATIO, objects: TASK_OBJECTS };
    let mut partly = 0u64;
    let plan = plan(&listings, &bounds, |item| {
        let state = known.state(&listings, options, item);
        report.objects.known += u64::from(state != State::New);
        partly += u64::from(state == State::Partly);
        state == State::New
    });
    if partly > 0 {
        tracing::warn!(
            "{partly} objects were converted in part by a run with other filters, and are left as they are"
        );
    }
    describe(&listings, &plan, &mut report);
    progress.objects.store(plan.items().len() as u64, Relaxed);
    progress.bytes.store(plan.items().iter().map(|item| object(&listings, item).size).sum(), Relaxed);
    if options.dry_run {
        report.verdict = Verdict::Planned;
        report.files = expected_files(&listings, &plan);
        report.version = opened.as_ref().map(Lake::version);
    } else {
        let Some(lake) = opened else { return Err(Error::failed("the lake was not opened")) };
        convert(options, &settings, &listings, &plan, lake, progress, &mut report).await?;
        let clean = report.objects.rejected == 0
            && report.records.rejected == 0
            && report.objects.unreadable == 0
            && report.unlisted == 0;
        report.verdict = if clean { Verdict::Done } else { Verdict::Rejected };
    }
    report.requests = requests(options);
    if options.dry_run {
        // What the run itself would ask for: a GET an object, and a PUT a file.
        report.requests.get += plan.items().len() as u64;
        report.requests.put += report.files;
    }
    report.balanced = report.is_balanced();
    report.duration_seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

/// Opens the lake, or makes it; in a dry run it may be absent.
async fn open_lake(options: &Options) -> Result<Option<Lake>> {
    let lake = if options.dry_run {
        let lake = Lake::open(&options.lake).await?;
        if lake.is_none() {
            Lake::expect_place(&options.lake).await?;
        }
        lake
    } else {
        let partitioning = options.partitioning.clone().unwrap_or_default();
        Some(Lake::create(&options.lake, &partitioning).await?)
    };
    if let (Some(lake), Some(wanted)) = (&lake, &options.partitioning) {
        lake.expect_partitioning(wanted)?;
    }
    Ok(lake)
}

async fn list_sources(options: &Options, progress: &Progress, report: &mut Report) -> Result<Vec<Listing>> {
    let day = |time: DateTime<Utc>, forward: u64| time.date_naive().checked_add_days(Days::new(forward));
    let filter = Filter {
        accounts: options.accounts.clone(),
        regions: options.regions.clone(),
        // An event is delivered after it happened, so never into an earlier day's folder.
        first_day: options.since.and_then(|since| day(since, 0)),
        last_day: options.until.and_then(|until| day(until, DAYS_AFTER)),
    };
    let mut listings = Vec::with_capacity(options.sources.len());
    let mut seen = HashSet::new();
    let mut before = 0;
    for source in &options.sources {
        let listed = |objects: u64| progress.listed.store(before + objects, Relaxed);
        let mut listing = list(source, &filter, &listed).await?;
        if listing.objects.is_empty() && listing.failures.is_empty() {
            // A mistyped prefix or account looks like a quiet day, every day.
            tracing::warn!(source = %source.url, "no objects found within the filters");
        }
        leave_out(&mut listing, source, options, &mut seen);
        before += listing.objects.len() as u64;
        for (reason, count) in &listing.skipped {
            *report.skipped.entry(reason.clone()).or_default() += count;
        }
        for failure in &listing.failures {
            let url = source.url_of(&failure.path);
            tracing::info!(folder = %url, reason = %failure.message, "not listed");
            report.unlisted += 1;
            let note = Note { object: url, record: None, byte: None, reason: failure.message.clone() };
            keep_note(&mut report.unreadable, note, &mut report.notes_omitted);
        }
        report.bytes.listed += listing.total_bytes();
        listings.push(listing);
    }
    report.objects.listed = before;
    progress.listed.store(before, Relaxed);
    Ok(listings)
}

/// Leaves out what no trail delivered, the lake's own files in a source around it, and what an earlier source has too.
fn leave_out(listing: &mut Listing, source: &Location, options: &Options, seen: &mut HashSet<[u8; 16]>) {
    let around_lake = options.lake.url.starts_with(&source.url);
    let several = options.sources.len() > 1;
    if !around_lake && !several {
        return;
    }
    let (mut of_lake, mut twice) = (0, 0);
    let mut objects = std::mem::take(&mut listing.objects);
    objects.retain(|object| {
        let url = source.url_of(&listing.path(object));
        let is_of_lake = around_lake && url.starts_with(&options.lake.url);
        let is_twice =
            !is_of_lake && several && !seen.insert(fingerprint(&url, object.size, &object.version));
        of_lake += u64::from(is_of_lake);
        twice += u64::from(is_twice);
        !is_of_lake && !is_twice
    });
    listing.objects = objects;
    for (reason, count) in [("file of the lake", of_lake), ("object of an earlier source", twice)] {
        if count > 0 {
            listing.skipped.insert(reason.to_owned(), count);
        }
    }
}

fn settings(options: &Options, partitioning: Partitioning) -> Settings {
    let worker_bytes = options.memory_bytes / options.jobs.max(1) as u64;
    Settings {
        partitioning,
        accounts: options.accounts.clone(),
        regions: options.regions.clone(),
        since: options.since.map(|time| time.timestamp_micros()),
        until: options.until.map(|time| time.timestamp_micros()),
        chunk_bytes: (worker_bytes / TEXT_SHARE).clamp(4 << 20, MOST_TEXT) as usize,
        max_object_bytes: options.max_object_bytes,
        in_flight_kib: u32::try_from(options.memory_bytes / 16 / 1024)
            .unwrap_or(u32::MAX)
            .clamp(1 << 10, 1 << 18),
    }
}

/// Objects that the ledger has.
#[derive(Default)]
struct Known {
    whole: HashSet<[u8; 16]>,
    partly: HashSet<[u8; 16]>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum State {
    New,
    Partly,
    Whole,
}

impl Known {
    async fn read(lake: &Lake) -> Result<Known> {
        let mut known = Known::default();
        let vouched = Vouched::read(lake).await?;
        ledger::read(lake, &vouched, &ledger::Window::default(), |_, entry| {
            let set = if entry.filter.is_none() { &mut known.whole } else { &mut known.partly };
            set.insert(fingerprint(&entry.url, entry.size, &entry.version));
        })
        .await?;
        Ok(known)
    }

    fn state(&self, listings: &[Listing], options: &Options, item: &Item) -> State {
        let this = object(listings, item);
        let path = listings[item.source as usize].path(this);
        let url = options.sources[item.source as usize].url_of(&path);
        let key = fingerprint(&url, this.size, &this.version);
        if self.whole.contains(&key) {
            State::Whole
        } else if self.partly.contains(&key) {
            State::Partly
        } else {
            State::New
        }
    }
}

fn fingerprint(url: &str, size: u64, version: &str) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    hasher.update(size.to_le_bytes());
    hasher.update((url.len() as u64).to_le_bytes());
    hasher.update(url);
    hasher.update(version);
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hasher.finalize()[..16]);
    fingerprint
}

/// Says what is to be converted.
fn describe(listings: &[Listing], plan: &Plan, report: &mut Report) {
    let mut accounts = BTreeSet::new();
    let mut regions = BTreeSet::new();
    let mut days = BTreeSet::new();
    for item in plan.items() {
        let listing = &listings[item.source as usize];
        let folder = listing.folder(object(listings, item));
        accounts.extend(folder.account.as_deref());
        regions.extend(folder.region.as_deref());
        days.extend(folder.day);
    }
    report.accounts = accounts.len() as u64;
    report.regions = regions.len() as u64;
    report.days = days.first().zip(days.last()).map(|(first, last)| (first.to_string(), last.to_string()));
}

/// The data files to expect of a plan: one a task, and one more for the events before midnight.
fn expected_files(listings: &[Listing], plan: &Plan) -> u64 {
    let dated = |items: &[Item]| {
        items
            .first()
            .is_some_and(|item| listings[item.source as usize].folder(object(listings, item)).day.is_some())
    };
    plan.tasks().map(|items| if dated(items) { 2 } else { 1 }).sum()
}

fn spec(options: &Options, settings: &Settings, listings: &[Listing], items: &[Item]) -> TaskSpec {
    let objects = items.iter().map(|item| {
        let listing = &listings[item.source as usize];
        let this = object(listings, item);
        let folder = listing.folder(this);
        let path = listing.path(this);
        TaskObject {
            source: item.source,
            url: options.sources[item.source as usize].url_of(&path),
            path: path.into(),
            size: this.size,
            version: this.version.to_string(),
            account: folder.account.clone(),
            region: folder.region.clone(),
            day: folder.day.map(days_since_1970),
            kind: folder.kind.map(|kind| kind.folder().to_owned()),
        }
    });
    TaskSpec { settings: settings.clone(), objects: objects.collect() }
}

fn days_since_1970(day: NaiveDate) -> i32 {
    day.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

async fn convert(
    options: &Options,
    settings: &Settings,
    listings: &[Listing],
    plan: &Plan,
    mut lake: Lake,
    progress: &Arc<Progress>,
    report: &mut Report,
) -> Result<()> {
    let in_flight = Arc::new(Semaphore::new(settings.in_flight_kib as usize));
    let jobs = options.jobs.max(1);
    let workers = &Workers::start(jobs, settings.chunk_bytes)?;
    let mut tasks = stream::iter(plan.tasks())
        .map(|items| {
            let spec = Arc::new(spec(options, settings, listings, items));
            let (in_flight, progress) = (Arc::clone(&in_flight), Arc::clone(progress));
            async move { task::run(spec, &options.sources, &options.lake, workers, in_flight, progress).await }
        })
        // In the order of the plan, so that a run's commits do not depend on which task was faster.
        // No more than there are workers: a task that waited for one would hold bytes in flight that the others need.
        .buffered(jobs);
    let mut pending = Pending::default();
    while let Some(task) = tasks.try_next().await? {
        pending.add(task, report);
        if pending.files.len() >= COMMIT_FILES || pending.entries.len() >= COMMIT_OBJECTS {
            lake = pending.commit(options, lake, report).await?;
        }
    }
    lake = pending.commit(options, lake, report).await?;
    report.version = Some(lake.version());
    Ok(())
}

/// What tasks have put and no commit has made visible yet.
#[derive(Default)]
struct Pending {
    files: Vec<DataFile>,
    entries: Vec<Entry>,
}

impl Pending {
    fn add(&mut self, task: TaskReport, report: &mut Report) {
        let objects = task.entries.len() as u64 - task.empty - task.foreign - task.rejected_objects;
        add_objects(&mut report.objects, &task, objects);
        for entry in &task.entries {
            report.records.found += entry.records;
            report.records.rows += entry.rows;
            report.records.duplicates += entry.duplicates;
            report.records.filtered += entry.filtered;
            report.records.rejected += entry.rejected;
        }
        report.conflicts += task.conflicts;
        report.bytes.read += task.read_bytes;
        report.bytes.inflated += task.inflated_bytes;
        report.bytes.written += task.files.iter().map(|file| file.size).sum::<u64>();
        report.files += task.files.len() as u64;
        report.notes_omitted += task.notes_omitted;
        for note in task.rejected {
            keep_note(&mut report.rejected, note, &mut report.notes_omitted);
        }
        for note in task.unreadable {
            keep_note(&mut report.unreadable, note, &mut report.notes_omitted);
        }
        self.files.extend(task.files);
        self.entries.extend(task.entries);
    }

    /// Commits what is pending; returns the lake as it is then.
    async fn commit(&mut self, options: &Options, mut lake: Lake, report: &mut Report) -> Result<Lake> {
        if self.files.is_empty() && self.entries.is_empty() {
            return Ok(lake);
        }
        let rows = self.files.iter().map(|file| file.rows).sum();
        let counts = [
            ("objects".to_owned(), self.entries.len() as u64),
            ("files".to_owned(), self.files.len() as u64),
            ("rows".to_owned(), rows),
        ];
        let about = About {
            purpose: Purpose::Convert,
            run_id: options.run_id.clone(),
            time: options.now,
            counts: counts.into_iter().collect(),
        };
        let change = Change {
            adds: std::mem::take(&mut self.files),
            entries: std::mem::take(&mut self.entries),
            ..Change::default()
        };
        for _ in 0..COMMIT_TRIES {
            let outcome = commit(&lake, &change, &about).await?;
            lake = Lake::open(&options.lake)
                .await?
                .ok_or_else(|| Error::failed(format!("the lake {} has disappeared", options.lake.url)))?;
            match outcome {
                Outcome::Committed { version } => {
                    tracing::info!(version, files = change.adds.len(), rows, "committed");
                    report.commits += 1;
                    return Ok(lake);
                }
                Outcome::Conflict { version } => {
                    tracing::info!(version, "another writer has committed first");
                    expect_unconverted(&change, &lake).await?;
                }
            }
        }
        Err(Error::failed(format!(
            "other writers committed to {} {COMMIT_TRIES} times in a row",
            options.lake.url
        ))
        .hint("run the command again when fewer writers are at work"))
    }
}

/// Refuses to add rows of objects that somebody else has added meanwhile.
async fn expect_unconverted(change: &Change, lake: &Lake) -> Result<()> {
    let known = Known::read(lake).await?;
    let both = change
        .entries
        .iter()
        .map(|entry| fingerprint(&entry.url, entry.size, &entry.version))
        .filter(|key| known.whole.contains(key) || known.partly.contains(key))
        .count();
    if both == 0 {
        return Ok(());
    }
    Err(Error::failed(format!(
        "another run has converted {both} of the same objects into {} meanwhile",
        lake.location().url
    ))
    .hint("nothing was added twice: run the command again for what is left"))
}

fn add_objects(objects: &mut Objects, task: &TaskReport, converted: u64) {
    objects.converted += converted;
    objects.empty += task.empty;
    objects.foreign += task.foreign;
    objects.rejected += task.rejected_objects;
    objects.unreadable += task.unreadable.len() as u64;
}

fn keep_note(notes: &mut Vec<Note>, note: Note, omitted: &mut u64) {
    if notes.len() < MOST_NOTES {
        notes.push(note);
    } else {
        *omitted += 1;
    }
}

fn requests(options: &Options) -> Requests {
    let mut requests = Requests::default();
    for location in options.sources.iter().chain([&options.lake]) {
        requests.list += location.meter.list.load(Relaxed);
        requests.get += location.meter.get.load(Relaxed);
        requests.put += location.meter.put.load(Relaxed);
    }
    requests
}
