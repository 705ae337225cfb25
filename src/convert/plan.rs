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
        for at in start..end {
            let bytes = object(listings, &items[at]).size;
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
