//! Copies of events that the lake has already, or that an earlier task of the run has: they are left out.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;

use crate::error::{Context, Error, Result};
use crate::event::rebuild::Rebuilder;
use crate::event::sort::{Group, Tally, is_same_record};
use crate::lake::lookup::{Arrival, Holder, Keys, Lookup, Span};
use crate::schema::{COLUMNS, known};

const EVENT_TIME: usize = known("event_time");
const EVENT_ID: usize = known("event_id");
const ACCOUNT: usize = known("account");

/// What may differ between copies: where they were found, and the Region that an object's key gives a record that
/// names none.
const OF_THE_OBJECT: [usize; 3] = [known("region"), known("row_source_object"), known("row_source_record")];

/// Leaves out the rows of the groups that `lookup` has already, counts them in `tally`, and announces the others; for
/// every group the announcement, where there are any.
///
/// The groups are announced together, and only when all that was announced before was looked at: of two tasks that have
/// copies of each other's rows one sees the other's, and none waits for a file that waits for its own.
///
/// # Errors
/// Where a file of the lake cannot be read.
pub async fn leave_out(
    lookup: &Lookup,
    groups: &mut [Group<'_>],
    tally: &mut Tally,
) -> Result<Vec<Option<Arrival>>> {
    let mut all: Vec<Looked> = groups.iter().map(Looked::new).collect::<Result<_>>()?;
    let mut seen = 0;
    let mut arrivals = loop {
        let count = lookup.count();
        for (group, looked) in groups.iter().zip(&mut all) {
            looked.look(lookup, group, seen..count).await?;
        }
        seen = count;
        let left: Vec<_> = all.iter().filter(|looked| looked.left() > 0).map(Looked::kept).collect();
        if let Some(arrivals) = lookup.announce(&left, seen) {
            break arrivals.into_iter();
        }
    };
    let mut announced = Vec::new();
    for (group, looked) in groups.iter_mut().zip(all) {
        announced.push(if looked.left() > 0 { arrivals.next() } else { None });
        looked.found.leave_out(group, tally);
    }
    Ok(announced)
}

/// What was looked for and found of a group's rows.
struct Looked {
    rows: usize,
    keys: Arc<Keys>,
    span: Span,
    found: Found,
}

impl Looked {
    fn new(group: &Group<'_>) -> Result<Looked> {
        let failed = || "reading the keys of rows".to_owned();
        let column = |at: usize| group.column(at).context(failed);
        let (accounts, times) = (column(ACCOUNT)?, column(EVENT_TIME)?);
        let keys = Arc::new(Keys::new(&column(EVENT_ID)?, &accounts, &times)?);
        let span = Span::of(group.date.clone(), &accounts, &times)?;
        Ok(Looked { rows: group.rows(), keys, span, found: Found::default() })
    }

    /// The span and the keys of the rows that are no copies.
    fn kept(&self) -> (Span, Arc<Keys>) {
        let copies = &self.found.copies;
        let keys =
            if copies.is_empty() { Arc::clone(&self.keys) } else { Arc::new(self.keys.without(copies)) };
        (self.span.clone(), keys)
    }

    /// How many of the rows are no copies.
    fn left(&self) -> usize {
        self.rows - self.found.copies.len()
    }

    /// Looks for the rows in the files with these numbers.
    async fn look(&mut self, lookup: &Lookup, group: &Group<'_>, numbers: Range<u64>) -> Result<()> {
        for holder in lookup.holders(&self.span, numbers) {
            let mut pairs: Vec<(u32, u32)> = Vec::new();
            let there = lookup.keys(&holder).await?;
            self.keys.meet(&there, |position, row| {
                if !self.found.copies.contains(&position) {
                    pairs.push((row, position));
                }
            });
            if !pairs.is_empty() {
                pairs.sort_unstable();
                self.found.compare(lookup, &holder, group, &pairs).await?;
            }
        }
        Ok(())
    }
}

/// Positions in the group.
#[derive(Default)]
struct Found {
    copies: BTreeSet<u32>,
    conflicts: HashSet<u32>,
}

impl Found {
    /// Leaves the copies out of the group, and counts them and the conflicts.
    fn leave_out(&self, group: &mut Group<'_>, tally: &mut Tally) {
        for &copy in &self.copies {
            let at = copy as usize;
            tally.duplicates[group.object(at)] += 1;
            if group.is_conflict(at) {
                tally.conflicts[group.object(at)] -= 1;
            }
        }
        for &conflict in self.conflicts.iter().filter(|conflict| !self.copies.contains(conflict)) {
            let at = conflict as usize;
            if !group.is_conflict(at) {
                tally.conflicts[group.object(at)] += 1;
            }
        }
        group.leave_out(&self.copies.iter().copied().collect::<Vec<_>>());
    }

    /// Compares rows of a file with those of the group that have the same key; `pairs` is sorted.
    async fn compare(
        &mut self,
        lookup: &Lookup,
        holder: &Holder,
        group: &Group<'_>,
        pairs: &[(u32, u32)],
    ) -> Result<()> {
        let mut rows: Vec<u32> = pairs.iter().map(|(row, _)| *row).collect();
        rows.dedup();
        let (mut pairs, mut next) = (pairs, 0);
        lookup
            .rows(holder, &rows, |there| {
                let those = rows.get(next..next + there.num_rows());
                let those =
                    those.ok_or_else(|| Error::failed("a file has other rows than were asked for"))?;
                next += there.num_rows();
                let (of_these, others) =
                    pairs.split_at(pairs.partition_point(|(row, _)| Some(row) <= those.last()));
                pairs = others;
                self.compare_batch(group, &there, those, of_these)
            })
            .await
    }

    fn compare_batch(
        &mut self,
        group: &Group<'_>,
        there: &RecordBatch,
        rows: &[u32],
        pairs: &[(u32, u32)],
    ) -> Result<()> {
        let failed = || "comparing rows".to_owned();
        let positions: Vec<u32> = pairs.iter().map(|(_, position)| *position).collect();
        let here = group.select(&positions).context(failed)?;
        let same = Same::of(&here, there)?;
        for (at, (row, position)) in pairs.iter().enumerate() {
            let other = rows.partition_point(|this| this < row);
            if !same.is_id(at, other) {
                continue;
            }
            if same.is_content(at, other) || same.is_record(at, other)? {
                self.copies.insert(*position);
            } else if here.column(EVENT_ID).is_valid(at) {
                self.conflicts.insert(*position);
            }
        }
        Ok(())
    }
}

/// Compares rows of two batches.
struct Same<'a> {
    id: Vec<DynComparator>,
    content: Vec<DynComparator>,
    here: &'a RecordBatch,
    there: &'a RecordBatch,
}

impl<'a> Same<'a> {
    fn of(here: &'a RecordBatch, there: &'a RecordBatch) -> Result<Same<'a>> {
        let (mut id, mut content) = (Vec::new(), Vec::new());
        for at in 0..COLUMNS.len() {
            let (one, two) = (here.column(at), there.column(at));
            let is_empty = one.null_count() == one.len() && two.null_count() == two.len();
            if OF_THE_OBJECT.contains(&at) || is_empty {
                continue;
            }
            let compare = make_comparator(one, two, SortOptions::default());
            let compare = compare.context(|| format!("comparing rows by {}", COLUMNS[at].name))?;
            let is_id = [EVENT_ID, ACCOUNT, EVENT_TIME].contains(&at);
            if is_id { &mut id } else { &mut content }.push(compare);
        }
        Ok(Same { id, content, here, there })
    }

    fn is_id(&self, at: usize, other: usize) -> bool {
        self.id.iter().all(|compare| compare(at, other).is_eq())
    }

    fn is_content(&self, at: usize, other: usize) -> bool {
        self.content.iter().all(|compare| compare(at, other).is_eq())
    }

    /// Whether the records are equal although their columns are not: laid out in another way.
    fn is_record(&self, at: usize, other: usize) -> Result<bool> {
        let record = |batch: &RecordBatch, row: usize| {
            let mut line = Vec::new();
            let rebuilt = Rebuilder.lines(&batch.slice(row, 1), &mut line);
            rebuilt.context(|| "comparing records".into()).map(|()| line)
        };
        Ok(is_same_record(&record(self.here, at)?, &record(self.there, other)?))
    }
}
