//! Finding the objects: what to list, and what a listing holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use object_store::path::Path;

pub use super::folder::Folder;
use super::{local, walk};
use crate::error::Result;
use crate::store::Location;

/// Why something was left out: digests prove integrity and hold no events.
pub(super) const DIGEST_FOLDER: &str = "digest folder";
const DIGEST: &str = "digest";
const DIGEST_NAME: &str = "_CloudTrail-Digest_";
/// What another service delivered under the same `AWSLogs/ACCOUNT/`.
pub(super) const FOREIGN_FOLDER: &str = "folder of another service";

/// What to list. Empty sets and `None` mean everything; what a path does not say is kept.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Accounts of the key.
    pub accounts: BTreeSet<String>,
    /// Regions of the key.
    pub regions: BTreeSet<String>,
    /// First day of delivery, inclusive.
    pub first_day: Option<NaiveDate>,
    /// Last day of delivery, inclusive.
    pub last_day: Option<NaiveDate>,
}

impl Filter {
    /// Whether objects of this folder may be wanted, as far as its path says.
    pub fn keeps(&self, folder: &Folder) -> bool {
        let asked_for = |set: &BTreeSet<String>, value: &Option<String>| {
            set.is_empty() || value.as_ref().is_none_or(|value| set.contains(value))
        };
        asked_for(&self.accounts, &folder.account)
            && asked_for(&self.regions, &folder.region)
            && folder.day.is_none_or(|day| self.keeps_days(day, day))
    }

    /// Whether any day from `first` to `last` is in range.
    pub(super) fn keeps_days(&self, first: NaiveDate, last: NaiveDate) -> bool {
        self.first_day.is_none_or(|from| last >= from) && self.last_day.is_none_or(|until| first <= until)
    }

    /// Every day in range, if they are known and no more than `most`.
    pub(super) fn days(&self, most: usize) -> Option<impl Iterator<Item = NaiveDate> + use<>> {
        let (first, last) = (self.first_day?, self.last_day?);
        let count = usize::try_from((last - first).num_days() + 1).unwrap_or(0);
        (count <= most).then(|| first.iter_days().take(count))
    }
}

/// One object to convert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Index into [`Listing::folders`].
    pub folder: u32,
    /// The last step of the path.
    pub name: Box<str>,
    /// Bytes as stored.
    pub size: u64,
    /// The ETag, without quotes, else the modification time: changes when the content does.
    pub version: Box<str>,
}

/// A folder that could not be listed, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFailure {
    /// The folder; `Location::url_of` makes a URL of it.
    pub path: Path,
    /// Why.
    pub message: String,
}

/// What a listing found: in path order (folders by path, then objects by name), whatever the concurrency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Folders with objects to convert. Two may have the same path, where names say what the path does not.
    pub folders: Vec<Folder>,
    /// Objects to convert.
    pub objects: Vec<Object>,
    /// Why and how often something was left out: reason -> objects or folders. What the [`Filter`] excludes is not counted.
    pub skipped: BTreeMap<String, u64>,
    /// Folders whose objects are missing here. The command that listed has not seen everything it was asked for.
    pub failures: Vec<ListFailure>,
}

impl Listing {
    /// The folder of an object of this listing.
    pub fn folder(&self, object: &Object) -> &Folder {
        &self.folders[object.folder as usize]
    }

    /// The path of an object of this listing.
    pub fn path(&self, object: &Object) -> Path {
        let text = join(&self.folder(object).path, &object.name);
        // The text was taken from a path, so that parsing it cannot fail.
        Path::parse(&text).unwrap_or_else(|_| Path::from(text))
    }

    /// Bytes of all objects, as stored.
    pub fn total_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }
}

/// Lists a source: every object under it that may hold events the filter asks for.
///
/// `progress` is told the number of objects found so far, now and then. A folder that may not be listed is a
/// [`ListFailure`].
///
/// # Errors
///
/// Nothing at all may be listed, the source does not exist, or the store fails.
pub async fn list(location: &Location, filter: &Filter, progress: &(dyn Fn(u64) + Sync)) -> Result<Listing> {
    if location.is_local() {
        return local::list(&location.prefix, filter, progress).await;
    }
    walk::list(location.store.as_ref(), &location.prefix, filter, progress).await.map_err(|failure| {
        crate::error::Error::failed(format!("listing {}", location.url_of(&failure.path)))
            .caused_by(crate::store::explain(failure.source))
    })
}

/// What stands for an object's content: see [`Object::version`].
pub(super) fn version_of(e_tag: Option<&str>, modified: DateTime<Utc>) -> Box<str> {
    match e_tag {
        Some(e_tag) => e_tag.strip_prefix("W/").unwrap_or(e_tag).trim_matches('"').into(),
        None => modified.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
    }
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A listing in the making.
#[derive(Default)]
pub(super) struct Builder {
    listing: Listing,
    indices: HashMap<Folder, u32>,
    /// The folder of the last object, if its path leaves nothing to the names.
    last: Option<u32>,
}

impl Builder {
    /// Counts something left out.
    pub fn skip(&mut self, reason: &str, count: u64) {
        if count == 0 {
            return;
        }
        match self.listing.skipped.get_mut(reason) {
            Some(total) => *total += count,
            None => drop(self.listing.skipped.insert(reason.to_owned(), count)),
        }
    }

    /// Records what could not be listed.
    pub fn fail(&mut self, path: Path, message: String) {
        self.listing.failures.push(ListFailure { path, message });
    }

    /// Takes an object, unless the filter excludes it or its name is a digest's.
    pub fn take(&mut self, folder: &str, name: &str, size: u64, version: Box<str>, filter: &Filter) {
        let folders = &self.listing.folders;
        let cached =
            self.last.filter(|last| folders.get(*last as usize).is_some_and(|last| last.path == folder));
        let index = match cached {
            Some(index) => index,
            None => {
                let path_says = Folder::parse(folder);
                let whole = path_says.is_whole();
                let both_say = if whole { path_says } else { path_says.completed_by(name) };
                if !filter.keeps(&both_say) {
                    return;
                }
                let index = self.intern(both_say);
                self.last = whole.then_some(index);
                index
            }
        };
        if name.contains(DIGEST_NAME) {
            return self.skip(DIGEST, 1);
        }
        self.listing.objects.push(Object { folder: index, name: name.into(), size, version });
    }

    fn intern(&mut self, folder: Folder) -> u32 {
        let folders = &mut self.listing.folders;
        *self.indices.entry(folder).or_insert_with_key(|folder| {
            folders.push(folder.clone());
            (folders.len() - 1) as u32
        })
    }

    /// Objects so far.
    pub fn count(&self) -> u64 {
        self.listing.objects.len() as u64
    }

    /// The listing, in its order.
    pub fn finish(self) -> Listing {
        let mut listing = self.listing;
        let mut order: Vec<usize> = (0..listing.folders.len()).collect();
        order.sort_by(|a, b| listing.folders[*a].cmp(&listing.folders[*b]));
        let mut rank = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            rank[*old] = new as u32;
        }
        listing.folders.sort();
        for object in &mut listing.objects {
            object.folder = rank[object.folder as usize];
        }
        let folders = &listing.folders;
        let path = |object: &Object| folders[object.folder as usize].path.as_str();
        listing.objects.sort_unstable_by(|a, b| {
            let by_folder =
                if a.folder == b.folder { std::cmp::Ordering::Equal } else { path(a).cmp(path(b)) };
            by_folder.then_with(|| a.name.cmp(&b.name))
        });
        listing.failures.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
        listing.objects.shrink_to_fit();
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_can_run_on_any_thread() {
        fn is_send<F: Send>(_: impl Fn(&'static Location, &'static Filter) -> F) {}
        is_send(|location, filter| list(location, filter, &|_| ()));
    }

    #[test]
    fn a_short_range_is_named_day_by_day() {
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        let filter =
            Filter { first_day: day("2024-02-28"), last_day: day("2024-03-01"), ..Filter::default() };
        let days: Vec<String> = filter.days(3).unwrap().map(|day| day.to_string()).collect();
        assert_eq!(days, ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert!(filter.days(2).is_none());
        let none = Filter { first_day: day("2024-03-02"), ..filter };
        assert_eq!(none.days(3).unwrap().count(), 0);
    }
}
