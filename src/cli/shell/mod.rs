//! Statements and commands, one after the other, from arguments, files and the prompt.
//!
//! ```text
//!  text ─▶ split ─┬─ statement ─▶ session (a task of its own) ─▶ batches ─▶ format ─▶ screen, pager, file
//!                 └─ \command ─▶ settings                                    └─ progress, time, errors ─▶ stderr
//! ```

/// The commands that start with a backslash.
mod commands;

/// What can come next where the cursor is.
mod complete;

/// Reads statements from a terminal.
mod editor;

/// Where the shell keeps its files.
mod folders;

/// Colours.
mod highlight;

/// Where rows go: the screen, a pager, a file.
mod output;

/// How far a query is, and what it took.
mod progress;

use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

use self::output::{FileOut, Screen, Size};
use self::progress::{Bar, Ran, Watched};
use super::lake::open_lake;
use super::ui;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::snapshot::Lake;
use crate::query::files::is_file;
use crate::query::lex::{Piece, split};
use crate::query::session::Running;
use crate::query::{Format, Look, Session, Written, format, point};

/// Files may include files, and a file itself by mistake.
const MOST_NESTED: usize = 16;

/// What can be changed while the shell runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How rows are written.
    pub format: Format,
    /// Whether tables are written with a field a line instead.
    pub expanded: bool,
    /// Whether the time a statement took is said.
    pub timing: bool,
    /// Whether long and wide results are handed to a pager.
    pub pager: bool,
    /// Whether it is shown how far a query is.
    pub progress: bool,
    /// Whether there are colours.
    pub color: bool,
    /// Whether cells that a spreadsheet would run are made text.
    pub no_formulas: bool,
    /// The most rows of a result.
    pub max_rows: Option<u64>,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    On,
    /// The user has had enough: `\q`, or nobody reads the rows.
    Quit,
}

/// Where queries run: threads of their own. A query may keep its threads busy for long without a pause, and then neither
/// Ctrl-C nor the clock would be noticed on them.
struct Queries(Option<Runtime>);

impl Queries {
    fn new() -> Result<Queries> {
        let runtime =
            Builder::new_multi_thread().enable_all().max_blocking_threads(16).thread_name("query").build();
        Ok(Queries(Some(runtime.map_err(|error| Error::failed("starting").caused_by(error))?)))
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs statements and commands.
pub struct Shell {
    session: Arc<Session>,
    queries: Queries,
    lake: Option<Lake>,
    /// Of the stores of lakes that are attached.
    lake_options: Vec<(String, String)>,
    settings: Settings,
    file: Option<FileOut>,
    /// Whether somebody types: then a statement can be cancelled, long results are paged, and errors end nothing.
    interactive: bool,
    size: Option<Size>,
    nested: usize,
    last: Option<Ran>,
    /// What was typed, in this session and before.
    past: Vec<String>,
}

impl Shell {
    /// A shell over a session, and the lake that it is of, if any. Lakes that are attached are reached with the same
    /// options.
    ///
    /// # Errors
    /// Where the system gives it no threads.
    pub fn new(
        session: Session,
        lake: Option<Lake>,
        lake_options: Vec<(String, String)>,
        settings: Settings,
    ) -> Result<Shell> {
        let session = Arc::new(session);
        Ok(Shell {
            session,
            queries: Queries::new()?,
            lake,
            lake_options,
            settings,
            file: None,
            interactive: false,
            size: editor::terminal_size(),
            nested: 0,
            last: None,
            past: Vec::new(),
        })
    }

    /// Writes rows to a file from here on, or to standard output again. What was written to a file before is complete.
    ///
    /// # Errors
    /// Where a file cannot be made.
    pub fn write_to(&mut self, file: Option<&Path>) -> Result<()> {
        if let Some(file) = self.file.take() {
            file.finish()?;
        }
        self.file = file.map(FileOut::create).transpose()?;
        Ok(())
    }

    /// Attaches a lake as `name.events`, or a file as the table `name`.
    ///
    /// # Errors
    /// Where there is none, or the name is taken.
    pub async fn attach(&self, name: &str, url: &str) -> Result<()> {
        if is_file(url) {
            return self.session.attach_file(name, url).await;
        }
        self.session.attach(name, &open_lake(url, &self.lake_options).await?)
    }

    /// Runs the statements and commands of a text, which is of the file `origin` where it has a name.
    ///
    /// # Errors
    /// The first that fails ends it; the rows of those before it have been written.
    pub async fn run(&mut self, text: &str, origin: Option<&Path>) -> Result<Flow> {
        for piece in split(text) {
            let done = self.piece(&piece).await;
            let done = done.map_err(|error| {
                let line = 1 + text[..piece.range.start].matches('\n').count();
                let error = if piece.is_command() { error } else { point(error, piece.text, line) };
                match origin {
                    Some(origin) => error.in_file(&origin.display().to_string()),
                    None => error,
                }
            });
            if done? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::On)
    }

    /// Reads statements and commands from the terminal and runs them, until the user has had enough.
    ///
    /// # Errors
    /// Where the terminal cannot be used. What a statement fails of is said, and ends nothing.
    pub async fn interact(&mut self) -> Result<()> {
        editor::interact(self).await
    }

    async fn piece(&mut self, piece: &Piece<'_>) -> Result<Flow> {
        if piece.is_command() {
            return Box::pin(self.command(piece.text)).await;
        }
        for statement in self.session.parse(piece.text)? {
            let session = self.session.clone();
            let rows = move || async move { session.start(statement).await };
            if self.answer(rows).await? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::On)
    }

    /// Runs the statements of a file.
    async fn include(&mut self, path: &Path) -> Result<Flow> {
        if self.nested == MOST_NESTED {
            return Err(Error::failed(format!("{} includes itself, or files nest too deep", path.display())));
        }
        let text = std::fs::read_to_string(path).context(|| format!("reading {}", path.display()))?;
        self.nested += 1;
        let done = Box::pin(self.run(&text, Some(path))).await;
        self.nested -= 1;
        done
    }

    /// Runs a question of the shell's own, and writes its rows as a user's.
    async fn ask(&mut self, sql: &str) -> Result<Flow> {
        let Some(statement) = self.session.parse(sql)?.pop() else { return Ok(Flow::On) };
        let session = self.session.clone();
        self.answer(move || async move { session.start(statement).await }).await
    }

    /// Writes the rows of what `start` starts.
    async fn answer<F>(&mut self, start: impl FnOnce() -> F + Send + 'static) -> Result<Flow>
    where
        F: Future<Output = Result<Running>> + Send,
    {
        let look = self.look()?;
        let requests = self.requests();
        let started = Instant::now();
        let watched = Watched::default();
        let shown = self.settings.progress && io::stderr().is_terminal();
        let bar = shown.then(|| Bar::after(Duration::from_secs(1), watched.clone()));
        let interactive = self.interactive;

        let queries = self.queries.handle();
        let work = async {
            let rows = spawned(&queries, start, watched.clone()).await?;
            self.write(&look, rows, bar).await
        };
        let written = if interactive {
            tokio::select! {
                written = work => written,
                _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Interrupted, "cancelled")),
            }
        } else {
            work.await
        };
        if matches!(&written, Err(error) if error.kind() == Kind::Interrupted) {
            // Some of its threads may not have noticed.
            self.queries = Queries::new()?;
        }
        let rows = match &written {
            Ok(Written::All(rows) | Written::Some(rows)) => Some(*rows),
            _ => None,
        };
        let requests = self.requests().zip(requests).map(|(after, before)| after.saturating_sub(before));
        let ran = Ran { took: watched.took(started), rows, read: watched.read(), requests };
        tracing::debug!(?ran, "a statement is done");
        if self.settings.timing && written.is_ok() {
            ui::say(&ran.line());
        }
        self.last = Some(ran);
        Ok(match written? {
            // A reader that left: at the prompt it was the pager.
            Written::Closed if !interactive => Flow::Quit,
            Written::Some(rows) if look.format != Format::Table => {
                ui::say(&format!("{rows} rows were written, and there are more (--max-rows)"));
                Flow::On
            }
            _ => Flow::On,
        })
    }

    async fn write(
        &mut self,
        look: &Look,
        rows: SendableRecordBatchStream,
        bar: Option<Bar>,
    ) -> Result<Written> {
        if let Some(file) = &mut self.file {
            let has_rows = !rows.schema().fields().is_empty();
            if has_rows && look.format.is_binary() && file.results > 0 {
                return Err(Error::failed(format!("a file of {} holds one result", look.format))
                    .hint("write each result to a file of its own: \\o FILE before its statement"));
            }
            file.results += u64::from(has_rows);
            return format::write(look, rows, &mut file.out).await;
        }
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            let mut out = BufWriter::with_capacity(64 * 1024, stdout);
            return format::write(look, rows, &mut out).await;
        }
        let pager = (self.interactive && self.settings.pager).then(output::pager).flatten();
        let mut screen = Screen::new(self.size, pager, bar);
        let written = format::write(look, rows, &mut screen).await;
        // Rows before an error are shown, and the pager is waited for.
        let finished = tokio::task::block_in_place(|| screen.finish());
        let written = written?;
        match finished {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Closed),
            Err(error) => Err(Error::failed("writing the result").caused_by(error)),
            Ok(()) => Ok(written),
        }
    }

    fn look(&self) -> Result<Look> {
        let format = if self.settings.expanded { Format::Record } else { self.settings.format };
        let to_terminal = self.file.is_none() && io::stdout().is_terminal();
        if format.is_binary() && to_terminal {
            return Err(Error::usage(format!("{format} is bytes, and nothing for a terminal"))
                .hint("write it to a file: -o FILE, or \\o FILE in the shell"));
        }
        let pages = self.interactive && self.settings.pager;
        Ok(Look {
            format,
            terminal_width: self.size.filter(|_| to_terminal).map(|size| size.width),
            scrolls: pages,
            no_formulas: self.settings.no_formulas,
            max_rows: self.settings.max_rows,
        })
    }

    /// The GET requests the lake's store has seen.
    fn requests(&self) -> Option<u64> {
        let lake = self.lake.as_ref()?;
        Some(lake.location().meter.get.load(std::sync::atomic::Ordering::Relaxed))
    }
}

/// The rows of a statement that runs in a task of its own, so that whoever waits for them can be interrupted. It ends
/// when nobody wants its rows any more.
async fn spawned<F>(
    queries: &Handle,
    start: impl FnOnce() -> F + Send + 'static,
    watched: Watched,
) -> Result<SendableRecordBatchStream>
where
    F: Future<Output = Result<Running>> + Send,
{
    let (started, schema) = tokio::sync::oneshot::channel();
    let (sender, mut batches) = mpsc::channel::<Result<RecordBatch, DataFusionError>>(2);
    let task = queries.spawn(async move {
        let mut rows = match start().await {
            Ok(Running { rows, progress }) => {
                watched.planned(progress);
                started.send(Ok(rows.schema())).ok();
                rows
            }
            Err(error) => {
                started.send(Err(error)).ok();
                return;
            }
        };
        while let Some(batch) = rows.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
        watched.ended();
    });
    let task = AbortOnDrop(task);
    let schema = schema.await.map_err(|_| Error::failed("the statement was given up"))??;
    let rows = futures::stream::poll_fn(move |context| {
        let _ends_with_the_rows = &task;
        batches.poll_recv(context)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
