//! A store that fails when it is told to, around any other.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What goes wrong, and when. Operations are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The mutating operation with this number, and whatever comes after it, fails, as if the process had died.
    DieAt(usize),
    /// The same, but that one operation is still done.
    DieAfter(usize),
    /// The request with this number fails, of whatever kind it is.
    FailRequest(usize),
    /// The put with this number is done, and answered by an error.
    LoseAnswer(usize),
}

/// The store; clones share everything.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Mutex<Vec<Fault>>,
    mutations: AtomicUsize,
    requests: AtomicUsize,
    puts: AtomicUsize,
    dead: AtomicBool,
}

/// What to do about an operation.
enum Verdict {
    Do,
    DoAndFail,
    Fail,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>, faults: &[Fault]) -> Faulty {
        let state = State { faults: Mutex::new(faults.to_vec()), ..State::default() };
        Faulty { inner, state: Arc::new(state) }
    }

    /// How many operations that change something were asked for.
    pub fn mutations(&self) -> usize {
        self.state.mutations.load(SeqCst)
    }

    /// How many operations were asked for at all.
    pub fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    /// How many objects were put.
    pub fn puts(&self) -> usize {
        self.state.puts.load(SeqCst)
    }

    /// Whether a fault has ended it.
    pub fn is_dead(&self) -> bool {
        self.state.dead.load(SeqCst)
    }
}

impl State {
    fn verdict(&self, is_mutation: bool, is_put: bool) -> Verdict {
        let request = self.requests.fetch_add(1, SeqCst) + 1;
        let mutation = is_mutation.then(|| self.mutations.fetch_add(1, SeqCst) + 1);
        let put = is_put.then(|| self.puts.fetch_add(1, SeqCst) + 1);
        if self.dead.load(SeqCst) {
            return Verdict::Fail;
        }
        for fault in self.faults.lock().unwrap().iter() {
            match *fault {
                Fault::DieAt(at) if mutation == Some(at) => {
                    self.dead.store(true, SeqCst);
                    return Verdict::Fail;
                }
                Fault::DieAfter(at) if mutation == Some(at) => {
                    self.dead.store(true, SeqCst);
                    return Verdict::DoAndFail;
                }
                Fault::FailRequest(at) if request == at => return Verdict::Fail,
                Fault::LoseAnswer(at) if put == Some(at) => return Verdict::DoAndFail,
                _ => {}
            }
        }
        Verdict::Do
    }

    /// Does an operation, or not, and answers or fails.
    async fn done<T>(
        &self,
        is_mutation: bool,
        is_put: bool,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.verdict(is_mutation, is_put) {
            Verdict::Do => operation.await,
            Verdict::DoAndFail => operation.await.and_then(|_| Err(closed())),
            Verdict::Fail => Err(closed()),
        }
    }
}

fn closed() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "the connection was closed".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.state.done(true, true, self.inner.put_opts(at, payload, how)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.state.done(true, false, self.inner.put_multipart_opts(at, how)).await?;
        Ok(Box::new(Upload { inner, state: Arc::clone(&self.state) }))
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.state.done(false, false, self.inner.get_opts(at, how)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        paths
            .then(move |path| {
                let this = this.clone();
                async move {
                    let path = path?;
                    this.state.done(true, false, this.inner.delete(&path)).await.map(|()| path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.state.verdict(false, false) {
            Verdict::Do => self.inner.list(prefix),
            Verdict::DoAndFail | Verdict::Fail => futures::stream::iter([Err(closed())]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.state.done(false, false, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.state.done(true, false, self.inner.copy_opts(from, to, how)).await
    }
}

/// An upload in parts: each of them is an operation, as are its beginning and its end.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    state: Arc<State>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.put_part(data);
        let state = Arc::clone(&self.state);
        async move { state.done(true, false, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.state.done(true, true, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.state.done(true, false, self.inner.abort()).await
    }
}
