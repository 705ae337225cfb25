//! A run that dies, wherever that may be, and is run again: the lake is the one of a run that did not die.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use trailhouse::convert::Options;
use trailhouse::store::Location;

use crate::support::command::{Output, TestEnv};
use crate::support::faulty::{Fault, Faulty};
use crate::support::runs::{Contents, bucket, convert, holding, open, options, replay};
use crate::support::s3::S3Server;
use crate::support::trail::{A, Trail, event, key};

/// A death at every write; before or after it by turns, because dead after one is nearly dead before the next. Both, where
/// `TRAILHOUSE_DEATHS` is set.
fn deaths(writes: usize) -> Vec<Fault> {
    let both = std::env::var_os("TRAILHOUSE_DEATHS").is_some();
    let at = |at: usize| match (both, at % 2) {
        (true, _) => vec![Fault::DieAt(at), Fault::DieAfter(at)],
        (false, 0) => vec![Fault::DieAt(at)],
        (false, _) => vec![Fault::DieAfter(at)],
    };
    (1..=writes).flat_map(at).collect()
}

/// The time of a day in March 2026.
fn noon_of(day: u32) -> Option<DateTime<Utc>> {
    Some(format!("2026-03-{day:02}T12:00:00Z").parse().unwrap())
}

/// A lake of eight commits, of which some are of runs with filters, and what is still to be converted.
struct Begun {
    lake: Arc<InMemory>,
    sources: Vec<Location>,
}

impl Begun {
    async fn new() -> Begun {
        let [first, second] = Trail::busy(3..=8);
        let sources = vec![bucket(holding(&first).await, "trail"), bucket(holding(&second).await, "audit")];
        let lake = Arc::new(InMemory::new());
        let place = bucket(lake.clone(), "lake");
        let narrow = Options { until: noon_of(5), ..options(&sources[..1], &place) };
        assert_eq!(convert(&narrow).await.unwrap().commits, 5);
        let of_account = BTreeSet::from([A.to_owned()]);
        let narrow = Options { accounts: of_account, until: noon_of(3), ..options(&sources[1..], &place) };
        assert_eq!(convert(&narrow).await.unwrap().commits, 3);
        // The tenth makes a checkpoint.
        Begun { lake, sources }
    }

    /// A run over all that leaves only the last half day.
    fn options(&self, lake: Arc<dyn ObjectStore>) -> Options {
        Options { until: noon_of(8), ..options(&self.sources, &bucket(lake, "lake")) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_dies_at_any_write_is_finished_by_the_next() {
    let begun = Begun::new().await;
    let whole = Arc::new(begun.lake.fork());
    let counted = Faulty::new(whole.clone(), &[]);
    let report = convert(&begun.options(Arc::new(counted.clone()))).await.unwrap();
    assert!(report.commits > 3 && report.records.filtered > 0 && report.records.duplicates > 0, "{report:?}");
    assert!(report.records.rejected > 0 && report.objects.rejected > 0, "{report:?}");
    let whole = Contents::of(&bucket(whole, "lake")).await;
    let writes = counted.mutations();
    let trials = stream::iter(deaths(writes).into_iter().enumerate()).map(async |(number, fault)| {
        let store = Arc::new(begun.lake.fork());
        let faulty = Faulty::new(store.clone(), &[fault]);
        convert(&begun.options(Arc::new(faulty.clone()))).await.unwrap_err();
        assert!(faulty.is_dead(), "{fault:?}");
        let lake = bucket(store.clone(), "lake");
        // What is there by now is balanced too.
        Contents::of(&lake).await;
        convert(&begun.options(store.clone())).await.unwrap();
        Contents::of(&lake).await.expect(&whole, &format!("{fault:?}"));
        if number.is_multiple_of(8) {
            let report = convert(&begun.options(store)).await.unwrap();
            assert_eq!((report.records.found, report.commits), (0, 0), "{fault:?}");
        }
    });
    let done = trials.buffer_unordered(2).count().await;
    println!("died at each of {writes} writes: {done} runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_dies_at_any_write_is_finished_by_the_next() {
    let [first, _] = Trail::busy(1..=3);
    let sources = [bucket(holding(&first).await, "trail")];
    let begun = Arc::new(InMemory::new());
    // Only objects of one event are small enough.
    let narrow = Options { max_object_bytes: 1200, ..options(&sources, &bucket(begun.clone(), "lake")) };
    let report = convert(&narrow).await.unwrap();
    assert!(report.objects.rejected > 5 && report.commits > 2, "{report:?}");
    let whole = Arc::new(begun.fork());
    let counted = Faulty::new(whole.clone(), &[]);
    let report = replay(&options(&[], &bucket(Arc::new(counted.clone()), "lake"))).await.unwrap();
    assert!(report.records.rows > 10 && report.records.rejected > 0, "{report:?}");
    let whole = Contents::of(&bucket(whole, "lake")).await;
    let trials = stream::iter(deaths(counted.mutations())).map(async |fault| {
        let store = Arc::new(begun.fork());
        let faulty = Faulty::new(store.clone(), &[fault]);
        replay(&options(&[], &bucket(Arc::new(faulty), "lake"))).await.unwrap_err();
        let lake = bucket(store, "lake");
        Contents::of(&lake).await;
        replay(&options(&[], &lake)).await.unwrap();
        Contents::of(&lake).await.expect(&whole, &format!("{fault:?}"));
    });
    println!("a replay died {} times", trials.buffer_unordered(2).count().await);
}

/// The run that makes the lake, against a server: what a store in memory cannot get wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_dies_over_s3_is_finished_by_the_next() {
    let server = S3Server::start();
    server.create_bucket("trail");
    server.create_bucket("lakes");
    let [trail, _] = Trail::busy(1..=2);
    trail.upload(&server, "trail");
    let sources = [open(&server, "s3://trail/").await];
    let place = open(&server, "s3://lakes/whole/").await;
    let counted = Faulty::new(place.store.clone(), &[]);
    convert(&options(&sources, &Location { store: Arc::new(counted.clone()), ..place.clone() }))
        .await
        .unwrap();
    let whole = Contents::of(&place).await;
    let trials =
        stream::iter(deaths(counted.mutations()).into_iter().enumerate()).map(async |(number, fault)| {
            let place = open(&server, &format!("s3://lakes/{number}/")).await;
            let faulty = Faulty::new(place.store.clone(), &[fault]);
            let lake = Location { store: Arc::new(faulty), ..place.clone() };
            convert(&options(&sources, &lake)).await.unwrap_err();
            convert(&options(&sources, &place)).await.unwrap();
            Contents::of(&place).await.expect(&whole, &format!("{fault:?}"));
        });
    println!("died {} times over S3", trials.buffer_unordered(2).count().await);
}

/// How often the program is killed; `TRAILHOUSE_KILLS` says otherwise.
const KILLS: u32 = 6;

#[test]
fn a_program_that_is_killed_at_any_moment_is_finished_by_the_next() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("TRAILHOUSE_KILLS").unwrap_or(u64::from(KILLS));
    let mut seed = number("TRAILHOUSE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("TRAILHOUSE_SEED={seed}");
    let env = TestEnv::new();
    many_objects().write(env.path("trail"));
    let args = |lake: &str| {
        let args =
            ["convert", "trail", "--to", lake, "--commit-every", "40KB", "--progress", "none", "--json"];
        args.map(str::to_owned)
    };
    let clock = Instant::now();
    let report = env.run(args("whole")).code(3).report();
    let time = clock.elapsed();
    println!("a run takes {time:?} and commits {} times", report.n("/commits"));
    let contents = |lake: &str| {
        let lake = env.path(lake);
        runtime().block_on(async {
            let options = trailhouse::store::Options::default();
            Contents::of(&Location::open(lake.to_str().unwrap(), &options).await.unwrap()).await
        })
    };
    let whole = contents("whole");
    let mut versions = BTreeSet::new();
    for kill in 0..kills {
        // Numerical Recipes' generator does for moments.
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0xffff_ffff;
        let lake = format!("lake-{kill}");
        let mut child = env.start(args(&lake));
        std::thread::sleep(time.mul_f64(seed as f64 / f64::from(u32::MAX)));
        child.kill().unwrap();
        let killed = Output::of(child);
        // One that was faster than the killer has done all.
        assert!(killed.code == -1 || killed.code == 3, "{}", killed.stderr);
        versions.insert(std::fs::read_dir(env.path(&lake).join("_delta_log")).map_or(0, Iterator::count));
        let again = env.run(args(&lake));
        assert!(again.code == 0 || again.code == 3, "{}", again.stderr);
        contents(&lake).expect(&whole, &format!("kill {kill}"));
        std::fs::remove_dir_all(env.path(&lake)).unwrap();
    }
    println!("killed {kills} times, with these many files in the table log: {versions:?}");
}

/// Some thousand objects of twelve days.
fn many_objects() -> Trail {
    let [mut trail, _] = Trail::busy(1..=12);
    for number in 0..3_000 {
        let (day, minute) = (number % 12 + 1, number / 12 % 60);
        let slot = format!("2026-03-{day:02}T09:{minute:02}");
        // Every tenth event is one of the object before it of that day.
        let of = if number % 10 == 0 { number.max(12) - 12 } else { number };
        let time = format!("2026-03-{day:02}T09:00:00Z");
        let records = [
            event(A, "us-east-1", &time, &format!("n-{of}")),
            event(A, "us-east-1", &time, &format!("m-{number}")),
        ];
        trail = trail.log(&key("CloudTrail", A, "us-east-1", &slot, &format!("n{number:04}")), &records);
    }
    trail
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
