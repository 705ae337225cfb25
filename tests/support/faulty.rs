//! A store that fails when it is told to, around any other.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::sync::Semaphore;

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
    /// The put with this number is done, and answered as a client is that asks again: it is there already.
    RepeatPut(usize),
    /// This many requests from this one on fail.
    FailSome(usize, usize),
    /// The request with this number, if it is a GET, ends in the middle of its body: with an error, or without one.
    CutBody { request: usize, silently: bool },
    /// The request with this number, if it is a GET, finds nothing.
    Vanish(usize),
    /// GETs of objects whose path ends so find nothing.
    Lose(&'static str),
    /// The mutating operation with this number waits for [`Faulty::release`].
    WaitAt(usize),
    /// The request with this number, if it is a listing, fails after half of what it lists.
    CutListing(usize),
}

/// The store; clones share everything.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    faults: Mutex<Vec<Fault>>,
    mutations: AtomicUsize,
    requests: AtomicUsize,
    puts: AtomicUsize,
    dead: AtomicBool,
    /// Up to how many milliseconds an operation waits before it is done.
    most_wait: AtomicUsize,
    waiting: Semaphore,
    released: Semaphore,
}

/// What to do about an operation.
enum Verdict {
    Do,
    DoAndFail,
    DoAndRepeat,
    Fail,
    Cut { silently: bool },
    Vanish,
    Wait,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>, faults: &[Fault]) -> Faulty {
        let state = State {
            faults: Mutex::new(faults.to_vec()),
            mutations: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            most_wait: AtomicUsize::new(0),
            waiting: Semaphore::new(0),
            released: Semaphore::new(0),
        };
        Faulty { inner, state: Arc::new(state) }
    }

    /// Lets every operation wait some milliseconds, up to `most`, so that those of several users mix.
    pub fn slow(self, most: usize) -> Faulty {
        self.state.most_wait.store(most, SeqCst);
        self
    }

    /// Returns when an operation waits.
    pub async fn waits(&self) {
        self.state.waiting.acquire().await.unwrap().forget();
    }

    /// Lets an operation that waits go on.
    pub fn release(&self) {
        self.state.released.add_permits(1);
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
                Fault::RepeatPut(at) if put == Some(at) => return Verdict::DoAndRepeat,
                Fault::FailSome(from, count) if (from..from + count).contains(&request) => {
                    return Verdict::Fail;
                }
                Fault::CutBody { request: at, silently } if request == at => {
                    return Verdict::Cut { silently };
                }
                Fault::CutListing(at) if request == at => return Verdict::Cut { silently: false },
                Fault::WaitAt(at) if mutation == Some(at) => return Verdict::Wait,
                Fault::Vanish(at) if request == at => return Verdict::Vanish,
                _ => {}
            }
        }
        Verdict::Do
    }

    fn loses(&self, at: &Path) -> bool {
        let lost = |fault: &Fault| matches!(fault, Fault::Lose(end) if at.as_ref().ends_with(end));
        self.faults.lock().unwrap().iter().any(lost)
    }

    /// Does an operation, or not, and answers or fails.
    async fn done<T>(
        &self,
        is_mutation: bool,
        is_put: bool,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.wait().await;
        match self.verdict(is_mutation, is_put) {
            Verdict::Do | Verdict::Cut { .. } | Verdict::Vanish => operation.await,
            Verdict::DoAndFail => operation.await.and_then(|_| Err(closed())),
            Verdict::DoAndRepeat => operation.await.and_then(|_| {
                let source = "it is there already".into();
                Err(object_store::Error::AlreadyExists { path: "what was put".to_owned(), source })
            }),
            Verdict::Fail => Err(closed()),
            Verdict::Wait => {
                self.waiting.add_permits(1);
                self.released.acquire().await.unwrap().forget();
                operation.await
            }
        }
    }

    async fn wait(&self) {
        let most = self.most_wait.load(SeqCst);
        if most > 0 {
            // No two runs of a test wait alike; what they assert holds for every order.
            let wait = RandomState::new().hash_one(most) % (most as u64 + 1);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

fn closed() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "the connection was closed".into() }
}

/// The same answer with half of its body.
async fn cut(answer: GetResult, silently: bool) -> Result<GetResult> {
    let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
    let bytes = answer.bytes().await?;
    let half = bytes.slice(..bytes.len() / 2);
    let end = (!silently).then(|| Err(closed()));
    let payload = GetResultPayload::Stream(futures::stream::iter([Ok(half)].into_iter().chain(end)).boxed());
    Ok(GetResult { payload, meta, range, attributes })
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
        self.state.wait().await;
        let is_head = how.head;
        let mut verdict = self.state.verdict(false, false);
        if self.state.loses(at) {
            verdict = Verdict::Vanish;
        }
        match verdict {
            Verdict::Do | Verdict::Wait => self.inner.get_opts(at, how).await,
            Verdict::Vanish => {
                let source = "it is gone".into();
                Err(object_store::Error::NotFound { path: at.to_string(), source })
            }
            Verdict::Cut { silently } if !is_head => cut(self.inner.get_opts(at, how).await?, silently).await,
            Verdict::Cut { .. } => self.inner.get_opts(at, how).await,
            Verdict::DoAndFail | Verdict::DoAndRepeat | Verdict::Fail => Err(closed()),
        }
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
            Verdict::Do | Verdict::Vanish | Verdict::Wait => self.inner.list(prefix),
            Verdict::Cut { .. } => {
                let all = self.inner.list(prefix).collect::<Vec<_>>();
                let half = all.map(|mut all| {
                    all.truncate(all.len() / 2);
                    all.push(Err(closed()));
                    futures::stream::iter(all)
                });
                half.flatten_stream().boxed()
            }
            Verdict::DoAndFail | Verdict::DoAndRepeat | Verdict::Fail => {
                futures::stream::iter([Err(closed())]).boxed()
            }
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
