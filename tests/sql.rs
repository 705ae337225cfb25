//! Queries of the sample, as people write them.

use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::support::command::{Output, TestEnv};
use crate::support::lake::{data, lake_of, rows};

fn sample() -> TestEnv {
    lake_of(&data("sample"))
}

fn csv(env: &TestEnv, sql: &str) -> String {
    let output = env.run(["sql", "lake", "--format", "csv", "-c", sql]).success();
    assert_eq!(output.stderr, "");
    output.stdout
}

#[test]
fn statements_come_from_flags_files_and_standard_input() {
    let env = lake_of(&data("records/insight.json"));
    std::fs::write(env.path("two.sql"), "-- first\nSELECT 1 AS a;\nSELECT 'x;y' AS b;\n").unwrap();
    let flags = env.run([
        "sql",
        "lake",
        "--format",
        "csv",
        "-c",
        "SELECT 3 AS c;",
        "-f",
        "two.sql",
        "-c",
        "SELECT 4 AS d",
    ]);
    assert_eq!(flags.success().stdout, "a\n1\nb\nx;y\nc\n3\nd\n4\n");

    for args in [&["sql", "lake", "--format", "csv"][..], &["sql", "lake", "--format", "csv", "-f", "-"]] {
        let mut child = env.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"SELECT 5 AS e;\nSELECT 6 AS f").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"e\n5\nf\n6\n");
    }
}

#[test]
fn every_format() {
    let env = sample();
    let sql = "SELECT event_time, event_name, error_code, 7 AS number, NULL AS nothing, '' AS empty,
            'say \"hi\", you|me' AS quoted, resources, request_parameters->>'bucketName' AS bucket
        FROM events WHERE event_name IN ('AssociateRepository', 'DeleteObjects', 'ListKeys') ORDER BY event_time";
    let mut shown = String::new();
    for format in ["table", "csv", "tsv", "json", "ndjson", "markdown", "record"] {
        let output = env.run(["sql", "lake", "--format", format, "-c", sql]).success();
        assert_eq!(output.stderr, "");
        shown += &format!("--format {format}\n{}\n", output.stdout);
        if format == "json" {
            let rows: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
            assert_eq!(rows.len(), 3);
            assert!(rows[0]["nothing"].is_null() && rows[0]["empty"] == "");
        }
    }
    insta::assert_snapshot!("sql-formats", shown);
}

#[test]
fn no_rows_are_written_in_every_format_too() {
    let env = lake_of(&data("records/insight.json"));
    for (format, expected) in [
        ("csv", "event_name\n"),
        ("tsv", "event_name\n"),
        ("json", "[]\n"),
        ("ndjson", ""),
        ("markdown", "| event_name |\n| --- |\n"),
        ("table", "┌────────────┐\n│ event_name │\n├────────────┤\n└────────────┘\n0 rows\n"),
    ] {
        let sql = "SELECT event_name FROM events WHERE false";
        assert_eq!(env.run(["sql", "lake", "--format", format, "-c", sql]).success().stdout, expected);
    }
}

#[test]
fn a_count_for_every_event_name() {
    let env = sample();
    let found = csv(
        &env,
        "SELECT event_name, count(*) AS n FROM events GROUP BY event_name HAVING count(*) > 9 ORDER BY n DESC, 1",
    );
    insta::assert_snapshot!(found, @r"
    event_name,n
    PutObject,34
    AssumeRole,29
    ListObjects,28
    GetObject,27
    Decrypt,19
    GetBucketAcl,18
    GetCallerIdentity,15
    ");
    assert_eq!(csv(&env, "SELECT count(*) AS n FROM events"), "n\n258\n");
}

#[test]
fn payloads_are_read_as_json() {
    let env = sample();
    let found = csv(
        &env,
        "SELECT response_elements->>'ConsoleLogin' AS outcome, additional_event_data->>'MFAUsed' AS mfa, count(*) AS n
            FROM events WHERE event_name = 'ConsoleLogin' GROUP BY 1, 2 ORDER BY 1, 2",
    );
    assert_eq!(found, "outcome,mfa,n\nFailure,No,2\nSuccess,No,2\nSuccess,Yes,1\n");
    let nested = "SELECT request_parameters->'Repository'->'CodeCommit'->>'Name' AS repository
        FROM events WHERE event_name = 'AssociateRepository'";
    assert_eq!(csv(&env, nested), "repository\norder-service\n");
    let number = "SELECT response_elements->'RepositoryAssociation'->>'CreatedTimeStamp' AS created
        FROM events WHERE event_name = 'AssociateRepository'";
    assert_eq!(csv(&env, number), "created\n1772360435.204\n");
}

#[test]
fn resources_are_a_list() {
    let env = sample();
    let first = "SELECT DISTINCT resources[1]['type'] AS type FROM events WHERE event_name = 'Decrypt'";
    assert_eq!(csv(&env, first), "type\nAWS::KMS::Key\n");
    let all = "SELECT resource['type'] AS type, count(*) > 10 AS many
        FROM (SELECT unnest(resources) AS resource FROM events WHERE event_name = 'GetObject') GROUP BY 1 ORDER BY 1";
    assert_eq!(csv(&env, all), "type,many\nAWS::S3::Bucket,true\nAWS::S3::Object,true\n");
}

#[test]
fn a_day_is_a_partition() {
    let env = sample();
    let days = "SELECT event_date, count(*) AS n FROM events GROUP BY event_date ORDER BY event_date";
    assert_eq!(csv(&env, days), "event_date,n\n2026-03-01,88\n2026-03-02,86\n2026-03-03,84\n");
    let one = "SELECT count(*) AS n FROM events WHERE event_date = '2026-03-02'";
    assert_eq!(csv(&env, one), "n\n86\n");
    let opened = |condition: &str| {
        let sql = format!("EXPLAIN SELECT event_id FROM events WHERE {condition}");
        csv(&env, &sql).matches(".parquet").count()
    };
    let every_file = opened("true");
    assert!(opened("event_date = '2026-03-02'") < every_file);
    assert_eq!(opened("event_date = '2025-01-01'"), 0);
    // Times are pruned by the statistics of the log, without the column of the partition being named.
    assert!(opened("event_time >= '2026-03-03T00:00:00Z'") < every_file);
}

#[test]
fn export_takes_a_condition() {
    let env = sample();
    let output = env
        .run(["export", "lake", "--where", "event_name = 'ListKeys' AND error_code IS NOT NULL"])
        .success();
    let record: Value = serde_json::from_str(output.stdout.trim_end()).unwrap();
    let delivered = std::fs::read_to_string(data("records/network-activity.json")).unwrap();
    assert_eq!(record, serde_json::from_str::<Value>(&delivered).unwrap());
    assert_eq!(env.run(["export", "lake", "--where", "false"]).success().stdout, "");
}

/// Runs statements that fail; returns what is said.
fn failed(env: &TestEnv, args: &[&str]) -> String {
    let Output { stderr, code, .. } = env.run(args);
    assert_eq!(code, 1, "{args:?}: {stderr}");
    stderr
}

#[test]
fn errors_say_what_is_wrong_and_what_is_right() {
    let env = lake_of(&data("records/insight.json"));
    let mut said = String::new();
    for sql in [
        "SELECT event_tiem FROM events",
        "SELECT eventName FROM events",
        "SELECT userIdentity.arn FROM events",
        "SELECT foo FROM events",
        "SELECT * FROM event",
        "SELECT * FROM cloudtrail_log",
        "SELECT * FROM wibble",
        "SELECT uper(event_name) FROM events",
        "SELEC 1",
        "SELECT event_name FROM events WHERE",
        "SELECT event_name FROM events ORDER BY",
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM events",
        "SELECT request_parameters.bucketName FROM events",
        "SELECT 1;\n\nSELECT account,\n  nope(region)\nFROM events",
        "SELECT * FROM 'no.csv'",
        "SELECT * FROM events WHERE account = $account",
        "SELECT * FROM events LIMIT $n",
    ] {
        said += &format!("> {sql}\n{}\n", failed(&env, &["sql", "lake", "-p", "n=many", "-c", sql]));
    }
    said +=
        &format!("> export --where\n{}\n", failed(&env, &["export", "lake", "--where", "event_nam = 'x'"]));
    said += &format!("> a file\n{}", failed(&env, &["sql", "lake", "-f", "no.sql"]));
    insta::assert_snapshot!("sql-errors", said);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let env = sample();
    for args in [
        &["sql", "lake", "--format", "csv", "-c", "SELECT * FROM events, generate_series(1, 100)"][..],
        &["sql", "lake", "-c", "SELECT * FROM events, generate_series(1, 100)"],
        &["export", "lake"],
        &["schema"],
        &["completions", "bash"],
    ] {
        let mut child = env
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{args:?}: {:?} {said}", output.status);
    }
}

#[test]
fn the_columns_describe_themselves() {
    let env = lake_of(&data("records/insight.json"));
    let found =
        rows(&env, "SELECT name, type, json_path, description FROM columns WHERE name = 'event_name'");
    assert_eq!(found[0]["json_path"], "eventName");
    let described = rows(&env, "SELECT count(*) AS n FROM columns")[0]["n"].as_u64().unwrap();
    assert_eq!(described as usize, trailhouse::schema::COLUMNS.len() + 1);
}

#[test]
fn parameters_are_values_and_never_part_of_a_statement() {
    let env = sample();
    let mut args = vec!["sql", "lake", "--format", "csv"];
    for param in ["day=2026-03-02", "from=2026-03-02T00:02:00Z", "n=1", "many=30", "evil=' OR true --"] {
        args.extend(["-p", param]);
    }
    args.extend([
        "-c",
        "SELECT event_name FROM events WHERE event_date = $day AND event_time > $from ORDER BY event_time LIMIT $n",
        "-c",
        "SELECT count(*) AS n FROM events WHERE event_name = $evil; EXPLAIN SELECT $day",
        "-c",
        "SELECT event_name, count(*) AS many FROM events GROUP BY 1 HAVING count(*) > $many",
    ]);
    let output = env.run(args);
    let stdout = output.success().stdout;
    assert!(stdout.starts_with("event_name\nDescribeInstances\nn\n0\n"), "{stdout}");
    assert!(stdout.ends_with("event_name,many\nPutObject,34\n"), "{stdout}");
}

#[test]
fn files_and_other_lakes_are_tables() {
    let env = sample();
    std::fs::write(env.path("teams.csv"), "id,team\n012345678901,blue\n444455556666,red\n").unwrap();
    std::fs::write(env.path("list.json"), "[{\"name\":\"GetUser\"}]").unwrap();
    std::fs::write(env.path("lines.ndjson"), "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let args =
        ["sql", "lake", "--format", "csv", "--attach", "old=lake", "--attach", "teams=teams.csv", "-c"];
    let ask = |sql: &str| env.run(args.into_iter().chain([sql])).success().stdout;
    // Account numbers keep their zeros, or they would equal nothing.
    let joined = "SELECT t.team, count(*) > 0 AS some FROM events e JOIN teams t ON t.id = e.account GROUP BY 1 ORDER BY 1";
    assert_eq!(ask(joined), "team,some\nblue,true\nred,true\n");
    assert_eq!(ask("SELECT count(*) AS n FROM old.events JOIN events USING (event_id)"), "n\n258\n");
    assert_eq!(ask("SELECT count(*) > 0 AS some FROM old.ledger"), "some\ntrue\n");
    assert_eq!(
        ask("SELECT l.name, sum(n) AS n FROM 'list.json' l, 'lines.ndjson' GROUP BY 1"),
        "name,n\nGetUser,3\n"
    );

    // Without a lake there are files alone.
    let made =
        env.run(["sql", "lake", "--format", "parquet", "-o", "all.parquet", "-c", "SELECT * FROM events"]);
    assert_eq!(made.success().stdout, "");
    let alone = env.run(["sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM 'all.parquet'"]);
    assert_eq!(alone.success().stdout, "n\n258\n");
    env.run(["sql", "-c", "SELECT * FROM events"]).code(1).says(&["there is no table events"]);
}

#[test]
fn a_result_is_written_to_a_file_whole_or_not_at_all() {
    let env = lake_of(&data("records/insight.json"));
    std::fs::write(env.path("out.csv"), "before").unwrap();
    let output = |args: &[&str]| env.run(["sql", "lake", "-o", "out.csv", "--format"].iter().chain(args));
    output(&["csv", "-c", "SELECT 1 AS a; SELECT nope"]).code(1).says(&["nope"]);
    assert_eq!(std::fs::read_to_string(env.path("out.csv")).unwrap(), "before");
    assert_eq!(output(&["csv", "-c", "SELECT 1 AS a; SELECT 2 AS b"]).success().stdout, "");
    assert_eq!(std::fs::read_to_string(env.path("out.csv")).unwrap(), "a\n1\nb\n2\n");
    output(&["parquet", "-c", "SELECT 1; SELECT 2"]).code(1).says(&["holds one result", "file of its own"]);
    let args = ["csv", "--no-formulas", "-c", "SELECT '=1+1' AS a, -1 AS b"];
    assert_eq!(output(&args).success().stdout, "");
    assert_eq!(std::fs::read_to_string(env.path("out.csv")).unwrap(), "a,b\n'=1+1,-1\n");
}

#[test]
fn what_a_statement_read_is_said_where_it_is_asked_for() {
    let env = sample();
    let one_day =
        "SELECT count(*) AS n FROM events WHERE event_date = '2026-03-02' AND event_name = 'GetObject'";
    let output = env.run([
        "sql",
        "lake",
        "--timing",
        "--max-rows",
        "2",
        "-c",
        one_day,
        "-c",
        "SELECT event_id FROM events",
    ]);
    let said = output.success();
    assert!(said.stderr.contains("Time: ") && said.stderr.contains(" of 4 files, "), "{}", said.stderr);
    assert!(!said.stderr.contains("read 4 of 4 files, 155"), "{}", said.stderr);
    assert!(said.stdout.ends_with("2 rows, and there are more\n"), "{}", said.stdout);
    let output =
        env.run(["sql", "lake", "--format", "csv", "--max-rows", "2", "-c", "SELECT event_id FROM events"]);
    assert_eq!(output.success().says(&["there are more"]).stdout.lines().count(), 3);
}
