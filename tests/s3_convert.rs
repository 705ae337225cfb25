//! `convert`, `sql` and `export` with S3 as source and lake: what is asked, as whom, and what meets there.

use std::collections::BTreeMap;

use crate::support::command::{Output, Report, TestEnv};
use crate::support::s3::{
    ACCESS_KEY, Fault, ROLE_ACCESS_KEY, ROLE_SECRET_KEY, ROLE_TOKEN, Request, S3Server,
};
use crate::support::trail::{A, B, Trail, event, grid_ids, gzip, key};

const CONVERT: [&str; 5] = ["convert", "s3://trail/org/", "--to", "s3://lake/events/", "--json"];

/// A server with the trail of [`Trail::grid`] below `org/`, an empty bucket for the lake, and surroundings to use them.
fn served() -> (TestEnv, S3Server) {
    let server = S3Server::start();
    server.create_bucket("trail");
    server.create_bucket("lake");
    Trail::grid("org/").upload(&server, "trail");
    let mut env = TestEnv::new();
    env.use_server(&server);
    (env, server)
}

/// The requests to a bucket, and how often each object of it was read.
fn asked<'a>(requests: &'a [Request], bucket: &str) -> (Vec<&'a Request>, BTreeMap<String, usize>) {
    let place = format!("/{bucket}");
    let of_bucket = |target: &str| {
        target.strip_prefix(&place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let requests: Vec<&Request> = requests.iter().filter(|request| of_bucket(&request.target)).collect();
    let mut reads = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method == "GET" && !request.is_list()) {
        let name = request.target.split('?').next().unwrap().rsplit('/').next().unwrap();
        *reads.entry(name.to_owned()).or_insert(0) += 1;
    }
    (requests, reads)
}

/// Says where the report's numbers of requests differ from those the server has seen.
fn expect_requests(report: &Report, requests: &[Request]) {
    let count = |is: &dyn Fn(&Request) -> bool| requests.iter().filter(|request| is(request)).count() as u64;
    let seen = [
        count(&Request::is_list),
        count(&|request| !request.is_list() && ["GET", "HEAD"].contains(&request.method.as_str())),
        count(&|request| ["PUT", "POST"].contains(&request.method.as_str())),
    ];
    assert_eq!(report.all(["/requests/list", "/requests/get", "/requests/put"]), seen);
}

#[test]
fn from_a_bucket_into_a_bucket_and_out_again() {
    let (env, server) = served();
    let report = env.run(CONVERT).success().report();
    assert_eq!(report.all(["/records/rows", "/objects/converted", "/commits", "/version"]), [16, 8, 1, 1]);
    assert_eq!(report.0["lake"], "s3://lake/events/");
    let requests = server.requests();
    expect_requests(&report, &requests);
    let (_, reads) = asked(&requests, "trail");
    assert_eq!(reads.len(), 8, "{reads:?}");
    assert!(reads.values().all(|reads| *reads == 1), "{reads:?}");
    // Nothing of a lake is ever overwritten.
    let (to_lake, _) = asked(&requests, "lake");
    let puts: Vec<&&Request> = to_lake.iter().filter(|request| request.method == "PUT").collect();
    assert!(puts.len() >= 5, "{puts:?}");
    assert!(puts.iter().all(|put| put.header("if-none-match") == Some("*")), "{puts:?}");
    assert!(to_lake.iter().all(|request| request.method != "DELETE"));

    assert_eq!(env.ids("s3://lake/events"), grid_ids());
    let accounts = "SELECT account, count(*), min(row_source_object) FROM events GROUP BY 1 ORDER BY 1";
    let first = format!("s3://trail/org/{}", key("CloudTrail", A, "eu-west-1", "2026-03-01T10:05", "grid"));
    assert_eq!(env.sql("s3://lake/events/", accounts)[0], format!("{A},8,{first}"));
    let export = env.run(["export", "s3://lake/events/", "--where", "event_id = 'e05'"]).success();
    let back: serde_json::Value = serde_json::from_str(&export.stdout).unwrap();
    assert_eq!(back, event(A, "us-east-1", "2026-03-01T10:01:00Z", "e05"));

    let again = env.run(CONVERT).success().report();
    assert_eq!(again.all(["/objects/known", "/commits", "/version", "/requests/put"]), [8, 0, 1, 0]);
}

#[test]
fn what_is_not_wanted_costs_no_request() {
    let (env, server) = served();
    let digest = key("CloudTrail-Digest", A, "us-east-1", "2026-03-01T10:05", "digest");
    let config = format!("AWSLogs/{A}/Config/us-east-1/2026/3/1/ConfigHistory/x.json.gz");
    Trail::default()
        .put(&format!("org/{digest}"), gzip("{}"))
        .put(&format!("org/{config}"), gzip("{}"))
        .log(&format!("org/{}", key("CloudTrail", A, "eu-west-1", "2026-03-09T10:05", "late")), &[])
        .upload(&server, "trail");
    let filters = ["--account", A, "--region", "eu-west-1", "--since", "2026-03-01", "--until", "2026-03-02"];
    let report = env.run(CONVERT.iter().chain(&filters)).success().report();
    let requests = server.requests();
    expect_requests(&report, &requests);
    let (to_trail, reads) = asked(&requests, "trail");
    assert_eq!(reads.len(), 2, "{reads:?}");
    let targets: Vec<String> = to_trail.iter().map(|request| request.target.replace("%2F", "/")).collect();
    for unwanted in [B, "us-east-1", "Digest", "Config", "/09"] {
        assert!(!targets.iter().any(|target| target.contains(unwanted)), "{unwanted} in {targets:#?}");
    }
    assert_eq!(report.all(["/records/rows", "/records/filtered"]), [2, 2]);
    assert_eq!(env.ids("s3://lake/events/"), ["e00", "e01"]);

    // A dry run lists, and reads nothing; what it foretells is what the run then asks for.
    let planned = env.run(["convert", "s3://trail/", "--to", "s3://lake/other/", "--dry-run", "--json"]);
    let planned = planned.success().report();
    let later = server.requests().split_off(requests.len());
    let (to_trail, _) = asked(&later, "trail");
    assert!(to_trail.iter().all(|request| request.is_list()), "{to_trail:?}");
    assert_eq!(planned.all(["/objects/listed", "/requests/get", "/bytes/read"]), [9, 9, 0]);
}

#[test]
fn a_source_may_be_anothers() {
    let (mut env, server) = served();
    // A role reads, a user writes.
    let role = [
        format!("access_key_id={ROLE_ACCESS_KEY}"),
        format!("secret_access_key={ROLE_SECRET_KEY}"),
        format!("session_token={ROLE_TOKEN}"),
        "request_payer=requester".to_owned(),
    ];
    let as_role =
        |flag: &str| role.iter().flat_map(|option| [flag.to_owned(), option.clone()]).collect::<Vec<_>>();
    let args = CONVERT.map(str::to_owned).into_iter();
    let report = env.run(args.chain(as_role("--source-option"))).success().report();
    assert_eq!(report.n("/records/rows"), 16);
    let requests = server.requests();
    let signer = |request: &&Request, key: &str| request.header("authorization").unwrap().contains(key);
    let (to_trail, _) = asked(&requests, "trail");
    assert!(to_trail.iter().all(|request| signer(request, ROLE_ACCESS_KEY)));
    assert!(to_trail.iter().all(|request| request.header("x-amz-request-payer") == Some("requester")));
    let (to_lake, _) = asked(&requests, "lake");
    assert!(to_lake.iter().all(|request| signer(request, ACCESS_KEY)));
    assert!(to_lake.iter().all(|request| request.header("x-amz-request-payer").is_none()));

    // And the other way round, for a bucket that is open to the public.
    server.make_public();
    env.set("AWS_ACCESS_KEY_ID", "AKIANOBODY");
    let args =
        ["convert", "s3://trail/", "--to", "s3://lake/second/", "--source-option", "skip_signature=true"];
    let args = args.map(str::to_owned).into_iter();
    let said = env.run(args.chain(as_role("--lake-option"))).success();
    assert!(said.stderr.contains("16 events"), "{}", said.stderr);
    let requests = server.requests().split_off(requests.len());
    assert!(asked(&requests, "trail").0.iter().all(|request| request.header("authorization").is_none()));
    assert!(asked(&requests, "lake").0.iter().all(|request| signer(request, ROLE_ACCESS_KEY)));

    let args = ["sql", "s3://lake/second/", "-c", "SELECT count(*) FROM events", "--format", "csv"];
    let args = args.map(str::to_owned).into_iter();
    assert_eq!(env.run(args.chain(as_role("--lake-option"))).success().stdout, "count(*)\n16\n");
    let wrong = env.run(CONVERT.iter().chain(&["--source-option", "acess_key_id=x"])).code(2);
    assert!(wrong.stderr.contains("there is no setting \"acess_key_id\" for S3"), "{}", wrong.stderr);
}

#[test]
fn a_profile_reads_while_the_environment_writes() {
    let (mut env, server) = served();
    let profile = format!(
        "[profile log-archive]\naws_access_key_id = {ROLE_ACCESS_KEY}\naws_secret_access_key = {ROLE_SECRET_KEY}\n\
         aws_session_token = {ROLE_TOKEN}\n"
    );
    std::fs::write(env.path("aws-config"), profile).unwrap();
    env.set("AWS_CONFIG_FILE", env.path("aws-config"));
    env.run(CONVERT.iter().chain(&["--source-option", "profile=log-archive"])).success();
    let requests = server.requests();
    let signed = |bucket: &str, key: &str| {
        let (requests, _) = asked(&requests, bucket);
        !requests.is_empty()
            && requests.iter().all(|request| request.header("authorization").unwrap().contains(key))
    };
    assert!(signed("trail", ROLE_ACCESS_KEY) && signed("lake", ACCESS_KEY));
    let wrong = env.run(CONVERT.iter().chain(&["--source-option", "profile=log-archiv"])).code(1);
    assert!(wrong.stderr.contains("no usable AWS credentials: "), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("log-archiv"), "{}", wrong.stderr);
    assert_eq!(env.ids("s3://lake/events/"), grid_ids());
}

#[test]
fn two_runs_at_once_add_every_event_once() {
    let (env, server) = served();
    // Both have read the lake by the time one of them may go on.
    let held = server.hold("trail/");
    let runs = [env.start(CONVERT), env.start(CONVERT)];
    for _ in 0..16 {
        held.next();
    }
    drop(held);
    let reports = runs.map(|run| Output::of(run).success().report());
    let rows = reports.each_ref().map(|report| report.n("/records/rows"));
    assert_eq!(rows.iter().sum::<u64>(), 16, "{rows:?}");
    let again = reports.iter().find(|report| report.n("/planned_again") == 1).unwrap();
    assert_eq!(again.all(["/records/rows", "/records/in", "/objects/known", "/commits"]), [0, 0, 8, 0]);
    assert_eq!(env.ids("s3://lake/events/"), grid_ids());
    let again = env.run(CONVERT).success().report();
    assert_eq!(again.all(["/records/rows", "/objects/known"]), [0, 8]);
}

#[test]
fn two_runs_over_different_accounts_both_commit() {
    let (env, server) = served();
    let held = server.hold("trail/");
    let runs = [A, B].map(|account| env.start(CONVERT.iter().chain(&["--account", account])));
    for _ in 0..8 {
        held.next();
    }
    drop(held);
    for output in runs.map(Output::of) {
        assert_eq!(output.success().report().n("/records/rows"), 8);
    }
    assert_eq!(env.ids("s3://lake/events/"), grid_ids());
}

#[test]
fn a_run_that_broke_off_finds_its_files_again() {
    let (env, server) = served();
    server.deny_writes("lake/events/_delta_log/00000000000000000001.json");
    let said = env.run(CONVERT).code(1).says(&["error: committing version 1 of s3://lake/events/"]);
    assert_eq!(said.stdout, "");
    assert_eq!(env.ids("s3://lake/events/"), [""; 0]);
    server.allow_writes();
    let report = env.run(CONVERT.iter().chain(&["--jobs", "1"])).success().report();
    assert_eq!(report.all(["/records/rows", "/files", "/version"]), [16, 2, 1]);
    let data = "/lake/events/event_date";
    let puts: Vec<Request> =
        server.requests().into_iter().filter(|r| r.method == "PUT" && r.target.starts_with(data)).collect();
    let names: std::collections::BTreeSet<&str> = puts.iter().map(|put| put.target.as_str()).collect();
    assert_eq!((puts.len(), names.len()), (4, 2), "{names:?}");
    assert_eq!(env.ids("s3://lake/events/"), grid_ids());
}

#[test]
fn a_busy_store_is_asked_again() {
    let (env, server) = served();
    server.fail_next(3, Fault::SlowDown);
    let report = env.run(CONVERT).success().report();
    assert_eq!(report.n("/records/rows"), 16);
    expect_requests(&report, &server.requests());
    server.fail_next(1, Fault::CutBody);
    let args = ["convert", "s3://trail/", "--to", "s3://lake/again/", "--json"];
    assert_eq!(env.run(args).success().report().n("/records/rows"), 16);
}

#[test]
fn a_file_in_a_bucket_is_a_table_and_so_is_another_lake() {
    let (env, server) = served();
    env.run(CONVERT).success();
    server.put("trail", "teams.csv", format!("account,team\n{A},blue\n"));
    server.put("lake", "words.ndjson", "{\"word\":\"x\"}\n");
    let sql = "SELECT team, count(*) AS n, count(DISTINCT word) AS words
        FROM events JOIN old.events o USING (event_id) JOIN 's3://trail/teams.csv' t ON t.account = o.account,
             's3://lake/words.ndjson' GROUP BY 1";
    let lake = "s3://lake/events/";
    let args = ["sql", lake, "--attach", &format!("old={lake}"), "--format", "csv", "-c", sql];
    assert_eq!(env.run(args).success().stdout, "team,n,words\nblue,8,1\n");
    let said = env.run(["sql", "-c", "SELECT * FROM 's3://trail/none.csv'"]).code(1);
    said.says(&["there is no file s3://trail/none.csv", "^^^^"]);
}

#[test]
fn answers_that_are_lost_lose_nothing() {
    let (env, server) = served();
    // Every first answer to a PUT: to those of data files, the ledger's, and commits.
    server.fail_next(1000, Fault::LoseAnswer);
    let report = env.run(CONVERT.iter().chain(&["--commit-every", "1"])).success().report();
    assert_eq!(report.all(["/records/rows", "/planned_again"]), [16, 0]);
    assert_eq!(env.ids("s3://lake/events/"), grid_ids());
    assert_eq!(env.run(CONVERT).success().report().all(["/records/in", "/commits"]), [0, 0]);
}
