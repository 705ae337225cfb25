//! What became of every source object: one Parquet file a commit, put before the commit, and counting for nothing
//! unless that commit vouches for its name. So the entries are in the lake if and only if the rows are.
//!
//! An object that is converted again, because a run's filters had left some of it out or what was rejected is replayed,
//! gets a new entry that counts instead of the older one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType, UInt64Type};
use arrow::error::ArrowError;
use bytes::Bytes;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use super::layout;
use super::snapshot::Lake;
use super::vouched::Vouched;
use super::write::CREATED_BY;
use crate::error::{Context, Error, Result};
use crate::store::{self, Location};

/// Ledger files read at once.
const AT_ONCE: usize = 16;

/// Entries encoded at once; the texts of one array are limited to 2 GiB.
const ROWS_A_WRITE: usize = 65_536;

/// Stands for the day of objects whose keys have none, in a ledger file's name.
const UNDATED: &str = "00000000";

/// What became of one object. Records = rows + duplicates + filtered + rejected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// The run's time, microseconds since 1970.
    pub converted_at: i64,
    /// What became of it in a word.
    pub verdict: Verdict,
    /// The records in it.
    pub records: u64,
    /// The rows it gave, in all runs.
    pub rows: u64,
    /// The records that were there already.
    pub duplicates: u64,
    /// The records that were left out, by filters or because their day is expired.
    pub filtered: u64,
    /// The rows that share account, time and event id with a row of other content.
    pub conflicts: u64,
    /// The records that could not be converted.
    pub rejected: u64,
    /// The CRC-32 at the object's end, where it is gzip (RFC 1952, section 2.3.1): of its last member.
    pub gzip_crc32: Option<u32>,
    /// The length beside it, modulo 2^32.
    pub gzip_length: Option<u32>,
    /// The SHA-256 of the inflated bytes, where the run was asked for it.
    pub sha256: Option<String>,
    /// The filters that left records out, as their own JSON; none where nothing is left to convert.
    pub filter: Option<String>,
}

/// What became of an object, in a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of its records were considered.
    #[default]
    Converted,
    /// Filters have left some out.
    Partly,
    /// It has no records.
    Empty,
    /// It is of another kind: a digest, an AWS Config delivery.
    Foreign,
    /// Nothing of it could be converted.
    Rejected,
}

impl Verdict {
    const ALL: [Verdict; 5] =
        [Verdict::Converted, Verdict::Partly, Verdict::Empty, Verdict::Foreign, Verdict::Rejected];

    /// The verdict of this word.
    pub fn named(word: &str) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.word() == word)
    }

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Converted => "converted",
            Verdict::Partly => "partly",
            Verdict::Empty => "empty",
            Verdict::Foreign => "foreign",
            Verdict::Rejected => "rejected",
        }
    }
}

/// A ledger file, as its name describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFile {
    /// Its path below the lake's root.
    pub path: String,
    /// The table version that its commit made.
    pub version: u64,
    /// The first and the last path day of its objects; `None` where none has a day.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Whether objects without a path day are in it.
    pub undated: bool,
}

impl LedgerFile {
    /// The file that this name of [`Vouched::ledgers`] stands for.
    pub fn named(name: &str) -> LedgerFile {
        let mut parts = name.splitn(4, '-');
        let version = parts.next().and_then(|version| version.parse().ok()).unwrap_or_default();
        let mut day = || parts.next().and_then(|day| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
        let (first, last) = (day(), day());
        let days = last.map(|last| (first.unwrap_or(NaiveDate::MIN), last));
        LedgerFile { path: layout::ledger_file(name), version, days, undated: first.is_none() }
    }

    /// Whether entries of objects of these path days, or of none, can be in it.
    pub fn is_within(&self, window: &Window) -> bool {
        self.undated || self.days.is_some_and(|(_, last)| window.first.is_none_or(|first| last >= first))
    }
}

/// Path days from one on; objects without one are always within.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first; `None` is all.
    pub first: Option<NaiveDate>,
}

/// Calls `each` with every entry of the ledger files that can have objects of these days, and the table version that
/// its commit made: the oldest commit's entries first, so that of two entries for an object the later one counts.
///
/// # Errors
/// Where a ledger file cannot be read.
pub async fn read(
    lake: &Lake,
    vouched: &Vouched,
    window: &Window,
    mut each: impl FnMut(u64, Entry),
) -> Result<()> {
    let location = lake.location();
    let files: Vec<LedgerFile> =
        vouched.ledgers().map(LedgerFile::named).filter(|file| file.is_within(window)).collect();
    let files = files.iter().map(|file| async move {
        let reading = || format!("reading {}{}", location.url, file.path);
        let object = layout::object(location, &file.path)?;
        let entries = decode(get(location, &object).await.context(reading)?).context(reading)?;
        Ok::<_, Error>((file.version, entries))
    });
    let mut files = stream::iter(files).buffered(AT_ONCE);
    while let Some((version, entries)) = files.try_next().await? {
        entries.into_iter().for_each(|entry| each(version, entry));
    }
    Ok(())
}

/// A name for the ledger file of these entries: of the version its commit would make, the path days in it, and an id.
pub(super) fn name(version: u64, entries: &[Entry], id: &str) -> String {
    let day =
        |entry: &Entry| entry.path_day.as_deref().map_or(UNDATED.to_owned(), |day| day.replace('-', ""));
    let first = entries.iter().map(day).min().unwrap_or_else(|| UNDATED.to_owned());
    let last = entries.iter().map(day).max().unwrap_or_else(|| UNDATED.to_owned());
    format!("{version:020}-{first}-{last}-{id}")
}

/// The columns of a ledger file.
pub(super) fn schema() -> Result<SchemaRef> {
    Ok(batch_of(&[]).context(|| "describing a ledger file".to_owned())?.schema())
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
    let schema = schema()?;
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
    let number = |value: fn(&Entry) -> Option<u64>| -> ArrayRef {
        Arc::new(entries.iter().map(value).collect::<UInt64Array>())
    };
    let times = TimestampMicrosecondArray::from_iter_values(entries.iter().map(|entry| entry.converted_at));
    RecordBatch::try_from_iter_with_nullable([
        ("url", text(|entry| Some(&entry.url)), false),
        ("size", number(|entry| Some(entry.size)), false),
        ("version", text(|entry| Some(&entry.version)), false),
        ("account", text(|entry| entry.account.as_deref()), true),
        ("region", text(|entry| entry.region.as_deref()), true),
        ("path_day", text(|entry| entry.path_day.as_deref()), true),
        ("kind", text(|entry| entry.kind.as_deref()), true),
        ("converted_at", Arc::new(times.with_timezone("UTC")), false),
        ("verdict", text(|entry| Some(entry.verdict.word())), false),
        ("records", number(|entry| Some(entry.records)), false),
        ("rows", number(|entry| Some(entry.rows)), false),
        ("duplicates", number(|entry| Some(entry.duplicates)), false),
        ("filtered", number(|entry| Some(entry.filtered)), false),
        ("conflicts", number(|entry| Some(entry.conflicts)), false),
        ("rejected", number(|entry| Some(entry.rejected)), false),
        ("gzip_crc32", number(|entry| entry.gzip_crc32.map(u64::from)), true),
        ("gzip_length", number(|entry| entry.gzip_length.map(u64::from)), true),
        ("sha256", text(|entry| entry.sha256.as_deref()), true),
        ("filter", text(|entry| entry.filter.as_deref()), true),
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
        let [url, version, account, region, path_day, kind, verdict, sha256, filter] =
            ["url", "version", "account", "region", "path_day", "kind", "verdict", "sha256", "filter"]
                .map(texts);
        let (url, version, account, region, path_day) = (url?, version?, account?, region?, path_day?);
        let (kind, verdict, sha256, filter) = (kind?, verdict?, sha256?, filter?);
        let [size, records, rows, duplicates, filtered, conflicts, rejected, crc32, length] = [
            "size",
            "records",
            "rows",
            "duplicates",
            "filtered",
            "conflicts",
            "rejected",
            "gzip_crc32",
            "gzip_length",
        ]
        .map(numbers);
        let (size, records, rows, duplicates, filtered) = (size?, records?, rows?, duplicates?, filtered?);
        let (conflicts, rejected, crc32, length) = (conflicts?, rejected?, crc32?, length?);
        let times = column("converted_at")?
            .as_primitive_opt::<TimestampMicrosecondType>()
            .ok_or_else(|| missing("converted_at"))?;
        let known = |texts: &StringArray, at: usize| texts.is_valid(at).then(|| texts.value(at).to_owned());
        let short = |numbers: &UInt64Array, at: usize| {
            numbers.is_valid(at).then(|| u32::try_from(numbers.value(at)).unwrap_or(u32::MAX))
        };
        let word = |at: usize| Verdict::named(verdict.value(at));
        entries.extend((0..batch.num_rows()).map(|at| Entry {
            url: url.value(at).to_owned(),
            size: size.value(at),
            version: version.value(at).to_owned(),
            account: known(account, at),
            region: known(region, at),
            path_day: known(path_day, at),
            kind: known(kind, at),
            converted_at: times.value(at),
            verdict: word(at).unwrap_or_default(),
            records: records.value(at),
            rows: rows.value(at),
            duplicates: duplicates.value(at),
            filtered: filtered.value(at),
            conflicts: conflicts.value(at),
            rejected: rejected.value(at),
            gzip_crc32: short(crc32, at),
            gzip_length: short(length, at),
            sha256: known(sha256, at),
            filter: known(filter, at),
        }));
    }
    Ok(entries)
}

async fn get(location: &Location, object: &Path) -> Result<Bytes> {
    let got = location.store.get(object).await.map_err(store::explain)?;
    got.bytes().await.map_err(store::explain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit, put_new};
    use crate::lake::layout::Partitioning;
    use crate::lake::snapshot::LOG_FOLDER;
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
            converted_at: -1,
            verdict: Verdict::Partly,
            records: 10,
            rows: 4,
            duplicates: 3,
            filtered: 2,
            conflicts: 1,
            rejected: 1,
            gzip_crc32: Some(u32::MAX),
            gzip_length: None,
            sha256: None,
            filter: name.len().is_multiple_of(2).then(|| "{}".to_owned()),
        }
    }

    fn about(run_id: &str) -> About {
        About {
            run_id: run_id.into(),
            time: DateTime::UNIX_EPOCH,
            counts: BTreeMap::new(),
            purpose: Purpose::Convert,
        }
    }

    fn entries(names: &[&str]) -> Change {
        Change { entries: names.iter().map(|name| entry(name)).collect(), ..Change::default() }
    }

    async fn urls(lake: &Lake) -> Vec<String> {
        let mut urls = Vec::new();
        let vouched = Vouched::read(lake).await.unwrap();
        read(lake, &vouched, &Window::default(), |_, entry| urls.push(entry.url)).await.unwrap();
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

        let won = commit(&lake, &entries(&["won"]), &about("one")).await.unwrap();
        assert_eq!(won, Outcome::Committed { version: 1 });
        let lost = commit(&lake, &entries(&["lost"]), &about("two")).await.unwrap();
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
            let _ = commit(&lake, &entries(&[name]), &about(name)).await.unwrap();
        }
        for version in 0..19 {
            let log = location.prefix.clone().join(LOG_FOLDER);
            location.store.delete(&log.join(format!("{version:020}.json"))).await.unwrap();
        }
        let lake = Lake::open(&location).await.unwrap().unwrap();
        let expected: Vec<String> = names.iter().map(|name| format!("s3://trail/{name}.json.gz")).collect();
        assert_eq!(urls(&lake).await, expected);
    }

    #[test]
    fn a_files_name_says_which_days_are_in_it() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        let of = |days: &[Option<u32>]| {
            let entry =
                |of: &Option<u32>| Entry { path_day: of.map(|of| day(of).to_string()), ..Entry::default() };
            LedgerFile::named(&name(7, &days.iter().map(entry).collect::<Vec<_>>(), "id"))
        };
        let from = |first: u32| Window { first: Some(day(first)) };
        let file = of(&[Some(3), Some(5), Some(4)]);
        assert_eq!((file.version, file.days, file.undated), (7, Some((day(3), day(5))), false));
        assert_eq!(file.path, "_trailhouse/ledger/00000000000000000007-20260303-20260305-id.parquet");
        assert!(file.is_within(&from(5)) && file.is_within(&from(1)) && file.is_within(&Window::default()));
        assert!(!file.is_within(&from(6)));
        assert!(of(&[None]).is_within(&from(9)) && of(&[None, Some(3)]).is_within(&from(9)));
    }
}
