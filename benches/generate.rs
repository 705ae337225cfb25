//! Writes a generated trail to a directory: `cargo bench --bench generate -- --to DIR`.

#![allow(clippy::print_stderr, clippy::print_stdout)]

mod trail;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use trail::{Gzip, Settings, Trail};

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
";

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    let mut to: Option<PathBuf> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} wants a value"));
        match flag.as_str() {
            "--to" => to = Some(value()?.into()),
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
    match to {
        Some(to) => write(settings, &to),
        None => {
            println!("{USAGE}");
            Ok(())
        }
    }
}

fn write(settings: Settings, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut gzip = Gzip::new();
    let (mut objects, mut events, mut gz_bytes, mut bytes) = (0_u64, 0, 0, 0);
    for object in Trail::new(settings) {
        let gz = gzip.compress(object.json.as_bytes());
        let path = to.join(&object.key);
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        fs::write(&path, &gz)?;
        objects += 1;
        events += object.events;
        gz_bytes += gz.len();
        bytes += object.json.len();
    }
    let ratio = bytes as f64 / gz_bytes.max(1) as f64;
    eprintln!(
        "{objects} objects, {events} events, {gz_bytes} bytes gzip, {bytes} bytes inflated, ratio {ratio:.1}"
    );
    Ok(())
}
