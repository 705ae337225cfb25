//! Small trails, written as they are read here and gzipped when they are stored.

use std::fs;
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
