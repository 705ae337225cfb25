//! How far a query is, and what it took.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget};

use crate::cli::ui;
use crate::query::progress::{Kept, QueryProgress, QueryRead};

/// A query that may be planned still.
#[derive(Clone, Default)]
pub(super) struct Watched(Arc<Moments>);

#[derive(Default)]
struct Moments {
    planned: OnceLock<QueryProgress>,
    ended: OnceLock<Instant>,
}

impl Watched {
    pub(super) fn planned(&self, progress: QueryProgress) {
        self.0.planned.set(progress).ok();
    }

    /// It has given its last row, which somebody may read for long.
    pub(super) fn ended(&self) {
        self.0.ended.set(Instant::now()).ok();
    }

    /// What it has read so far, once it is planned.
    pub(super) fn read(&self) -> Option<QueryRead> {
        self.0.planned.get().map(QueryProgress::read)
    }

    /// How long it has taken since `started`.
    pub(super) fn took(&self, started: Instant) -> Duration {
        self.0.ended.get().map_or_else(|| started.elapsed(), |ended| ended.duration_since(started))
    }
}

/// A bar on standard error, until it is dropped.
pub(super) struct Bar {
    /// Whether it may still be drawn; held while it is.
    shown: Arc<Mutex<Option<ProgressBar>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Bar {
    /// A bar that is not shown before so much time has passed.
    pub(super) fn after(wait: Duration, watched: Watched) -> Bar {
        let shown =
            Arc::new(Mutex::new(Some(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()))));
        let drawn = shown.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            tokio::time::sleep(wait).await;
            let mut visible = false;
            loop {
                {
                    let bar = drawn.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(bar) = bar.as_ref() else { return };
                    draw(bar, watched.read(), started);
                    if !visible {
                        // Not before there is something to draw.
                        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
                        visible = true;
                    }
                    bar.tick();
                }
                tokio::time::sleep(Duration::from_millis(125)).await;
            }
        });
        Bar { shown, task }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = self.shown.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, read: Option<QueryRead>, started: Instant) {
    let seconds = started.elapsed().as_secs();
    match read {
        Some(read) if read.planned_files > 0 => {
            bar.set_style(ui::style("{wide_bar} {msg}"));
            bar.set_length(read.planned_files);
            bar.set_position(read.done_files);
            bar.set_message(format!(
                "{} of {} files  {}  {} rows  {seconds} s",
                HumanCount(read.done_files),
                HumanCount(read.planned_files),
                HumanBytes(read.read_bytes),
                HumanCount(read.rows),
            ));
        }
        read => {
            bar.set_style(ui::style("{spinner} {msg}"));
            let doing = if read.is_some() { "running" } else { "planning" };
            bar.set_message(format!("{doing}  {seconds} s"));
        }
    }
}

/// A statement that has run.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub(super) took: Duration,
    /// The rows it answered, where it answered all of them.
    pub(super) rows: Option<u64>,
    pub(super) read: Option<QueryRead>,
    /// GET requests to the lake's store.
    pub(super) requests: Option<u64>,
}

impl Ran {
    /// What it took, in a line.
    pub(super) fn line(&self) -> String {
        let mut line = format!("Time: {}", seconds(self.took));
        if let Some(read) = self.read.filter(|read| read.files > 0) {
            let files = if read.files == 1 { "file" } else { "files" };
            line += &format!("; read {} of {} {files}", HumanCount(read.read_files), HumanCount(read.files));
            // Only of Parquet is it known how much was read.
            if read.read_bytes > 0 || read.read_files == 0 {
                line += &format!(", {} of {}", HumanBytes(read.read_bytes), HumanBytes(read.bytes));
            }
        }
        line
    }

    /// All that is known of it, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("Time        {}", seconds(self.took))];
        if let Some(rows) = self.rows {
            lines.push(format!("Rows        {}", HumanCount(rows)));
        }
        let Some(read) = self.read else { return lines };
        let kept =
            |kept: Kept| format!("{} read, {} left out", HumanCount(kept.read), HumanCount(kept.pruned));
        lines.push(format!(
            "Files       {} read of {}; {} left out before the query began",
            HumanCount(read.read_files),
            HumanCount(read.files),
            HumanCount(read.files - read.planned_files),
        ));
        lines.push(format!("Bytes       {} read of {}", HumanBytes(read.read_bytes), HumanBytes(read.bytes)));
        lines.push(format!("Row groups  {}", kept(read.row_groups)));
        lines.push(format!("Pages       {}", kept(read.pages)));
        lines.push(format!("Looked at   {} rows", HumanCount(read.rows)));
        if let Some(requests) = self.requests {
            lines.push(format!("Requests    {} GET", HumanCount(requests)));
        }
        if read.spilled_bytes > 0 {
            lines.push(format!("Spilled     {} to temporary files", HumanBytes(read.spilled_bytes)));
        }
        lines
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.3} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_what_there_is() {
        let read = QueryRead {
            files: 1200,
            bytes: 3 << 30,
            read_files: 2,
            read_bytes: 1 << 20,
            ..Default::default()
        };
        let mut ran =
            Ran { took: Duration::from_millis(1500), rows: Some(3), read: Some(read), requests: None };
        assert_eq!(ran.line(), "Time: 1.500 s; read 2 of 1,200 files, 1.00 MiB of 3.00 GiB");
        ran.read = Some(QueryRead::default());
        assert_eq!(ran.line(), "Time: 1.500 s");
        assert!(ran.lines()[1].contains("3"));
    }
}
