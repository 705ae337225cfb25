//! One bad record costs that record, one bad object that object; nothing is lost without a word.

use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};

use crate::support::command::TestEnv;
use crate::support::json::Value;
use crate::support::lake::{convert, data, documented, exported, files, rejected};

/// What is said of each file: the number of the record and the reason, in their order.
const REASONS: &[(&str, &[(u64, &str)])] = &[
    ("config.json", &[]),
    ("digest.json", &[]),
    ("empty-records.json", &[]),
    ("empty.json", &[]),
    (
        "event-history.csv",
        &[(1, "a CSV export of the console's event history, which does not hold the events themselves")],
    ),
    ("invalid-utf8.json", &[(1, "invalid UTF-8 at byte 415")]),
    ("mid-record.json", &[(1, "not JSON: byte 0 is '8'"), (3, "not JSON: byte 1109 is ']'")]),
    ("no-records.json", &[(1, "JSON, but no CloudTrail event")]),
    ("not-json.txt", &[(1, "not JSON: byte 0 is 'T'")]),
    (
        "not-objects.json",
        &[
            (1, "a record is a number, not an object"),
            (2, "a record is a string, not an object"),
            (4, "a record is null, not an object"),
            (5, "a record is a list, not an object"),
        ],
    ),
    ("records-is-object.json", &[(1, "\"Records\" is not a list")]),
    ("s3-notification.json", &[(1, "a notification from aws:s3, not a CloudTrail event")]),
    ("stray-braces.json", &[(2, "not valid JSON at byte 741: a value is missing")]),
    ("trailing-comma.json", &[(3, "not valid JSON at byte 1492: a comma stands before the closing bracket")]),
    ("truncated.json", &[(2, "not valid JSON at byte 1092: the text ends in the middle of a value")]),
];

#[test]
fn every_file_is_known() {
    let documented: Vec<String> = documented("hostile").into_keys().collect();
    assert_eq!(documented, files("hostile"));
    assert_eq!(documented, REASONS.iter().map(|(file, _)| *file).collect::<Vec<_>>());
}

#[test]
fn what_is_readable_is_kept_and_the_rest_is_kept_aside() {
    let documented = documented("hostile");
    for (file, reasons) in REASONS {
        let path = data("hostile").join(file);
        let env = TestEnv::new();
        let (output, report) = convert(&env, &path);
        assert_eq!(output.code, if reasons.is_empty() { 0 } else { 3 }, "{file}");
        assert_eq!(report["records"]["rows"].to_string(), documented[*file], "{file}");

        let aside = rejected(&env);
        let found: Vec<(u64, &str)> =
            aside.iter().map(|reject| (reject.record.unwrap(), reject.reason.as_str())).collect();
        assert_eq!(found, *reasons, "{file}");
        let bytes = std::fs::read(&path).unwrap();
        for reject in &aside {
            let start = reject.byte.unwrap() as usize;
            assert_eq!(bytes[start..start + reject.data.len()], reject.data, "{file}: not verbatim");
            assert!(output.stderr.contains(&reject.reason), "{file}: {}", output.stderr);
            assert!(reject.object.ends_with(file), "{file}: {}", reject.object);
        }
        let mut kept: Vec<Value> = exported(&env).iter().map(|line| Value::read(line).unwrap()).collect();
        kept.sort();
        assert_eq!(kept, sound_lines(&bytes), "{file}");
        assert_eq!(report["rejected"].as_array().unwrap().len(), reasons.len(), "{file}");
    }
}

/// The events that stand in a line of their own, sorted: the files are written so.
fn sound_lines(bytes: &[u8]) -> Vec<Value> {
    let mut found: Vec<Value> = bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            let event = &line[line.find(r#"{"eventVersion":"1.1"#)?..];
            let event = event.trim_end_matches(',').trim_end_matches("]}").trim_end_matches(']');
            Value::read(event).ok()
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_folder_of_them_costs_nobody_else_anything() {
    let env = TestEnv::new();
    let (output, report) = convert(&env, &data("hostile"));
    assert_eq!(output.code, 3);
    let readable: u64 = documented("hostile").values().map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(report["records"]["rows"], readable);
    let reasons: usize = REASONS.iter().map(|(_, reasons)| reasons.len()).sum();
    assert_eq!(report["records"]["rejected"], reasons);
    assert_eq!(rejected(&env).len(), reasons);
    assert_eq!(report["verdict"], "rejected");
    assert_eq!(report["objects"]["foreign"], 2);

    // Said once, it is not said again: the ledger knows these objects.
    let (output, report) = convert(&env, &data("hostile"));
    assert_eq!(output.code, 0);
    assert_eq!(report["records"]["in"], 0);
}

#[test]
fn punctuation_too_much_costs_no_record() {
    let record =
        |id: u8| format!(r#"{{"eventVersion":"1.11","eventID":"{id}","requestParameters":{{"a":[{{}}]}}}}"#);
    let (one, two, three) = (record(1), record(2), record(3));
    for text in [
        format!("[{one},,{two},{three}]"),
        format!("[{one}}}}},{two},{three}]"),
        format!("[{one}, }},\n{two},{three}]"),
        format!("[,{one},{two},{three}]"),
        format!("{{\"Records\":[{one}}},{two},{three}]}}"),
    ] {
        let env = TestEnv::new();
        std::fs::write(env.path("events.json"), &text).unwrap();
        let (output, report) = convert(&env, Path::new("events.json"));
        let records = (&report["records"]["rows"], &report["records"]["rejected"]);
        assert_eq!((output.code, records), (3, (&3.into(), &1.into())), "{text}\n{}", output.stderr);
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(data.len())];
    let size = compressor.gzip_compress(data, &mut out).unwrap();
    out.truncate(size);
    out
}

#[test]
fn gzip_is_told_by_its_bytes_not_by_its_name() {
    let record = br#"{"eventVersion":"1.11","eventID":"other","eventTime":"2026-03-01T00:00:00Z"}"#;
    let members =
        [gzip(record), gzip(b"\n"), gzip(br#"{"eventVersion":"1.11","eventID":"another"}"#)].concat();
    for (name, bytes, events) in [
        ("plain.json.gz", record.to_vec(), 1),
        ("packed.json", gzip(record), 1),
        ("twice.json.gz", gzip(&gzip(record)), 1),
        ("members.json.gz", members, 2),
    ] {
        let env = TestEnv::new();
        std::fs::write(env.path(name), &bytes).unwrap();
        let (output, report) = convert(&env, Path::new(name));
        assert_eq!(
            (output.code, &report["records"]["rows"]),
            (0, &events.into()),
            "{name}: {}",
            output.stderr
        );
    }
}
