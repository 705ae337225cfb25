//! `trailhouse status`: what a lake holds, what it does not hold yet, and the SQL tables that say it object by object.

use serde_json::Value;

use crate::support::command::TestEnv;
use crate::support::lake::{convert, data, lake_of, rejected, rows};
use crate::support::s3::S3Server;
use crate::support::trail::{A, B, Trail, event, key};

fn status(env: &TestEnv, more: &[&str]) -> Value {
    let output = env.run(["status", "lake", "--json"].iter().chain(more)).success();
    assert_eq!((output.stderr.as_str(), output.stdout.lines().count()), ("", 1));
    serde_json::from_str(&output.stdout).unwrap()
}

/// The text with what differs from run to run replaced.
fn steady(env: &TestEnv, text: &str) -> String {
    let here = env.dir.path().canonicalize().unwrap();
    let text = text.replace(here.to_str().unwrap(), "HERE");
    let mut shown = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if let Some(sizes) = line.strip_prefix("Files") {
            // The bytes of a data file are not this test's business.
            let number = sizes.split_whitespace().next().unwrap();
            line = format!("Files     {number} (SIZE)…");
        }
        if line.get(..3).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit())) {
            let (_, rest) = line.split_at(20);
            let (rest, run) = rest.rsplit_once("  ").unwrap();
            line = format!("TIME                {rest}  {}", if run == "-" { "-" } else { "RUN" });
        }
        shown += &format!("{}\n", line.trim_end());
    }
    shown
}

#[test]
fn a_status_is_read_by_people() {
    let env = TestEnv::new();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(data("sample")).arg(env.path("trail")).status();
    assert!(copied.unwrap().success());
    let _ = env.run(["convert", "trail", "--to", "lake", "--account", "111122223333", "-q"]).success();
    let output = env.run(["status", "lake", "trail"]).success();
    assert_eq!(output.stderr, "");
    insta::assert_snapshot!("status", steady(&env, &output.stdout));
}

#[test]
fn what_a_filter_left_is_new() {
    let env = TestEnv::new();
    let sample = data("sample");
    let sample = sample.to_str().unwrap();
    let _ = env.run(["convert", sample, "--to", "lake", "--account", "111122223333", "-q"]).success();
    let found = status(&env, &[sample]);
    let new = &found["sources"][0];
    assert_eq!(new["listed"]["number"], 54);
    let known = found["objects"]["known"].as_u64().unwrap();
    assert!(known > 0 && new["new"]["number"].as_u64() == Some(54 - known), "{new}");
    let accounts: Vec<&String> = new["new_by_account"].as_object().unwrap().keys().collect();
    assert!(!accounts.contains(&&"111122223333".to_owned()) && !accounts.is_empty(), "{new}");
    let one = status(&env, &[sample, "--account", "111122223333"]);
    assert_eq!(one["sources"][0]["new"]["number"], 0);
    assert_eq!(one["sources"][0]["listed"]["number"], known);

    let _ = env.run(["convert", sample, "--to", "lake", "-q"]).success();
    let found = status(&env, &[sample]);
    assert_eq!(
        (&found["sources"][0]["new"]["number"], &found["balanced"]),
        (&Value::from(0), &Value::from(true))
    );
    assert_eq!(found["runs"].as_array().unwrap().len(), 3);
    assert_eq!(found["records"]["rows"], found["events"]);
}

#[test]
fn a_look_back_is_the_conversions() {
    let env = TestEnv::new();
    let event = |day: u32, id: &str| event(A, "eu-west-1", &format!("2026-03-{day:02}T10:00:00Z"), id);
    let at =
        |day: u32, name: &str| key("CloudTrail", A, "eu-west-1", &format!("2026-03-{day:02}T10:05"), name);
    Trail::default()
        .log(&at(2, "x"), &[event(2, "a")])
        .log(&at(9, "x"), &[event(9, "b")])
        .write(env.path("trail"));
    let _ = env.run(["convert", "trail", "--to", "lake", "-q"]).success();
    Trail::default()
        .log(&at(2, "late"), &[event(2, "c")])
        .log(&at(8, "late"), &[event(8, "d")])
        .write(env.path("trail"));
    let new = |more: &[&str]| {
        let found = status(&env, more);
        (found["sources"][0]["first_day"].clone(), found["sources"][0]["new"]["number"].as_u64().unwrap())
    };
    assert_eq!(new(&["trail"]), (Value::Null, 2));
    assert_eq!(new(&["trail", "--lookback", "3"]), (Value::from("2026-03-06"), 1));
    assert_eq!(new(&["trail", "--since", "2026-03-02", "--lookback", "3"]), (Value::from("2026-03-02"), 2));
}

#[test]
fn a_lakes_own_files_are_no_objects() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("trail")).unwrap();
    std::fs::copy(data("records/insight.json"), env.path("trail/insight.json")).unwrap();
    let _ = env.run(["convert", "trail", "--to", "trail/lake", "-q"]).success();
    let output = env.run(["status", "trail/lake", "trail", "--json"]).success();
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let source = &found["sources"][0];
    assert_eq!((&source["listed"]["number"], &source["new"]["number"]), (&Value::from(1), &Value::from(0)));
    assert!(source["skipped"]["file of the lake"].as_u64() > Some(1), "{source}");
}

#[test]
fn nothing_is_read_but_the_log_and_the_ledger_and_nothing_is_written() {
    let server = S3Server::start();
    server.create_bucket("trail");
    server.create_bucket("lake");
    Trail::grid("org/").upload(&server, "trail");
    let mut env = TestEnv::new();
    env.use_server(&server);
    let _ = env.run(["convert", "s3://trail/org/", "--to", "s3://lake/x/", "--account", A, "-q"]).success();
    let before = server.requests().len();
    let args = ["status", "s3://lake/x/", "s3://trail/org/", "--json"];
    let output = env.run(args).success();
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(found["sources"][0]["new_by_account"], serde_json::json!({B: found["sources"][0]["new"]}));
    for request in &server.requests()[before..] {
        let is_read =
            ["/_delta_log/", "/_trailhouse/ledger/"].iter().any(|part| request.target.contains(part));
        assert!(request.is_list() || request.method == "GET" && is_read, "{request:?}");
    }

    server.deny(&format!("trail/org/AWSLogs/{B}/"));
    let output = env.run(args).code(3);
    let source = &serde_json::from_str::<Value>(&output.stdout).unwrap()["sources"][0];
    assert!(source["unlisted"].as_u64() > Some(0) && source["new"]["number"] == 0, "{source}");
    let _ = output.says(&[
        "Not listed: ",
        "of s3://trail/org/.",
        &format!("s3://trail/org/AWSLogs/{B}: access denied"),
    ]);
}

#[test]
fn a_lake_without_events_has_a_status() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("trail")).unwrap();
    let _ = env.run(["convert", "trail", "--to", "lake", "-q"]).success();
    let output = env.run(["status", "lake"]).success();
    assert!(output.stdout.contains("\nDays      none\nAccounts  0\n"), "{}", output.stdout);
}

#[test]
fn the_ledger_says_what_became_of_every_object() {
    let env = lake_of(&data("sample"));
    let found = rows(&env, "SELECT count(*) AS objects, sum(records) AS records, sum(rows) AS rows,
        sum(duplicates) AS duplicates, max(table_version) AS version FROM ledger WHERE path_day >= '2026-03-01'");
    let expected = r#"{"objects":54,"records":285,"rows":258,"duplicates":27,"version":1}"#;
    assert_eq!(found, [serde_json::from_str::<Value>(expected).unwrap()]);
    // Every row leads to the entry of its object.
    let sql = "SELECT count(*) AS n FROM events e JOIN ledger l ON e.row_source_object = l.url";
    assert_eq!(rows(&env, sql)[0]["n"], 258);
    assert_eq!(rows(&env, "SELECT count(*) AS n FROM rejected")[0]["n"], 0);
    assert_eq!(
        env.sql(
            "lake",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type <> 'VIEW' ORDER BY 1"
        ),
        ["columns", "events", "ledger", "rejected"]
    );
}

#[test]
fn what_was_rejected_is_a_table() {
    let env = TestEnv::new();
    let (output, report) = convert(&env, &data("hostile"));
    assert_eq!(output.code, 3);
    let kept = rejected(&env);
    let texts = kept.iter().filter(|item| std::str::from_utf8(&item.data).is_ok()).count();
    let found =
        &rows(&env, "SELECT count(*) AS n, count(data) AS texts, count(data_base64) AS bytes FROM rejected")
            [0];
    let numbers = ["n", "texts", "bytes"].map(|name| found[name].as_u64().unwrap() as usize);
    assert_eq!(numbers, [kept.len(), texts, kept.len() - texts]);
    let one = kept.iter().find(|item| item.record.is_some()).unwrap();
    let sql = format!(
        "SELECT r.byte, r.reason, r.data, l.verdict FROM rejected r JOIN ledger l ON l.url = r.object
            WHERE r.object = '{}' AND r.record = {}",
        one.object,
        one.record.unwrap()
    );
    let [row] = &rows(&env, &sql)[..] else { panic!("{sql}") };
    assert_eq!((row["byte"].as_u64(), row["reason"].as_str()), (one.byte, Some(one.reason.as_str())));
    assert_eq!(row["data"].as_str().unwrap().as_bytes(), one.data);

    let found = status(&env, &[]);
    assert!(found["rejected_files"].as_u64() > Some(0) && found["balanced"] == true, "{found}");
    assert_eq!(found["records"], report["records"]);
    assert_eq!(found["objects"]["rejected"], report["objects"]["rejected"]);
    let text = env.run(["status", "lake"]).success().stdout;
    assert!(text.contains("\nRejected  ") && text.contains("SELECT * FROM rejected"), "{text}");
}
