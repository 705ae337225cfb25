//! Lossless: every record comes back equal as a JSON value, or is rejected verbatim with a reason. Nothing third.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use proptest::prelude::*;
use trailhouse::event::chunk::{Chunk, Outcome, Source};
use trailhouse::event::rebuild::Rebuilder;
use trailhouse::event::sort::{Group, Grouping, Tally};
use trailhouse::schema::COLUMNS;

use crate::support::json::Value;

const BY_DATE: Grouping = Grouping { date: true, account: false, region: false };

/// Converts one object in memory.
fn convert(data: &[u8]) -> (Outcome, Vec<RecordBatch>, Tally) {
    let mut chunk = Chunk::new(1 << 16);
    let source = Source { url: "file:///a", account: None, region: None, day: None, records_before: 0 };
    let outcome = chunk.object(data, &source, 64 << 20, &mut |_| true);
    let mut groups = Vec::new();
    let keep = |sorted: Vec<Group<'_>>, _: &mut Tally| -> Result<(), ArrowError> {
        for group in sorted {
            groups.push(group.batch(0, usize::MAX)?);
        }
        Ok(())
    };
    let tally = chunk.finish(BY_DATE, true, keep).unwrap();
    (outcome, groups, tally)
}

/// The rebuilt records with their numbers in the object.
fn rebuilt(groups: &[RecordBatch]) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for batch in groups {
        let mut lines = Vec::new();
        Rebuilder.lines(batch, &mut lines).unwrap();
        let numbers = batch.column_by_name("row_source_record").unwrap();
        let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(numbers.as_ref());
        let lines = String::from_utf8(lines).unwrap();
        found.extend(
            numbers.values().iter().map(|&number| number as u64).zip(lines.lines().map(str::to_owned)),
        );
    }
    found
}

/// Asserts the promise for the records of one object.
fn assert_lossless(records: &[String]) {
    let text = format!("{{\"Records\":[{}]}}", records.join(","));
    let (outcome, groups, tally) = convert(text.as_bytes());
    assert_eq!(outcome.records, records.len() as u64);
    let back = rebuilt(&groups);
    let duplicates: u64 = tally.duplicates.iter().sum();
    let rejected = outcome.rejects.len() as u64;
    assert_eq!(outcome.records, back.len() as u64 + duplicates + rejected);
    for (number, record) in (1..).zip(records) {
        let delivered = Value::read(record).unwrap();
        if let Some((_, line)) = back.iter().find(|(row, _)| *row == number) {
            assert_eq!(Value::read(line).unwrap(), delivered, "delivered {record}\nrebuilt {line}");
        } else if let Some(reject) = outcome.rejects.iter().find(|reject| reject.record == Some(number)) {
            assert_eq!(std::str::from_utf8(&reject.data).unwrap(), record);
            assert!(!reject.reason.is_empty());
        } else {
            let is_copy = back.iter().any(|(_, line)| Value::read(line).unwrap() == delivered);
            assert!(is_copy, "record {number} is nowhere: {record}");
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    let steps: Vec<&str> =
        COLUMNS.iter().flat_map(|column| column.path.split('.')).filter(|key| !key.is_empty()).collect();
    prop_oneof![
        8 => proptest::sample::select(steps).prop_map(|key| format!("\"{key}\"")),
        2 => proptest::sample::select(vec![
            r#""eventId""#, r#""requestId""#, r#""deviceID""#, r#""arn""#, r#""event\u004eame""#, r#""userIdentit\u0079""#,
            r#""""#, r#""\ud800""#, r#""a.b""#, r#""Records""#, r#""eventname""#, r#""unmapped""#, r#""event,Name!""#,
        ]).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|key| serde_json::to_string(&key).unwrap()),
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        proptest::sample::select(vec![
            "0",
            "-0",
            "0.0",
            "1e400",
            "-1E-400",
            "123456789012345678901234567890",
            "9.82222E-5",
            "1666275403000.0",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        proptest::sample::select(vec![
            r#""2026-03-01T00:00:00Z""#,
            r#""2026-03-01T00:00:00.123Z""#,
            r#""2026-02-30T00:00:00Z""#,
            r#""0000-01-01T00:00:00Z""#,
            r#""9999-12-31T23:59:59Z""#,
            r#""2026-03-01 10:00:00""#,
            r#""yesterday""#,
            r#""\ud83e""#,
            r#""\udd16x""#,
            r#""\ud83e\udd16""#,
            r#""\u0000""#,
            r#""a\/b""#,
            r#""true""#,
            r#""""#,
            r#""aws:s3""#,
            r#""AssumedRole""#,
            r#""111122223333""#,
            r#""a\nb""#,
        ])
        .prop_map(str::to_owned),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
    ]
}

fn object(value: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec((key(), value), 0..most).prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", members.join(" ,\n"))
    })
}

fn record() -> impl Strategy<Value = String> {
    let value = scalar().prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|values| format!("[{}]", values.join(", "))),
            object(inner, 6),
        ]
    });
    object(value, 12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn hostile_records_come_back_or_are_rejected(records in proptest::collection::vec(record(), 1..4)) {
        assert_lossless(&records);
    }

    #[test]
    fn identities_of_any_form_come_back(identity in record()) {
        assert_lossless(&[format!("{{\"userIdentity\":{identity},\"eventTime\":\"2026-03-01T00:00:00Z\"}}")]);
        assert_lossless(&[format!("{{\"userIdentity\":{{\"sessionContext\":{identity}}}}}")]);
        assert_lossless(&[format!("{{\"resources\":[{identity},{{\"ARN\":\"a\",\"type\":\"t\"}}]}}")]);
    }
}

#[test]
fn what_has_bitten_before() {
    for record in [
        "{}",
        r#"{"eventName":"a","eventName":"b"}"#,
        r#"{"eventName":"a","eventName":null}"#,
        r#"{"readOnly":true,"readOnly":"false"}"#,
        r#"{"eventID":"a","eventId":"b"}"#,
        r#"{"eventId":"b"}"#,
        r#"{"userIdentity":{"type":"Root"},"userIdentity":{"arn":"x"}}"#,
        r#"{"userIdentity":{"type":"Root","x":{}},"userIdentity":null}"#,
        r#"{"userIdentity":null,"responseElements":null}"#,
        r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{},"webIdFederationData":{"attributes":{}}}}}"#,
        r#"{"userIdentity":{"sessionContext":"none","onBehalfOf":{"more":[1,{"a":null}]}}}"#,
        r#"{"event\u004eame":"a","userIdentity":{"t\u0079pe":"Root"}}"#,
        r#"{"timeWindow":{"windowStart":"2025-10-30 23:45:00"},"eventId":"e"}"#,
        r#"{"timeWindow":{"windowStart":"2025-10-30T23:45:00Z"},"eventTime":null}"#,
        r#"{"timeWindow":{"windowStart":"2025-10-30T23:45:00Z"},"eventTime":"yesterday"}"#,
        r#"{"resources":[{"ARN":"a"},{"arn":"b"},"c",null,{}]}"#,
        r#"{"resources":{"ARN":"a"}}"#,
        r#"{"insightDetails":{"state":"Start","state":"End","insightContext":{"statistics":3}}}"#,
        r#"{"edgeDeviceDetails":{"deviceID":"x"}}"#,
    ] {
        assert_lossless(&[record.to_owned()]);
    }
}

#[test]
fn nesting_of_any_depth_comes_back() {
    // Beyond what the comparison can read recursively, so the text itself is compared.
    let deep = format!("{{\"requestParameters\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let (outcome, groups, _) = convert(format!("{{\"Records\":[{deep}]}}").as_bytes());
    assert_eq!(outcome.rejects, []);
    assert_eq!(rebuilt(&groups), [(1, deep)]);
}

#[test]
fn nothing_is_dropped_between_envelopes() {
    let event =
        |id: &str| format!(r#"{{"eventTime":"2026-03-01T00:00:00Z","eventName":"N","eventID":"{id}"}}"#);
    let (a, b) = (event("id-a"), event("id-b"));
    let (text_a, text_b) = (serde_json::to_string(&a).unwrap(), serde_json::to_string(&b).unwrap());
    for object in [
        format!(r#"{{"Records":[{a}],"Records":[{b}]}}"#),
        format!(r#"{{"x":1,"Records":[{a}],"Records":[{b}]}}"#),
        format!(r#"{{"Events":[{{"CloudTrailEvent":{text_a}}}],"Records":[{b}]}}"#),
        format!(r#"{{"CloudTrailEvent":{text_a},"CloudTrailEvent":{text_b}}}"#),
        format!(r#"{{"detail":{a},"detail":{b}}}"#),
        r#"{"eventName":"id-a","eventID":"id-b","Events":[]}"#.to_owned(),
        r#"{"eventName":"id-a","eventID":"id-b","_raw":"zzz"}"#.to_owned(),
        format!("{a}\n{{\"configurationItem\":{{\"x\":1}},\"eventName\":\"lost\"}}\n{b}"),
        format!(
            r#"{{"messageType":"CONTROL_MESSAGE","logEvents":[{{"message":{text_a}}},{{"message":{text_b}}}]}}"#
        ),
        format!(r#"{{"x":0,"Records":[{a}],"eventID":"id-b"}}"#),
        format!(
            "2026-03-01T00:00:00.000Z {a}\n2026-03-01T00:00:00.000Z {{\"cut\n2026-03-01T00:00:00.000Z {b}"
        ),
    ] {
        let (outcome, groups, _) = convert(object.as_bytes());
        let kept: String = rebuilt(&groups).into_iter().map(|(_, line)| line).collect();
        let rejected: Vec<u8> = outcome.rejects.iter().flat_map(|reject| reject.data.clone()).collect();
        let all = kept + &String::from_utf8(rejected).unwrap();
        for id in ["id-a", "id-b"] {
            assert!(all.contains(id), "{id} is gone: {object}");
        }
        assert!(!object.contains("lost") || all.contains("lost"), "{object}");
    }
}

#[test]
fn lists_in_lists_are_no_way_down() {
    let deep = 100_000;
    let object = r#"{"Events":["#.repeat(deep) + &"]}".repeat(deep);
    let (outcome, groups, _) = convert(object.as_bytes());
    assert_eq!((groups.len(), outcome.rejects.len()), (0, 1));
}

#[test]
fn a_wrapped_record_that_is_none_is_kept_as_it_stood() {
    let object = r#"{"CloudTrailEvent":"{\"eventSource\":\"aws:s3\",\"eventName\":\"x\"}"}"#;
    let (outcome, ..) = convert(object.as_bytes());
    let reject = &outcome.rejects[0];
    let byte = reject.byte.unwrap() as usize;
    assert_eq!(&object.as_bytes()[byte..byte + reject.data.len()], reject.data);
}
