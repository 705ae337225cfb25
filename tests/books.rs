//! Histories of deliveries and runs, at random: in the end the lake has every event once, and its books balance always.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use trailhouse::convert::Options;
use trailhouse::convert::report::Report;
use trailhouse::error::Result;
use trailhouse::lake::layout::Partitioning;
use trailhouse::lake::snapshot::Lake;

use crate::support::faulty::{Fault, Faulty};
use crate::support::runs::{Contents, bucket, convert, events, options, replay, start, start_compact};
use crate::support::trail::{A, B, event, gzip, key, with, without};

/// Histories tried where `PROPTEST_CASES` does not say.
const CASES: u32 = 16;

/// Times of events; some are on either side of a midnight.
const TIMES: [&str; 7] = [
    "2026-03-01T00:00:00Z",
    "2026-03-01T12:00:00Z",
    "2026-03-01T23:59:59Z",
    "2026-03-02T00:00:00Z",
    "2026-03-02T12:00:00.123456Z",
    "2026-03-03T12:00:00Z",
    "2026-03-04T08:00:00Z",
];

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

#[derive(Debug, Clone, Copy)]
enum Oddity {
    None,
    NoId,
    NoTime,
    NoRegion,
    NoAccount,
    /// The id of the event before it, but another content.
    SameId,
    Large,
}

/// Where events are delivered.
#[derive(Debug, Clone)]
struct Delivery {
    source: usize,
    day: u32,
    account: bool,
    region: usize,
    slot: u32,
    events: Vec<usize>,
    pretty: bool,
    rejected: usize,
}

#[derive(Debug, Clone)]
struct Run {
    sources: usize,
    since: Option<usize>,
    until: Option<usize>,
    account: Option<bool>,
    region: Option<usize>,
    lookback_days: Option<u64>,
    jobs: usize,
    commit_bytes: u64,
    max_object_bytes: u64,
    of_lake: Option<Fault>,
    of_source: Option<Fault>,
}

/// One that leaves nothing.
const ALL: Run = Run {
    sources: 3,
    since: None,
    until: None,
    account: None,
    region: None,
    lookback_days: None,
    jobs: 2,
    commit_bytes: 1 << 30,
    max_object_bytes: 64 << 20,
    of_lake: None,
    of_source: None,
};

#[derive(Debug, Clone)]
enum Step {
    Deliver(Delivery),
    /// Another object under the URL of one.
    Replace(usize, Vec<usize>),
    Delete(usize),
    Run(Run),
    Race(Run, Run),
    /// Fewer files; beside a run, if there is one.
    Compact(Option<Fault>, Option<Run>),
    /// What was rejected, once more; beside a run, if there is one.
    Replay(Option<Fault>, Option<Run>),
}

fn event_of() -> impl Strategy<Value = (bool, usize, Oddity)> {
    use Oddity::*;
    let odd = select(vec![None, None, None, NoId, NoTime, NoRegion, NoAccount, SameId]);
    let oddity = prop_oneof![30 => odd, 1 => Just(Large)];
    (any::<bool>(), 0..TIMES.len(), oddity)
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let place = (0..2usize, 1..5u32, any::<bool>(), 0..2usize, 0..3u32);
    (place, vec(0..14usize, 0..8), any::<bool>(), select(vec![0, 0, 0, 1, 2])).prop_map(
        |((source, day, account, region, slot), events, pretty, rejected)| Delivery {
            source,
            day,
            account,
            region,
            slot,
            events,
            pretty,
            rejected,
        },
    )
}

fn of_lake() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        4 => Just(None),
        1 => (1..25usize).prop_map(|at| Some(Fault::DieAt(at))),
        1 => (1..25usize).prop_map(|at| Some(Fault::DieAfter(at))),
        1 => (1..12usize).prop_map(|at| Some(Fault::LoseAnswer(at))),
        1 => (1..60usize).prop_map(|at| Some(Fault::FailRequest(at))),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    // By the lower one an object of two events is rejected.
    let limit = prop_oneof![5 => Just(64 << 20), 1 => Just(1200)];
    let of_source = prop_oneof![
        6 => Just(None),
        1 => (1..20usize).prop_map(|at| Some(Fault::FailRequest(at))),
        1 => (1..20usize).prop_map(|at| Some(Fault::Vanish(at))),
        1 => (1..20usize).prop_map(|request| Some(Fault::CutBody { request, silently: false })),
    ];
    let time = || prop_oneof![2 => Just(None), 1 => of(0..TIMES.len())];
    let lookback = select(vec![None, Some(0), Some(1), Some(3)]);
    let filters = (
        time(),
        time(),
        prop_oneof![3 => Just(None), 1 => of(any::<bool>())],
        prop_oneof![3 => Just(None), 1 => of(0..2usize)],
    );
    (1..4usize, filters, lookback, 1..4usize, select(vec![1, 1000, 1 << 30]), limit, of_lake(), of_source)
        .prop_map(
            |(
                sources,
                (since, until, account, region),
                lookback_days,
                jobs,
                commit_bytes,
                max_object_bytes,
                of_lake,
                of_source,
            )| Run {
                sources,
                since,
                until,
                account,
                region,
                lookback_days,
                jobs,
                commit_bytes,
                max_object_bytes,
                of_lake,
                of_source,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => delivery().prop_map(Step::Deliver),
        1 => (any::<usize>(), vec(0..12usize, 0..4)).prop_map(|(which, events)| Step::Replace(which, events)),
        1 => any::<usize>().prop_map(Step::Delete),
        4 => run().prop_map(Step::Run),
        1 => (run(), run()).prop_map(|(one, other)| Step::Race(one, other)),
        1 => (of_lake(), of(run())).prop_map(|(fault, beside)| Step::Replay(fault, beside)),
        1 => (of_lake(), of(run())).prop_map(|(fault, beside)| Step::Compact(fault, beside)),
    ]
}

/// An account and a record.
type Event = (Option<String>, String);

/// An object that is there.
struct Stored {
    source: usize,
    path: Path,
    delivery: Delivery,
    events: BTreeSet<Event>,
}

/// What has happened in histories, to see that they are of any use.
#[derive(Debug, Default)]
struct Tried {
    histories: u64,
    runs: u64,
    failed: u64,
    planned_again: u64,
    unreadable: u64,
    commits: u64,
    rows: u64,
    duplicates: u64,
    filtered: u64,
    rejected: u64,
    conflicts: u64,
}

impl Tried {
    fn run(&mut self, done: &Result<Report>) {
        self.runs += 1;
        match done {
            Err(_) => self.failed += 1,
            Ok(report) => self.add(&Tried {
                planned_again: report.planned_again,
                unreadable: report.objects.unreadable,
                commits: report.commits,
                rows: report.records.rows,
                duplicates: report.records.duplicates,
                filtered: report.records.filtered,
                rejected: report.records.rejected,
                conflicts: report.conflicts,
                ..Tried::default()
            }),
        }
    }

    fn add(&mut self, other: &Tried) {
        self.histories += other.histories;
        self.runs += other.runs;
        self.failed += other.failed;
        self.planned_again += other.planned_again;
        self.unreadable += other.unreadable;
        self.commits += other.commits;
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.conflicts += other.conflicts;
    }
}

struct History {
    tried: Tried,
    partitioning: Partitioning,
    pool: Vec<Value>,
    sources: [Arc<InMemory>; 2],
    stored: Vec<Stored>,
    /// All that ever was in an object.
    delivered: BTreeSet<Event>,
    lake: Arc<InMemory>,
    /// What the lake has had.
    had: BTreeSet<Event>,
    puts: usize,
}

impl History {
    fn new(partitioning: &str, pool: &[(bool, usize, Oddity)]) -> History {
        let mut events: Vec<Value> = Vec::new();
        for (number, (account, time, oddity)) in pool.iter().enumerate() {
            let account = if *account { A } else { B };
            let plain =
                with(event(account, REGIONS[time % 2], TIMES[*time], &format!("e{number}")), "n", number);
            events.push(match oddity {
                Oddity::None => plain,
                Oddity::NoId => without(plain, "eventID"),
                Oddity::NoTime => without(plain, "eventTime"),
                Oddity::NoRegion => without(plain, "awsRegion"),
                Oddity::NoAccount => without(plain, "recipientAccountId"),
                Oddity::SameId => with(events.last().unwrap_or(&plain).clone(), "n", number),
                // Two of them are too much for one chunk of the memory given.
                Oddity::Large => with(plain, "requestParameters", json!({"x": "x".repeat(2_200_000)})),
            });
        }
        History {
            tried: Tried { histories: 1, ..Tried::default() },
            partitioning: partitioning.parse().unwrap(),
            pool: events,
            sources: Default::default(),
            stored: Vec::new(),
            delivered: BTreeSet::new(),
            lake: Arc::default(),
            had: BTreeSet::new(),
            puts: 0,
        }
    }

    async fn put(&mut self, delivery: Delivery) {
        let account = if delivery.account { A } else { B };
        let slot = format!("2026-03-{:02}T12:{:02}", delivery.day, delivery.slot * 5);
        let unique = format!("{:?}{}", delivery.events, delivery.pretty).replace([' ', ',', '[', ']'], "");
        let path = Path::from(key("CloudTrail", account, REGIONS[delivery.region], &slot, &unique));
        self.put_at(path, delivery).await;
    }

    async fn put_at(&mut self, path: Path, delivery: Delivery) {
        self.puts += 1;
        let records = delivery.events.iter().map(|number| self.pool[number % self.pool.len()].clone());
        let records: Vec<Value> = records.collect();
        let rejected = (0..delivery.rejected).map(|number| json!(format!("rejected {} {number}", self.puts)));
        let all = json!({"Records": records.iter().cloned().chain(rejected).collect::<Vec<_>>()});
        let text = if delivery.pretty { format!("{all:#}") } else { all.to_string() };
        self.sources[delivery.source].put(&path, gzip(text).into()).await.unwrap();
        let in_key = if delivery.account { A } else { B };
        let events: BTreeSet<Event> = records
            .into_iter()
            .map(|record| {
                let account = record["recipientAccountId"].as_str().unwrap_or(in_key).to_owned();
                (Some(account), record.to_string())
            })
            .collect();
        self.delivered.extend(events.clone());
        self.stored.retain(|stored| (stored.source, &stored.path) != (delivery.source, &path));
        self.stored.push(Stored { source: delivery.source, path, delivery, events });
    }

    fn options(&self, run: &Run, slow: bool) -> Options {
        let wait = usize::from(slow) * 2;
        let wrapped = |store: &Arc<InMemory>, fault: Option<Fault>| -> Arc<dyn ObjectStore> {
            Arc::new(Faulty::new(store.clone(), fault.as_slice()).slow(wait))
        };
        let sources = [0, 1].into_iter().filter(|source| run.sources & (source + 1) != 0);
        let sources: Vec<_> = sources
            .map(|source| bucket(wrapped(&self.sources[source], run.of_source), ["trail", "audit"][source]))
            .collect();
        let time = |time: usize| -> DateTime<Utc> { TIMES[time].parse().unwrap() };
        let account = run.account.map(|account| if account { A } else { B }.to_owned());
        Options {
            since: run.since.map(time),
            until: run.until.map(time),
            accounts: account.into_iter().collect(),
            regions: run.region.map(|region| REGIONS[region].to_owned()).into_iter().collect(),
            partitioning: Some(self.partitioning.clone()),
            lookback_days: run.lookback_days,
            jobs: run.jobs,
            commit_bytes: run.commit_bytes,
            max_object_bytes: run.max_object_bytes,
            ..options(&sources, &bucket(wrapped(&self.lake, run.of_lake), "lake"))
        }
    }

    /// What must be so at any time; then returns what is there.
    async fn look(&mut self) -> Contents {
        let lake = bucket(self.lake.clone(), "lake");
        // The books balance, which is asserted there.
        let contents = Contents::of(&lake).await;
        let Some(lake) = Lake::open(&lake).await.unwrap() else { return contents };
        let mut here = BTreeSet::new();
        for (account, record) in events(&lake).await {
            let event = (account, record.to_string());
            assert!(self.delivered.contains(&event), "nobody has delivered {event:?}");
            assert!(!here.contains(&event), "doubled: {event:?}");
            here.insert(event);
        }
        let lost: Vec<&Event> = self.had.difference(&here).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        self.had = here;
        contents
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Deliver(delivery) => return self.put(delivery).await,
            Step::Replace(which, events) => {
                if !self.stored.is_empty() {
                    let stored = &self.stored[which % self.stored.len()];
                    let delivery = Delivery { events, ..stored.delivery.clone() };
                    return self.put_at(stored.path.clone(), delivery).await;
                }
            }
            Step::Delete(which) => {
                if !self.stored.is_empty() {
                    let stored = self.stored.remove(which % self.stored.len());
                    self.sources[stored.source].delete(&stored.path).await.unwrap();
                }
            }
            Step::Run(run) => {
                let done = convert(&self.options(&run, false)).await;
                self.tried.run(&done);
                assert!(done.is_ok() || run.of_lake.or(run.of_source).is_some(), "{done:?}");
            }
            Step::Race(one, other) => {
                let running = [&one, &other].map(|run| start(self.options(run, true)));
                for (running, run) in running.into_iter().zip([one, other]) {
                    let done = running.await.unwrap();
                    self.tried.run(&done);
                    assert!(done.is_ok() || run.of_lake.or(run.of_source).is_some(), "{done:?}");
                }
            }
            Step::Compact(fault, beside) => {
                let beside = beside.map(|run| (start(self.options(&run, true)), run));
                let lake = self.options(&Run { of_lake: fault, ..ALL }, beside.is_some()).lake;
                let done = start_compact(lake).await.unwrap();
                assert!(done.is_ok() || fault.is_some(), "{done:?}");
                if let Some((running, run)) = beside {
                    let done = running.await.unwrap();
                    self.tried.run(&done);
                    assert!(done.is_ok() || run.of_lake.or(run.of_source).is_some(), "{done:?}");
                }
            }
            Step::Replay(fault, beside) => {
                let beside = beside.map(|run| (start(self.options(&run, true)), run));
                let done = replay(&self.options(&Run { of_lake: fault, ..ALL }, beside.is_some())).await;
                let no_lake = done.as_ref().is_err_and(|error| error.chain().starts_with("there is no lake"));
                assert!(done.is_ok() || fault.is_some() || no_lake, "{done:?}");
                if let Some((running, run)) = beside {
                    let done = running.await.unwrap();
                    self.tried.run(&done);
                    assert!(done.is_ok() || run.of_lake.or(run.of_source).is_some(), "{done:?}");
                }
            }
        }
        self.look().await;
    }

    async fn end(&mut self) {
        let done = convert(&self.options(&ALL, false)).await;
        self.tried.run(&done);
        let report = done.unwrap();
        assert_eq!(report.objects.unreadable, 0);
        replay(&self.options(&ALL, false)).await.unwrap();
        let contents = self.look().await;
        assert!(contents.rejected.iter().all(|(_, _, record, ..)| record.is_some()));
        let there: BTreeSet<&Event> = self.stored.iter().flat_map(|stored| &stored.events).collect();
        let missing: Vec<_> = there.into_iter().filter(|event| !self.had.contains(*event)).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        // Each object that is there is known, and nothing is left of it.
        for stored in &self.stored {
            let url = format!("s3://{}/{}", ["trail", "audit"][stored.source], stored.path);
            let whole = contents.ledger.values().filter(|entry| entry.url == url && entry.filter.is_none());
            assert!(whole.count() > 0, "{url}");
        }
        let again = convert(&self.options(&ALL, false)).await.unwrap();
        assert_eq!((again.records.found, again.commits), (0, 0));
    }
}

#[test]
fn the_lake_has_every_event_once_after_any_history() {
    let mut runner = TestRunner::new(Config {
        cases: std::env::var("PROPTEST_CASES").map_or(CASES, |text| text.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tried = RefCell::new(Tried::default());
    let partitioning = select(vec!["date", "date,account", "date,region", "account,region,date"]);
    let history = (partitioning, vec(event_of(), 4..14), vec(step(), 6..26));
    let done = runner.run(&history, |(partitioning, pool, steps)| {
        runtime.block_on(async {
            let mut history = History::new(partitioning, &pool);
            for step in steps {
                history.step(step).await;
            }
            history.end().await;
            tried.borrow_mut().add(&history.tried);
        });
        Ok(())
    });
    println!("{:?}", tried.borrow());
    done.unwrap_or_else(|error| panic!("{error}"));
}
