//! The commands that start with a backslash.

use std::path::{Path, PathBuf};

use super::{Flow, Shell};
use crate::cli::sql::parse_attached;
use crate::cli::ui;
use crate::error::{Error, Result};
use crate::query::Format;
use crate::query::session::{quote_name, quote_text};

/// One command, for help and completion.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// What it takes, as help shows it.
    pub(super) takes: &'static str,
    /// What it does.
    pub(super) does: &'static str,
}

/// Every command, in the order of help.
pub(super) const COMMANDS: [Entry; 15] = [
    Entry { name: "\\d", takes: "[TABLE]", does: "List tables, or the columns of one" },
    Entry { name: "\\df", takes: "[WORD]", does: "List functions, or those with the word in their name" },
    Entry { name: "\\x", takes: "[on|off]", does: "One field a line, JSON laid out" },
    Entry { name: "\\format", takes: "[NAME]", does: "Write rows in this format" },
    Entry { name: "\\o", takes: "[FILE]", does: "Write rows to this file; alone, to the screen again" },
    Entry { name: "\\i", takes: "FILE", does: "Run the statements in this file" },
    Entry {
        name: "\\set",
        takes: "[NAME VALUE]",
        does: "Give the parameter $NAME a value; alone, list them",
    },
    Entry { name: "\\attach", takes: "NAME=URL", does: "Attach a lake as NAME.events, or a file as NAME" },
    Entry { name: "\\timing", takes: "[on|off]", does: "Say what a statement took and read" },
    Entry { name: "\\stats", takes: "", does: "Say all that is known of the last statement" },
    Entry { name: "\\pager", takes: "[on|off]", does: "Hand long and wide results to a pager" },
    Entry { name: "\\history", takes: "[WORD]", does: "List past statements, or those with the word" },
    Entry { name: "\\h", takes: "", does: "Show this help" },
    Entry { name: "\\?", takes: "", does: "The same" },
    Entry { name: "\\q", takes: "", does: "Quit; Ctrl-D does, too" },
];

/// A command that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Describe(Option<String>),
    Functions(Option<String>),
    Expanded(Option<bool>),
    Format(Option<Format>),
    Output(Option<PathBuf>),
    Include(PathBuf),
    Attach(String, String),
    Set(Option<(String, String)>),
    Timing(Option<bool>),
    Stats,
    Pager(Option<bool>),
    History(Option<String>),
    Help,
    Quit,
}

impl Command {
    fn parse(line: &str) -> Result<Command> {
        // As after a statement, a `;` at the end is no part of it.
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let word = || (!rest.is_empty()).then(|| unquoted(rest));
        let path = || word().map(|word| home(&word));
        let switch = || match rest.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "on" => Ok(Some(true)),
            "off" => Ok(Some(false)),
            _ => Err(Error::usage(format!("{name} is on or off, not {rest}"))),
        };
        Ok(match name {
            "\\d" | "\\dt" => Command::Describe((!rest.is_empty()).then(|| rest.to_owned())),
            "\\df" => Command::Functions(word()),
            "\\x" => Command::Expanded(switch()?),
            "\\format" => Command::Format(word().map(|word| named(&word)).transpose()?),
            "\\o" => Command::Output(path()),
            "\\i" => Command::Include(path().ok_or_else(|| Error::usage("\\i needs a file"))?),
            "\\attach" => {
                let (name, url) =
                    parse_attached(rest).map_err(|why| Error::usage(format!("\\attach: {why}")))?;
                Command::Attach(name, unquoted(&url))
            }
            "\\set" if rest.is_empty() => Command::Set(None),
            "\\set" => match rest.split_once(char::is_whitespace) {
                Some((name, value)) => {
                    let name = name.trim_start_matches('$').to_owned();
                    Command::Set(Some((name, unquoted(value.trim()))))
                }
                None => return Err(Error::usage("\\set needs a name and a value")),
            },
            "\\timing" => Command::Timing(switch()?),
            "\\stats" => Command::Stats,
            "\\pager" => Command::Pager(switch()?),
            "\\history" | "\\s" => Command::History(word()),
            "\\h" | "\\?" | "\\help" => Command::Help,
            "\\q" | "\\quit" if rest.is_empty() => Command::Quit,
            _ => return Err(Error::usage(format!("there is no command {name}")).hint("\\h lists them")),
        })
    }
}

fn named(name: &str) -> Result<Format> {
    Format::named(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        Error::usage(format!("there is no format {name}")).hint(format!("there are {}", names.join(", ")))
    })
}

/// What stands between quotes, or all of it.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("''", "'"))
}

/// A path whose `~` is the home folder, as everywhere else where paths are typed.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

impl Shell {
    /// Runs a command.
    pub(super) async fn command(&mut self, line: &str) -> Result<Flow> {
        match Command::parse(line)? {
            Command::Describe(None) => {
                return self
                    .ask(
                        "SELECT CASE table_schema WHEN 'public' THEN table_name ELSE table_schema || '.' || table_name \
                         END AS name, CASE table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END AS kind \
                         FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY 1",
                    )
                    .await;
            }
            Command::Describe(Some(table)) if table.eq_ignore_ascii_case("events") && self.lake.is_some() => {
                return self.ask("SELECT name, type, description FROM columns").await;
            }
            Command::Describe(Some(table)) => {
                let described = self.ask(&format!("DESCRIBE {table}")).await;
                return described.map_err(|error| crate::query::point(error, line, 1));
            }
            Command::Functions(word) => {
                let like = quote_text(&format!("%{}%", word.unwrap_or_default().to_lowercase()));
                let sql = format!(
                    "SELECT routine_name AS {}, min(syntax_example) AS usage, min(description) AS description \
                     FROM information_schema.routines WHERE routine_name LIKE {like} GROUP BY 1 ORDER BY 1",
                    quote_name("function")
                );
                return self.ask(&sql).await;
            }
            Command::Expanded(on) => {
                self.settings.expanded = on.unwrap_or(!self.settings.expanded);
                self.tell("One field a line", self.settings.expanded);
            }
            Command::Format(Some(format)) => {
                self.settings.format = format;
                self.settings.expanded = false;
            }
            Command::Format(None) => {
                let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
                ui::say(&format!("The format is {}, of {}", self.settings.format, names.join(", ")));
            }
            Command::Output(path) => self.write_to(path.as_deref())?,
            Command::Include(path) => return self.include(&path).await,
            Command::Attach(name, url) => self.attach(&name, &url).await?,
            Command::Set(Some((name, value))) => self.session.set_param(&name, &value),
            Command::Set(None) => {
                for (name, value) in self.session.params().iter() {
                    ui::say(&format!("${name} = {}", quote_text(value)));
                }
            }
            Command::Timing(on) => {
                self.settings.timing = on.unwrap_or(!self.settings.timing);
                self.tell("Timing", self.settings.timing);
            }
            Command::Stats => match &self.last {
                Some(ran) => ran.lines().iter().for_each(|line| ui::say(line)),
                None => ui::say("No statement has run yet"),
            },
            Command::Pager(on) => {
                self.settings.pager = on.unwrap_or(!self.settings.pager);
                self.tell("Pager", self.settings.pager);
            }
            Command::History(word) => {
                let word = word.unwrap_or_default().to_lowercase();
                for statement in self.past.iter().filter(|past| past.to_lowercase().contains(&word)) {
                    ui::say(statement);
                }
            }
            Command::Help => ui::say(&help()),
            Command::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::On)
    }

    /// Says how a setting is now, to whoever typed the command.
    fn tell(&self, what: &str, on: bool) {
        if self.interactive && self.nested == 0 {
            ui::say(&format!("{what} is {}", if on { "on" } else { "off" }));
        }
    }
}

fn help() -> String {
    let mut text = String::from(
        "A statement ends with `;`. Tab completes names, functions and values; Ctrl-R searches past statements;\nCtrl-C cancels.\n",
    );
    for Entry { name, takes, does } in &COMMANDS {
        let command = format!("{name} {takes}");
        text += &format!("\n  {command:<20} {does}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn commands_take_what_help_says() {
        assert_eq!(parsed("\\d"), Command::Describe(None));
        assert_eq!(parsed("\\d events;"), Command::Describe(Some("events".into())));
        assert_eq!(parsed("\\x"), Command::Expanded(None));
        assert_eq!(parsed("\\timing  OFF"), Command::Timing(Some(false)));
        assert_eq!(parsed("\\format ndjson"), Command::Format(Some(Format::Ndjson)));
        assert_eq!(parsed("\\o it's here.csv"), Command::Output(Some("it's here.csv".into())));
        assert_eq!(parsed("\\o 'a;b.csv'"), Command::Output(Some("a;b.csv".into())));
        assert_eq!(parsed("\\o"), Command::Output(None));
        assert_eq!(parsed("\\set $key 'AKIA X'"), Command::Set(Some(("key".into(), "AKIA X".into()))));
        assert_eq!(parsed("\\attach old=s3://b/l/;"), Command::Attach("old".into(), "s3://b/l/".into()));
        assert_eq!(parsed("\\q"), Command::Quit);
        for Entry { name, takes, .. } in &COMMANDS {
            let line = if takes.starts_with('[') || takes.is_empty() {
                (*name).to_owned()
            } else {
                format!("{name} x=y")
            };
            parsed(&line);
            assert!(help().contains(name));
        }
    }

    #[test]
    fn a_wrong_command_is_answered_with_the_right_ones() {
        let said = |line: &str| {
            let error = Command::parse(line).unwrap_err();
            format!("{} | {}", error.chain(), error.hints().join(""))
        };
        assert_eq!(said("\\nope x"), "there is no command \\nope | \\h lists them");
        assert!(said("\\format xml").contains("there are table, csv"));
        assert!(said("\\timing maybe").contains("on or off"));
        assert!(said("\\i").contains("needs a file"));
        assert!(said("\\q top").contains("no command"));
    }
}
