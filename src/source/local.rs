//! The walk over a local tree, which need not follow the key grammar: every regular file is taken.
//!
//! It reads the folders itself: `object_store`'s own local listing hides some names, and ends at the first folder it
//! cannot read, name that is not UTF-8, or link to a folder above.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::PathBuf;

use object_store::path::Path;

use super::folder::{Folder, without_events};
use super::list::{Builder, Filter, Listing, join, version_of};
use crate::error::{Context, Error, Result};

/// Folders read between two looks at the progress.
const FOLDERS_AT_ONCE: usize = 64;

const EMPTY: &str = "empty object";
const BROKEN_LINK: &str = "broken link";
const LOOP: &str = "link to a folder above it";
const NOT_A_FILE: &str = "neither file nor folder";

/// Lists every file below `root`, a path from the file system's root, or the one file it is.
pub(super) async fn list(root: &Path, filter: &Filter, progress: &(dyn Fn(u64) + Sync)) -> Result<Listing> {
    let mut tree = Tree { filter: filter.clone(), found: Builder::default(), waiting: Vec::new() };
    let start = root.clone();
    let mut step = tokio::task::spawn_blocking(move || tree.enter(&start).map(|()| tree));
    loop {
        tree = step.await.context(|| format!("listing /{root}"))??;
        progress(tree.found.count());
        if tree.waiting.is_empty() {
            return Ok(tree.found.finish());
        }
        step = tokio::task::spawn_blocking(move || {
            tree.advance();
            Ok(tree)
        });
    }
}

struct Tree {
    filter: Filter,
    found: Builder,
    /// Folders to read.
    waiting: Vec<Path>,
}

impl Tree {
    /// Reads the root, whose failure is the command's.
    fn enter(&mut self, root: &Path) -> Result<()> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::failed(format!("no such file or directory: /{root}")),
            _ => Error::failed(format!("listing /{root}")).caused_by(error),
        };
        let metadata = fs::metadata(on_disk(root)).map_err(failed)?;
        if metadata.is_dir() {
            return self.read(root).map_err(failed);
        }
        let (folder, name) = root.as_ref().rsplit_once('/').unwrap_or(("", root.as_ref()));
        self.offer(folder, name, &metadata).map_err(failed)
    }

    /// Reads some of the folders that wait.
    fn advance(&mut self) {
        for _ in 0..FOLDERS_AT_ONCE {
            let Some(folder) = self.waiting.pop() else { return };
            if let Err(error) = self.read(&folder) {
                self.found.fail(folder, error.to_string());
            }
        }
    }

    fn read(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(on_disk(folder))? {
            let entry = entry?;
            if let Err(error) = self.look_at(folder, &entry) {
                self.found.fail(folder.clone(), format!("{}: {error}", entry.file_name().to_string_lossy()));
            }
        }
        Ok(())
    }

    fn look_at(&mut self, folder: &Path, entry: &DirEntry) -> io::Result<()> {
        let is_link = entry.file_type()?.is_symlink();
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => {
                self.found.skip(BROKEN_LINK, 1);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(io::Error::other("the name is not UTF-8"));
        };
        if !metadata.is_dir() {
            return self.offer(folder.as_ref(), name, &metadata);
        }
        if is_link && leads_up(folder, entry)? {
            self.found.skip(LOOP, 1);
            return Ok(());
        }
        let below = Path::parse(join(folder.as_ref(), name)).map_err(io::Error::other)?;
        if let Some(reason) = without_events(below.as_ref()) {
            self.found.skip(reason, 1);
        } else if self.filter.keeps(&Folder::parse(below.as_ref())) {
            self.waiting.push(below);
        }
        Ok(())
    }

    /// Takes what is not a folder, if there is something to read in it.
    fn offer(&mut self, folder: &str, name: &str, metadata: &Metadata) -> io::Result<()> {
        if !metadata.is_file() {
            self.found.skip(NOT_A_FILE, 1);
        } else if metadata.len() == 0 {
            self.found.skip(EMPTY, 1);
        } else {
            // What cannot be written as an object's path could not be read later.
            Path::parse(join(folder, name)).map_err(io::Error::other)?;
            let version = version_of(None, metadata.modified()?.into());
            self.found.take(folder, name, metadata.len(), version, &self.filter);
        }
        Ok(())
    }
}

/// Whether a link is to one of the folders on the way to it.
fn leads_up(folder: &Path, link: &DirEntry) -> io::Result<bool> {
    let target = fs::canonicalize(link.path())?;
    Ok(on_disk(folder).ancestors().any(|above| fs::canonicalize(above).is_ok_and(|above| above == target)))
}

fn on_disk(path: &Path) -> PathBuf {
    PathBuf::from(format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> (tempfile::TempDir, Path) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, if file.contains("empty") { "" } else { "[]" }).unwrap();
        }
        let root = Path::from_absolute_path(folder.path().canonicalize().unwrap()).unwrap();
        (folder, root)
    }

    fn below(listing: &Listing, root: &Path) -> Vec<String> {
        let root = format!("{root}/");
        let path = |object| listing.path(object).to_string().strip_prefix(&root).unwrap().to_owned();
        listing.objects.iter().map(path).collect()
    }

    #[tokio::test]
    async fn every_file_is_taken_but_what_is_known_to_hold_no_events() {
        let day = "AWSLogs/111122223333/CloudTrail/us_east_1/2024/03/01";
        let named = format!("{day}/111122223333_CloudTrail_us-east-1_20240301T0005Z_a.json");
        let (_folder, root) = tree(&[
            &named,
            &format!("{day}/empty.json"),
            "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2024/03/01/d.json.gz",
            "AWSLogs/111122223333/Config/c.json",
            "AWSLogs/111122223333/my notes #1.json",
            "us-west-1/2024/03/01/x.json",
            "config/100%.ndjson",
            "444455556666_CloudTrail-Digest_us-east-1_t_us-east-1_20240301T000000Z.json.gz",
        ]);
        let found = list(&root, &Filter::default(), &|_| ()).await.unwrap();
        let expected = [
            "AWSLogs/111122223333/my notes #1.json",
            &named,
            "config/100%.ndjson",
            "us-west-1/2024/03/01/x.json",
        ];
        assert_eq!(below(&found, &root), expected);
        let skipped: Vec<_> = found.skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        let expected =
            [("digest", 1), ("digest folder", 1), ("empty object", 1), ("folder of another service", 1)];
        assert_eq!(skipped, expected);
        let regions: Vec<_> =
            found.objects.iter().map(|object| found.folder(object).region.as_deref().unwrap_or("")).collect();
        assert_eq!(regions, ["", "us-east-1", "", "us-west-1"]);

        let filter = Filter { regions: ["us-east-1".to_owned()].into(), ..Filter::default() };
        let found = list(&root, &filter, &|_| ()).await.unwrap();
        assert_eq!(
            below(&found, &root),
            ["AWSLogs/111122223333/my notes #1.json", &named, "config/100%.ndjson"]
        );
    }

    #[tokio::test]
    async fn one_file_is_a_source_and_none_is_an_error() {
        let (_folder, root) = tree(&["one.json"]);
        let file = root.clone().join("one.json");
        let found = list(&file, &Filter::default(), &|_| ()).await.unwrap();
        assert_eq!(below(&found, &root), ["one.json"]);
        let missing = root.join("two.json");
        let error = list(&missing, &Filter::default(), &|_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no such file or directory: /{missing}"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_followed_but_not_in_circles_and_bad_names_cost_themselves() {
        use std::os::unix::{ffi::OsStringExt, fs::symlink};
        let (folder, root) = tree(&["a/1.json", "b/2.json"]);
        symlink(folder.path(), folder.path().join("a/up")).unwrap();
        symlink(folder.path().join("b"), folder.path().join("a/b")).unwrap();
        symlink(folder.path().join("a"), folder.path().join("b/a")).unwrap();
        symlink("nowhere", folder.path().join("broken")).unwrap();
        let bad = std::ffi::OsString::from_vec(b"bad\xff.json".to_vec());
        fs::write(folder.path().join(bad), "[]").unwrap();
        let found = list(&root, &Filter::default(), &|_| ()).await.unwrap();
        assert_eq!(below(&found, &root), ["a/1.json", "a/b/2.json", "b/2.json", "b/a/1.json"]);
        // Each way up is met by both ways into `a`.
        assert_eq!(found.skipped[LOOP], 4);
        assert_eq!(found.skipped[BROKEN_LINK], 1);
        assert_eq!(found.failures.len(), 1);
        assert_eq!(found.failures[0].message, "bad\u{fffd}.json: the name is not UTF-8");
    }
}
