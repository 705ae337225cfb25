//! Several runs at once on one lake: every event once, and whoever reads meanwhile sees whole commits.

use std::sync::Arc;

use futures::future::join_all;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use trailhouse::convert::Options;
use trailhouse::convert::report::Report;
use trailhouse::lake::snapshot::Lake;
use trailhouse::store::Location;

use crate::support::command::{Output, TestEnv};
use crate::support::faulty::{Fault, Faulty};
use crate::support::runs::{
    Contents, bucket, compact, convert, events, holding, open, options, start, start_compact,
};
use crate::support::s3::S3Server;
use crate::support::trail::{A, Trail, event, key};

/// How long an operation of one of several runs may take, in milliseconds.
const WAIT: usize = 3;

/// Runs over these sources at once, while somebody reads; returns the reports and what there is then.
async fn race(runs: &[&[Location]]) -> (Vec<Report>, Contents, Location) {
    race_beside(runs, false).await
}

/// The same, and while somebody compacts.
async fn race_beside(runs: &[&[Location]], compacting: bool) -> (Vec<Report>, Contents, Location) {
    let store = Arc::new(InMemory::new());
    let lake = bucket(store.clone(), "lake");
    let runs = join_all(runs.iter().map(|sources| {
        let slow = bucket(Arc::new(Faulty::new(store.clone(), &[]).slow(WAIT)), "lake");
        start(options(sources, &slow))
    }));
    let reading = async {
        let (mut versions, mut rows) = (Vec::new(), 0);
        loop {
            let Some(read) = Lake::open(&lake).await.unwrap() else { continue };
            if versions.last() == Some(&read.version()) {
                tokio::task::yield_now().await;
                continue;
            }
            versions.push(read.version());
            // Whose rows are as many as its ledger says, and which lost none.
            let contents = Contents::at(&read).await;
            assert!(contents.rows.len() >= rows, "version {}", read.version());
            rows = contents.rows.len();
            expect_once(&read).await;
        }
    };
    let compacting = async {
        if !compacting {
            return std::future::pending().await;
        }
        loop {
            let slow = Faulty::new(store.clone(), &[]).slow(WAIT);
            start_compact(bucket(Arc::new(slow), "lake")).await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
    };
    let reports = tokio::select! {
        reports = runs => reports,
        () = reading => unreachable!(),
        () = compacting => unreachable!(),
    };
    let reports: Vec<Report> = reports.into_iter().map(|report| report.unwrap().unwrap()).collect();
    expect_once(&Lake::open(&lake).await.unwrap().unwrap()).await;
    (reports, Contents::of(&lake).await, lake)
}

async fn expect_once(lake: &Lake) {
    let mut all: Vec<String> = events(lake).await.into_iter().map(|event| format!("{event:?}")).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "doubled rows in version {}", lake.version());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_one_source_convert_it_once() {
    let [first, second] = Trail::busy(1..=5);
    let sources = [bucket(holding(&first).await, "trail"), bucket(holding(&second).await, "audit")];
    let (_, whole, _) = race(&[&sources]).await;
    for runs in [2, 2, 4, 4] {
        let (reports, contents, _) = race(&vec![&sources[..]; runs]).await;
        contents.expect(&whole, &format!("{runs} runs"));
        let rows: u64 = reports.iter().map(|report| report.records.rows).sum();
        assert_eq!(rows, whole.rows.len() as u64);
        let again: Vec<u64> = reports.iter().map(|report| report.planned_again).collect();
        println!("{runs} runs planned again: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_beside_a_compaction_convert_all_once() {
    let [first, _] = Trail::busy(1..=5);
    let sources = [bucket(holding(&first).await, "trail")];
    let (_, whole, _) = race(&[&sources]).await;
    let (_, contents, lake) = race_beside(&[&sources, &sources], true).await;
    contents.expect(&whole, "beside a compaction");
    compact(&lake).await.unwrap();
    Contents::of(&lake).await.expect(&whole, "compacted");
    assert_eq!(convert(&options(&sources, &lake)).await.unwrap().records.found, 0);
}

/// Which of several copies is kept depends on who was first here, so the records are compared, not where they are from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_sources_that_overlap_add_every_event_once() {
    let [first, second] = Trail::busy(1..=5);
    let sources = [bucket(holding(&first).await, "trail"), bucket(holding(&second).await, "audit")];
    let (_, whole, lake) = race(&[&sources]).await;
    let of = async |lake: &Location| {
        let events = events(&Lake::open(lake).await.unwrap().unwrap()).await;
        let mut events: Vec<String> = events.into_iter().map(|event| format!("{event:?}")).collect();
        events.sort();
        events
    };
    let expected = of(&lake).await;
    let (one, other) = (&sources[..1], &sources[1..]);
    for runs in [&[one, other][..], &[one, other, &sources, one]] {
        let (_, contents, lake) = race(runs).await;
        assert_eq!(of(&lake).await, expected, "{} runs", runs.len());
        assert_eq!(contents.rejected, whole.rejected);
        assert!(contents.ledger.keys().eq(whole.ledger.keys()));
    }
}

/// Two runs that go on side by side: the one that is always too late must not give up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_overtaken_by_every_commit_of_another_ends_well() {
    let objects = 22;
    let mut trail = Trail::default();
    for day in 1..=objects {
        let time = format!("2026-03-{day:02}T12:00");
        let record = event(A, "us-east-1", &format!("{time}:00Z"), &time);
        trail = trail.log(&key("CloudTrail", A, "us-east-1", &time, "a"), &[record]);
    }
    let stored = holding(&trail).await;
    let store = Arc::new(InMemory::new());
    let lake = bucket(store.clone(), "lake");
    Lake::create(&lake, &Default::default()).await.unwrap();
    // It writes a data file, a ledger file, and the commit that fails.
    let waits: Vec<Fault> = (1..objects).map(|plan| Fault::WaitAt(3 * plan - 2)).collect();
    let late = Faulty::new(store, &waits);
    let source = bucket(stored.clone(), "trail");
    let running = start(Options { jobs: 1, ..options(&[source], &bucket(Arc::new(late.clone()), "lake")) });
    // The other one always has the next object already.
    for day in 1..objects {
        late.waits().await;
        let begun = Arc::new(stored.fork());
        for (key, _) in &trail.0[day..] {
            begun.delete(&key.as_str().into()).await.unwrap();
        }
        assert_eq!(convert(&options(&[bucket(begun, "trail")], &lake)).await.unwrap().records.rows, 1);
        late.release();
    }
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.planned_again, report.records.rows), (objects as u64 - 1, 1));
    assert_eq!(Contents::of(&lake).await.rows.len(), objects);
}

/// One run cannot read an object that another one can, or cannot either; and is overtaken by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_run_could_not_read_is_in_its_books_once() {
    let [trail, _] = Trail::busy(1..=3);
    let stored = holding(&trail).await;
    for (lost, at) in [("_b.json.gz", 1), ("_b.json.gz", 4), ("_x.json.gz", 1)] {
        let store = Arc::new(InMemory::new());
        let lake = bucket(store.clone(), "lake");
        Lake::create(&lake, &Default::default()).await.unwrap();
        let waiting = Faulty::new(store, &[Fault::WaitAt(at)]);
        let half_blind = Faulty::new(stored.clone(), &[Fault::Lose("_b.json.gz")]);
        let source = bucket(Arc::new(half_blind), "trail");
        let slow = Options { jobs: 1, ..options(&[source], &bucket(Arc::new(waiting.clone()), "lake")) };
        let running = start(slow);
        waiting.waits().await;
        let source = bucket(Arc::new(Faulty::new(stored.clone(), &[Fault::Lose(lost)])), "trail");
        convert(&options(&[source], &lake)).await.unwrap();
        waiting.release();
        // Its books are balanced, which is asserted where it runs.
        let report = running.await.unwrap().unwrap();
        assert_eq!(report.planned_again, 1);
        convert(&options(&[bucket(stored.clone(), "trail")], &lake)).await.unwrap();
        let contents = Contents::of(&lake).await;
        assert!(contents.ledger.len() >= trail.0.len() - 1);
    }
}

#[test]
fn programs_that_race_over_s3_add_every_event_once() {
    let server = S3Server::start();
    server.create_bucket("trail");
    server.create_bucket("lakes");
    let [first, _] = Trail::busy(1..=4);
    first.upload(&server, "trail");
    let mut env = TestEnv::new();
    env.use_server(&server);
    let convert = |lake: &str| {
        let lake = format!("s3://lakes/{lake}/");
        env.start(["convert", "s3://trail/", "--to", &lake, "--commit-every", "1", "--json"])
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let contents = |lake: &str| {
        let url = format!("s3://lakes/{lake}/");
        runtime.block_on(async { Contents::of(&open(&server, &url).await).await })
    };
    Output::of(convert("one")).code(3);
    let whole = contents("one");
    for count in [2, 4] {
        let lake = count.to_string();
        let running: Vec<_> = (0..count).map(|_| convert(&lake)).collect();
        let mut rows = 0;
        for run in running {
            let output = Output::of(run);
            assert!(output.code == 0 || output.code == 3, "{}", output.stderr);
            rows += output.report().n("/records/rows");
        }
        assert_eq!(rows, whole.rows.len() as u64);
        contents(&lake).expect(&whole, &format!("{count} programs"));
    }
}
