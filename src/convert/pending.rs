//! From the reports of tasks to commits: what tasks have put, until a commit makes it visible.
//!
//! A commit adds nothing that somebody else has added meanwhile. Where it lost the race, or others have committed since
//! the run planned, their ledger entries and the keys of their rows are compared with what is pending; if they have
//! anything in common, nothing of it is committed, and the run plans again on what there is then.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::known::Known;
use super::report::Report;
use super::task::{Shared, TaskReport};
use super::{Base, Options, Sources, Unread, keep_note};
use crate::error::{Error, Result};
use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
use crate::lake::lookup::Holder;
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;

/// A run commits whenever this many data files wait.
const COMMIT_FILES: usize = 1_000;

/// And whenever this many objects do.
const COMMIT_OBJECTS: usize = 200_000;

/// Commits that may be lost to other writers in a row.
const COMMIT_TRIES: usize = 20;

/// What became of what was pending.
#[must_use = "what was overtaken is not in the lake"]
pub enum Committed {
    /// It is in the lake, which is this now.
    Yes(Lake),
    /// Others have converted some of the same: nothing of it is in the lake, which is this now.
    Overtaken(Lake),
}

/// What tasks have put and no commit has made visible yet.
pub struct Pending<'a> {
    options: &'a Options,
    base: &'a Base,
    sources: &'a Sources,
    shared: Arc<Shared>,
    tasks: Vec<TaskReport>,
    bytes: u64,
    /// The version that this run has planned on or made itself.
    version: u64,
    /// Whether others have committed since the run planned, and their data files.
    others: Option<Vec<Arc<Holder>>>,
}

impl<'a> Pending<'a> {
    pub fn new(
        options: &'a Options,
        base: &'a Base,
        sources: &'a Sources,
        shared: &Arc<Shared>,
        lake: &Lake,
    ) -> Pending<'a> {
        Pending {
            options,
            base,
            sources,
            shared: Arc::clone(shared),
            tasks: Vec::new(),
            bytes: 0,
            version: lake.version(),
            others: None,
        }
    }

    pub fn add(&mut self, task: TaskReport) {
        self.bytes += task.read_bytes;
        self.tasks.push(task);
    }

    /// Whether so much is pending that it is time to commit it.
    pub fn is_due(&self) -> bool {
        let files: usize = self.tasks.iter().map(|task| task.files.len()).sum();
        let objects: usize = self.tasks.iter().map(|task| task.entries.len()).sum();
        files >= COMMIT_FILES || objects >= COMMIT_OBJECTS || self.bytes >= self.options.commit_bytes
    }

    /// Commits what is pending.
    ///
    /// # Errors
    /// Where the lake cannot be read or written, or others commit all the time.
    pub async fn commit(
        &mut self,
        lake: Lake,
        report: &mut Report,
        unread: &mut Unread,
    ) -> Result<Committed> {
        self.commit_with(lake, report, unread, false).await
    }

    /// Commits what is pending at the end of the run, and how far its sources are converted.
    ///
    /// # Errors
    /// As [`Pending::commit`].
    pub async fn finish(mut self, lake: Lake, report: &mut Report, unread: &mut Unread) -> Result<Committed> {
        self.commit_with(lake, report, unread, true).await
    }

    async fn commit_with(
        &mut self,
        mut lake: Lake,
        report: &mut Report,
        unread: &mut Unread,
        is_last: bool,
    ) -> Result<Committed> {
        let mut change = Change::default();
        for task in &self.tasks {
            change.adds.extend(task.files.iter().cloned());
            change.entries.extend(task.entries.iter().cloned());
            change.rejected.extend(task.rejected_files.iter().cloned());
            change.replayed.extend(task.replayed.iter().cloned());
        }
        // A run that finds nothing new commits nothing, however far its sources have come.
        if is_last && (!change.is_empty() || report.commits > 0) {
            let mut unread = unread.clone();
            self.tasks.iter().for_each(|task| unread.add(task));
            change.sources = self.sources.converted_up_to(&self.base.vouched, &unread);
        }
        if change.is_empty() {
            self.absorb(report, unread);
            return Ok(Committed::Yes(lake));
        }
        let rows = change.adds.iter().map(|file| file.rows).sum();
        let counts = [
            ("objects".to_owned(), change.entries.len() as u64),
            ("files".to_owned(), change.adds.len() as u64),
            ("rows".to_owned(), rows),
        ];
        let about = About {
            purpose: Purpose::Convert,
            run_id: self.options.run_id.clone(),
            time: self.options.now,
            counts: BTreeMap::from(counts),
        };
        for _ in 0..COMMIT_TRIES {
            if self.is_overtaken(&lake, &change).await? {
                return Ok(Committed::Overtaken(lake));
            }
            let outcome = commit(&lake, &change, &about).await?;
            lake = Lake::open(&self.options.lake).await?.ok_or_else(|| {
                Error::failed(format!("the lake {} has disappeared", self.options.lake.url))
            })?;
            match outcome {
                Outcome::Committed { version } => {
                    tracing::info!(version, files = change.adds.len(), rows, "committed");
                    report.commits += 1;
                    self.version = version;
                    if let Some(lookup) = &self.shared.lookup {
                        lookup.committed(&change.adds);
                    }
                    self.absorb(report, unread);
                    return Ok(Committed::Yes(lake));
                }
                Outcome::Conflict { version } => {
                    tracing::info!(version, "another writer has committed first");
                }
            }
        }
        Err(Error::failed(format!(
            "other writers committed to {} {COMMIT_TRIES} times in a row",
            self.options.lake.url
        ))
        .hint("run the command again when fewer writers are at work"))
    }

    /// Whether others have converted, since the run planned, what the change would add.
    async fn is_overtaken(&mut self, lake: &Lake, change: &Change) -> Result<bool> {
        if lake.version() == self.version && self.others.is_none() {
            return Ok(false);
        }
        let others = self.others.get_or_insert_default();
        if lake.expired_before() != self.base.expired_before {
            return Ok(true);
        }
        let vouched = Vouched::read(lake).await?;
        let rejected: HashSet<&str> = vouched.rejected().collect();
        if change.replayed.iter().any(|name| !rejected.contains(name.as_str())) {
            tracing::info!("replayed by another run meanwhile");
            return Ok(true);
        }
        let known = Known::read(lake, &vouched, &self.sources.window).await?;
        let changed = self.base.known.changed(&known, &change.entries);
        if changed > 0 {
            tracing::info!(objects = changed, "converted by another run meanwhile");
            return Ok(true);
        }
        let Some(lookup) = &self.shared.lookup else { return Ok(false) };
        others.extend(lookup.add_files(lake)?);
        for file in &change.adds {
            let Some(own) = lookup.holder(file) else { continue };
            for other in others.iter() {
                if lookup.have_common_keys(&own, other).await? {
                    tracing::info!(file = %file.path, "another run has added some of the same events meanwhile");
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Counts what was committed. What was not is tried again, and what could not be read of it too.
    fn absorb(&mut self, report: &mut Report, unread: &mut Unread) {
        self.bytes = 0;
        for task in self.tasks.drain(..) {
            unread.add(&task);
            let objects = &mut report.objects;
            objects.converted += task.converted;
            objects.empty += task.empty;
            objects.foreign += task.foreign;
            objects.rejected += task.rejected_objects;
            objects.unreadable += task.unread.len() as u64;
            objects.replaced += task.replaced;
            let records = &mut report.records;
            records.found += task.records.found;
            records.rows += task.records.rows;
            records.duplicates += task.records.duplicates;
            records.filtered += task.records.filtered;
            records.rejected += task.records.rejected;
            report.conflicts += task.conflicts;
            report.bytes.read += task.read_bytes;
            report.bytes.inflated += task.inflated_bytes;
            report.bytes.written += task.files.iter().map(|file| file.size).sum::<u64>();
            report.files += task.files.len() as u64;
            report.notes_omitted += task.notes_omitted;
            for note in task.rejected {
                keep_note(&mut report.rejected, note, &mut report.notes_omitted);
            }
            for unread in task.unread {
                keep_note(&mut report.unreadable, unread.note, &mut report.notes_omitted);
            }
        }
    }
}
