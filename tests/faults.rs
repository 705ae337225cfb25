//! A store that fails: the run says so, and the next one makes good what it missed.

use std::sync::Arc;

use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use trailhouse::convert::Options;
use trailhouse::lake::snapshot::Lake;
use trailhouse::store::Location;

use crate::support::faulty::{Fault, Faulty};
use crate::support::runs::{Contents, bucket, convert, events, holding, options};
use crate::support::trail::Trail;

/// Of the faults at every request of a lake one in so many is tried, and more of those of sources; `TRAILHOUSE_FAULTS=1` tries
/// all.
const EVERY: usize = 23;

/// What can go wrong with the n-th request to a source.
const OF_SOURCES: [fn(usize) -> Fault; 5] = [
    Fault::FailRequest,
    Fault::Vanish,
    Fault::CutListing,
    |request| Fault::CutBody { request, silently: false },
    |request| Fault::CutBody { request, silently: true },
];

/// And with one to a lake.
const OF_LAKES: [fn(usize) -> Fault; 4] = [
    Fault::FailRequest,
    |request| Fault::FailSome(request, 4),
    Fault::CutListing,
    |request| Fault::CutBody { request, silently: false },
];

/// And with a put to one.
const OF_PUTS: [fn(usize) -> Fault; 2] = [Fault::LoseAnswer, Fault::RepeatPut];

/// The records of a lake, its rejected input, and the objects that its ledger knows: all of it but which of several
/// copies was kept, because a run that cannot read one object keeps the copy in another.
async fn known(lake: &Location) -> (Vec<String>, Vec<String>, Vec<String>) {
    let contents = Contents::of(lake).await;
    let rows = events(&Lake::open(lake).await.unwrap().unwrap()).await;
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    let rejected = contents.rejected.iter().map(|item| format!("{item:?}")).collect();
    (rows, rejected, contents.ledger.keys().map(|key| format!("{key:?}")).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_in_a_run_the_next_one_makes_good() {
    let every = std::env::var("TRAILHOUSE_FAULTS").map_or(EVERY, |text| text.parse().unwrap());
    let [begun, _] = Trail::busy(1..=1);
    let [first, second] = Trail::busy(1..=3);
    let before = Arc::new(InMemory::new());
    let source = bucket(holding(&begun).await, "trail");
    convert(&options(&[source], &bucket(before.clone(), "lake"))).await.unwrap();
    let (trail, audit) = (holding(&first).await, holding(&second).await);
    let run = |trail: Arc<dyn ObjectStore>, lake: Arc<dyn ObjectStore>| {
        let sources = [bucket(trail, "trail"), bucket(audit.clone(), "audit")];
        Options { lookback_days: Some(0), ..options(&sources, &bucket(lake, "lake")) }
    };

    let whole = Arc::new(before.fork());
    let counted = [Faulty::new(trail.clone(), &[]), Faulty::new(whole.clone(), &[])];
    let [of_source, of_lake] = counted.each_ref().map(|store| Arc::new(store.clone()));
    convert(&run(of_source, of_lake)).await.unwrap();
    let whole = known(&bucket(whole, "lake")).await;
    let [of_source, of_lake] = counted.each_ref().map(Faulty::requests);
    let puts = counted[1].puts();
    let faults = |kinds: &'static [fn(usize) -> Fault], requests: usize, every: usize| {
        let all = (1..=requests)
            .flat_map(move |request| (0..).zip(kinds).map(move |(at, fault)| (request + at, fault(request))));
        all.filter(move |(number, _)| number.is_multiple_of(every)).map(|(_, fault)| fault)
    };
    let faults = faults(&OF_SOURCES, of_source, every.div_ceil(3)).map(|fault| (Some(fault), None)).chain(
        faults(&OF_LAKES, of_lake, every)
            .chain(faults(&OF_PUTS, puts, every.div_ceil(3)))
            .map(|fault| (None, Some(fault))),
    );
    let trials = stream::iter(faults).map(async |(of_source, of_lake): (Option<Fault>, Option<Fault>)| {
        let store = Arc::new(before.fork());
        let lake = bucket(store.clone(), "lake");
        let faulty =
            |store: Arc<InMemory>, fault: Option<Fault>| Arc::new(Faulty::new(store, fault.as_slice()));
        let done = convert(&run(faulty(trail.clone(), of_source), faulty(store.clone(), of_lake))).await;
        if let Err(error) = &done {
            assert!(!error.chain().is_empty(), "{of_source:?} {of_lake:?}");
        }
        // Not a row that the ledger does not know of.
        Contents::of(&lake).await;
        let report = convert(&run(trail.clone(), store)).await.unwrap();
        assert_eq!(report.objects.unreadable + report.unlisted, 0);
        assert_eq!(known(&lake).await, whole, "{of_source:?} {of_lake:?}: {done:?}");
        done.map_or(0, |report| 1 + usize::from(report.objects.unreadable + report.unlisted > 0))
    });
    let ends: Vec<usize> = trials.buffer_unordered(2).collect().await;
    let count = |end: usize| ends.iter().filter(|this| **this == end).count();
    println!(
        "{} faults: {} runs failed, {} went on without what they could not read, {} did it all",
        ends.len(),
        count(0),
        count(2),
        count(1)
    );
}
