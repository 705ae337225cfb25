//! Reads statements from a terminal.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::HumanCount;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor, Helper};
use tokio::sync::Notify;

use super::complete::complete;
use super::highlight::colored;
use super::output::Size;
use super::{Flow, Shell, folders};
use crate::cli::ui;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::snapshot::Lake;
use crate::query::Session;
use crate::query::lex::split;
use crate::query::vocabulary::{Values, Vocabulary};

/// The most statements that are kept.
const HISTORY: usize = 10_000;

/// How long a completion waits for what is found out meanwhile.
const WAIT: Duration = Duration::from_secs(3);

const PROMPT: &str = "trailhouse> ";

/// Reads statements and commands from the terminal and runs them, until the user has had enough.
///
/// # Errors
/// Where the terminal cannot be used. What a statement fails of is said, and ends nothing.
pub(super) async fn interact(shell: &mut Shell) -> Result<()> {
    shell.interactive = true;
    let color = shell.settings.color;
    let known = Arc::new(Known::default());
    known.now().vocabulary = Arc::new(Vocabulary::without_tables(&shell.session));
    learn(&known, &shell.session);
    let loading = shell.lake.clone().map(|lake| tokio::spawn(load_values(lake, known.clone())));
    if loading.is_none() {
        known.set_values(Values::default());
    }
    let mut editor = Reader::open(known.clone(), color)?;
    // From here on Ctrl-C is noticed by whoever waits for it, and else does nothing: between two statements, too. It must be
    // so before a line is read, for the line editor puts back what it found.
    let mut ctrl_c = std::pin::pin!(tokio::signal::ctrl_c());
    let _not_yet = futures::poll!(ctrl_c.as_mut());
    shell.past = editor.past();
    shell.size = editor.size();
    greet(shell);

    let mut flow = start(shell).await;
    while flow == Flow::On {
        let line = tokio::task::block_in_place(|| editor.read());
        shell.size = editor.size();
        let line = match line {
            Ok(line) => line,
            // Ctrl-C, and a signal that stands for it, drops what was typed.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Error::failed("reading from the terminal").caused_by(error)),
        };
        if line.trim().is_empty() {
            continue;
        }
        if is_farewell(&line) {
            break;
        }
        editor.remember(&line);
        shell.past.push(line.clone());
        flow = run(shell, &line).await;
        learn(&known, &shell.session);
    }
    if let Some(loading) = loading {
        loading.abort();
    }
    shell.write_to(None)
}

/// Runs what was typed; says what it fails of.
async fn run(shell: &mut Shell, text: &str) -> Flow {
    match shell.run(text, None).await {
        Ok(flow) => flow,
        Err(error) if error.kind() == Kind::Interrupted => {
            ui::say("Cancelled");
            Flow::On
        }
        Err(error) => {
            ui::print_error(&error);
            Flow::On
        }
    }
}

/// Runs the user's own file of statements and commands, if there is one.
async fn start(shell: &mut Shell) -> Flow {
    let Some(rc) = folders::rc().filter(|rc| rc.is_file()) else { return Flow::On };
    match shell.include(&rc).await {
        Ok(flow) => flow,
        Err(error) => {
            ui::print_error(&error);
            Flow::On
        }
    }
}

fn greet(shell: &Shell) {
    let what = match &shell.lake {
        Some(lake) => {
            let (mut files, mut rows) = (0, 0);
            for file in lake.files().into_iter().flatten() {
                files += 1;
                rows += file.rows;
            }
            let (rows, files) = (HumanCount(rows), HumanCount(files));
            format!("{rows} events in {files} files, {}", lake.location().url)
        }
        None => "no lake; SELECT … FROM 'file.parquet' reads a file".to_owned(),
    };
    ui::say(&format!("trailhouse {}: {what}\n\\h shows help, \\d lists tables.", env!("CARGO_PKG_VERSION")));
}

/// What people type who come from elsewhere.
fn is_farewell(line: &str) -> bool {
    let line = line.trim().trim_end_matches(';').trim_end();
    ["quit", "exit"].iter().any(|word| line.eq_ignore_ascii_case(word))
}

/// Finds out what there is now: a statement may have made a view. Nobody waits for it but who completes.
fn learn(known: &Arc<Known>, session: &Arc<Session>) {
    known.now().learning += 1;
    let (known, session) = (known.clone(), session.clone());
    tokio::spawn(async move {
        let vocabulary = Vocabulary::of(&session).await;
        let mut now = known.now();
        now.vocabulary = Arc::new(vocabulary);
        now.learning -= 1;
        known.changed.notify_all();
    });
}

/// Looks for values once somebody types a text.
async fn load_values(lake: Lake, known: Arc<Known>) {
    known.wanted.notified().await;
    let from_log = lake.clone();
    let values = tokio::task::spawn_blocking(move || Values::of_log(&from_log)).await;
    let mut values = match values {
        Ok(Ok(values)) => values,
        _ => Values::default(),
    };
    match Values::of_newest_files(&lake).await {
        Ok(found) => values.merge(found),
        Err(error) => tracing::debug!("values to complete are not known: {}", error.chain()),
    }
    known.set_values(values);
}

/// What completion knows; it is found out while somebody types.
#[derive(Default)]
struct Known {
    now: Mutex<Words>,
    changed: Condvar,
    wanted: Notify,
}

#[derive(Default)]
struct Words {
    vocabulary: Arc<Vocabulary>,
    /// How many find out what the vocabulary is now.
    learning: usize,
    /// None while nobody has looked.
    values: Option<Arc<Values>>,
    /// Whether anybody looks.
    looking: bool,
}

impl Known {
    fn now(&self) -> MutexGuard<'_, Words> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_values(&self, values: Values) {
        self.now().values = Some(Arc::new(values));
        self.changed.notify_all();
    }

    fn vocabulary(&self) -> Arc<Vocabulary> {
        self.now().vocabulary.clone()
    }

    /// The vocabulary with what the last statement made, waited for a little.
    fn newest_vocabulary(&self) -> Arc<Vocabulary> {
        let waited = self.changed.wait_timeout_while(self.now(), WAIT, |now| now.learning > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.vocabulary.clone()
    }

    /// Starts to look for values, if nobody has.
    fn want_values(&self) {
        let mut now = self.now();
        if !now.looking {
            now.looking = true;
            self.wanted.notify_one();
        }
    }

    /// The values, waited for a little.
    fn values(&self) -> Arc<Values> {
        self.want_values();
        let waited = self.changed.wait_timeout_while(self.now(), WAIT, |now| now.values.is_none());
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        now.values.clone().unwrap_or_default()
    }
}

/// The line editor and its history.
struct Reader {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    prompt: (String, String),
}

impl Reader {
    fn open(known: Arc<Known>, color: bool) -> Result<Reader> {
        let config = Config::builder()
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .context(|| "setting up the line editor".to_owned())?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .build();
        let history = FileHistory::with_config(&config);
        let editor = Editor::with_history(config, history).context(|| "opening the terminal".to_owned())?;
        let styled = if color { format!("\x1b[1m{PROMPT}\x1b[0m") } else { PROMPT.to_owned() };
        let mut reader = Reader { editor, history: None, prompt: (PROMPT.to_owned(), styled) };
        reader.editor.set_helper(Some(Assistant { known, color, files: FilenameCompleter::new() }));
        if let Some(path) = folders::history() {
            match reader.load(&path) {
                Ok(()) => reader.history = Some(path),
                Err(error) => ui::print_error(
                    &Error::failed(format!("no history in {}", path.display())).caused_by(error),
                ),
            }
        }
        Ok(reader)
    }

    fn load(&mut self, path: &Path) -> rustyline::Result<()> {
        folders::make_private(path)?;
        self.editor.load_history(path)
    }

    fn read(&mut self) -> rustyline::Result<String> {
        self.editor.readline(&self.prompt)
    }

    /// Keeps a statement, at once: a session may end without being asked.
    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line);
        if let (Ok(true), Some(path)) = (added, &self.history)
            && let Err(error) = self.editor.append_history(path)
        {
            tracing::warn!("writing {}: {error}", path.display());
        }
    }

    fn past(&self) -> Vec<String> {
        self.editor.history().iter().cloned().collect()
    }

    fn size(&mut self) -> Option<Size> {
        let (width, height) = self.editor.dimensions()?;
        Some(Size { width: width.into(), height: height.into() })
    }
}

/// The size of the terminal that standard output is, for those who do not type.
pub(super) fn terminal_size() -> Option<Size> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let mut editor: Editor<(), _> = Editor::with_history(Config::default(), FileHistory::new()).ok()?;
    let (width, height) = editor.dimensions()?;
    Some(Size { width: width.into(), height: height.into() })
}

/// Helps whoever types.
struct Assistant {
    known: Arc<Known>,
    color: bool,
    files: FilenameCompleter,
}

impl Helper for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let open = split(text).last().is_some_and(|piece| !piece.ended);
        Ok(if open && !is_farewell(text) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if line.contains('\'') {
            self.known.want_values();
        }
        if !self.color {
            return Cow::Borrowed(line);
        }
        let words = self.known.vocabulary();
        let is_keyword = |word: &str| words.keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
        Cow::Owned(colored(line, is_keyword))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.color && kind != CmdKind::MoveCursor
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let words = self.known.newest_vocabulary();
        // Only in a text are values asked for.
        let values = if line[..cursor].contains('\'') { self.known.values() } else { Arc::default() };
        let found = complete(line, cursor, &words, &values);
        if found.is_path {
            let (at, paths) = self.files.complete_path(&line[found.start..cursor], cursor - found.start)?;
            return Ok((found.start + at, paths));
        }
        let pairs = found.candidates.into_iter().map(|(display, replacement)| Pair { display, replacement });
        Ok((found.start, pairs.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_waited_for_by_whoever_completes_first() {
        let known = Arc::new(Known::default());
        let other = known.clone();
        let finder = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            let mut values = Values::default();
            values.extend("event_name", ["GetUser".to_owned()]);
            other.set_values(values);
        });
        assert_eq!(known.values().of_column("event_name").collect::<Vec<_>>(), ["GetUser"]);
        assert!(known.now().looking);
        finder.join().unwrap();
    }

    #[test]
    fn quit_and_exit_are_no_statements() {
        assert!(is_farewell("quit") && is_farewell(" EXIT; "));
        assert!(!is_farewell("SELECT 1;") && !is_farewell("exits"));
    }
}
