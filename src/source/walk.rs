//! The walk over an object store: level by level with a delimiter, and only where the filter leads.
//!
//! ```text
//! prefix ▸ … ▸ AWSLogs ▸ [o-…] ▸ account ▸ kind ▸ Region ▸ year ▸ month   one LIST each, for the folders below
//!                                                                 day   one LIST a page, for the objects below
//! ```
//!
//! A short range of days is not discovered: its days are listed directly under each Region.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use futures::stream::{FuturesUnordered, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::folder::{Depth, Folder, without_events};
use super::key::Kind;
use super::list::{Builder, DIGEST_FOLDER, FOREIGN_FOLDER, Filter, Listing, version_of};

/// LIST requests in flight: a listing waits on round trips, not on the CPU.
const CONCURRENCY: usize = 64;

/// The longest range, in days, that is listed day by day rather than discovered.
const SHORT_RANGE_DAYS: usize = 62;

/// Objects taken at once, between two looks at the progress: a page of S3's.
const PAGE_OBJECTS: usize = 1000;

const PLACEHOLDER: &str = "empty placeholder";
const TRAILING_SLASH: &str = "object whose key ends in a slash";
const STRAY: &str = "object outside a day folder";
const BESIDE_LOGS: &str = "object outside AWSLogs";
const ODD_FOLDER: &str = "folder outside the key layout";

/// The store's failure, and the folder it was met in.
#[derive(Debug)]
pub(super) struct Failure {
    pub path: Path,
    pub source: object_store::Error,
}

/// Lists everything below `root` that `filter` asks for; below `AWSLogs` by the grammar, else all there is.
///
/// A folder that may not be read is one of the listing's failures, unless no folder at all may be.
pub(super) async fn list(
    store: &dyn ObjectStore,
    root: &Path,
    filter: &Filter,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Listing, Failure> {
    let walk = Walk { store, root, filter, progress, found: Mutex::default() };
    let unlisted = walk.run().await?;
    let mut found = walk.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !found.answered {
        // Without a single answer it is the source that cannot be read, not a part of it.
        if let Some(first) = unlisted.into_iter().min_by(|a, b| a.path.cmp(&b.path)) {
            return Err(first);
        }
        return Ok(found.objects.finish());
    }
    for Failure { path, source } in unlisted {
        found.objects.fail(path, why_unlisted(&source).unwrap_or_default());
    }
    if !found.anything && !root.is_root() {
        // No such folder, but maybe an object.
        match store.head(root).await {
            Ok(object) => take(&mut found.objects, &object, filter),
            // Who may list this prefix only is told 403 for what does not exist.
            Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => {}
            Err(source) => return Err(Failure { path: root.clone(), source }),
        }
    }
    if found.grammar {
        found.objects.skip(BESIDE_LOGS, found.loose.len() as u64);
    } else {
        for object in found.loose {
            take(&mut found.objects, &object, filter);
        }
    }
    Ok(found.objects.finish())
}

struct Walk<'a> {
    store: &'a dyn ObjectStore,
    root: &'a Path,
    filter: &'a Filter,
    progress: &'a (dyn Fn(u64) + Sync),
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    objects: Builder,
    /// Objects met where there is no `AWSLogs` above: all there is to convert if none turns up, strays if one does.
    loose: Vec<ObjectMeta>,
    /// Whether an `AWSLogs` turned up.
    grammar: bool,
    /// Whether the store answered any LIST.
    answered: bool,
    /// Whether an answer named a folder or an object.
    anything: bool,
}

impl Walk<'_> {
    /// Visits every folder; returns those that cannot be listed.
    async fn run(&self) -> Result<Vec<Failure>, Failure> {
        let mut unlisted = Vec::new();
        let mut waiting = vec![self.root.clone()];
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < CONCURRENCY
                && let Some(path) = waiting.pop()
            {
                running.push(async move { (self.visit(&path).await, path) });
            }
            let Some((visited, path)) = running.next().await else { return Ok(unlisted) };
            match visited {
                Ok(below) => waiting.extend(below),
                Err(source) if why_unlisted(&source).is_some() => unlisted.push(Failure { path, source }),
                Err(source) => return Err(Failure { path, source }),
            }
        }
    }

    /// Looks at one folder, with no more requests than it needs; returns the folders below that come next.
    async fn visit(&self, path: &Path) -> object_store::Result<Vec<Path>> {
        let (folder, depth) = Folder::locate(path.as_ref());
        let is_root = path == self.root;
        if !self.filter.keeps(&folder) {
            return Ok(Vec::new());
        }
        let left_out = match depth {
            _ if folder.kind == Some(Kind::Digest) => Some(DIGEST_FOLDER),
            Depth::Outside if !is_root => without_events(path.as_ref()),
            Depth::Foreign if !is_root => Some(FOREIGN_FOLDER),
            Depth::Odd if !is_root => Some(ODD_FOLDER),
            _ => None,
        };
        if let Some(reason) = left_out {
            self.found().objects.skip(reason, 1);
            return Ok(Vec::new());
        }
        match depth {
            Depth::Period(first, last) if !self.filter.keeps_days(first, last) => Ok(Vec::new()),
            // A root that is no part of the grammar was asked for by name: all of it.
            Depth::Day | Depth::Foreign | Depth::Odd => self.list_objects(path).await,
            Depth::Region => match self.filter.days(SHORT_RANGE_DAYS) {
                Some(days) => Ok(days.map(|day| day_folder(path, day)).collect()),
                None => self.list_folders(path, depth).await,
            },
            _ => self.list_folders(path, depth).await,
        }
    }

    /// Takes every object below a folder, at any depth.
    async fn list_objects(&self, path: &Path) -> object_store::Result<Vec<Path>> {
        let mut pages = self.store.list(Some(path)).try_ready_chunks(PAGE_OBJECTS);
        loop {
            let page = pages.try_next().await.map_err(|error| error.1)?;
            let mut found = self.found();
            found.grammar = true;
            found.answered = true;
            let Some(page) = page else { return Ok(Vec::new()) };
            found.anything = true;
            for object in &page {
                match no_content(object, path) {
                    Some(reason) => found.objects.skip(reason, 1),
                    None => take(&mut found.objects, object, self.filter),
                }
            }
            self.report(found);
        }
    }

    /// Finds the folders right below a folder. Objects there are strays, unless there is no `AWSLogs` at all.
    async fn list_folders(&self, path: &Path, depth: Depth) -> object_store::Result<Vec<Path>> {
        let mut listed = self.store.list_with_delimiter(Some(path)).await?;
        let mut found = self.found();
        found.grammar |= depth != Depth::Outside;
        found.answered = true;
        found.anything |= !listed.objects.is_empty() || !listed.common_prefixes.is_empty();
        for object in listed.objects {
            match no_content(&object, path) {
                Some(reason) => found.objects.skip(reason, 1),
                None if depth == Depth::Outside => found.loose.push(object),
                None => found.objects.skip(STRAY, 1),
            }
        }
        self.report(found);
        // A key that starts with a slash makes a folder without a name, whose path is its parent's.
        listed.common_prefixes.retain(|below| below.as_ref().len() > path.as_ref().len());
        Ok(listed.common_prefixes)
    }

    fn report(&self, found: MutexGuard<'_, Found>) {
        let count = found.objects.count() + found.loose.len() as u64;
        drop(found);
        (self.progress)(count);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of a day below a Region's.
fn day_folder(region: &Path, day: NaiveDate) -> Path {
    let steps = [day.format("%Y"), day.format("%m"), day.format("%d")];
    steps.into_iter().fold(region.clone(), |folder, step| folder.join(step.to_string()))
}

fn take(objects: &mut Builder, object: &ObjectMeta, filter: &Filter) {
    let path = object.location.as_ref();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let version = version_of(object.e_tag.as_deref(), object.last_modified);
    objects.take(folder, name, object.size, version, filter);
}

/// Why there is nothing to read in an object: consoles and S3 itself put empty ones where they show folders.
fn no_content(object: &ObjectMeta, folder: &Path) -> Option<&'static str> {
    if object.size == 0 {
        return Some(PLACEHOLDER);
    }
    // Its path has lost the slash, and no longer names it.
    (object.location == *folder).then_some(TRAILING_SLASH)
}

/// Says why a folder's objects cannot be known, if that is no reason to give up the others'.
fn why_unlisted(error: &object_store::Error) -> Option<String> {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } => Some("access denied".to_owned()),
        // A refused LIST has no kind of its own in object_store 0.13.
        E::Generic { .. } if error.to_string().contains("status code: 403") => {
            Some("access denied".to_owned())
        }
        E::InvalidPath { source } => Some(format!("it holds a key that cannot be addressed: {source}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::watched::Watched;
    use super::*;

    const A: &str = "111122223333";
    const B: &str = "444455556666";
    const C: &str = "777788889999";

    fn log(above: &str, account: &str, region: &str, day: &str, unique: &str) -> String {
        let compact = day.replace('/', "");
        format!(
            "{above}AWSLogs/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{compact}T0005Z_{unique}.json.gz"
        )
    }

    fn day(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    async fn listing(store: &Watched, root: &str, filter: &Filter) -> Listing {
        list(store, &Path::parse(root).unwrap(), filter, &|_| ()).await.unwrap()
    }

    fn paths(listing: &Listing) -> Vec<String> {
        listing.objects.iter().map(|object| listing.path(object).to_string()).collect()
    }

    fn skipped(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }

    #[tokio::test]
    async fn a_bucket_of_every_oddity_gives_its_logs_and_nothing_else() {
        let mut logs = vec![
            log("", A, "us-east-1", "2024/03/01", "a"),
            log("", A, "us-gov-west-1", "2024/03/01", "b"),
            log("", A, "cn-north-1", "2023/12/31", "c"),
            log("team/CloudTrail/AWSLogs/x/", B, "eu-west-1", "2024/03/01", "d"),
            "AWSLogs/o-abcdefghij/777788889999/CloudTrail/us-east-1/2024/03/01/renamed.json".to_owned(),
            "AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2024/03/01/i.json.gz".to_owned(),
            "AWSLogs/111122223333/CloudTrail-NetworkActivity/us-east-1/2024/03/01/n.json.gz".to_owned(),
            "AWSLogs/111122223333/CloudTrail-Aggregated/us-east-1/2024/03/01/g.json.gz".to_owned(),
            "AWSLogs/111122223333/CloudTrail/us_east_1/2024/03/01/deeper/u.json.gz".to_owned(),
        ];
        let others = [
            "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2024/03/01/d.json.gz",
            "AWSLogs/111122223333/Config/us-east-1/2024/3/1/c.json.gz",
            "AWSLogs/444455556666/vpcflowlogs/us-east-1/2024/03/01/v.log.gz",
            "AWSLogs/111122223333/CloudTrail/",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2024/03/01/",
            "AWSLogs/111122223333/CloudTrail/us-east-1/notes.txt",
            "AWSLogs/111122223333/CloudTrail/us-east-1/athena/result.csv",
            "readme.txt",
            "elsewhere/data.json",
        ];
        let keys: Vec<String> = logs.iter().cloned().chain(others.map(str::to_owned)).collect();
        let store = Watched::holding(&keys).await;
        let found = listing(&store, "", &Filter::default()).await;
        logs.sort();
        assert_eq!(paths(&found), logs);
        let expected = skipped(&[
            ("digest folder", 1),
            ("folder of another service", 2),
            ("empty placeholder", 2),
            ("object outside a day folder", 1),
            ("folder outside the key layout", 1),
            ("object outside AWSLogs", 2),
        ]);
        assert_eq!(found.skipped, expected);
        assert_eq!(found.failures, []);
        assert_eq!(found.total_bytes(), 2 * logs.len() as u64);
        let listed = store.listed();
        assert!(
            !listed.iter().any(|prefix| prefix.contains("Digest") || prefix.contains("Config")),
            "{listed:?}"
        );
        let organization = found.folders.iter().find(|folder| folder.path.contains("o-abcdefghij")).unwrap();
        assert_eq!(organization.account.as_deref(), Some(C));
        assert_eq!(organization.kind, Some(Kind::CloudTrail));
        assert_eq!(organization.day, day("2024-03-01"));
    }

    #[tokio::test]
    async fn three_accounts_in_two_regions_for_a_day_cost_a_request_each_beside_discovery() {
        let mut keys = Vec::new();
        for account in [A, B, C] {
            for region in ["us-east-1", "eu-west-1"] {
                for date in ["2024/02/29", "2024/03/01", "2024/03/02"] {
                    keys.push(log("", account, region, date, "a"));
                }
            }
        }
        let store = Watched::holding(&keys).await;
        let filter =
            Filter { first_day: day("2024-03-01"), last_day: day("2024-03-01"), ..Filter::default() };
        assert_eq!(paths(&listing(&store, "", &filter).await).len(), 6);
        // The bucket and AWSLogs; per account itself and CloudTrail; per Region the day.
        assert_eq!(store.listed().len(), 2 + 3 * 2 + 6);

        store.listed.lock().unwrap().clear();
        let filter = Filter {
            accounts: BTreeSet::from([B.to_owned()]),
            regions: BTreeSet::from(["eu-west-1".to_owned()]),
            ..filter
        };
        assert_eq!(
            paths(&listing(&store, "AWSLogs", &filter).await),
            [log("", B, "eu-west-1", "2024/03/01", "a")]
        );
        let below = |step: &str| format!("AWSLogs/{B}/{step}");
        let expected = vec![
            "AWSLogs".to_owned(),
            format!("AWSLogs/{B}"),
            below("CloudTrail"),
            below("CloudTrail/eu-west-1/2024/03/01"),
        ];
        assert_eq!(store.listed(), expected);
    }

    #[tokio::test]
    async fn a_long_range_is_discovered_and_what_is_out_of_it_is_not_listed() {
        let days = ["2022/12/31", "2023/01/01", "2023/06/15", "2024/02/10", "2024/02/11", "2024/03/01"];
        let keys: Vec<String> = days.iter().map(|day| log("logs/", A, "us-east-1", day, "a")).collect();
        let store = Watched::holding(&keys).await;
        let filter =
            Filter { first_day: day("2023-01-02"), last_day: day("2024-02-10"), ..Filter::default() };
        let region = format!("logs/AWSLogs/{A}/CloudTrail/us-east-1");
        let found = listing(&store, &region, &filter).await;
        assert_eq!(paths(&found), keys[2..4]);
        let below = ["", "/2023", "/2023/01", "/2023/06", "/2023/06/15", "/2024", "/2024/02", "/2024/02/10"];
        // January 2023 has days in range, as far as its name says.
        assert_eq!(store.listed(), below.map(|step| format!("{region}{step}")));

        let open_end = Filter { first_day: day("2024-02-11"), ..Filter::default() };
        assert_eq!(paths(&listing(&store, "", &open_end).await), keys[4..]);
    }

    #[tokio::test]
    async fn a_source_may_point_anywhere_into_the_tree() {
        let key = log("p/", A, "us-east-1", "2024/03/01", "a");
        let other = log("p/", B, "us-east-1", "2024/03/02", "b");
        let store = Watched::holding(&[key.clone(), other]).await;
        let mut root = key.clone();
        loop {
            let found = listing(&store, &root, &Filter::default()).await;
            assert!(paths(&found).contains(&key), "{root}");
            let folder = found.folder(&found.objects[0]);
            assert_eq!((folder.account.as_deref(), folder.day), (Some(A), day("2024-03-01")), "{root}");
            let elsewhere = Filter { accounts: BTreeSet::from([C.to_owned()]), ..Filter::default() };
            assert_eq!(paths(&listing(&store, &root, &elsewhere).await), [""; 0]);
            let Some((above, _)) = root.rsplit_once('/') else { break };
            root = above.to_owned();
        }
        assert_eq!(listing(&store, "nowhere", &Filter::default()).await, Listing::default());
    }

    #[tokio::test]
    async fn without_awslogs_all_there_is_is_taken() {
        let name = "111122223333_CloudTrail_us-east-1_20240301T0005Z_a.json.gz";
        let keys = [
            "export/1.json".to_owned(),
            "export/a/2.ndjson".to_owned(),
            format!("export/a/{name}"),
            "export/a/444455556666_CloudTrail-Digest_us-east-1_t_us-east-1_20240301T000000Z.json.gz"
                .to_owned(),
            "export/b/CloudTrail-Digest/3.json".to_owned(),
            "export/empty/".to_owned(),
        ];
        let store = Watched::holding(&keys).await;
        let found = listing(&store, "export", &Filter::default()).await;
        assert_eq!(
            paths(&found),
            [
                "export/1.json",
                "export/a/111122223333_CloudTrail_us-east-1_20240301T0005Z_a.json.gz",
                "export/a/2.ndjson"
            ]
        );
        assert_eq!(found.skipped, skipped(&[("digest", 1), ("digest folder", 1), ("empty placeholder", 1)]));
        assert_eq!(found.folder(&found.objects[0]).account, None);
        assert_eq!(found.folder(&found.objects[1]).account.as_deref(), Some(A));
        let filter = Filter { accounts: BTreeSet::from([B.to_owned()]), ..Filter::default() };
        assert_eq!(paths(&listing(&store, "export", &filter).await), ["export/1.json", "export/a/2.ndjson"]);
    }

    #[tokio::test]
    async fn a_denied_account_costs_that_account() {
        let keys = [A, B, C].map(|account| log("", account, "us-east-1", "2024/03/01", "a"));
        let mut store = Watched::holding(&keys).await;
        store.denied = BTreeSet::from([format!("AWSLogs/{B}/CloudTrail"), format!("AWSLogs/{C}")]);
        let found = listing(&store, "", &Filter::default()).await;
        assert_eq!(paths(&found), keys[..1]);
        let failures: Vec<_> =
            found.failures.iter().map(|failure| (failure.path.as_ref(), failure.message.as_str())).collect();
        let account = format!("AWSLogs/{B}/CloudTrail");
        assert_eq!(
            failures,
            [(account.as_str(), "access denied"), (&format!("AWSLogs/{C}"), "access denied")]
        );

        store.denied = BTreeSet::from([String::new()]);
        let failure = list(&store, &Path::default(), &Filter::default(), &|_| ()).await.unwrap_err();
        assert_eq!(failure.path, Path::default());
    }

    #[tokio::test]
    async fn the_order_and_the_progress_do_not_depend_on_the_answers() {
        let mut keys = Vec::new();
        for number in 0..3000 {
            let account = [A, B, C][number % 3];
            let region = ["eu-west-1", "us-east-1"][number % 2];
            keys.push(log("", account, region, "2024/03/01", &format!("{number:05}")));
        }
        let store = Watched::holding(&keys).await;
        let last = Mutex::new(0);
        let progress = |count| *last.lock().unwrap() = count;
        let found = list(&store, &Path::default(), &Filter::default(), &progress).await.unwrap();
        keys.sort();
        assert_eq!(paths(&found), keys);
        assert_eq!(found.folders.len(), 6);
        assert_eq!(*last.lock().unwrap(), 3000);
    }
}
