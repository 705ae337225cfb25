//! Real records, and everything broken that lies about with them: what can be read comes back, and the books balance.
//!
//! Nothing of the corpus is in the repository; without it these tests say that they were skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use libdeflater::Decompressor;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::command::TestEnv;
use crate::support::envelope;
use crate::support::json::Value;
use crate::support::lake::{convert, exported, rejected};

/// Where the corpus's list counts events that are none, or that are in no envelope: the file, and what it is.
const OTHERWISE: &[(&str, &str)] = &[
    ("doc_source/async-inference-check-predictions.json", "a notification from SageMaker, rejected as such"),
    (
        "tests/fixtures/sample_events.json",
        "one object with an event under each of several made-up keys, rejected",
    ),
];

/// A file of the corpus: the URL it is converted from, and what can be taken out of it.
struct File {
    path: String,
    url: String,
    records: Result<Vec<Value>, String>,
}

/// What the ledger says of an object.
struct Entry {
    records: i64,
    rejected: i64,
}

#[test]
fn the_whole_corpus_comes_back() {
    let Some(root) = std::env::var_os("TRAILHOUSE_CORPUS").map(PathBuf::from) else {
        println!("skipped: TRAILHOUSE_CORPUS names no corpus");
        return;
    };
    let env = TestEnv::new();
    let (output, report) = convert(&env, &root);
    assert!(matches!(output.code, 0 | 3), "{}", output.stderr);
    let count = |of: &str, what: &str| report[of][what].as_u64().unwrap();
    let records = |what| count("records", what);
    assert_eq!(
        records("in"),
        records("rows") + records("duplicates") + records("filtered") + records("rejected")
    );
    assert_eq!(count("objects", "unreadable"), 0);
    println!("objects {}\nrecords {}\nskipped {}", report["objects"], report["records"], report["skipped"]);
    assert_eq!(rejected(&env).len() as u64, records("rejected"));

    let ledger = ledger(&env);
    assert_eq!(ledger.len() as u64, count("objects", "listed"));
    let files = files(&root);
    let back: Vec<Value> = exported(&env).iter().map(|line| Value::read(line).unwrap()).collect();
    assert_eq!(back.len() as u64, records("rows"));
    let back: BTreeSet<Value> = back.into_iter().collect();

    let mut wrong = Vec::new();
    let mut expected = BTreeSet::new();
    for file in &files {
        let Ok(records) = &file.records else { continue };
        let Some(entry) = ledger.get(&file.url) else {
            if !records.is_empty() {
                wrong.push(format!("{}: not converted", file.path));
            }
            continue;
        };
        if entry.records - entry.rejected != records.len() as i64 {
            wrong.push(format!(
                "{}: {} records, {} of them rejected, where {} are in it",
                file.path,
                entry.records,
                entry.rejected,
                records.len()
            ));
        }
        let missing = records.iter().filter(|record| !back.contains(record)).count();
        if missing > 0 {
            wrong.push(format!("{}: {missing} records do not come back", file.path));
        }
        expected.extend(records.iter().cloned());
    }
    assert_eq!(wrong, [""; 0]);
    println!(
        "{} files hold {} different events; {} more are from files that are broken somewhere",
        files.iter().filter(|file| file.records.is_ok()).count(),
        expected.len(),
        back.difference(&expected).count()
    );
    assert_manifest(&root, &ledger, &files);
}

/// Compares counts with those of the corpus's own list, which were made by neither this program nor this test.
fn assert_manifest(root: &Path, ledger: &BTreeMap<String, Entry>, files: &[File]) {
    let manifest = std::fs::read_to_string(root.join("MANIFEST.tsv")).unwrap();
    let mut differences = Vec::new();
    let mut compared = 0;
    for line in manifest.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let (path, envelope, events) = (cells[0], cells[2], cells[3].parse::<i64>().unwrap());
        if envelope == "-" || envelope.contains("MALFORMED") || envelope.starts_with("digest") {
            continue;
        }
        compared += 1;
        let file = files.iter().find(|file| file.path == path).unwrap();
        let entry = ledger.get(&file.url);
        let found = entry.map_or(0, |entry| entry.records - entry.rejected);
        if OTHERWISE.iter().any(|(otherwise, _)| path.ends_with(otherwise)) {
            assert_eq!(found, 0, "{path}");
        } else if found != events {
            differences.push(format!("{path} ({envelope}): {found} events, listed with {events}"));
        }
    }
    println!("{compared} files compared with the list");
    assert_eq!(differences, [""; 0]);
}

/// All files below a folder.
fn files(root: &Path) -> Vec<File> {
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let records = text(&std::fs::read(&path).unwrap()).and_then(|text| envelope::records(&text));
            let url = url::Url::from_file_path(&path).unwrap().to_string();
            found.push(File {
                path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                url,
                records,
            });
        }
    }
    found
}

fn text(bytes: &[u8]) -> Result<String, String> {
    let inflated;
    let bytes = if bytes.starts_with(b"\x1f\x8b") {
        let size = u32::from_le_bytes(*bytes.last_chunk().unwrap()) as usize;
        let mut out = vec![0; size];
        Decompressor::new().gzip_decompress(bytes, &mut out).map_err(|error| error.to_string())?;
        inflated = out;
        &inflated[..]
    } else {
        bytes
    };
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

fn ledger(env: &TestEnv) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for file in std::fs::read_dir(env.path("lake/_trailhouse/ledger")).unwrap() {
        let file = std::fs::File::open(file.unwrap().path()).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let urls = batch.column_by_name("url").unwrap();
            let urls = arrow::compute::cast(urls, &arrow::datatypes::DataType::Utf8).unwrap();
            let number = |name: &str, row: usize| {
                let column = batch.column_by_name(name).unwrap();
                let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).unwrap();
                column.as_primitive::<Int64Type>().value(row)
            };
            for row in 0..urls.len() {
                let url = urls.as_string::<i32>().value(row).to_owned();
                let entry = Entry { records: number("records", row), rejected: number("rejected", row) };
                entries.insert(url, entry);
            }
        }
    }
    entries
}
