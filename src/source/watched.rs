//! A store for the tests of the walk.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;

use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store that writes down what is listed, refuses some of it, and answers a little out of order.
#[derive(Debug, Default)]
pub struct Watched {
    inner: InMemory,
    /// Prefixes below which no LIST is answered.
    pub denied: BTreeSet<String>,
    /// The prefix of every LIST.
    pub listed: Mutex<Vec<String>>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.inner)
    }
}

impl Watched {
    /// A store with small objects of these keys; empty ones where a key ends in a slash.
    pub async fn holding(keys: &[String]) -> Watched {
        let store = Watched::default();
        for key in keys {
            let content = if key.ends_with('/') { "" } else { "{}" };
            store.inner.put(&Path::parse(key).unwrap(), content.into()).await.unwrap();
        }
        store
    }

    fn check(&self, prefix: Option<&Path>) -> object_store::Result<()> {
        let prefix = prefix.map(Path::to_string).unwrap_or_default();
        let denied = self.denied.iter().any(|denied| prefix.starts_with(denied));
        self.listed.lock().unwrap().push(prefix);
        if denied {
            let source = "Server returned non-2xx status code: 403 Forbidden: AccessDenied".into();
            return Err(object_store::Error::Generic { store: "S3", source });
        }
        Ok(())
    }

    /// The prefix of every LIST so far, sorted.
    pub fn listed(&self) -> Vec<String> {
        let mut listed = self.listed.lock().unwrap().clone();
        listed.sort();
        listed
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.check(prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        // Folders of even length answer later, so that the order of answers is not that of requests.
        if prefix.is_some_and(|prefix| prefix.as_ref().len() % 2 == 0) {
            tokio::task::yield_now().await;
        }
        self.check(prefix)?;
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
