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
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::report::Note;
use super::workers::Workers;
use super::{Progress, Settings, keep_note};
use crate::error::{Context, Error, Result};
use crate::event::chunk::{Candidate, Chunk, Source};
use crate::event::sort::{Group, Grouping};
use crate::lake::commit::put_new;
use crate::lake::layout::{DataFile, data_file, rejected_file};
use crate::lake::ledger::Entry;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub day: Option<i32>,
    /// Which of CloudTrail's folders it is in.
    pub kind: Option<String>,
}

/// Objects to convert together, and how: all that the bytes of the data files depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        hasher.update(format!("{:?}", Settings { in_flight_kib: 0, ..self.settings.clone() }));
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

/// What a task did.
#[derive(Debug, Clone, Default)]
pub struct TaskReport {
    /// The data files it has put.
    pub files: Vec<DataFile>,
    /// A ledger entry for every object that was read.
    pub entries: Vec<Entry>,
    /// Objects read that were of another kind.
    pub foreign: u64,
    /// Objects read without a record.
    pub empty: u64,
    /// Objects read of which nothing could be converted.
    pub rejected_objects: u64,
    /// What was rejected.
    pub rejected: Vec<Note>,
    /// Notes left out above.
    pub notes_omitted: u64,
    /// What could not be read.
    pub unreadable: Vec<Note>,
    /// Rows that share account and event id with a row of other content.
    pub conflicts: u64,
    /// Bytes of the objects read, as stored.
    pub read_bytes: u64,
    /// Bytes of their text.
    pub inflated_bytes: u64,
}

/// What the worker hands over to be put.
enum Output {
    Data { file: DataFile, bytes: Bytes },
    Rejected { path: String, bytes: Bytes },
}

type Fetched = (usize, std::result::Result<Bytes, Failure>, Option<OwnedSemaphorePermit>);

/// Runs a task. `in_flight` bounds the bytes of objects that were read and not yet inflated, in KiB.
///
/// # Errors
/// Where the lake cannot be written. A source object that fails costs that object only.
pub async fn run(
    spec: Arc<TaskSpec>,
    sources: &[Location],
    lake: &Location,
    workers: &Workers,
    in_flight: Arc<Semaphore>,
    progress: Arc<Progress>,
) -> Result<TaskReport> {
    let (send_object, objects) = mpsc::channel::<Fetched>(FETCHES);
    let (send_output, mut outputs) = mpsc::channel::<Output>(1);
    let working = {
        let spec = Arc::clone(&spec);
        workers.run(move |chunk| Worker::new(&spec, chunk, send_output, &progress).run(objects))
    };
    let fetching = async {
        let settings = &spec.settings;
        let at_once = if sources.iter().all(Location::is_local) { FILES_AT_ONCE } else { 1 };
        let mut fetched = stream::iter(together(&spec.objects, at_once))
            .map(|objects| fetch_some(&spec.objects, objects, sources, settings, &in_flight))
            .buffered(FETCHES.div_ceil(at_once).max(2))
            .flat_map(stream::iter);
        while let Some(object) = fetched.next().await {
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
                Output::Data { file, bytes } => put_new(lake, &file.path, bytes).await?,
                Output::Rejected { path, bytes } => put_new(lake, &path, bytes).await?,
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

/// The part of a task that runs on a worker thread.
struct Worker<'a> {
    spec: &'a TaskSpec,
    hash: [u8; 16],
    out: mpsc::Sender<Output>,
    progress: &'a Progress,
    chunk: &'a mut Chunk,
    /// The entries of the objects in the chunk, by their number in it.
    in_chunk: Vec<usize>,
    files: usize,
    rejected: Vec<Rejected>,
    rejected_bytes: usize,
    rejected_files: usize,
    report: TaskReport,
}

impl<'a> Worker<'a> {
    fn new(
        spec: &'a TaskSpec,
        chunk: &'a mut Chunk,
        out: mpsc::Sender<Output>,
        progress: &'a Progress,
    ) -> Self {
        Worker {
            spec,
            hash: spec.hash(),
            out,
            progress,
            chunk,
            in_chunk: Vec::new(),
            files: 0,
            rejected: Vec::new(),
            rejected_bytes: 0,
            rejected_files: 0,
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
                    tracing::info!(object = %object.url, %reason, "not read");
                    let note = Note { object: object.url.clone(), record: None, byte: None, reason };
                    self.report.unreadable.push(note);
                }
            }
            drop(permit);
            self.progress.object_done(object.size);
        }
        self.flush()?;
        self.flush_rejected()?;
        Ok(self.report)
    }

    fn object(&mut self, object: &TaskObject, data: &[u8]) -> Result<()> {
        if !self.chunk.has_room(data) {
            self.flush()?;
        }
        let settings = &self.spec.settings;
        let source = Source {
            url: &object.url,
            account: object.account.as_deref(),
            region: object.region.as_deref(),
            day: object.day.map(i64::from),
        };
        let limit = usize::try_from(settings.max_object_bytes).unwrap_or(usize::MAX);
        // What the key says was decided when listing; only what it does not say is decided here.
        let keep = |row: &Candidate<'_>| {
            let account = object.account.is_some()
                || settings.accounts.is_empty()
                || row.account.is_some_and(|account| settings.accounts.contains(account));
            let region = object.region.is_some()
                || settings.regions.is_empty()
                || row.region.is_some_and(|region| settings.regions.contains(region));
            let time = row.time.is_none_or(|time| {
                settings.since.is_none_or(|since| time >= since)
                    && settings.until.is_none_or(|until| time < until)
            });
            account && region && time
        };
        let outcome = self.chunk.object(data, &source, limit, &mut { keep });
        let report = &mut self.report;
        report.read_bytes += data.len() as u64;
        report.inflated_bytes += outcome.inflated_bytes;
        self.progress.records_done(outcome.records);
        tracing::debug!(object = %object.url, records = outcome.records, "decoded");
        let nothing_kept = outcome.rows + outcome.filtered == 0;
        if nothing_kept && !outcome.rejects.is_empty() {
            report.rejected_objects += 1;
        } else if let Some(what) = outcome.foreign {
            tracing::warn!(object = %object.url, "skipped: {what}, which holds no events");
            report.foreign += 1;
        } else if outcome.records == 0 {
            report.empty += 1;
        }
        self.in_chunk.push(report.entries.len());
        report.entries.push(Entry {
            url: object.url.clone(),
            size: object.size,
            version: object.version.clone(),
            account: object.account.clone(),
            region: object.region.clone(),
            path_day: object.day.and_then(|day| crate::event::time::format_day(i64::from(day))),
            kind: object.kind.clone(),
            records: outcome.records,
            rows: outcome.rows,
            duplicates: 0,
            filtered: outcome.filtered,
            rejected: outcome.rejected,
            complete: outcome.filtered == 0,
        });
        for reject in outcome.rejects {
            tracing::info!(
                object = %object.url, record = reject.record, byte = reject.byte, reason = %reject.reason, "rejected"
            );
            let note = Note {
                object: object.url.clone(),
                record: reject.record,
                byte: reject.byte,
                reason: reject.reason.clone(),
            };
            keep_note(&mut self.report.rejected, note, &mut self.report.notes_omitted);
            self.rejected_bytes += reject.data.len() + object.url.len() + reject.reason.len();
            self.rejected.push(Rejected {
                object: object.url.clone(),
                record: reject.record,
                byte: reject.byte,
                reason: reject.reason,
                data: reject.data,
            });
        }
        if self.rejected_bytes > REJECTED_BYTES { self.flush_rejected() } else { Ok(()) }
    }

    /// Writes the chunk's rows.
    fn flush(&mut self) -> Result<()> {
        let settings = &self.spec.settings;
        let partitioning = &settings.partitioning;
        let grouping = Grouping {
            date: partitioning.contains("event_date"),
            account: partitioning.contains("account"),
            region: partitioning.contains("region"),
        };
        let (out, hash, files, report) = (&self.out, &self.hash, &mut self.files, &mut self.report);
        let write = |group: Group<'_>| -> Result<(), Failed> {
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
            out.blocking_send(Output::Data { file, bytes }).map_err(|_| Failed(stopped()))
        };
        let tally = self.chunk.finish(grouping, write).map_err(|Failed(error)| error)?;
        for (&entry, &duplicates) in self.in_chunk.iter().zip(&tally.duplicates) {
            let entry = &mut self.report.entries[entry];
            entry.rows -= duplicates;
            entry.duplicates = duplicates;
        }
        self.report.conflicts += tally.conflicts;
        self.in_chunk.clear();
        Ok(())
    }

    fn flush_rejected(&mut self) -> Result<()> {
        if self.rejected.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(rejected::encode(&std::mem::take(&mut self.rejected))?);
        let hash: String = name(&self.hash, &bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = rejected_file(&format!("{hash}-{:05}", self.rejected_files));
        self.rejected_files += 1;
        self.rejected_bytes = 0;
        self.out.blocking_send(Output::Rejected { path, bytes }).map_err(|_| stopped())
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
fn name(task: &[u8; 16], content: &[u8]) -> [u8; 16] {
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
