//! The key grammar of CloudTrail.
//!
//! ```text
//! [prefix/]AWSLogs/[o-…/]ACCOUNT/KIND/REGION/YYYY/MM/DD/ACCOUNT_KIND_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz
//! ```
//!
//! A prefix may itself contain `AWSLogs` or `CloudTrail`, so that paths are read from the right. Source: the CloudTrail
//! user guide, "Finding your CloudTrail log files"; what is lenient here was met in real archives.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime};

/// The step below which trails deliver.
pub(super) const LOGS: &str = "AWSLogs";

/// Which of CloudTrail's folders under an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Management and data events: `CloudTrail`.
    CloudTrail,
    /// Insights events: `CloudTrail-Insight`.
    Insight,
    /// Network activity events: `CloudTrail-NetworkActivity`.
    NetworkActivity,
    /// Aggregated data events: `CloudTrail-Aggregated`.
    Aggregated,
    /// Digests, which hold no events: `CloudTrail-Digest`.
    Digest,
}

impl Kind {
    const ALL: [Kind; 5] =
        [Kind::CloudTrail, Kind::Insight, Kind::NetworkActivity, Kind::Aggregated, Kind::Digest];

    /// The name of the folder.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::CloudTrail => "CloudTrail",
            Kind::Insight => "CloudTrail-Insight",
            Kind::NetworkActivity => "CloudTrail-NetworkActivity",
            Kind::Aggregated => "CloudTrail-Aggregated",
            Kind::Digest => "CloudTrail-Digest",
        }
    }

    /// The kind whose folder is called `name`.
    pub fn from_folder(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.folder() == name)
    }
}

/// A key that follows the grammar from `AWSLogs` to the day; the file name is not looked into ([`FileName`] is for that).
///
/// `Display` is the inverse of [`LogKey::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// What comes before `AWSLogs`, without the slash between; may be empty.
    pub prefix: String,
    /// The organization's ID, where an organization trail delivered.
    pub organization: Option<String>,
    /// The account whose activity it is (`recipientAccountId`): 12 digits.
    pub account: String,
    /// Which of the account's folders.
    pub kind: Kind,
    /// The Region whose CloudTrail delivered, which is not always the records' `awsRegion`. Any text.
    pub region: String,
    /// The UTC day of delivery.
    pub day: NaiveDate,
    /// The last step.
    pub name: String,
}

impl LogKey {
    /// Reads a key from the right; `None` where it does not follow the grammar.
    pub fn parse(key: &str) -> Option<LogKey> {
        let mut steps = key.rsplit('/');
        let name = steps.next().filter(|name| !name.is_empty())?;
        let (day, month, year) = (steps.next()?, steps.next()?, steps.next()?);
        let day = day_of(year, month, day)?;
        let region = steps.next().filter(|region| !region.is_empty())?;
        let kind = Kind::from_folder(steps.next()?)?;
        let account = steps.next().filter(|account| is_account(account))?;
        let mut above = steps.next()?;
        let organization = is_organization(above).then_some(above);
        if organization.is_some() {
            above = steps.next()?;
        }
        if above != LOGS {
            return None;
        }
        let mut prefix: Vec<&str> = steps.collect();
        prefix.reverse();
        Some(LogKey {
            prefix: prefix.join("/"),
            organization: organization.map(str::to_owned),
            account: account.to_owned(),
            kind,
            region: region.to_owned(),
            day,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            write!(f, "{}/", self.prefix)?;
        }
        write!(f, "{LOGS}/")?;
        if let Some(organization) = &self.organization {
            write!(f, "{organization}/")?;
        }
        let day = self.day.format("%Y/%m/%d");
        write!(f, "{}/{}/{}/{day}/{}", self.account, self.kind.folder(), self.region, self.name)
    }
}

/// What the name of a delivered file says. Read leniently: neither the unique part nor any extension is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The account: 12 digits.
    pub account: String,
    /// `CloudTrail` for most logs, whatever their folder's kind; certain for digests.
    pub kind: Kind,
    /// The Region that delivered.
    pub region: String,
    /// When it was delivered (UTC, to the minute; digests to the second).
    pub delivered: NaiveDateTime,
}

impl FileName {
    /// Reads the last step of a path; `None` where it is not a name that CloudTrail gives.
    pub fn parse(name: &str) -> Option<FileName> {
        let (account, rest) = name.split_once('_').filter(|(account, _)| is_account(account))?;
        let (kind, rest) = rest.split_once('_')?;
        let kind = Kind::from_folder(kind)?;
        let mut times = (1..rest.len()).filter_map(|at| Some((at, time_at(rest.get(at..)?)?)));
        // A digest's name goes on with the trail's, which may hold anything; a log's ends in what means nothing.
        let (at, delivered) = if kind == Kind::Digest { times.next_back() } else { times.next() }?;
        let region = rest.get(..at)?.strip_suffix(['_', '-'])?;
        let region = if kind == Kind::Digest { region.split('_').next()? } else { region };
        if region.is_empty() {
            return None;
        }
        Some(FileName { account: account.to_owned(), kind, region: region.to_owned(), delivered })
    }
}

pub(super) fn is_account(step: &str) -> bool {
    step.len() == 12 && step.bytes().all(|byte| byte.is_ascii_digit())
}

/// AWS's own pattern is `^o-[a-z0-9]{10,32}$`; shortened ones occur in anonymised trees.
pub(super) fn is_organization(step: &str) -> bool {
    let id = step.strip_prefix("o-").unwrap_or_default();
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Whether a step has the form of a Region (`us-gov-west-1`); new ones appear, so that no list is kept.
pub(super) fn is_region(step: &str) -> bool {
    let parts: Vec<&str> = step.split('-').collect();
    parts.len() >= 3
        && parts.iter().all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
        && parts.first().is_some_and(|part| part.starts_with(|first: char| first.is_ascii_lowercase()))
        && parts.last().is_some_and(|part| part.starts_with(|first: char| first.is_ascii_digit()))
}

pub(super) fn number(text: &str, digits: usize) -> Option<u32> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn day_of(year: &str, month: &str, day: &str) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(number(year, 4)?).ok()?, number(month, 2)?, number(day, 2)?)
}

/// The time at the start of `text`: `YYYYMMDDTHHmm[ss]`.
fn time_at(text: &str) -> Option<NaiveDateTime> {
    let day = day_of(text.get(..4)?, text.get(4..6)?, text.get(6..8)?)?;
    if text.get(8..9)? != "T" {
        return None;
    }
    let seconds = text.get(13..15).and_then(|text| number(text, 2)).filter(|_| text.get(15..16) == Some("Z"));
    day.and_hms_opt(number(text.get(9..11)?, 2)?, number(text.get(11..13)?, 2)?, seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::folder::Folder;
    use super::*;

    fn date(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    /// Steps that a prefix may have, those that look like the grammar's among them.
    fn step() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Za-z0-9 ._=-]{1,12}",
            Just("AWSLogs".to_owned()),
            Just("CloudTrail".to_owned()),
            Just("o-a1b2c3d4e5".to_owned()),
            Just("111122223333".to_owned()),
            Just("2024".to_owned()),
        ]
    }

    prop_compose! {
        fn log_key()(
            prefix in prop::collection::vec(step(), 0..5),
            organization in prop::option::of("o-[a-z0-9]{10,32}"),
            account in "[0-9]{12}",
            kind in prop::sample::select(Kind::ALL.to_vec()),
            region in prop_oneof!["[a-z]{2}-[a-z]{4,9}-[0-9]", "[a-z_0-9-]{1,20}"],
            days in 0..36_000i32,
            name in "[^/]{1,40}",
        ) -> LogKey {
            let day = date(2013, 1, 1) + chrono::Days::new(days as u64);
            LogKey { prefix: prefix.join("/"), organization, account, kind, region, day, name }
        }
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_as_it_was_written(key in log_key()) {
            let text = key.to_string();
            prop_assert_eq!(LogKey::parse(&text), Some(key.clone()));
            let folder = Folder::parse(text.rsplit_once('/').unwrap().0);
            prop_assert_eq!(folder.account, Some(key.account));
            prop_assert_eq!(folder.kind, Some(key.kind));
            prop_assert_eq!(folder.day, Some(key.day));
        }

        #[test]
        fn what_is_read_as_a_key_is_written_as_it_was(text in "([a-zA-Z0-9-]{1,9}/){0,3}AWSLogs/(o-abcdefghij/)?[0-9]{11,13}/CloudTrail(-Digest)?/[a-z1-]{1,9}/20[0-9]{2}/[01][0-9]/[0-3][0-9]/.{0,30}") {
            if let Some(key) = LogKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,60}", name in "[0-9]{12}_CloudTrail(-Digest)?_[a-z_0-9TZ\u{e9}-]{0,40}") {
            LogKey::parse(&text);
            FileName::parse(&text);
            FileName::parse(&name);
            Folder::parse(&text).completed_by(&name);
        }
    }

    #[test]
    fn names_are_read_leniently() {
        let cases = [
            (
                "111122223333_CloudTrail_us-east-1_20240131T2355Z_aB3dE6gH9jK2mN5p.json.gz",
                "us-east-1",
                Kind::CloudTrail,
            ),
            (
                "111122223333_CloudTrail_us-gov-west-1_20240131T2355ZaB3dE6gH9jK2mN5p.json.gz",
                "us-gov-west-1",
                Kind::CloudTrail,
            ),
            ("111122223333_CloudTrail_cn-north-1_20240131T2355Z.json", "cn-north-1", Kind::CloudTrail),
            ("111122223333_CloudTrail_us-east-1-20240131T2355.json", "us-east-1", Kind::CloudTrail),
            (
                "111122223333_CloudTrail_us-east-1_20240131T2355Z_20200101T0000Z.json",
                "us-east-1",
                Kind::CloudTrail,
            ),
            (
                "111122223333_CloudTrail-Insight_eu-west-3_20240131T2355Z_aB3dE6gH9jK2mN5p.json.gz",
                "eu-west-3",
                Kind::Insight,
            ),
            (
                "111122223333_CloudTrail-Digest_eu-west-3_my_trail.20_us-east-1_20240131T235500Z.json.gz",
                "eu-west-3",
                Kind::Digest,
            ),
            (
                "111122223333_CloudTrail-Digest_eu-west-3_t_20200101T000000Z_us-east-1_20240131T235500Z_backfill.json.gz",
                "eu-west-3",
                Kind::Digest,
            ),
        ];
        for (name, region, kind) in cases {
            let delivered = date(2024, 1, 31).and_hms_opt(23, 55, 0).unwrap();
            let expected =
                FileName { account: "111122223333".into(), kind, region: region.into(), delivered };
            assert_eq!(FileName::parse(name), Some(expected), "{name}");
        }
        for name in [
            "",
            "events.json",
            "1111_CloudTrail_us-east-1_20240131T2355Z.json",
            "111122223333_CloudTrail_us-east-1_20241331T2355Z.json",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
