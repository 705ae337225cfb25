//! An S3-compatible server on loopback: files in a temporary directory, checked signatures, a request log, and faults.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use futures::{TryStreamExt, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use object_store::{HeaderMap, HeaderValue};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::*;
use s3s::path::S3Path;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

/// The key that may do everything which is not denied.
pub const ACCESS_KEY: &str = "AKIATESTUSER";
pub const SECRET_KEY: &str = "test/user/secret";

/// The key of an assumed role, which needs its session token.
pub const ROLE_ACCESS_KEY: &str = "ASIATESTROLE";
pub const ROLE_SECRET_KEY: &str = "test/role/secret";
pub const ROLE_TOKEN: &str = "test-role-token";

/// A session token that is answered with `ExpiredToken`.
pub const EXPIRED_TOKEN: &str = "test-expired-token";

/// A running server; it ends when dropped.
pub struct S3Server {
    /// As in `http://127.0.0.1:12345`.
    pub endpoint: String,
    state: Arc<State>,
    root: TempDir,
    _stop: oneshot::Sender<()>,
}

/// A request that was signed well enough to be looked at.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: HeaderMap,
}

/// The server's side of [`Held`].
#[derive(Clone)]
struct Hold {
    prefix: String,
    waiting: mpsc::Sender<String>,
    released: watch::Receiver<()>,
}

/// Requests that wait; they go on when this is dropped.
pub struct Held {
    waiting: mpsc::Receiver<String>,
    _release: watch::Sender<()>,
}

impl Held {
    /// Blocks until one more request waits; returns its `bucket/key`.
    pub fn next(&self) -> String {
        self.waiting.recv_timeout(Duration::from_secs(60)).expect("no request came")
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// It is answered with 503 SlowDown.
    SlowDown,
    /// It is answered with 301 and the Region the bucket is said to be in.
    Region(&'static str),
    /// The body of the next GET of an object ends in its middle.
    CutBody,
    /// The next PUT of an object that succeeds is answered with 500.
    LoseAnswer,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Request>>,
    denied: Mutex<Vec<String>>,
    read_only: Mutex<Vec<String>>,
    vanished: Mutex<Vec<String>>,
    held: Mutex<Option<Hold>>,
    faults: Mutex<VecDeque<Fault>>,
    public: Mutex<bool>,
    /// The server's own If-None-Match lets several writers win.
    writing: tokio::sync::Mutex<()>,
}

impl S3Server {
    pub fn start() -> S3Server {
        let root = tempfile::tempdir().unwrap();
        let state = Arc::new(State::default());
        let files = FileSystem::new(root.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(Faulty { files, state: Arc::clone(&state) });
        builder.set_auth(Keys);
        builder.set_access(Gate { state: Arc::clone(&state) });
        let service = builder.build();

        let (stop, mut stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap(),
                        _ = &mut stopped => break,
                    };
                    let service = service.clone();
                    tokio::spawn(async move {
                        let connection = auto::Builder::new(TokioExecutor::new());
                        // A client that goes away is no failure of the server's.
                        let _ = connection.serve_connection(TokioIo::new(socket), service).await;
                    });
                }
            });
        });
        S3Server { endpoint, state, root, _stop: stop }
    }

    pub fn create_bucket(&self, bucket: &str) {
        fs::create_dir(self.root.path().join(bucket)).unwrap();
    }

    /// Stores an object without a request.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.file(bucket, key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The object's bytes, without a request.
    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        fs::read(self.file(bucket, key)).unwrap()
    }

    fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.path().join(bucket).join(key)
    }

    /// The environment of a process that is to use this server, and no configuration of the machine's.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", "/dev/null".into()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ]
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// Denies what is below `bucket/prefix`: listing it, and its objects.
    pub fn deny(&self, bucket_and_prefix: &str) {
        lock(&self.state.denied).push(bucket_and_prefix.to_owned());
    }

    /// Denies writing what is below `bucket/prefix`.
    pub fn deny_writes(&self, bucket_and_prefix: &str) {
        lock(&self.state.read_only).push(bucket_and_prefix.to_owned());
    }

    /// Takes back what [`S3Server::deny_writes`] denied.
    pub fn allow_writes(&self) {
        lock(&self.state.read_only).clear();
    }

    /// Lets GETs of objects below `bucket/prefix` wait, until the returned value is dropped.
    pub fn hold(&self, bucket_and_prefix: &str) -> Held {
        let (send, waiting) = mpsc::channel();
        let (_release, released) = watch::channel(());
        *lock(&self.state.held) =
            Some(Hold { prefix: bucket_and_prefix.to_owned(), waiting: send, released });
        Held { waiting, _release }
    }

    /// Keeps an object in the listings, but answers requests for it as if it were gone.
    pub fn vanish(&self, bucket: &str, key: &str) {
        lock(&self.state.vanished).push(format!("{bucket}/{key}"));
    }

    /// Lets requests in that are not signed.
    pub fn make_public(&self) {
        *lock(&self.state.public) = true;
    }

    /// Makes the next `count` requests fail (of those the fault can befall).
    pub fn fail_next(&self, count: usize, fault: Fault) {
        lock(&self.state.faults).extend(std::iter::repeat_n(fault, count));
    }
}

impl Request {
    pub fn is_list(&self) -> bool {
        self.method == "GET" && self.target.contains("list-type=2")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

struct Keys;

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match access_key {
            ACCESS_KEY => Ok(SECRET_KEY.into()),
            ROLE_ACCESS_KEY => Ok(ROLE_SECRET_KEY.into()),
            _ => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

/// Sees every request once its signature is checked.
struct Gate {
    state: Arc<State>,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        lock(&self.state.requests).push(Request {
            method: cx.method().to_string(),
            target: cx.uri().path_and_query().map_or_else(String::new, ToString::to_string),
            headers: cx.headers().clone(),
        });

        let next = lock(&self.state.faults)
            .pop_front_if(|fault| !matches!(fault, Fault::CutBody | Fault::LoseAnswer));
        match next {
            Some(Fault::SlowDown) => return Err(s3_error!(SlowDown, "Please reduce your request rate.")),
            Some(Fault::Region(region)) => {
                let mut error = S3Error::new(S3ErrorCode::PermanentRedirect);
                let mut headers = HeaderMap::new();
                headers.insert("x-amz-bucket-region", HeaderValue::from_static(region));
                error.set_headers(headers);
                return Err(error);
            }
            _ => {}
        }

        let token = cx.headers().get("x-amz-security-token").map(|token| token.to_str().unwrap());
        match (cx.credentials().map(|credentials| credentials.access_key.as_str()), token) {
            (_, Some(EXPIRED_TOKEN)) => {
                return Err(s3_error!(ExpiredToken, "The provided token has expired."));
            }
            (Some(ROLE_ACCESS_KEY), token) if token != Some(ROLE_TOKEN) => {
                return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
            }
            (Some(_), _) => {}
            (None, _) if *lock(&self.state.public) => {}
            (None, _) => return Err(s3_error!(AccessDenied, "Access Denied")),
        }

        let query = cx.uri().query().unwrap_or_default();
        let prefix = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "prefix");
        let target = match cx.s3_path() {
            S3Path::Root => String::new(),
            S3Path::Bucket { bucket } => {
                format!("{bucket}/{}", prefix.map(|(_, value)| value).unwrap_or_default())
            }
            S3Path::Object { bucket, key } => format!("{bucket}/{key}"),
        };
        if lock(&self.state.denied).iter().any(|denied| target.starts_with(denied)) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let is_write = cx.method() == "PUT" || cx.method() == "POST";
        if is_write && lock(&self.state.read_only).iter().any(|denied| target.starts_with(denied)) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let is_get = cx.method() == "GET" && matches!(cx.s3_path(), S3Path::Object { .. });
        let held = lock(&self.state.held).clone();
        if let Some(mut hold) = held
            && is_get
            && target.starts_with(&hold.prefix)
        {
            hold.waiting.send(target.clone()).ok();
            // Fails when the other end is dropped, which is what this waits for.
            hold.released.changed().await.ok();
        }
        if lock(&self.state.vanished).contains(&target) {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        Ok(())
    }
}

/// The files, with one writer at a time and bodies that may break off.
struct Faulty {
    files: FileSystem,
    state: Arc<State>,
}

impl Faulty {
    async fn cut(&self, mut response: S3Response<GetObjectOutput>) -> S3Result<S3Response<GetObjectOutput>> {
        let due = lock(&self.state.faults).pop_front_if(|fault| *fault == Fault::CutBody).is_some();
        if due && let Some(body) = response.output.body.take() {
            let bytes: Vec<bytes::Bytes> = body.try_collect().await.unwrap();
            let bytes = bytes.concat();
            let half = bytes::Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
            let broken = io::Error::from(io::ErrorKind::ConnectionReset);
            response.output.body = Some(StreamingBlob::wrap(stream::iter([Ok(half), Err(broken)])));
        }
        Ok(response)
    }
}

/// Implements the S3 operations that are handed on as they are, beside those written out.
macro_rules! hand_on {
    ($($operation:ident $input:ident $output:ident)*) => {
        #[async_trait::async_trait]
        impl S3 for Faulty {
            async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                self.cut(self.files.get_object(request).await?).await
            }

            async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
                let _alone = self.state.writing.lock().await;
                let done = self.files.put_object(request).await?;
                match lock(&self.state.faults).pop_front_if(|fault| *fault == Fault::LoseAnswer) {
                    Some(_) => Err(s3_error!(InternalError, "We encountered an internal error. Please try again.")),
                    None => Ok(done),
                }
            }

            $(async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$operation(request).await
            })*
        }
    };
}

hand_on! {
    head_object HeadObjectInput HeadObjectOutput
    copy_object CopyObjectInput CopyObjectOutput
    delete_object DeleteObjectInput DeleteObjectOutput
    delete_objects DeleteObjectsInput DeleteObjectsOutput
    list_objects_v2 ListObjectsV2Input ListObjectsV2Output
    create_multipart_upload CreateMultipartUploadInput CreateMultipartUploadOutput
    upload_part UploadPartInput UploadPartOutput
    complete_multipart_upload CompleteMultipartUploadInput CompleteMultipartUploadOutput
    abort_multipart_upload AbortMultipartUploadInput AbortMultipartUploadOutput
}
