//! Writes a generated trail to a directory: `cargo bench --bench generate -- --to DIR`. With `--sample` it is the
//! small trail of `tests/data/sample`, in which the records of `tests/data/records` are too.

#![allow(clippy::print_stderr, clippy::print_stdout)]

mod trail;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use trail::{Gzip, Object, Settings, Trail};

const USAGE: &str = "\
Write a trail of invented CloudTrail events to a directory

Usage: cargo bench --bench generate -- --to DIR [OPTIONS]

  --to DIR           where AWSLogs/ is put
  --events N         events without the copies [default: 1000000]
  --accounts N       [default: 20]
  --regions N        at most 17 [default: 6]
  --days N           from 2026-03-01 on [default: 3]
  --seed N           the same seed writes the same files [default: 1]
  --duplicates RATE  the part of the events, 0 to 1, that a second trail delivers again [default: 0]
  --org              in an organization trail's layout
  --sample DIR       write the sample trail there instead, as it is in tests/data/sample
";

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    let mut to: Option<PathBuf> = None;
    let mut sample = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} wants a value"));
        match flag.as_str() {
            "--to" => to = Some(value()?.into()),
            "--sample" => (to, sample) = (Some(value()?.into()), true),
            "--events" => settings.events = value()?.parse()?,
            "--accounts" => settings.accounts = value()?.parse()?,
            "--regions" => settings.regions = value()?.parse()?,
            "--days" => settings.days = value()?.parse()?,
            "--seed" => settings.seed = value()?.parse()?,
            "--duplicates" => settings.duplicates = value()?.parse()?,
            "--org" => settings.organization = Some("o-a1b2c3d4e5".to_owned()),
            // Cargo says so to every benchmark.
            "--bench" => {}
            _ => return Err(format!("unknown: {flag}\n\n{USAGE}").into()),
        }
    }
    let Some(to) = to else {
        println!("{USAGE}");
        return Ok(());
    };
    if to.join("AWSLogs").exists() {
        return Err(format!("{}: there is a trail already", to.display()).into());
    }
    if sample {
        write(Trail::new(sample_settings()).chain(sample_objects()), &to)
    } else {
        write(Trail::new(settings), &to)
    }
}

fn write(objects: impl Iterator<Item = Object>, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut gzip = Gzip::new();
    let (mut count, mut events, mut gz_bytes, mut bytes) = (0_u64, 0, 0, 0);
    for object in objects {
        let gz = gzip.compress(object.json.as_bytes());
        let path = to.join(&object.key);
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        fs::write(&path, &gz)?;
        count += 1;
        events += object.events;
        gz_bytes += gz.len();
        bytes += object.json.len();
    }
    let ratio = bytes as f64 / gz_bytes.max(1) as f64;
    eprintln!(
        "{count} objects, {events} events, {gz_bytes} bytes gzip, {bytes} bytes inflated, ratio {ratio:.1}"
    );
    Ok(())
}

fn sample_settings() -> Settings {
    Settings {
        seed: 41,
        events: 240,
        accounts: 3,
        regions: 3,
        organization: Some("o-a1b2c3d4e5".to_owned()),
        duplicates: 0.1,
        ..Settings::default()
    }
}

/// The objects of the records written by hand.
fn sample_objects() -> impl Iterator<Item = Object> {
    let records = SAMPLE.iter().map(|(key, files)| {
        let records: Vec<String> = files.iter().map(|file| compact(file)).collect();
        let records: Vec<&str> = records.iter().map(|records| records.trim_matches(['[', ']'])).collect();
        let json = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let events = json.matches(r#""eventVersion":"#).count() as u64;
        Object { key: (*key).to_owned(), json, events }
    });
    let (key, digest) = DIGEST;
    records.chain([Object { key: key.to_owned(), json: compact(digest), events: 0 }])
}

/// JSON without the blanks between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|this| {
            if *this == '"' && !escaped {
                in_string = !in_string;
            }
            escaped = *this == '\\' && !escaped;
            in_string || !this.is_ascii_whitespace()
        })
        .collect()
}

macro_rules! records {
    ($($name:literal),+) => {
        &[$(include_str!(concat!("../tests/data/records/", $name, ".json"))),+]
    };
}

/// Where the records written by hand are delivered. The console logins are delivered twice, by both trails; the
/// second account's part of the chain of roles, from before midnight, is in the next day's folder.
#[rustfmt::skip]
const SAMPLE: &[(&str, &[&str])] = &[
    ("AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail/eu-central-1/2026/03/01/111122223333_CloudTrail_eu-central-1_20260301T1025Z_SampleReviewer01.json.gz",
        records!["codeguru-reviewer-AssociateRepository"]),
    ("AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/us-west-2/2026/03/02/444455556666_CloudTrail_us-west-2_20260302T0735Z_SampleProfiler01.json.gz",
        records!["codeguru-profiler-ConfigureAgent", "codeguru-profiler-PostAgentProfile"]),
    ("AWSLogs/o-a1b2c3d4e5/012345678901/CloudTrail/us-east-1/2026/03/03/012345678901_CloudTrail_us-east-1_20260303T1240Z_SampleDevOpsGuru.json.gz",
        records!["devops-guru-UpdateResourceCollection"]),
    ("AWSLogs/444455556666/CloudTrail/eu-central-1/2026/03/02/444455556666_CloudTrail_eu-central-1_20260302T2215Z_SampleCodeStar01.json.gz",
        records!["codestar-CreateProject"]),
    ("AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T0835Z_SampleLogins0001.json.gz",
        records!["console-logins"]),
    ("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T0840Z_SampleLogins0002.json.gz",
        records!["console-logins"]),
    ("AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail/us-east-1/2026/03/02/111122223333_CloudTrail_us-east-1_20260302T0005Z_SampleChain00001.json.gz",
        records!["assume-role-chain-111122223333"]),
    ("AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/us-east-1/2026/03/02/444455556666_CloudTrail_us-east-1_20260302T0005Z_SampleChain00002.json.gz",
        records!["assume-role-chain-444455556666"]),
    ("AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail-Insight/us-east-1/2026/03/02/111122223333_CloudTrail-Insight_us-east-1_20260302T1420Z_SampleInsight001.json.gz",
        records!["insight"]),
    ("AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail-NetworkActivity/us-west-2/2026/03/03/444455556666_CloudTrail_us-west-2_20260303T0510Z_SampleNetwork001.json.gz",
        records!["network-activity"]),
    ("AWSLogs/o-a1b2c3d4e5/012345678901/CloudTrail-Aggregated/eu-central-1/2026/03/03/012345678901_CloudTrail_eu-central-1_20260303T1630Z_SampleCounts0001.json.gz",
        records!["aggregated"]),
];

/// Lies in every trail whose validation is on, and holds no events.
const DIGEST: (&str, &str) = (
    "AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail-Digest/us-east-1/2026/03/02/111122223333_CloudTrail-Digest_us-east-1_main_us-east-1_20260302T100000Z.json.gz",
    include_str!("../tests/data/hostile/digest.json"),
);
