//! Small trails, written as they are read here and gzipped when they are stored.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};

use super::s3::S3Server;

/// Accounts that have trails.
pub const A: &str = "111122223333";
pub const B: &str = "444455556666";

/// Objects by key.
#[derive(Debug, Clone, Default)]
pub struct Trail(pub Vec<(String, Vec<u8>)>);

impl Trail {
    /// Two accounts with two Regions and two days each, an object each with two events: 8 objects, 16 events, named
    /// `e00` to `e15`. Above `AWSLogs` in every key stands `above`.
    pub fn grid(above: &str) -> Trail {
        let mut trail = Trail::default();
        let mut number = 0;
        for account in [A, B] {
            for region in ["eu-west-1", "us-east-1"] {
                for day in ["2026-03-01", "2026-03-02"] {
                    let next = |minute: u32| {
                        let id = format!("e{:02}", number + minute);
                        event(account, region, &format!("{day}T10:0{minute}:00Z"), &id)
                    };
                    let key = key("CloudTrail", account, region, &format!("{day}T10:05"), "grid");
                    trail = trail.log(&format!("{above}{key}"), &[next(0), next(1)]);
                    number += 2;
                }
            }
        }
        trail
    }

    /// What two trails deliver in these days of March 2026, a task a day: of two accounts, with copies within a day,
    /// between days and between the trails, around midnight too; records without an id, of the same id, without a
    /// Region, or rejected; and objects that are empty, damaged or a digest.
    pub fn busy(days: RangeInclusive<u32>) -> [Trail; 2] {
        let (mut first, mut second) = (Trail::default(), Trail::default());
        for day in days {
            let date = |day: u32| format!("2026-03-{day:02}");
            let at =
                |day: u32, time: &str, id: &str| event(A, "us-east-1", &format!("{}T{time}Z", date(day)), id);
            let noon = |name: &str| at(day, "12:00:00", &format!("{name}-{day:02}"));
            let midnight = |day: u32| at(day, "23:59:59.987654", &format!("midnight-{day:02}"));
            let shared = with(event(B, "eu-west-1", &format!("{}T12:00:00Z", date(day)), "shared"), "n", day);
            let regionless = without(noon("regionless"), "awsRegion");
            let old = with(without(noon(""), "eventID"), "n", day);
            let timeless = with(without(noon("timeless"), "eventTime"), "n", 0);
            let other = with(noon("one"), "eventName", "StopInstances");
            let object = |account: &str, region: &str, time: &str, unique: &str| {
                key("CloudTrail", account, region, &format!("{}T{time}", date(day)), unique)
            };
            first = first
                .log(
                    &object(A, "us-east-1", "00:05", "a"),
                    &[midnight(day - 1), noon("one"), regionless.clone(), old.clone(), json!(day)],
                )
                .log(&object(A, "us-west-2", "12:05", "b"), &[noon("two"), noon("one"), regionless, timeless])
                .log(&object(B, "eu-west-1", "12:05", "c"), std::slice::from_ref(&shared))
                .log(&object(A, "us-east-1", "23:59", "d"), &[midnight(day), other]);
            match day % 4 {
                0 => first = first.put(&object(B, "eu-west-1", "13:05", "e"), truncated("no records")),
                1 => first = first.log(&object(B, "eu-west-1", "13:05", "e"), &[]),
                2 => first = first.log(&object(B, "eu-west-1", "13:05", "e"), &[json!("a"), json!(["b"])]),
                _ => {
                    let digest =
                        key("CloudTrail-Digest", A, "us-east-1", &format!("{}T12:00", date(day)), "f");
                    first = first.put(&digest, gzip("{}"));
                }
            }
            second = second
                .log(
                    &object(A, "us-east-1", "12:05", "g"),
                    &[
                        noon("one"),
                        noon("three"),
                        old,
                        at(day - 1, "12:00:00", &format!("two-{:02}", day - 1)),
                    ],
                )
                .log(&object(B, "eu-west-1", "12:05", "h"), &[shared.clone(), with(shared, "n", "other")]);
        }
        [first, second]
    }

    /// The same and an object with these records, as CloudTrail delivers it.
    pub fn log(self, key: &str, records: &[Value]) -> Trail {
        self.put(key, gzip(records_of(records)))
    }

    /// The same and an object with these bytes.
    pub fn put(mut self, key: &str, bytes: impl Into<Vec<u8>>) -> Trail {
        self.0.push((key.to_owned(), bytes.into()));
        self
    }

    /// Writes the objects into a directory.
    pub fn write(&self, dir: impl AsRef<Path>) {
        for (key, bytes) in &self.0 {
            let path = dir.as_ref().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Stores the objects in a bucket.
    pub fn upload(&self, server: &S3Server, bucket: &str) {
        for (key, bytes) in &self.0 {
            server.put(bucket, key, bytes);
        }
    }
}

/// The names of the events in [`Trail::grid`].
pub fn grid_ids() -> Vec<String> {
    (0..16).map(|number| format!("e{number:02}")).collect()
}

/// The key of an object in the plain layout; `slot` is as in `2026-03-01T10:05`.
pub fn key(folder: &str, account: &str, region: &str, slot: &str, unique: &str) -> String {
    let (day, compact) = (slot[..10].replace('-', "/"), slot.replace(['-', ':'], ""));
    format!(
        "AWSLogs/{account}/{folder}/{region}/{day}/{account}_{folder}_{region}_{compact}Z_{unique}.json.gz"
    )
}

/// An event of some call.
pub fn event(account: &str, region: &str, time: &str, id: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "accountId": account, "userName": "jo", "accessKeyId": "AKIAINVENTED00000001"},
        "eventTime": time,
        "eventSource": "ec2.amazonaws.com",
        "eventName": "DescribeInstances",
        "awsRegion": region,
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/2.31",
        "requestParameters": {"maxResults": 5},
        "responseElements": null,
        "requestID": format!("r-{id}"),
        "eventID": id,
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    })
}

/// The same event with another value for a field.
pub fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event[key] = value.into();
    event
}

/// The same event without a field.
pub fn without(mut event: Value, key: &str) -> Value {
    event.as_object_mut().unwrap().remove(key);
    event
}

/// The text of an object with these records.
pub fn records_of(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

pub fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut bytes = vec![0; compressor.gzip_compress_bound(text.len())];
    let length = compressor.gzip_compress(text, &mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// As `gzip` and `cat` make it: every part a member.
pub fn gzip_members(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(gzip).collect()
}

/// Gzip that ends in its middle.
pub fn truncated(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = gzip(text);
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// Gzip of very many blanks.
pub fn bomb(bytes: usize) -> Vec<u8> {
    gzip(vec![b' '; bytes])
}
