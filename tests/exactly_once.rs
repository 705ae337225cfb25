//! Every event once, however often, late, twice and out of order its objects arrive, and whichever runs convert them.

use serde_json::{Value, json};
use trailhouse::store::Location;

use crate::support::command::{Report, TestEnv};
use crate::support::runs::Contents;
use crate::support::trail::{A, B, Trail, event, grid_ids, key, with, without};

const NOON: &str = "2026-03-01T12:00:00Z";

/// In, rows, duplicates, filtered.
const RECORDS: [&str; 4] = ["/records/in", "/records/rows", "/records/duplicates", "/records/filtered"];

fn convert(env: &TestEnv, more: &[&str]) -> Report {
    let args = ["convert", "trail", "--to", "lake", "--json"];
    env.run(args.iter().chain(more)).success().report()
}

/// An object of account A, of a day of March 2026.
fn object(day: u32, unique: &str) -> String {
    key("CloudTrail", A, "us-east-1", &format!("2026-03-{day:02}T12:05"), unique)
}

fn at_noon(id: &str) -> Value {
    event(A, "us-east-1", NOON, id)
}

#[test]
fn what_another_run_or_source_or_day_has_delivered_is_not_added_again() {
    let env = TestEnv::new();
    let midnight = event(A, "us-east-1", "2026-03-01T23:59:59Z", "midnight");
    Trail::default()
        .log(&object(1, "a"), &[at_noon("one"), at_noon("two"), midnight.clone()])
        .write(env.path("trail"));
    assert_eq!(convert(&env, &[]).all(RECORDS), [3, 3, 0, 0]);
    // Delivered again in the next day's folder, and by another trail, with other white space.
    Trail::default()
        .log(&object(2, "b"), &[midnight.clone(), at_noon("three")])
        .put(&object(1, "c"), format!("{{ \"Records\" : [ {:#} ]}}", at_noon("two")))
        .write(env.path("trail"));
    assert_eq!(convert(&env, &[]).all(RECORDS), [3, 1, 2, 0]);
    Trail::default()
        .log(&format!("other/{}", object(3, "d")), &[midnight, at_noon("one"), at_noon("four")])
        .write(env.path("second"));
    let report = env.run(["convert", "second", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(RECORDS), [3, 1, 2, 0]);
    assert_eq!(env.ids("lake"), ["four", "midnight", "one", "three", "two"]);
    let report = env.run(["convert", "second", "trail", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(["/records/in", "/commits", "/objects/known"]), [0, 0, 4]);
}

#[test]
fn copies_in_different_tasks_are_found_and_the_first_is_kept() {
    for jobs in ["1", "4"] {
        let env = TestEnv::new();
        // Too much for one chunk of the memory given, so that copies lie in several tasks.
        let large = "x".repeat(150_000);
        let bulky = |id: &str| with(at_noon(id), "requestParameters", json!({"x": large, "id": id}));
        let mut trail = Trail::default();
        for unique in 0..12 {
            let records: Vec<Value> =
                (0..6).map(|number| bulky(&format!("e{:02}", unique / 2 * 6 + number))).collect();
            // Plain JSON, whose size as stored is what tasks are packed by.
            trail = trail.put(
                &object(1 + unique % 2, &format!("{unique:02}")),
                json!({"Records": records}).to_string(),
            );
        }
        trail.write(env.path("trail"));
        let report = convert(&env, &["--memory", "32MiB", "--jobs", jobs]);
        assert_eq!(report.all(RECORDS), [72, 36, 36, 0], "{jobs} jobs");
        assert!(report.n("/files") > 4, "{} files", report.n("/files"));
        let days = "SELECT DISTINCT row_source_object LIKE '%/2026/03/01/%' FROM events";
        assert_eq!(env.sql("lake", days), ["true"], "{jobs} jobs");
        assert_eq!(env.ids("lake").len(), 36);
    }
}

#[test]
fn the_same_id_with_another_content_is_kept_and_counted() {
    let env = TestEnv::new();
    Trail::default().log(&object(1, "a"), &[at_noon("one")]).write(env.path("trail"));
    convert(&env, &[]);
    let other = with(at_noon("one"), "eventName", "StopInstances");
    Trail::default().log(&object(1, "b"), &[other.clone(), at_noon("one"), other]).write(env.path("trail"));
    let report = convert(&env, &[]);
    assert_eq!(report.all(RECORDS), [3, 1, 2, 0]);
    assert_eq!(report.n("/conflicts"), 1);
    assert_eq!(
        env.sql("lake", "SELECT event_name FROM events ORDER BY 1"),
        ["DescribeInstances", "StopInstances"]
    );
}

#[test]
fn the_same_id_in_two_partitions_is_two_rows() {
    let env = TestEnv::new();
    let other = with(at_noon("one"), "awsRegion", "eu-west-1");
    Trail::default().log(&object(1, "a"), &[at_noon("one"), other]).write(env.path("trail"));
    assert_eq!(convert(&env, &["--partition-by", "date,region"]).all(RECORDS), [2, 2, 0, 0]);
}

#[test]
fn events_without_an_id_are_told_apart_by_their_content() {
    let env = TestEnv::new();
    let old = |name: &str| with(without(at_noon(""), "eventID"), "eventName", name);
    Trail::default().log(&object(1, "a"), &[old("One"), old("Two")]).write(env.path("trail"));
    convert(&env, &[]);
    let timeless = without(old("Three"), "eventTime");
    Trail::default()
        .log(&object(2, "b"), &[old("Two"), old("Four"), timeless.clone()])
        .write(env.path("trail"));
    assert_eq!(convert(&env, &[]).all(RECORDS), [3, 2, 1, 0]);
    Trail::default().log(&object(3, "c"), &[timeless, old("Four")]).write(env.path("trail"));
    assert_eq!(convert(&env, &[]).all(RECORDS), [2, 0, 2, 0]);
    assert_eq!(env.sql("lake", "SELECT event_name FROM events ORDER BY 1"), ["Four", "One", "Three", "Two"]);
}

#[test]
fn an_event_that_accounts_share_is_a_row_of_each() {
    let env = TestEnv::new();
    let shared = |account: &str| {
        let event = with(event(account, "us-east-1", NOON, "same"), "sharedEventID", "shared");
        with(event, "userIdentity", json!({"type": "AWSAccount", "accountId": A}))
    };
    for (account, unique) in [(A, "a"), (B, "b")] {
        let key = key("CloudTrail", account, "us-east-1", "2026-03-01T12:05", unique);
        Trail::default().log(&key, &[shared(account)]).write(env.path("trail"));
        assert_eq!(convert(&env, &[]).all(RECORDS), [1, 1, 0, 0]);
    }
    assert_eq!(env.sql("lake", "SELECT account FROM events ORDER BY 1"), [A, B]);
}

#[test]
fn what_filters_left_out_is_added_by_a_run_with_wider_ones() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let narrow = ["--since", "2026-03-01T10:01:00Z", "--until", "2026-03-02T10:01:00Z"];
    let report = convert(&env, &narrow);
    assert_eq!(report.all(RECORDS), [16, 8, 0, 8]);
    // Nothing new for the same filters or for narrower ones: no object is read.
    for since in ["2026-03-01T10:01:00Z", "2026-03-01T11:00:00Z"] {
        let again = convert(&env, &["--since", since, narrow[2], narrow[3]]);
        assert_eq!(again.all(["/records/in", "/commits"]), [0, 0]);
    }
    let report = convert(&env, &["--since", "2026-03-01"]);
    assert_eq!(report.all(RECORDS), [16, 8, 8, 0]);
    assert_eq!(env.ids("lake"), grid_ids());
    // Now they are known as a whole, and their books say whose rows they are.
    assert_eq!(
        convert(&env, &["--lookback", "all"]).all(["/records/in", "/objects/known", "/commits"]),
        [0, 8, 0]
    );
}

#[test]
fn an_object_that_filters_cut_in_disjoint_parts_is_booked_as_a_whole() {
    for dedupe in ["on", "off"] {
        let env = TestEnv::new();
        let at = |time: &str| event(A, "us-east-1", &format!("2026-03-01T{time}Z"), time);
        let records = [at("10:00:00"), at("11:00:00"), at("11:00:01"), json!("no record"), at("12:00:00")];
        Trail::default().log(&object(1, "a"), &records).write(env.path("trail"));
        let convert = |filter: &[&str]| {
            let args = ["convert", "trail", "--to", "lake", "--json", "--dedupe", dedupe];
            let output = env.run(args.iter().chain(filter));
            assert!(output.code == 0 || output.code == 3, "{}", output.stderr);
            output.report().all(RECORDS)
        };
        assert_eq!(convert(&["--until", "2026-03-01T11:00:00Z"]), [5, 1, 0, 3]);
        assert_eq!(convert(&["--since", "2026-03-01T12:00:00Z"]), [5, 1, 1, 2]);
        assert_eq!(convert(&["--lookback", "all"]), [5, 2, 2, 0]);
        assert_eq!(convert(&["--lookback", "all"]), [0, 0, 0, 0]);
        assert_eq!(env.ids("lake").len(), 4);
        let lake = env.path("lake");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // Whose books balance, with the record that was rejected in three runs.
        let contents = runtime.block_on(async {
            let options = trailhouse::store::Options::default();
            Contents::of(&Location::open(lake.to_str().unwrap(), &options).await.unwrap()).await
        });
        let entries: Vec<_> = contents.ledger.values().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].records, entries[0].rows, entries[0].rejected), (5, 4, 1));
        assert_eq!(contents.rejected.len(), 1);
    }
}

#[test]
fn a_replaced_object_is_told_and_adds_what_is_new() {
    let env = TestEnv::new();
    Trail::default().log(&object(1, "a"), &[at_noon("one")]).write(env.path("trail"));
    convert(&env, &[]);
    Trail::default().log(&object(1, "a"), &[at_noon("one"), at_noon("two")]).write(env.path("trail"));
    let output = env.run(["convert", "trail", "--to", "lake", "--json"]).success();
    let output = output.says(&[
        "a.json.gz",
        "replaced: another object was converted under this URL before",
        "1 object replaced under its URL",
    ]);
    let report = output.report();
    assert_eq!(report.all(RECORDS), [2, 1, 1, 0]);
    assert_eq!(report.n("/objects/replaced"), 1);
    assert_eq!(env.ids("lake"), ["one", "two"]);
    assert_eq!(convert(&env, &[]).n("/records/in"), 0);
}

#[test]
fn a_run_looks_back_and_since_reaches_further() {
    let env = TestEnv::new();
    let day = |day: u32| format!("2026-03-{day:02}T12:00:00Z");
    for of in [1, 10] {
        let id = format!("d{of:02}");
        Trail::default()
            .log(&object(of, "a"), &[event(A, "us-east-1", &day(of), &id)])
            .write(env.path("trail"));
    }
    let report = convert(&env, &[]);
    assert_eq!(report.all(["/objects/listed", "/records/rows"]), [2, 2]);
    assert_eq!(report.0["listed_from"], json!({}));
    for of in [2, 6, 7, 9] {
        let id = format!("d{of:02}");
        Trail::default()
            .log(&object(of, "late"), &[event(A, "us-east-1", &day(of), &id)])
            .write(env.path("trail"));
    }
    let output = env.run(["convert", "trail", "--to", "lake", "--json"]).success();
    let output = output.says(&["was listed from 2026-03-07 on; --since reaches further back."]);
    assert_eq!(output.report().all(["/objects/listed", "/records/rows"]), [3, 2]);
    let wider = convert(&env, &["--lookback", "4"]);
    assert_eq!(wider.all(["/objects/listed", "/records/rows"]), [4, 1]);
    assert_eq!(convert(&env, &["--since", "2026-03-02"]).n("/records/rows"), 1);
    assert_eq!(convert(&env, &["--lookback", "all"]).all(["/objects/listed", "/records/in"]), [6, 0]);
    // What runs over one account have seen says nothing of the other.
    let other = key("CloudTrail", B, "us-east-1", "2026-03-01T12:05", "b");
    Trail::default().log(&other, &[event(B, "us-east-1", NOON, "other")]).write(env.path("trail"));
    assert_eq!(convert(&env, &["--account", B]).n("/records/rows"), 1);
    assert_eq!(env.ids("lake").len(), 7);
    env.run(["convert", "trail", "--to", "lake", "--lookback", "soon"]).code(2);
}

#[test]
fn deliveries_can_be_kept_as_they_came() {
    let env = TestEnv::new();
    Trail::default().log(&object(1, "a"), &[at_noon("one"), at_noon("one")]).write(env.path("trail"));
    assert_eq!(convert(&env, &["--dedupe", "off"]).all(RECORDS), [2, 2, 0, 0]);
    Trail::default().log(&object(1, "b"), &[at_noon("one")]).write(env.path("trail"));
    assert_eq!(convert(&env, &["--dedupe", "off"]).all(RECORDS), [1, 1, 0, 0]);
    assert_eq!(env.ids("lake"), ["one"; 3]);
    assert_eq!(convert(&env, &["--dedupe", "off"]).n("/records/in"), 0);
}

#[test]
fn a_large_run_commits_as_it_goes() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let report = convert(&env, &["--commit-every", "1"]);
    // A task a day.
    assert_eq!(report.all(["/commits", "/version", "/records/rows"]), [3, 3, 16]);
    assert_eq!(env.ids("lake"), grid_ids());
    assert_eq!(convert(&env, &["--commit-every", "1"]).all(["/commits", "/version"]), [0, 3]);
}

#[test]
fn expired_days_do_not_come_back() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    convert(&env, &[]);
    env.run(["expire", "lake", "--before", "2026-03-02"]).success();
    assert_eq!(env.ids("lake").len(), 8);
    assert_eq!(convert(&env, &["--lookback", "all"]).all(["/records/in", "/objects/known"]), [0, 8]);
    // A late object with events of an expired day, one of which was there before.
    let late = [at_noon("late"), event(A, "us-east-1", "2026-03-02T00:00:00Z", "kept"), at_noon("e04")];
    Trail::default().log(&object(2, "late"), &late).write(env.path("trail"));
    assert_eq!(convert(&env, &[]).all(RECORDS), [3, 1, 0, 2]);
    // No filter of the command's, so nothing is left for a run without one.
    assert_eq!(convert(&env, &["--lookback", "all"]).n("/records/in"), 0);
    assert_eq!(env.ids("lake").len(), 9);
}

/// Replays the rejected input of the lake.
fn replay(env: &TestEnv, more: &[&str], code: i32) -> Report {
    env.run(["replay", "lake", "--json"].iter().chain(more)).code(code).report()
}

#[test]
fn rejected_objects_are_converted_by_a_replay_and_once() {
    let env = TestEnv::new();
    let large = |id: &str| with(at_noon(id), "requestParameters", json!({"x": "x".repeat(5000)}));
    Trail::default()
        .log(&object(1, "a"), &[at_noon("one")])
        .log(&object(1, "b"), &[large("one"), large("two")])
        .log(&object(1, "c"), &[at_noon("one"), large("three")])
        .put(&object(2, "d"), "nothing of ours")
        .write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--json", "--max-object-size", "4KiB"];
    let report = env.run(args).code(3).report();
    assert_eq!(report.all(["/objects/rejected", "/records/rows"]), [3, 1]);
    let report = replay(&env, &[], 3);
    assert_eq!(report.all(RECORDS), [5, 3, 1, 0]);
    assert_eq!(
        report.all(["/objects/listed", "/objects/converted", "/objects/rejected", "/commits"]),
        [3, 2, 1, 1]
    );
    assert_eq!(report.n("/conflicts"), 1);
    assert_eq!(env.ids("lake"), ["one", "one", "three", "two"]);
    // What is left is left as it was.
    let files = || std::fs::read_dir(env.path("lake/_trailhouse/rejected")).unwrap().count();
    let before = files();
    let report = replay(&env, &[], 3);
    assert_eq!(report.all(["/records/in", "/commits", "/objects/rejected"]), [1, 0, 1]);
    assert_eq!(files(), before);
    assert_eq!(convert(&env, &["--lookback", "all"]).all(["/records/in", "/objects/known"]), [0, 4]);
    env.run(["replay", "nowhere"]).code(1).says(&["there is no lake at"]);
}

#[test]
fn a_replay_that_gives_copies_only_is_one_all_the_same() {
    let env = TestEnv::new();
    let large = with(at_noon("one"), "requestParameters", json!({"x": "x".repeat(5000)}));
    Trail::default().log(&object(1, "a"), std::slice::from_ref(&large)).write(env.path("trail"));
    convert(&env, &[]);
    Trail::default().log(&object(1, "b"), &[large, json!(7)]).write(env.path("trail"));
    env.run(["convert", "trail", "--to", "lake", "--max-object-size", "4KiB"]).code(3);
    let report = replay(&env, &[], 3);
    assert_eq!((report.all(RECORDS), report.n("/commits")), ([2, 0, 1, 0], 1));
    assert_eq!(replay(&env, &[], 3).all(["/records/in", "/commits"]), [1, 0]);
}

#[test]
fn a_replayed_record_keeps_its_number() {
    let env = TestEnv::new();
    let text = format!(r#"{{"Records":[{},"unreadable",{},"hopeless"]}}"#, at_noon("one"), at_noon("two"));
    Trail::default().put(&object(1, "a"), text).write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--json"];
    assert_eq!(env.run(args).code(3).report().all(["/records/rows", "/records/rejected"]), [2, 2]);
    // As if a newer program could read it.
    let folder = std::fs::read_dir(env.path("lake/_trailhouse/rejected")).unwrap();
    let file = folder.map(|file| file.unwrap().path()).next().unwrap();
    let mut items = trailhouse::lake::rejected::decode(&std::fs::read(&file).unwrap()).unwrap();
    items[0].data = at_noon("mended").to_string().into_bytes();
    std::fs::write(&file, trailhouse::lake::rejected::encode(&items).unwrap()).unwrap();
    let report = replay(&env, &[], 3);
    assert_eq!(report.all(["/records/in", "/records/rows", "/records/rejected"]), [2, 1, 1]);
    let rows = "SELECT row_source_record || event_id FROM events ORDER BY row_source_record";
    assert_eq!(env.sql("lake", rows), ["1one", "2mended", "3two"]);
    let report = replay(&env, &[], 3);
    assert_eq!(report.all(["/records/rows", "/records/rejected", "/commits"]), [0, 1, 0]);
    assert_eq!(
        (report.0["rejected"][0]["record"].as_u64(), report.0["rejected"][0]["byte"].as_u64()),
        (Some(4), items[1].byte)
    );
}
