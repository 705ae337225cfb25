//! Realistic trails out of nothing, the same for the same settings: what the benchmarks read, and what
//! `cargo bench --bench generate` writes.
//!
//! Modelled on what real buckets hold: a busy account and Region or two and a long tail; a delivery every five minutes
//! where there is something to deliver, mostly a few KB, sometimes MBs; few callers a delivery, each in a burst of
//! similar calls; records out of order, and from before midnight in the next day's folder. Every id is invented.
//!
//! How much of an event is random decides what a conversion costs, so it is near what published real records have:
//! nine in ten are management events, of which nine in ten read, and these ask for the same things again and again.
//! The real ones compress 8.6 fold, to 147 bytes an event, of which Parquet makes 94 without its footers; the generated
//! ones 9.5 fold, to 159, and 104.

// Every benchmark uses its own part of this module.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

mod account;
mod catalogue;
mod event;
mod names;
mod record;
mod rng;

use std::collections::VecDeque;

use chrono::{Days, NaiveDate};

use account::Account;
use event::Burst;
use rng::Rng;

/// What to generate.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The same settings with the same seed give the same bytes.
    pub seed: u64,
    /// Events, not counting the copies of `duplicates`.
    pub events: u64,
    pub accounts: usize,
    /// At most as many as [`REGIONS`] has.
    pub regions: usize,
    /// Days of the path, from `start`; the events of the first minutes are of the day before.
    pub days: u64,
    pub start: NaiveDate,
    /// The organization whose trail it is: an organization's layout, else the plain one.
    pub organization: Option<String>,
    /// How many of the events a second trail delivers once more, from 0 to 1: in objects of its own, in the same slot
    /// or a later one. The second trail is the account's own, in the plain layout.
    pub duplicates: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            events: 1_000_000,
            accounts: 20,
            regions: 6,
            days: 3,
            start: NaiveDate::from_ymd_opt(2026, 3, 1).expect("a date"),
            organization: None,
            duplicates: 0.0,
        }
    }
}

/// The busiest first. Global services record in the first.
pub const REGIONS: &[&str] = &[
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "ap-southeast-2",
    "eu-west-1",
    "sa-east-1",
    "us-east-2",
    "ca-central-1",
    "eu-north-1",
    "ap-south-1",
    "ap-northeast-1",
    "eu-west-2",
    "eu-west-3",
    "us-west-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-northeast-3",
];

/// Deliveries in a day: one every five minutes.
const SLOTS: u64 = 288;

/// Events that a delivery holds on average. Half of them hold a sixth of that, or fewer.
const EVENTS_PER_OBJECT: u64 = 75;

/// The spread of the sizes of deliveries, of a log-normal distribution.
const SIZE_SIGMA: f64 = 1.9;

/// What one file in a trail bucket is.
pub struct Object {
    /// From `AWSLogs/` on.
    pub key: String,
    /// The content, inflated.
    pub json: String,
    pub events: u64,
}

/// Compresses as CloudTrail does: gzip, level 6.
pub struct Gzip(libdeflater::Compressor);

impl Gzip {
    pub fn new() -> Gzip {
        Gzip(libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).expect("a level")))
    }

    pub fn compress(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut gz = vec![0; self.0.gzip_compress_bound(bytes.len())];
        let length = self.0.gzip_compress(bytes, &mut gz).expect("the bound is enough");
        gz.truncate(length);
        gz
    }
}

/// The contents of a trail's objects, inflated: what decoding starts with.
pub fn inflated(settings: Settings) -> Vec<Vec<u8>> {
    Trail::new(settings).map(|object| object.json.into_bytes()).collect()
}

/// A trail's objects, one after the other, day by day.
pub struct Trail {
    settings: Settings,
    accounts: Vec<Account>,
    /// How many events each day, account and Region has, still to come.
    quotas: VecDeque<Quota>,
    /// What is left of the current one.
    deliveries: VecDeque<Delivery>,
    ready: VecDeque<Object>,
    second: Second,
}

#[derive(Clone, Copy)]
struct Quota {
    day: u64,
    account: usize,
    region: usize,
    events: u64,
}

struct Delivery {
    quota: Quota,
    slot: u64,
    events: u64,
    kind: &'static str,
    rng: Rng,
}

/// What the second trail has seen and not delivered yet.
#[derive(Default)]
struct Second {
    json: String,
    events: u64,
}

impl Trail {
    pub fn new(settings: Settings) -> Trail {
        assert!(settings.regions <= REGIONS.len(), "there are {} Regions", REGIONS.len());
        let accounts = (0..settings.accounts).map(|index| Account::new(settings.seed, index)).collect();
        let quotas = quotas(&settings);
        let (deliveries, ready) = (VecDeque::new(), VecDeque::new());
        Trail { settings, accounts, quotas, deliveries, ready, second: Second::default() }
    }

    fn deliver(&mut self, mut delivery: Delivery) {
        let Quota { day, account, region, .. } = delivery.quota;
        let (account, region, rng) = (&self.accounts[account], REGIONS[region], &mut delivery.rng);
        let slot_start = time_of(&self.settings, day, delivery.slot);
        let mut records = Vec::with_capacity(delivery.events as usize);
        let mut shared = String::new();
        while (records.len() as u64) < delivery.events {
            let mut burst = Burst::new(account, region == REGIONS[0], rng);
            let left = delivery.events - records.len() as u64;
            let length = (1 + (8.0 * rng.heavy_tailed(1.2)) as u64).min(left);
            let mut time = slot_start - lag(rng);
            for _ in 0..length {
                let mut record = String::new();
                match delivery.kind {
                    "CloudTrail-NetworkActivity" => burst.network_activity(&mut record, region, time, rng),
                    "CloudTrail-Aggregated" => event::aggregated(&mut record, account, region, time, rng),
                    "CloudTrail-Insight" => {
                        let ended = records.len() % 2 == 1;
                        if !ended {
                            shared.clear();
                            rng.uuid(&mut shared);
                        }
                        event::insight(&mut record, account, region, time, &shared, ended, rng);
                    }
                    _ => burst.record(&mut record, region, time, rng),
                }
                records.push((time, record));
                time = (time + rng.below(3) as i64).min(slot_start);
            }
        }
        // CloudTrail promises no order; three files in four have one all the same.
        if !rng.chance(0.25) {
            records.sort_by_key(|(time, _)| *time);
        }

        let mut json = String::from(r#"{"Records":["#);
        for (at, (_, record)) in records.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(record);
            if rng.chance(self.settings.duplicates) {
                if self.second.events > 0 {
                    self.second.json.push(',');
                }
                self.second.json.push_str(record);
                self.second.events += 1;
            }
        }
        json.push_str("]}");
        let organization = self.settings.organization.as_deref();
        let name = key(&self.settings, &account.id, region, &mut delivery, organization);
        self.ready.push_back(Object { key: name, json, events: delivery.events });

        let last = self.deliveries.front().is_none_or(|next| next.kind != delivery.kind);
        if self.second.events > 0 && (last || delivery.rng.chance(0.5)) {
            let Second { json, events } = std::mem::take(&mut self.second);
            let name = key(&self.settings, &account.id, region, &mut delivery, None);
            self.ready.push_back(Object { key: name, json: format!(r#"{{"Records":[{json}]}}"#), events });
        }
    }
}

impl Iterator for Trail {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        while self.ready.is_empty() {
            match self.deliveries.pop_front() {
                Some(delivery) => self.deliver(delivery),
                None => self.deliveries = deliveries(&self.settings, self.quotas.pop_front()?),
            }
        }
        self.ready.pop_front()
    }
}

/// Shares the events out over days, accounts and Regions, such that they add up.
fn quotas(settings: &Settings) -> VecDeque<Quota> {
    let mut shares = Vec::new();
    for day in 0..settings.days {
        for account in 0..settings.accounts {
            for region in 0..settings.regions {
                let rng = &mut Rng::of(settings.seed, &[2, account as u64, region as u64]);
                let busy = 1.0 / (1.0 + account as f64) * 1.0 / (1.0 + region as f64).powf(1.6);
                let today =
                    Rng::of(settings.seed, &[3, day, account as u64, region as u64]).heavy_tailed(0.2);
                shares
                    .push((Quota { day, account, region, events: 0 }, busy * rng.heavy_tailed(0.5) * today));
            }
        }
    }
    let weights: Vec<f64> = shares.iter().map(|(_, weight)| *weight).collect();
    let counts = share_out(settings.events, &weights);
    let filled = shares.into_iter().zip(counts).map(|((quota, _), events)| Quota { events, ..quota });
    filled.filter(|quota| quota.events > 0).collect()
}

/// Splits a day's events of an account and Region into deliveries, in the order of their keys.
fn deliveries(settings: &Settings, quota: Quota) -> VecDeque<Delivery> {
    let Quota { day, account, region, events } = quota;
    let rng = &mut Rng::of(settings.seed, &[4, day, account as u64, region as u64]);
    let weights: Vec<f64> =
        (0..events.div_ceil(EVENTS_PER_OBJECT)).map(|_| rng.heavy_tailed(SIZE_SIGMA)).collect();
    let mut deliveries: Vec<Delivery> = share_out(events, &weights)
        .into_iter()
        .filter(|events| *events > 0)
        .map(|events| {
            let mut slot = rng.below(SLOTS);
            // Most of the work is done by day.
            if !(84..240).contains(&slot) && rng.chance(0.5) {
                slot = 84 + rng.below(156);
            }
            let kind = match rng.below(200) {
                0..6 if events <= 4 => "CloudTrail-Insight",
                0..2 if events <= 40 => "CloudTrail-Aggregated",
                2..6 if events <= 40 => "CloudTrail-NetworkActivity",
                _ => "CloudTrail",
            };
            Delivery { quota, slot, events, kind, rng: Rng::of(rng.next(), &[]) }
        })
        .collect();
    deliveries.sort_by_key(|delivery| (delivery.kind, delivery.slot));
    deliveries.into()
}

/// Whole numbers in proportion to the weights that add up to the total.
fn share_out(total: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let (mut before, mut given) = (0.0, 0);
    let mut counts = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        before += weight;
        let upto = if at + 1 == weights.len() { total } else { (total as f64 * before / sum) as u64 };
        counts.push(upto - given);
        given = upto;
    }
    counts
}

/// Seconds between an event and its delivery: minutes, now and then hours.
fn lag(rng: &mut Rng) -> i64 {
    if rng.chance(0.002) {
        return rng.below(6 * 3600) as i64;
    }
    (190.0 * rng.heavy_tailed(0.5)).clamp(20.0, 620.0) as i64
}

fn time_of(settings: &Settings, day: u64, slot: u64) -> i64 {
    let date = settings.start.checked_add_days(Days::new(day)).expect("a date");
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() + slot as i64 * 300
}

fn key(
    settings: &Settings,
    account: &str,
    region: &str,
    delivery: &mut Delivery,
    organization: Option<&str>,
) -> String {
    let time = time_of(settings, delivery.quota.day, delivery.slot);
    let at = chrono::DateTime::from_timestamp(time, 0).expect("a time");
    let kind = delivery.kind;
    // Only Insights (and digests) repeat the folder's name in the file's.
    let named = if kind == "CloudTrail-Insight" { kind } else { "CloudTrail" };
    let folder = organization.map(|id| format!("{id}/")).unwrap_or_default();
    let (day, slot) = (at.format("%Y/%m/%d"), at.format("%Y%m%dT%H%MZ"));
    let mut key =
        format!("AWSLogs/{folder}{account}/{kind}/{region}/{day}/{account}_{named}_{region}_{slot}_");
    delivery.rng.alphanumeric(&mut key, 16);
    key.push_str(".json.gz");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Settings {
        Settings { events: 3000, accounts: 4, regions: 3, days: 2, ..Settings::default() }
    }

    #[test]
    fn the_same_settings_give_the_same_objects() {
        let (one, other): (Vec<Object>, Vec<Object>) =
            (Trail::new(small()).collect(), Trail::new(small()).collect());
        assert!(one.iter().zip(&other).all(|(one, other)| one.key == other.key && one.json == other.json));
        assert_eq!(one.len(), other.len());
    }

    #[test]
    fn every_object_has_as_many_records_as_it_says_and_they_add_up() {
        let mut keys = std::collections::BTreeSet::new();
        let (mut first, mut second) = (0, 0);
        let organization = Some("o-a1b2c3d4e5".to_owned());
        for object in Trail::new(Settings { duplicates: 0.5, organization, ..small() }) {
            let value: serde_json::Value = serde_json::from_str(&object.json).expect("JSON");
            let records = value["Records"].as_array().expect("records").len() as u64;
            assert_eq!(records, object.events, "{}", object.key);
            match object.key.contains("/o-") {
                true => first += records,
                false => second += records,
            }
            assert!(keys.insert(object.key));
        }
        assert_eq!(first, 3000);
        assert!((1200..1800).contains(&second), "{second}");
    }
}
