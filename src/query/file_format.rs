//! Rows as files of bytes, with types that every reader knows.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter as ArrowFileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::cells::{Cells, json_options};
use super::format::Format;

/// The rows of a row group. Few, for a group is held until it is full.
const ROWS_IN_GROUP: usize = 128 << 10;

/// A row group is full, too, where it takes so much memory.
const BYTES_IN_GROUP: usize = 64 << 20;

/// A file that is written.
pub(super) struct FileWriter<'w, W: Write + Send> {
    schema: SchemaRef,
    inner: Inner<'w, W>,
}

enum Inner<'w, W: Write + Send> {
    Parquet(Box<ArrowWriter<&'w mut W>>),
    Arrow(Box<ArrowFileWriter<&'w mut W>>),
}

impl<'w, W: Write + Send> FileWriter<'w, W> {
    pub(super) fn new(format: Format, schema: &Schema, out: &'w mut W) -> io::Result<Self> {
        let fields: Fields = schema.fields().iter().map(plain_field).collect();
        let schema = Arc::new(Schema::new(fields));
        let inner = if format == Format::Parquet {
            let properties = WriterProperties::builder()
                .set_created_by(concat!("trailhouse ", env!("CARGO_PKG_VERSION")).to_owned())
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_max_row_group_row_count(Some(ROWS_IN_GROUP))
                .build();
            let writer =
                ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(parquet_error)?;
            Inner::Parquet(Box::new(writer))
        } else {
            Inner::Arrow(Box::new(ArrowFileWriter::try_new(out, &schema).map_err(arrow_error)?))
        };
        Ok(FileWriter { schema, inner })
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let given = batch.schema_ref().fields();
        let mut columns = Vec::with_capacity(given.len());
        for ((from, to), column) in given.iter().zip(self.schema.fields()).zip(batch.columns()) {
            columns.push(plain(from, to, column).map_err(arrow_error)?);
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(arrow_error)?;
        match &mut self.inner {
            Inner::Parquet(writer) => {
                writer.write(&batch).map_err(parquet_error)?;
                if writer.in_progress_size() > BYTES_IN_GROUP {
                    writer.flush().map_err(parquet_error)?;
                }
                Ok(())
            }
            Inner::Arrow(writer) => writer.write(&batch).map_err(arrow_error),
        }
    }

    pub(super) fn end(self) -> io::Result<()> {
        match self.inner {
            Inner::Parquet(writer) => writer.close().map(drop).map_err(parquet_error),
            Inner::Arrow(mut writer) => writer.finish().map_err(arrow_error),
        }
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain_type(field.data_type()), true))
}

/// The type that readers know where the engine has its own: no views, and JSON as text.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::Null | DataType::Union(_, _) => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::Struct(members) => DataType::Struct(members.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

fn plain(from: &FieldRef, to: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(column.data_type(), DataType::Union(_, _)) {
        return cast(column, to.data_type());
    }
    let options = json_options();
    let mut cells = Cells::new(from, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        texts.append_option(cells.value(row)?);
    }
    Ok(Arc::new(texts.finish()))
}

/// What the output said, where that is why: whoever writes to a pipe asks whether it is closed.
fn parquet_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}

fn arrow_error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::format::{Written, write};
    use super::super::testing::TestLake;
    use super::*;

    const SQL: &str = r#"SELECT 1 AS n, arrow_cast('x', 'Utf8View') AS view, v->'a' AS json, NULL AS nothing,
        [named_struct('arn', 'a')] AS list, timestamp '2026-03-01 00:00:00' AS time FROM (VALUES ('{"a":{"b":1}}'), ('{}')) t(v)"#;

    async fn written(format: Format) -> Vec<u8> {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        let mut out = Vec::new();
        let rows = session.query(SQL).await.unwrap();
        assert_eq!(write(&format.into(), rows, &mut out).await.unwrap(), Written::All(2));
        out
    }

    #[tokio::test]
    async fn every_column_comes_back_with_a_type_that_readers_know() {
        let file = Bytes::from(written(Format::Parquet).await);
        let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let parquet: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        let file = std::io::Cursor::new(written(Format::Arrow).await);
        let rows = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
        let arrow: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        for batches in [&parquet, &arrow] {
            let types: Vec<&DataType> =
                batches[0].schema_ref().fields().iter().map(|field| field.data_type()).take(4).collect();
            assert_eq!(types, [&DataType::Int64, &DataType::Utf8, &DataType::Utf8, &DataType::Utf8]);
            let text = pretty_format_batches(batches).unwrap().to_string();
            assert!(text.contains(r#"{"b":1}"#) && text.contains("{arn: a}"), "{text}");
        }
    }
}
