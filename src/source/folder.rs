//! What a path says of the objects below it, whether it follows the key grammar wholly, in part, or not at all.

use chrono::NaiveDate;

use super::key::{FileName, Kind, LOGS, day_of, is_account, is_organization, is_region, number};
use super::list::{DIGEST_FOLDER, FOREIGN_FOLDER};

/// What other services deliver below `AWSLogs/ACCOUNT/`; `CloudTrail-Lake` holds saved query results.
const OTHER_SERVICES: [&str; 6] =
    ["CloudTrail-Lake", "Config", "GuardDuty", "WAFLogs", "elasticloadbalancing", "vpcflowlogs"];

/// What the objects of one folder share.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder {
    /// The path below the store's root, without a trailing slash.
    pub path: String,
    /// The account in the key: `recipientAccountId` of its records.
    pub account: Option<String>,
    /// The Region in the key, where it looks like one: that which delivered, not always `awsRegion`.
    pub region: Option<String>,
    /// The UTC day of delivery.
    pub day: Option<NaiveDate>,
    /// Which of CloudTrail's folders.
    pub kind: Option<Kind>,
}

impl Folder {
    /// What a path says, whether it is a whole key folder, the upper part of one, or has only `REGION/YYYY/MM/DD` left.
    pub fn parse(path: &str) -> Folder {
        let (mut folder, depth) = Folder::locate(path);
        if depth != Depth::Outside {
            return folder;
        }
        let mut steps = path.rsplit('/');
        let (Some(day), Some(month), Some(year), Some(region)) =
            (steps.next(), steps.next(), steps.next(), steps.next())
        else {
            return folder;
        };
        // Without a Region before it a date may mean anything, such as when a backup was made.
        if !is_region(region) {
            return folder;
        }
        let Some(day) = day_of(year, month, day) else { return folder };
        folder.day = Some(day);
        folder.region = Some(region.to_owned());
        let mut above = steps.next();
        folder.kind = above.and_then(Kind::from_folder);
        if folder.kind.is_some() {
            above = steps.next();
        }
        folder.account = above.filter(|step| is_account(step)).map(str::to_owned);
        folder
    }

    /// What a path says by the grammar alone, and how deep in it the path is.
    pub(super) fn locate(path: &str) -> (Folder, Depth) {
        let mut folder = Folder { path: path.to_owned(), ..Folder::default() };
        let steps: Vec<&str> = path.split('/').collect();
        // The last `AWSLogs` that has an account below it, or nothing yet.
        let below_logs =
            steps.iter().enumerate().rev().filter(|(_, step)| **step == LOGS).find_map(|(at, _)| {
                let below = steps.get(at + 1..).unwrap_or_default();
                let below = match below {
                    [organization, rest @ ..] if is_organization(organization) => rest,
                    all => all,
                };
                below.first().is_none_or(|step| is_account(step)).then_some(below)
            });
        let Some(steps) = below_logs else { return (folder, Depth::Outside) };
        let depth = folder.descend(steps);
        (folder, depth)
    }

    /// Follows the steps below `AWSLogs/[o-…/]`.
    fn descend(&mut self, steps: &[&str]) -> Depth {
        let [account, steps @ ..] = steps else { return Depth::Logs };
        self.account = Some((*account).to_owned());
        let [kind, steps @ ..] = steps else { return Depth::Account };
        self.kind = Kind::from_folder(kind);
        if self.kind.is_none() {
            return Depth::Foreign;
        }
        let [region, steps @ ..] = steps else { return Depth::Kind };
        self.region = is_region(region).then(|| (*region).to_owned());
        let period = match steps {
            [] => return Depth::Region,
            [year] => number(year, 4).and_then(|year| Depth::period(year, 1, 12)),
            [year, month] => number(year, 4)
                .and_then(|year| number(month, 2).and_then(|month| Depth::period(year, month, 1))),
            [year, month, day, ..] => {
                self.day = day_of(year, month, day);
                self.day.map(|_| Depth::Day)
            }
        };
        period.unwrap_or(Depth::Odd)
    }

    /// Whether the path leaves nothing open that an object's name could say.
    pub(super) fn is_whole(&self) -> bool {
        self.account.is_some() && self.region.is_some() && self.day.is_some() && self.kind.is_some()
    }

    /// The same folder for an object called `name`, with what the path leaves open taken from the name.
    pub(super) fn completed_by(mut self, name: &str) -> Folder {
        if let Some(name) = FileName::parse(name) {
            self.account.get_or_insert(name.account);
            self.region.get_or_insert(name.region);
            self.day.get_or_insert(name.delivered.date());
            self.kind.get_or_insert(name.kind);
        }
        self
    }
}

/// How deep in the grammar a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Above any `AWSLogs`, or where there is none.
    Outside,
    /// `AWSLogs`, or an organization in it.
    Logs,
    /// An account.
    Account,
    /// One of CloudTrail's folders of an account.
    Kind,
    /// A Region.
    Region,
    /// A year or a month: its first and last day.
    Period(NaiveDate, NaiveDate),
    /// A day, or deeper.
    Day,
    /// Below an account, but none of CloudTrail's folders.
    Foreign,
    /// Below a Region, but no date.
    Odd,
}

impl Depth {
    /// `months` months from a month on.
    fn period(year: u32, month: u32, months: u32) -> Option<Depth> {
        let first = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)?;
        let last = first.checked_add_months(chrono::Months::new(months))?.pred_opt()?;
        Some(Depth::Period(first, last))
    }
}

/// Why a folder of a tree that need not follow the grammar is known to hold no events.
pub(super) fn without_events(folder: &str) -> Option<&'static str> {
    let mut steps = folder.rsplit('/');
    let name = steps.next()?;
    if name == Kind::Digest.folder() {
        return Some(DIGEST_FOLDER);
    }
    let below_account = steps.next().is_some_and(is_account);
    (below_account && OTHER_SERVICES.contains(&name)).then_some(FOREIGN_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    #[test]
    fn a_folder_says_what_its_path_has() {
        let fields = |path: &str| {
            let Folder { account, region, day, kind, .. } = Folder::parse(path);
            (account.unwrap_or_default(), region.unwrap_or_default(), day, kind)
        };
        let day = Some(date(2024, 2, 29));
        let trail = Some(Kind::CloudTrail);
        let account = "111122223333".to_owned();
        let region = "us-east-1".to_owned();
        let none = String::new();
        let whole = (account.clone(), region.clone(), day, trail);
        assert_eq!(fields("AWSLogs/111122223333/CloudTrail/us-east-1/2024/02/29"), whole);
        assert_eq!(
            fields("a/AWSLogs/b/AWSLogs/o-1/111122223333/CloudTrail/us-east-1/2024/02/29/deeper"),
            whole
        );
        assert_eq!(
            fields("AWSLogs/999999999999/CloudTrail/AWSLogs/111122223333/CloudTrail/us-east-1/2024/02/29"),
            whole
        );
        assert_eq!(fields("x/111122223333/CloudTrail/us-east-1/2024/02/29"), whole);
        assert_eq!(fields("us-east-1/2024/02/29"), (none.clone(), region, day, None));
        assert_eq!(
            fields("AWSLogs/111122223333/CloudTrail/us_east_1/2024/02/29"),
            (account.clone(), none.clone(), day, trail)
        );
        assert_eq!(fields("AWSLogs/111122223333/Config"), (account, none.clone(), None, None));
        assert_eq!(fields("backups/2024/02/29"), (none.clone(), none.clone(), None, None));
        assert_eq!(fields("us-east-1/2024/02/30"), (none.clone(), none, None, None));
    }

    #[test]
    fn a_name_completes_what_the_folder_leaves_open() {
        let name = "111122223333_CloudTrail_us-east-1_20240131T2355Z_aB3dE6gH9jK2mN5p.json.gz";
        let loose = Folder::parse("downloads").completed_by(name);
        assert_eq!(loose.account.as_deref(), Some("111122223333"));
        assert_eq!(loose.day, Some(date(2024, 1, 31)));
        let renamed =
            Folder::parse("AWSLogs/444455556666/CloudTrail/us_east_1/2024/02/01").completed_by(name);
        assert_eq!(renamed.account.as_deref(), Some("444455556666"));
        assert_eq!(renamed.region.as_deref(), Some("us-east-1"));
        assert_eq!(renamed.day, Some(date(2024, 2, 1)));
    }

    #[test]
    fn the_depth_decides_what_is_listed() {
        let depth = |path: &str| Folder::locate(path).1;
        assert_eq!(depth(""), Depth::Outside);
        assert_eq!(depth("CloudTrail/logs"), Depth::Outside);
        assert_eq!(depth("AWSLogs/team"), Depth::Outside);
        assert_eq!(depth("AWSLogs/team/AWSLogs"), Depth::Logs);
        assert_eq!(depth("AWSLogs/o-abcdefghij"), Depth::Logs);
        assert_eq!(depth("AWSLogs/o-abcdefghij/111122223333"), Depth::Account);
        assert_eq!(depth("AWSLogs/111122223333/CloudTrail-Digest"), Depth::Kind);
        assert_eq!(depth("AWSLogs/111122223333/Config"), Depth::Foreign);
        let region = "AWSLogs/111122223333/CloudTrail/us-iso-east-1";
        assert_eq!(depth(region), Depth::Region);
        assert_eq!(depth(&format!("{region}/2024")), Depth::Period(date(2024, 1, 1), date(2024, 12, 31)));
        assert_eq!(depth(&format!("{region}/2024/02")), Depth::Period(date(2024, 2, 1), date(2024, 2, 29)));
        assert_eq!(depth(&format!("{region}/2024/02/09")), Depth::Day);
        assert_eq!(depth(&format!("{region}/exports")), Depth::Odd);
    }
}
