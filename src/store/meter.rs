//! Counts what is asked of a store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Requests made through one location, by kind, as S3 bills them: every attempt counts, and every page of a listing.
#[derive(Debug, Default)]
pub struct Meter {
    /// LIST requests (pages).
    pub list: AtomicU64,
    /// GET and HEAD requests.
    pub get: AtomicU64,
    /// PUT, POST and multipart requests.
    pub put: AtomicU64,
    /// Body bytes received by GETs, as the answers' headers announce them.
    pub bytes_read: AtomicU64,
    /// Body bytes sent by PUTs.
    pub bytes_written: AtomicU64,
}

impl Meter {
    pub(super) fn listed(&self) {
        self.list.fetch_add(1, Relaxed);
    }

    pub(super) fn got(&self) {
        self.get.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.put.fetch_add(1, Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Relaxed);
    }
}

/// Local files, whose calls are counted as the requests they would be to S3.
#[derive(Debug)]
pub(super) struct MeteredFiles {
    inner: LocalFileSystem,
    meter: Arc<Meter>,
}

impl MeteredFiles {
    pub(super) fn new(inner: LocalFileSystem, meter: Arc<Meter>) -> Self {
        MeteredFiles { inner, meter }
    }
}

impl fmt::Display for MeteredFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeteredFiles({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for MeteredFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.meter.wrote(payload.content_length());
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.meter.wrote(0);
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.meter.got();
        let is_head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        if !is_head {
            self.meter.read(result.range.end - result.range.start);
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.meter.got();
        let parts = self.inner.get_ranges(location, ranges).await?;
        self.meter.read(parts.iter().map(|part| part.len() as u64).sum());
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.meter.listed();
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.meter.listed();
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.meter.listed();
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.meter.wrote(0);
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.meter.wrote(0);
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;

    #[tokio::test]
    async fn calls_and_bytes_of_local_files_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let meter = Arc::new(Meter::default());
        let store = MeteredFiles::new(LocalFileSystem::new(), Arc::clone(&meter));
        let path = Path::from_absolute_path(dir.path().join("x")).unwrap();

        store.put(&path, "0123456789".into()).await.unwrap();
        store.head(&path).await.unwrap();
        store.get_range(&path, 2..5).await.unwrap();
        store.list_with_delimiter(path.parent().as_ref()).await.unwrap();

        assert_eq!((meter.put.load(Relaxed), meter.bytes_written.load(Relaxed)), (1, 10));
        assert_eq!((meter.get.load(Relaxed), meter.bytes_read.load(Relaxed)), (2, 3));
        assert_eq!(meter.list.load(Relaxed), 1);
    }
}
