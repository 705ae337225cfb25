//! `trailhouse expire`: which days go, and that they stay gone.

use std::sync::Arc;

use object_store::memory::InMemory;
use serde_json::Value;
use trailhouse::lake::expire::{Options, run};
use trailhouse::lake::layout::Partitioning;
use trailhouse::lake::snapshot::Lake;

use crate::support::command::TestEnv;
use crate::support::rows::{MARCH, TestRow, add, at, file, open, rows};
use crate::support::trail::{A, Trail, event, key};

fn before(day: &str) -> Options {
    Options { before: day.parse().unwrap(), dry_run: false, run_id: "a run".to_owned() }
}

fn row(record: i64) -> TestRow {
    TestRow { account: Some(A.to_owned()), time: Some(MARCH), record, ..TestRow::default() }
}

#[tokio::test]
async fn whole_days_go_at_once_and_rows_without_a_date_stay() {
    let location = at(Arc::new(InMemory::new()));
    let by: Partitioning = "account,date".parse().unwrap();
    Lake::create(&location, &by).await.unwrap();
    let mut files = Vec::new();
    for (number, day) in
        [Some("2026-02-27"), Some("2026-02-28"), Some("2026-03-01"), None].into_iter().enumerate()
    {
        files.push(file(&location, &by, day, &[row(number as i64)]).await);
    }
    add(&location, files, "all").await;
    let older = open(&location).await;
    let all = rows(&older).await;

    let planned =
        run(open(&location).await, &Options { dry_run: true, ..before("2026-03-01") }).await.unwrap();
    assert_eq!((planned.files, planned.days_removed, planned.committed, planned.version), (2, 2, false, 1));
    assert_eq!(open(&location).await.version(), 1);
    let report = run(open(&location).await, &before("2026-03-01")).await.unwrap();
    assert_eq!((report.files, report.rows, report.committed, report.version), (2, 2, true, 2));
    assert_eq!(report.days, Some(("2026-02-27".to_owned(), "2026-02-28".to_owned())));
    let lake = open(&location).await;
    assert_eq!(lake.expired_before(), Some("2026-03-01".parse().unwrap()));
    let left: Vec<String> = rows(&lake).await.into_keys().collect();
    let folder = |day: &str| format!("account={A}/event_date={day}");
    assert_eq!(left, [folder("2026-03-01"), folder("__HIVE_DEFAULT_PARTITION__")]);
    assert_eq!(rows(&older).await, all, "the files are there until a vacuum");

    // The day never moves back, and what has slipped in since goes with the next one.
    let early = vec![file(&location, &by, Some("2026-02-20"), &[row(9)]).await];
    add(&location, early, "early").await;
    let report = run(open(&location).await, &before("2026-01-01")).await.unwrap();
    assert_eq!((report.before.as_str(), report.files), ("2026-03-01", 1));
    let lake = open(&location).await;
    assert_eq!(lake.expired_before(), Some("2026-03-01".parse().unwrap()));
    let again = run(lake, &before("2026-03-01")).await.unwrap();
    assert_eq!((again.files, again.committed, again.version), (0, false, 4));
}

#[tokio::test]
async fn a_day_that_comes_meanwhile_goes_too() {
    let location = at(Arc::new(InMemory::new()));
    let by = Partitioning::default();
    let made = Lake::create(&location, &by).await.unwrap();
    let late = vec![file(&location, &by, Some("2026-02-20"), &[row(1)]).await];
    add(&location, late, "meanwhile").await;
    let report = run(made, &before("2026-03-01")).await.unwrap();
    assert_eq!((report.files, report.version), (1, 2));
    assert_eq!(open(&location).await.files().unwrap().count(), 0);
}

#[test]
fn what_has_expired_is_not_converted_again() {
    let env = TestEnv::new();
    let log = |day: &str| {
        let records = [event(A, "us-east-1", &format!("{day}T10:00:00Z"), &format!("e-{day}"))];
        Trail::default().log(&key("CloudTrail", A, "us-east-1", &format!("{day}T10:05"), "x"), &records)
    };
    for day in ["2026-02-28", "2026-03-01"] {
        log(day).write(env.path("trail"));
    }
    env.run(["convert", "trail", "--to", "lake", "-q"]).success();
    let planned = env.run(["expire", "lake", "--before", "2026-03-01", "--dry-run"]).success();
    assert!(
        planned.stderr.starts_with("To remove: 1 day (2026-02-28 to 2026-02-28) with 1 event in 1 file ("),
        "{}",
        planned.stderr
    );
    assert_eq!(env.ids("lake").len(), 2);
    let report = env.run(["expire", "lake", "--before", "2026-03-01", "--json", "-q"]).success();
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(
        (&report["rows"], &report["version"], &report["before"]),
        (&1.into(), &2.into(), &"2026-03-01".into())
    );
    assert_eq!(env.ids("lake"), ["e-2026-03-01"]);
    env.run(["convert", "trail", "--to", "lake", "-q"]).success();
    assert_eq!(env.ids("lake"), ["e-2026-03-01"]);
    let none = env.run(["expire", "lake", "--before", "2026-03-01"]).success();
    assert_eq!(none.stderr, "No day before 2026-03-01 is in the table.\n");
}

#[test]
fn a_day_in_the_future_is_a_mistake() {
    let env = TestEnv::new();
    let output = env.run(["expire", "lake", "--before", "2999-01-01"]).code(2);
    assert!(output.stderr.contains("is in the future"), "{}", output.stderr);
}
