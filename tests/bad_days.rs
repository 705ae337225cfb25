//! Bad input and bad days: what is lost, what is said, and the exit code. Nothing else is lost in any of them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;
use trailhouse::lake::rejected::{self, Rejected};

use crate::support::command::{Output, Report, TestEnv};
use crate::support::s3::S3Server;
use crate::support::trail::{A, B, Trail, bomb, event, grid_ids, gzip, key, records_of, truncated, with};

const TIME: &str = "2026-03-01T10:01:00Z";

fn good(id: &str) -> serde_json::Value {
    event(A, "us-east-1", TIME, id)
}

/// What a lake on disk keeps of rejected input, by object and record.
fn rejected_in(lake: &Path) -> Vec<Rejected> {
    let mut all = Vec::new();
    if let Ok(files) = fs::read_dir(lake.join("_trailhouse/rejected")) {
        for file in files {
            all.extend(rejected::decode(&fs::read(file.unwrap().path()).unwrap()).unwrap());
        }
    }
    all.sort_by(|a, b| (&a.object, a.record).cmp(&(&b.object, b.record)));
    all
}

/// Converts one bad object between two good ones; returns the report and what was kept of the bad one.
fn convert_bad(bad: impl Into<Vec<u8>>, more: &[&str], code: i32) -> (Output, Report, Vec<Rejected>) {
    let env = TestEnv::new();
    Trail::default()
        .log("a-good.json.gz", &[good("first")])
        .put("bad.json.gz", bad)
        .log("z-good.json.gz", &[good("last")])
        .write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--json"];
    let output = env.run(args.iter().chain(more)).code(code);
    let ids = env.ids("lake");
    assert!(ids.contains(&"first".to_owned()) && ids.contains(&"last".to_owned()), "{ids:?}");
    let report = output.report();
    assert_eq!(report.0["verdict"], if code == 3 { "rejected" } else { "done" });
    let rejected = rejected_in(&env.path("lake"));
    for item in &rejected {
        assert!(item.object.ends_with("/trail/bad.json.gz"), "{}", item.object);
        assert!(output.stderr.contains(&item.object), "{}", output.stderr);
        assert!(output.stderr.contains(&item.reason), "{}", output.stderr);
    }
    // Nothing is tried again that cannot become better.
    let again = env.run(args.iter().chain(more)).success().report();
    assert_eq!(again.n("/objects/known"), again.n("/objects/listed"));
    (output, report, rejected)
}

/// The same for an object that is rejected as a whole, which is kept as it is.
fn convert_unreadable(bad: impl Into<Vec<u8>>, more: &[&str], reason: &str) {
    let bad = bad.into();
    let (_, report, rejected) = convert_bad(bad.clone(), more, 3);
    assert_eq!(rejected.len(), 1);
    assert_eq!((rejected[0].record, rejected[0].byte), (None, None));
    assert_eq!(rejected[0].reason, reason);
    assert!(rejected[0].data == bad);
    assert_eq!(report.all(["/objects/rejected", "/objects/converted", "/records/rows"]), [1, 2, 2]);
    assert_eq!(report.notes("rejected"), [("bad.json.gz".to_owned(), None, reason.to_owned())]);
}

/// The same for an object that can be read; returns the record number, byte and text of what is rejected in it.
fn convert_damaged(text: &str, rows: u64, reason: &str) -> Vec<(u64, u64, String)> {
    let (_, report, rejected) = convert_bad(gzip(text), &[], 3);
    assert_eq!(report.n("/records/rows"), 2 + rows);
    assert_eq!(report.n("/records/rejected"), rejected.len() as u64);
    assert_eq!(report.n("/objects/rejected"), u64::from(rows == 0));
    assert!(rejected[0].reason.contains(reason), "{}", rejected[0].reason);
    let notes = report.notes("rejected");
    assert_eq!(notes.len(), rejected.len());
    let item = |item: Rejected| {
        let (record, byte) = (item.record.unwrap(), item.byte.unwrap());
        assert_eq!(text.as_bytes()[byte as usize..byte as usize + item.data.len()], item.data);
        (record, byte, String::from_utf8(item.data).unwrap())
    };
    rejected.into_iter().map(item).collect()
}

#[test]
fn gzip_that_cannot_be_inflated() {
    convert_unreadable(truncated(records_of(&[good("lost")])), &[], "damaged or truncated gzip");
    let mut flipped = gzip(records_of(&[good("lost")]));
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    convert_unreadable(flipped, &[], "damaged or truncated gzip");
    let mut second = gzip("{\"Records\":[");
    second.extend(truncated("]}                               "));
    convert_unreadable(second, &[], "damaged or truncated gzip (member 2)");
}

#[test]
fn a_bomb_is_refused() {
    let reason = "inflates to more than 1 MiB, which --max-object-size forbids";
    convert_unreadable(bomb(64 << 20), &["--max-object-size", "1MiB"], reason);
    convert_unreadable(gzip(bomb(64 << 20)), &["--max-object-size", "1MiB"], reason);
    convert_unreadable(
        bomb(300 << 20),
        &[],
        "inflates to more than 128 MiB, which --max-object-size forbids",
    );
}

#[test]
fn an_object_beyond_the_limit_is_not_read() {
    let env = TestEnv::new();
    Trail::default()
        .log("good.json", &[good("good")])
        .put("large.json", "x".repeat(5000))
        .write(env.path("trail"));
    let output = env.run(["convert", "trail", "--to", "lake", "--json", "--max-object-size", "4KiB"]).code(3);
    let report = output.report();
    assert_eq!(report.all(["/objects/unreadable", "/objects/converted"]), [1, 1]);
    assert!(
        output.stderr.contains("large.json: the object has 5000 bytes; at most 4096 are read"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_is_not_json() {
    let text = "No events here, sorry\n";
    let rejected = convert_damaged(text, 0, "not JSON: byte 0 is 'N'");
    assert_eq!(rejected, [(1, 0, text.to_owned())]);
    let text = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
    assert_eq!(convert_damaged(text, 0, "not JSON: it starts like XML or HTML").len(), 1);
    // Not gzip at all, under a name that says it is.
    let (_, report, rejected) = convert_bad(vec![0x50, 0x4b, 3, 4, 0xff, 0xfe], &[], 3);
    assert_eq!(report.all(["/objects/rejected", "/records/rejected"]), [1, 1]);
    assert_eq!(rejected[0].data, [0x50, 0x4b, 3, 4, 0xff, 0xfe]);
    assert_eq!(rejected[0].reason, "not JSON: byte 0 is 'P'");
}

#[test]
fn json_that_ends_or_breaks_costs_no_record_before_it() {
    let [one, two, three] = ["one", "two", "three"].map(|id| good(id).to_string());
    let text = format!("{{\"Records\":[{one},{two},{}", &three[..three.len() / 2]);
    let lost = &convert_damaged(&text, 2, "not valid JSON at byte")[0];
    assert_eq!((lost.0, lost.2.as_str()), (3, &three[..three.len() / 2]));
    let text = format!("{one}\n{}\n{three}\n", two.replace(":true", ":yes"));
    let lost = convert_damaged(&text, 2, "not valid JSON at byte");
    assert_eq!((lost.len(), lost[0].0, lost[0].1), (1, 2, one.len() as u64 + 1));
}

#[test]
fn records_that_are_no_objects() {
    let (one, two) = (good("one"), good("two"));
    let text = format!("{{\"Records\":[17, {one}, \"text\", null, [{two}], {two}]}}");
    let lost = convert_damaged(&text, 2, "a record is a number, not an object");
    let lost: Vec<_> = lost.into_iter().map(|(record, _, text)| (record, text)).collect();
    assert_eq!(lost, [(1, "17".into()), (3, "\"text\"".into()), (4, "null".into()), (5, format!("[{two}]"))]);
}

#[test]
fn json_of_another_kind() {
    for (text, what) in [
        (
            r#"{"awsAccountId":"111122223333","digestStartTime":"2026-03-01T09:00:00Z","digestS3Object":"x"}"#,
            "a CloudTrail digest",
        ),
        (
            r#"{"fileVersion":"1.0","configSnapshotId":"x","configurationItems":[{"resourceType":"x"}]}"#,
            "an AWS Config delivery",
        ),
    ] {
        let (output, report, rejected) = convert_bad(gzip(text), &[], 0);
        assert_eq!((report.n("/objects/foreign"), rejected.len()), (1, 0));
        assert!(
            output.stderr.contains(&format!("skipped: {what}, which holds no events")),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("bad.json.gz"), "{}", output.stderr);
        assert!(output.stderr.contains("1 object of another kind"), "{}", output.stderr);
    }
    // A notification's entries look like events to a degree, and whatever they are must not be lost.
    let entry =
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}});
    let text = json!({ "Records": [entry] }).to_string();
    let (_, report, rejected) = convert_bad(gzip(&text), &[], 3);
    assert_eq!(report.all(["/records/rejected", "/objects/rejected"]), [1, 1]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&rejected[0].data).unwrap(), entry);
    let lost = convert_damaged("{\"foo\":1}", 0, "JSON, but no CloudTrail event");
    assert_eq!(lost, [(1, 0, "{\"foo\":1}".to_owned())]);
    convert_damaged("{\"Records\":{}}", 0, "\"Records\" is not a list");
}

#[test]
fn objects_without_records_are_counted() {
    for text in ["{\"Records\":[]}", "[]", "  \n"] {
        let (output, report, rejected) = convert_bad(gzip(text), &[], 0);
        assert_eq!((report.n("/objects/empty"), rejected.len()), (1, 0), "{text:?}");
        assert!(output.stderr.contains("1 object without records"), "{}", output.stderr);
    }
}

#[test]
fn invalid_utf8_costs_its_record() {
    let text = records_of(&[with(good("bad"), "userAgent", "?!?"), good("good")]);
    let at = text.find("?!?").unwrap();
    let mut bytes = text.into_bytes();
    bytes[at + 1] = 0xff;
    let (_, report, rejected) = convert_bad(gzip(&bytes), &[], 3);
    assert_eq!(report.all(["/records/rows", "/records/rejected"]), [3, 1]);
    assert_eq!(rejected[0].record, Some(1));
    assert_eq!(rejected[0].reason, format!("invalid UTF-8 at byte {}", at + 1));
    let start = rejected[0].byte.unwrap() as usize;
    assert!(rejected[0].data == bytes[start..start + rejected[0].data.len()]);
    assert!(rejected[0].data.contains(&0xff));
}

#[test]
fn a_record_of_50_megabytes_is_a_record() {
    let payload = "y".repeat(50 << 20);
    let huge = with(good("huge"), "requestParameters", json!({ "payload": payload }));
    let env = TestEnv::new();
    Trail::default().log("huge.json.gz", &[good("first"), huge, good("last")]).write(env.path("trail"));
    let report = env.run(["convert", "trail", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(["/records/rows", "/records/rejected"]), [3, 0]);
    let lengths = env.sql("lake", "SELECT event_id, length(request_parameters) FROM events ORDER BY 1");
    assert_eq!(lengths, ["first,16", &format!("huge,{}", payload.len() + 14), "last,16"]);
}

#[test]
fn a_large_object_waits_for_its_turn_and_keeps_nobody_waiting() {
    // More than may be in flight, behind more objects than are fetched at once.
    let large = with(good("large"), "requestParameters", json!({ "payload": "y".repeat(1_300_000) }));
    let env = TestEnv::new();
    let mut trail = Trail::default();
    for number in 0..40 {
        trail = trail.log(&format!("a{number:02}.json"), &[good(&format!("small-{number}"))]);
    }
    // Not compressed: it is the bytes as stored that are in flight.
    trail.put("z.json", json!({ "Records": [large] }).to_string()).write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--json", "--memory", "1MiB", "--jobs", "1"];
    assert_eq!(env.run(args).success().report().n("/records/rows"), 41);
}

/// A server with the trail of [`Trail::grid`], and surroundings to use it in.
fn served() -> (TestEnv, S3Server) {
    let server = S3Server::start();
    server.create_bucket("trail");
    server.create_bucket("lake");
    Trail::grid("").upload(&server, "trail");
    let mut env = TestEnv::new();
    env.use_server(&server);
    (env, server)
}

#[test]
fn an_object_that_vanishes_is_named_and_tried_again() {
    let (env, server) = served();
    let gone = key("CloudTrail", A, "us-east-1", "2026-03-01T10:05", "grid");
    server.vanish("trail", &gone);
    let args = ["convert", "s3://trail/", "--to", "lake", "--json"];
    for (rows, known) in [(14, 0), (0, 7)] {
        let output = env.run(args).code(3);
        let report = output.report();
        assert_eq!(report.all(["/records/rows", "/objects/known", "/objects/unreadable"]), [rows, known, 1]);
        output.says(&[&format!("s3://trail/{gone}: the object is gone: it was deleted after it was listed")]);
    }
    assert_eq!(env.ids("lake").len(), 14);
}

#[test]
fn a_denied_account_costs_that_account() {
    let (env, server) = served();
    server.deny(&format!("trail/AWSLogs/{B}/"));
    let output = env.run(["convert", "s3://trail/", "--to", "lake", "--json"]).code(3);
    let report = output.report();
    assert_eq!(report.all(["/records/rows", "/unlisted", "/objects/unreadable"]), [8, 1, 0]);
    output.says(&[&format!("s3://trail/AWSLogs/{B}: access denied"), "Not readable: 0 objects, 1 folder"]);
    assert_eq!(env.ids("lake"), grid_ids()[..8]);
}

#[test]
fn a_denied_object_costs_that_object() {
    let (env, server) = served();
    let denied = key("CloudTrail", B, "us-east-1", "2026-03-01T10:05", "grid");
    server.deny(&format!("trail/{denied}"));
    let output = env.run(["convert", "s3://trail/", "--to", "lake", "--json"]).code(3);
    assert_eq!(output.report().all(["/records/rows", "/objects/unreadable"]), [14, 1]);
    output.says(&[&denied, "access denied: reading it needs s3:GetObject"]);
}

#[test]
fn a_source_that_cannot_be_read_at_all() {
    let (mut env, server) = served();
    let convert = |env: &TestEnv, source: &str| {
        let start = Instant::now();
        let output = env.run(["convert", source, "--to", "lake"]).code(1);
        assert_eq!(output.stdout, "");
        assert!(output.stderr.contains("\nhint: "), "{}", output.stderr);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        output
    };
    convert(&env, "s3://no-such-bucket/").says(&["s3://no-such-bucket/", "there is no such bucket"]);
    server.deny("trail/");
    convert(&env, "s3://trail/").says(&["s3://trail/", "access denied", "s3:ListBucket"]);

    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    env.set("AWS_ENDPOINT_URL", format!("http://{free}"));
    convert(&env, "s3://trail/").says(&[&format!("nothing listens at http://{free}: connection refused")]);

    let mut env = TestEnv::new();
    env.set("AWS_EC2_METADATA_DISABLED", "true");
    env.set("AWS_ENDPOINT_URL", &server.endpoint);
    convert(&env, "s3://trail/").says(&["no usable AWS credentials", "AWS_SKIP_SIGNATURE=true"]);
    env.set("AWS_ACCESS_KEY_ID", "AKIANOBODY");
    env.set("AWS_SECRET_ACCESS_KEY", "wrong");
    convert(&env, "s3://trail/").says(&["S3 does not know the access key"]);

    let output = env.run(["convert", "nowhere", "--to", "lake"]).code(1);
    assert_eq!(
        output.stderr,
        format!("error: no such file or directory: {}\n", env.path("nowhere").display())
    );
}

#[test]
fn a_source_with_nothing_in_it_is_told() {
    let (env, _server) = served();
    fs::create_dir(env.path("empty")).unwrap();
    let said = |args: &[&str], source: &str| {
        let output = env.run(["convert", "--to", "lake"].iter().chain(args)).success();
        output.says(&[&format!("WARN no objects found within the filters source={source}")]);
    };
    said(&["s3://trail/AWSLog/"], "s3://trail/AWSLog/");
    said(&["s3://trail/", "--account", "999999999999"], "s3://trail/");
    said(&["s3://trail/AWSLogs/", "empty"], &format!("file://{}/", env.path("empty").display()));
}

#[test]
fn a_lake_that_cannot_be_written() {
    let (env, server) = served();
    Trail::grid("").write(env.path("trail"));
    fs::write(env.path("file"), "").unwrap();
    // Holds for root, too, which no permission stops.
    let output = env.run(["convert", "trail", "--to", "file/lake"]).code(1);
    assert!(
        output.stderr.starts_with("error: ") && output.stderr.contains("/file/lake"),
        "{}",
        output.stderr
    );

    server.deny_writes("lake/");
    let output = env.run(["convert", "trail", "--to", "s3://lake/events/"]).code(1);
    output
        .says(&["error: making the lake s3://lake/events/: access denied: Access Denied\n", "s3:PutObject"]);

    // A lake that was writable once: its data, then its log.
    server.create_bucket("second");
    env.run(["convert", "trail", "--to", "s3://second/events/", "--account", A]).success();
    server.deny_writes("second/events/event_date=2026-03-02/");
    let output = env.run(["convert", "trail", "--to", "s3://second/events/"]).code(1);
    output.says(&["writing s3://second/events/event_date=2026-03-02/part-", "access denied", "s3:PutObject"]);
    server.deny_writes("second/events/_delta_log/");
    let output =
        env.run(["convert", "trail", "--to", "s3://second/events/", "--until", "2026-03-02"]).code(1);
    output.says(&[
        "error: committing version 2 of s3://second/events/: access denied: Access Denied\n",
        "s3:PutObject",
    ]);
    assert_eq!(env.ids("s3://second/events/"), grid_ids()[..8]);
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_the_lake() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    env.run(["convert", "trail", "--to", "lake", "--account", A]).success();
    // No file may grow beyond 8 KiB (512-byte blocks): for the program that is a disk that is full.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let args = ["-c", script, env!("CARGO_BIN_EXE_trailhouse"), "convert", "trail", "--to", "lake"];
    let output = Output::from(env.other_command("sh", args).output().unwrap()).code(1);
    output.says(&["writing file://", "/lake/event_date=2026-03-01/part-", "File too large"]);
    assert_eq!(env.ids("lake"), grid_ids()[..8]);
    let report = env.run(["convert", "trail", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(["/records/rows", "/objects/known"]), [8, 4]);
    assert_eq!(env.ids("lake"), grid_ids());
}

fn signal(child: &Child, signal: &str) {
    let done = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn an_interrupted_run_leaves_the_lake_and_the_next_goes_on() {
    let (env, server) = served();
    env.run(["convert", "s3://trail/", "--to", "lake", "--account", A]).success();
    let args = ["convert", "s3://trail/", "--to", "lake"];
    for name in ["-INT", "-TERM"] {
        let held = server.hold(&format!("trail/AWSLogs/{B}/"));
        let child = env.start(args);
        held.next();
        signal(&child, name);
        let output = Output::of(child).code(130);
        assert_eq!(
            output.stderr,
            "error: interrupted\nhint: a lake is as its last commit left it; run the command again to go on\n"
        );
        assert_eq!(env.ids("lake"), grid_ids()[..8]);
    }
    env.run(args).success();
    assert_eq!(env.ids("lake"), grid_ids());
}

#[test]
fn plain_progress_is_told_while_a_run_waits() {
    use std::io::{BufRead, BufReader};
    let (env, server) = served();
    let held = server.hold(&format!("trail/AWSLogs/{B}/"));
    let args = ["convert", "s3://trail/", "--to", "lake", "--progress"];
    let silent = env.start(args[..3].iter().chain(&["other", "--progress", "none"]));
    let mut told = env.start(args.iter().chain(&["plain"]));
    // Comes after ten seconds, which is how long the server lets both wait.
    let mut first = String::new();
    BufReader::new(told.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("converting: ") && first.contains(" of 8 objects, "), "{first}");
    drop(held);
    let silent = Output::of(silent).success();
    assert_eq!(silent.stderr.lines().count(), 1, "{}", silent.stderr);
    assert!(told.wait().unwrap().success());
}
