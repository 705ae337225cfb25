//! Making files visible: put them whole under names of their own, then add them to the table in one commit, which is
//! a compare-and-swap on the table's version.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::logstore::LogStore;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::layout::{self, DataFile};
use super::ledger::{self, Entry};
use super::snapshot::{Lake, cause};
use super::vouched;
use crate::error::{Context, Error, Result};
use crate::store::{self, Location};

/// What a commit changes: all of it, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Data files that are in the table from now on.
    pub adds: Vec<DataFile>,
    /// Data files that no longer are.
    pub removes: Vec<DataFile>,
    /// What became of objects.
    pub entries: Vec<Entry>,
    /// Names of files of rejected input that count from now on.
    pub rejected: Vec<String>,
    /// Names of files of rejected input that count no more.
    pub replayed: Vec<String>,
    /// Up to which path day (days since 1970) a source was converted, by a name for the source and the filters.
    pub sources: BTreeMap<String, i64>,
    /// Events of days before this one are no longer kept.
    pub expire_before: Option<NaiveDate>,
}

impl Change {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Change::default()
    }
}

/// What a commit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// New rows.
    Convert,
    /// The same rows in fewer files.
    Compact,
    /// Fewer days.
    Expire,
}

/// What a commit says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// What it is for.
    pub purpose: Purpose,
    /// The id of the run, which no other run has: by it a commit whose answer was lost is recognized.
    pub run_id: String,
    /// The time of the run: the data files' modification time in the log.
    pub time: DateTime<Utc>,
    /// The run's counts, for the table's history.
    pub counts: BTreeMap<String, u64>,
}

/// What became of a commit.
#[must_use = "a commit that lost the race has added nothing"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files and the ledger entries are in the table, as of this version.
    Committed {
        /// The version that the commit made.
        version: u64,
    },
    /// Somebody else committed first, and nothing was added: open the lake again, leave out what they have converted,
    /// and commit what remains.
    Conflict {
        /// The newest version of the table.
        version: u64,
    },
}

/// A file that is found to be there already is written once more when it is older than this: a vacuum deletes old files
/// that nothing refers to, and must not delete this one before it is committed.
const REFRESHED_AFTER: TimeDelta = TimeDelta::hours(1);

/// Puts an object at `path` below the lake's root, whole or not at all. One that is there already with the same
/// content is as good: a retry, or a run that broke off, has put it.
///
/// # Errors
/// Where another content is there, and where the store fails.
pub async fn put_new(location: &Location, path: &str, bytes: Bytes) -> Result<()> {
    let object = layout::object(location, path)?;
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let writing = || format!("writing {}{path}", location.url);
    match location.store.put_opts(&object, bytes.clone().into(), options).await {
        Ok(_) => return Ok(()),
        Err(object_store::Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(store::explain(error)).context(writing),
    }
    let reading = || format!("comparing {}{path}, which exists already", location.url);
    let there = location.store.head(&object).await.map_err(store::explain).context(reading)?;
    if there.size == bytes.len() as u64 {
        let got = location.store.get(&object).await.map_err(store::explain).context(reading)?;
        if got.bytes().await.map_err(store::explain).context(reading)? == bytes {
            if Utc::now() - there.last_modified > REFRESHED_AFTER {
                let again = location.store.put(&object, bytes.into()).await;
                again.map_err(store::explain).context(writing)?;
            }
            return Ok(());
        }
    }
    Err(Error::failed(format!("{}{path} exists already, with another content", location.url))
        .hint("a file of a lake is never changed: something other than trailhouse has written this one"))
}

/// Makes the change to the version of the table that `lake` is, if nobody else has committed since.
///
/// # Errors
/// Where the store fails in such a way that nothing was committed, or that it cannot be known.
pub async fn commit(lake: &Lake, change: &Change, about: &About) -> Result<Outcome> {
    let version = lake.version() + 1;
    let committing = || format!("committing version {version} of {}", lake.location().url);
    let data_change = about.purpose != Purpose::Compact;
    let mut actions: Vec<Action> =
        lake.described(change.expire_before)?.map(Action::Metadata).into_iter().collect();
    actions.extend(change.removes.iter().map(|file| Action::Remove(remove(file, about, data_change))));
    actions.extend(change.adds.iter().map(|file| Action::Add(add(file, about, data_change))));
    let ledger = ledger::encode(&change.entries)?;
    let commit_id = commit_id(about, change, &ledger);
    let mut transactions = Vec::new();
    if !change.entries.is_empty() {
        let name = ledger::name(version, &change.entries, &commit_id);
        put_new(lake.location(), &layout::ledger_file(&name), ledger.into()).await?;
        transactions.push(vouched::ledger(&name, version));
    }
    transactions.extend(change.replayed.iter().map(|name| vouched::replayed(name, about.time)));
    transactions.extend(change.rejected.iter().map(|name| vouched::rejected(name, version)));
    transactions.extend(change.sources.iter().map(|(name, day)| vouched::source(name, *day)));
    let mut parameters = json!(about.counts);
    parameters["runId"] = json!(about.run_id);
    parameters["commitId"] = json!(commit_id);
    parameters["trailhouseVersion"] = json!(env!("CARGO_PKG_VERSION"));
    let properties = CommitProperties::default()
        .with_max_retries(0)
        .with_cleanup_expired_logs(Some(false))
        .with_application_transactions(transactions)
        .with_metadata([("operationParameters".to_owned(), parameters)]);
    let operation = match about.purpose {
        Purpose::Convert => DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(lake.partitioning().names()),
            predicate: None,
        },
        Purpose::Compact => DeltaOperation::Optimize { predicate: None, target_size: 0 },
        Purpose::Expire => DeltaOperation::Delete { predicate: None },
    };
    let done = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(&lake.state), lake.log.clone(), operation)
        .await;
    let Err(error) = done else { return Ok(Outcome::Committed { version }) };

    // The answer may be wrong: a put that succeeded may have been answered by an error, or retried and answered by
    // "exists already"; and the commit may stand while the checkpoint after it failed. What is in the log decides.
    let unknown =
        || format!("finding out whether version {version} of {} was committed", lake.location().url);
    match lake.log.read_commit_entry(version).await.map_err(cause).context(unknown)? {
        Some(written) if id_of(&written).as_deref() == Some(&commit_id) => {
            tracing::debug!(version, error = %error, "committed, despite what was answered");
            Ok(Outcome::Committed { version })
        }
        Some(_) => {
            let version = lake.log.get_latest_version(version).await.map_err(cause).context(unknown)?;
            Ok(Outcome::Conflict { version })
        }
        None => Err(cause(error)).context(committing),
    }
}

fn add(file: &DataFile, about: &About, data_change: bool) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: file.partition.iter().cloned().collect(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: about.time.timestamp_millis(),
        data_change,
        stats: Some(file.stats.clone()),
        ..Add::default()
    }
}

fn remove(file: &DataFile, about: &About, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(about.time.timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(file.partition.iter().cloned().collect()),
        size: i64::try_from(file.size).ok(),
        ..Remove::default()
    }
}

/// What tells this commit from every other: of the same run too, which may try another one on the same version.
fn commit_id(about: &About, change: &Change, ledger: &[u8]) -> String {
    let mut hash = Sha256::new_with_prefix(&about.run_id);
    let files = change.adds.iter().chain(&change.removes).map(|file| &file.path);
    for name in files.chain(&change.rejected).chain(&change.replayed) {
        hash.update([0]);
        hash.update(name);
    }
    hash.update(format!("{:?} {:?}", change.sources, change.expire_before));
    hash.update(ledger);
    layout::hex(&hash.finalize())
}

/// The id that the commit in this log file says it has.
fn id_of(written: &[u8]) -> Option<String> {
    let action = |line: &[u8]| serde_json::from_slice::<Value>(line).ok();
    let mut actions = written.split(|&byte| byte == b'\n').filter_map(action);
    let info = actions.find(|action| action.get("commitInfo").is_some())?;
    info.pointer("/commitInfo/operationParameters/commitId")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMultipartOptions, PutPayload, PutResult,
    };

    use super::*;
    use crate::lake::layout::Partitioning;
    use crate::lake::snapshot::tests::{actions, at, in_memory};
    use crate::lake::write;

    fn about(run_id: &str) -> About {
        let counts = BTreeMap::from([("rows".to_owned(), 3)]);
        About {
            purpose: Purpose::Convert,
            run_id: run_id.to_owned(),
            time: DateTime::from_timestamp(1_772_323_200, 0).unwrap(),
            counts,
        }
    }

    fn adds(files: &[DataFile]) -> Change {
        Change { adds: files.to_vec(), ..Change::default() }
    }

    /// A file as the writer makes it, with these many rows.
    fn file(by: &Partitioning, account: &str, rows: usize) -> DataFile {
        let names = write::tests::texts((0..rows).map(|row| Some(format!("Get{row}"))));
        let times = write::tests::times((0..rows).map(|row| Some(1_772_323_200_000_000 + row as i64)));
        let batch = write::tests::batch(rows, &[("event_time", times), ("event_name", names)]);
        let encoded = write::encode(&batch, by).unwrap();
        let partition = by.partition(Some("2026-03-01"), Some(account), None);
        let path = layout::data_file(&partition, account.as_bytes(), rows);
        DataFile {
            path,
            size: encoded.bytes.len() as u64,
            rows: rows as u64,
            partition,
            stats: encoded.stats,
        }
    }

    fn same_stats(one: &str, two: &str) -> bool {
        serde_json::from_str::<Value>(one).unwrap() == serde_json::from_str::<Value>(two).unwrap()
    }

    #[tokio::test]
    async fn what_is_committed_is_what_is_listed() {
        let location = in_memory();
        let by: Partitioning = "date,account,region".parse().unwrap();
        let lake = Lake::create(&location, &by).await.unwrap();
        let added = [file(&by, "111122223333", 2), file(&by, " 50%/é ", 1), file(&by, "", 1)];
        let outcome = commit(&lake, &adds(&added), &about("run-1")).await.unwrap();
        assert_eq!(outcome, Outcome::Committed { version: 1 });

        let lake = Lake::open(&location).await.unwrap().unwrap();
        assert_eq!(lake.version(), 1);
        let mut listed: Vec<DataFile> = lake.files().unwrap().collect();
        listed.sort_by_key(|file| added.iter().position(|added| added.path == file.path));
        for (listed, added) in listed.iter().zip(&added) {
            assert!(same_stats(&listed.stats, &added.stats), "{} {}", listed.stats, added.stats);
            assert_eq!(DataFile { stats: added.stats.clone(), ..listed.clone() }, *added);
        }
        assert_eq!(listed.len(), added.len());

        let info = &actions(&location, 1).await[0]["commitInfo"];
        assert_eq!(info["operation"], "WRITE");
        assert_eq!(info["operationParameters"]["runId"], "run-1");
        assert_eq!(info["operationParameters"]["trailhouseVersion"], env!("CARGO_PKG_VERSION"));
        assert_eq!(info["operationParameters"]["rows"], "3");
    }

    #[tokio::test]
    async fn of_two_commits_on_one_version_one_is_made() {
        let location = in_memory();
        let by = Partitioning::default();
        let lake = Lake::create(&location, &by).await.unwrap();
        let (one, two) = (adds(&[file(&by, "a", 1)]), adds(&[file(&by, "b", 2)]));
        let about = [about("one"), about("two")];
        let (first, second) = tokio::join!(commit(&lake, &one, &about[0]), commit(&lake, &two, &about[1]));
        let mut outcomes = [first.unwrap(), second.unwrap()];
        outcomes.sort_by_key(|outcome| matches!(outcome, Outcome::Conflict { .. }));
        assert_eq!(outcomes, [Outcome::Committed { version: 1 }, Outcome::Conflict { version: 1 }]);
        assert_eq!(Lake::open(&location).await.unwrap().unwrap().files().unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_commit_whose_answer_is_lost_is_recognized() {
        // The second is what a client answers that repeats a conditional put whose first answer was lost.
        let exists = object_store::Error::AlreadyExists { path: "x".into(), source: "412".into() };
        for answer in [closed(), exists] {
            let store = Arc::new(Lossy::default());
            let location = at(store.clone(), "lake");
            let by = Partitioning::default();
            let lake = Lake::create(&location, &by).await.unwrap();
            *store.answer.lock().unwrap() = Some(answer);
            let outcome = commit(&lake, &adds(&[file(&by, "a", 1)]), &about("mine")).await.unwrap();
            assert_eq!(outcome, Outcome::Committed { version: 1 });
            assert!(store.answer.lock().unwrap().is_none());
            for run in ["mine", "other"] {
                let outcome = commit(&lake, &adds(&[file(&by, "b", 1)]), &about(run)).await.unwrap();
                assert_eq!(outcome, Outcome::Conflict { version: 1 });
            }
            assert_eq!(Lake::open(&location).await.unwrap().unwrap().files().unwrap().count(), 1);
        }
    }

    #[tokio::test]
    async fn a_commit_that_was_not_written_is_an_error() {
        let store = Arc::new(Lossy::default());
        let location = at(store.clone(), "lake");
        let by = Partitioning::default();
        let lake = Lake::create(&location, &by).await.unwrap();
        store.refuse.store(true, Ordering::SeqCst);
        let error = commit(&lake, &adds(&[file(&by, "a", 1)]), &about("mine")).await.unwrap_err();
        assert!(error.chain().starts_with("committing version 1 of memory:///lake/"), "{}", error.chain());
    }

    #[tokio::test]
    async fn checkpoints_are_made_and_read() {
        let location = in_memory();
        let by = Partitioning::default();
        Lake::create(&location, &by).await.unwrap();
        for run in 1..=12 {
            let lake = Lake::open(&location).await.unwrap().unwrap();
            let outcome = commit(&lake, &adds(&[file(&by, "a", run)]), &about("run")).await.unwrap();
            assert_eq!(outcome, Outcome::Committed { version: run as u64 });
        }
        location.store.head(&Path::from("lake/_delta_log/_last_checkpoint")).await.unwrap();
        for version in 0..9 {
            location.store.delete(&Path::from(format!("lake/_delta_log/{version:020}.json"))).await.unwrap();
        }
        let lake = Lake::open(&location).await.unwrap().unwrap();
        let mut listed: Vec<DataFile> = lake.files().unwrap().collect();
        listed.sort_by_key(|file| file.rows);
        assert_eq!(listed.iter().map(|file| file.rows).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
        assert!(same_stats(&listed[4].stats, &file(&by, "a", 5).stats), "{}", listed[4].stats);
    }

    #[tokio::test]
    async fn an_older_table_grows_with_the_next_commit() {
        let location = in_memory();
        let by = Partitioning::default();
        let few = [crate::schema::EVENT_DATE, crate::schema::COLUMNS[0], crate::schema::COLUMNS[2]];
        let lake = Lake::create_with(&location, &by, &few).await.unwrap();
        assert_eq!(
            commit(&lake, &adds(&[file(&by, "a", 1)]), &about("run")).await.unwrap(),
            Outcome::Committed { version: 1 }
        );
        let schema = Lake::open(&location).await.unwrap().unwrap().state.schema();
        let names: Vec<_> = schema.fields().map(|field| field.name().as_str()).collect();
        assert_eq!(names[..4], ["event_date", "event_time", "event_name", "event_source"]);
        assert_eq!(names.len(), crate::schema::COLUMNS.len() + 1);
        let lake = Lake::open(&location).await.unwrap().unwrap();
        assert_eq!(
            commit(&lake, &Change::default(), &about("run")).await.unwrap(),
            Outcome::Committed { version: 2 }
        );
        assert!(actions(&location, 2).await.iter().all(|action| action.get("metaData").is_none()));
    }

    #[tokio::test]
    async fn a_file_that_is_there_already_must_be_the_same() {
        let location = in_memory();
        put_new(&location, "d=a%20b/x.parquet", "abc".into()).await.unwrap();
        put_new(&location, "d=a%20b/x.parquet", "abc".into()).await.unwrap();
        for other in ["abd", "abcd"] {
            let error = put_new(&location, "d=a%20b/x.parquet", other.into()).await.unwrap_err();
            assert!(
                error
                    .chain()
                    .contains("memory:///lake/d=a%20b/x.parquet exists already, with another content")
            );
        }
        location.store.head(&Path::parse("lake/d=a%20b/x.parquet").unwrap()).await.unwrap();
    }

    /// A store that performs one put and then answers this, or that refuses to put anything.
    #[derive(Debug, Default)]
    struct Lossy {
        inner: InMemory,
        answer: Mutex<Option<object_store::Error>>,
        refuse: AtomicBool,
    }

    fn closed() -> object_store::Error {
        object_store::Error::Generic { store: "lossy", source: "the connection was closed".into() }
    }

    impl fmt::Display for Lossy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Lossy({})", self.inner)
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Lossy {
        async fn put_opts(
            &self,
            at: &Path,
            payload: PutPayload,
            how: PutOptions,
        ) -> object_store::Result<PutResult> {
            if self.refuse.load(Ordering::SeqCst) {
                return Err(closed());
            }
            let put = self.inner.put_opts(at, payload, how).await?;
            self.answer.lock().unwrap().take().map_or(Ok(put), Err)
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            how: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.inner.put_multipart_opts(at, how).await
        }

        async fn get_opts(&self, at: &Path, how: GetOptions) -> object_store::Result<GetResult> {
            self.inner.get_opts(at, how).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.inner.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.inner.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
            self.inner.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
            self.inner.copy_opts(from, to, how).await
        }
    }
}
