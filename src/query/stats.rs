//! A data file's statistics: the Delta log's JSON into what planning compares.
//!
//! A bound is at most (or at least) every value of its column, and need not be one of them: the log has times of whole
//! milliseconds, and long text cut. So bounds leave files out; they never answer `min` and `max`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use chrono::DateTime;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, Result, ScalarValue, Statistics};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lake::layout::DataFile;

/// What is known about one data file without opening it.
pub(super) struct FileStats<'a> {
    file: &'a DataFile,
    log: LogStats<'a>,
}

/// The members of Delta's statistics that are used here ("Per-file Statistics" of the Delta protocol).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogStats<'a> {
    #[serde(borrow)]
    min_values: HashMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow)]
    max_values: HashMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow)]
    null_count: HashMap<Cow<'a, str>, &'a RawValue>,
}

/// Which end of a column's range a bound is.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Min,
    Max,
}

impl<'a> FileStats<'a> {
    /// Reads the file's statistics; those that cannot be read count as absent, which costs speed and never rows.
    pub(super) fn read(file: &'a DataFile) -> Self {
        FileStats { file, log: serde_json::from_str(&file.stats).unwrap_or_default() }
    }

    pub(super) fn file(&self) -> &'a DataFile {
        self.file
    }

    /// The statistics of the columns of `schema`, the last of which are the partition columns.
    ///
    /// Bounds are marked exact, for a scan leaves out files of its own only by such, while it runs, where a top-k
    /// query has found its rows in other files. All a scan concludes from one file's bounds is right if they hold. Of
    /// the table, whose bounds may answer a query, [`merged`] says otherwise.
    pub(super) fn statistics(&self, schema: &SchemaRef) -> Statistics {
        let exact = |bound: Option<ScalarValue>| bound.map_or(Precision::Absent, Precision::Exact);
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = Precision::Exact(self.rows());
        for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
            *column = match self.partition_value(field.name()) {
                Some(value) => self.constant(value),
                None => ColumnStatistics {
                    null_count: self.nulls(field.name()).map_or(Precision::Absent, Precision::Exact),
                    min_value: exact(self.bound(field.name(), field.data_type(), End::Min)),
                    max_value: exact(self.bound(field.name(), field.data_type(), End::Max)),
                    ..ColumnStatistics::new_unknown()
                },
            };
        }
        statistics
    }

    /// A partition column's statistics. [`datafusion`]'s own for partition columns take it that none is null.
    fn constant(&self, value: Option<&str>) -> ColumnStatistics {
        let bound = value
            .map_or(Precision::Absent, |value| Precision::Exact(ScalarValue::Utf8(Some(value.to_owned()))));
        ColumnStatistics {
            null_count: Precision::Exact(if value.is_none() { self.rows() } else { 0 }),
            min_value: bound.clone(),
            max_value: bound,
            ..ColumnStatistics::new_unknown()
        }
    }

    fn rows(&self) -> usize {
        usize::try_from(self.file.rows).unwrap_or(usize::MAX)
    }

    fn partition_value(&self, column: &str) -> Option<Option<&'a str>> {
        partition_value(self.file, column)
    }

    fn nulls(&self, column: &str) -> Option<usize> {
        serde_json::from_str(self.log.null_count.get(column)?.get()).ok()
    }

    fn bound(&self, column: &str, data_type: &DataType, end: End) -> Option<ScalarValue> {
        let values = match end {
            End::Min => &self.log.min_values,
            End::Max => &self.log.max_values,
        };
        read_bound(values.get(column)?.get(), data_type, end)
    }
}

/// The statistics of all `files`, the first `file_columns` of whose columns are not partition columns.
pub(super) fn merged<'a>(
    files: impl Iterator<Item = &'a Statistics>,
    schema: &SchemaRef,
    file_columns: usize,
) -> Result<Statistics> {
    let mut all = Statistics::try_merge_iter(files, schema)?;
    for column in all.column_statistics.iter_mut().take(file_columns) {
        column.min_value = std::mem::take(&mut column.min_value).to_inexact();
        column.max_value = std::mem::take(&mut column.max_value).to_inexact();
    }
    Ok(all)
}

/// The value of a partition column in `file`: none where it is no partition column, `Some(None)` where it is null.
pub(super) fn partition_value<'a>(file: &'a DataFile, column: &str) -> Option<Option<&'a str>> {
    file.partition.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_deref())
}

fn read_bound(json: &str, data_type: &DataType, end: End) -> Option<ScalarValue> {
    let text: String = serde_json::from_str(json).ok()?;
    match data_type {
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(text))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let mut micros = DateTime::parse_from_rfc3339(&text).ok()?.timestamp_micros();
            if end == End::Max {
                // Writers of the log cut the rest of the millisecond.
                micros = micros.checked_add(999)?;
            }
            Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()))
        }
        _ => None,
    }
}

/// The statistics of many files, as [`datafusion`] asks for them to decide which to leave out.
pub(super) struct FilesBounds<'a> {
    /// The files.
    pub(super) files: &'a [FileStats<'a>],
    /// The table's schema.
    pub(super) schema: &'a SchemaRef,
}

impl FilesBounds<'_> {
    fn bounds(&self, column: &Column, end: End) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(&column.name).ok()?.data_type();
        let absent = ScalarValue::try_from(data_type).ok()?;
        let values = self.files.iter().map(|stats| {
            let value = match stats.partition_value(&column.name) {
                Some(value) => value.map(|value| ScalarValue::Utf8(Some(value.to_owned()))),
                None => stats.bound(&column.name, data_type, end),
            };
            value.unwrap_or_else(|| absent.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for FilesBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, End::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, End::Max)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts: UInt64Array = self
            .files
            .iter()
            .map(|stats| match stats.partition_value(&column.name) {
                Some(Some(_)) => Some(0),
                Some(None) => Some(stats.file.rows),
                None => stats.nulls(&column.name).map(|count| count as u64),
            })
            .collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts: UInt64Array = self.files.iter().map(|stats| Some(stats.file.rows)).collect();
        Some(Arc::new(counts))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_of_the_columns_type_or_unknown() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let micros = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        assert_eq!(read_bound("\"1970-01-01T00:00:01.500Z\"", &utc, End::Min), micros(1_500_000));
        assert_eq!(read_bound("\"1970-01-01T00:00:01.500Z\"", &utc, End::Max), micros(1_500_999));
        assert_eq!(read_bound("\"yesterday\"", &utc, End::Max), None);
        assert_eq!(read_bound("true", &DataType::Boolean, End::Min), None);
        assert_eq!(read_bound("{}", &DataType::Utf8View, End::Max), None);
    }

    #[test]
    fn statistics_that_are_no_json_count_as_absent() {
        let file = DataFile {
            path: "a".into(),
            size: 1,
            rows: 7,
            partition: Vec::new(),
            stats: "{\"minV".to_owned(),
        };
        let schema = crate::schema::arrow_schema();
        let statistics = FileStats::read(&file).statistics(&schema);
        assert_eq!(statistics.num_rows, Precision::Exact(7));
        assert!(statistics.column_statistics.iter().all(|column| *column == ColumnStatistics::new_unknown()));
    }
}
