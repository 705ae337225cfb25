//! Rejected input, once more: after an upgrade, or with another limit, some of it may be readable.
//!
//! A file of rejected input is a task. What it gives is committed with the file withdrawn, what is still rejected is put
//! into a new one, and the objects' ledger entries say so, all in one commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use super::known::fingerprint;
use super::pending::{Committed, Pending};
use super::report::{Report, Verdict as Ended};
use super::task::{Part, TaskObject, TaskReport, TaskSpec};
use super::workers::Workers;
use super::{
    Base, MOST_PLANS, Options, Progress, Sources, Unread, always_overtaken, days_since_1970, requests,
    shared, task,
};
use crate::error::{Context, Error, Result};
use crate::lake::commit::put_new;
use crate::lake::layout::{self, rejected_file};
use crate::lake::ledger::{self, Entry, Verdict, Window};
use crate::lake::rejected::{self, Rejected};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;
use crate::store;

/// The latest entries of the objects that have rejected input, by [`fingerprint`].
type Entries = HashMap<[u8; 16], Entry>;

/// Converts the rejected input of the lake. Of the options, sources and filters are not used. In the report, `objects`
/// counts the pieces of rejected input: whole objects, and records.
///
/// # Errors
/// Where there is no lake, or it cannot be read, written or committed to.
pub async fn run(options: &Options, progress: &Arc<Progress>) -> Result<Report> {
    let clock = Instant::now();
    let mut report = Report {
        lake: options.lake.url.clone(),
        run_id: options.run_id.clone(),
        started: options.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        ..Report::default()
    };
    let none = || Error::failed(format!("there is no lake at {}", options.lake.url));
    let mut lake = Lake::open(&options.lake).await?.ok_or_else(none)?;
    for plans in 1.. {
        match replay(options, lake, progress, &mut report).await? {
            Committed::Yes(lake) => {
                report.version = Some(lake.version());
                break;
            }
            Committed::Overtaken(_) if plans == MOST_PLANS => return Err(always_overtaken(options)),
            Committed::Overtaken(newer) => {
                report.planned_again += 1;
                lake = newer;
            }
        }
    }
    report.objects.listed = report.objects.tried();
    let clean = report.objects.rejected == 0 && report.records.rejected == 0;
    report.verdict = if clean { Ended::Done } else { Ended::Rejected };
    report.requests = requests(options);
    report.balanced = report.is_balanced();
    report.duration_seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

async fn replay(
    options: &Options,
    mut lake: Lake,
    progress: &Arc<Progress>,
    report: &mut Report,
) -> Result<Committed> {
    let vouched = Vouched::read(&lake).await?;
    let base = &Base::read(options, Some(&lake), vouched, &Window::default()).await?;
    let names: Vec<String> = base.vouched.rejected().map(str::to_owned).collect();
    let mut entries = read_entries(&lake, base, &names).await?;
    let entries_before = &entries.clone();
    let mut shared = shared(options, &lake, progress, !names.is_empty())?;
    if let Some(shared) = Arc::get_mut(&mut shared) {
        shared.is_replay = true;
    }
    // One after the other: a file may go on with the object that the one before it ends with.
    let workers = &Workers::start(1, base.settings.chunk_bytes)?;
    let sources = &Sources::default();
    let mut pending = Pending::new(options, base, sources, &shared, &lake);
    let mut tasks = stream::iter(&names)
        .map(|name| {
            let shared = Arc::clone(&shared);
            async move {
                let items = read_file(&shared.lake, name).await?;
                let spec = Arc::new(spec(base, &items, entries_before));
                let bytes = items.iter().map(|item| Bytes::from(item.data.clone())).collect();
                let turn = shared.turns.enter(&spec);
                let report = task::replay(Arc::clone(&spec), bytes, turn, shared, workers).await?;
                Ok::<_, Error>((name, spec, items.len(), report))
            }
        })
        .buffered(1);
    while let Some((name, spec, items, mut task)) = tasks.try_next().await? {
        settle(options, name, &spec, items, &mut task, &mut entries).await?;
        pending.add(task);
        if pending.is_due() {
            lake = match pending.commit(lake, report, &mut Unread::default()).await? {
                Committed::Yes(lake) => lake,
                overtaken => return Ok(overtaken),
            };
        }
    }
    pending.finish(lake, report, &mut Unread::default()).await
}

async fn read_file(lake: &store::Location, name: &str) -> Result<Vec<Rejected>> {
    let path = rejected_file(name);
    let reading = || format!("reading {}{path}", lake.url);
    let object = layout::object(lake, &path)?;
    let got = lake.store.get(&object).await.map_err(store::explain).context(reading)?;
    rejected::decode(&got.bytes().await.map_err(store::explain).context(reading)?).context(reading)
}

/// The entries of all objects with rejected input.
async fn read_entries(lake: &Lake, base: &Base, names: &[String]) -> Result<Entries> {
    let mut entries = Entries::new();
    if !names.is_empty() {
        ledger::read(lake, &base.vouched, &Window::default(), |_, entry| {
            let key = fingerprint(&entry.url, entry.size, &entry.version);
            // An object of which all is converted now had something rejected before.
            if entry.rejected > 0 || entry.verdict == Verdict::Rejected || entries.contains_key(&key) {
                entries.insert(key, entry);
            }
        })
        .await?;
    }
    Ok(entries)
}

/// A task of a file's items.
fn spec(base: &Base, items: &[Rejected], entries: &Entries) -> TaskSpec {
    let objects = items.iter().map(|item| {
        let entry =
            entries.get(&fingerprint(&item.object, item.size, &item.version)).cloned().unwrap_or_default();
        let day = entry.path_day.as_deref().and_then(|day| day.parse::<NaiveDate>().ok());
        TaskObject {
            url: item.object.clone(),
            size: item.size,
            version: item.version.clone(),
            account: entry.account,
            region: entry.region,
            day: day.map(days_since_1970),
            kind: entry.kind,
            part: item.record.map(|record| Part {
                record: record.max(1),
                byte: item.byte.unwrap_or_default(),
                lines: item.data.split(|&byte| byte == b'\n').count() as u64,
            }),
            ..TaskObject::default()
        }
    });
    TaskSpec { settings: base.settings.clone(), objects: objects.collect() }
}

/// Makes of what became of a file's items what is to be committed: nothing, where all are rejected again.
async fn settle(
    options: &Options,
    name: &str,
    spec: &TaskSpec,
    items: usize,
    task: &mut TaskReport,
    entries: &mut Entries,
) -> Result<()> {
    let again = std::mem::take(&mut task.rejected_again);
    let of_items = std::mem::take(&mut task.entries);
    let records = &task.records;
    // A copy of what is there already is accepted too.
    if again.len() >= items && records.rows + records.duplicates + records.filtered == 0 {
        return Ok(());
    }
    let mut touched: Vec<[u8; 16]> = Vec::new();
    for (object, of_item) in spec.objects.iter().zip(of_items) {
        let key = fingerprint(&object.url, object.size, &object.version);
        let entry = entries.entry(key).or_insert_with(|| Entry { records: 0, rows: 0, ..of_item.clone() });
        add(entry, object, &of_item);
        if !touched.contains(&key) {
            touched.push(key);
        }
    }
    task.entries = touched.iter().filter_map(|key| entries.get(key).cloned()).collect();
    task.replayed.push(name.to_owned());
    if !again.is_empty() {
        let bytes = rejected::encode(&again)?;
        let name = format!("{}-00000", layout::hex(&task::name(&spec.hash(), &bytes)));
        put_new(&options.lake, &rejected_file(&name), bytes.into()).await?;
        task.rejected_files.push(name);
    }
    Ok(())
}

/// Counts what became of an item in its object's entry.
fn add(entry: &mut Entry, object: &TaskObject, of_item: &Entry) {
    if let Some(part) = &object.part {
        // What it was is counted among the object's records. The last of very many rejects holds all that followed.
        let before = of_item.records.clamp(1, part.lines);
        entry.records = (entry.records + of_item.records).saturating_sub(before);
        entry.rejected = (entry.rejected + of_item.rejected).saturating_sub(before);
    } else {
        entry.records += of_item.records;
        entry.rejected += of_item.rejected;
        entry.gzip_crc32 = entry.gzip_crc32.or(of_item.gzip_crc32);
        entry.gzip_length = entry.gzip_length.or(of_item.gzip_length);
        entry.sha256 = entry.sha256.take().or_else(|| of_item.sha256.clone());
    }
    entry.rows += of_item.rows;
    entry.duplicates += of_item.duplicates;
    entry.filtered += of_item.filtered;
    entry.conflicts += of_item.conflicts;
    entry.converted_at = of_item.converted_at;
    if entry.verdict == Verdict::Rejected {
        entry.verdict = of_item.verdict;
    }
}
