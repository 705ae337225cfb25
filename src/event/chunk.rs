//! Objects in, sorted columns out: the whole of `event` behind one type.

use std::ops::Range;

use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use sha2::{Digest, Sha256};

use super::batch::Rows;
use super::decode::{self, Sink, Verdict};
use super::derive::Provenance;
use super::flatten::{Flattener, Refusal};
use super::inflate::{InflateError, Inflater, likely_size};
use super::scan::{StringSpan, SyntaxError, unescape};
use super::sort::{self, Group, Grouping, RecordSpan, Tally};
use crate::schema::known;

/// What is known of an object beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The URL, which every row keeps.
    pub url: &'a str,
    /// The account in the key.
    pub account: Option<&'a str>,
    /// The Region in the key.
    pub region: Option<&'a str>,
    /// The path day in the key, days since 1970.
    pub day: Option<i64>,
    /// Records of the object before these bytes: more than none where they are but one record of it.
    pub records_before: u64,
}

/// A row that was just made, for whoever decides whether to keep it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// `event_time`, microseconds since 1970, UTC.
    pub time: Option<i64>,
    /// `account`.
    pub account: Option<&'a str>,
    /// `region`.
    pub region: Option<&'a str>,
}

/// Input that became no row, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The record's number in its object, from 1; `None` where the object as a whole is meant.
    pub record: Option<u64>,
    /// The byte of the inflated object at which `data` starts; `None` where the object could not be inflated.
    pub byte: Option<u64>,
    /// Why, lower-case without a full stop.
    pub reason: String,
    /// The input: a record's text, or the object's bytes as stored where `byte` is `None`.
    pub data: Vec<u8>,
}

/// An object's rejects beyond this many are kept together in the last one: each costs some hundred bytes beside its
/// text, and a hostile object has millions.
const MOST_REJECTS: usize = 10_000;

/// What became of an object. `records = rows + filtered + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records found.
    pub records: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records that were not wanted.
    pub filtered: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// What was refused.
    pub rejects: Vec<Reject>,
    /// What else the object was, if it held no events: a digest, an AWS Config delivery.
    pub foreign: Option<&'static str>,
    /// Bytes of the object's text.
    pub inflated_bytes: u64,
    /// The SHA-256 of the object's text, where it was asked for.
    pub sha256: Option<[u8; 32]>,
}

/// A bounded number of objects on their way to columns.
///
/// The text of all of them lies in one buffer whose size is set once; [`Chunk::has_room`] says when it is time to
/// [`Chunk::finish`]. An object larger than the buffer is taken all the same when the chunk is empty.
pub struct Chunk {
    arena: Vec<u8>,
    arena_bytes: usize,
    rows: Rows,
    spans: Vec<RecordSpan>,
    /// The path day of every object, by the number that the spans use.
    days: Vec<Option<i64>>,
    flattener: Flattener,
    inflater: Inflater,
    hash_texts: bool,
}

impl Chunk {
    /// A chunk for about `arena_bytes` of inflated text.
    pub fn new(arena_bytes: usize) -> Self {
        Chunk {
            arena: Vec::with_capacity(arena_bytes),
            arena_bytes,
            rows: Rows::default(),
            spans: Vec::new(),
            days: Vec::new(),
            flattener: Flattener::default(),
            inflater: Inflater::default(),
            hash_texts: false,
        }
    }

    /// Sets whether [`Outcome::sha256`] is wanted: it costs about as much as inflating.
    pub fn hash_texts(&mut self, wanted: bool) {
        self.hash_texts = wanted;
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the object `data` can be added within the bounds.
    pub fn has_room(&self, data: &[u8]) -> bool {
        // The builders' own bytes count as text does: records of few bytes each would else outgrow the bounds.
        let used = self.arena.len().max(self.rows.memory_bytes() / 2);
        self.days.is_empty() || used.saturating_add(likely_size(data)) <= self.arena_bytes
    }

    /// Decodes and flattens an object. Its text may be `limit_bytes` long at most; `keep` decides on every row.
    pub fn object(
        &mut self,
        data: &[u8],
        source: &Source<'_>,
        limit_bytes: usize,
        keep: &mut dyn FnMut(&Candidate<'_>) -> bool,
    ) -> Outcome {
        let base = self.arena.len();
        let number = u32::try_from(self.days.len()).unwrap_or(u32::MAX);
        self.days.push(source.day);
        if let Err(error) = self.inflater.inflate(data, limit_bytes, &mut self.arena) {
            let data = data.to_vec();
            let reject = Reject { record: None, byte: None, reason: refusal(&error), data };
            return Outcome { rejects: vec![reject], ..Outcome::default() };
        }
        let is_utf8 = simdutf8::basic::from_utf8(&self.arena[base..]).is_ok();
        let sha256 = self.hash_texts.then(|| Sha256::digest(&self.arena[base..]).into());
        let provenance =
            Provenance::new(&mut self.rows, &self.arena, source.url, source.account, source.region);
        let mut flattening = Flattening {
            base,
            object: number,
            records_before: source.records_before,
            rows: &mut self.rows,
            spans: &mut self.spans,
            flattener: &mut self.flattener,
            provenance: &provenance,
            keep,
            embedded: Vec::new(),
            outcome: Outcome {
                inflated_bytes: (self.arena.len() - base) as u64,
                sha256,
                ..Outcome::default()
            },
        };
        let verdict = decode::decode(&self.arena, base, is_utf8, &mut flattening);
        for (string, record) in std::mem::take(&mut flattening.embedded) {
            let at = self.arena.len();
            let mut text = Vec::with_capacity(string.inner.len());
            let readable = unescape(&self.arena[string.inner.clone()], &mut text);
            self.arena.append(&mut text);
            flattening.wrapped(&self.arena, at, readable, string, record);
        }
        let mut outcome = flattening.outcome;
        if let Verdict::Foreign(what) = verdict {
            outcome.foreign = Some(what);
        }
        outcome
    }

    /// Hands the rows to `each`: grouped by what `grouping` says and sorted by account, Region, event time and event id
    /// within a group; without copies, if `dedupe` says so. The chunk is empty afterwards.
    ///
    /// # Errors
    /// What `each` fails with, and where Arrow refuses the columns, which would be a defect of this program.
    pub fn finish<E: From<ArrowError>>(
        &mut self,
        grouping: Grouping,
        dedupe: bool,
        each: impl FnOnce(Vec<Group<'_>>, &mut Tally) -> Result<(), E>,
    ) -> Result<Tally, E> {
        // The next rows are likely to be as many.
        let likely = Rows::likely(self.rows.len());
        let rows = std::mem::replace(&mut self.rows, likely);
        let text = std::mem::take(&mut self.arena);
        let order = sort::order(&rows, &text, &self.spans, &self.days, grouping, dedupe);
        let text = Buffer::from_vec(text);
        let done = order.hand_over(rows, &text, &self.spans, each);
        self.spans.clear();
        self.days.clear();
        // The same memory serves again, unless somebody has kept a batch.
        self.arena = text.into_vec().unwrap_or_default();
        self.arena.clear();
        self.arena.reserve(self.arena_bytes);
        done
    }
}

fn refusal(error: &InflateError) -> String {
    match error {
        InflateError::TooLarge { .. } => format!("{error}, which --max-object-size forbids"),
        InflateError::Damaged { .. } => error.to_string(),
    }
}

/// The sink that flattens.
struct Flattening<'a, 'k> {
    base: usize,
    object: u32,
    records_before: u64,
    rows: &'a mut Rows,
    spans: &'a mut Vec<RecordSpan>,
    flattener: &'a mut Flattener,
    provenance: &'a Provenance,
    keep: &'a mut (dyn FnMut(&Candidate<'_>) -> bool + 'k),
    embedded: Vec<(StringSpan, u64)>,
    outcome: Outcome,
}

impl Flattening<'_, '_> {
    /// Flattens the record at `at`; refused, it is kept as it stands there, or in `wrapping`.
    fn flatten(
        &mut self,
        arena: &[u8],
        at: usize,
        record: u64,
        wrapping: Option<&Range<usize>>,
    ) -> Result<usize, SyntaxError> {
        let number = i64::try_from(self.records_before + record).unwrap_or(i64::MAX);
        let flattened = self.flattener.record(arena, at, number, self.provenance, self.rows);
        let end = match flattened {
            Ok(end) => end,
            Err(Refusal::Syntax(error)) => return Err(error),
            Err(Refusal::NotAnEvent { end, reason }) => {
                self.reject(arena, wrapping.cloned().unwrap_or(at..end), reason, Some(record));
                return Ok(end);
            }
        };
        let row = self.rows.len() - 1;
        let text = |column| self.rows.text(arena, column, row);
        let (account, region) = (text(const { known("account") }), text(const { known("region") }));
        let candidate = Candidate {
            time: self.rows.number(const { known("event_time") }, row),
            account: account.as_ref().and_then(|text| std::str::from_utf8(text.bytes()).ok()),
            region: region.as_ref().and_then(|text| std::str::from_utf8(text.bytes()).ok()),
        };
        if (self.keep)(&candidate) {
            self.outcome.rows += 1;
            self.spans.push(RecordSpan { start: at, end, object: self.object });
        } else {
            self.outcome.filtered += 1;
            self.rows.drop_last_row();
        }
        Ok(end)
    }

    /// Flattens a record that was the content of `string`, and now stands at the end of the arena.
    fn wrapped(&mut self, arena: &[u8], at: usize, readable: bool, string: StringSpan, record: u64) {
        let checked = if readable {
            decode::embedded_event(arena, at)
        } else {
            Err("the wrapped event holds half a surrogate pair".into())
        };
        let flattened = checked.and_then(|()| {
            self.flatten(arena, at, record, Some(&string.inner)).map(drop).map_err(|error| error.what.into())
        });
        if let Err(reason) = flattened {
            self.reject(arena, string.inner, reason, Some(record));
        }
    }

    fn reject(&mut self, text: &[u8], range: Range<usize>, reason: String, record: Option<u64>) {
        self.outcome.rejected += u64::from(record.is_some());
        let rejects = &mut self.outcome.rejects;
        if rejects.len() >= MOST_REJECTS
            && let Some(last) = rejects.last_mut()
        {
            last.reason = format!(
                "rejected like {MOST_REJECTS} before it, with all that follow in this object, one a line"
            );
            last.data.push(b'\n');
            last.data.extend_from_slice(&text[range]);
            return;
        }
        let byte = Some((range.start - self.base) as u64);
        rejects.push(Reject { record, byte, reason, data: text[range].to_vec() });
    }
}

impl Sink for Flattening<'_, '_> {
    fn record(&mut self, text: &[u8], at: usize) -> Result<usize, SyntaxError> {
        let record = self.outcome.records + 1;
        let end = self.flatten(text, at, record, None)?;
        self.outcome.records = record;
        Ok(end)
    }

    fn embedded(&mut self, _text: &[u8], string: StringSpan) {
        self.outcome.records += 1;
        self.embedded.push((string, self.outcome.records));
    }

    fn rejected(&mut self, text: &[u8], range: Range<usize>, reason: String) {
        self.outcome.records += 1;
        self.reject(text, range, reason, Some(self.outcome.records));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray, RecordBatch};

    const BY_DATE: Grouping = Grouping { date: true, account: false, region: false };

    fn record(account: &str, region: &str, time: &str, id: &str, more: &str) -> String {
        format!(
            r#"{{"eventTime":"{time}","awsRegion":"{region}","recipientAccountId":"{account}","eventID":"{id}"{more}}}"#
        )
    }

    /// A group's date, and a column's value in each of its rows.
    type Values = (Option<String>, Vec<String>);

    /// What the groups hold.
    fn finish(chunk: &mut Chunk, grouping: Grouping, column: &str) -> (Vec<Values>, Tally) {
        let mut found = Vec::new();
        let tally = chunk
            .finish(grouping, true, |groups, _| -> Result<(), ArrowError> {
                for group in groups {
                    let array =
                        group.batch(0, usize::MAX)?.column_by_name(column).unwrap().as_string_view().clone();
                    let values = (0..array.len()).map(|row| array.value(row).to_owned()).collect();
                    found.push((group.date, values));
                }
                Ok(())
            })
            .unwrap();
        (found, tally)
    }

    fn chunk(objects: &[&[String]]) -> Chunk {
        let mut chunk = Chunk::new(1 << 20);
        for records in objects {
            let text = format!("{{\"Records\":[{}]}}", records.join(","));
            let source = Source { url: "u", account: None, region: None, day: None, records_before: 0 };
            let outcome = chunk.object(text.as_bytes(), &source, 1 << 20, &mut |_| true);
            assert_eq!(outcome.rejects, []);
        }
        chunk
    }

    #[test]
    fn rows_are_grouped_by_date_and_sorted_by_account_region_time_and_id() {
        let (late, early) = ("2026-03-01T23:59:59Z", "2026-03-01T00:00:00Z");
        let mut chunk = chunk(&[&[
            record("2", "eu", early, "a", ""),
            record("1", "us", early, "b", ""),
            record("1", "eu", late, "c", ""),
            record("1", "eu", early, "00000000-0000-0000-0000-000000000002", ""),
            record("1", "eu", early, "00000000-0000-0000-0000-000000000001", ""),
            record("1", "eu", "2026-02-28T00:00:00Z", "d", ""),
        ]]);
        let (groups, _) = finish(&mut chunk, BY_DATE, "event_id");
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let expected = [
            (Some("2026-02-28".to_owned()), ids(&["d"])),
            (
                Some("2026-03-01".to_owned()),
                ids(&[
                    "00000000-0000-0000-0000-000000000001",
                    "00000000-0000-0000-0000-000000000002",
                    "c",
                    "b",
                    "a",
                ]),
            ),
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn copies_are_dropped_and_conflicts_kept() {
        let time = "2026-03-01T00:00:00Z";
        let once = record("1", "eu", time, "a", r#","eventName":"X","errorCode":"1""#);
        let again = once.replace("\":", "\" : ");
        let other = record("1", "eu", time, "a", r#","eventName":"Y""#);
        let elsewhere = record("2", "eu", time, "a", r#","eventName":"X""#);
        let mut chunk = chunk(&[&[once.clone(), other], &[again, once, elsewhere]]);
        let (groups, tally) = finish(&mut chunk, BY_DATE, "event_name");
        assert_eq!(groups[0].1, ["X", "Y", "X"]);
        assert_eq!(tally, Tally { duplicates: vec![0, 2], conflicts: vec![1, 0] });
    }

    #[test]
    fn numbers_that_lose_digits_when_parsed_are_not_taken_for_copies() {
        let time = "2026-03-01T00:00:00Z";
        let number =
            |number: &str| record("1", "eu", time, "a", &format!(r#","requestParameters":{number}"#));
        for (one, other) in [
            ("1.00000000000000000001", "1.0"),
            (
                r#"{"p":100000000000000000001,"q":100000000000000000002}"#,
                r#"{"p":100000000000000000002,"q":100000000000000000001}"#,
            ),
            (r#"{"x":{"p":1,"q":2},"x":5}"#, r#"{"x":{"p":2,"q":1},"x":5}"#),
        ] {
            let mut chunk = chunk(&[&[number(one), number(other)]]);
            let (groups, tally) = finish(&mut chunk, BY_DATE, "event_id");
            assert_eq!((groups[0].1.len(), tally.conflicts), (2, vec![1]), "{one} {other}");
        }
    }

    #[test]
    fn records_without_an_id_are_copies_only_of_equal_content() {
        let without = |name: &str| format!(r#"{{"eventTime":"2026-03-01T00:00:00Z","eventName":"{name}"}}"#);
        let mut chunk = chunk(&[&[without("a"), without("b")], &[without("a").replace("\":", "\" : ")]]);
        let (groups, tally) = finish(&mut chunk, BY_DATE, "event_name");
        assert_eq!(groups[0].1.len(), 2);
        assert_eq!(tally, Tally { duplicates: vec![0, 1], conflicts: vec![0, 0] });
    }

    #[test]
    fn copies_are_found_where_the_record_names_no_region_or_time() {
        let timed = r#"{"eventTime":"2026-03-01T00:00:00Z","eventID":"a","recipientAccountId":"1"}"#;
        let timeless = r#"{"eventID":"b","recipientAccountId":"1"}"#;
        let other = r#"{"eventID":"b","recipientAccountId":"1","eventName":"X"}"#;
        let mut chunk = Chunk::new(1 << 16);
        for (region, day) in [("eu", 20_513), ("us", 20_514)] {
            let text = format!(r#"{{"Records":[{timed},{timeless}]}}"#);
            let source =
                Source { url: "u", account: None, region: Some(region), day: Some(day), records_before: 0 };
            chunk.object(text.as_bytes(), &source, 1 << 16, &mut |_| true);
        }
        let source =
            Source { url: "u", account: None, region: Some("eu"), day: Some(20_513), records_before: 0 };
        chunk.object(format!(r#"{{"Records":[{other}]}}"#).as_bytes(), &source, 1 << 16, &mut |_| true);
        let (groups, tally) = finish(&mut chunk, BY_DATE, "event_id");
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].1, ["b", "b", "a"]);
        assert_eq!(tally, Tally { duplicates: vec![0, 2, 0], conflicts: vec![0, 0, 1] });
    }

    #[test]
    fn rows_can_be_left_out_and_picked() {
        let ids = ["a", "b", "c", "d"].map(|id| record("1", "eu", "2026-03-01T00:00:00Z", id, ""));
        let mut chunk = chunk(&[&ids[..2], &ids[2..]]);
        let each = |mut groups: Vec<Group<'_>>, _: &mut Tally| -> Result<(), ArrowError> {
            let group = &mut groups[0];
            let ids = |batch: RecordBatch| -> Vec<String> {
                let ids = batch.column(const { known("event_id") }).as_string_view();
                ids.iter().flatten().map(str::to_owned).collect()
            };
            let all = ids(group.batch(0, 4)?);
            let objects: Vec<usize> = (0..4).map(|at| group.object(at)).collect();
            let object = |id: &str| usize::from(id > "b");
            assert_eq!(objects, all.iter().map(|id| object(id)).collect::<Vec<_>>());
            assert_eq!(ids(group.select(&[3, 1])?), [all[3].clone(), all[1].clone()]);
            group.leave_out(&[0, 2]);
            assert_eq!(ids(group.batch(0, 9)?), [all[1].clone(), all[3].clone()]);
            assert_eq!(group.column(const { known("event_id") })?.len(), 2);
            assert_eq!(group.column(const { known("error_code") })?.null_count(), 2);
            Ok(())
        };
        chunk.finish(BY_DATE, true, each).unwrap();
    }

    #[test]
    fn of_very_many_rejects_the_last_keeps_the_rest() {
        let many = MOST_REJECTS + 5;
        let text = format!("{{\"Records\":[{}]}}", vec!["{}"; many].join(","));
        let source = Source { url: "u", account: None, region: None, day: None, records_before: 0 };
        let outcome = Chunk::new(1 << 16).object(text.as_bytes(), &source, 1 << 20, &mut |_| true);
        assert_eq!((outcome.records, outcome.rejected), (many as u64, many as u64));
        assert_eq!(outcome.rejects.len(), MOST_REJECTS);
        assert_eq!(outcome.rejects[MOST_REJECTS - 1].data, ["{}"; 6].join("\n").as_bytes());
    }

    #[test]
    fn a_chunk_serves_again_and_keeps_nothing_of_what_was_unwanted() {
        let mut chunk = Chunk::new(1 << 16);
        for round in 0..3 {
            let text = format!(
                "[{},{}]",
                record("1", "eu", "2026-03-01T00:00:00Z", &format!("kept-{round}"), r#","x\u0041":"\u0041""#),
                record("2", "eu", "2026-03-01T00:00:00Z", "dropped", r#","resources":[{"ARN":"a"}]"#),
            );
            let source = Source { url: "u", account: None, region: None, day: None, records_before: 0 };
            let outcome =
                chunk.object(text.as_bytes(), &source, 1 << 16, &mut |row| row.account == Some("1"));
            assert_eq!((outcome.records, outcome.rows, outcome.filtered), (2, 1, 1));
            let (groups, _) = finish(&mut chunk, BY_DATE, "event_id");
            assert_eq!(groups[0].1, [format!("kept-{round}")]);
        }
        assert!(chunk.is_empty());
    }

    #[test]
    fn a_record_without_time_takes_the_day_of_its_objects_key() {
        let mut chunk = Chunk::new(1 << 16);
        let source =
            Source { url: "u", account: Some("9"), region: Some("eu"), day: Some(20_513), records_before: 0 };
        chunk.object(br#"{"Records":[{"eventName":"a"}]}"#, &source, 1 << 16, &mut |_| true);
        let (groups, _) = finish(&mut chunk, BY_DATE, "account");
        assert_eq!(groups, [(Some("2026-03-01".to_owned()), vec!["9".to_owned()])]);
    }
}
