//! Files and facts that count because a commit says so: the `txn` actions of the table log (Delta protocol,
//! "Transaction Identifiers"), an application id with a number each, of which the newest number counts.
//!
//! ```text
//! trailhouse/ledger/NAME     the table version whose commit added this ledger file
//! trailhouse/rejected/NAME   the table version whose commit added this file of rejected input; once it was replayed, the
//!                            time of that, in milliseconds since 1970, negative
//! trailhouse/source/HASH     the newest path day (days since 1970) that a run over this source has converted
//! ```

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake_core::kernel::Transaction;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::snapshot::{LOG_FOLDER, Lake};
use crate::error::{Context, Result};
use crate::store::{self, Location};

const LEDGER: &str = "trailhouse/ledger/";
const REJECTED: &str = "trailhouse/rejected/";
const SOURCE: &str = "trailhouse/source/";

/// Log files read at once.
const AT_ONCE: usize = 16;

/// What the log vouches for, up to one version of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouched {
    numbers: BTreeMap<String, i64>,
}

impl Vouched {
    /// Reads the newest checkpoint and the commits after it. (`deltalake-core` looks up one application id at a time,
    /// and replays the whole log for each.)
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn read(lake: &Lake) -> Result<Vouched> {
        let location = lake.location();
        let reading = || format!("reading the table log of {}", location.url);
        let folder = location.prefix.clone().join(LOG_FOLDER);
        let listed = location.store.list(Some(&folder)).try_collect::<Vec<_>>();
        let listed = listed.await.map_err(store::explain).context(reading)?;
        let checkpoint = listed
            .iter()
            .filter_map(|file| {
                let version: u64 =
                    file.location.filename()?.strip_suffix(".checkpoint.parquet")?.parse().ok()?;
                (version <= lake.version()).then_some((version, file))
            })
            .max_by_key(|(version, _)| *version);

        let mut vouched = Vouched::default();
        if let Some((_, file)) = checkpoint {
            vouched.checkpoint(get(location, &file.location).await.context(reading)?).context(reading)?;
        }
        let after = checkpoint.map_or(0, |(version, _)| version + 1);
        let commits = (after..=lake.version()).map(|version| {
            let path: Path = folder.clone().join(format!("{version:020}.json"));
            async move { get(location, &path).await.context(reading) }
        });
        let mut commits = stream::iter(commits).buffered(AT_ONCE);
        while let Some(commit) = commits.try_next().await? {
            for line in commit.split(|&byte| byte == b'\n').filter(|line| line.starts_with(br#"{"txn""#)) {
                let Ok(action) = serde_json::from_slice::<Value>(line) else { continue };
                let number = action.pointer("/txn/version").and_then(Value::as_i64);
                if let (Some(Value::String(id)), Some(number)) = (action.pointer("/txn/appId"), number) {
                    vouched.numbers.insert(id.clone(), number);
                }
            }
        }
        Ok(vouched)
    }

    fn checkpoint(&mut self, bytes: Bytes) -> Result<()> {
        let reading = || "reading a checkpoint".to_owned();
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).context(reading)?;
        let only = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
        for batch in builder.with_projection(only).build().context(reading)? {
            let batch = batch.context(reading)?;
            let Some(txn) = batch.column_by_name("txn").and_then(|txn| txn.as_struct_opt()) else { continue };
            let ids = txn.column_by_name("appId").and_then(|ids| ids.as_string_opt::<i32>());
            let numbers = txn.column_by_name("version").and_then(|ids| ids.as_primitive_opt::<Int64Type>());
            let (Some(ids), Some(numbers)) = (ids, numbers) else { continue };
            let present = (0..txn.len()).filter(|&at| ids.is_valid(at) && numbers.is_valid(at));
            self.numbers.extend(present.map(|at| (ids.value(at).to_owned(), numbers.value(at))));
        }
        Ok(())
    }

    /// The names of the ledger files, the oldest commit's first.
    pub fn ledgers(&self) -> impl Iterator<Item = &str> {
        self.live(LEDGER)
    }

    /// The names of the files of rejected input that was not replayed since.
    pub fn rejected(&self) -> impl Iterator<Item = &str> {
        self.live(REJECTED)
    }

    /// The names of the files of rejected input that was replayed at `time` or later.
    pub fn replayed_since(&self, time: DateTime<Utc>) -> impl Iterator<Item = &str> {
        let numbers = self
            .numbers
            .iter()
            .filter(move |(_, number)| **number <= time.timestamp_millis().saturating_neg());
        numbers.filter_map(|(id, _)| id.strip_prefix(REJECTED))
    }

    /// The newest path day, days since 1970, that was converted of a source; the source is named as in
    /// [`super::commit::Change::sources`].
    pub fn source(&self, name: &str) -> Option<i64> {
        self.numbers.get(&format!("{SOURCE}{name}")).copied()
    }

    fn live(&self, kind: &'static str) -> impl Iterator<Item = &str> {
        let from = self.numbers.range(kind.to_owned()..);
        from.map_while(move |(id, number)| Some((id.strip_prefix(kind)?, number)))
            .filter(|(_, number)| **number > 0)
            .map(|(name, _)| name)
    }
}

/// The action that vouches for a ledger file.
pub(super) fn ledger(name: &str, version: u64) -> Transaction {
    Transaction::new(format!("{LEDGER}{name}"), number(version))
}

/// The action that vouches for a file of rejected input.
pub(super) fn rejected(name: &str, version: u64) -> Transaction {
    Transaction::new(format!("{REJECTED}{name}"), number(version))
}

/// The action after which a file of rejected input counts no more.
pub(super) fn replayed(name: &str, time: DateTime<Utc>) -> Transaction {
    Transaction::new(format!("{REJECTED}{name}"), -time.timestamp_millis().max(1))
}

/// The action that says up to which path day a source was converted.
pub(super) fn source(name: &str, day: i64) -> Transaction {
    Transaction::new(format!("{SOURCE}{name}"), day)
}

fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

async fn get(location: &Location, object: &Path) -> Result<Bytes> {
    let got = location.store.get(object).await.map_err(store::explain)?;
    got.bytes().await.map_err(store::explain)
}
