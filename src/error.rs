//! What a user is told when something ends a command: one message, its causes, and what to do about it.
//!
//! Bad input is not an error: it is counted and kept (see `convert::report`), and the command goes on.

use std::error::Error as StdError;
use std::fmt;

/// The result of anything that can end a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command ended early; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line, a URL or a setting is wrong; nothing was tried.
    Usage,
    /// Something was tried and failed; nothing further was committed.
    Failed,
    /// The user stopped it (Ctrl-C, SIGTERM); the lake holds what the last commit left.
    Interrupted,
}

/// An error for the person who reads it: what was being done, why it failed, and hints on what to do.
///
/// Messages are lower-case without a full stop, so that `message: cause: cause` reads as one line.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hints: Vec<String>,
    place: Option<Box<Place>>,
    excerpt: Option<String>,
}

/// Where in a statement an error is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At a line and a column of the text that was parsed, both from 1.
    Position {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// Behind the text's last token.
    End,
    /// Wherever this name is written.
    Name(String),
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, hints: Vec::new(), place: None, excerpt: None }
    }

    /// The user asked for something that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Kind::Usage, message)
    }

    /// Something that was tried failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::new(Kind::Failed, message)
    }

    /// The same error with what caused it.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with one more line of advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error, about a place in a statement.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// The same error, about a name in a statement.
    pub fn at_name(self, name: impl Into<String>) -> Self {
        self.at(Place::Name(name.into()))
    }

    /// The same error with the lines of text that show its place. The message need not say it then.
    pub fn excerpt(mut self, lines: String) -> Self {
        if let Some((message, _)) = self.message.rsplit_once(" at line ") {
            self.message = message.to_owned();
        }
        self.excerpt = Some(lines);
        self
    }

    /// The same error with the file above the lines that show its place, or before the message.
    pub fn in_file(mut self, file: &str) -> Self {
        match &mut self.excerpt {
            Some(lines) => *lines = format!("--> {file}\n{lines}"),
            None => self.message = format!("{file}: {}", self.message),
        }
        self
    }

    /// The place in a statement that it is about.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// The lines that show its place.
    pub fn excerpt_lines(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    /// Why the command ended.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The lines of advice, in the order they were added; those of a causing [`Error`] come after its effect's.
    pub fn hints(&self) -> Vec<&str> {
        let mut hints: Vec<&str> = self.hints.iter().map(String::as_str).collect();
        if let Some(inner) = self.source.as_deref().and_then(|source| source.downcast_ref::<Error>()) {
            hints.extend(inner.hints());
        }
        hints
    }

    /// The message and every cause, joined by `: `, a cause that only repeats what was said left out.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause: Option<&(dyn StdError + 'static)> = self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }

    /// The process exit code: 2 usage, 1 failed, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Failed => 1,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Says what was being done when something failed.
pub trait Context<T> {
    /// Turns the error into one of kind [`Kind::Failed`] (an [`Error`] keeps its kind) whose message is `message()`.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            let kind = source.downcast_ref::<Error>().map_or(Kind::Failed, Error::kind);
            Error::new(kind, message()).caused_by(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_each_thing_once_and_keeps_kind_and_hints() {
        let inner = Error::usage("no bucket named \"x\"").hint("check the name");
        let outer = Err::<(), _>(inner).context(|| "opening s3://x/".into()).unwrap_err();
        assert_eq!(outer.chain(), "opening s3://x/: no bucket named \"x\"");
        assert_eq!(outer.kind(), Kind::Usage);
        assert_eq!(outer.hints(), ["check the name"]);
        assert_eq!(outer.exit_code(), 2);
    }
}
