//! Files as tables: `SELECT … FROM 'addresses.csv'`, and those that are attached under a name.

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use futures::TryStreamExt;
use object_store::{GetOptions, GetRange, ObjectStore};

use super::errors::explain;
use super::table::external;
use crate::error::Error;
use crate::store::{Location, Options};

/// How much of a file is looked at to tell what is in it.
const LOOKED_AT: u64 = 1 << 20;

/// What a file holds, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contents {
    Parquet,
    Separated(u8),
    Json,
    Arrow,
}

impl Contents {
    fn of(name: &str) -> Option<Contents> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "parquet" => Contents::Parquet,
            "csv" => Contents::Separated(b','),
            "tsv" => Contents::Separated(b'\t'),
            "json" | "ndjson" | "jsonl" => Contents::Json,
            "arrow" => Contents::Arrow,
            _ => return None,
        })
    }
}

/// Whether a text names a file that can be a table.
pub fn is_file(name: &str) -> bool {
    Contents::of(name).is_some()
}

/// Makes tables of the files that a statement names in quotes.
pub(super) struct FileTables {
    /// Knows the session that the tables are for.
    pub(super) session: DynamicListTableFactory,
    /// Settings of their stores.
    pub(super) options: Options,
}

impl fmt::Debug for FileTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileTables")
    }
}

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(contents) = Contents::of(url) else { return Ok(None) };
        let session = self.session.session_store().get_session().upgrade();
        let state =
            session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        let Some(state) = state else { return Ok(None) };
        table(&state, url, contents, &self.options).await.map(Some)
    }
}

/// The file, or the files that a pattern names, as one table.
async fn table(
    state: &SessionState,
    url: &str,
    contents: Contents,
    options: &Options,
) -> Result<Arc<dyn TableProvider>> {
    let unreadable = |error| external(Error::failed(format!("cannot read {url}")).caused_by(explain(error)));
    let parsed = ListingTableUrl::parse(url)?;
    if state.runtime_env().object_store(&parsed).is_err() {
        // A bucket's store is opened when a statement first names a file of it; a lake's is there already.
        let location = Location::open(url, options).await.map_err(external)?;
        state.runtime_env().register_object_store(parsed.object_store().as_ref(), location.store);
    }
    let store = state.runtime_env().object_store(&parsed)?;
    let files = parsed.list_all_files(state, store.as_ref(), "").await.map_err(unreadable)?;
    let files: Vec<_> = files.try_collect().await.map_err(unreadable)?;
    let Some(first) = files.iter().find(|file| file.size > 0) else {
        let why = if files.is_empty() { "there is no file" } else { "there is nothing in" };
        return Err(external(Error::failed(format!("{why} {url}")).at_name(url)));
    };
    let range =
        GetOptions { range: Some(GetRange::Bounded(0..LOOKED_AT.min(first.size))), ..Default::default() };
    let start = store.get_opts(&first.location, range).await?.bytes().await?;

    let format: Arc<dyn FileFormat> = match contents {
        Contents::Parquet => Arc::new(ParquetFormat::default()),
        Contents::Separated(by) => Arc::new(CsvFormat::default().with_has_header(true).with_delimiter(by)),
        Contents::Json => {
            let is_array = start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
            Arc::new(JsonFormat::default().with_newline_delimited(!is_array))
        }
        Contents::Arrow => Arc::new(ArrowFormat),
    };
    let mut schema = format.infer_schema(state, &store, &files).await.map_err(unreadable)?;
    if let Contents::Separated(by) = contents {
        schema = Arc::new(without_false_numbers(&schema, start, by));
    }
    let config = ListingTableConfig::new(parsed)
        .with_listing_options(ListingOptions::new(format).with_file_extension(""))
        .with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The schema of separated values where columns whose numbers have leading zeros are text: account numbers would lose
/// them, and then equal nothing.
fn without_false_numbers(schema: &SchemaRef, start: Bytes, by: u8) -> Schema {
    let texts: Vec<Field> =
        schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let rows = ReaderBuilder::new(Arc::new(Schema::new(texts)))
        .with_header(true)
        .with_delimiter(by)
        .build(Cursor::new(start));
    // The last line may be cut, which is an error that does not matter.
    for batch in rows.into_iter().flatten().map_while(std::result::Result::ok) {
        for (field, column) in fields.iter_mut().zip(batch.columns()) {
            let texts = column.as_string::<i32>();
            let zeros = |text: &str| text.len() > 1 && text.starts_with('0') && !text.contains('.');
            if field.data_type().is_numeric() && texts.iter().flatten().any(zeros) {
                *field = field.clone().with_data_type(DataType::Utf8);
            }
        }
    }
    Schema::new(fields)
}
