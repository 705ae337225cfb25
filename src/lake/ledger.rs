//! What became of every source object: one Parquet file a commit, put before the commit, and counting for nothing
//! unless that commit's `txn` action vouches for its name. So the entries are in the lake if and only if the rows are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, StructArray, UInt64Array,
};
use arrow::datatypes::UInt64Type;
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::layout;
use super::snapshot::{LOG_FOLDER, Lake};
use super::write::CREATED_BY;
use crate::error::{Context, Error, Result};
use crate::store::{self, Location};

/// The application id of the `txn` action that vouches for a ledger file is this and the file's name.
const APP_ID: &str = "trailhouse/ledger/";

/// Log and ledger files read at once.
const AT_ONCE: usize = 16;

/// Entries encoded at once; the texts of one array are limited to 2 GiB.
const ROWS_A_WRITE: usize = 65_536;

/// What became of one object. Records = rows + duplicates + filtered + rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The object's URL.
    pub url: String,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// What changes when its content does: the ETag, else the modification time.
    pub version: String,
    /// The account in its key, where it follows CloudTrail's key grammar; as are the next three.
    pub account: Option<String>,
    /// The Region in its key.
    pub region: Option<String>,
    /// The day in its key, `YYYY-MM-DD`.
    pub path_day: Option<String>,
    /// Which of CloudTrail's folders it is in.
    pub kind: Option<String>,
    /// The records in it.
    pub records: u64,
    /// The rows it gave.
    pub rows: u64,
    /// The records that were there already.
    pub duplicates: u64,
    /// The records that the command's filters left out.
    pub filtered: u64,
    /// The records that could not be converted.
    pub rejected: u64,
    /// Whether nothing of it is left to convert: false where filters left records out, or reading it failed.
    pub complete: bool,
}

/// Calls `each` with every entry that the lake's commits vouch for, the oldest commit's first.
///
/// # Errors
/// Where the log or a ledger file cannot be read.
pub async fn read(lake: &Lake, mut each: impl FnMut(Entry)) -> Result<()> {
    let location = lake.location();
    let names = vouched_for(lake).await?;
    let files = names.iter().map(|name| async move {
        let path = layout::ledger_file(name);
        let reading = || format!("reading {}{path}", location.url);
        let object = layout::object(location, &path)?;
        decode(get(location, &object).await.context(reading)?).context(reading)
    });
    let mut files = stream::iter(files).buffered(AT_ONCE);
    while let Some(entries) = files.try_next().await? {
        entries.into_iter().for_each(&mut each);
    }
    Ok(())
}

/// The application id that vouches for a ledger file.
pub(super) fn app_id(name: &str) -> String {
    format!("{APP_ID}{name}")
}

/// The ledger file of these entries, in their order.
pub(super) fn encode(entries: &[Entry]) -> Result<Vec<u8>> {
    let encoding = || "encoding a ledger file".to_owned();
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Neighbouring keys share most of their text.
        .set_column_dictionary_enabled("url".into(), false)
        .set_column_encoding("url".into(), Encoding::DELTA_BYTE_ARRAY)
        .build();
    let schema = batch_of(&[]).context(encoding)?.schema();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).context(encoding)?;
    for some in entries.chunks(ROWS_A_WRITE) {
        writer.write(&batch_of(some).context(encoding)?).context(encoding)?;
    }
    writer.close().context(encoding)?;
    Ok(bytes)
}

fn batch_of(entries: &[Entry]) -> Result<RecordBatch, ArrowError> {
    let text = |value: fn(&Entry) -> Option<&str>| -> ArrayRef {
        Arc::new(entries.iter().map(value).collect::<StringArray>())
    };
    let number = |value: fn(&Entry) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(entries.iter().map(value)))
    };
    let complete: BooleanArray = entries.iter().map(|entry| Some(entry.complete)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("url", text(|entry| Some(&entry.url)), false),
        ("size", number(|entry| entry.size), false),
        ("version", text(|entry| Some(&entry.version)), false),
        ("account", text(|entry| entry.account.as_deref()), true),
        ("region", text(|entry| entry.region.as_deref()), true),
        ("path_day", text(|entry| entry.path_day.as_deref()), true),
        ("kind", text(|entry| entry.kind.as_deref()), true),
        ("records", number(|entry| entry.records), false),
        ("rows", number(|entry| entry.rows), false),
        ("duplicates", number(|entry| entry.duplicates), false),
        ("filtered", number(|entry| entry.filtered), false),
        ("rejected", number(|entry| entry.rejected), false),
        ("complete", Arc::new(complete), false),
    ])
}

fn decode(bytes: Bytes) -> Result<Vec<Entry>> {
    let decoding = || "decoding a ledger file".to_owned();
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).context(decoding)?.build().context(decoding)?;
    let mut entries = Vec::new();
    for batch in reader {
        let batch = batch.context(decoding)?;
        let missing = |name: &str| Error::failed(format!("it has no usable column {name:?}"));
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let texts = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| missing(name));
        let numbers =
            |name: &str| column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| missing(name));
        let (url, version) = (texts("url")?, texts("version")?);
        let (account, region, path_day, kind) =
            (texts("account")?, texts("region")?, texts("path_day")?, texts("kind")?);
        let (size, records, rows) = (numbers("size")?, numbers("records")?, numbers("rows")?);
        let (duplicates, filtered, rejected) =
            (numbers("duplicates")?, numbers("filtered")?, numbers("rejected")?);
        let complete = column("complete")?.as_boolean_opt().ok_or_else(|| missing("complete"))?;
        let known = |texts: &StringArray, at: usize| texts.is_valid(at).then(|| texts.value(at).to_owned());
        entries.extend((0..batch.num_rows()).map(|at| Entry {
            url: url.value(at).to_owned(),
            size: size.value(at),
            version: version.value(at).to_owned(),
            account: known(account, at),
            region: known(region, at),
            path_day: known(path_day, at),
            kind: known(kind, at),
            records: records.value(at),
            rows: rows.value(at),
            duplicates: duplicates.value(at),
            filtered: filtered.value(at),
            rejected: rejected.value(at),
            complete: complete.value(at),
        }));
    }
    Ok(entries)
}

/// The names of the ledger files that the log vouches for, up to the lake's version: those in the newest checkpoint,
/// and those of the commits after it. `deltalake-core` looks up one application id at a time, and replays the whole
/// log for each.
async fn vouched_for(lake: &Lake) -> Result<BTreeSet<String>> {
    let location = lake.location();
    let reading = || format!("reading the table log of {}", location.url);
    let folder = location.prefix.clone().join(LOG_FOLDER);
    let listed = location.store.list(Some(&folder)).try_collect::<Vec<_>>();
    let listed = listed.await.map_err(store::explain).context(reading)?;
    let checkpoint = listed
        .iter()
        .filter_map(|file| {
            let version: u64 = file.location.filename()?.strip_suffix(".checkpoint.parquet")?.parse().ok()?;
            (version <= lake.version()).then_some((version, file))
        })
        .max_by_key(|(version, _)| *version);

    let mut app_ids = Vec::new();
    if let Some((_, file)) = checkpoint {
        let bytes = get(location, &file.location).await.context(reading)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).context(reading)?;
        let only = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId"]);
        for batch in builder.with_projection(only).build().context(reading)? {
            let batch = batch.context(reading)?;
            let ids = batch.column_by_name("txn").and_then(|txn| txn.as_struct_opt()).and_then(app_id_column);
            app_ids.extend(ids.iter().flat_map(|ids| ids.iter().flatten()).map(str::to_owned));
        }
    }
    let after = checkpoint.map_or(0, |(version, _)| version + 1);
    let commits = (after..=lake.version()).map(|version| {
        let path: Path = folder.clone().join(format!("{version:020}.json"));
        async move { get(location, &path).await.context(reading) }
    });
    let mut commits = stream::iter(commits).buffered(AT_ONCE);
    while let Some(commit) = commits.try_next().await? {
        let lines = commit.split(|&byte| byte == b'\n').filter(|line| line.starts_with(br#"{"txn""#));
        let id = |line| {
            serde_json::from_slice::<Value>(line).ok()?.pointer("/txn/appId")?.as_str().map(str::to_owned)
        };
        app_ids.extend(lines.filter_map(id));
    }
    Ok(app_ids.iter().filter_map(|id| id.strip_prefix(APP_ID)).map(str::to_owned).collect())
}

async fn get(location: &Location, object: &Path) -> Result<Bytes> {
    let got = location.store.get(object).await.map_err(store::explain)?;
    got.bytes().await.map_err(store::explain)
}

fn app_id_column(transactions: &StructArray) -> Option<&StringArray> {
    transactions.column_by_name("appId")?.as_string_opt()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::*;
    use crate::lake::commit::{About, Outcome, commit, put_new};
    use crate::lake::layout::Partitioning;
    use crate::lake::snapshot::tests::in_memory;

    fn entry(name: &str) -> Entry {
        Entry {
            url: format!("s3://trail/{name}.json.gz"),
            size: u64::MAX,
            version: "\"etag\"".into(),
            account: Some("111122223333".into()),
            region: None,
            path_day: Some("2026-03-01".into()),
            kind: None,
            records: 10,
            rows: 4,
            duplicates: 3,
            filtered: 2,
            rejected: 1,
            complete: name.len().is_multiple_of(2),
        }
    }

    fn about(run_id: &str) -> About {
        About { run_id: run_id.into(), time: DateTime::UNIX_EPOCH, counts: BTreeMap::new() }
    }

    async fn urls(lake: &Lake) -> Vec<String> {
        let mut urls = Vec::new();
        read(lake, |entry| urls.push(entry.url)).await.unwrap();
        urls
    }

    #[test]
    fn entries_come_back() {
        let entries = [entry("a"), entry("ab"), entry("")];
        let file = encode(&entries).unwrap();
        assert_eq!(encode(&entries).unwrap(), file);
        assert_eq!(decode(file.into()).unwrap(), entries);
        assert!(decode(Bytes::from_static(b"no parquet")).is_err());
    }

    #[tokio::test]
    async fn entries_count_if_and_only_if_their_commit_does() {
        let location = in_memory();
        let lake = Lake::create(&location, &Partitioning::default()).await.unwrap();
        assert!(urls(&lake).await.is_empty());
        let nobodys = layout::ledger_file("00000000000000000001-nobody");
        put_new(&location, &nobodys, encode(&[entry("nobody")]).unwrap().into()).await.unwrap();

        let won = commit(&lake, &[], &[entry("won")], &about("one")).await.unwrap();
        assert_eq!(won, Outcome::Committed { version: 1 });
        let lost = commit(&lake, &[], &[entry("lost")], &about("two")).await.unwrap();
        assert_eq!(lost, Outcome::Conflict { version: 1 });

        assert!(urls(&lake).await.is_empty(), "the older version knows nothing of it");
        let lake = Lake::open(&location).await.unwrap().unwrap();
        assert_eq!(urls(&lake).await, ["s3://trail/won.json.gz"]);
    }

    #[tokio::test]
    async fn checkpoints_keep_what_was_vouched_for() {
        let location = in_memory();
        Lake::create(&location, &Partitioning::default()).await.unwrap();
        let names: Vec<String> = (1..=21).map(|run| format!("run{run:02}")).collect();
        for name in &names {
            let lake = Lake::open(&location).await.unwrap().unwrap();
            let _ = commit(&lake, &[], &[entry(name)], &about(name)).await.unwrap();
        }
        for version in 0..19 {
            let log = location.prefix.clone().join(LOG_FOLDER);
            location.store.delete(&log.join(format!("{version:020}.json"))).await.unwrap();
        }
        let lake = Lake::open(&location).await.unwrap().unwrap();
        let expected: Vec<String> = names.iter().map(|name| format!("s3://trail/{name}.json.gz")).collect();
        assert_eq!(urls(&lake).await, expected);
    }
}
