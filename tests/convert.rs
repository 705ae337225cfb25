//! `trailhouse convert` on local trees: what is found, what is kept, what is said, and what a second run does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::command::TestEnv;
use crate::support::trail::{
    A, B, Trail, event, grid_ids, gzip, gzip_members, key, records_of, with, without,
};

const RECORDS: [&str; 4] = ["/records/rows", "/records/duplicates", "/records/filtered", "/records/rejected"];

/// The files below a directory by path, with a hash of their content.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let hash = format!("{:x}", Sha256::digest(fs::read(&path).unwrap()));
            files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), hash);
        }
    }
    files
}

/// The data files of a lake.
fn data_files(root: &Path) -> BTreeMap<String, String> {
    let mut files = tree(root);
    files.retain(|path, _| !path.starts_with('_'));
    files
}

/// The folders of a lake that hold data files.
fn folders(root: &Path) -> Vec<String> {
    let mut folders: Vec<String> =
        data_files(root).into_keys().map(|path| path.rsplit_once('/').unwrap().0.to_owned()).collect();
    folders.dedup();
    folders
}

#[test]
fn layouts_depths_and_sources_make_one_lake() {
    let env = TestEnv::new();
    let slot = "2026-03-01T10:05";
    let log = |folder: &str, region: &str, id: &str| {
        (key(folder, A, region, slot, id), event(A, region, "2026-03-01T10:01:00Z", id))
    };
    let mut trail = Trail::default();
    for (above, (key, event)) in [
        ("", log("CloudTrail", "us-east-1", "plain")),
        ("deep/er/", log("CloudTrail", "eu-west-1", "deep")),
        ("org/", log("CloudTrail", "us-gov-west-1", "organization")),
        ("", log("CloudTrail-Insight", "us-east-1", "insight")),
        ("", log("CloudTrail-NetworkActivity", "us-east-1", "network")),
        ("", log("CloudTrail-Aggregated", "us-east-1", "aggregated")),
    ] {
        let key = format!("{above}{key}");
        let key = if above == "org/" { key.replace("AWSLogs/", "AWSLogs/o-a1b2c3d4e5/") } else { key };
        trail = trail.log(&key, &[event]);
    }
    let digest = key("CloudTrail-Digest", A, "us-east-1", slot, "digest");
    let config = format!("AWSLogs/{A}/Config/us-east-1/2026/3/1/ConfigHistory/x.json.gz");
    trail
        .put(
            &digest,
            gzip(json!({"digestStartTime": "2026-03-01T09:00:00Z", "digestS3Object": "x"}).to_string()),
        )
        .put(&config, gzip(r#"{"fileVersion":"1.0","configurationItems":[]}"#))
        .write(env.path("trail"));
    Trail::default()
        .put("no/grammar/at/all.txt", records_of(&[event(B, "us-east-1", "2026-03-02T10:00:00Z", "flat")]))
        .write(env.path("other"));

    let source = format!("file://{}", env.path("other").display());
    let report = env.run(["convert", "trail", &source, "--to", "lake", "--json"]).success().report();
    let mut ids = vec!["plain", "deep", "organization", "insight", "network", "aggregated", "flat"];
    ids.sort_unstable();
    assert_eq!(env.ids("lake"), ids);
    assert_eq!(report.n("/objects/converted"), 7);
    assert_eq!(report.0["skipped"], json!({"digest folder": 1, "folder of another service": 1}));
    let sources = env.sql("lake", "SELECT row_source_object FROM events WHERE event_id = 'flat'");
    assert_eq!(sources, [format!("{source}/no/grammar/at/all.txt")]);
}

#[test]
fn account_and_region_are_those_of_the_key_where_there_is_one() {
    let env = TestEnv::new();
    let slot = "2026-03-01T10:05";
    let time = "2026-03-01T10:01:00Z";
    // What happens in a global service is delivered elsewhere.
    let global = with(event(A, "us-east-1", time, "global"), "eventSource", "iam.amazonaws.com");
    Trail::default()
        .log(
            &key("CloudTrail", A, "eu-west-1", slot, "1"),
            &[global, event(A, "eu-west-1", time, "regional")],
        )
        .log(&key("CloudTrail", B, "us-east-1", slot, "1"), &[event(B, "us-east-1", time, "other")])
        .write(env.path("trail"));
    let flat = [
        event(A, "eu-west-1", time, "flat-a-eu"),
        event(A, "us-east-1", time, "flat-a-us"),
        event(B, "eu-west-1", time, "flat-b-eu"),
    ];
    Trail::default().log("flat.json.gz", &flat).write(env.path("flat"));

    let run = |lake: &str, filters: &[&str]| {
        let args = ["convert", "trail", "flat", "--to", lake, "--json"];
        let report = env.run(args.iter().chain(filters)).success().report();
        (env.ids(lake), report.all(["/objects/listed", "/records/filtered"]))
    };
    assert_eq!(
        run("by-region", &["--region", "eu-west-1"]),
        (["flat-a-eu", "flat-b-eu", "global", "regional"].map(str::to_owned).to_vec(), [2, 1])
    );
    assert_eq!(
        run("by-account", &["--account", B]),
        (["flat-b-eu", "other"].map(str::to_owned).to_vec(), [2, 2])
    );
    assert_eq!(
        run("by-both", &["--account", A, "--account", B, "--region", "us-east-1"]),
        (["flat-a-us", "other"].map(str::to_owned).to_vec(), [2, 2])
    );
    let wrong = env.run(["convert", "trail", "--to", "x", "--account", "1234"]).code(2);
    assert!(wrong.stderr.contains("--account \"1234\" is no account id"), "{}", wrong.stderr);
}

#[test]
fn since_and_until_are_event_time() {
    let env = TestEnv::new();
    let at = |slot: &str, events: &[(&str, &str)]| {
        let events: Vec<_> = events.iter().map(|(time, id)| event(A, "us-east-1", time, id)).collect();
        (key("CloudTrail", A, "us-east-1", slot, "1"), events)
    };
    let mut trail = Trail::default();
    for (key, events) in [
        at("2026-02-28T23:55", &[("2026-02-28T23:50:00Z", "before")]),
        at("2026-03-01T00:05", &[("2026-02-28T23:59:59Z", "just-before"), ("2026-03-01T00:00:00Z", "first")]),
        at("2026-03-02T00:05", &[("2026-03-01T23:59:59Z", "last"), ("2026-03-02T00:00:00Z", "just-after")]),
        at("2026-03-03T00:05", &[("2026-03-02T23:59:00Z", "after")]),
    ] {
        trail = trail.log(&key, &events);
    }
    trail.write(env.path("trail"));
    let run = |lake: &str, filters: &[&str]| {
        let report =
            env.run(["convert", "trail", "--to", lake, "--json"].iter().chain(filters)).success().report();
        (env.ids(lake), report.all(["/objects/listed", "/records/filtered"]))
    };
    // One more day is listed than there are events wanted of, for what is delivered late.
    let day = (vec!["first".to_owned(), "last".to_owned()], [3, 3]);
    assert_eq!(run("dates", &["--since", "2026-03-01", "--until", "2026-03-02"]), day);
    let times = ["--since", "2026-03-01T01:00:00+01:00", "--until", "2026-03-01T25:00:00Z"];
    let error = env.run(["convert", "trail", "--to", "times"].iter().chain(&times)).code(2);
    assert!(error.stderr.contains("--until \"2026-03-01T25:00:00Z\""), "{}", error.stderr);
    let times = ["--since", "2026-03-01T01:00:00+01:00", "--until", "2026-03-01T23:59:59.5Z"];
    assert_eq!(run("times", &times), (day.0, [2, 2]));
    assert_eq!(run("open", &["--since", "2026-03-02"]).0, ["after", "just-after"]);
    let error = env.run(["convert", "trail", "--to", "x", "--since", "1d", "--until", "2d"]).code(2);
    assert!(error.stderr.contains("--since is not before --until"), "{}", error.stderr);
}

#[test]
fn relative_times_are_counted_from_now() {
    let env = TestEnv::new();
    let ago = |hours: i64| {
        let time = chrono::Utc::now() - chrono::TimeDelta::hours(hours);
        time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let events =
        [(1, "now"), (30, "day"), (240, "days")].map(|(hours, id)| event(A, "us-east-1", &ago(hours), id));
    Trail::default().log("flat.json.gz", &events).write(env.path("trail"));
    for (since, expected) in
        [("24h", vec!["now"]), ("7d", vec!["day", "now"]), ("2w", vec!["day", "days", "now"])]
    {
        let lake = format!("lake-{since}");
        env.run(["convert", "trail", "--to", &lake, "--since", since, "-q"]).success();
        assert_eq!(env.ids(&lake), expected, "{since}");
    }
}

#[test]
fn a_second_run_adds_only_what_is_new() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--json"];
    let first = env.run(args).success().report();
    assert_eq!(first.all(["/records/rows", "/commits", "/objects/known"]), [16, 1, 0]);
    let lake = tree(&env.path("lake"));

    let second = env.run(args).success().report();
    assert_eq!(second.all(["/records/rows", "/commits", "/objects/known", "/objects/listed"]), [0, 0, 8, 8]);
    assert_eq!(second.0["version"], first.0["version"]);
    assert_eq!(tree(&env.path("lake")), lake);

    let new = key("CloudTrail", A, "us-east-1", "2026-03-01T10:10", "late");
    Trail::default()
        .log(&new, &[event(A, "us-east-1", "2026-03-01T10:06:00Z", "late")])
        .write(env.path("trail"));
    let third = env.run(args).success().report();
    assert_eq!(third.all(["/records/rows", "/commits", "/objects/known", "/objects/listed"]), [1, 1, 8, 9]);
    let mut ids = grid_ids();
    ids.push("late".into());
    assert_eq!(env.ids("lake"), ids);
}

#[test]
fn sources_may_overlap_and_hold_the_lake() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    Trail::default()
        .log("flat.json.gz", &[event(A, "us-east-1", "2026-03-01T10:00:00Z", "flat")])
        .write(env.dir.path());
    for known in [0, 9] {
        let report = env.run(["convert", ".", "trail/AWSLogs", "--to", "lake", "--json"]).success().report();
        assert_eq!(report.all(["/objects/listed", "/objects/known", "/records/duplicates"]), [9, known, 0]);
        assert_eq!(report.n("/skipped/object of an earlier source"), 8);
        assert_eq!(report.0["skipped"].get("file of the lake").is_some(), known > 0);
    }
    assert_eq!(env.ids("lake").len(), 17);
}

#[test]
fn a_partitioning_decides_the_folders_and_not_the_rows() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let rows = "SELECT event_id, event_date, account, region, event_time FROM events ORDER BY event_id";
    let mut answers = Vec::new();
    for (by, count, one) in [
        ("date", 2, "event_date=2026-03-01".to_owned()),
        ("account,date", 4, format!("account={A}/event_date=2026-03-01")),
        ("region,account,date", 8, format!("region=eu-west-1/account={A}/event_date=2026-03-01")),
    ] {
        let lake = by.replace(',', "-");
        env.run(["convert", "trail", "--to", &lake, "--partition-by", by]).success();
        let folders = folders(&env.path(&lake));
        assert_eq!(folders.len(), count, "{folders:?}");
        assert_eq!(folders[0], one);
        answers.push(env.sql(&lake, rows));
    }
    assert_eq!(answers[0].len(), 16);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    // Without the flag a lake stays as it is; with another it is refused.
    let new = key("CloudTrail", B, "us-east-1", "2026-03-03T10:05", "late");
    Trail::default()
        .log(&new, &[event(B, "us-east-1", "2026-03-03T10:00:00Z", "late")])
        .write(env.path("trail"));
    env.run(["convert", "trail", "--to", "account-date"]).success();
    assert!(folders(&env.path("account-date")).contains(&format!("account={B}/event_date=2026-03-03")));
    let before = tree(&env.path("date"));
    let refused = env.run(["convert", "trail", "--to", "date", "--partition-by", "account,date"]).code(2);
    assert!(refused.stderr.contains("is partitioned by date, not by account,date"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: leave --partition-by out"), "{}", refused.stderr);
    assert_eq!(tree(&env.path("date")), before);
    let wrong = env.run(["convert", "trail", "--to", "x", "--partition-by", "day"]).code(2);
    assert!(wrong.stderr.contains("cannot partition by \"day\""), "{}", wrong.stderr);
    let wrong = env.run(["convert", "trail", "--to", "x", "--partition-by", "region"]).code(2);
    assert!(wrong.stderr.contains("a lake is always partitioned by date"), "{}", wrong.stderr);
}

#[test]
fn rows_without_a_date_or_account_have_a_place() {
    let env = TestEnv::new();
    let timeless = |id: &str| without(event(A, "us-east-1", "", id), "eventTime");
    let odd = with(event(A, "us-east-1", "2026-03-05T10:00:00Z", "odd"), "recipientAccountId", " a/b=50%é");
    let key = key("CloudTrail", A, "us-east-1", "2026-03-01T10:05", "1");
    Trail::default().log(&key, &[timeless("in-a-day")]).write(env.path("trail"));
    Trail::default().log("flat.json.gz", &[timeless("nowhere"), odd]).write(env.path("trail"));
    env.run(["convert", "trail", "--to", "lake", "--partition-by", "date,account"]).success();
    assert_eq!(
        folders(&env.path("lake")),
        [
            format!("event_date=2026-03-01/account={A}"),
            "event_date=2026-03-05/account=%20a%2Fb%3D50%25é".to_owned(),
            format!("event_date=__HIVE_DEFAULT_PARTITION__/account={A}")
        ]
    );
    let rows = env.sql("lake", "SELECT event_id, event_date, account, event_time FROM events ORDER BY 1");
    assert_eq!(
        rows,
        [
            format!("in-a-day,2026-03-01,{A},"),
            format!("nowhere,,{A},"),
            "odd,2026-03-05, a/b=50%é,2026-03-05T10:00:00Z".to_owned()
        ]
    );
}

#[test]
fn what_is_no_lake_is_left_alone() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let refused = |lake: &str, said: &str| {
        let before = tree(&env.path(lake));
        for more in [&[][..], &["--dry-run"]] {
            let output = env.run(["convert", "trail", "--to", lake].iter().chain(more)).code(2);
            assert!(output.stderr.contains(said), "{}", output.stderr);
            assert!(output.stderr.contains("\nhint: "), "{}", output.stderr);
            assert_eq!(output.stdout, "");
        }
        assert_eq!(tree(&env.path(lake)), before);
    };
    Trail::default().put("taxes.ods", "x").write(env.path("documents"));
    refused("documents", "is no lake, and not empty: it holds \"taxes.ods\"");

    let schema = json!({"type": "struct", "fields": [{"name": "a", "type": "string", "nullable": true, "metadata": {}}]});
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let metadata = json!({"metaData": {
        "id": "0d3b7a0e-1111-4222-8333-944444444444", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(), "partitionColumns": [], "configuration": {}, "createdTime": 1
    }});
    let log = format!("{protocol}\n{metadata}\n");
    Trail::default().put("_delta_log/00000000000000000000.json", log).write(env.path("delta"));
    refused("delta", "is a Delta table, but not one that trailhouse made");

    env.run(["convert", "trail", "--to", "newer"]).success();
    let first = env.path("newer/_delta_log/00000000000000000000.json");
    let log = fs::read_to_string(&first).unwrap();
    let newer = log.replace(r#""trailhouse.schemaVersion":"1""#, r#""trailhouse.schemaVersion":"99""#);
    assert_ne!(newer, log);
    fs::write(&first, newer).unwrap();
    refused("newer", "was written by a newer trailhouse: it has schema version 99");
    let output = env.run(["sql", "newer", "-c", "SELECT 1"]).code(2);
    assert!(output.stderr.contains("hint: upgrade trailhouse"), "{}", output.stderr);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let args = ["convert", "trail", "--to", "lake", "--dry-run"];
    let said = env.run(args).success();
    assert_eq!(said.stdout, "");
    said.says(&[
        "8 objects listed",
        "To convert: 8 objects of 2026-03-01 to 2026-03-02, 2 accounts, 2 Regions, into about",
        "8 GET",
        "about $0.00 on S3. Nothing was written.",
    ]);
    let report = env.run(args.iter().chain(&["--json"])).success().report();
    assert_eq!(report.0["verdict"], "planned");
    assert_eq!(report.0["days"], json!(["2026-03-01", "2026-03-02"]));
    assert_eq!(
        report.all(["/objects/listed", "/accounts", "/regions", "/records/in", "/commits"]),
        [8, 2, 2, 0, 0]
    );
    assert!(!env.path("lake").exists());

    env.run(["convert", "trail", "--to", "lake", "--account", A]).success();
    let before = tree(&env.path("lake"));
    env.run(args).success().says(&["4 of them converted before", "To convert: 4 objects", "1 account"]);
    assert_eq!(tree(&env.path("lake")), before);
}

#[test]
fn output_is_for_programs_and_the_rest_for_people() {
    let env = TestEnv::new();
    Trail::grid("").write(env.path("trail"));
    let run =
        |lake: &str, more: &[&str]| env.run(["convert", "trail", "--to", lake].iter().chain(more)).success();

    let json = run("json", &["--json"]);
    assert_eq!(json.stdout.lines().count(), 1);
    let report = json.report();
    assert_eq!(report.0["verdict"], "done");
    assert_eq!(report.all(RECORDS), [16, 0, 0, 0]);
    assert_eq!(report.all(["/files", "/bytes/listed"]), [2, report.n("/bytes/read")]);
    assert!(report.n("/bytes/inflated") > report.n("/bytes/read"));
    assert_eq!(report.0["rejected"], json!([]));
    json.says(&["8 objects, 16 events into 2 files"]);

    let plain = run("plain", &["--progress", "none"]);
    assert_eq!(plain.stdout, "");
    assert_eq!(plain.stderr.lines().count(), 1, "{}", plain.stderr);
    let quiet = run("quiet", &["-q"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let quiet = run("quiet-json", &["-q", "--json"]);
    assert_eq!((quiet.report().n("/records/rows"), quiet.stderr.as_str()), (16, ""));

    run("verbose", &["-v"]).says(&["committed", "version=1"]);
    let object = key("CloudTrail", A, "eu-west-1", "2026-03-01T10:05", "grid");
    run("very", &["-vv"]).says(&[&object]);
    let mut env = env;
    env.set("RUST_LOG", "trailhouse=debug");
    let logged = env.run(["convert", "trail", "--to", "logged"]).success();
    assert_eq!(logged.stderr.matches("decoded").count(), 8, "{}", logged.stderr);
}

#[test]
fn the_same_objects_give_the_same_bytes() {
    let env = TestEnv::new();
    // Several tasks, files of several chunks, and copies among them.
    let mut trail = Trail::grid("");
    for number in 0..40 {
        let slot = format!("2026-03-0{}T1{}:05", 1 + number % 4, number % 10);
        let events: Vec<_> = (0..50)
            .map(|at| event(A, "us-east-1", &format!("{}:00Z", &slot), &format!("n{}-{at}", number / 2)))
            .collect();
        trail = trail.log(&key("CloudTrail", A, "us-east-1", &slot, &format!("{number:02}")), &events);
    }
    trail.write(env.path("trail"));
    let convert = |lake: &str, more: &[&str]| {
        env.run(["convert", "trail", "--to", lake, "-q"].iter().chain(more)).success();
        data_files(&env.path(lake))
    };
    let once = convert("once", &[]);
    assert_eq!(once.len(), 4);
    assert_eq!(convert("twice", &[]), once);
    assert_eq!(convert("one-job", &["--jobs", "1"]), once);
    assert_eq!(convert("four-jobs", &["--jobs", "4"]), once);
}

#[test]
fn copies_are_counted_and_conflicts_kept() {
    let env = TestEnv::new();
    let time = "2026-03-01T10:01:00Z";
    let same = event(A, "us-east-1", time, "same");
    let key = |region: &str, slot: &str, unique: &str| key("CloudTrail", A, region, slot, unique);
    Trail::default()
        .log(
            &key("us-east-1", "2026-03-01T10:05", "trail1"),
            &[same.clone(), event(A, "us-east-1", time, "once")],
        )
        .log(&key("us-east-1", "2026-03-01T10:05", "trail2"), std::slice::from_ref(&same))
        .log(&key("eu-west-1", "2026-03-01T10:10", "region"), std::slice::from_ref(&same))
        .write(env.path("trail"));
    // Another source, another order of keys, the same event; and others that share its id.
    let reordered = same.to_string().replacen('{', "{ \"eventID\": \"same\",", 1).replacen(
        ",\"eventID\":\"same\"",
        "",
        1,
    );
    Trail::default()
        .put(&key("us-east-1", "2026-03-01T10:05", "other"), gzip(format!("{{\"Records\":[{reordered}]}}")))
        .log(
            &key("us-east-1", "2026-03-01T10:05", "twist"),
            &[with(same.clone(), "errorCode", "AccessDenied"), event(B, "us-east-1", time, "same")],
        )
        .log(
            &key("us-east-1", "2026-03-01T10:05", "noid"),
            &[
                without(event(A, "us-east-1", time, ""), "eventID"),
                without(event(A, "us-east-1", time, "x"), "eventID"),
            ],
        )
        .write(env.path("other"));
    let report = env.run(["convert", "trail", "other", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(RECORDS), [6, 3, 0, 0]);
    assert_eq!(report.n("/conflicts"), 1);
    let rows =
        env.sql("lake", "SELECT event_id, recipient_account_id, error_code FROM events ORDER BY 1, 2, 3");
    assert_eq!(
        rows,
        [
            format!("once,{A},"),
            format!("same,{A},AccessDenied"),
            format!("same,{A},"),
            format!("same,{B},"),
            format!(",{A},"),
            format!(",{A},")
        ]
    );
}

#[test]
fn little_memory_gives_the_same_rows() {
    let env = TestEnv::new();
    let mut trail = Trail::default();
    let filler = "x".repeat(8000);
    for number in 0..8 {
        let slot = format!("2026-03-01T1{number}:05");
        let events: Vec<_> = (0..300)
            .map(|at| {
                let event = event(A, "us-east-1", &format!("{slot}:00Z"), &format!("n{number}-{at:03}"));
                with(event, "requestParameters", json!({"filler": filler}))
            })
            .collect();
        trail = trail.log(&key("CloudTrail", A, "us-east-1", &slot, "1"), &events);
    }
    trail.write(env.path("trail"));
    env.run(["convert", "trail", "--to", "small", "--memory", "64MiB", "--jobs", "2"]).success();
    env.run(["convert", "trail", "--to", "large", "--memory", "2GiB"]).success();
    assert!(data_files(&env.path("small")).len() > data_files(&env.path("large")).len());
    let query = "SELECT event_id, length(request_parameters) FROM events ORDER BY event_id";
    let rows = env.sql("small", query);
    assert_eq!(rows.len(), 2400);
    assert_eq!(rows, env.sql("large", query));
    assert_eq!(env.run(["convert", "trail", "--to", "x", "--memory", "lots"]).code(2).stdout, "");
}

#[test]
fn names_of_any_kind_are_taken() {
    let env = TestEnv::new();
    let names = ["a b.json.gz", "c#d?e.json.gz", "日誌 ü.json.gz", "50%25.json", "plain"];
    let mut trail = Trail::default();
    for (number, name) in names.iter().enumerate() {
        let time = "2026-03-01T10:01:00Z";
        trail =
            trail.log(&format!("sub dir/#1/{name}"), &[event(A, "us-east-1", time, &format!("n{number}"))]);
    }
    trail.write(env.path("the trail #1 ü"));
    let args = ["convert", "the trail #1 ü", "--to", "the lake #2 é", "--json"];
    let report = env.run(args).success().report();
    assert_eq!(report.n("/records/rows"), 5);
    assert_eq!(env.ids("the lake #2 é"), ["n0", "n1", "n2", "n3", "n4"]);
    assert_eq!(env.run(args).success().report().n("/objects/known"), 5);

    // One of them alone, and through links.
    let one = "the trail #1 ü/sub dir/#1/c#d?e.json.gz";
    env.run(["convert", one, "--to", "one"]).success();
    assert_eq!(env.ids("one"), ["n1"]);
    fs::create_dir(env.path("links")).unwrap();
    std::os::unix::fs::symlink(env.path("the trail #1 ü/sub dir"), env.path("links/dir")).unwrap();
    std::os::unix::fs::symlink(env.path(one), env.path("links/file")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", env.path("links/broken")).unwrap();
    let report = env.run(["convert", "links", "--to", "linked", "--json"]).success().report();
    assert_eq!(report.all(["/records/rows", "/records/duplicates"]), [5, 1]);
    assert_eq!(report.0["skipped"], json!({"broken link": 1}));
}

#[test]
fn gzip_of_every_kind_is_read() {
    let env = TestEnv::new();
    let text = |id: &str| records_of(&[event(A, "us-east-1", "2026-03-01T10:01:00Z", id)]);
    let (plain, one, two) = (text("plain"), text("one"), text("two"));
    let (head, tail) = one.split_at(one.len() / 2);
    Trail::default()
        .put("plain.json.gz", plain)
        .put("members.json.gz", gzip_members(&[head, tail]))
        .put("double.json.gz", gzip(gzip(two)))
        .put("envelopes.gz", gzip_members(&[&text("three"), "\n", &text("four")]))
        .write(env.path("trail"));
    env.run(["convert", "trail", "--to", "lake"]).success();
    assert_eq!(env.ids("lake"), ["four", "one", "plain", "three", "two"]);
}
