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

/// What a lake holds, and what it does not hold yet.
pub mod status;

/// One task.
pub mod task;

/// The threads.
mod workers;

/// What earlier runs have converted.
pub mod known;

/// Copies of what there is already.
mod copies;

/// In which order tasks look for copies.
mod turns;

/// From reports to a commit.
mod pending;

/// Rejected input, once more.
pub mod replay;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lake::layout::Partitioning;
use crate::lake::ledger::Window;
use crate::lake::lookup::Lookup;
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;
use crate::source::list::{Filter, Listing, Object, list};
use crate::store::Location;
use known::{Filters, Known, State, fingerprint, first_day, source_name};
use pending::{Committed, Pending};
use plan::{Bounds, Item, Plan, object, plan};
use report::{Note, Report, Requests, Verdict};
use task::{Shared, TaskObject, TaskReport, TaskSpec};
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

/// Plans in a row that others may overtake without leaving less to convert. Where they leave less, planning again has an
/// end.
const MOST_PLANS: usize = 20;

/// Of all memory, what the keys of rows that there are already may take.
const KEYS_SHARE: u64 = 8;

/// Notes kept for the report, of each kind; all of them are logged, and rejected input is in the lake.
const MOST_NOTES: usize = 1_000;

/// Path days after the last wanted event day that are listed too: deliveries take minutes, and events before midnight
/// are in the next day's folder.
const DAYS_AFTER: u64 = 1;

/// What a task does beside reading its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How the lake is partitioned.
    pub partitioning: Partitioning,
    /// What is left out.
    pub filters: Filters,
    /// Events of days before this one, days since 1970, are no longer kept.
    pub expired_before: Option<i64>,
    /// Whether copies of events are left out.
    pub dedupe: bool,
    /// Whether the ledger gets a SHA-256 of every object's text.
    pub sha256: bool,
    /// Inflated bytes that are sorted together.
    pub chunk_bytes: usize,
    /// An object may have this many bytes, stored and inflated.
    pub max_object_bytes: u64,
    /// KiB of objects that a task may read ahead; no byte depends on it.
    pub in_flight_kib: u32,
    /// The run's time, microseconds since 1970; in the ledger only.
    pub converted_at: i64,
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
    /// How many path days before the newest converted one are listed again, where `since` does not say; `None` is all.
    pub lookback_days: Option<u64>,
    /// Whether copies of events are left out.
    pub dedupe: bool,
    /// Whether the ledger gets a SHA-256 of every object's text.
    pub sha256: bool,
    /// A run commits whenever this much of what it has read is not committed yet, bytes as stored.
    pub commit_bytes: u64,
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
    fn start(&self, listings: &[Listing], plan: &Plan) {
        self.objects.store(plan.items().len() as u64, Relaxed);
        self.bytes.store(plan.items().iter().map(|item| object(listings, item).size).sum(), Relaxed);
        for counter in [&self.objects_done, &self.bytes_done, &self.records_done] {
            counter.store(0, Relaxed);
        }
    }

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
    let mut vouched = vouched_for(opened.as_ref()).await?;
    let sources = list_sources(options, &vouched, progress, &mut report).await?;
    if opened.is_none() {
        // Only now, so that a mistyped source leaves no empty lake behind.
        opened = open_lake(options).await?;
        vouched = vouched_for(opened.as_ref()).await?;
    }
    let mut unread = Unread::default();
    let (mut least, mut plans) = (usize::MAX, 0);
    loop {
        let base = Base::read(options, opened.as_ref(), vouched, &sources.window).await?;
        let plan = sources.plan(options, &base, &unread, &mut report);
        plans = if plan.items().len() < least { 1 } else { plans + 1 };
        least = least.min(plan.items().len());
        describe(&sources.listings, &plan, &mut report);
        progress.start(&sources.listings, &plan);
        report.version = opened.as_ref().map(Lake::version);
        let Some(lake) = opened.take().filter(|_| !options.dry_run) else {
            report.verdict = Verdict::Planned;
            report.files = expected_files(&sources.listings, &plan);
            break;
        };
        match convert(options, &sources, &base, &plan, lake, progress, &mut report, &mut unread).await? {
            Committed::Yes(lake) => {
                report.version = Some(lake.version());
                break;
            }
            Committed::Overtaken(_) if plans == MOST_PLANS => return Err(always_overtaken(options)),
            Committed::Overtaken(lake) => {
                tracing::info!(version = lake.version(), "planning again");
                report.planned_again += 1;
                vouched = Vouched::read(&lake).await?;
                opened = Some(lake);
            }
        }
    }
    if !options.dry_run {
        let clean = report.objects.rejected == 0
            && report.records.rejected == 0
            && report.objects.unreadable == 0
            && report.unlisted == 0;
        report.verdict = if clean { Verdict::Done } else { Verdict::Rejected };
    }
    report.requests = requests(options);
    if options.dry_run {
        // What the run itself would ask for: a GET an object, and a PUT a file.
        report.requests.get += report.objects.listed - report.objects.known;
        report.requests.put += report.files;
    }
    report.balanced = report.is_balanced();
    report.duration_seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

fn always_overtaken(options: &Options) -> Error {
    let url = &options.lake.url;
    let text =
        format!("other runs have added to {url} what this one was converting, {MOST_PLANS} times in a row");
    Error::failed(text).hint("run the command again when fewer are at work")
}

async fn vouched_for(lake: Option<&Lake>) -> Result<Vouched> {
    match lake {
        Some(lake) => Vouched::read(lake).await,
        None => Ok(Vouched::default()),
    }
}

/// The state of the lake that a plan builds on.
struct Base {
    settings: Settings,
    vouched: Vouched,
    known: Known,
    expired_before: Option<NaiveDate>,
}

impl Base {
    async fn read(options: &Options, lake: Option<&Lake>, vouched: Vouched, window: &Window) -> Result<Base> {
        let known = match lake {
            Some(lake) => Known::read(lake, &vouched, window).await?,
            None => Known::default(),
        };
        let expired_before = lake.and_then(Lake::expired_before);
        Ok(Base { settings: settings(options, lake), vouched, known, expired_before })
    }
}

/// Objects that could not be read and were counted as such: they are not tried again by later plans of the run.
#[derive(Clone, Default)]
struct Unread {
    urls: HashSet<String>,
    /// The earliest path day of them, by source.
    days: BTreeMap<u32, i64>,
}

impl Unread {
    fn add(&mut self, task: &TaskReport) {
        for object in &task.unread {
            self.urls.insert(object.note.object.clone());
            if let Some(day) = object.day {
                let earliest = self.days.entry(object.source).or_insert(day);
                *earliest = day.min(*earliest);
            }
        }
    }
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

/// What the sources hold, as far as the run looks.
#[derive(Default)]
struct Sources {
    listings: Vec<Listing>,
    /// The path days that were listed of any of them.
    window: Window,
    /// How far each of them is converted when the run ends, in days since 1970, by [`source_name`]; none where
    /// something could not be listed.
    newest: Vec<(String, Option<i64>)>,
}

async fn list_sources(
    options: &Options,
    vouched: &Vouched,
    progress: &Progress,
    report: &mut Report,
) -> Result<Sources> {
    let filters = filters(options);
    let mut sources = Sources { listings: Vec::new(), window: Window::default(), newest: Vec::new() };
    let mut first_days = Vec::new();
    let mut seen = HashSet::new();
    let mut before = 0;
    for source in &options.sources {
        let name = source_name(&source.url, &filters);
        let first_day = first_day(vouched, &name, options.since, options.lookback_days);
        // An event is delivered after it happened, and nothing is delivered in the future. A last day spares the
        // search for days; a source without any bound may be dated as it likes.
        let last = options.until.or(first_day.map(|_| options.now));
        let filter = Filter {
            accounts: options.accounts.clone(),
            regions: options.regions.clone(),
            first_day,
            last_day: last.and_then(|last| last.date_naive().checked_add_days(Days::new(DAYS_AFTER))),
        };
        if let (Some(day), None) = (filter.first_day, options.since) {
            report.listed_from.insert(source.url.clone(), day.to_string());
        }
        first_days.push(filter.first_day);
        let listed = |objects: u64| progress.listed.store(before + objects, Relaxed);
        let mut listing = list(source, &filter, &listed).await?;
        if listing.objects.is_empty() && listing.failures.is_empty() {
            // A mistyped prefix or account looks like a quiet day, every day.
            tracing::warn!(source = %source.url, "no objects found within the filters");
        }
        leave_out(&mut listing, source, &options.lake, options.sources.len() > 1, &mut seen);
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
        let newest = listing.objects.iter().filter_map(|object| listing.folder(object).day).max();
        // A key that is dated ahead must not keep later deliveries from being found.
        let limit = options.until.unwrap_or(options.now).min(options.now).date_naive();
        let newest =
            newest.filter(|_| listing.failures.is_empty()).map(|day| days_since_1970(day.min(limit)));
        sources.newest.push((name, newest));
        sources.listings.push(listing);
    }
    sources.window.first = first_days.into_iter().min().flatten();
    report.objects.listed = before;
    progress.listed.store(before, Relaxed);
    Ok(sources)
}

impl Sources {
    /// What is to be converted of what was listed.
    fn plan(&self, options: &Options, base: &Base, unread: &Unread, report: &mut Report) -> Plan {
        let bytes = base.settings.chunk_bytes as u64 / EXPECTED_RATIO;
        let bounds = Bounds { bytes, objects: TASK_OBJECTS };
        let (mut whole, mut partly) = (0, 0);
        let plan = plan(&self.listings, &bounds, |item| {
            let (url, this) = self.object(options, item);
            let state = base.known.state(&url, this.size, &this.version, &base.settings.filters);
            if unread.urls.contains(&url) {
                return false;
            }
            whole += u64::from(state == State::Whole);
            partly += u64::from(matches!(state, State::Partly(_)));
            state != State::Whole
        });
        if partly > 0 {
            tracing::info!(
                "{partly} objects were converted in part by runs with other filters, and are read again"
            );
        }
        // Those that this run has committed before it planned again were counted as what they are.
        report.objects.known = whole.saturating_sub(report.objects.tried() - report.objects.unreadable);
        plan
    }

    fn spec(&self, options: &Options, base: &Base, items: &[Item]) -> TaskSpec {
        let objects = items.iter().map(|item| {
            let listing = &self.listings[item.source as usize];
            let (url, this) = self.object(options, item);
            let folder = listing.folder(this);
            let state = base.known.state(&url, this.size, &this.version, &base.settings.filters);
            TaskObject {
                source: item.source,
                path: listing.path(this).into(),
                size: this.size,
                version: this.version.to_string(),
                account: folder.account.clone(),
                region: folder.region.clone(),
                day: folder.day.map(days_since_1970),
                kind: folder.kind.map(|kind| kind.folder().to_owned()),
                replaced: state == State::Replaced,
                before: if let State::Partly(partly) = state { Some(partly) } else { None },
                url,
                part: None,
            }
        });
        TaskSpec { settings: base.settings.clone(), objects: objects.collect() }
    }

    fn object(&self, options: &Options, item: &Item) -> (String, &Object) {
        let this = object(&self.listings, item);
        let path = self.listings[item.source as usize].path(this);
        (options.sources[item.source as usize].url_of(&path), this)
    }

    /// How far sources are converted when all that could be read is, where that is further than the log says. What
    /// could not be read stays within the days that the next run looks back to.
    fn converted_up_to(&self, vouched: &Vouched, unread: &Unread) -> BTreeMap<String, i64> {
        let further = |(source, (name, newest)): (u32, &(String, Option<i64>))| {
            let newest = (*newest)?.min(unread.days.get(&source).copied().unwrap_or(i64::MAX));
            let is_further = vouched.source(name).is_none_or(|known| newest > known);
            is_further.then(|| (name.clone(), newest))
        };
        (0..).zip(&self.newest).filter_map(further).collect()
    }
}

/// Leaves out what no trail delivered, the lake's own files in a source around it, and what an earlier source has too.
fn leave_out(
    listing: &mut Listing,
    source: &Location,
    lake: &Location,
    several: bool,
    seen: &mut HashSet<[u8; 16]>,
) {
    let around_lake = lake.url.starts_with(&source.url);
    if !around_lake && !several {
        return;
    }
    let (mut of_lake, mut twice) = (0, 0);
    let mut objects = std::mem::take(&mut listing.objects);
    objects.retain(|object| {
        let url = source.url_of(&listing.path(object));
        let is_of_lake = around_lake && url.starts_with(&lake.url);
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

fn filters(options: &Options) -> Filters {
    Filters {
        accounts: options.accounts.clone(),
        regions: options.regions.clone(),
        since: options.since.map(|time| time.timestamp_micros()),
        until: options.until.map(|time| time.timestamp_micros()),
    }
}

fn settings(options: &Options, lake: Option<&Lake>) -> Settings {
    let jobs = options.jobs.max(1) as u64;
    let partitioning = match lake {
        Some(lake) => lake.partitioning().clone(),
        None => options.partitioning.clone().unwrap_or_default(),
    };
    Settings {
        partitioning,
        filters: filters(options),
        expired_before: lake.and_then(Lake::expired_before).map(days_since_1970),
        dedupe: options.dedupe,
        sha256: options.sha256,
        chunk_bytes: (options.memory_bytes / jobs / TEXT_SHARE).clamp(4 << 20, MOST_TEXT) as usize,
        max_object_bytes: options.max_object_bytes,
        in_flight_kib: u32::try_from(options.memory_bytes / 16 / 1024 / jobs)
            .unwrap_or(u32::MAX)
            .clamp(1 << 10, 1 << 18),
        converted_at: options.now.timestamp_micros(),
    }
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

fn days_since_1970(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce() - NaiveDate::default().num_days_from_ce())
}

#[expect(clippy::too_many_arguments)]
async fn convert(
    options: &Options,
    sources: &Sources,
    base: &Base,
    plan: &Plan,
    mut lake: Lake,
    progress: &Arc<Progress>,
    report: &mut Report,
    unread: &mut Unread,
) -> Result<Committed> {
    let jobs = options.jobs.max(1);
    let shared = shared(options, &lake, progress, !plan.items().is_empty())?;
    let workers = &Workers::start(jobs, base.settings.chunk_bytes)?;
    let mut pending = Pending::new(options, base, sources, &shared, &lake);
    let mut tasks = stream::iter(plan.tasks())
        .map(|items| {
            let spec = Arc::new(sources.spec(options, base, items));
            let turn = shared.turns.enter(&spec);
            task::run(spec, turn, Arc::clone(&shared), workers)
        })
        // In the order of the plan, so that a run's commits do not depend on which task was faster.
        // No more than there are workers: a task that waited for one would hold bytes in flight that the others need.
        .buffered(jobs);
    while let Some(task) = tasks.try_next().await? {
        pending.add(task);
        if pending.is_due() {
            lake = match pending.commit(lake, report, unread).await? {
                Committed::Yes(lake) => lake,
                overtaken => return Ok(overtaken),
            };
        }
    }
    pending.finish(lake, report, unread).await
}

/// What the tasks of a run have in common; the lake's files are looked through only if there is something to convert.
fn shared(options: &Options, lake: &Lake, progress: &Arc<Progress>, has_work: bool) -> Result<Arc<Shared>> {
    let bytes = usize::try_from(options.memory_bytes / KEYS_SHARE).unwrap_or(usize::MAX);
    let lookup = Lookup::new(&options.lake, bytes);
    if options.dedupe && has_work {
        lookup.add_files(lake)?;
    }
    Ok(Arc::new(Shared {
        sources: options.sources.clone(),
        lake: options.lake.clone(),
        lookup: options.dedupe.then_some(lookup),
        turns: Arc::default(),
        progress: Arc::clone(progress),
        is_replay: false,
    }))
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
