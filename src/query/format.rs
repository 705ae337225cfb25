//! Rows as text and as files. Every format streams: what is held is one batch; for the drawn table its first rows, for
//! Parquet a row group.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::json::writer::make_encoder;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::cells::{Cells, json_options};
use super::errors::explain;
use super::file_format::FileWriter;
use super::grid::Grid;
use super::record::write_record;
use crate::error::{Error, Result};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Drawn for people.
    #[default]
    Table,
    /// Comma-separated (RFC 4180), with a header; null is empty, the empty text is `""`.
    Csv,
    /// The same, separated by tabs.
    Tsv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A Markdown table.
    Markdown,
    /// One field a line, JSON over several.
    Record,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 9] = [
        Format::Table,
        Format::Csv,
        Format::Tsv,
        Format::Json,
        Format::Ndjson,
        Format::Markdown,
        Format::Record,
        Format::Parquet,
        Format::Arrow,
    ];

    /// The name it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Markdown => "markdown",
            Format::Record => "record",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Whether it is a file of bytes, which holds one result and is nothing for a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }
}

/// How rows are written, and how many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// The format.
    pub format: Format,
    /// The columns of the terminal where the reader is one: cells of a drawn table are cut to fit, with `…`.
    pub terminal_width: Option<usize>,
    /// Whether a table that cannot fit may be as wide as it likes, for the reader scrolls.
    pub scrolls: bool,
    /// Whether cells that a spreadsheet would run as formulas are made text with a `'` (CSV and TSV).
    pub no_formulas: bool,
    /// At most so many rows are written.
    pub max_rows: Option<u64>,
}

impl From<Format> for Look {
    fn from(format: Format) -> Look {
        Look { format, ..Look::default() }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a closed pipe means that nobody reads what would be written next"]
pub enum Written {
    /// All rows are written: so many.
    All(u64),
    /// As many rows as may be are written, and there are more.
    Some(u64),
    /// The reader closed its end of the pipe. That is no failure.
    Closed,
}

/// Writes `rows` to `out`. A statement without columns writes nothing.
pub async fn write(
    look: &Look,
    mut rows: SendableRecordBatchStream,
    out: &mut (impl Write + Send),
) -> Result<Written> {
    let schema = rows.schema();
    if schema.fields().is_empty() {
        while let Some(batch) = rows.next().await {
            batch.map_err(explain)?;
        }
        return Ok(Written::All(0));
    }
    let mut room = look.max_rows.unwrap_or(u64::MAX);
    let mut cut = false;
    let mut written = 0;
    let ended = async {
        let mut writer = match look.format {
            Format::Parquet | Format::Arrow => AnyWriter::File(FileWriter::new(look.format, &schema, out)?),
            _ => AnyWriter::Text(Writer::new(look, &schema, out)),
        };
        writer.begin()?;
        while let Some(batch) = rows.next().await {
            let mut batch = batch.map_err(Stopped::Query)?;
            let rows = batch.num_rows() as u64;
            if rows > room {
                cut = true;
                batch = batch.slice(0, usize::try_from(room).unwrap_or(usize::MAX));
            }
            if batch.num_rows() > 0 {
                writer.batch(&batch)?;
            }
            room -= batch.num_rows() as u64;
            written += batch.num_rows() as u64;
            if cut {
                break;
            }
        }
        writer.end(cut)?;
        Ok::<(), Stopped>(())
    };
    match ended.await {
        Ok(()) if cut => Ok(Written::Some(written)),
        Ok(()) => Ok(Written::All(written)),
        Err(Stopped::Query(error)) => Err(explain(error)),
        Err(Stopped::Writing(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Closed),
        Err(Stopped::Writing(error)) => Err(Error::failed("writing the result").caused_by(error)),
    }
}

/// What stopped the writing of rows.
enum Stopped {
    Query(DataFusionError),
    Writing(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Writing(error)
    }
}

enum AnyWriter<'w, W: Write + Send> {
    Text(Writer<'w, W>),
    File(FileWriter<'w, W>),
}

impl<W: Write + Send> AnyWriter<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        match self {
            AnyWriter::Text(writer) => writer.begin(),
            AnyWriter::File(_) => Ok(()),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match self {
            AnyWriter::Text(writer) => writer.batch(batch),
            AnyWriter::File(writer) => writer.batch(batch),
        }
    }

    fn end(self, cut: bool) -> io::Result<()> {
        match self {
            AnyWriter::Text(mut writer) => writer.end(cut),
            AnyWriter::File(writer) => writer.end(),
        }
    }
}

struct Writer<'w, W: Write> {
    format: Format,
    schema: &'w Schema,
    grid: Grid,
    no_formulas: bool,
    rows: u64,
    out: &'w mut W,
}

impl<'w, W: Write> Writer<'w, W> {
    fn new(look: &Look, schema: &'w Schema, out: &'w mut W) -> Self {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let numeric: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
        let grid = Grid::new(names, numeric, look.terminal_width, look.scrolls);
        Writer { format: look.format, schema, grid, no_formulas: look.no_formulas, rows: 0, out }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.format {
            Format::Csv | Format::Tsv => {
                let schema = self.schema;
                self.line(schema.fields().iter().map(|field| Some(Cow::Borrowed(field.name().as_str()))))
            }
            Format::Json => self.out.write_all(b"["),
            Format::Markdown => {
                let fields = self.schema.fields();
                for field in fields {
                    write!(self.out, "| {} ", markdown(field.name()))?;
                }
                writeln!(self.out, "|")?;
                for field in fields {
                    write!(self.out, "| {} ", if field.data_type().is_numeric() { "---:" } else { "---" })?;
                }
                writeln!(self.out, "|")
            }
            _ => Ok(()),
        }
    }

    /// One line of separated values.
    fn line<'v>(&mut self, values: impl Iterator<Item = Option<Cow<'v, str>>>) -> io::Result<()> {
        let separator = if self.format == Format::Csv { ',' } else { '\t' };
        for (index, value) in values.enumerate() {
            if index > 0 {
                write!(self.out, "{separator}")?;
            }
            if let Some(value) = value {
                self.out.write_all(quoted(&value, separator).as_bytes())?;
            }
        }
        self.out.write_all(b"\n")
    }

    fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Ndjson => self.objects(batch)?,
            _ => self.cells(batch)?,
        }
        // A reader at the other end of a pipe sees rows as they come, and its leaving is noticed.
        self.out.flush()
    }

    fn cells(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let options = json_options();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            columns.push(Cells::new(field, array.as_ref(), &options).map_err(io::Error::other)?);
        }
        let numeric = self.schema.fields().iter().map(|field| field.data_type().is_numeric());
        // A number that starts with `-` is none.
        let formulas: Vec<bool> = numeric.map(|numeric| self.no_formulas && !numeric).collect();
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let mut values = Vec::with_capacity(columns.len());
            for cells in &mut columns {
                values.push(cells.value(row).map_err(io::Error::other)?);
            }
            match self.format {
                Format::Csv | Format::Tsv => {
                    let cells = values.iter().zip(&formulas).map(|(value, formula)| {
                        value.as_deref().map(|value| if *formula { harmless(value) } else { value.into() })
                    });
                    self.line(cells)?;
                }
                Format::Record => write_record(self.rows, self.schema, &values, self.out)?,
                Format::Markdown => {
                    for value in &values {
                        write!(self.out, "| {} ", markdown(value.as_deref().unwrap_or_default()))?;
                    }
                    writeln!(self.out, "|")?;
                }
                _ => self.grid.row(values, self.out)?,
            }
        }
        Ok(())
    }

    fn objects(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let options = json_options();
        let fields = batch.schema_ref().fields();
        let mut columns = Vec::with_capacity(fields.len());
        for (field, array) in fields.iter().zip(batch.columns()) {
            let key = serde_json::to_string(field.name())?;
            columns.push((key, make_encoder(field, array.as_ref(), &options).map_err(io::Error::other)?));
        }
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            text.clear();
            if self.format == Format::Json {
                text.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
            }
            self.rows += 1;
            for (index, (key, encoder)) in columns.iter_mut().enumerate() {
                text.push(if index == 0 { b'{' } else { b',' });
                text.extend_from_slice(key.as_bytes());
                text.push(b':');
                if encoder.is_null(row) {
                    text.extend_from_slice(b"null");
                } else {
                    encoder.encode(row, &mut text);
                }
            }
            text.push(b'}');
            if self.format == Format::Ndjson {
                text.push(b'\n');
            }
            self.out.write_all(&text)?;
        }
        Ok(())
    }

    fn end(&mut self, cut: bool) -> io::Result<()> {
        match self.format {
            Format::Json if self.rows == 0 => self.out.write_all(b"]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Table => self.grid.end(cut, self.out)?,
            _ => {}
        }
        self.out.flush()
    }
}

/// A text that a spreadsheet would take for a formula, with a `'` before it that makes it a text there (CWE-1236).
fn harmless(value: &str) -> Cow<'_, str> {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{value}"))
    } else {
        Cow::Borrowed(value)
    }
}

/// A value between separators, quoted where RFC 4180 asks for it, and where it would read as null.
fn quoted(value: &str, separator: char) -> Cow<'_, str> {
    if value.is_empty() || value.contains([separator, '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", value.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(value)
    }
}

fn markdown(value: &str) -> String {
    value.replace('\\', "\\\\").replace('|', "\\|").replace("\r\n", "<br>").replace(['\n', '\r'], "<br>")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int64Type;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::super::testing::{MARCH, TestLake, batch};
    use super::*;

    fn stream_of(batches: impl Iterator<Item = RecordBatch> + Send + 'static) -> SendableRecordBatchStream {
        let mut batches = batches.peekable();
        let schema = batches.peek().unwrap().schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches.map(Ok))))
    }

    fn sample() -> RecordBatch {
        let times: TimestampMicrosecondArray =
            [Some(MARCH), Some(MARCH + 250_000), None].into_iter().collect();
        let texts = StringArray::from(vec![Some("say \"hi\", you|me"), Some("two\nlines\t日本"), Some("")]);
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let numbers = Int64Array::from(vec![Some(1), None, Some(-30)]);
        batch(&[
            ("time", Arc::new(times.with_timezone("UTC"))),
            ("text", Arc::new(texts)),
            ("list", Arc::new(lists)),
            ("n", Arc::new(numbers)),
        ])
    }

    async fn written(format: Format) -> String {
        let mut out = Vec::new();
        let rows = stream_of([sample()].into_iter());
        assert_eq!(write(&format.into(), rows, &mut out).await.unwrap(), Written::All(3));
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn csv_is_quoted_where_it_must_be_and_tells_null_from_empty() {
        let expected = "time,text,list,n\n\
            2026-03-01T00:00:00Z,\"say \"\"hi\"\", you|me\",\"[1,null]\",1\n\
            2026-03-01T00:00:00.250Z,\"two\nlines\t日本\",,\n\
            ,\"\",[],-30\n";
        assert_eq!(written(Format::Csv).await, expected);
    }

    #[tokio::test]
    async fn tsv_quotes_tabs_and_not_commas() {
        let expected = "time\ttext\tlist\tn\n\
            2026-03-01T00:00:00Z\t\"say \"\"hi\"\", you|me\"\t[1,null]\t1\n\
            2026-03-01T00:00:00.250Z\t\"two\nlines\t日本\"\t\t\n\
            \t\"\"\t[]\t-30\n";
        assert_eq!(written(Format::Tsv).await, expected);
    }

    #[tokio::test]
    async fn json_lines_write_null() {
        let expected = concat!(
            r#"{"time":"2026-03-01T00:00:00Z","text":"say \"hi\", you|me","list":[1,null],"n":1}"#,
            "\n",
            r#"{"time":"2026-03-01T00:00:00.250Z","text":"two\nlines\t日本","list":null,"n":null}"#,
            "\n",
            r#"{"time":null,"text":"","list":[],"n":-30}"#,
            "\n"
        );
        assert_eq!(written(Format::Ndjson).await, expected);
        let array: Vec<serde_json::Value> = serde_json::from_str(&written(Format::Json).await).unwrap();
        let lines: Vec<serde_json::Value> =
            expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(array, lines);
    }

    #[tokio::test]
    async fn markdown_keeps_one_row_a_line() {
        let expected = "| time | text | list | n |\n| --- | --- | --- | ---: |\n\
            | 2026-03-01T00:00:00Z | say \"hi\", you\\|me | [1,null] | 1 |\n\
            | 2026-03-01T00:00:00.250Z | two<br>lines\t日本 |  |  |\n\
            |  |  | [] | -30 |\n";
        assert_eq!(written(Format::Markdown).await, expected);
    }

    #[tokio::test]
    async fn a_table_is_drawn() {
        let expected = "\
┌──────────────────────────┬──────────────────┬──────────┬──────┐
│ time                     │ text             │ list     │    n │
├──────────────────────────┼──────────────────┼──────────┼──────┤
│ 2026-03-01T00:00:00Z     │ say \"hi\", you|me │ [1,null] │    1 │
│ 2026-03-01T00:00:00.250Z │ two              │ NULL     │ NULL │
│                          │ lines\\t日本      │          │      │
│ NULL                     │                  │ []       │  -30 │
└──────────────────────────┴──────────────────┴──────────┴──────┘
3 rows
";
        assert_eq!(written(Format::Table).await, expected);
    }

    #[tokio::test]
    async fn what_an_arrow_gives_is_written_as_json() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        let sql = r#"SELECT v->'a' AS a FROM (VALUES ('{"a":"x\"y"}'), ('{"a":{"b":1}}'), ('{"a":null}'), ('{}'), ('{"a":1.5}')) t(v)"#;
        let mut out = Vec::new();
        let rows = session.query(sql).await.unwrap();
        assert_eq!(write(&Format::Ndjson.into(), rows, &mut out).await.unwrap(), Written::All(5));
        let expected = "{\"a\":\"x\\\"y\"}\n{\"a\":{\"b\":1}}\n{\"a\":null}\n{\"a\":null}\n{\"a\":1.5}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        let rows = session.query(sql).await.unwrap();
        assert_eq!(write(&Format::Tsv.into(), rows, &mut out).await.unwrap(), Written::All(5));
        assert_eq!(String::from_utf8(out).unwrap(), "a\n\"\"\"x\\\"\"y\"\"\"\n\"{\"\"b\"\":1}\"\n\n\n1.5\n");
    }

    #[tokio::test]
    async fn no_rows_and_no_columns_are_written_as_such() {
        let session = TestLake::partitioned_by(&["event_date"]).session();
        for (sql, format, text) in [
            ("SELECT 1 AS n WHERE false", Format::Json, "[]\n"),
            ("SELECT 1 AS n WHERE false", Format::Csv, "n\n"),
            ("SELECT 1 AS n WHERE false", Format::Table, "┌───┐\n│ n │\n├───┤\n└───┘\n0 rows\n"),
            ("CREATE VIEW one AS SELECT 1", Format::Json, ""),
        ] {
            let mut out = Vec::new();
            let rows = session.query(sql).await.unwrap();
            assert_eq!(write(&format.into(), rows, &mut out).await.unwrap(), Written::All(0));
            assert_eq!(String::from_utf8(out).unwrap(), text, "{sql} {format}");
        }
    }

    /// Counts what it is given and keeps nothing.
    struct Sink<'a> {
        bytes: &'a AtomicUsize,
        room: usize,
    }

    impl Write for Sink<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            if self.bytes.fetch_add(buffer.len(), Ordering::Relaxed) > self.room {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static BYTES: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test]
    async fn rows_are_written_before_more_are_asked_for() {
        // A Parquet file has its rows once a row group is full.
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Parquet) {
            BYTES.store(0, Ordering::Relaxed);
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2000));
            let numbers = batch(&[("n", numbers)]);
            let batches = (0..50).map(move |at| {
                // The schema is read off the first batch; each further one is asked for when those before are out.
                assert!(at < 2 || BYTES.load(Ordering::Relaxed) > (at - 1) * 2000, "batch {at} of {format}");
                numbers.clone()
            });
            let mut sink = Sink { bytes: &BYTES, room: usize::MAX };
            assert_eq!(
                write(&format.into(), stream_of(batches), &mut sink).await.unwrap(),
                Written::All(100_000)
            );
        }
    }

    #[tokio::test]
    async fn a_closed_pipe_ends_writing_and_is_no_failure() {
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Parquet) {
            let bytes = AtomicUsize::new(0);
            let mut sink = Sink { bytes: &bytes, room: 0 };
            let rows = stream_of(std::iter::repeat_with(sample));
            assert_eq!(write(&format.into(), rows, &mut sink).await.unwrap(), Written::Closed, "{format}");
        }
    }

    #[tokio::test]
    async fn rows_beyond_the_most_are_not_asked_for() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let numbers = batch(&[("n", numbers)]);
        for (max_rows, expected) in [
            (250, Written::Some(250)),
            (0, Written::Some(0)),
            (100, Written::Some(100)),
            (300, Written::All(300)),
        ] {
            let numbers = numbers.clone();
            let asked = Arc::new(AtomicUsize::new(0));
            let seen = asked.clone();
            let batches = (0..3).map(move |_| {
                seen.fetch_add(1, Ordering::Relaxed);
                numbers.clone()
            });
            let look = Look { format: Format::Ndjson, max_rows: Some(max_rows), ..Look::default() };
            let mut out = Vec::new();
            assert_eq!(write(&look, stream_of(batches), &mut out).await.unwrap(), expected);
            assert_eq!(String::from_utf8(out).unwrap().lines().count() as u64, max_rows);
            assert!(max_rows > 0 || asked.load(Ordering::Relaxed) == 1);
        }
    }

    #[tokio::test]
    async fn a_text_that_a_spreadsheet_would_run_becomes_a_text() {
        let texts =
            StringArray::from(vec![Some("=1+1"), Some("-2"), Some("@x,y"), Some("a=b"), Some(""), None]);
        let numbers = Int64Array::from(vec![-1, 2, 3, 4, 5, 6]);
        let rows = batch(&[("t", Arc::new(texts)), ("n", Arc::new(numbers))]);
        let look = Look { format: Format::Csv, no_formulas: true, ..Look::default() };
        let mut out = Vec::new();
        assert_eq!(write(&look, stream_of([rows].into_iter()), &mut out).await.unwrap(), Written::All(6));
        let expected = "t,n\n'=1+1,-1\n'-2,2\n\"'@x,y\",3\na=b,4\n\"\",5\n,6\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
