//! URLs and paths to object stores: credentials, endpoints, retries and the request meter.
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use object_store::{ObjectStore, path::Path};
use crate::error::Result;

/// Settings of one side (source or lake) given on the command line, over the environment: `KEY=VALUE` pairs.
#[derive(Debug, Clone, Default)]
pub struct Options { /// The pairs.
    pub pairs: Vec<(String, String)> }

/// Requests made through one location, by kind.
#[derive(Debug, Default)]
pub struct Meter { /// LIST requests (pages).
    pub list: AtomicU64, /// GET and HEAD requests.
    pub get: AtomicU64, /// PUT, POST and multipart requests.
    pub put: AtomicU64, /// Body bytes received by GETs.
    pub bytes_read: AtomicU64, /// Body bytes sent by PUTs.
    pub bytes_written: AtomicU64 }

/// A folder in an object store: what a SOURCE or LAKE argument stands for.
#[derive(Debug, Clone)]
pub struct Location {
    /// The store, metered and retrying, rooted at the bucket (or at the file system's root).
    pub store: Arc<dyn ObjectStore>,
    /// The path below the store's root.
    pub prefix: Path,
    /// The URL as messages show it, `s3://bucket/prefix/` or `file:///dir/`, always with a trailing slash.
    pub url: String,
    /// What was asked of the store.
    pub meter: Arc<Meter>,
}

impl Location {
    /// Opens what `text` names.
    pub async fn open(text: &str, options: &Options) -> Result<Location> { let _ = (text, options); todo!() }
    /// The URL of an object of this store, for messages and for `row_source_object`.
    pub fn url_of(&self, path: &Path) -> String { let _ = path; todo!() }
    /// Whether the location is a local directory.
    pub fn is_local(&self) -> bool { todo!() }
}

/// Says what an object store's failure means, with hints (`reading s3://…` is the caller's context).
pub fn explain(error: object_store::Error) -> crate::error::Error { let _ = error; todo!() }
