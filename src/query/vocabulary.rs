//! The words a statement over a session is made of: tables, columns, functions, and values that columns have.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Cursor;
use std::ops::Range;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use serde::Deserialize;

use super::grid::visible;
use super::session::Session;
use crate::error::{Context, Result};
use crate::lake::layout::{DataFile, object};
use crate::lake::snapshot::Lake;
use crate::store::Location;

/// The columns whose values people ask for by name. None has so many that a list of them is of no use.
const NAMED: [&str; 10] = [
    "account",
    "aws_region",
    "error_code",
    "event_name",
    "event_source",
    "event_type",
    "recipient_account_id",
    "region",
    "user_identity_type",
    "user_identity_user_name",
];

/// How many of the newest files are asked for their dictionaries.
const FILES_ASKED: usize = 4;

/// How many of a file's row groups are asked.
const GROUPS_ASKED: usize = 4;

/// How much of a file's end is read at first, for it has most footers.
const FOOTER: usize = 64 << 10;

/// A dictionary larger than this holds no list of names.
const MOST_DICTIONARY: u64 = 256 << 10;

/// Bounds shorter than this are values: writers of the log cut longer ones.
const WHOLE_BOUND: usize = 32;

/// Tables, columns, functions and keywords.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// The tables and views by the name a statement needs: `events`, `other.events`.
    pub tables: BTreeMap<String, SchemaRef>,
    /// Functions of every kind.
    pub functions: Vec<String>,
    /// Keywords, in capitals.
    pub keywords: Vec<&'static str>,
}

impl Vocabulary {
    /// The words of a session but for its tables, of which views take a while to plan.
    pub fn without_tables(session: &Session) -> Vocabulary {
        let keywords = ALL_KEYWORDS.iter().copied().filter(|word| is_spoken(word)).collect();
        Vocabulary { tables: BTreeMap::new(), functions: session.names().functions, keywords }
    }

    /// The words of a session as it is now.
    pub async fn of(session: &Session) -> Vocabulary {
        let mut tables = BTreeMap::new();
        for (name, table) in session.tables() {
            let provider = session.context.table_provider(table).await;
            if let Ok(provider) = provider {
                tables.insert(name, provider.schema());
            }
        }
        Vocabulary { tables, ..Vocabulary::without_tables(session) }
    }
}

/// Whether a keyword is one that a question may need. The parser knows those of twelve dialects.
fn is_spoken(word: &str) -> bool {
    const SPOKEN: &str = "ALL ANALYZE AND ANTI ARRAY AS ASC BETWEEN BY CASE CAST COLUMNS COPY CREATE CROSS CURRENT_DATE \
        CURRENT_TIME CURRENT_TIMESTAMP DATE DESC DESCRIBE DISTINCT DROP ELSE END ESCAPE EXCEPT EXECUTE EXISTS EXPLAIN \
        EXTRACT FALSE FILTER FIRST FROM FULL FUNCTIONS GROUP HAVING ILIKE IN INNER INTERSECT INTERVAL INTO IS JOIN LAST \
        LATERAL LEFT LIKE LIMIT NATURAL NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER PARTITION PREPARE QUALIFY RECURSIVE \
        REPLACE RESPECT RIGHT ROWS SELECT SEMI SET SHOW SIMILAR TABLE TABLES THEN TIME TIMESTAMP TO TRUE TRY_CAST UNION \
        UNNEST USING VALUES VIEW WHEN WHERE WINDOW WITH";
    SPOKEN.split_ascii_whitespace().any(|spoken| spoken == word)
}

/// Values by column, the column's name without underscores and capitals: `eventname` has those of `event_name`, under
/// whatever name a view has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    by_column: BTreeMap<String, BTreeSet<String>>,
}

impl Values {
    /// What the log says of a lake's files: the values of partition columns, and those that are a file's least or
    /// greatest. No file is opened.
    pub fn of_log(lake: &Lake) -> Result<Values> {
        let mut values = Values::default();
        // Of many files the names repeat, and each one's statistics are JSON to parse.
        let mut parsed = 0;
        for file in lake.files()? {
            for (column, value) in &file.partition {
                values.extend(column, value.clone());
            }
            if parsed < 1000 {
                parsed += 1;
                values.add_bounds(&file.stats);
            }
        }
        Ok(values)
    }

    /// What the dictionaries of a lake's newest files hold. Their rows are not read.
    pub async fn of_newest_files(lake: &Lake) -> Result<Values> {
        let mut files: Vec<DataFile> = Vec::new();
        for file in lake.files()? {
            files.push(file);
            // A lake may have very many.
            if files.len() > 1000 {
                keep_newest(&mut files);
            }
        }
        keep_newest(&mut files);
        let location = lake.location();
        let found: Vec<Values> = stream::iter(files)
            .map(|file| async move { dictionaries(location, &file).await })
            .buffer_unordered(FILES_ASKED)
            .try_collect()
            .await?;
        let mut values = Values::default();
        found.into_iter().for_each(|found| values.merge(found));
        Ok(values)
    }

    /// The values of a column, by any of its names.
    pub fn of_column(&self, name: &str) -> impl Iterator<Item = &str> {
        self.by_column.get(&bare(name)).into_iter().flatten().map(String::as_str)
    }

    /// Adds values of a column, but those that a terminal would not show as they are.
    pub fn extend(&mut self, column: &str, values: impl IntoIterator<Item = String>) {
        let mut values = values.into_iter().filter(|value| visible(value) == *value).peekable();
        if values.peek().is_some() {
            self.by_column.entry(bare(column)).or_default().extend(values);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Values) {
        for (column, values) in other.by_column {
            self.by_column.entry(column).or_default().extend(values);
        }
        // One is a copy of the other, and the region of an event is its partition.
        for (one, two) in [("account", "recipientaccountid"), ("region", "awsregion")] {
            for (from, to) in [(one, two), (two, one)] {
                if let Some(values) = self.by_column.get(from).cloned() {
                    self.by_column.entry(to.to_owned()).or_default().extend(values);
                }
            }
        }
    }

    fn add_bounds(&mut self, stats: &str) {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Bounds {
            min_values: serde_json::Map<String, serde_json::Value>,
            max_values: serde_json::Map<String, serde_json::Value>,
        }
        let bounds: Bounds = serde_json::from_str(stats).unwrap_or_default();
        for values in [&bounds.min_values, &bounds.max_values] {
            for column in NAMED {
                let text = values.get(column).and_then(serde_json::Value::as_str);
                self.extend(column, text.filter(|text| text.len() < WHOLE_BOUND).map(str::to_owned));
            }
        }
    }
}

/// A name without what dialects write differently.
fn bare(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn keep_newest(files: &mut Vec<DataFile>) {
    files.sort_by(|one, two| newness(two).cmp(&newness(one)));
    files.truncate(FILES_ASKED);
}

/// Files sort by their day; those of unknown day are the oldest.
fn newness(file: &DataFile) -> (Option<&str>, &str) {
    let day = file.partition.iter().find(|(name, _)| name == crate::schema::EVENT_DATE.name);
    (day.and_then(|(_, value)| value.as_deref()), &file.path)
}

/// The dictionaries of the named columns of a file.
async fn dictionaries(location: &Location, file: &DataFile) -> Result<Values> {
    let reading = || format!("reading {}", file.path);
    let path = object(location, &file.path)?;
    let footer = Footer { store: location.store.as_ref(), path: &path };
    let metadata = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER));
    let metadata = metadata.load_and_finish(footer, file.size).await.context(reading)?;

    let mut chunks: Vec<(&ColumnChunkMetaData, Range<u64>)> = Vec::new();
    for group in metadata.row_groups().iter().take(GROUPS_ASKED) {
        for chunk in group.columns() {
            let name = chunk.column_path().string();
            if let Some(range) = dictionary_range(chunk).filter(|_| NAMED.contains(&name.as_str())) {
                chunks.push((chunk, range));
            }
        }
    }
    let ranges: Vec<Range<u64>> = chunks.iter().map(|(_, range)| range.clone()).collect();
    let pages = location.store.get_ranges(&path, &ranges).await.context(reading)?;
    let mut values = Values::default();
    for ((chunk, range), bytes) in chunks.into_iter().zip(pages) {
        let part = Part { start: range.start, bytes };
        values.extend(&chunk.column_path().string(), names_in(chunk, part).context(reading)?);
    }
    Ok(values)
}

/// Where a column chunk's dictionary is, if it has one that is worth reading.
fn dictionary_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(chunk.dictionary_page_offset()?).ok()?;
    let end = u64::try_from(chunk.data_page_offset()).ok()?;
    (start < end && end - start <= MOST_DICTIONARY).then_some(start..end)
}

/// The texts of a dictionary page.
fn names_in(chunk: &ColumnChunkMetaData, part: Part) -> parquet::errors::Result<HashSet<String>> {
    let mut names = HashSet::new();
    let mut pages = SerializedPageReader::new(std::sync::Arc::new(part), chunk, 0, None)?;
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else { return Ok(names) };
    // Each is its length in four bytes, and its bytes.
    let mut rest: &[u8] = &buf;
    for _ in 0..num_values {
        let Some((length, after)) = rest.split_first_chunk() else { break };
        let Some((text, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        names.insert(String::from_utf8_lossy(text).into_owned());
        rest = after;
    }
    Ok(names)
}

/// Reads a file's end.
struct Footer<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
}

impl MetadataFetch for Footer<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let bytes = self.store.get_range(self.path, range);
        Box::pin(async move { bytes.await.map_err(|error| ParquetError::External(error.into())) })
    }
}

/// A part of a file.
struct Part {
    start: u64,
    bytes: Bytes,
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Part {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Cursor<Bytes>> {
        let length = usize::try_from(self.len().saturating_sub(start)).unwrap_or(0);
        Ok(Cursor::new(self.get_bytes(start, length)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let start = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        match start.checked_add(length) {
            Some(end) if end <= self.bytes.len() => Ok(self.bytes.slice(start..end)),
            _ => Err(ParquetError::EOF("a dictionary ends beyond its page".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestLake;
    use super::*;

    #[tokio::test]
    async fn the_words_of_a_session_are_its_tables_columns_and_functions() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        let _rows = session.query("CREATE VIEW seen AS SELECT event_name AS what FROM events").await.unwrap();
        let words = Vocabulary::of(&session).await;
        for name in ["cloudtrail_logs", "columns", "events", "seen"] {
            assert!(words.tables.contains_key(name), "{name}");
        }
        assert!(words.tables["events"].index_of("event_name").is_ok());
        assert_eq!(words.tables["seen"].field(0).name(), "what");
        assert!(words.functions.iter().any(|name| name == "approx_distinct"));
        let unknown = SPOKEN_CHECK.iter().find(|word| !words.keywords.contains(word));
        assert_eq!(unknown, None);
    }

    const SPOKEN_CHECK: [&str; 4] = ["SELECT", "TRY_CAST", "ILIKE", "CURRENT_TIMESTAMP"];

    #[test]
    fn bounds_are_values_where_they_are_whole() {
        let mut values = Values::default();
        let long = "a".repeat(WHOLE_BOUND);
        values.add_bounds(&format!(
            r#"{{"minValues":{{"event_name":"AssumeRole","event_time":"x"}},"maxValues":{{"event_name":"{long}","error_code":"Z"}}}}"#
        ));
        assert_eq!(values.of_column("eventName").collect::<Vec<_>>(), ["AssumeRole"]);
        assert_eq!(values.of_column("error_code").collect::<Vec<_>>(), ["Z"]);
        assert_eq!(values.of_column("event_time").count(), 0);
        values.add_bounds("{no");
    }

    #[test]
    fn a_terminal_is_never_offered_control_characters() {
        let mut values = Values::default();
        values.extend("user_identity_user_name", ["al\u{1b}[2Jina".to_owned(), "bo".to_owned()]);
        assert_eq!(values.of_column("user_identity_user_name").collect::<Vec<_>>(), ["bo"]);
    }

    #[test]
    fn an_account_is_known_by_both_names() {
        let mut values = Values::default();
        let mut found = Values::default();
        found.extend("recipient_account_id", ["012345678901".to_owned()]);
        values.merge(found);
        assert_eq!(values.of_column("account").collect::<Vec<_>>(), ["012345678901"]);
    }
}
