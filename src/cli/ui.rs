//! What is said beside the rows. Nobody else writes to standard error, but the log; rows go to standard output.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::convert::Progress;
use crate::error::{Context, Error, Result};

/// How a run shows how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Show {
    /// A bar on a terminal, lines otherwise
    Auto,
    /// A line every ten seconds
    Plain,
    /// Nothing
    None,
}

/// Between two lines of plain progress.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Starts the log on standard error: warnings, with `-v` what was done, with `-vv` how; `-q` errors only. `RUST_LOG`
/// decides where it is set.
pub fn start_log(verbose: u8, quiet: bool) {
    // The table log's library warns of what is ordinary here: a commit that another writer was faster with.
    let level = match (quiet, verbose) {
        (true, _) => "error,deltalake_core=off",
        (false, 0) => "warn,deltalake_core=off",
        (false, 1) => "warn,deltalake_core=off,trailhouse=info",
        (false, 2) => "info,trailhouse=debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false);
    // Only a second start could fail, and then a log is there already.
    log.try_init().ok();
}

/// Says why a command ended early, and what to do about it.
pub fn print_error(error: &Error) {
    eprintln!("error: {}", error.chain());
    if let Some(lines) = error.excerpt_lines() {
        eprintln!("{lines}");
    }
    for hint in error.hints() {
        eprintln!("hint: {hint}");
    }
}

/// Says a status line.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// Writes to standard output; a reader that has gone away is no error.
///
/// # Errors
/// Where writing fails otherwise.
pub fn print_out(text: &[u8]) -> Result<()> {
    print_rows(text).map(drop)
}

/// Writes a report on standard output, as one JSON object.
///
/// # Errors
/// Where writing fails.
pub fn print_report(report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(report).context(|| "writing the report".into())?;
    print_out(format!("{text}\n").as_bytes())
}

/// Writes to standard output; `false` where the reader has gone away, so that more rows are of no use.
///
/// # Errors
/// Where writing fails otherwise.
pub fn print_rows(text: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::failed("writing to standard output").caused_by(error)),
    }
}

/// `1 object`, `12 345 objects` with separators as people read them.
pub fn counted(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", HumanCount(number))
}

/// Shows `progress` until the returned guard is dropped.
pub fn watch(progress: Arc<Progress>, show: Show) -> Watch {
    let bar = match show {
        Show::None => return Watch { task: None, bar: None },
        Show::Auto if std::io::stderr().is_terminal() => Some(ProgressBar::no_length()),
        Show::Auto | Show::Plain => None,
    };
    if let Some(bar) = &bar {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    }
    let shown = bar.clone();
    let task = tokio::spawn(async move {
        let started = Instant::now();
        let mut converting: Option<Instant> = None;
        let every = if shown.is_some() { Duration::from_millis(125) } else { PLAIN_EVERY };
        loop {
            tokio::time::sleep(every).await;
            let total = progress.bytes.load(Relaxed);
            if total > 0 && converting.is_none() {
                converting = Some(Instant::now());
            }
            match (&shown, converting) {
                (Some(bar), Some(since)) => draw(bar, &progress, since),
                (Some(bar), None) => {
                    bar.set_style(style("{spinner} listing: {msg} objects, {elapsed}"));
                    bar.set_message(HumanCount(progress.listed.load(Relaxed)).to_string());
                    bar.tick();
                }
                (None, since) => say(&line(&progress, since.unwrap_or(started))),
            }
        }
    });
    Watch { task: Some(task), bar }
}

/// Ends the progress when dropped.
pub struct Watch {
    task: Option<tokio::task::JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, progress: &Progress, since: Instant) {
    if bar.length().is_none() {
        bar.set_length(progress.bytes.load(Relaxed));
        bar.reset_eta();
        bar.set_style(style("{wide_bar} {bytes}/{total_bytes}  {msg}  ETA {eta}"));
    }
    bar.set_position(progress.bytes_done.load(Relaxed));
    bar.set_message(format!(
        "{}/{} objects  {} events/s",
        HumanCount(progress.objects_done.load(Relaxed)),
        HumanCount(progress.objects.load(Relaxed)),
        HumanCount(rate(progress, since)),
    ));
}

fn line(progress: &Progress, since: Instant) -> String {
    let (done, total) = (progress.objects_done.load(Relaxed), progress.objects.load(Relaxed));
    if total == 0 {
        return format!("listing: {} objects", HumanCount(progress.listed.load(Relaxed)));
    }
    format!(
        "converting: {} of {} objects, {} of {}, {} events, {} events/s",
        HumanCount(done),
        HumanCount(total),
        HumanBytes(progress.bytes_done.load(Relaxed)),
        HumanBytes(progress.bytes.load(Relaxed)),
        HumanCount(progress.records_done.load(Relaxed)),
        HumanCount(rate(progress, since)),
    )
}

fn rate(progress: &Progress, since: Instant) -> u64 {
    let seconds = since.elapsed().as_secs_f64().max(0.001);
    (progress.records_done.load(Relaxed) as f64 / seconds) as u64
}

/// How a bar is drawn.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
