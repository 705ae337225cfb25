//! Dying at every step: the next run ends as the uninterrupted one would have.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use trailhouse::error::Result;
use trailhouse::lake::layout::Partitioning;
use trailhouse::lake::snapshot::Lake;
use trailhouse::lake::{compact, expire, vacuum};
use trailhouse::store::{self, Location};

use crate::support::faulty::{Fault, Faulty};
use crate::support::rows::{MARCH, TestRow, add, at, contents, file, fork, objects, open};
use crate::support::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

/// A command under test.
#[derive(Debug, Clone, Copy)]
enum Upkeep {
    Compact,
    Expire,
    Vacuum,
}

impl Upkeep {
    async fn run(self, location: &Location) -> Result<()> {
        // Opened first: a dead store's lake cannot be.
        let lake = Lake::open(location).await?.expect("the lake was there");
        match self {
            Upkeep::Compact => {
                let options = compact::Options {
                    first_day: None,
                    last_day: None,
                    target_bytes: 1 << 20,
                    memory_bytes: 1 << 30,
                    jobs: 1,
                    dry_run: false,
                    run_id: "compact".to_owned(),
                };
                compact::run(lake, &options).await.map(drop)
            }
            Upkeep::Expire => {
                let before = "2026-03-02".parse().unwrap();
                let options = expire::Options { before, dry_run: false, run_id: "expire".to_owned() };
                expire::run(lake, &options).await.map(drop)
            }
            Upkeep::Vacuum => {
                let now = Utc::now() + TimeDelta::days(8);
                let options =
                    vacuum::Options { retention: TimeDelta::days(7), force: false, dry_run: false, now };
                vacuum::run(&lake, &options).await.map(drop)
            }
        }
    }
}

/// Eight commits, so that the next one makes a checkpoint: the first with files of two days, the others with objects that had
/// no events. And a file that nothing refers to.
async fn build(location: &Location) {
    let by = Partitioning::default();
    Lake::create(location, &by).await.unwrap();
    for number in 0..8 {
        let day = if number % 2 == 0 { "2026-03-01" } else { "2026-03-02" };
        let row = |record: i64| TestRow { time: Some(MARCH + record), record, ..TestRow::default() };
        let rows: Vec<TestRow> = (0..5).map(|at| row(at * 9 + number)).collect();
        let files = if number < 4 { vec![file(location, &by, Some(day), &rows).await] } else { vec![] };
        add(location, files, &format!("object {number}")).await;
    }
    file(location, &by, Some("2026-03-02"), &[TestRow::default()]).await;
}

/// Rows in their files' order, and what else there is. Of the table's versions the number, not the content.
type Seen = (BTreeMap<String, Vec<Vec<String>>>, Option<chrono::NaiveDate>, Vec<String>);

async fn seen(location: &Location) -> Seen {
    let lake = open(location).await;
    (contents(&lake).await, lake.expired_before(), objects(location).await)
}

/// A lake in memory on which the command has something to do, and what it is after that.
async fn prepared(upkeep: Upkeep) -> (InMemory, Seen, usize) {
    let store = Arc::new(InMemory::new());
    let location = at(store.clone());
    build(&location).await;
    if matches!(upkeep, Upkeep::Vacuum) {
        Upkeep::Compact.run(&location).await.unwrap();
    }
    let whole = Faulty::new(fork(&store), &[]);
    let location = at(Arc::new(whole.clone()));
    upkeep.run(&location).await.unwrap();
    (store.fork(), seen(&location).await, whole.mutations())
}

async fn sweep(upkeep: Upkeep) {
    let (store, expected, mutations) = prepared(upkeep).await;
    assert!(mutations >= 3, "{upkeep:?} has {mutations} operations that change something");
    for at_mutation in 1..=mutations {
        for fault in [Fault::DieAt(at_mutation), Fault::DieAfter(at_mutation)] {
            let store = fork(&store);
            let faulty = Faulty::new(store.clone(), &[fault]);
            // A checkpoint that fails is no failure of the commit before it.
            let died = upkeep.run(&at(Arc::new(faulty.clone()))).await;
            assert!(faulty.is_dead(), "{upkeep:?} {fault:?} did not happen");
            let location = at(store);
            open(&location).await;
            upkeep.run(&location).await.unwrap();
            assert_eq!(seen(&location).await, expected, "{upkeep:?} {fault:?} {died:?}");
        }
    }
}

#[tokio::test]
async fn compact_dies_and_is_run_again() {
    sweep(Upkeep::Compact).await;
}

#[tokio::test]
async fn expire_dies_and_is_run_again() {
    sweep(Upkeep::Expire).await;
}

#[tokio::test]
async fn vacuum_dies_and_is_run_again() {
    sweep(Upkeep::Vacuum).await;
}

#[tokio::test]
async fn a_request_that_fails_leaves_the_rows_and_is_made_up_for() {
    for upkeep in [Upkeep::Compact, Upkeep::Expire, Upkeep::Vacuum] {
        let (store, expected, _) = prepared(upkeep).await;
        let whole = Faulty::new(fork(&store), &[]);
        upkeep.run(&at(Arc::new(whole.clone()))).await.unwrap();
        for request in 1..=whole.requests() {
            let store = fork(&store);
            let faulty = Faulty::new(store.clone(), &[Fault::FailRequest(request)]);
            let failed = upkeep.run(&at(Arc::new(faulty))).await;
            let location = at(store);
            upkeep.run(&location).await.unwrap();
            assert_eq!(seen(&location).await, expected, "{upkeep:?} request {request} {failed:?}");
        }
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_no_harm() {
    for upkeep in [Upkeep::Compact, Upkeep::Expire] {
        let (store, expected, _) = prepared(upkeep).await;
        let whole = Faulty::new(fork(&store), &[]);
        upkeep.run(&at(Arc::new(whole.clone()))).await.unwrap();
        for put in 1..=whole.puts() {
            let store = fork(&store);
            let faulty = Faulty::new(store.clone(), &[Fault::LoseAnswer(put)]);
            let lost = upkeep.run(&at(Arc::new(faulty))).await;
            let location = at(store);
            if lost.is_err() {
                upkeep.run(&location).await.unwrap();
            }
            assert_eq!(seen(&location).await, expected, "{upkeep:?} put {put} {lost:?}");
        }
    }
}

// One thread would not do: a connection is driven by the runtime that has opened it, and the table log's library has its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_a_bucket() {
    let server = S3Server::start();
    server.create_bucket("lakes");
    let pairs = [
        ("endpoint", server.endpoint.as_str()),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", SECRET_KEY),
    ];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let options = store::Options { pairs };
    let bucket = async |name: &str, faults: &[Fault]| {
        let mut location = Location::open(&format!("s3://lakes/{name}/"), &options).await.unwrap();
        let faulty = Faulty::new(location.store, faults);
        location.store = Arc::new(faulty.clone()) as Arc<dyn ObjectStore>;
        (location, faulty)
    };
    let (location, _) = bucket("whole", &[]).await;
    build(&location).await;
    let (counted, faulty) = bucket("whole", &[]).await;
    Upkeep::Compact.run(&counted).await.unwrap();
    let expected = seen(&location).await;
    for at_mutation in 1..=faulty.mutations() {
        let name = format!("dead-{at_mutation}");
        let (location, _) = bucket(&name, &[]).await;
        build(&location).await;
        let (dying, faulty) = bucket(&name, &[Fault::DieAfter(at_mutation)]).await;
        Upkeep::Compact.run(&dying).await.ok();
        assert!(faulty.is_dead());
        Upkeep::Compact.run(&location).await.unwrap();
        assert_eq!(seen(&location).await, expected, "{at_mutation}");
    }
}
