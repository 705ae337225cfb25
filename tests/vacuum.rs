//! `trailhouse vacuum`: what is deleted, and what is not.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{TimeDelta, Utc};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use trailhouse::lake::commit::{About, Change, Outcome, Purpose, commit};
use trailhouse::lake::compact;
use trailhouse::lake::layout::{self, Partitioning};
use trailhouse::lake::snapshot::Lake;
use trailhouse::lake::vacuum::{Options, Report, run};
use trailhouse::store::Location;

use crate::support::command::TestEnv;
use crate::support::rows::{MARCH, TestRow, add, at, contents, file, objects, open};
use crate::support::s3::S3Server;
use crate::support::trail::{A, Trail, event, key};

const DAY: Option<&str> = Some("2026-03-01");

/// A week's retention, so many days from now.
fn after_days(days: i64) -> Options {
    Options {
        retention: TimeDelta::days(7),
        force: false,
        dry_run: false,
        now: Utc::now() + TimeDelta::days(days),
    }
}

async fn vacuumed(location: &Location, options: &Options) -> Report {
    run(&open(location).await, options).await.unwrap()
}

fn row(record: i64) -> TestRow {
    TestRow { account: Some(A.to_owned()), time: Some(MARCH), record, ..TestRow::default() }
}

async fn put(location: &Location, path: &str) {
    location.store.put(&layout::object(location, path).unwrap(), "something".into()).await.unwrap();
}

async fn compacted(location: &Location) {
    let options = compact::Options {
        first_day: None,
        last_day: None,
        target_bytes: 1 << 20,
        memory_bytes: 1 << 30,
        jobs: 1,
        dry_run: false,
        run_id: "compact".to_owned(),
    };
    assert_eq!(compact::run(open(location).await, &options).await.unwrap().commits, 1);
}

/// A lake of two commits with a file each.
async fn lake() -> Location {
    let location = at(Arc::new(InMemory::new()));
    let by = Partitioning::default();
    Lake::create(&location, &by).await.unwrap();
    for number in 0..2 {
        let files = vec![file(&location, &by, DAY, &[row(number)]).await];
        add(&location, files, &format!("object {number}")).await;
    }
    location
}

#[tokio::test]
async fn exactly_what_nothing_needs_is_deleted() {
    let location = lake().await;
    let older = open(&location).await;
    let kept = objects(&location).await;
    let by = Partitioning::default();
    file(&location, &by, DAY, &[row(100)]).await;
    let hash = "0123456789abcdef0123456789abcdef";
    for orphan in [
        format!("event_date=2026-03-02/part-{hash}-00000.parquet"),
        format!("event_date=__HIVE_DEFAULT_PARTITION__/part-{hash}-123456.parquet"),
        format!("_trailhouse/ledger/00000000000000000009-20260301-20260301-{hash}.parquet"),
        format!("_trailhouse/rejected/{hash}-00000.ndjson.zst"),
    ] {
        put(&location, &orphan).await;
    }
    let others = [
        format!("part-{hash}-00000.parquet"),
        format!("event_date=2026-03-01/account=1/part-{hash}-00000.parquet"),
        format!("account=1/part-{hash}-00000.parquet"),
        format!("event_date=2026-03-01/part-{hash}.parquet"),
        "event_date=2026-03-01/part-00000-0b4f6f8e-c000.snappy.parquet".to_owned(),
        format!("_trailhouse/part-{hash}-00000.parquet"),
        "_trailhouse/ledger/notes.txt".to_owned(),
        "_trailhouse/rejected/readme.md".to_owned(),
        "_change_data/x.parquet".to_owned(),
        "README".to_owned(),
    ];
    for other in &others {
        put(&location, other).await;
    }
    let all = objects(&location).await;

    let young = vacuumed(&location, &after_days(0)).await;
    assert_eq!((young.deleted().files, young.kept.files, young.others.files), (0, 9, 10));
    assert_eq!(objects(&location).await, all);
    let planned = vacuumed(&location, &Options { dry_run: true, ..after_days(8) }).await;
    assert_eq!(objects(&location).await, all);
    let report = vacuumed(&location, &after_days(8)).await;
    assert_eq!(
        (report.data, report.ledger, report.rejected),
        (planned.data, planned.ledger, planned.rejected)
    );
    assert_eq!((report.data.files, report.ledger.files, report.rejected.files), (3, 1, 1));
    assert_eq!((report.kept.files, report.others.files, report.leftovers.files), (4, 10, 0));
    let mut expected: Vec<String> = kept.into_iter().chain(others).collect();
    expected.sort();
    assert_eq!(objects(&location).await, expected);
    assert_eq!(contents(&open(&location).await).await, contents(&older).await);
}

#[tokio::test]
async fn what_was_removed_is_kept_for_the_retention() {
    let location = lake().await;
    let older = open(&location).await;
    let before = contents(&older).await;
    compacted(&location).await;
    // A checkpoint, which readers of the log start from, comes after it.
    for number in 0..10 {
        add(&location, vec![], &format!("empty {number}")).await;
    }
    // Nothing is removed, however old the files are, as long as the version before may be read.
    let report = vacuumed(&location, &after_days(6)).await;
    assert_eq!(report.deleted().files, 0);
    assert_eq!(contents(&older).await, before);
    let report = vacuumed(&location, &after_days(8)).await;
    assert_eq!((report.data.files, report.deleted().files), (2, 2));
    assert_eq!(contents(&open(&location).await).await.len(), 1);
    let again = vacuumed(&location, &after_days(8)).await;
    assert_eq!(again.deleted().files, 0);
}

#[tokio::test]
async fn replayed_input_goes_when_its_time_has_passed() {
    let location = lake().await;
    for name in ["live", "replayed"] {
        put(&location, &layout::rejected_file(name)).await;
    }
    let commit_it = async |change: Change, days: i64| {
        let about = About {
            purpose: Purpose::Convert,
            run_id: format!("{change:?}"),
            time: Utc::now() + TimeDelta::days(days),
            counts: BTreeMap::new(),
        };
        let outcome = commit(&open(&location).await, &change, &about).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed { .. }));
    };
    let rejected = ["live", "replayed"].map(str::to_owned).to_vec();
    commit_it(Change { rejected, ..Change::default() }, 0).await;
    assert_eq!(vacuumed(&location, &after_days(20)).await.deleted().files, 0);
    commit_it(Change { replayed: vec!["replayed".to_owned()], ..Change::default() }, 10).await;
    assert_eq!(vacuumed(&location, &after_days(16)).await.deleted().files, 0);
    assert_eq!(vacuumed(&location, &after_days(18)).await.rejected.files, 1);
    let left = objects(&location).await;
    assert!(
        left.contains(&layout::rejected_file("live")) && !left.contains(&layout::rejected_file("replayed"))
    );
}

#[tokio::test]
async fn a_retention_must_protect_and_be_known() {
    let location = lake().await;
    let lake = open(&location).await;
    for (retention, force, says) in [
        (TimeDelta::hours(23), false, "does not protect the files of runs at work"),
        (TimeDelta::zero(), false, "does not protect the files of runs at work"),
        (TimeDelta::days(31), false, "knows for 30 days when a file was removed"),
        (TimeDelta::days(31), true, "knows for 30 days when a file was removed"),
    ] {
        let error = run(&lake, &Options { retention, force, ..after_days(90) }).await.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.chain().contains(says) && !error.hints().is_empty(), "{}", error.chain());
    }
    let report =
        run(&lake, &Options { retention: TimeDelta::zero(), force: true, ..after_days(0) }).await.unwrap();
    assert_eq!((report.deleted().files, report.kept.files), (0, 4));
}

/// A lake of two conversions into `lake`.
fn converted(env: &TestEnv, lake: &str) {
    for day in ["2026-03-01", "2026-03-02"] {
        let records = [event(A, "us-east-1", "2026-03-01T10:00:00Z", &format!("e-{day}"))];
        let name = key("CloudTrail", A, "us-east-1", &format!("{day}T10:05"), "x");
        Trail::default().log(&name, &records).write(env.path("trail"));
        env.run(["convert", "trail", "--to", lake, "-q"]).success();
    }
}

#[test]
fn broken_uploads_in_a_directory_go_too() {
    let env = TestEnv::new();
    converted(&env, "lake");
    let hash = "0123456789abcdef0123456789abcdef";
    let folder = env.path("lake/event_date=2026-03-01");
    let long_ago = SystemTime::now() - Duration::from_secs(8 * 86_400);
    let write = |name: String, time: SystemTime| {
        let path = folder.join(name);
        std::fs::write(&path, "half").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let gone = [
        write(format!("part-{hash}-00000.parquet#1"), long_ago),
        write(format!("part-{hash}-00001.parquet"), long_ago),
    ];
    let kept = [
        write(format!("part-{hash}-00000.parquet#2"), SystemTime::now()),
        write("part-x.parquet#1".to_owned(), long_ago),
        write(format!("part-{hash}-00000.parquet#a"), long_ago),
        write(format!("part-{hash}-00002.parquet"), SystemTime::now()),
    ];
    let planned = env.run(["vacuum", "lake", "--dry-run"]).success();
    assert!(planned.stderr.starts_with("To delete: 2 files (8 B), older than "), "{}", planned.stderr);
    assert!(gone.iter().all(|path| path.exists()));
    let said = env.run(["vacuum", "lake"]).success();
    assert!(
        said.stderr.contains("Among them: 1 data file (4 B), 1 broken upload (4 B).\n"),
        "{}",
        said.stderr
    );
    assert!(gone.iter().all(|path| !path.exists()) && kept.iter().all(|path| path.exists()));
    assert_eq!(env.ids("lake"), ["e-2026-03-01", "e-2026-03-02"]);
}

#[test]
fn in_a_bucket_files_are_deleted_many_at_a_time() {
    let server = S3Server::start();
    server.create_bucket("lake");
    let mut env = TestEnv::new();
    env.use_server(&server);
    let lake = "s3://lake/events/";
    converted(&env, lake);
    for number in 0..1_200 {
        let name =
            format!("events/event_date=2026-03-01/part-0123456789abcdef0123456789abcdef-{number:05}.parquet");
        server.put("lake", &name, "orphan");
    }
    server.put("lake", "events/other.parquet", "not ours");
    env.run(["compact", lake, "-q"]).success();
    std::thread::sleep(Duration::from_millis(1_100));
    let asked = server.requests().len();
    let report = env.run(["vacuum", lake, "--retention", "0m", "--force", "--json"]).success();
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(
        (&report["data"]["files"], &report["others"]["files"]),
        (&1_202.into(), &1.into()),
        "{report}"
    );
    let requests = server.requests().split_off(asked);
    let deletes =
        requests.iter().filter(|request| request.method == "POST" && request.target.contains("delete"));
    assert!((2..=4).contains(&deletes.count()), "{requests:?}");
    assert_eq!(env.ids(lake), ["e-2026-03-01", "e-2026-03-02"]);
    let again = env.run(["vacuum", lake, "--retention", "0m", "--force"]).success();
    assert!(again.stderr.starts_with("Deleted: 0 files"), "{}", again.stderr);
}

#[test]
fn what_cannot_be_deleted_is_said() {
    let server = S3Server::start();
    server.create_bucket("lake");
    let mut env = TestEnv::new();
    env.use_server(&server);
    let lake = "s3://lake/events/";
    converted(&env, lake);
    env.run(["compact", lake, "-q"]).success();
    std::thread::sleep(Duration::from_millis(1_100));
    server.deny_writes("lake/");
    let output = env.run(["vacuum", lake, "--retention", "0m", "--force"]).code(1);
    assert!(output.stderr.contains("2 files of s3://lake/events/ could not be deleted"), "{}", output.stderr);
    server.allow_writes();
    env.run(["vacuum", lake, "--retention", "0m", "--force"]).success().says(&["Deleted: 2 files"]);
}
