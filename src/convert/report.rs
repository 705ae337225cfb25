//! What a run did, in numbers that must add up.

use std::collections::BTreeMap;

use serde::Serialize;

/// Objects of the sources by what became of them: `listed` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// Found and within the filters.
    pub listed: u64,
    /// Converted by an earlier run.
    pub known: u64,
    /// Converted now, with at least one record.
    pub converted: u64,
    /// Read, and without a record.
    pub empty: u64,
    /// Read, and of another kind: a digest, an AWS Config delivery.
    pub foreign: u64,
    /// Read, and nothing of it could be converted.
    pub rejected: u64,
    /// Not readable: vanished, denied, changed. The next run tries them again.
    pub unreadable: u64,
    /// Of those that were read, the ones that have replaced another object under their URL.
    pub replaced: u64,
}

impl Objects {
    /// What the run has tried to read.
    pub fn tried(&self) -> u64 {
        self.converted + self.empty + self.foreign + self.rejected + self.unreadable
    }
}

/// Records by what became of them: `found` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Records in the objects that were read.
    #[serde(rename = "in")]
    pub found: u64,
    /// Rows written.
    pub rows: u64,
    /// Copies of records that became rows.
    pub duplicates: u64,
    /// Outside the filters.
    pub filtered: u64,
    /// Kept under `_trailhouse/rejected`.
    pub rejected: u64,
}

/// Bytes, by where they passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Of the objects listed, as stored.
    pub listed: u64,
    /// Of the objects read, as stored.
    pub read: u64,
    /// Of their text.
    pub inflated: u64,
    /// Of the data files.
    pub written: u64,
}

/// Requests as S3 bills them; for local files, the calls they would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// LIST, a request a page.
    pub list: u64,
    /// GET and HEAD.
    pub get: u64,
    /// PUT, POST and multipart.
    pub put: u64,
}

/// Input that was not converted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The object's URL.
    pub object: String,
    /// The record's number in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The byte of the inflated object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Why.
    pub reason: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was found is in the lake.
    #[default]
    Done,
    /// What could be converted is in the lake; something was rejected or not readable.
    Rejected,
    /// Nothing was written: a dry run.
    Planned,
}

/// The report of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How it ended.
    pub verdict: Verdict,
    /// The lake's URL.
    pub lake: String,
    /// The sources' URLs.
    pub sources: Vec<String>,
    /// The id of the run, which its commits carry.
    pub run_id: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it took.
    pub duration_seconds: f64,
    /// The table version it left; absent in a dry run.
    pub version: Option<u64>,
    /// Commits made.
    pub commits: u64,
    /// How often the run planned again, because others had converted some of the same.
    pub planned_again: u64,
    /// The first path day that was listed of a source, where the run looked back by itself.
    pub listed_from: BTreeMap<String, String>,
    /// Objects by outcome.
    pub objects: Objects,
    /// What listing left out: the reason, and how many objects or folders.
    pub skipped: BTreeMap<String, u64>,
    /// Records by outcome.
    pub records: Records,
    /// Rows that share account and event id with a row of other content; they are counted as rows too.
    pub conflicts: u64,
    /// Bytes.
    pub bytes: Volume,
    /// Requests to the sources and the lake.
    pub requests: Requests,
    /// Data files written; in a dry run, the number to expect.
    pub files: u64,
    /// The first and the last path day among the objects to convert.
    pub days: Option<(String, String)>,
    /// Accounts in the keys of the objects to convert.
    pub accounts: u64,
    /// Regions in them.
    pub regions: u64,
    /// Input that was rejected, the first of it.
    pub rejected: Vec<Note>,
    /// Objects that could not be read, and folders that could not be listed, the first of them.
    pub unreadable: Vec<Note>,
    /// Notes left out of the two lists above.
    pub notes_omitted: u64,
    /// Folders that could not be listed.
    pub unlisted: u64,
    /// Whether the counts of objects and records add up. Always true; false is a defect to report.
    pub balanced: bool,
}

impl Report {
    /// Whether objects and records add up.
    pub fn is_balanced(&self) -> bool {
        let objects = &self.objects;
        let records = &self.records;
        let dry = self.verdict == Verdict::Planned;
        (dry || objects.listed == objects.known + objects.tried())
            && records.found == records.rows + records.duplicates + records.filtered + records.rejected
    }

    /// What S3 asks for the requests, US dollars at the price of us-east-1's standard class (September 2026: $0.005 a
    /// thousand for LIST and PUT, $0.0004 a thousand for GET).
    pub fn request_price_usd(&self) -> f64 {
        (self.requests.list + self.requests.put) as f64 * 0.005e-3 + self.requests.get as f64 * 0.0004e-3
    }
}
