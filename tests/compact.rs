//! `trailhouse compact`: the same rows in fewer files, whoever else is at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::Value;
use trailhouse::lake::compact::{Options, Report, run};
use trailhouse::lake::expire;
use trailhouse::lake::layout::{self, DataFile, Partitioning};
use trailhouse::lake::snapshot::Lake;
use trailhouse::store::Location;

use crate::support::command::TestEnv;
use crate::support::rows::{MARCH, TestRow, add, at, batch, contents, file, open, rows, try_add};
use crate::support::s3::S3Server;
use crate::support::trail::{A, B, Trail, event, gzip, key, records_of};

const DAY: Option<&str> = Some("2026-03-01");

fn options() -> Options {
    Options {
        first_day: None,
        last_day: None,
        target_bytes: 64 << 20,
        memory_bytes: 1 << 30,
        jobs: 2,
        dry_run: false,
        run_id: "a run".to_owned(),
    }
}

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

/// Rows of some minutes, from `start` on; every second one is of account B.
fn some_rows(start: i64, count: i64) -> Vec<TestRow> {
    let row = |number: i64| TestRow {
        account: text(if number % 2 == 0 { A } else { B }),
        region: text("us-east-1"),
        time: Some(MARCH + number * 1_000_000),
        id: text(format!("{number:08x}-0000-4000-8000-000000000000")),
        record: number,
        payload: text(format!("{{\"n\":{number}}}")),
    };
    (start..start + count).map(row).collect()
}

async fn empty_lake(by: &Partitioning) -> Location {
    let location = at(Arc::new(InMemory::new()));
    Lake::create(&location, by).await.unwrap();
    location
}

/// A lake with a day of so many small files, each of a commit of its own.
async fn lake_of(files: i64) -> Location {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    for number in 0..files {
        // Every file spans the hours of all others.
        let rows: Vec<TestRow> =
            some_rows(0, 40 * files).into_iter().skip(number as usize).step_by(files as usize).collect();
        let files = vec![file(&location, &by, DAY, &rows).await];
        add(&location, files, &format!("object {number}")).await;
    }
    location
}

async fn compacted(location: &Location, options: &Options) -> Report {
    let before = rows(&open(location).await).await;
    let report = run(open(location).await, options).await.unwrap();
    assert_eq!(rows(&open(location).await).await, before, "a row has changed");
    report
}

fn field(row: &str, name: &str) -> Option<String> {
    let row: Value = serde_json::from_str(row).unwrap();
    row.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Whether rows are in the order that a file says they are in.
fn assert_sorted(rows: &[String]) {
    let key = |row: &String| ["account", "region", "event_time", "event_id"].map(|name| field(row, name));
    for pair in rows.windows(2) {
        assert!(key(&pair[0]) <= key(&pair[1]), "{} is before {}", pair[0], pair[1]);
    }
}

#[tokio::test]
async fn small_files_become_one_that_is_sorted() {
    let location = lake_of(7).await;
    let older = open(&location).await;
    let before = contents(&older).await;
    let report = compacted(&location, &options()).await;
    assert_eq!((report.files.removed, report.files.added, report.commits), (7, 1, 1));
    assert_eq!((report.partitions, report.partitions_left, report.conflicts, report.rows), (1, 0, 0, 280));
    assert!(report.bytes.added < report.bytes.removed);
    let lake = open(&location).await;
    assert_eq!((lake.version(), report.version), (8, 8));
    let merged = contents(&lake).await;
    let files = &merged["event_date=2026-03-01"];
    assert_eq!(files.len(), 1);
    assert_sorted(&files[0]);
    // Whoever reads an older version goes on to do so.
    assert_eq!(contents(&older).await, before);

    let again = compacted(&location, &options()).await;
    assert_eq!((again.commits, again.files.removed, again.partitions_left, again.version), (0, 0, 1, 8));
}

#[tokio::test]
async fn the_same_files_give_the_same_file() {
    let mut paths = Vec::new();
    for jobs in [1, 3] {
        let location = lake_of(5).await;
        compacted(&location, &Options { jobs, run_id: format!("run {jobs}"), ..options() }).await;
        paths.push(open(&location).await.files().unwrap().map(|file| file.path).collect::<Vec<_>>());
    }
    assert_eq!(paths[0], paths[1]);
}

/// Text that does not compress.
fn noise(seed: i64, length: usize) -> String {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (state >> 40) as u8 % 26)
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn files_are_of_about_the_target_size() {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let mut files = Vec::new();
    for start in 0..10 {
        let mut rows = some_rows(start * 300, 300);
        rows.iter_mut().for_each(|row| row.payload = text(noise(row.record, 1_000)));
        files.push(file(&location, &by, DAY, &rows).await);
    }
    let large = files[0].size;
    // One that is large enough already, in another day.
    let day = Some("2026-03-02");
    let others = [some_rows(0, 40), some_rows(40, 40)];
    for rows in &others {
        files.push(file(&location, &by, day, rows).await);
    }
    add(&location, files, "all").await;
    let target_bytes = large * 3;
    let report = compacted(&location, &Options { target_bytes, ..options() }).await;
    assert_eq!((report.files.removed, report.files.added, report.partitions), (12, 5, 2));
    let lake = open(&location).await;
    let sizes: Vec<u64> = lake
        .files()
        .unwrap()
        .filter(|file| file.partition[0].1.as_deref() == DAY)
        .map(|file| file.size)
        .collect();
    assert_eq!(sizes.len(), 4);
    for size in sizes {
        assert!(size <= target_bytes && size > target_bytes / 2, "{size} of {target_bytes}");
    }
    // They are one sequence: the order of their numbers is that of their rows.
    assert_sorted(&contents(&lake).await["event_date=2026-03-01"].concat());
    let again = compacted(&location, &Options { target_bytes, ..options() }).await;
    assert_eq!(again.files.removed, 0);
}

#[tokio::test]
async fn days_are_chosen_by_their_dates() {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let days = [Some("2026-02-28"), Some("2026-03-01"), Some("2026-03-02"), None];
    let mut files = Vec::new();
    for day in days {
        for start in [0, 40] {
            files.push(file(&location, &by, day, &some_rows(start, 40)).await);
        }
    }
    add(&location, files, "all").await;
    let day = |text: &str| Some(text.parse().unwrap());
    let one = Options { first_day: day("2026-03-01"), last_day: day("2026-03-01"), ..options() };
    let planned = compacted(&location, &Options { dry_run: true, ..one.clone() }).await;
    assert_eq!((planned.files.removed, planned.files.added, planned.commits, planned.version), (2, 1, 0, 1));
    let report = compacted(&location, &one).await;
    assert_eq!((report.files.removed, report.partitions, report.partitions_left), (2, 1, 0));
    let since = Options { first_day: day("2026-03-01"), ..options() };
    let report = compacted(&location, &since).await;
    assert_eq!((report.files.removed, report.partitions, report.partitions_left), (2, 1, 1));
    let report = compacted(&location, &options()).await;
    assert_eq!((report.files.removed, report.partitions, report.partitions_left), (4, 2, 2));
    assert!(contents(&open(&location).await).await.values().all(|files| files.len() == 1));
}

#[tokio::test]
async fn what_a_file_of_an_older_schema_lacks_is_null() {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let rows = some_rows(0, 30);
    let (old, new): (Vec<TestRow>, Vec<TestRow>) = rows.into_iter().partition(|row| row.record < 20);
    let whole = batch(&old);
    // As it was before there were payloads; and the columns were in another order then.
    let columns = ["row_source_record", "event_id", "event_time", "region", "account"];
    let columns = columns.map(|name| whole.schema().index_of(name).unwrap());
    let mut sorted: Vec<usize> = (0..old.len()).collect();
    sorted.sort_by_key(|&row| (old[row].account.clone(), old[row].time));
    let parts: Vec<_> = sorted.into_iter().map(|row| whole.slice(row, 1)).collect();
    let whole = arrow::compute::concat_batches(&whole.schema(), &parts).unwrap().project(&columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, whole.schema(), None).unwrap();
    writer.write(&whole).unwrap();
    writer.close().unwrap();
    let partition = by.partition(DAY, None, None);
    let path = layout::data_file(&partition, &[7; 16], 0);
    let stats = format!("{{\"numRecords\":{}}}", old.len());
    let older = DataFile { path, size: bytes.len() as u64, rows: old.len() as u64, partition, stats };
    location.store.put(&layout::object(&location, &older.path).unwrap(), bytes.into()).await.unwrap();
    let files = vec![older, file(&location, &by, DAY, &new).await];
    add(&location, files, "both").await;

    let report = compacted(&location, &options()).await;
    assert_eq!((report.files.removed, report.files.added, report.rows), (2, 1, 30));
    let merged = contents(&open(&location).await).await;
    let merged = &merged["event_date=2026-03-01"][0];
    assert_sorted(merged);
    assert_eq!(merged.iter().filter(|row| field(row, "request_parameters").is_some()).count(), 10);
}

#[tokio::test]
async fn ties_that_outlast_a_batch_are_put_in_order() {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let mut files = Vec::new();
    for (number, of_a_time) in [700, 3_000, 1].into_iter().enumerate() {
        let mut rows = some_rows(0, 3_000);
        for (at, row) in rows.iter_mut().enumerate() {
            row.account = text(A);
            row.time = Some(MARCH + (at / of_a_time) as i64 * 1_000_000);
            // As if the ids were in no order.
            row.id = text(format!("{:05}-{number}", at * 7_919 % 3_000));
        }
        files.push(file(&location, &by, DAY, &rows).await);
    }
    add(&location, files, "all").await;
    let report = compacted(&location, &options()).await;
    assert_eq!((report.files.removed, report.files.added, report.rows), (3, 1, 9_000));
    assert_sorted(&contents(&open(&location).await).await["event_date=2026-03-01"][0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_beside_it_see_whole_states() {
    const FILES: usize = 12;
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let files: Vec<Vec<TestRow>> = (0..FILES as i64).map(|number| some_rows(number * 10, 10)).collect();
    let writing = async {
        for rows in &files {
            let file = file(&location, &by, DAY, rows).await;
            while !try_add(&location, vec![file.clone()]).await {
                tokio::task::yield_now().await;
            }
        }
    };
    let compacting = async {
        let mut merged = 0;
        while open(&location).await.files().unwrap().map(|file| file.rows).sum::<u64>() < 10 * FILES as u64 {
            merged += run(open(&location).await, &options()).await.unwrap().commits;
        }
        merged
    };
    let reading = async {
        let mut seen = 0;
        while seen < 10 * FILES {
            let rows: Vec<String> = rows(&open(&location).await).await.into_values().flatten().collect();
            let mut distinct = rows.clone();
            distinct.dedup();
            assert_eq!(rows.len(), distinct.len(), "a row is there twice");
            assert!(rows.len() % 10 == 0 && rows.len() >= seen, "{} after {seen}", rows.len());
            seen = rows.len();
        }
    };
    let ((), merged, ()) = futures::join!(writing, compacting, reading);
    run(open(&location).await, &options()).await.unwrap();
    let lake = open(&location).await;
    assert_eq!(lake.files().unwrap().count(), 1);
    assert_eq!(rows(&lake).await["event_date=2026-03-01"].len(), 10 * FILES, "after {merged} merges");
}

#[tokio::test]
async fn of_two_compactions_of_one_version_one_counts() {
    let location = lake_of(6).await;
    let lake = open(&location).await;
    let before = rows(&lake).await;
    let [one, two] = ["one", "two"].map(|run_id| Options { run_id: run_id.to_owned(), ..options() });
    let (one, two) = futures::join!(run(lake.clone(), &one), run(lake, &two));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.commits + two.commits, one.conflicts + two.conflicts), (1, 1));
    assert_eq!(rows(&open(&location).await).await, before);
    assert_eq!(open(&location).await.files().unwrap().count(), 1);
}

#[tokio::test]
async fn a_commit_of_a_conversion_in_between_does_no_harm() {
    let by = Partitioning::default();
    let location = lake_of(4).await;
    let before = open(&location).await;
    let late = vec![file(&location, &by, DAY, &some_rows(10_000, 5)).await];
    add(&location, late, "late").await;
    let all = rows(&open(&location).await).await;
    let report = run(before, &options()).await.unwrap();
    // The merge is committed on top of what came, and then both are merged.
    assert_eq!((report.conflicts, report.commits, report.files.removed, report.files.added), (0, 2, 6, 2));
    let lake = open(&location).await;
    assert_eq!(rows(&lake).await, all);
    assert_eq!(lake.files().unwrap().count(), 1);
}

#[tokio::test]
async fn a_merge_of_what_others_have_removed_is_dropped() {
    let by = Partitioning::default();
    let location = lake_of(4).await;
    let day = Some("2026-03-02");
    let others = [some_rows(86_400, 5), some_rows(86_410, 5)];
    let mut files = Vec::new();
    for rows in &others {
        files.push(file(&location, &by, day, rows).await);
    }
    add(&location, files, "another day").await;
    let before = open(&location).await;
    let expire =
        expire::Options { before: "2026-03-02".parse().unwrap(), dry_run: false, run_id: "x".to_owned() };
    assert_eq!(expire::run(open(&location).await, &expire).await.unwrap().files, 4);
    let left = rows(&open(&location).await).await;
    let report = run(before, &options()).await.unwrap();
    assert_eq!((report.conflicts, report.files.removed, report.files.added), (1, 2, 1));
    let lake = open(&location).await;
    assert_eq!(rows(&lake).await, left);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["event_date=2026-03-02"]);
}

#[tokio::test]
async fn too_little_memory_is_said_at_once() {
    let location = lake_of(2).await;
    let error =
        run(open(&location).await, &Options { memory_bytes: 100 << 20, ..options() }).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.chain().starts_with("files of 64MiB need "), "{}", error.chain());
}

#[tokio::test]
async fn a_file_that_is_not_as_the_log_says_ends_it() {
    let by = Partitioning::default();
    let location = empty_lake(&by).await;
    let mut files = vec![file(&location, &by, DAY, &some_rows(0, 5)).await];
    files.push(file(&location, &by, DAY, &some_rows(5, 5)).await);
    files[1].stats = files[1].stats.replace("\"numRecords\":5", "\"numRecords\":6");
    add(&location, files, "wrong").await;
    let error = run(open(&location).await, &options()).await.unwrap_err();
    assert!(error.chain().contains("has 5 rows, and the table log says 6"), "{}", error.chain());
    assert_eq!(open(&location).await.version(), 1);
}

fn any_rows() -> impl Strategy<Value = Vec<TestRow>> {
    let few = |values: &'static [&'static str]| {
        let value = prop::sample::select(values).prop_map(|value| Some(value.to_owned()));
        prop_oneof![1 => Just(None), 6 => value]
    };
    let accounts: &[&str] =
        &["", "111122223333", "222233334444", "333344445555", "444455556666-a-longer-one-than-any"];
    let ids: &[&str] =
        &["", "a", "e00", "00000000-0000-4000-8000-000000000001", "ffffffff-0000-4000-8000-000000000001"];
    let time =
        prop_oneof![1 => Just(None), 8 => (0..4i64).prop_map(|second| Some(MARCH + second * 1_000_000))];
    let row =
        (few(accounts), few(&["us-east-1", "eu-west-1"]), time, few(ids), 0..3i64, few(&["{}", "{\"a\":1}"]))
            .prop_map(|(account, region, time, id, record, payload)| TestRow {
                account,
                region,
                time,
                id,
                record,
                payload,
            });
    prop::collection::vec(row, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the files hold and however they are partitioned: the rows are the same and in order, and a partition's
    /// files are one.
    #[test]
    fn rows_never_change(
        files in prop::collection::vec(any_rows(), 2..7),
        by in prop::sample::select(vec!["date", "date,account", "region,date", "account,region,date"]),
        jobs in 1..4usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let by: Partitioning = by.parse().unwrap();
            let location = empty_lake(&by).await;
            let mut written = BTreeMap::new();
            for rows in files {
                // A file is of one partition.
                let mut groups: BTreeMap<String, Vec<TestRow>> = BTreeMap::new();
                for mut row in rows {
                    // An empty partition value is none.
                    for (name, value) in [("account", &mut row.account), ("region", &mut row.region)] {
                        if by.contains(name) && value.as_deref() == Some("") {
                            *value = None;
                        }
                    }
                    let partition = by.partition(DAY, row.account.as_deref(), row.region.as_deref());
                    groups.entry(layout::folder(&partition)).or_default().push(row);
                }
                for rows in groups.values() {
                    let file = file(&location, &by, DAY, rows).await;
                    written.insert(file.path.clone(), file);
                }
            }
            add(&location, written.into_values().collect(), "all").await;
            let before = contents(&open(&location).await).await;
            let report = compacted(&location, &Options { jobs, ..options() }).await;
            let after = contents(&open(&location).await).await;
            prop_assert_eq!(report.partitions, before.values().filter(|files| files.len() > 1).count() as u64);
            for (folder, files) in &after {
                prop_assert_eq!(files.len(), 1);
                if before[folder].len() > 1 {
                    assert_sorted(&files[0]);
                }
            }
            Ok(())
        })?;
    }
}

/// An hour's delivery, converted into the lake `lake`.
fn deliver(env: &TestEnv, lake: &str, hour: u32) {
    let trail = (0..2).fold(Trail::default(), |trail, region| {
        let region = ["us-east-1", "eu-west-1"][region];
        let event = |number: u32| {
            event(
                A,
                region,
                &format!("2026-03-01T{hour:02}:{number:02}:00Z"),
                &format!("{region}-{hour}-{number}"),
            )
        };
        let records = [event(1), event(2), event(3)];
        trail.log(&key("CloudTrail", A, region, &format!("2026-03-01T{hour:02}:05"), "x"), &records)
    });
    trail.write(env.path("trail"));
    env.run(["convert", "trail", "--to", lake, "-q"]).success();
}

#[test]
fn hourly_runs_leave_what_one_command_merges() {
    let env = TestEnv::new();
    (1..=4).for_each(|hour| deliver(&env, "lake", hour));
    let all = "SELECT * FROM events ORDER BY event_id";
    let (before, exported) = (env.sql("lake", all), env.run(["export", "lake"]).success().stdout);
    let planned = env.run(["compact", "lake", "--dry-run"]).success();
    assert!(planned.stderr.starts_with("To merge: 4 files ("), "{}", planned.stderr);
    let said = env.run(["compact", "lake", "--since", "2026-03-01", "--until", "2026-03-02"]).success();
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr.starts_with("4 files (") && said.stderr.contains(" of 1 partition into 1 file ("),
        "{}",
        said.stderr
    );
    assert_eq!(env.sql("lake", all), before);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&env.run(["export", "lake"]).success().stdout), sorted(&exported));
    // Converting goes on as before: what was converted is known.
    let report = env.run(["convert", "trail", "--to", "lake", "--json"]).success().report();
    assert_eq!(report.all(["/objects/known", "/records/rows", "/commits"]), [8, 0, 0]);
    let again = env.run(["compact", "lake", "-q", "--json"]).success();
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&again["files"]["removed"], &again["commits"], &again["version"]),
        (&0.into(), &0.into(), &5.into())
    );
    let nothing = env.run(["compact", "lake"]).success();
    assert_eq!(nothing.stderr, "Nothing to gain in 1 partition.\n");
}

#[test]
fn in_a_bucket_it_reads_each_file_once_and_overwrites_nothing() {
    let server = S3Server::start();
    server.create_bucket("lake");
    let mut env = TestEnv::new();
    env.use_server(&server);
    let lake = "s3://lake/events/";
    for hour in 1..=3 {
        std::fs::remove_dir_all(env.path("trail")).ok();
        deliver(&env, lake, hour);
    }
    let before = env.ids(lake);
    let asked = server.requests().len();
    let report = env.run(["compact", lake, "--json"]).success();
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((&report["files"]["removed"], &report["files"]["added"]), (&3.into(), &1.into()));
    let requests = server.requests().split_off(asked);
    let of_data = |method: &str| {
        requests
            .iter()
            .filter(|request| request.method == method && request.target.contains("/part-"))
            .count()
    };
    // A file's end, to plan; then all of it.
    assert_eq!((of_data("GET"), of_data("PUT")), (6, 1));
    let puts: Vec<_> = requests.iter().filter(|request| request.method == "PUT").collect();
    assert!(puts.iter().all(|put| put.header("if-none-match") == Some("*")), "{puts:?}");
    assert!(requests.iter().all(|request| request.method != "DELETE" && request.method != "POST"));
    assert_eq!(env.ids(lake), before);
}

#[test]
fn several_objects_of_one_second_stay_apart() {
    // Ids that are no UUIDs, at one time, over several files: only the ids and the objects tell their order.
    let env = TestEnv::new();
    for object in ["a", "b", "c"] {
        let records: Vec<Value> = (0..9)
            .map(|number| event(A, "us-east-1", "2026-03-01T10:00:00Z", &format!("e{number}-{object}")))
            .collect();
        std::fs::create_dir_all(env.path("trail")).unwrap();
        std::fs::write(env.path(format!("trail/{object}.json.gz")), gzip(records_of(&records))).unwrap();
        env.run(["convert", "trail", "--to", "lake", "-q"]).success();
    }
    env.run(["compact", "lake", "-q"]).success();
    let read = env.sql("lake", "SELECT event_id FROM events");
    let mut sorted = read.clone();
    sorted.sort();
    assert_eq!((read.len(), &read), (27, &sorted));
}
