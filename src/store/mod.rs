//! URLs and paths to object stores: credentials, endpoints, retries and the request meter.
//!
//! ```text
//! s3://…        AmazonS3 (retries) ─▶ meter, request limit, wrong-Region detection ─▶ HTTP
//! file:///…     meter ─▶ LocalFileSystem
//! ```

use std::path::{Component, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, path::Path};
use url::Url;

use crate::error::{Error, Result};

mod credentials;
mod explain;
mod meter;
mod s3;

pub use explain::explain;
pub use meter::Meter;

/// Settings of one side (source or lake) given on the command line, over the environment: `KEY=VALUE` pairs.
///
/// They are S3's: a local directory has none, and ignores them.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The pairs.
    pub pairs: Vec<(String, String)>,
}

/// A folder in an object store: what a SOURCE or LAKE argument stands for.
#[derive(Debug, Clone)]
pub struct Location {
    /// The store, metered and retrying, rooted at the bucket (or at the file system's root).
    pub store: Arc<dyn ObjectStore>,
    /// The path below the store's root.
    pub prefix: Path,
    /// The URL as messages show it, `s3://bucket/prefix/` or `file:///dir/`, with a trailing slash unless it is that
    /// of a single local file.
    pub url: String,
    /// What was asked of the store.
    pub meter: Arc<Meter>,
}

impl Location {
    /// Opens what `text` names: `s3://bucket/prefix/`, `s3a://…`, `file:///dir`, or a local path.
    ///
    /// S3 keys are taken as they are written, never percent-decoded; file URLs are decoded. Nothing is asked of the
    /// store yet: a missing bucket or directory, or missing credentials, show when it is first used.
    ///
    /// # Errors
    /// Of kind `Usage`: text that is no such URL, and settings that S3 does not have.
    pub async fn open(text: &str, options: &Options) -> Result<Location> {
        let meter = Arc::new(Meter::default());
        match Address::parse(text)? {
            Address::S3 { bucket, prefix } => {
                let store = Arc::new(s3::open(&bucket, options, &meter).await?);
                let slash = if prefix.is_root() { "" } else { "/" };
                let url = format!("s3://{bucket}/{prefix}{slash}");
                Ok(Location { store, prefix, url, meter })
            }
            Address::Local(path) => {
                let prefix = Path::from_absolute_path(&path).map_err(|error| {
                    Error::usage(format!("cannot use the path {}", path.display())).caused_by(error)
                })?;
                let mut url = file_url(&prefix);
                if !path.is_file() && !url.ends_with('/') {
                    url.push('/');
                }
                let store = Arc::new(meter::MeteredFiles::new(LocalFileSystem::new(), Arc::clone(&meter)));
                Ok(Location { store, prefix, url, meter })
            }
        }
    }

    /// The URL of an object of this store, for messages and for `row_source_object`.
    pub fn url_of(&self, path: &Path) -> String {
        if self.is_local() {
            return file_url(path);
        }
        let bucket = self.url.split('/').nth(2).unwrap_or_default();
        format!("s3://{bucket}/{path}")
    }

    /// Whether the location is a local directory.
    pub fn is_local(&self) -> bool {
        self.url.starts_with("file:")
    }
}

/// The file URL of a path below the file system's root, percent-encoded where a URL needs it.
fn file_url(path: &Path) -> String {
    let path = format!("/{path}");
    Url::from_file_path(&path).map_or_else(|()| format!("file://{path}"), String::from)
}

/// What a SOURCE or LAKE text names.
#[derive(Debug, PartialEq)]
enum Address {
    S3 { bucket: String, prefix: Path },
    Local(PathBuf),
}

impl Address {
    fn parse(text: &str) -> Result<Address> {
        let is_scheme =
            |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            return match scheme.to_ascii_lowercase().as_str() {
                "s3" | "s3a" => Address::parse_s3(text, rest),
                "file" => Address::parse_file(text),
                "http" | "https" => Err(Error::usage(format!(
                    "\"{text}\" is neither an s3:// URL nor a path"
                ))
                .hint(
                    "name the bucket as s3://bucket/prefix/, and an S3-compatible server by AWS_ENDPOINT_URL",
                )),
                _ => Err(Error::usage(format!("cannot open \"{text}\": unknown scheme \"{scheme}\""))
                    .hint("use s3://bucket/prefix/, file:///directory or a path")),
            };
        }
        if let Some(name) = text.strip_prefix("arn:").and_then(|arn| arn.split(":::").nth(1)) {
            return Err(
                Error::usage(format!("\"{text}\" is an ARN, not a URL")).hint(format!("write s3://{name}"))
            );
        }
        if let Some((scheme, rest)) = text.split_once(':')
            && ["s3", "s3a", "file"].contains(&scheme.to_ascii_lowercase().as_str())
        {
            let slashes = if scheme.eq_ignore_ascii_case("file") { ":///" } else { "://" };
            return Err(Error::usage(format!("\"{text}\" is not a URL: there are slashes missing"))
                .hint(format!("write {scheme}{slashes}{}", rest.trim_start_matches('/'))));
        }
        if text.is_empty() {
            return Err(Error::usage("the path is empty").hint("write . for the current directory"));
        }
        Address::local(text.into())
    }

    fn parse_s3(text: &str, rest: &str) -> Result<Address> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::usage(format!("\"{text}\" names no bucket")).hint("write s3://bucket/prefix/"));
        }
        if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(Error::usage(format!("\"{bucket}\" in \"{text}\" is not a bucket name"))
                .hint("write s3://bucket/prefix/; an endpoint or port goes into AWS_ENDPOINT_URL"));
        }
        let folder = key.strip_suffix('/').unwrap_or(key);
        if folder.starts_with('/') || key == "/" {
            return Err(Error::usage(format!("\"{text}\" has an empty folder name (\"//\")")));
        }
        let prefix = Path::parse(folder)
            .map_err(|error| Error::usage(format!("cannot use the prefix of \"{text}\"")).caused_by(error))?;
        Ok(Address::S3 { bucket: bucket.to_owned(), prefix })
    }

    fn parse_file(text: &str) -> Result<Address> {
        let no_file_url = || Error::usage(format!("\"{text}\" is not the URL of a local directory"));
        let url = Url::parse(text).map_err(|error| no_file_url().caused_by(error))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(no_file_url().hint("in a file URL, # is written %23 and ? is written %3F"));
        }
        let path = url
            .to_file_path()
            .map_err(|()| no_file_url().hint("write file:///directory, with three slashes"))?;
        Address::local(path)
    }

    /// The absolute form of a path that need not exist, without `.` and `..`.
    fn local(path: PathBuf) -> Result<Address> {
        let absolute = std::path::absolute(&path).map_err(|error| {
            Error::usage(format!("cannot use the path {}", path.display())).caused_by(error)
        })?;
        let mut resolved = PathBuf::new();
        for component in absolute.components() {
            if component == Component::ParentDir {
                // What `..` leads to depends on where a symbolic link before it leads.
                resolved = resolved.canonicalize().unwrap_or(resolved);
                resolved.pop();
            } else {
                resolved.push(component);
            }
        }
        Ok(Address::Local(resolved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    fn s3(text: &str) -> (String, String) {
        match Address::parse(text).unwrap() {
            Address::S3 { bucket, prefix } => (bucket, prefix.to_string()),
            Address::Local(path) => panic!("{text} is local: {path:?}"),
        }
    }

    fn refused(text: &str) -> String {
        let error = Address::parse(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{text}");
        format!("{}; {}", error.chain(), error.hints().join("; "))
    }

    #[test]
    fn s3_urls() {
        assert_eq!(s3("s3://b"), ("b".into(), "".into()));
        assert_eq!(s3("s3://b/"), ("b".into(), "".into()));
        assert_eq!(s3("S3A://my.bucket/a/b/"), ("my.bucket".into(), "a/b".into()));
        assert_eq!(s3("s3://b/a b#c?d+e%20ü/x"), ("b".into(), "a b#c?d+e%20ü/x".into()));
    }

    #[test]
    fn what_is_no_url_or_path_is_a_usage_error_that_says_what_to_write() {
        assert!(refused("s3://").contains("names no bucket"));
        assert!(refused("s3:///prefix").contains("names no bucket"));
        assert!(refused("s3:/bucket/x").contains("write s3://bucket/x"));
        assert!(refused("s3:bucket/x").contains("write s3://bucket/x"));
        assert!(refused("file:dir").contains("write file:///dir"));
        assert!(refused("s3://host:9000/bucket").contains("AWS_ENDPOINT_URL"));
        assert!(refused("s3://b/a//c").contains("empty"));
        assert!(refused("s3://b//c").contains("empty"));
        assert!(refused("s3://b/../c").contains(".."));
        assert!(refused("gs://bucket/x").contains("unknown scheme \"gs\""));
        assert!(refused("https://s3.amazonaws.com/b").contains("s3://bucket/prefix/"));
        assert!(refused("arn:aws:s3:::b/AWSLogs").contains("write s3://b/AWSLogs"));
        assert!(refused("file://dir/x").contains("three slashes"));
        assert!(refused("file:///a#b").contains("%23"));
        assert!(refused("").contains("empty"));
    }

    #[test]
    fn local_paths_are_absolute_and_need_not_exist() {
        let local = |text: &str| match Address::parse(text).unwrap() {
            Address::Local(path) => path,
            other => panic!("{other:?}"),
        };
        let here = std::env::current_dir().unwrap();
        assert_eq!(local("nowhere/./x"), here.join("nowhere/x"));
        assert_eq!(local("./s3:/x"), here.join("s3:/x"));
        assert_eq!(local("dir/http://x"), here.join("dir/http:/x"));
        assert_eq!(local("/nowhere/a/../b/"), PathBuf::from("/nowhere/b"));
        assert_eq!(local("file:///tmp/a%20b"), PathBuf::from("/tmp/a b"));
    }

    #[tokio::test]
    async fn awkward_names_survive_on_disk_and_in_urls() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a b#1+c%20ü?*~[x]");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("f%2F #x+.json"), "hello").unwrap();

        let location = Location::open(folder.to_str().unwrap(), &Options::default()).await.unwrap();
        assert!(location.is_local());
        assert!(location.url.starts_with("file:///") && location.url.ends_with('/'));
        let objects: Vec<_> = location.store.list(Some(&location.prefix)).try_collect().await.unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].location.filename(), Some("f%2F #x+.json"));
        let bytes = location.store.get(&objects[0].location).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, "hello");

        let again = Location::open(&location.url, &Options::default()).await.unwrap();
        assert_eq!((&again.prefix, &again.url), (&location.prefix, &location.url));
        let file = Location::open(&location.url_of(&objects[0].location), &Options::default()).await.unwrap();
        assert_eq!(file.prefix, objects[0].location);
        assert!(file.url.ends_with(".json"), "{}", file.url);
    }

    #[tokio::test]
    async fn s3_locations_name_themselves_and_their_objects() {
        let options = Options {
            pairs: [("endpoint", "http://127.0.0.1:1"), ("access_key_id", "k"), ("secret_access_key", "s")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let location = Location::open("s3a://b/a#b", &options).await.unwrap();
        assert_eq!(location.url, "s3://b/a#b/");
        assert_eq!(location.url_of(&Path::parse("a#b/c d").unwrap()), "s3://b/a#b/c d");
        assert!(!location.is_local());
        assert_eq!(Location::open("s3://b", &options).await.unwrap().url, "s3://b/");
    }
}
