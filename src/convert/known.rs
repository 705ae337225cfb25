//! What earlier runs have converted: the ledger, as far as a run needs it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::event::chunk::Candidate;
use crate::lake::ledger::{self, Entry, Window};
use crate::lake::snapshot::Lake;
use crate::lake::vouched::Vouched;

/// What a run was asked to leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Wanted accounts; empty is all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<String>,
    /// Wanted Regions of delivery; empty is all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
    /// The first wanted event time, microseconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The first event time that is not wanted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Filters {
    /// Whether all that `other` wants is wanted here.
    fn cover(&self, other: &Filters) -> bool {
        let set = |ours: &BTreeSet<String>, others: &BTreeSet<String>| {
            ours.is_empty() || (!others.is_empty() && others.is_subset(ours))
        };
        set(&self.accounts, &other.accounts)
            && set(&self.regions, &other.regions)
            && self.since.is_none_or(|ours| other.since.is_some_and(|others| others >= ours))
            && self.until.is_none_or(|ours| other.until.is_some_and(|others| others <= ours))
    }

    /// Whether a row is wanted. What an object's key says was decided when listing; only what it does not say is decided
    /// here.
    pub fn want(&self, row: &Candidate<'_>, key_has_account: bool, key_has_region: bool) -> bool {
        let account = key_has_account
            || self.accounts.is_empty()
            || row.account.is_some_and(|account| self.accounts.contains(account));
        let region = key_has_region
            || self.regions.is_empty()
            || row.region.is_some_and(|region| self.regions.contains(region));
        let time = row.time.is_none_or(|time| {
            self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
        });
        account && region && time
    }

    /// These filters beside those that an object was converted with before, without those that say no more.
    pub fn beside(&self, before: &[Filters]) -> Vec<Filters> {
        let more = before.iter().filter(|before| !self.cover(before)).cloned();
        more.chain([self.clone()]).collect()
    }
}

/// What an earlier run has left of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has converted it.
    New,
    /// Another object was there under its URL.
    Replaced,
    /// Filters have left some of it out that is wanted now.
    Partly(Partly),
    /// All of it that is wanted now is in the lake.
    Whole,
}

/// What runs with filters have converted of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partly {
    /// The filters of those runs.
    pub filters: Vec<Filters>,
    /// The rows that they made of it.
    pub rows: u64,
    /// Conflicts among these.
    pub conflicts: u64,
}

/// The objects that the ledger has, within a window of path days.
#[derive(Debug, Default)]
pub struct Known {
    whole: HashSet<[u8; 16]>,
    partly: HashMap<[u8; 16], Partly>,
    urls: HashSet<u64>,
}

impl Known {
    /// Reads the ledger.
    ///
    /// # Errors
    /// Where a ledger file cannot be read.
    pub async fn read(lake: &Lake, vouched: &Vouched, window: &Window) -> Result<Known> {
        let mut known = Known::default();
        ledger::read(lake, vouched, window, |_, entry| known.add(&entry)).await?;
        Ok(known)
    }

    fn add(&mut self, entry: &Entry) {
        let key = fingerprint(&entry.url, entry.size, &entry.version);
        self.urls.insert(short(&entry.url));
        match &entry.filter {
            None => {
                self.partly.remove(&key);
                self.whole.insert(key);
            }
            Some(filter) => {
                // Of filters that cannot be read nothing is covered.
                let filters = serde_json::from_str(filter).unwrap_or_default();
                let partly = Partly { filters, rows: entry.rows, conflicts: entry.conflicts };
                self.partly.insert(key, partly);
            }
        }
    }

    /// What is left of an object for a run with these filters.
    pub fn state(&self, url: &str, size: u64, version: &str, wanted: &Filters) -> State {
        let key = fingerprint(url, size, version);
        if self.whole.contains(&key) {
            return State::Whole;
        }
        match self.partly.get(&key) {
            Some(partly) if partly.filters.iter().any(|filters| filters.cover(wanted)) => State::Whole,
            Some(partly) => State::Partly(partly.clone()),
            None if self.urls.contains(&short(url)) => State::Replaced,
            None => State::New,
        }
    }

    /// Of how many of these entries' objects the ledger said something else later on.
    pub fn changed(&self, later: &Known, entries: &[Entry]) -> usize {
        let has_changed = |entry: &&Entry| {
            let key = fingerprint(&entry.url, entry.size, &entry.version);
            self.whole.contains(&key) != later.whole.contains(&key)
                || self.partly.get(&key) != later.partly.get(&key)
        };
        entries.iter().filter(has_changed).count()
    }
}

/// The name under which the table log says how far a source was converted: of its URL and the filters on accounts and
/// Regions, because what a run over some accounts has seen says nothing of the others.
pub fn source_name(url: &str, filters: &Filters) -> String {
    let mut hash = Sha256::new_with_prefix(url);
    for text in filters.accounts.iter().chain(&filters.regions) {
        hash.update([0]);
        hash.update(text);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The first path day to list of a source: `lookback_days` before the newest one that was converted. `None` is all of
/// them, for a source that is new to the lake.
pub fn first_day(
    vouched: &Vouched,
    name: &str,
    since: Option<DateTime<Utc>>,
    lookback_days: Option<u64>,
) -> Option<NaiveDate> {
    if let Some(since) = since {
        // An event is delivered after it happened, so never into an earlier day's folder.
        return Some(since.date_naive());
    }
    let newest =
        NaiveDate::default().checked_add_signed(chrono::TimeDelta::try_days(vouched.source(name)?)?)?;
    newest.checked_sub_days(Days::new(lookback_days?))
}

/// What stands for an object in memory.
pub fn fingerprint(url: &str, size: u64, version: &str) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(size.to_le_bytes());
    hasher.update((url.len() as u64).to_le_bytes());
    hasher.update(url);
    hasher.update(version);
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hasher.finalize()[..16]);
    fingerprint
}

fn short(url: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = fingerprint(url, 0, "");
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
