//! The stages of a conversion, each alone and all together: bytes of inflated JSON a second and events a second.
//!
//! `cargo bench --bench main [NAME]`; names are `decode`, `flatten`, `write`, `convert`, each with `/bytes` or `/events`.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod trail;

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trailhouse::convert::{Options, Progress};
use trailhouse::event::chunk::{Chunk, Source};
use trailhouse::event::decode::{Sink, decode};
use trailhouse::event::scan::{Scanner, StringSpan, SyntaxError};
use trailhouse::event::sort::Grouping;
use trailhouse::lake::layout::Partitioning;
use trailhouse::lake::write::encode;
use trailhouse::store::Location;

const EVENTS: u64 = 20_000;

struct Input {
    texts: Vec<Vec<u8>>,
    bytes: u64,
}

fn input() -> Input {
    let settings = trail::Settings { events: EVENTS, days: 1, ..trail::Settings::default() };
    let texts = trail::inflated(settings);
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    Input { texts, bytes }
}

/// Walks the records without making rows of them.
struct Walk(u64);

impl Sink for Walk {
    fn record(&mut self, text: &[u8], at: usize) -> Result<usize, SyntaxError> {
        self.0 += 1;
        Scanner::new(text, at).skip_value().map(|range| range.end)
    }

    fn embedded(&mut self, _text: &[u8], _string: StringSpan) {}

    fn rejected(&mut self, _text: &[u8], _range: std::ops::Range<usize>, _reason: String) {}
}

fn fill(chunk: &mut Chunk, texts: &[Vec<u8>]) {
    let source = Source {
        url: "s3://trail/object.json.gz",
        account: None,
        region: None,
        day: None,
        records_before: 0,
    };
    for text in texts {
        let outcome = chunk.object(text, &source, 64 << 20, &mut |_| true);
        assert!(outcome.rejects.is_empty());
    }
}

fn groups(texts: &[Vec<u8>], bytes: u64) -> Vec<RecordBatch> {
    let mut chunk = Chunk::new(bytes as usize);
    fill(&mut chunk, texts);
    let mut groups = Vec::new();
    let by_date = Grouping { date: true, account: false, region: false };
    chunk
        .finish(by_date, true, |sorted, _| {
            for group in sorted {
                groups.push(group.batch(0, usize::MAX)?);
            }
            Ok::<(), ArrowError>(())
        })
        .expect("the rows are sorted");
    groups
}

fn stages(criterion: &mut Criterion) {
    let Input { texts, bytes } = input();
    for (unit, throughput) in [("bytes", Throughput::Bytes(bytes)), ("events", Throughput::Elements(EVENTS))]
    {
        let mut group = criterion.benchmark_group("stages");
        group.throughput(throughput).sample_size(10);
        group.bench_function(format!("decode/{unit}"), |bencher| {
            bencher.iter(|| {
                let mut walk = Walk(0);
                for text in &texts {
                    decode(text, 0, true, &mut walk);
                }
                black_box(walk.0)
            });
        });
        group.bench_function(format!("flatten/{unit}"), |bencher| {
            bencher.iter_batched_ref(
                || Chunk::new(bytes as usize),
                |chunk| fill(chunk, &texts),
                BatchSize::PerIteration,
            );
        });
        let sorted = groups(&texts, bytes);
        group.bench_function(format!("write/{unit}"), |bencher| {
            bencher.iter(|| {
                for batch in &sorted {
                    black_box(encode(batch, &Partitioning::default()).expect("a file is written"));
                }
            });
        });
        group.finish();
    }
}

fn whole(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = trail::Settings { events: EVENTS, days: 1, ..trail::Settings::default() };
    let mut gzip = trail::Gzip::new();
    let mut bytes = 0;
    for object in trail::Trail::new(settings) {
        let path = directory.path().join("trail").join(&object.key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        bytes += object.json.len() as u64;
        std::fs::write(path, gzip.compress(object.json.as_bytes())).expect("an object is written");
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (unit, throughput) in [("bytes", Throughput::Bytes(bytes)), ("events", Throughput::Elements(EVENTS))]
    {
        let mut group = criterion.benchmark_group("whole");
        group.throughput(throughput).sample_size(10);
        group.bench_function(format!("convert/{unit}"), |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir_in(directory.path()).expect("a directory"),
                |lake| runtime.block_on(convert(&directory.path().join("trail"), lake.path())),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

async fn convert(source: &std::path::Path, lake: &std::path::Path) {
    let open = |path: &std::path::Path| {
        let text = path.to_str().expect("UTF-8").to_owned();
        async move { Location::open(&text, &Default::default()).await.expect("a location") }
    };
    let options = Options {
        sources: vec![open(source).await],
        lake: open(lake).await,
        partitioning: None,
        accounts: Default::default(),
        regions: Default::default(),
        since: None,
        until: None,
        lookback_days: None,
        dedupe: true,
        sha256: false,
        commit_bytes: 1 << 30,
        memory_bytes: 512 << 20,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        max_object_bytes: 128 << 20,
        dry_run: false,
        now: chrono::DateTime::UNIX_EPOCH,
        run_id: "bench".into(),
    };
    let report = trailhouse::convert::run(&options, &Arc::new(Progress::default())).await.expect("converted");
    assert_eq!(report.records.found, EVENTS);
}

criterion_group!(benches, stages, whole);
criterion_main!(benches);
