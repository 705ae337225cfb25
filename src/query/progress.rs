//! How far a query is, and what it read of what it could have read.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use object_store::path::Path;

use crate::lake::layout::DataFile;

/// What the scans of a statement found in lakes, and what they left out before a plan was made.
#[derive(Debug, Default)]
pub struct Scanned {
    files: AtomicU64,
    bytes: AtomicU64,
    left_files: AtomicU64,
    left_bytes: AtomicU64,
}

impl Scanned {
    pub(super) fn reset(&self) {
        for count in [&self.files, &self.bytes, &self.left_files, &self.left_bytes] {
            count.store(0, Relaxed);
        }
    }

    /// Counts a scan of a lake of these files that reads some of them.
    pub(super) fn add<'a>(&self, all: &[DataFile], read: impl Iterator<Item = &'a DataFile>) {
        let (mut files, mut bytes) = (0, 0);
        for file in read {
            files += 1;
            bytes += file.size;
        }
        let all_bytes: u64 = all.iter().map(|file| file.size).sum();
        self.files.fetch_add(all.len() as u64, Relaxed);
        self.bytes.fetch_add(all_bytes, Relaxed);
        self.left_files.fetch_add((all.len() as u64).saturating_sub(files), Relaxed);
        self.left_bytes.fetch_add(all_bytes.saturating_sub(bytes), Relaxed);
    }
}

/// A query that runs or has run.
#[derive(Clone)]
pub struct QueryProgress {
    plan: Arc<dyn ExecutionPlan>,
    left_files: u64,
    left_bytes: u64,
}

/// What a query has read so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryRead {
    /// Files there are, in lakes and elsewhere.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the plan did not leave out.
    pub planned_files: u64,
    /// Their bytes.
    pub planned_bytes: u64,
    /// Files that have been opened.
    pub read_files: u64,
    /// Files that are done with.
    pub done_files: u64,
    /// Bytes that have been read.
    pub read_bytes: u64,
    /// Rows that have been looked at: decoded, and kept or not.
    pub rows: u64,
    /// Row groups that were looked at, and that were left out by statistics and bloom filters.
    pub row_groups: Kept,
    /// Pages of those that were looked at, and that were left out.
    pub pages: Kept,
    /// Bytes that did not fit into memory and were written to temporary files.
    pub spilled_bytes: u64,
}

/// What was looked at, and what was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Looked at.
    pub read: u64,
    /// Left out.
    pub pruned: u64,
}

impl QueryProgress {
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>, scanned: &Scanned) -> QueryProgress {
        QueryProgress {
            plan,
            left_files: scanned.left_files.load(Relaxed),
            left_bytes: scanned.left_bytes.load(Relaxed),
        }
    }

    /// How far it is.
    pub fn read(&self) -> QueryRead {
        let mut read = QueryRead { files: self.left_files, bytes: self.left_bytes, ..Default::default() };
        add(&self.plan, &mut read);
        read
    }
}

impl fmt::Debug for QueryProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

fn add(plan: &Arc<dyn ExecutionPlan>, read: &mut QueryRead) {
    if let Some(metrics) = plan.metrics() {
        read.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
    }
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        add_scan(scan, read);
    }
    for child in plan.children() {
        add(child, read);
    }
}

fn add_scan(scan: &DataSourceExec, read: &mut QueryRead) {
    let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>() else { return };
    // A file may be in several groups, a range of it in each.
    let mut files: HashSet<&Path> = HashSet::new();
    let mut bytes = 0;
    for file in config.file_groups.iter().flat_map(|group| group.files()) {
        if files.insert(&file.object_meta.location) {
            bytes += file.object_meta.size;
        }
    }
    let files = files.len() as u64;
    read.files += files;
    read.bytes += bytes;
    read.planned_files += files;
    read.planned_bytes += bytes;

    let (mut opened, mut done, mut skipped) = (0, 0, 0);
    let metrics = scan.metrics().unwrap_or_default();
    for metric in metrics.iter() {
        match metric.value() {
            MetricValue::OutputRows(rows) => read.rows += rows.value() as u64,
            MetricValue::Count { name, count } => {
                let count = count.value() as u64;
                match name.as_ref() {
                    "files_opened" => opened += count,
                    "files_processed" => done += count,
                    "bytes_scanned" => read.read_bytes += count,
                    "pushdown_rows_pruned" => read.rows += count,
                    "row_groups_pruned_dynamic_filter" => read.row_groups.pruned += count,
                    _ => {}
                }
            }
            MetricValue::PruningMetrics { name, pruning_metrics } => {
                let (pruned, matched) = (pruning_metrics.pruned() as u64, pruning_metrics.matched() as u64);
                match name.as_ref() {
                    "files_ranges_pruned_statistics" => skipped += pruned,
                    "row_groups_pruned_statistics" => {
                        read.row_groups.read += matched;
                        read.row_groups.pruned += pruned;
                    }
                    // Asked of those that the statistics left.
                    "row_groups_pruned_bloom_filter" => {
                        read.row_groups.read = read.row_groups.read.saturating_sub(pruned);
                        read.row_groups.pruned += pruned;
                    }
                    "page_index_pages_pruned" => {
                        read.pages.read += matched;
                        read.pages.pruned += pruned;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    read.read_files += u64::min(opened.saturating_sub(skipped), files);
    read.done_files += u64::min(done, files);
}
