use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, path::Path};
use trailhouse::error::Error;
use trailhouse::store::{Location, Options, explain};

use crate::support::s3::{
    ACCESS_KEY, EXPIRED_TOKEN, Fault, ROLE_ACCESS_KEY, ROLE_SECRET_KEY, ROLE_TOKEN, S3Server, SECRET_KEY,
};

/// A server with one bucket, `trail`.
fn server() -> S3Server {
    let server = S3Server::start();
    server.create_bucket("trail");
    server
}

/// Opens `text` with exactly these settings (and whatever the environment of the tests adds).
async fn open_with(text: &str, pairs: &[(&str, &str)]) -> Location {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Location::open(text, &Options { pairs }).await.unwrap()
}

/// Opens `text` on the server as its user, with more settings that win.
async fn open(server: &S3Server, text: &str, more: &[(&str, &str)]) -> Location {
    let mut pairs = vec![
        ("endpoint", server.endpoint.as_str()),
        ("region", "us-east-1"),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", SECRET_KEY),
    ];
    pairs.extend(more);
    open_with(text, &pairs).await
}

async fn list_error(location: &Location) -> Error {
    explain(location.store.list_with_delimiter(Some(&location.prefix)).await.unwrap_err())
}

fn key(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[tokio::test]
async fn folders_and_long_listings_are_listed_and_each_page_is_counted() {
    let server = server();
    for number in 0..1203 {
        server.put("trail", &format!("AWSLogs/a b#+ü/{number:04}.gz"), b"x");
    }
    server.put("trail", "AWSLogs/other/1.gz", b"x");
    server.put("trail", "elsewhere/1.gz", b"x");
    let location = open(&server, "s3://trail/AWSLogs", &[]).await;

    let level = location.store.list_with_delimiter(Some(&location.prefix)).await.unwrap();
    assert_eq!(level.common_prefixes, [key("AWSLogs/a b#+ü"), key("AWSLogs/other")]);
    assert!(level.objects.is_empty());
    assert_eq!(location.meter.list.load(Relaxed), 1);

    let objects: Vec<_> = location.store.list(Some(&location.prefix)).try_collect().await.unwrap();
    assert_eq!(objects.len(), 1204);
    assert_eq!(location.meter.list.load(Relaxed), 3);
    assert!(server.requests().iter().all(|request| request.is_list()));

    let first = location.store.get(&objects[0].location).await.unwrap().bytes().await.unwrap();
    assert_eq!(first, "x");
    assert_eq!(location.url_of(&objects[0].location), "s3://trail/AWSLogs/a b#+ü/0000.gz");
}

#[tokio::test]
async fn ranges_are_read_and_bytes_counted() {
    let server = server();
    server.put("trail", "x", b"0123456789");
    let location = open(&server, "s3://trail/", &[]).await;
    assert_eq!(location.store.get_range(&key("x"), 2..5).await.unwrap(), "234");
    location.store.head(&key("x")).await.unwrap();
    location.store.put(&key("y"), "abcd".into()).await.unwrap();
    assert_eq!(server.get("trail", "y"), b"abcd");

    let meter = &location.meter;
    assert_eq!((meter.get.load(Relaxed), meter.bytes_read.load(Relaxed)), (2, 3));
    assert_eq!((meter.put.load(Relaxed), meter.bytes_written.load(Relaxed)), (1, 4));
}

#[tokio::test]
async fn of_racing_creates_one_wins() {
    let server = server();
    let location = open(&server, "s3://trail/", &[]).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&location.store);
            let bytes = format!("writer {writer}");
            tokio::spawn(
                async move { store.put_opts(&key("one"), bytes.into(), PutMode::Create.into()).await },
            )
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error @ object_store::Error::AlreadyExists { .. }) => {
                assert_eq!(explain(error).chain(), "one exists already");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_every_attempt_counts() {
    let server = server();
    server.put("trail", "x", b"0123456789");
    let location = open(&server, "s3://trail/", &[]).await;
    server.fail_next(2, Fault::SlowDown);
    assert_eq!(location.store.get(&key("x")).await.unwrap().bytes().await.unwrap(), "0123456789");
    assert_eq!(location.meter.get.load(Relaxed), 3);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_resumed_where_it_broke() {
    let server = server();
    let body: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    server.put("trail", "x", &body);
    let location = open(&server, "s3://trail/", &[]).await;
    server.fail_next(1, Fault::CutBody);
    assert_eq!(location.store.get(&key("x")).await.unwrap().bytes().await.unwrap(), body);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].header("range").unwrap().ends_with("-1999999"), "{requests:?}");
}

#[tokio::test]
async fn missing_things_are_named() {
    let server = server();
    server.put("trail", "a/gone.gz", b"x");
    server.vanish("trail", "a/gone.gz");
    let location = open(&server, "s3://trail/a/", &[]).await;
    assert_eq!(location.store.list_with_delimiter(Some(&location.prefix)).await.unwrap().objects.len(), 1);
    let error = explain(location.store.get(&key("a/gone.gz")).await.unwrap_err());
    assert_eq!(error.chain(), "there is no such object");
    let error = explain(location.store.head(&key("a/never")).await.unwrap_err());
    assert_eq!(error.chain(), "there is no such object");

    let error = list_error(&open(&server, "s3://no-such-bucket/", &[]).await).await;
    assert_eq!(error.chain(), "there is no such bucket");
    assert!(error.hints()[0].contains("bucket's name"), "{:?}", error.hints());
}

#[tokio::test]
async fn a_denied_prefix_says_which_permission_is_missing_and_the_others_go_on() {
    let server = server();
    server.put("trail", "AWSLogs/111111111111/x", b"x");
    server.put("trail", "AWSLogs/222222222222/x", b"x");
    server.deny("trail/AWSLogs/111111111111/");
    let location = open(&server, "s3://trail/AWSLogs/", &[]).await;

    let error =
        explain(location.store.list_with_delimiter(Some(&key("AWSLogs/111111111111"))).await.unwrap_err());
    assert_eq!(error.chain(), "access denied: Access Denied");
    assert!(error.hints()[0].contains("s3:ListBucket on the bucket"), "{:?}", error.hints());
    let error = explain(location.store.get(&key("AWSLogs/111111111111/x")).await.unwrap_err());
    assert!(error.hints()[0].contains("s3:GetObject"), "{:?}", error.hints());
    let error = explain(location.store.put(&key("AWSLogs/111111111111/y"), "y".into()).await.unwrap_err());
    assert!(error.hints()[0].contains("s3:PutObject"), "{:?}", error.hints());
    let error = explain(location.store.head(&key("AWSLogs/111111111111/x")).await.unwrap_err());
    assert_eq!(error.chain(), "access denied");

    assert_eq!(
        location.store.list(Some(&key("AWSLogs/222222222222"))).try_collect::<Vec<_>>().await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let server = server();
    let with =
        async |more: &[(&str, &str)]| list_error(&open(&server, "s3://trail/", more).await).await.chain();
    assert_eq!(with(&[("access_key_id", "AKIANOBODY")]).await, "S3 does not know the access key");
    assert_eq!(
        with(&[("secret_access_key", "wrong")]).await,
        "the secret access key does not fit the access key"
    );
    assert_eq!(with(&[("session_token", EXPIRED_TOKEN)]).await, "the AWS session has expired");
    let role = [("access_key_id", ROLE_ACCESS_KEY), ("secret_access_key", ROLE_SECRET_KEY)];
    assert_eq!(with(&role).await, "the session token is not valid");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_said_to_be_there_without_retries() {
    let server = server();
    let location = open(&server, "s3://trail/", &[]).await;
    server.fail_next(1, Fault::Region("eu-central-1"));
    let error = list_error(&location).await;
    assert_eq!(error.chain(), "the bucket is in eu-central-1, not in us-east-1");
    assert!(error.hints()[0].contains("AWS_REGION"));
    server.fail_next(1, Fault::Region("eu-central-1"));
    let error = explain(location.store.head(&key("x")).await.unwrap_err());
    assert_eq!(error.chain(), "the bucket is in eu-central-1, not in us-east-1");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn requester_pays_and_anonymous_access_are_as_set() {
    let server = server();
    server.put("trail", "x", b"x");
    server.make_public();
    let location = open(&server, "s3://trail/", &[("request_payer", "requester")]).await;
    location.store.get(&key("x")).await.unwrap();
    let anonymous = [("endpoint", server.endpoint.as_str()), ("skip_signature", "true")];
    let location = open_with("s3://trail/", &anonymous).await;
    location.store.list_with_delimiter(None).await.unwrap();

    let requests = server.requests();
    assert_eq!(requests[0].header("x-amz-request-payer"), Some("requester"));
    assert!(requests[0].header("authorization").is_some());
    assert_eq!(requests[1].header("authorization"), None);
}

/// Answers requests as STS does AssumeRole: with the role's keys, but not for a role `forbidden`. Returns its URL and
/// the requests it got.
fn fake_sts() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&requests);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut buffer = [0; 4096];
                let length = socket.read(&mut buffer).unwrap();
                assert!(length > 0, "request cut off");
                request.extend_from_slice(&buffer[..length]);
            }
            let request = String::from_utf8(request).unwrap();
            let forbidden = request.contains("role%2Fforbidden");
            log.lock().unwrap().push(request);
            let keys = format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                 <AccessKeyId>{ROLE_ACCESS_KEY}</AccessKeyId><SecretAccessKey>{ROLE_SECRET_KEY}</SecretAccessKey>\
                 <SessionToken>{ROLE_TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleResult></AssumeRoleResponse>"
            );
            let (status, body) = match forbidden {
                false => ("200 OK", keys.as_str()),
                true => (
                    "403 Forbidden",
                    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User x is not \
                     authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>",
                ),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close");
            write!(socket, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (url, requests)
}

/// Whether an HTTP request is there with its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    body.len() >= length
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_says_so() {
    let server = server();
    let (sts, _) = fake_sts();
    let role = [("endpoint_url_sts", sts.as_str()), ("role_arn", "arn:aws:iam::111111111111:role/forbidden")];
    let error = list_error(&open(&server, "s3://trail/", &role).await).await;
    assert!(error.chain().starts_with("no usable AWS credentials: "), "{}", error.chain());
    assert!(error.chain().contains("not authorized to perform: sts:AssumeRole"), "{}", error.chain());
    assert!(error.hints()[0].contains("trust policy"), "{:?}", error.hints());
}

#[tokio::test]
async fn a_role_is_assumed_once_and_its_key_signs() {
    let server = server();
    server.put("trail", "x", b"x");
    let (sts, asked) = fake_sts();
    let role = [
        ("endpoint_url_sts", sts.as_str()),
        ("role_arn", "arn:aws:iam::111111111111:role/reader"),
        ("external_id", "an-external-id"),
    ];
    let location = open(&server, "s3://trail/", &role).await;
    location.store.list_with_delimiter(None).await.unwrap();
    location.store.get(&key("x")).await.unwrap();

    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "{asked:?}");
    for part in [
        ACCESS_KEY,
        "Action=AssumeRole",
        "role%2Freader",
        "ExternalId=an-external-id",
        "RoleSessionName=trailhouse",
    ] {
        assert!(asked[0].contains(part), "{part} is not in {}", asked[0]);
    }
    for request in server.requests() {
        assert!(request.header("authorization").unwrap().contains(ROLE_ACCESS_KEY));
        assert_eq!(request.header("x-amz-security-token"), Some(ROLE_TOKEN));
    }
}

/// Lists `s3://trail/` in a process of its own that has this environment and no other, and returns what it said.
fn list_in_child(env: &[(&str, String)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "s3_store::child_lists_by_its_environment", "--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(env.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.split_once("said: ")).map(|(_, said)| said.to_owned());
    said.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
#[ignore = "is run by the tests that set its environment"]
async fn child_lists_by_its_environment() {
    let location = open_with("s3://trail/", &[]).await;
    match location.store.list_with_delimiter(None).await {
        Ok(level) => println!("said: {} objects", level.objects.len()),
        Err(error) => {
            let error = explain(error);
            println!("said: {}; hints: {}", error.chain(), error.hints().join("; "));
        }
    }
}

#[test]
fn the_environment_is_enough() {
    let server = server();
    server.put("trail", "x", b"x");
    let mut env = server.env();
    assert_eq!(list_in_child(&env), "1 objects");

    // The service's own endpoint wins; an empty variable counts as unset.
    env[0].1 = "http://127.0.0.1:1".into();
    env.push(("AWS_ENDPOINT_URL_S3", server.endpoint.clone()));
    env.push(("AWS_SESSION_TOKEN", String::new()));
    assert_eq!(list_in_child(&env), "1 objects");
}

#[test]
fn profiles_name_processes_and_chains_of_roles() {
    let server = server();
    server.put("trail", "x", b"x");
    let (sts, asked) = fake_sts();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    let process = format!(
        "echo '{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS_KEY}\", \"SecretAccessKey\": \"{SECRET_KEY}\"}}'"
    );
    let text = format!(
        "[profile base]\ncredential_process = {process}\nregion = eu-west-1\nendpoint_url = {}\n\
         [profile audit]\nsource_profile = base\nrole_arn = arn:aws:iam::111111111111:role/audit\n",
        server.endpoint
    );
    std::fs::write(&config, text).unwrap();
    let env = |profile: &str| {
        vec![
            ("AWS_CONFIG_FILE", config.to_str().unwrap().to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_ENDPOINT_URL_STS", sts.clone()),
            ("AWS_PROFILE", profile.to_owned()),
        ]
    };
    assert_eq!(list_in_child(&env("base")), "1 objects");
    let mut audit = env("audit");
    audit.extend([("AWS_ENDPOINT_URL_S3", server.endpoint.clone()), ("AWS_REGION", "eu-west-1".to_owned())]);
    assert_eq!(list_in_child(&audit), "1 objects");

    let signed: Vec<_> =
        server.requests().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    assert!(
        signed[0].contains(&format!("Credential={ACCESS_KEY}/")) && signed[0].contains("/eu-west-1/s3/"),
        "{signed:?}"
    );
    assert!(signed[1].contains(&format!("Credential={ROLE_ACCESS_KEY}/")), "{signed:?}");
    assert!(asked.lock().unwrap()[0].contains("role%2Faudit"));

    let said = list_in_child(&env("nobody"));
    assert!(said.starts_with("no usable AWS credentials") && said.contains("nobody"), "{said}");
}

#[test]
fn no_credentials_are_reported_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    // A metadata service that accepts connections and never answers: what a firewall makes of a machine outside of AWS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let env = [
        ("HOME", dir.path().to_str().unwrap().to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", silent.local_addr().unwrap())),
    ];
    let start = Instant::now();
    let said = list_in_child(&env);
    assert!(said.starts_with("no usable AWS credentials"), "{said}");
    assert!(said.contains("Environment: environment variable not set; Profile: not set up; "), "{said}");
    assert!(said.contains("AWS_SKIP_SIGNATURE=true"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
