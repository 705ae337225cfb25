//! What a lake holds, and what sources hold that it does not yet. From the table log and the ledger; no data file is
//! read, and no object.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{Array, StringArray};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use futures::TryStreamExt;
use serde::Serialize;

use super::known::{Filters, Known, State, first_day, source_name};
use super::report::{Note, Records};
use super::{DAYS_AFTER, leave_out};
use crate::error::Result;
use crate::lake::history::{Commit, history};
use crate::lake::layout::Partition;
use crate::lake::ledger::{LedgerFile, Verdict, Window};
use crate::lake::newest::{self, newest, numbers, texts};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;
use crate::source::list::{Filter, ListFailure, Listing, list};
use crate::store::Location;

/// Compacting merges files into some of 256 MiB; of two that are smaller than half of that, it makes one.
const SMALL_FILE: u64 = 128 << 20;

/// Commits looked at for the last runs.
const COMMITS: u64 = 100;

/// Days that are named one span each, at most, among those missing.
const MOST_SPANS: usize = 1_000;

/// Unlisted folders named, at most.
const MOST_NOTES: usize = 1_000;

/// Which objects of the sources are asked about: those that a conversion with the same filters would look for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Wanted accounts; empty is all.
    pub accounts: BTreeSet<String>,
    /// Wanted Regions of delivery; empty is all.
    pub regions: BTreeSet<String>,
    /// The first wanted event time.
    pub since: Option<DateTime<Utc>>,
    /// The first event time that is not wanted any more.
    pub until: Option<DateTime<Utc>>,
    /// How many path days before the newest converted one are looked at, where `since` does not say; `None` is all.
    pub lookback_days: Option<u64>,
    /// The time of asking: nothing is delivered after it.
    pub now: DateTime<Utc>,
}

/// Objects or files, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub number: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.number += 1;
        self.bytes += bytes;
    }
}

/// Days, from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

/// The days that events are of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EventDays {
    /// The first and the last.
    pub span: Option<Span>,
    /// How many there are.
    pub number: u64,
    /// How many between the first and the last have no event.
    pub missing: u64,
    /// Those, the first of them.
    pub missing_spans: Vec<Span>,
    /// Events without a day.
    pub undated_events: u64,
}

/// Objects in the ledger by what became of them: `known` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// All.
    pub known: u64,
    /// All of their records were considered.
    pub converted: u64,
    /// Filters have left records out, which wider ones would find.
    pub partly: u64,
    /// Without a record.
    pub empty: u64,
    /// Of another kind.
    pub foreign: u64,
    /// Nothing could be converted.
    pub rejected: u64,
}

/// What one run did to the table: one commit, or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its id; none of a commit that no run of this program made.
    pub run_id: Option<String>,
    /// What it was for: `convert`, `compact`, `expire`, `create`, or as the table log calls it.
    pub operation: String,
    /// When its last commit was made, RFC 3339.
    pub time: Option<String>,
    /// Its commits, among the newest of the table.
    pub commits: u64,
    /// The version that the last of them made.
    pub version: u64,
    /// What the commits say, added up: rows, files, objects.
    pub counts: BTreeMap<String, u64>,
}

/// A source, compared with the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its URL.
    pub source: String,
    /// Objects found within the filters.
    pub listed: Amount,
    /// The first path day that was listed; none where all were.
    pub first_day: Option<NaiveDate>,
    /// Those that the lake has.
    pub known: u64,
    /// Those that the lake has in part: a run with narrower filters has left out what is asked for now.
    pub partly: Amount,
    /// Those that the lake does not have yet.
    pub new: Amount,
    /// Those of them under whose URL there was another object when it was converted.
    pub replaced: u64,
    /// The new ones by the account in their keys; `""` where there is none.
    pub new_by_account: BTreeMap<String, Amount>,
    /// And by the Region in their keys.
    pub new_by_region: BTreeMap<String, Amount>,
    /// And by the day in their keys.
    pub new_by_path_day: BTreeMap<String, Amount>,
    /// What listing left out: the reason, and how many objects or folders.
    pub skipped: BTreeMap<String, u64>,
    /// Folders that could not be listed: there may be more objects.
    pub unlisted: u64,
    /// Those, the first of them.
    pub unlisted_folders: Vec<Note>,
}

/// What a lake holds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Its URL.
    pub lake: String,
    /// The version of its table.
    pub version: u64,
    /// The columns it is partitioned by.
    pub partitioned_by: String,
    /// The days that events are of.
    pub days: EventDays,
    /// Events of earlier days were expired.
    pub expired_before: Option<NaiveDate>,
    /// The accounts: partition values where the lake is partitioned by account, else those of the objects' keys.
    pub accounts: BTreeSet<String>,
    /// The Regions, likewise.
    pub regions: BTreeSet<String>,
    /// Rows of the table.
    pub events: u64,
    /// Data files of the table.
    pub files: Amount,
    /// Those of them that compacting would merge.
    pub small_files: Amount,
    /// Objects by outcome.
    pub objects: Objects,
    /// Bytes of the objects, as stored.
    pub object_bytes: u64,
    /// Records of the objects, by outcome.
    pub records: Records,
    /// Rows that share account and event id with a row of other content.
    pub conflicts: u64,
    /// Files of rejected input that wait to be converted again.
    pub rejected_files: u64,
    /// Whether records and rows add up: those of the ledger, and, where no day was expired, those of the table.
    /// Always true; false is a defect to report.
    pub balanced: bool,
    /// The last runs, the newest first.
    pub runs: Vec<Run>,
    /// The sources that were asked about.
    pub sources: Vec<SourceStatus>,
}

/// Looks.
///
/// # Errors
/// Where the table log or the ledger cannot be read, or a source cannot be listed at all.
pub async fn status(lake: &Lake, sources: &[Location], wanted: &Wanted) -> Result<Status> {
    let mut status = Status {
        lake: lake.location().url.clone(),
        version: lake.version(),
        partitioned_by: lake.partitioning().to_string(),
        expired_before: lake.expired_before(),
        ..Status::default()
    };
    describe_files(lake, &mut status)?;
    let vouched = Vouched::read(lake).await?;
    status.rejected_files = vouched.rejected().count() as u64;
    read_ledger(lake, &vouched, &mut status).await?;
    let records = &status.records;
    let became = records.rows + records.duplicates + records.filtered + records.rejected;
    status.balanced =
        records.found == became && (status.expired_before.is_some() || records.rows == status.events);
    status.runs = runs(history(lake, COMMITS).await?);
    status.sources = compare_all(lake, &vouched, sources, wanted).await?;
    Ok(status)
}

fn describe_files(lake: &Lake, status: &mut Status) -> Result<()> {
    let mut days = BTreeSet::new();
    let mut small: BTreeMap<Partition, Amount> = BTreeMap::new();
    for file in lake.files()? {
        status.events += file.rows;
        status.files.add(file.size);
        let value = |column: &str| file.partition.iter().find(|(name, _)| name == column)?.1.clone();
        status.accounts.extend(value("account"));
        status.regions.extend(value("region"));
        match value(crate::schema::EVENT_DATE.name).and_then(|day| day.parse::<NaiveDate>().ok()) {
            Some(day) => drop(days.insert(day)),
            None => status.days.undated_events += file.rows,
        }
        if file.size < SMALL_FILE {
            small.entry(file.partition).or_default().add(file.size);
        }
    }
    for small in small.values().filter(|small| small.number > 1) {
        status.small_files.number += small.number;
        status.small_files.bytes += small.bytes;
    }
    let all = &mut status.days;
    all.number = days.len() as u64;
    all.span = days.first().zip(days.last()).map(|(&first, &last)| Span { first, last });
    for (before, after) in days.iter().zip(days.iter().skip(1)) {
        let (Some(first), Some(last)) = (before.succ_opt(), after.pred_opt()) else { continue };
        if first > last {
            continue;
        }
        all.missing += (last - first).num_days().unsigned_abs() + 1;
        if all.missing_spans.len() < MOST_SPANS {
            all.missing_spans.push(Span { first, last });
        }
    }
    Ok(())
}

/// The columns that are looked at.
const COLUMNS: [&str; 14] = [
    "url",
    "size",
    "version",
    "account",
    "region",
    "path_day",
    "verdict",
    "records",
    "rows",
    "duplicates",
    "filtered",
    "conflicts",
    "rejected",
    "filter",
];

/// Adds the ledger up.
async fn read_ledger(lake: &Lake, vouched: &Vouched, status: &mut Status) -> Result<()> {
    let files = vouched.ledgers().map(LedgerFile::named).collect();
    let mut batches = newest(lake, files, newest::columns(&COLUMNS)?, Box::new(|_| Ok(())));
    while let Some(batch) = batches.try_next().await? {
        add_entries(&batch, status)?;
    }
    Ok(())
}

fn add_entries(batch: &RecordBatch, status: &mut Status) -> Result<()> {
    let sum = |name: &str| Ok::<u64, crate::error::Error>(numbers(batch, name)?.values().iter().sum());
    status.object_bytes += sum("size")?;
    status.conflicts += sum("conflicts")?;
    let records = &mut status.records;
    records.found += sum("records")?;
    records.rows += sum("rows")?;
    records.duplicates += sum("duplicates")?;
    records.filtered += sum("filtered")?;
    records.rejected += sum("rejected")?;
    let (verdict, filter) = (texts(batch, "verdict")?, texts(batch, "filter")?);
    for row in 0..batch.num_rows() {
        let objects = &mut status.objects;
        objects.known += 1;
        *match Verdict::named(verdict.value(row)) {
            Some(Verdict::Partly) => &mut objects.partly,
            Some(Verdict::Empty) => &mut objects.empty,
            Some(Verdict::Foreign) => &mut objects.foreign,
            Some(Verdict::Rejected) => &mut objects.rejected,
            _ if filter.is_valid(row) => &mut objects.partly,
            _ => &mut objects.converted,
        } += 1;
    }
    let by = status.partitioned_by.split(',').collect::<Vec<_>>();
    if !by.contains(&"account") {
        collect(texts(batch, "account")?, &mut status.accounts);
    }
    if !by.contains(&"region") {
        collect(texts(batch, "region")?, &mut status.regions);
    }
    Ok(())
}

fn collect(values: &StringArray, into: &mut BTreeSet<String>) {
    for value in values.iter().flatten() {
        if !into.contains(value) {
            into.insert(value.to_owned());
        }
    }
}

/// Lists as a conversion would, and compares.
async fn compare_all(
    lake: &Lake,
    vouched: &Vouched,
    sources: &[Location],
    wanted: &Wanted,
) -> Result<Vec<SourceStatus>> {
    let filters = Filters {
        accounts: wanted.accounts.clone(),
        regions: wanted.regions.clone(),
        since: wanted.since.map(|time| time.timestamp_micros()),
        until: wanted.until.map(|time| time.timestamp_micros()),
    };
    let mut found = Vec::with_capacity(sources.len());
    let mut seen = HashSet::new();
    for source in sources {
        let name = source_name(&source.url, &filters);
        let first_day = first_day(vouched, &name, wanted.since, wanted.lookback_days);
        // An event is delivered after it happened: what was delivered before the first day kept is expired.
        let first_day = first_day.max(lake.expired_before());
        let last = wanted.until.or(first_day.map(|_| wanted.now));
        let filter = Filter {
            accounts: wanted.accounts.clone(),
            regions: wanted.regions.clone(),
            first_day,
            last_day: last.and_then(|last| last.date_naive().checked_add_days(Days::new(DAYS_AFTER))),
        };
        let mut listing = list(source, &filter, &|_| ()).await?;
        leave_out(&mut listing, source, lake.location(), sources.len() > 1, &mut seen);
        found.push((first_day, listing));
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let first = found.iter().map(|(first_day, _)| *first_day).min().flatten();
    let known = Known::read(lake, vouched, &Window { first }).await?;
    let compared = sources.iter().zip(found).map(|(source, (first_day, listing))| SourceStatus {
        first_day,
        ..compare(source, &listing, &known, &filters)
    });
    Ok(compared.collect())
}

/// Compares what was found in a source with what the lake has.
fn compare(source: &Location, listing: &Listing, known: &Known, filters: &Filters) -> SourceStatus {
    let note = |failure: &ListFailure| Note {
        object: source.url_of(&failure.path),
        record: None,
        byte: None,
        reason: failure.message.clone(),
    };
    let mut status = SourceStatus {
        source: source.url.clone(),
        skipped: listing.skipped.clone(),
        unlisted: listing.failures.len() as u64,
        unlisted_folders: listing.failures.iter().take(MOST_NOTES).map(note).collect(),
        ..SourceStatus::default()
    };
    for object in &listing.objects {
        status.listed.add(object.size);
        let url = source.url_of(&listing.path(object));
        match known.state(&url, object.size, &object.version, filters) {
            State::Whole => {
                status.known += 1;
                continue;
            }
            State::Partly(_) => {
                status.partly.add(object.size);
                continue;
            }
            State::Replaced => status.replaced += 1,
            State::New => {}
        }
        let folder = listing.folder(object);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let day = folder.day.map_or(String::new(), |day| day.to_string());
        status.new.add(object.size);
        status.new_by_account.entry(text(&folder.account)).or_default().add(object.size);
        status.new_by_region.entry(text(&folder.region)).or_default().add(object.size);
        status.new_by_path_day.entry(day).or_default().add(object.size);
    }
    status
}

/// The runs that made these commits, which are the newest first.
fn runs(commits: Vec<Commit>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for commit in commits {
        let earlier = runs.iter_mut().find(|run| run.run_id.is_some() && run.run_id == commit.run_id);
        let run = match earlier {
            Some(run) => run,
            None => {
                let operation = match commit.operation.as_str() {
                    "WRITE" => "convert",
                    "OPTIMIZE" => "compact",
                    "DELETE" => "expire",
                    "CREATE TABLE" => "create",
                    other => other,
                };
                runs.push(Run {
                    run_id: commit.run_id,
                    operation: operation.to_owned(),
                    time: commit.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
                    version: commit.version,
                    ..Run::default()
                });
                let last = runs.len() - 1;
                &mut runs[last]
            }
        };
        run.commits += 1;
        for (name, count) in commit.counts {
            *run.counts.entry(name).or_default() += count;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::path::Path;

    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
    use crate::lake::layout::{self, DataFile, Partitioning};
    use crate::lake::ledger::Entry;
    use crate::lake::snapshot::tests::in_memory;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// A data file that the log has, and no store.
    fn file(by: &Partitioning, date: Option<&str>, account: &str, rows: u64, size: u64) -> DataFile {
        let partition = by.partition(date, Some(account), None);
        let path = layout::data_file(&partition, format!("{account}{rows}{size}").as_bytes(), 0);
        DataFile { path, size, rows, partition, stats: format!("{{\"numRecords\":{rows}}}") }
    }

    async fn commit_all(
        location: &Location,
        by: &Partitioning,
        commits: Vec<(&str, Purpose, Change)>,
    ) -> Lake {
        let mut lake = Lake::create(location, by).await.unwrap();
        for (run, purpose, change) in commits {
            let counts = [("rows".to_owned(), change.adds.iter().map(|file| file.rows).sum())];
            let counts = counts.into_iter().collect();
            let about = About { purpose, run_id: run.into(), time: DateTime::UNIX_EPOCH, counts };
            let outcome = commit(&lake, &change, &about).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }));
            lake = Lake::open(location).await.unwrap().unwrap();
        }
        lake
    }

    fn entry(object: (&str, u64, &str), verdict: Verdict, counts: [u64; 5], filter: Option<&str>) -> Entry {
        let [records, rows, duplicates, filtered, rejected] = counts;
        Entry {
            url: object.0.to_owned(),
            size: object.1,
            version: object.2.to_owned(),
            account: Some("111122223333".into()),
            region: Some("eu-west-1".into()),
            path_day: Some("2026-03-01".into()),
            verdict,
            records,
            rows,
            duplicates,
            filtered,
            rejected,
            filter: filter.map(str::to_owned),
            ..Entry::default()
        }
    }

    #[tokio::test]
    async fn a_lake_is_described_from_its_log_and_ledger() {
        let by: Partitioning = "date,account".parse().unwrap();
        let (small, large) = (SMALL_FILE - 1, SMALL_FILE);
        let adds = [
            file(&by, Some("2026-03-01"), "a", 5, small),
            file(&by, Some("2026-03-01"), "a", 4, small),
            file(&by, Some("2026-03-01"), "b", 3, small),
            file(&by, Some("2026-03-02"), "a", 2, large),
            file(&by, Some("2026-03-05"), "a", 1, large),
            file(&by, Some("2026-03-07"), "a", 1, large),
            file(&by, None, "a", 1, large),
        ];
        let (one, two) = (("s3://t/1", 10, "v"), ("s3://t/2", 20, "v"));
        let first = Change {
            adds: adds[..6].to_vec(),
            entries: vec![
                entry(one, Verdict::Converted, [17, 15, 2, 0, 0], None),
                entry(two, Verdict::Partly, [5, 1, 0, 4, 0], Some("{}")),
                entry(("s3://t/3", 30, "v"), Verdict::Rejected, [1, 0, 0, 0, 1], None),
                entry(("s3://t/4", 40, "v"), Verdict::Empty, [0; 5], None),
            ],
            rejected: vec!["x".to_owned()],
            ..Change::default()
        };
        let second = Change {
            adds: adds[6..].to_vec(),
            entries: vec![entry(two, Verdict::Converted, [5, 2, 3, 0, 0], None)],
            ..Change::default()
        };
        let commits = vec![("run-1", Purpose::Convert, first), ("run-2", Purpose::Convert, second)];
        let location = in_memory();
        let lake = commit_all(&location, &by, commits).await;
        let found = status(&lake, &[], &Wanted::default()).await.unwrap();
        let spans = ["2026-03-03 2026-03-04", "2026-03-06 2026-03-06"].map(|span| {
            let (first, last) = span.split_once(' ').unwrap();
            Span { first: day(first), last: day(last) }
        });
        let days = EventDays {
            span: Some(Span { first: day("2026-03-01"), last: day("2026-03-07") }),
            number: 4,
            missing: 3,
            missing_spans: spans.to_vec(),
            undated_events: 1,
        };
        assert_eq!(found.days, days);
        assert_eq!((found.version, found.partitioned_by.as_str(), found.events), (2, "date,account", 17));
        assert_eq!(found.files, Amount { number: 7, bytes: 3 * small + 4 * large });
        assert_eq!(found.small_files, Amount { number: 2, bytes: 2 * small }, "b is alone in its partition");
        assert_eq!(found.accounts, ["a", "b"].map(str::to_owned).into(), "of the partitions");
        assert_eq!(found.regions, ["eu-west-1".to_owned()].into(), "of the ledger");
        let objects = Objects { known: 4, converted: 2, empty: 1, rejected: 1, ..Objects::default() };
        assert_eq!((found.objects, found.object_bytes), (objects, 100));
        let records = Records { found: 23, rows: 17, duplicates: 5, filtered: 0, rejected: 1 };
        assert_eq!((found.records, found.rejected_files, found.balanced), (records, 1, true));
        let runs: Vec<(&str, Option<&str>, u64)> = found
            .runs
            .iter()
            .map(|run| (run.operation.as_str(), run.run_id.as_deref(), run.version))
            .collect();
        assert_eq!(runs, [("convert", Some("run-2"), 2), ("convert", Some("run-1"), 1), ("create", None, 0)]);
        assert_eq!(found.runs[1].counts["rows"], 16);

        let lost = Change { removes: vec![adds[3].clone()], ..Change::default() };
        let lake = commit_all(&location, &by, vec![("run-3", Purpose::Compact, lost)]).await;
        assert!(!status(&lake, &[], &Wanted::default()).await.unwrap().balanced, "rows were lost");
        let expired = Change { expire_before: Some(day("2026-03-05")), ..Change::default() };
        let lake = commit_all(&location, &by, vec![("run-3", Purpose::Expire, expired)]).await;
        let found = status(&lake, &[], &Wanted::default()).await.unwrap();
        assert_eq!((found.balanced, found.expired_before), (true, Some(day("2026-03-05"))));
        assert_eq!((found.runs[0].commits, found.runs[0].operation.as_str()), (2, "expire"));
    }

    /// A run from 2026-03-01 on.
    const FILTER: &str = "[{\"since\":1772323200000000}]";

    const A: &str = "111122223333";
    const B: &str = "444455556666";

    /// A trail with an object a day of March 2026 for each of these accounts.
    async fn trail(objects: &[(&str, u32)]) -> Location {
        let location = in_memory();
        for (account, day) in objects {
            let key =
                format!("lake/AWSLogs/{account}/CloudTrail/us-east-1/2026/03/{day:02}/{account}.json.gz");
            location.store.put(&Path::from(key), "12345".into()).await.unwrap();
        }
        location
    }

    /// What the ledger says of the objects of `source` that lie in such folders.
    async fn entries(source: &Location, of: &str, verdict: Verdict, filter: Option<&str>) -> Vec<Entry> {
        let listing = list(source, &Filter::default(), &|_| ()).await.unwrap();
        let objects = listing.objects.iter().map(|object| (source.url_of(&listing.path(object)), object));
        objects
            .filter(|(url, _)| url.contains(of))
            .map(|(url, object)| Entry {
                path_day: listing.folder(object).day.map(|day| day.to_string()),
                ..entry((&url, object.size, &object.version), verdict, [0; 5], filter)
            })
            .collect()
    }

    #[tokio::test]
    async fn a_source_is_compared_with_the_lake() {
        let source = trail(&[(A, 1), (A, 2), (A, 3), (B, 2), (B, 3), (B, 4)]).await;
        let mut known = entries(&source, "/03/01/", Verdict::Converted, None).await;
        known.extend(
            entries(&source, &format!("{A}/CloudTrail/us-east-1/2026/03/02"), Verdict::Partly, Some(FILTER))
                .await,
        );
        let mut replaced = entries(&source, "/03/04/", Verdict::Converted, None).await;
        replaced[0].version = "of before".to_owned();
        known.extend(replaced);
        let by = Partitioning::default();
        let location = in_memory();
        let change = Change { entries: known, ..Change::default() };
        let lake = commit_all(&location, &by, vec![("run", Purpose::Convert, change)]).await;

        let time = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap().to_utc());
        let all = Wanted { now: time("2026-03-10T00:00:00Z").unwrap(), ..Wanted::default() };
        let whole = status(&lake, std::slice::from_ref(&source), &all).await.unwrap();
        let [found] = &whole.sources[..] else { panic!("{:?}", whole.sources) };
        let amount = |number: u64| Amount { number, bytes: 5 * number };
        let by = |amounts: &[(&str, u64)]| -> BTreeMap<String, Amount> {
            amounts.iter().map(|(name, number)| ((*name).to_owned(), amount(*number))).collect()
        };
        assert_eq!((found.listed, found.known, found.partly), (amount(6), 1, amount(1)));
        assert_eq!((found.new, found.replaced), (amount(4), 1));
        assert_eq!(found.new_by_account, by(&[(A, 1), (B, 3)]));
        assert_eq!(found.new_by_region, by(&[("us-east-1", 4)]));
        assert_eq!(found.new_by_path_day, by(&[("2026-03-02", 1), ("2026-03-03", 2), ("2026-03-04", 1)]));

        let wanted = Wanted {
            accounts: [B.to_owned()].into(),
            since: time("2026-03-02T12:00:00Z"),
            until: time("2026-03-02T13:00:00Z"),
            ..all.clone()
        };
        // What was delivered the day after may have events of the day.
        let twice = status(&lake, &[source.clone(), source.clone()], &wanted).await.unwrap();
        assert_eq!((twice.sources[0].new, twice.sources[0].listed), (amount(2), amount(2)));
        let skipped = &twice.sources[1].skipped;
        assert_eq!((twice.sources[1].listed, skipped["object of an earlier source"]), (amount(0), 2));
        assert_eq!(twice.sources[0].first_day, Some(day("2026-03-02")));

        // What an earlier run with these filters has converted in part is all that they ask for.
        let narrow = Wanted { since: time("2026-03-01T00:00:00Z"), ..all.clone() };
        let narrow = status(&lake, std::slice::from_ref(&source), &narrow).await.unwrap();
        assert_eq!((narrow.sources[0].known, narrow.sources[0].partly), (2, amount(0)));

        let expire = Change { expire_before: Some(day("2026-03-03")), ..Change::default() };
        let lake =
            commit_all(&location, &Partitioning::default(), vec![("x", Purpose::Expire, expire)]).await;
        let found = status(&lake, &[source], &all).await.unwrap();
        assert_eq!(found.sources[0].new_by_path_day, by(&[("2026-03-03", 2), ("2026-03-04", 1)]));
    }
}
