//! Rows to Parquet: sorted rows in, one file and its Delta statistics out. Pure and synchronous; the same rows give the
//! same bytes.
//!
//! ```text
//! columns and an order ─┐
//!                       ├gather─▶ values of a column, texts by number ─chunk─▶ pages ─▶ file
//! sorted batches ───────┘
//! ```
//!
//! How the file is made, and why, is in `properties`, `extras` and the constants of `chunk`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::{DateTime, Datelike, SecondsFormat};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::ZstdLevel;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData, SortingColumn};
use parquet::file::properties::{BloomFilterPosition, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use self::chunk::{ChunkEncoder, Extras};
use self::gather::{Column, Gathered};
use super::layout::Partitioning;
use crate::error::{Context, Error, Result};
use crate::schema::{self, SCHEMA_VERSION};

/// A column's values to a column chunk.
mod chunk;

/// Rows to a column's values.
mod gather;

/// Small numbers, packed.
mod levels;

/// Who wrote a file, as its footer says. The number grows when the same rows give other bytes than before; it is no
/// program version, so that an upgrade alone changes no file. The form `NAME version NUMBER` matters: parquet-java
/// distrusts the text statistics of a writer whose name it cannot parse.
pub const CREATED_BY: &str = "trailhouse version 2";

/// The order of the rows in a file, nulls first. Rows of one microsecond are in the order of their ids where these are
/// UUIDs, as CloudTrail's are, and in some other fixed order where they are not, so that it is not claimed.
pub const SORTED_BY: [&str; 3] = ["account", "region", "event_time"];

/// The columns with statistics in the Delta log: what people filter by. Every entry costs log bytes in every file.
pub const STATS_COLUMNS: [&str; 13] = [
    "event_time",
    "account",
    "region",
    "event_source",
    "event_name",
    "event_category",
    "event_type",
    "principal",
    "user_identity_type",
    "user_identity_access_key_id",
    "source_ip_address",
    "error_code",
    "read_only",
];

/// The columns with bounds in the files beside [`STATS_COLUMNS`]: what follows the sort order at least loosely. Bounds
/// say nothing where values are random (ids) or not compared by order (JSON).
const BOUND_COLUMNS: [&str; 7] = [
    "aws_region",
    "recipient_account_id",
    "user_identity_account_id",
    "user_identity_arn",
    "user_identity_session_context_session_issuer_arn",
    "user_identity_user_name",
    "row_source_object",
];

/// The columns that single values are looked up by, in files where they are spread over all row groups.
const BLOOM_COLUMNS: [&str; 7] = [
    "event_id",
    "request_id",
    "shared_event_id",
    "user_identity_access_key_id",
    "user_identity_arn",
    "principal",
    "source_ip_address",
];

/// The columns whose texts hardly ever repeat: looking for those that do costs time and finds next to nothing.
const UNIQUE_COLUMNS: [&str; 3] = ["event_id", "request_id", "shared_event_id"];

/// The unit that a reader skips or gives to a core. Half or twice as many rows give the same size to within 1 per
/// cent; this many make column chunks large enough to be worth a request each.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Bounds what is gathered from batches, where payloads are large.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// A row group's bytes are looked at between batches only, and a batch should stay in the processor's cache.
const BATCH_ROWS: usize = 4096;

/// A Parquet file in memory.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// How many rows it has.
    pub rows: u64,
    /// Its statistics in Delta's JSON form.
    pub stats: String,
}

/// Columns in memory, and which of their rows are to be written, in order.
#[derive(Debug, Clone, Copy)]
pub struct Ordered<'a> {
    /// The columns of [`schema::COLUMNS`]; `None` for one without a value. Texts may be dictionaries, whose keys are
    /// then not null and may stand for a null entry.
    pub columns: &'a [Option<ArrayRef>],
    /// Positions in the columns.
    pub rows: &'a [u32],
}

/// Rows to be written, sorted by [`SORTED_BY`], with the columns of [`schema::COLUMNS`]; handed over a slice at a
/// time, so that they need not be in memory twice, or, which is several times as fast, as they lie in memory.
pub trait Rows {
    /// How many there are.
    fn rows(&self) -> usize;

    /// The rows from `start` on, at most `most` of them.
    ///
    /// # Errors
    /// Where they cannot be made.
    fn slice(&self, start: usize, most: usize) -> Result<RecordBatch>;

    /// All rows, where they are in memory anyway; no slice is asked for then.
    fn ordered(&self) -> Option<Ordered<'_>> {
        None
    }
}

impl Rows for RecordBatch {
    fn rows(&self) -> usize {
        self.num_rows()
    }

    fn slice(&self, start: usize, most: usize) -> Result<RecordBatch> {
        Ok(RecordBatch::slice(self, start, most.min(self.num_rows() - start)))
    }
}

/// Writes `rows`, leaving out the columns they are partitioned by.
///
/// # Errors
/// Where the rows have other columns, and where the encoder fails.
pub fn encode(rows: &impl Rows, partitioning: &Partitioning) -> Result<Encoded> {
    let expected = schema::arrow_schema();
    let kept: Vec<usize> = (0..expected.fields().len())
        .filter(|&at| !partitioning.contains(expected.field(at).name()))
        .collect();
    let written = Arc::new(expected.project(&kept).context(|| "leaving out the partition columns".into())?);
    let count = rows.rows();
    let mut file = File::new(&written)?;
    if let Some(Ordered { columns, rows }) = rows.ordered() {
        if columns.len() != expected.fields().len() {
            return Err(other_columns());
        }
        for group in rows.chunks(ROW_GROUP_ROWS) {
            file.row_group(&written, group.len(), |at| {
                gather::column(columns[kept[at]].as_ref(), written.field(at).data_type(), group)
            })?;
        }
    } else {
        let unique = |field: &Field| UNIQUE_COLUMNS.contains(&field.name().as_str());
        let kinds = || written.fields().iter().map(|field| (field.data_type(), unique(field)));
        let mut gathered = Gathered::new(kinds())?;
        let mut start = 0;
        while start < count {
            let most = BATCH_ROWS.min(ROW_GROUP_ROWS - gathered.rows());
            let batch = rows.slice(start, most)?;
            if batch.schema_ref().fields() != expected.fields() || batch.num_rows() == 0 {
                return Err(other_columns());
            }
            start += batch.num_rows();
            gathered.add(&batch.project(&kept).context(encoding)?)?;
            if gathered.rows() >= ROW_GROUP_ROWS || gathered.bytes() >= ROW_GROUP_BYTES || start >= count {
                let full = std::mem::replace(&mut gathered, Gathered::new(kinds())?);
                file.row_group(&written, full.rows(), |at| Ok(full.column(at)))?;
            }
        }
    }
    let (bytes, metadata) = file.close()?;
    let stats = delta_stats(&written, &metadata);
    Ok(Encoded { bytes, rows: count as u64, stats })
}

fn other_columns() -> Error {
    Error::failed("a batch to be written has other columns than the table of columns")
}

fn encoding() -> String {
    "encoding Parquet".to_owned()
}

/// A file while it is written.
struct File {
    writer: SerializedFileWriter<Vec<u8>>,
    chunks: ChunkEncoder,
}

impl File {
    fn new(schema: &Schema) -> Result<File> {
        // Plain Parquet, with the types every reader knows, and without the Arrow schema that would tell Arrow's own
        // readers to make view arrays.
        let types = ArrowSchemaConverter::new().schema_root("event").convert(schema).context(encoding)?;
        let properties = Arc::new(properties(schema));
        let writer = SerializedFileWriter::new(Vec::new(), types.root_schema_ptr(), properties);
        // Most of what is left are ids that no level compresses: level 3 saves 1.6 per cent, level 6 saves 4.
        let chunks = ChunkEncoder::new(ZstdLevel::default()).context(encoding)?;
        Ok(File { writer: writer.context(encoding)?, chunks })
    }

    /// Adds a row group of the columns of `schema`, whose values `column` gives.
    fn row_group<'a>(
        &mut self,
        schema: &Schema,
        rows: usize,
        mut column: impl FnMut(usize) -> Result<Column<'a>>,
    ) -> Result<()> {
        let types = self.writer.schema_descr().columns().to_vec();
        let mut types = types.iter();
        let mut group = self.writer.next_row_group().context(encoding)?;
        for (at, field) in schema.fields().iter().enumerate() {
            let Column { lists, leaves } = column(at)?;
            let extras = extras(field.name());
            for (values, leaf) in leaves.iter().zip(types.by_ref()) {
                let chunk = self.chunks.encode(leaf, rows, values, lists.as_ref(), extras);
                let (bytes, close) = chunk.context(encoding)?;
                group.append_column(&bytes, close).context(encoding)?;
            }
        }
        group.close().context(encoding)?;
        Ok(())
    }

    fn close(mut self) -> Result<(Vec<u8>, ParquetMetaData)> {
        let metadata = self.writer.finish().context(encoding)?;
        Ok((std::mem::take(self.writer.inner_mut()), metadata))
    }
}

/// What the file says as a whole. Sizes here and below are of a generated trail's day in one file: 140 000 events,
/// 224 MB of JSON, 23.2 MB of gzip, 17.1 MB of Parquet.
fn properties(schema: &Schema) -> WriterProperties {
    let leaf = |name: &str| leaves(schema).position(|path| path.parts() == [name]);
    let sorted = SORTED_BY.iter().filter_map(|name| leaf(name)).map(|at| SortingColumn {
        column_idx: at as i32,
        descending: false,
        nulls_first: true,
    });
    WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "trailhouse.schema_version".to_owned(),
            SCHEMA_VERSION.to_string(),
        )]))
        // Says how the rows are sorted, for readers that use it.
        .set_sorting_columns(Some(sorted.collect()))
        // All filters together, before the footer: one read gets them all, and scans never pass over them. They are 3.7
        // per cent, nearly all of it for the ids.
        .set_bloom_filter_position(BloomFilterPosition::End)
        .build()
}

/// What the chunks of a column have beside its values.
fn extras(name: &str) -> Extras {
    Extras {
        bounds: STATS_COLUMNS.contains(&name) || BOUND_COLUMNS.contains(&name),
        bloom: BLOOM_COLUMNS.contains(&name),
        dictionary: !UNIQUE_COLUMNS.contains(&name),
    }
}

/// The paths of the Parquet leaf columns of a schema, in order.
fn leaves(schema: &Schema) -> impl Iterator<Item = ColumnPath> {
    schema.fields().iter().flat_map(|field| match field.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(members) => {
                let path = |member: &Arc<arrow::datatypes::Field>| {
                    let steps = [field.name(), "list", item.name(), member.name()];
                    ColumnPath::new(steps.map(str::to_owned).to_vec())
                };
                members.iter().map(path).collect()
            }
            _ => vec![],
        },
        _ => vec![ColumnPath::new(vec![field.name().clone()])],
    })
}

/// What Delta readers skip files by, from the file's own metadata, so that both always agree. A bound that is not
/// known for sure is left out.
fn delta_stats(schema: &Schema, metadata: &ParquetMetaData) -> String {
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (at, path) in leaves(schema).enumerate() {
        let [name] = path.parts() else { continue };
        if !STATS_COLUMNS.contains(&name.as_str()) {
            continue;
        }
        let chunks: Vec<&ColumnChunkMetaData> =
            metadata.row_groups().iter().map(|group| group.column(at)).collect();
        let null_count =
            |chunk: &&ColumnChunkMetaData| chunk.statistics().and_then(Statistics::null_count_opt);
        if let Some(count) = chunks.iter().map(null_count).sum::<Option<u64>>() {
            nulls.insert(name.clone(), json!(count));
        }
        if let Some((lower, upper)) = bounds(&chunks) {
            least.extend(lower.map(|value| (name.clone(), value)));
            most.extend(upper.map(|value| (name.clone(), value)));
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({"numRecords": rows, "minValues": least, "maxValues": most, "nullCount": nulls}).to_string()
}

/// The bounds of a whole column from those of its chunks; `None` where a chunk with values has none, and for booleans,
/// for which Delta knows no bounds. The writer cuts long texts, rounding the upper bound up (or leaving it whole where
/// that cannot be), so they hold.
fn bounds(chunks: &[&ColumnChunkMetaData]) -> Option<(Option<Value>, Option<Value>)> {
    let (mut texts, mut times) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let statistics = chunk.statistics()?;
        if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
            continue;
        }
        match statistics {
            Statistics::ByteArray(values) => {
                texts.push((values.min_opt()?.as_utf8().ok()?, values.max_opt()?.as_utf8().ok()?));
            }
            Statistics::Int64(values) => times.push((*values.min_opt()?, *values.max_opt()?)),
            _ => return None,
        }
    }
    let lower = texts.iter().map(|(least, _)| *least).min().and_then(delta_text);
    let upper = texts.iter().map(|(_, most)| *most).max().and_then(delta_text);
    let first =
        times.iter().map(|(least, _)| *least).min().and_then(|time| delta_time(time.div_euclid(1000)));
    let last = times.iter().map(|(_, most)| *most).max().and_then(|time| {
        let whole = time.div_euclid(1000);
        delta_time(if time.rem_euclid(1000) == 0 { whole } else { whole + 1 })
    });
    Some((lower.or(first), upper.or(last)))
}

/// A text bound; not one that would bloat the log.
fn delta_text(text: &str) -> Option<Value> {
    (text.len() <= 256).then(|| Value::from(text))
}

/// A time bound in Delta's form, which has whole milliseconds; not one in a year that readers of the form choke on.
fn delta_time(milliseconds: i64) -> Option<Value> {
    let time = DateTime::from_timestamp_millis(milliseconds)?;
    (1..=9999).contains(&time.year()).then(|| Value::from(time.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::array::{
        Array, ArrayRef, AsArray, BooleanBuilder, DictionaryArray, Int64Array, ListArray, StringViewArray,
        StructArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
    };
    use arrow::compute::{cast, take};
    use arrow::datatypes::UInt32Type;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::basic::{ConvertedType, LogicalType};
    use parquet::file::page_index::column_index::ColumnIndexMetaData;
    use parquet::file::properties::ReaderProperties;
    use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
    use parquet::file::serialized_reader::ReadOptionsBuilder;
    use proptest::prelude::*;

    use super::*;

    /// A batch in which the columns named have these values, and all others are null.
    pub fn batch(rows: usize, columns: &[(&str, ArrayRef)]) -> RecordBatch {
        let schema = schema::arrow_schema();
        let given =
            |name: &str| columns.iter().find(|(column, _)| *column == name).map(|(_, values)| values.clone());
        let arrays = schema
            .fields()
            .iter()
            .map(|field| given(field.name()).unwrap_or_else(|| new_null_array(field.data_type(), rows)))
            .collect();
        RecordBatch::try_new(schema, arrays).unwrap()
    }

    pub fn texts(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
        Arc::new(StringViewArray::from_iter(values))
    }

    pub fn times(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
    }

    fn stats_of(rows: usize, columns: &[(&str, ArrayRef)]) -> Value {
        let encoded = encode(&batch(rows, columns), &Partitioning::default()).unwrap();
        serde_json::from_str(&encoded.stats).unwrap()
    }

    /// A batch of many row shapes: repeated and unique texts, nulls, a list of structs, several row groups' worth.
    fn varied(rows: usize) -> RecordBatch {
        let mut read_only = BooleanBuilder::new();
        for row in 0..rows {
            read_only.append_option((row % 7 > 0).then_some(row % 2 == 0));
        }
        let list = schema::resource_item();
        let members = schema::resource_members();
        let mut builder =
            arrow::array::ListBuilder::new(arrow::array::StructBuilder::from_fields(members, rows))
                .with_field(list);
        for row in 0..rows {
            for at in 0..row % 3 {
                for member in 0..4 {
                    let values =
                        builder.values().field_builder::<arrow::array::StringViewBuilder>(member).unwrap();
                    values.append_option((at != member).then(|| format!("arn:aws:s3:::bucket-{}", row % 5)));
                }
                builder.values().append(true);
            }
            builder.append(row % 3 != 0 || row % 2 == 0);
        }
        batch(
            rows,
            &[
                (
                    "event_time",
                    times((0..rows).map(|row| Some(1_772_323_200_000_000 + row as i64 * 1_000_001))),
                ),
                (
                    "event_id",
                    texts((0..rows).map(|row| Some(format!("{row:08x}-0000-4000-8000-000000000000")))),
                ),
                ("account", texts((0..rows).map(|_| Some("111122223333".into())))),
                ("region", texts((0..rows).map(|_| Some("eu-west-1".into())))),
                ("event_name", texts((0..rows).map(|row| Some(format!("Get{}", row % 50))))),
                (
                    "request_parameters",
                    texts((0..rows).map(|row| (row % 3 > 0).then(|| format!("{{\"n\":{row}}}")))),
                ),
                ("read_only", Arc::new(read_only.finish())),
                ("resources", Arc::new(builder.finish())),
                ("row_source_record", Arc::new(Int64Array::from_iter_values(1..=rows as i64))),
            ],
        )
    }

    #[test]
    fn a_file_reads_back_as_it_was_and_twice_the_same() {
        let rows = ROW_GROUP_ROWS + 5_000;
        let whole = varied(rows);
        let first = encode(&whole, &Partitioning::default()).unwrap();
        let second = encode(&whole, &Partitioning::default()).unwrap();
        assert_eq!(first.rows, rows as u64);
        assert!(first.bytes == second.bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(first.bytes)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        assert!(reader.schema().metadata().get("ARROW:schema").is_none());
        let mut at = 0;
        for read in reader.with_batch_size(10_000).build().unwrap() {
            let read = read.unwrap();
            for (column, values) in read.columns().iter().enumerate() {
                let wrote = whole.column(column).slice(at, read.num_rows());
                assert_eq!(
                    &cast(values, wrote.data_type()).unwrap(),
                    &wrote,
                    "{}",
                    schema::COLUMNS[column].name
                );
            }
            at += read.num_rows();
        }
        assert_eq!(at, rows);
    }

    /// How the values of a column are spread.
    #[derive(Debug, Clone, Copy)]
    enum Shape {
        Nulls,
        Empty,
        OneOfMany,
        Runs,
        Few,
        Unique,
        Long,
        Wide,
    }

    impl Shape {
        const ALL: [Shape; 8] = [
            Shape::Nulls,
            Shape::Empty,
            Shape::OneOfMany,
            Shape::Runs,
            Shape::Few,
            Shape::Unique,
            Shape::Long,
            Shape::Wide,
        ];

        fn text(self, row: usize, rows: usize, seed: usize) -> Option<String> {
            let mixed = (row ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(17);
            match self {
                Shape::Nulls => None,
                Shape::Empty => (!mixed.is_multiple_of(3)).then(String::new),
                Shape::OneOfMany => (row == seed % rows).then(|| "only".into()),
                Shape::Runs => Some(format!("arn:aws:iam::111122223333:role/{}", row / 1_500)),
                Shape::Few => (!mixed.is_multiple_of(5)).then(|| format!("\u{10ffff}{}", mixed % 300)),
                Shape::Unique => Some(format!("{row:036}")),
                // Dictionaries that are larger than may be.
                Shape::Long => Some(format!("{}{}", "é".repeat(400), mixed % 4_000)),
                // Pages of few rows.
                Shape::Wide => mixed.is_multiple_of(97).then(|| "x".repeat(60_000) + &row.to_string()),
            }
        }
    }

    const TEXTS: [&str; 8] = [
        "event_id",
        "event_name",
        "principal",
        "source_ip_address",
        "user_agent",
        "request_parameters",
        "shared_event_id",
        "unmapped",
    ];

    fn shaped(rows: usize, shapes: &[Shape], seed: usize) -> RecordBatch {
        let given = varied(rows);
        let mut columns: Vec<(&str, ArrayRef)> = TEXTS
            .iter()
            .zip(shapes)
            .map(|(name, shape)| (*name, texts((0..rows).map(|row| shape.text(row, rows, seed)))))
            .collect();
        for name in ["event_time", "read_only", "resources", "row_source_record"] {
            columns.push((name, given.column_by_name(name).unwrap().clone()));
        }
        batch(rows, &columns)
    }

    /// The rows of a batch in another order, the texts that say so as dictionaries, and the way back.
    struct Scattered {
        columns: Vec<Option<ArrayRef>>,
        rows: Vec<u32>,
    }

    impl Scattered {
        fn of(batch: &RecordBatch) -> Scattered {
            let rows = batch.num_rows();
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_by_key(|&row| row.wrapping_mul(2_654_435_761).rotate_left(9));
            let mut back = vec![0; rows];
            for (at, &row) in order.iter().enumerate() {
                back[row as usize] = at as u32;
            }
            let order = UInt32Array::from(order);
            let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
                let array = take(array, &order, None).unwrap();
                let is_unique = UNIQUE_COLUMNS.contains(&field.name().as_str());
                let has_values = array.null_count() < array.len();
                has_values.then(|| if is_unique { array } else { with_dictionaries(array) })
            };
            let columns = batch.schema().fields().iter().zip(batch.columns()).map(column).collect();
            Scattered { columns, rows: back }
        }
    }

    fn with_dictionaries(array: ArrayRef) -> ArrayRef {
        if let Some(texts) = array.as_string_view_opt() {
            return dictionary(texts);
        }
        let Some(list) = array.as_list_opt::<i32>() else { return array };
        let (_, members, nulls) = list.values().as_struct().clone().into_parts();
        let members: Vec<ArrayRef> = members.into_iter().map(with_dictionaries).collect();
        let fields: Vec<Field> =
            members.iter().map(|member| Field::new("member", member.data_type().clone(), true)).collect();
        let elements = StructArray::new(fields.into(), members, nulls);
        let item = Arc::new(Field::new("element", elements.data_type().clone(), true));
        Arc::new(ListArray::new(item, list.offsets().clone(), Arc::new(elements), list.nulls().cloned()))
    }

    /// The same texts behind a dictionary with a null, and an entry that does not occur.
    fn dictionary(texts: &StringViewArray) -> ArrayRef {
        let mut known = std::collections::HashMap::new();
        let mut values = vec![Some("does not occur"), None];
        let keys: Vec<u32> = texts
            .iter()
            .map(|text| {
                *known.entry(text).or_insert_with(|| {
                    values.push(text);
                    values.len() as u32 - 1
                })
            })
            .collect();
        let values = StringViewArray::from(values);
        Arc::new(DictionaryArray::<UInt32Type>::try_new(keys.into(), Arc::new(values)).unwrap())
    }

    impl Rows for Scattered {
        fn rows(&self) -> usize {
            self.rows.len()
        }

        fn slice(&self, _: usize, _: usize) -> Result<RecordBatch> {
            Err(Error::failed("not asked for"))
        }

        fn ordered(&self) -> Option<Ordered<'_>> {
            Some(Ordered { columns: &self.columns, rows: &self.rows })
        }
    }

    /// Reads a file with `parquet`'s own reader and compares values, statistics, page index and bloom filters with the
    /// rows it was made of.
    fn check(encoded: &Encoded, whole: &RecordBatch) {
        let bytes = Bytes::from(encoded.bytes.clone());
        let options = ReadOptionsBuilder::new()
            .with_page_index()
            .with_reader_properties(ReaderProperties::builder().set_read_bloom_filter(true).build())
            .build();
        let file = SerializedFileReader::new_with_options(bytes.clone(), options).unwrap();
        let metadata = file.metadata();
        let mut first = 0;
        for group in 0..metadata.num_row_groups() {
            let rows = metadata.row_group(group).num_rows() as usize;
            for (at, chunk) in metadata.row_group(group).columns().iter().enumerate() {
                let [name] = chunk.column_path().parts() else { continue };
                let array = whole.column_by_name(name).unwrap().slice(first, rows);
                let Some(texts) = array.as_string_view_opt() else { continue };
                let read = RowGroupReader::get_column_bloom_filter(&*file.get_row_group(group).unwrap(), at)
                    .cloned();
                assert_eq!(
                    read.is_some(),
                    BLOOM_COLUMNS.contains(&name.as_str()) && texts.null_count() < rows,
                    "{name}"
                );
                if let Some(filter) = read {
                    assert!(texts.iter().flatten().all(|text| filter.check(text.as_bytes())), "{name}");
                    let odd = (0..1_000).filter(|at| filter.check(format!("odd {at}").as_bytes())).count();
                    assert!(odd < 60, "{name}: {odd}");
                }
                if let Some(statistics) = chunk.statistics() {
                    assert_eq!(statistics.null_count_opt(), Some(texts.null_count() as u64), "{name}");
                    if let (Some(least), Some(most)) =
                        (statistics.min_bytes_opt(), statistics.max_bytes_opt())
                    {
                        let holds = |text: &str| least <= text.as_bytes() && text.as_bytes() <= most;
                        assert!(texts.iter().flatten().all(holds), "{name}");
                    }
                }
                let places = metadata.offset_index().unwrap()[group][at].page_locations();
                if let ColumnIndexMetaData::BYTE_ARRAY(index) = &metadata.column_index().unwrap()[group][at] {
                    for (page, place) in places.iter().enumerate() {
                        let start = place.first_row_index as usize;
                        let end = places.get(page + 1).map_or(rows, |next| next.first_row_index as usize);
                        let texts = texts.slice(start, end - start);
                        assert_eq!(index.null_count(page), Some(texts.null_count() as i64), "{name}");
                        assert_eq!(index.is_null_page(page), texts.null_count() == texts.len(), "{name}");
                        let (least, most) = (index.min_value(page), index.max_value(page));
                        let holds = |text: &str| {
                            least.unwrap() <= text.as_bytes() && text.as_bytes() <= most.unwrap()
                        };
                        assert!(texts.iter().flatten().all(holds), "{name}");
                    }
                }
            }
            first += rows;
        }
        let mut at = 0;
        for read in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let read = read.unwrap();
            for (column, values) in read.schema_ref().fields().iter().zip(read.columns()) {
                let wrote = whole.column_by_name(column.name()).unwrap().slice(at, read.num_rows());
                assert_eq!(&cast(values, wrote.data_type()).unwrap(), &wrote, "{}", column.name());
            }
            at += read.num_rows();
        }
        assert_eq!(at, whole.num_rows());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn columns_of_any_shape_come_back_both_ways_in_the_same_bytes(
            shapes in proptest::collection::vec(proptest::sample::select(&Shape::ALL[..]), TEXTS.len()),
            rows in prop_oneof![1usize..20, 9_999usize..10_003, 20_500usize..21_000],
            seed in any::<usize>(),
        ) {
            let whole = shaped(rows, &shapes, seed);
            let by = Partitioning::default();
            let sliced = encode(&whole, &by).unwrap();
            let ordered = encode(&Scattered::of(&whole), &by).unwrap();
            prop_assert!(sliced.bytes == ordered.bytes);
            prop_assert_eq!(&sliced.stats, &ordered.stats);
            check(&ordered, &whole);
        }
    }

    #[test]
    fn row_groups_are_cut_alike_both_ways() {
        let rows = ROW_GROUP_ROWS + 3_000;
        let whole = varied(rows);
        let sliced = encode(&whole, &Partitioning::default()).unwrap();
        let ordered = encode(&Scattered::of(&whole), &Partitioning::default()).unwrap();
        assert!(sliced.bytes == ordered.bytes);
        check(&ordered, &whole);
    }

    #[test]
    fn a_file_says_what_any_reader_understands() {
        let by: Partitioning = "date,account".parse().unwrap();
        let encoded = encode(&varied(2_000), &by).unwrap();
        let file = SerializedFileReader::new(Bytes::from(encoded.bytes)).unwrap();
        let metadata = file.metadata();
        let footer = metadata.file_metadata();
        assert_eq!(footer.created_by(), Some(CREATED_BY));
        let pairs: Vec<_> =
            footer.key_value_metadata().unwrap().iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(pairs, ["trailhouse.schema_version"]);

        let columns = footer.schema_descr();
        let find =
            |path: &str| (0..columns.num_columns()).find(|&at| columns.column(at).path().string() == path);
        assert_eq!(find("account"), None);
        assert!(find("resources.list.element.arn_prefix").is_some());
        let time = columns.column(find("event_time").unwrap());
        assert_eq!(time.converted_type(), ConvertedType::TIMESTAMP_MICROS);
        assert_eq!(
            columns.column(find("event_name").unwrap()).logical_type_ref(),
            Some(&LogicalType::String)
        );

        let group = metadata.row_group(0);
        let sorted: Vec<_> =
            group.sorting_columns().unwrap().iter().map(|by| by.column_idx as usize).collect();
        assert_eq!(sorted, ["region", "event_time"].map(|name| find(name).unwrap()));
        assert!(group.column(find("event_id").unwrap()).bloom_filter_offset().is_some());
        let empty = group.column(find("user_identity_access_key_id").unwrap());
        assert_eq!((empty.bloom_filter_offset(), empty.dictionary_page_offset()), (None, None));
        assert!(empty.compressed_size() < 64, "{}", empty.compressed_size());
    }

    #[test]
    fn statistics_bound_what_is_there() {
        let odd = format!("{}\u{10ffff}", "\u{10ffff}".repeat(15));
        let long = "z".repeat(300);
        let stats = stats_of(
            3,
            &[
                ("event_time", times([Some(-1), None, Some(1_772_323_200_123_001)])),
                ("event_name", texts([Some(long.clone()), Some("b\"".into()), None])),
                ("event_source", texts([Some(odd.clone()), Some(String::new()), None])),
                ("principal", texts([Some("\u{10ffff}".repeat(200)), Some("a".into()), None])),
                ("account", texts([Some("000000000001".into()), Some("999999999999".into()), None])),
                ("read_only", Arc::new(arrow::array::BooleanArray::from(vec![Some(true), None, None]))),
            ],
        );
        assert_eq!(stats["numRecords"], 3);
        assert_eq!(stats["minValues"]["event_time"], "1969-12-31T23:59:59.999Z");
        assert_eq!(stats["maxValues"]["event_time"], "2026-03-01T00:00:00.124Z");
        assert_eq!(stats["minValues"]["event_name"], "b\"");
        let most = stats["maxValues"]["event_name"].as_str().unwrap();
        assert!(most > long.as_str() && most.len() <= 64, "{most}");
        assert_eq!(stats["minValues"]["event_source"], "");
        assert_eq!(stats["maxValues"]["event_source"], odd.as_str());
        assert_eq!(stats["minValues"]["principal"], "a");
        assert_eq!(stats["maxValues"]["principal"], Value::Null);
        assert_eq!(stats["minValues"]["account"], "000000000001");
        assert_eq!(stats["maxValues"]["account"], "999999999999");
        assert_eq!(stats["minValues"]["error_code"], Value::Null);
        assert_eq!(stats["nullCount"]["error_code"], 3);
        assert_eq!(stats["nullCount"]["read_only"], 2);
        assert_eq!(stats["minValues"]["read_only"], Value::Null);
    }

    #[test]
    fn statistics_span_row_groups_and_skip_those_of_nulls_only() {
        let rows = ROW_GROUP_ROWS + 1;
        let stats = stats_of(
            rows,
            &[
                ("event_name", texts((0..rows).map(|row| (row == 0).then(|| "only".into())))),
                (
                    "event_source",
                    texts((0..rows).map(|row| Some(if row == ROW_GROUP_ROWS { "z" } else { "m" }.into()))),
                ),
            ],
        );
        assert_eq!(stats["maxValues"]["event_name"], "only");
        assert_eq!(stats["nullCount"]["event_name"], rows - 1);
        assert_eq!(
            (&stats["minValues"]["event_source"], &stats["maxValues"]["event_source"]),
            (&json!("m"), &json!("z"))
        );
    }

    #[test]
    fn bounds_beyond_the_calendar_are_left_out() {
        let stats = stats_of(2, &[("event_time", times([Some(i64::MIN), Some(i64::MAX)]))]);
        assert_eq!(
            (&stats["minValues"]["event_time"], &stats["maxValues"]["event_time"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn other_columns_are_refused() {
        let one = batch(1, &[]).project(&[0, 1]).unwrap();
        assert!(encode(&one, &Partitioning::default()).is_err());
    }

    #[test]
    fn an_empty_batch_is_a_file_without_rows() {
        let stats = stats_of(0, &[]);
        assert_eq!(stats["numRecords"], 0);
    }
}
