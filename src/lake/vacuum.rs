//! Deletes what no version of the table within the retention time needs.
//!
//! A file goes where all of this is so:
//!
//! - its path is of a form that only this program's files have: `event_date=…/part-HASH-N.parquet`, or below
//!   `_trailhouse`. Nothing in `_delta_log` is ever touched, nor anything of anybody else's;
//! - it is not in the table, and was not removed from it within the retention time; of the ledger, no commit vouches for
//!   it; of rejected input, none does, or it was withdrawn before the retention time;
//! - it was last written before the retention time. That alone protects what a run at work has put and not committed
//!   yet, so the retention must be longer than any run takes from putting a file to its commit. A run that finds a file of
//!   a dead run again writes it anew, unless it is younger than an hour (`commit::put_new`).

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::layout::{self, OWN_FOLDER};
use super::snapshot::Lake;
use super::vouched::Vouched;
use crate::error::{Context, Error, Result};
use crate::store;

/// A shorter retention has to be forced: a large run may take hours from its first file to its commit.
const LEAST_RETENTION: TimeDelta = TimeDelta::days(1);

/// Files deleted by one request, which is what S3 takes.
const DELETED_AT_ONCE: usize = 1_000;

/// Such requests at once.
const REQUESTS: usize = 8;

/// What to delete.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long what is not needed any more is kept.
    pub retention: TimeDelta,
    /// Allows a retention that is no protection for other runs.
    pub force: bool,
    /// Say only what would be done.
    pub dry_run: bool,
    /// The time of the run.
    pub now: DateTime<Utc>,
}

/// A number of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Files {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What a vacuum did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The lake's URL.
    pub lake: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The newest version of the table.
    pub version: u64,
    /// What is older than this was deleted, where nothing needs it.
    pub older_than: String,
    /// Data files deleted.
    pub data: Files,
    /// Ledger files deleted, which no commit vouches for.
    pub ledger: Files,
    /// Files of rejected input deleted.
    pub rejected: Files,
    /// What broken uploads had left in a local lake, deleted.
    pub leftovers: Files,
    /// The lake's files that stay, without the table log.
    pub kept: Files,
    /// Files that are not of this program, and stay.
    pub others: Files,
    /// How long it took.
    pub duration_seconds: f64,
}

impl Report {
    /// All that was deleted.
    pub fn deleted(&self) -> Files {
        let all = [self.data, self.ledger, self.rejected, self.leftovers];
        Files {
            files: all.iter().map(|files| files.files).sum(),
            bytes: all.iter().map(|files| files.bytes).sum(),
        }
    }
}

/// What a file is, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Ledger,
    Rejected,
}

impl Kind {
    /// What the file at this path below the lake's root is; `None` where its name is not of this program's form.
    fn of(path: &str, partitioning: &[String]) -> Option<Kind> {
        let (folder, name) = path.rsplit_once('/')?;
        if let Some(own) = folder.strip_prefix(OWN_FOLDER) {
            let is_number = |text: &str| text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
            return match own {
                "/ledger" => {
                    let (version, _) = name.strip_suffix(".parquet")?.split_once('-')?;
                    is_number(version).then_some(Kind::Ledger)
                }
                "/rejected" => name.strip_suffix(".ndjson.zst").map(|_| Kind::Rejected),
                _ => None,
            };
        }
        layout::is_data_file(path, partitioning).then_some(Kind::Data)
    }
}

/// The paths of files that stay whatever their age; hashes of them, as there may be millions.
#[derive(Default)]
struct Needed(HashSet<[u8; 16]>);

impl Needed {
    async fn read(lake: &Lake, since: DateTime<Utc>) -> Result<Needed> {
        let mut needed = Needed::default();
        for file in lake.files()? {
            needed.insert(&file.path);
        }
        lake.removed_since(since, |path| needed.insert(path)).await?;
        let vouched = Vouched::read(lake).await?;
        vouched.ledgers().for_each(|name| needed.insert(&layout::ledger_file(name)));
        let rejected = vouched.rejected().chain(vouched.replayed_since(since));
        rejected.for_each(|name| needed.insert(&layout::rejected_file(name)));
        Ok(needed)
    }

    fn insert(&mut self, path: &str) {
        self.0.insert(hash(path));
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains(&hash(path))
    }
}

fn hash(path: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(path)[..16]);
    hash
}

/// Deletes.
///
/// # Errors
/// Where the retention is too short or too long, the log or a folder cannot be read, or a file cannot be deleted; others
/// are deleted all the same.
pub async fn run(lake: &Lake, options: &Options) -> Result<Report> {
    let clock = Instant::now();
    check(lake, options)?;
    let location = lake.location();
    let older_than = options.now.checked_sub_signed(options.retention).unwrap_or(DateTime::<Utc>::MIN_UTC);
    // Before anything is listed: what is committed from now on is young, or was just written again.
    let needed = Needed::read(lake, older_than).await?;
    let names = lake.partitioning().names();
    let log_folder = layout::object(location, super::snapshot::LOG_FOLDER)?;
    let root = &location.prefix;
    let (mut kept, mut others) = (Files::default(), Files::default());
    let mut decide = |meta: ObjectMeta| -> Option<(Kind, ObjectMeta)> {
        if meta.location.prefix_matches(&log_folder) {
            return None;
        }
        let below: Vec<String> =
            meta.location.prefix_match(root)?.map(|part| part.as_ref().to_owned()).collect();
        let below = below.join("/");
        match Kind::of(&below, &names) {
            None => others.add(meta.size),
            Some(_) if meta.last_modified >= older_than || needed.has(&below) => kept.add(meta.size),
            Some(kind) => return Some((kind, meta)),
        }
        None
    };
    // What is listed is deleted at once, and not at the end: the longer it takes, the likelier somebody takes it up again.
    let mut chunks = location
        .store
        .list(Some(root))
        .map_err(store::explain)
        .try_filter_map(|meta| std::future::ready(Ok(decide(meta))))
        .try_ready_chunks(DELETED_AT_ONCE)
        .map_err(|error| error.1)
        .map_ok(|chunk| async {
            Ok(if options.dry_run {
                Done::listed(&chunk)
            } else {
                Done::deleted(&location.store, chunk).await
            })
        })
        .try_buffer_unordered(REQUESTS);
    let mut done = Done::default();
    while let Some(more) = chunks.try_next().await.context(|| format!("listing {}", location.url))? {
        done.add(more);
    }
    drop(chunks);
    let leftovers = match local_root(&location.url) {
        Some(root) => leftovers(root, names, older_than.into(), options.dry_run).await?,
        None => Files::default(),
    };
    if let Some(first) = done.first_failure {
        let text = format!("{} files of {} could not be deleted", done.failures, location.url);
        return Err(Error::failed(text).caused_by(first).hint("what else is not needed was deleted"));
    }
    let [data, ledger, rejected] = done.files;
    Ok(Report {
        lake: location.url.clone(),
        dry_run: options.dry_run,
        version: lake.version(),
        older_than: older_than.to_rfc3339_opts(SecondsFormat::Secs, true),
        data,
        ledger,
        rejected,
        leftovers,
        kept,
        others,
        duration_seconds: clock.elapsed().as_secs_f64(),
    })
}

/// Refuses what would break other runs, and what the log cannot tell.
fn check(lake: &Lake, options: &Options) -> Result<()> {
    let url = &lake.location().url;
    let known_for = TimeDelta::from_std(lake.removed_files_are_known_for()).unwrap_or(TimeDelta::MAX);
    if options.retention > known_for {
        let days = known_for.num_days();
        return Err(Error::usage(format!(
            "the table log of {url} knows for {days} days when a file was removed, and the retention is longer"
        ))
        .hint(format!("give --retention {days}d or less")));
    }
    if options.retention < LEAST_RETENTION && !options.force {
        return Err(Error::usage(
            "a retention of less than a day does not protect the files of runs at work",
        )
        .hint("give --retention 1d or more")
        .hint("or make sure that no other command writes to the lake or queries it, and add --force"));
    }
    Ok(())
}

/// What became of files that are not needed.
#[derive(Default)]
struct Done {
    /// Those that are gone, by their kind.
    files: [Files; 3],
    failures: u64,
    first_failure: Option<Error>,
}

impl Done {
    fn listed(chunk: &[(Kind, ObjectMeta)]) -> Done {
        let mut done = Done::default();
        chunk.iter().for_each(|(kind, meta)| done.files[*kind as usize].add(meta.size));
        done
    }

    async fn deleted(store: &Arc<dyn ObjectStore>, chunk: Vec<(Kind, ObjectMeta)>) -> Done {
        let paths: Vec<_> = chunk.iter().map(|(_, meta)| Ok(meta.location.clone())).collect();
        let mut left: HashMap<Path, (Kind, u64)> =
            chunk.into_iter().map(|(kind, meta)| (meta.location, (kind, meta.size))).collect();
        let mut results = store.delete_stream(stream::iter(paths).boxed());
        let mut done = Done::default();
        let mut gone = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(path) => {
                    tracing::debug!(%path, "deleted");
                    if let Some((kind, bytes)) = left.remove(&path) {
                        done.files[kind as usize].add(bytes);
                    }
                }
                // Another vacuum was faster.
                Err(object_store::Error::NotFound { .. }) => gone += 1,
                Err(error) => done.first_failure = done.first_failure.or_else(|| Some(store::explain(error))),
            }
        }
        if done.first_failure.is_some() {
            // A request that fails says so once for all of its files.
            done.failures = left.len().saturating_sub(gone) as u64;
        }
        done
    }

    fn add(&mut self, more: Done) {
        for (sum, files) in self.files.iter_mut().zip(more.files) {
            sum.files += files.files;
            sum.bytes += files.bytes;
        }
        self.failures += more.failures;
        self.first_failure = self.first_failure.take().or(more.first_failure);
    }
}

/// The directory of a local lake.
fn local_root(url: &str) -> Option<PathBuf> {
    Url::parse(url).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
}

/// Deletes what a broken upload leaves in a directory: a file is written beside its place, with `#` and a number at the
/// end of its name, and then moved there. Listings of the store do not show these.
async fn leftovers(
    root: PathBuf,
    names: Vec<String>,
    older_than: SystemTime,
    dry_run: bool,
) -> Result<Files> {
    let looking = format!("looking for what broken uploads have left in {}", root.display());
    let walk = tokio::task::spawn_blocking(move || walk(&root, &names, older_than, dry_run));
    walk.await.context(|| looking.clone())?.context(|| looking)
}

fn walk(
    root: &std::path::Path,
    names: &[String],
    older_than: SystemTime,
    dry_run: bool,
) -> std::io::Result<Files> {
    let mut found = Files::default();
    let mut folders: Vec<(PathBuf, String)> = vec![(root.to_owned(), String::new())];
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let is_ours = name == OWN_FOLDER || below.starts_with(OWN_FOLDER) || name.contains('=');
                // Partition folders, and two levels of our own.
                if is_ours && below.matches('/').count() <= names.len() {
                    folders.push((entry.path(), format!("{below}{name}/")));
                }
                continue;
            }
            let Some((place, number)) = name.rsplit_once('#') else { continue };
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            if !kind.is_file() || !is_number || Kind::of(&format!("{below}{place}"), names).is_none() {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.modified()? < older_than {
                if !dry_run {
                    std::fs::remove_file(entry.path())?;
                }
                found.add(metadata.len());
            }
        }
    }
    Ok(found)
}
