//! One task: objects in, data files out.
//!
//! ```text
//! fetch ─16 objects, bytes by permit─▶ inflate ▸ decode ▸ flatten ▸ sort ▸ encode ─1 file─▶ put
//! (async)                              (one worker thread)                                (async)
//! ```
//!
//! A task touches nothing shared. Its report is a plain value; what it has put becomes visible only when the driver
//! commits it.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::known::{Filters, Partly};
use super::report::{Note, Records};
use super::turns::{Turn, Turns};
use super::workers::Workers;
use super::{Progress, Settings, copies, keep_note};
use crate::error::{Context, Error, Result};
use crate::event::chunk::{Candidate, Chunk, Source};
use crate::event::inflate::trailer;
use crate::event::sort::{Group, Grouping, Tally};
use crate::event::time::{day, format_day};
use crate::lake::commit::put_new;
use crate::lake::layout::{DataFile, data_file, hex, rejected_file};
use crate::lake::ledger::{Entry, Verdict};
use crate::lake::lookup::{Arrival, Lookup};
use crate::lake::rejected::{self, Rejected};
use crate::lake::write::{self, encode};
use crate::source::fetch::{Failure, Wanted, fetch_all};
use crate::source::list::Object;
use crate::store::Location;

/// GETs of one task at once: at 30 ms a request that is 500 objects a second, more than a core converts.
const FETCHES: usize = 16;

/// Local files read together, and the bytes of them: large ones take longer to read than a change of threads does.
const FILES_AT_ONCE: usize = 16;
const BYTES_AT_ONCE: u64 = 1 << 20;

/// Rejected input is put when this much of it has come together.
const REJECTED_BYTES: usize = 8 << 20;

/// One object of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskObject {
    /// Which of the run's sources it is in.
    pub source: u32,
    /// The path in the source's store.
    pub path: String,
    /// The URL.
    pub url: String,
    /// Bytes as listed.
    pub size: u64,
    /// The ETag or modification time as listed.
    pub version: String,
    /// The account in the key.
    pub account: Option<String>,
    /// The Region in the key.
    pub region: Option<String>,
    /// The path day, days since 1970.
    pub day: Option<i64>,
    /// Which of CloudTrail's folders it is in.
    pub kind: Option<String>,
    /// What runs with other filters have converted of it.
    pub before: Option<Partly>,
    /// Whether another object was under its URL before.
    pub replaced: bool,
    /// Where only a part of the object is converted: that was rejected before.
    pub part: Option<Part>,
}

/// A record of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number in the object, from 1.
    pub record: u64,
    /// The byte of the inflated object at which it begins.
    pub byte: u64,
    /// The lines of its text: several records, where it stands for all that followed it too.
    pub lines: u64,
}

/// Objects to convert together, and how: all that the bytes of the data files depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The settings of the run.
    pub settings: Settings,
    /// The objects, in the order that decides which of several copies is kept.
    pub objects: Vec<TaskObject>,
}

impl TaskSpec {
    /// A hash of the specification, which names the files.
    pub fn hash(&self) -> [u8; 16] {
        let mut hasher = Sha256::new();
        // No byte of a data file depends on these.
        let settings = Settings { in_flight_kib: 0, converted_at: 0, ..self.settings.clone() };
        hasher.update(format!("{settings:?}"));
        hasher.update(format!("schema {}", crate::schema::SCHEMA_VERSION));
        for object in &self.objects {
            for text in [&object.url, &object.version] {
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text);
            }
            hasher.update(object.size.to_le_bytes());
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize()[..16]);
        hash
    }
}

/// An object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Which of the run's sources it is in.
    pub source: u32,
    /// Its path day, days since 1970.
    pub day: Option<i64>,
    /// Which one, and why.
    pub note: Note,
}

/// What a task did.
#[derive(Debug, Clone, Default)]
pub struct TaskReport {
    /// The data files it has put.
    pub files: Vec<DataFile>,
    /// The names of the files of rejected input it has put.
    pub rejected_files: Vec<String>,
    /// The names of the files of rejected input that it has replayed.
    pub replayed: Vec<String>,
    /// A ledger entry for every object that was read.
    pub entries: Vec<Entry>,
    /// The records of these objects; rows and duplicates as of this run.
    pub records: Records,
    /// Objects read that have replaced others.
    pub replaced: u64,
    /// Objects read that were of another kind.
    pub foreign: u64,
    /// Objects read without a record.
    pub empty: u64,
    /// Objects read of which nothing could be converted.
    pub rejected_objects: u64,
    /// Objects read that had records to convert.
    pub converted: u64,
    /// What was rejected.
    pub rejected: Vec<Note>,
    /// What was rejected of a replay, which is put only if it is less than before.
    pub rejected_again: Vec<Rejected>,
    /// Notes left out above.
    pub notes_omitted: u64,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// Rows that share account and event id with a row of other content.
    pub conflicts: u64,
    /// Bytes of the objects read, as stored.
    pub read_bytes: u64,
    /// Bytes of their text.
    pub inflated_bytes: u64,
}

/// What the worker hands over to be put.
enum Output {
    Data { file: DataFile, bytes: Bytes, arrival: Option<Arrival> },
    Rejected { name: String, bytes: Bytes },
}

/// What the tasks of a run have in common.
#[derive(Debug)]
pub struct Shared {
    /// The run's sources.
    pub sources: Vec<Location>,
    /// Where the lake is.
    pub lake: Location,
    /// The rows that there are already; none where copies are wanted.
    pub lookup: Option<Lookup>,
    /// The order in which tasks look for copies.
    pub turns: Arc<Turns>,
    /// How far the run is.
    pub progress: Arc<Progress>,
    /// Whether what is converted was rejected before.
    pub is_replay: bool,
}

type Fetched = (usize, std::result::Result<Bytes, Failure>, Option<OwnedSemaphorePermit>);

/// Runs a task over the objects of its sources. `turn` is its place in the order of tasks.
///
/// # Errors
/// Where the lake cannot be written. A source object that fails costs that object only.
pub async fn run(
    spec: Arc<TaskSpec>,
    turn: Turn,
    shared: Arc<Shared>,
    workers: &Workers,
) -> Result<TaskReport> {
    let settings = &spec.settings;
    let sources = &shared.sources;
    // Each task has its own: one that waits for its turn must not keep others from reading.
    let in_flight = &Arc::new(Semaphore::new(settings.in_flight_kib as usize));
    let at_once = if sources.iter().all(Location::is_local) { FILES_AT_ONCE } else { 1 };
    let objects = stream::iter(together(&spec.objects, at_once))
        .map(|objects| fetch_some(&spec.objects, objects, sources, settings, in_flight))
        .buffered(FETCHES.div_ceil(at_once).max(2))
        .flat_map(stream::iter);
    run_over(Arc::clone(&spec), objects, turn, Arc::clone(&shared), workers).await
}

/// Runs a task over bytes that are there already, an item for each of its objects.
///
/// # Errors
/// As [`run`].
pub async fn replay(
    spec: Arc<TaskSpec>,
    items: Vec<Bytes>,
    turn: Turn,
    shared: Arc<Shared>,
    workers: &Workers,
) -> Result<TaskReport> {
    let objects = stream::iter(items.into_iter().enumerate().map(|(at, bytes)| (at, Ok(bytes), None)));
    run_over(spec, objects, turn, shared, workers).await
}

async fn run_over(
    spec: Arc<TaskSpec>,
    objects: impl Stream<Item = Fetched>,
    turn: Turn,
    shared: Arc<Shared>,
    workers: &Workers,
) -> Result<TaskReport> {
    let (send_object, received) = mpsc::channel::<Fetched>(FETCHES);
    let (send_output, mut outputs) = mpsc::channel::<Output>(1);
    let working = {
        let (spec, shared, runtime) = (Arc::clone(&spec), Arc::clone(&shared), Handle::current());
        workers.run(move |chunk| {
            let place = Place { turn: Some(turn), shared: &shared, runtime: &runtime };
            Worker::new(&spec, chunk, send_output, place).run(received)
        })
    };
    let fetching = async {
        let mut objects = pin!(objects);
        while let Some(object) = objects.next().await {
            // The worker is gone only after a failure, which is what the join below reports.
            if send_object.send(object).await.is_err() {
                break;
            }
        }
        drop(send_object);
    };
    let putting = async {
        while let Some(output) = outputs.recv().await {
            match output {
                Output::Data { file, bytes, arrival } => {
                    put_new(&shared.lake, &file.path, bytes).await?;
                    if let (Some(lookup), Some(arrival)) = (&shared.lookup, arrival) {
                        lookup.arrived(arrival, &file);
                    }
                }
                Output::Rejected { name, bytes } => {
                    put_new(&shared.lake, &rejected_file(&name), bytes).await?;
                }
            }
        }
        drop(outputs);
        Ok(())
    };
    // A failed put closes the channel, and that ends the worker.
    let (worked, put, ()) = futures::join!(working, putting, fetching);
    put?;
    worked
}

/// The objects that are read together, at most so many.
fn together(objects: &[TaskObject], most: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, object) in objects.iter().enumerate() {
        bytes += object.size;
        match ranges.last_mut() {
            Some(range) if range.len() < most && bytes <= BYTES_AT_ONCE => range.end = at + 1,
            _ => {
                ranges.push(at..at + 1);
                bytes = object.size;
            }
        }
    }
    ranges
}

/// Reads some of a task's objects together, within the permits that there are.
async fn fetch_some(
    of: &[TaskObject],
    objects: Range<usize>,
    sources: &[Location],
    settings: &Settings,
    in_flight: &Arc<Semaphore>,
) -> Vec<Fetched> {
    let (limit_bytes, most) = (settings.max_object_bytes, settings.in_flight_kib);
    let objects: Vec<(usize, &TaskObject)> = objects.clone().zip(&of[objects]).collect();
    let permits = |object: &TaskObject| u32::try_from(object.size / 1024 + 1).unwrap_or(most);
    let all = objects.iter().fold(0, |all: u32, (_, object)| all.saturating_add(permits(object))).min(most);
    let mut all = Arc::clone(in_flight).acquire_many_owned(all).await.ok();
    let mut wanted = Vec::with_capacity(objects.len());
    let mut fetched: Vec<Option<Fetched>> = Vec::with_capacity(objects.len());
    for &(at, object) in &objects {
        let permit = all.as_mut().and_then(|all| {
            let share = (permits(object) as usize).min(all.num_permits());
            all.split(share)
        });
        match find(object, sources) {
            Ok(found) => {
                wanted.push((at, permit, found));
                fetched.push(None);
            }
            Err(failure) => fetched.push(Some((at, Err(failure), permit))),
        }
    }
    let (about, wanted): (Vec<_>, Vec<_>) =
        wanted.into_iter().map(|(at, permit, wanted)| ((at, permit), wanted)).unzip();
    let read = fetch_all(&wanted, limit_bytes).await;
    let mut read = about.into_iter().zip(read).map(|((at, permit), read)| (at, read, permit));
    fetched.into_iter().filter_map(|fetched| fetched.or_else(|| read.next())).collect()
}

/// Where an object is, and what was listed.
fn find<'a>(object: &TaskObject, sources: &'a [Location]) -> std::result::Result<Wanted<'a>, Failure> {
    let path = object_store::path::Path::parse(&object.path)
        .context(|| format!("reading {}", object.url))
        .map_err(Failure::Other)?;
    let listed =
        Object { folder: 0, name: "".into(), size: object.size, version: object.version.as_str().into() };
    match sources.get(object.source as usize) {
        Some(location) => Ok(Wanted { location, path, object: listed }),
        None => Err(Failure::Other(Error::failed("the task names a source that the run does not have"))),
    }
}

/// Where a worker stands among the others.
struct Place<'a> {
    /// Given up when the last rows were compared.
    turn: Option<Turn>,
    shared: &'a Shared,
    runtime: &'a Handle,
}

/// The part of a task that runs on a worker thread.
struct Worker<'a> {
    spec: &'a TaskSpec,
    hash: [u8; 16],
    out: mpsc::Sender<Output>,
    place: Place<'a>,
    chunk: &'a mut Chunk,
    /// The entries of the objects in the chunk, by their number in it, and what runs before have made of these; none for
    /// one that could not be read.
    in_chunk: Vec<Option<(usize, Option<&'a Partly>)>>,
    files: usize,
    rejected: Vec<Rejected>,
    rejected_bytes: usize,
    report: TaskReport,
}

impl<'a> Worker<'a> {
    fn new(spec: &'a TaskSpec, chunk: &'a mut Chunk, out: mpsc::Sender<Output>, place: Place<'a>) -> Self {
        chunk.hash_texts(spec.settings.sha256);
        Worker {
            spec,
            hash: spec.hash(),
            out,
            place,
            chunk,
            in_chunk: Vec::new(),
            files: 0,
            rejected: Vec::new(),
            rejected_bytes: 0,
            report: TaskReport::default(),
        }
    }

    fn run(mut self, mut objects: mpsc::Receiver<Fetched>) -> Result<TaskReport> {
        while let Some((at, fetched, permit)) = objects.blocking_recv() {
            let object = &self.spec.objects[at];
            match fetched {
                Ok(data) => self.object(object, &data)?,
                Err(failure) => {
                    let reason = match failure {
                        Failure::Other(error) => error.chain(),
                        other => other.to_string(),
                    };
                    self.unread(object, reason);
                }
            }
            drop(permit);
            self.place.shared.progress.object_done(object.size);
        }
        self.flush(true)?;
        self.flush_rejected()?;
        Ok(self.report)
    }

    fn unread(&mut self, object: &TaskObject, reason: String) {
        tracing::info!(object = %object.url, %reason, "not read");
        let note = Note { object: object.url.clone(), record: None, byte: None, reason };
        self.report.unread.push(Unread { source: object.source, day: object.day, note });
    }

    fn object(&mut self, object: &'a TaskObject, data: &[u8]) -> Result<()> {
        if !self.chunk.has_room(data) {
            self.flush(false)?;
        }
        let settings = &self.spec.settings;
        let source = Source {
            url: &object.url,
            account: object.account.as_deref(),
            region: object.region.as_deref(),
            day: object.day,
            records_before: object.part.as_ref().map_or(0, |part| part.record - 1),
        };
        let limit = usize::try_from(settings.max_object_bytes).unwrap_or(usize::MAX);
        let filters = &settings.filters;
        let before = object.before.as_ref().map_or(&[][..], |before| &before.filters);
        let (mut unwanted, mut earlier) = (0, 0);
        let keep = |row: &Candidate<'_>| {
            let wanted_by =
                |filters: &Filters| filters.want(row, object.account.is_some(), object.region.is_some());
            let wanted = wanted_by(filters);
            let day = row.time.map(day).or(source.day);
            if settings.expired_before.zip(day).is_some_and(|(first, day)| day < first) {
                unwanted += u64::from(!wanted);
                return false;
            }
            // What a run before has wanted it has converted.
            let is_earlier = before.iter().any(wanted_by);
            earlier += u64::from(is_earlier);
            unwanted += u64::from(!wanted && !is_earlier);
            wanted && !is_earlier
        };
        let outcome = self.chunk.object(data, &source, limit, &mut { keep });
        let as_a_whole = outcome.rejects.iter().find(|reject| reject.record.is_none());
        if let (Some(reject), Some(_)) = (as_a_whole, &object.before) {
            // It was readable when it was converted in part, under another limit: what the ledger says of it stays.
            self.unread(object, reject.reason.clone());
            self.in_chunk.push(None);
            return Ok(());
        }
        let report = &mut self.report;
        report.read_bytes += data.len() as u64;
        report.inflated_bytes += outcome.inflated_bytes;
        report.replaced += u64::from(object.replaced);
        self.place.shared.progress.records_done(outcome.records);
        if object.replaced {
            tracing::warn!(object = %object.url, "replaced: another object was converted under this URL before");
        }
        tracing::debug!(object = %object.url, records = outcome.records, "decoded");
        let nothing_kept = outcome.rows + outcome.filtered == 0;
        let verdict = if nothing_kept && !outcome.rejects.is_empty() {
            report.rejected_objects += 1;
            Verdict::Rejected
        } else if let Some(what) = outcome.foreign {
            tracing::warn!(object = %object.url, "skipped: {what}, which holds no events");
            report.foreign += 1;
            Verdict::Foreign
        } else if outcome.records == 0 {
            report.empty += 1;
            Verdict::Empty
        } else {
            report.converted += 1;
            if unwanted > 0 { Verdict::Partly } else { Verdict::Converted }
        };
        let filter = if unwanted > 0 {
            let filters = serde_json::to_string(&filters.beside(before));
            Some(filters.context(|| "writing filters".into())?)
        } else {
            None
        };
        let trailer = trailer(data);
        report.records.found += outcome.records;
        report.records.rows += outcome.rows;
        report.records.duplicates += earlier;
        report.records.filtered += outcome.filtered - earlier;
        report.records.rejected += outcome.rejected;
        self.in_chunk.push(Some((report.entries.len(), object.before.as_ref())));
        report.entries.push(Entry {
            url: object.url.clone(),
            size: object.size,
            version: object.version.clone(),
            account: object.account.clone(),
            region: object.region.clone(),
            path_day: object.day.and_then(format_day),
            kind: object.kind.clone(),
            converted_at: settings.converted_at,
            verdict,
            records: outcome.records,
            rows: outcome.rows,
            duplicates: earlier,
            filtered: outcome.filtered - earlier,
            conflicts: 0,
            rejected: outcome.rejected,
            gzip_crc32: trailer.map(|(crc32, _)| crc32),
            gzip_length: trailer.map(|(_, length)| length),
            sha256: outcome.sha256.map(|hash| hex(&hash)),
            filter,
        });
        for reject in outcome.rejects {
            let part = object.part.as_ref();
            let record =
                part.map_or(reject.record, |part| Some(part.record + reject.record.unwrap_or(1) - 1));
            let byte = part.map_or(reject.byte, |part| Some(part.byte + reject.byte.unwrap_or_default()));
            tracing::info!(object = %object.url, record, byte, reason = %reject.reason, "rejected");
            let note = Note { object: object.url.clone(), record, byte, reason: reject.reason.clone() };
            keep_note(&mut self.report.rejected, note, &mut self.report.notes_omitted);
            if object.before.is_some() {
                // The run before has kept it.
                continue;
            }
            self.rejected_bytes += reject.data.len() + object.url.len() + reject.reason.len();
            self.rejected.push(Rejected {
                object: object.url.clone(),
                size: object.size,
                version: object.version.clone(),
                record,
                byte,
                reason: reject.reason,
                data: reject.data,
            });
        }
        if self.rejected_bytes > REJECTED_BYTES { self.flush_rejected() } else { Ok(()) }
    }

    /// Writes the chunk's rows, but for copies of rows that there are already.
    fn flush(&mut self, is_last: bool) -> Result<()> {
        let settings = &self.spec.settings;
        let partitioning = &settings.partitioning;
        let grouping = Grouping {
            date: partitioning.contains("event_date"),
            account: partitioning.contains("account"),
            region: partitioning.contains("region"),
        };
        let (out, hash, files, report) = (&self.out, &self.hash, &mut self.files, &mut self.report);
        let place = &mut self.place;
        let write = |mut groups: Vec<Group<'_>>, tally: &mut Tally| -> Result<(), Failed> {
            let mut arrivals = Vec::new();
            if let Some(lookup) = &place.shared.lookup {
                if let Some(turn) = &place.turn {
                    turn.wait();
                }
                arrivals = place.runtime.block_on(copies::leave_out(lookup, &mut groups, tally))?;
            }
            if is_last {
                place.turn = None;
            }
            let mut arrivals = arrivals.into_iter();
            for group in groups {
                let arrival = arrivals.next().flatten();
                if group.rows() == 0 {
                    continue;
                }
                let partition = partitioning.partition(
                    group.date.as_deref(),
                    group.account.as_deref(),
                    group.region.as_deref(),
                );
                let encoded = encode(&Sorted(&group), partitioning)?;
                let file = DataFile {
                    path: data_file(&partition, &name(hash, &encoded.bytes), *files),
                    size: encoded.bytes.len() as u64,
                    rows: encoded.rows,
                    partition,
                    stats: encoded.stats,
                };
                *files += 1;
                report.files.push(file.clone());
                let bytes = Bytes::from(encoded.bytes);
                out.blocking_send(Output::Data { file, bytes, arrival }).map_err(|_| Failed(stopped()))?;
            }
            Ok(())
        };
        let tally = self.chunk.finish(grouping, settings.dedupe, write).map_err(|Failed(error)| error)?;
        for (at, of_object) in self.in_chunk.drain(..).enumerate() {
            let Some((entry, before)) = of_object else { continue };
            let entry = &mut self.report.entries[entry];
            let (duplicates, conflicts) = (tally.duplicates[at], tally.conflicts[at]);
            let records = &mut self.report.records;
            records.rows -= duplicates;
            records.duplicates += duplicates;
            self.report.conflicts += conflicts;
            // Rows that an earlier run made of this object are copies for this one; in the ledger they are its rows.
            let copies = entry.duplicates + duplicates;
            let earlier = before.map_or(0, |before| before.rows).min(copies);
            entry.rows = entry.rows - duplicates + earlier;
            entry.duplicates = copies - earlier;
            entry.conflicts = conflicts + before.map_or(0, |before| before.conflicts);
        }
        Ok(())
    }

    fn flush_rejected(&mut self) -> Result<()> {
        if self.rejected.is_empty() {
            return Ok(());
        }
        if self.place.shared.is_replay {
            self.report.rejected_again.append(&mut self.rejected);
            return Ok(());
        }
        let bytes = Bytes::from(rejected::encode(&std::mem::take(&mut self.rejected))?);
        let name = format!("{}-{:05}", hex(&name(&self.hash, &bytes)), self.report.rejected_files.len());
        self.report.rejected_files.push(name.clone());
        self.rejected_bytes = 0;
        self.out.blocking_send(Output::Rejected { name, bytes }).map_err(|_| stopped())
    }
}

/// A group as the rows of a file.
struct Sorted<'a>(&'a Group<'a>);

impl write::Rows for Sorted<'_> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn slice(&self, start: usize, most: usize) -> Result<RecordBatch> {
        self.0.batch(start, most).context(|| "sorting rows".into())
    }

    fn ordered(&self) -> Option<write::Ordered<'_>> {
        let (columns, rows) = self.0.ordered();
        Some(write::Ordered { columns, rows })
    }
}

/// A file's name: of the task and of the content, because an object that could not be read this time makes other
/// files of the same task.
pub(super) fn name(task: &[u8; 16], content: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(task);
    hasher.update(content);
    let mut name = [0; 16];
    name.copy_from_slice(&hasher.finalize()[..16]);
    name
}

/// The putting side has ended; what it ended with is what the task reports.
fn stopped() -> Error {
    Error::failed("the task was stopped")
}

/// An error on its way through `Chunk::finish`.
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(error)
    }
}

impl From<arrow::error::ArrowError> for Failed {
    fn from(error: arrow::error::ArrowError) -> Self {
        Failed(Error::failed("sorting rows").caused_by(error))
    }
}
