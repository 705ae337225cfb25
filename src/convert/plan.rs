//! Which objects are converted together. Pure.
//!
//! A task holds objects of one path day. Copies of an event lie in objects of the same account, day and slot, whatever
//! the Region folder and the trail, so that is the order objects are taken in; an account's day is not cut where it
//! fits a task.

use std::ops::Range;

use crate::source::key::FileName;
use crate::source::list::{Listing, Object};

/// How large a task may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of its objects as stored; one object may be larger.
    pub bytes: u64,
    /// Objects.
    pub objects: usize,
}

/// An object of one of the listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which source.
    pub source: u32,
    /// Which object of its listing.
    pub object: u32,
}

/// Tasks: ranges of an order of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    items: Vec<Item>,
    tasks: Vec<Range<usize>>,
}

impl Plan {
    /// The objects of each task.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &[Item]> {
        self.tasks.iter().map(|range| &self.items[range.clone()])
    }

    /// All objects.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

/// The object that `item` stands for.
pub fn object<'a>(listings: &'a [Listing], item: &Item) -> &'a Object {
    &listings[item.source as usize].objects[item.object as usize]
}

/// Packs the objects for which `wanted` says so into tasks.
pub fn plan(listings: &[Listing], bounds: &Bounds, mut wanted: impl FnMut(&Item) -> bool) -> Plan {
    let mut items: Vec<Item> = Vec::with_capacity(listings.iter().map(|listing| listing.objects.len()).sum());
    for (source, listing) in (0..).zip(listings) {
        items.extend(
            (0..).zip(&listing.objects).map(|(object, _)| Item { source, object }).filter(&mut wanted),
        );
    }
    let place = |item: &Item| {
        let listing = &listings[item.source as usize];
        let folder = listing.folder(object(listings, item));
        (folder.day, folder.account.as_deref())
    };
    // The listings are in path order and the sort is stable, so the order is total.
    items.sort_by_cached_key(|item| {
        let (day, account) = place(item);
        let slot = day.and_then(|_| FileName::parse(&object(listings, item).name)).map(|name| name.delivered);
        (day, account.map(str::to_owned), slot)
    });
    let mut tasks: Vec<Range<usize>> = Vec::new();
    let mut open = Open::default();
    let mut start = 0;
    while start < items.len() {
        let this = place(&items[start]);
        let end = start + items[start..].iter().take_while(|item| place(item) == this).count();
        let size =
            |range: Range<usize>| items[range].iter().map(|item| object(listings, item).size).sum::<u64>();
        let whole = size(start..end);
        let fits = |open: &Open, bytes: u64, objects: usize| {
            open.range.is_empty()
                || (open.bytes + bytes <= bounds.bytes && open.range.len() + objects <= bounds.objects)
        };
        if open.day != this.0 || !fits(&open, whole, end - start) {
            open.close(&mut tasks, start);
        }
        open.day = this.0;
        for (at, item) in (start..end).zip(&items[start..end]) {
            let bytes = object(listings, item).size;
            if !fits(&open, bytes, 1) {
                open.close(&mut tasks, at);
            }
            open.bytes += bytes;
            open.range.end = at + 1;
        }
        start = end;
    }
    open.close(&mut tasks, items.len());
    Plan { items, tasks }
}

/// The task that objects are being added to.
#[derive(Default)]
struct Open {
    day: Option<chrono::NaiveDate>,
    bytes: u64,
    range: Range<usize>,
}

impl Open {
    fn close(&mut self, tasks: &mut Vec<Range<usize>>, next: usize) {
        if !self.range.is_empty() {
            tasks.push(self.range.clone());
        }
        self.bytes = 0;
        self.range = next..next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::list::Folder;

    /// A listing of objects given as (account, day of March 2026, slot, size).
    fn listing(objects: &[(&str, u32, &str, u64)]) -> Listing {
        let mut listing = Listing::default();
        for (account, day, slot, size) in objects {
            let path = format!("AWSLogs/{account}/CloudTrail/us-east-1/2026/03/{day:02}");
            let folder = Folder::parse(&path);
            let folder = match listing.folders.iter().position(|known| *known == folder) {
                Some(known) => known,
                None => {
                    listing.folders.push(folder);
                    listing.folders.len() - 1
                }
            };
            let name = format!("{account}_CloudTrail_us-east-1_202603{day:02}T{slot}Z_{:016}.json.gz", *size);
            let object = Object { folder: folder as u32, name: name.into(), size: *size, version: "".into() };
            listing.objects.push(object);
        }
        listing
    }

    fn sizes(listings: &[Listing], plan: &Plan) -> Vec<Vec<u64>> {
        plan.tasks().map(|items| items.iter().map(|item| object(listings, item).size).collect()).collect()
    }

    const A: &str = "111111111111";
    const B: &str = "222222222222";

    #[test]
    fn an_accounts_day_stays_together_over_sources_and_in_the_order_of_slots() {
        let listings = [
            listing(&[(A, 1, "0010", 1), (A, 1, "0000", 2), (B, 1, "0000", 3), (A, 2, "0000", 4)]),
            listing(&[(A, 1, "0005", 5)]),
        ];
        let plan = plan(&listings, &Bounds { bytes: 100, objects: 100 }, |_| true);
        assert_eq!(sizes(&listings, &plan), [vec![2, 5, 1, 3], vec![4]]);
    }

    #[test]
    fn a_day_is_cut_between_accounts_where_it_can_be() {
        let listings = [listing(&[(A, 1, "0000", 6), (B, 1, "0000", 3), (B, 1, "0005", 3)])];
        let bytes = plan(&listings, &Bounds { bytes: 10, objects: 100 }, |_| true);
        assert_eq!(sizes(&listings, &bytes), [vec![6], vec![3, 3]]);
        let objects = plan(&listings, &Bounds { bytes: 100, objects: 2 }, |_| true);
        assert_eq!(sizes(&listings, &objects), [vec![6], vec![3, 3]]);
    }

    #[test]
    fn what_fits_no_task_is_cut_and_a_larger_object_is_a_task_of_its_own() {
        let listings =
            [listing(&[(A, 1, "0000", 4), (A, 1, "0005", 5), (A, 1, "0010", 50), (A, 1, "0015", 1)])];
        let plan = plan(&listings, &Bounds { bytes: 10, objects: 100 }, |_| true);
        assert_eq!(sizes(&listings, &plan), [vec![4, 5], vec![50], vec![1]]);
    }

    #[test]
    fn unwanted_objects_are_in_no_task() {
        let listings = [listing(&[(A, 1, "0000", 1), (A, 1, "0005", 2)])];
        let plan = plan(&listings, &Bounds { bytes: 10, objects: 10 }, |item| item.object == 1);
        assert_eq!(sizes(&listings, &plan), [vec![2]]);
    }
}
