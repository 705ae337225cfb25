//! Shows where in a statement an error is: the line, and a caret under the place.

use super::lex::{Token, TokenKind, tokens};
use crate::error::{Error, Place};

/// The most characters of a line that are shown.
const WIDEST: usize = 100;

/// The error with the line of `statement` that it is about. The statement's first line is line `first_line` of what the
/// user wrote.
pub fn point(error: Error, statement: &str, first_line: usize) -> Error {
    let tokens = tokens(statement);
    let Some(range) = error.place().and_then(|place| find(place, statement, &tokens)) else {
        return error;
    };
    let before = &statement[..range.start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = statement[line_start..].lines().next().unwrap_or_default();
    let column = statement[line_start..range.start].chars().count();
    let number = (first_line + before.matches('\n').count()).to_string();
    let length = statement[range.clone()].lines().next().unwrap_or_default().chars().count().max(1);

    // A long line is shown around the place only.
    let skipped = if column + length > WIDEST { column.saturating_sub(WIDEST / 2) } else { 0 };
    let shown: String = line.chars().skip(skipped).take(WIDEST).map(printable).collect();
    let carets = "^".repeat(length.min(WIDEST));
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(column - skipped);
    error.excerpt(format!("{gutter} |\n{number} | {shown}\n{gutter} | {indent}{carets}"))
}

fn find(place: &Place, statement: &str, tokens: &[Token<'_>]) -> Option<std::ops::Range<usize>> {
    match place {
        Place::End => {
            let last = tokens.iter().rfind(|token| !token.is_blank())?;
            Some(last.end()..last.end())
        }
        Place::Position { line, column } => {
            let line_start = match line.checked_sub(1)? {
                0 => 0,
                skipped => statement.match_indices('\n').nth(skipped - 1)?.0 + 1,
            };
            let rest = &statement[line_start..];
            let at = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
            let at = line_start + at;
            let token = tokens.iter().find(|token| token.start <= at && at < token.end());
            Some(token.map_or(at..at, |token| token.start..token.end()))
        }
        Place::Name(name) => find_name(name, tokens),
    }
}

/// Where a name is written, in whatever case, in quotes or not; `a.b` as a whole, else its last part.
fn find_name(name: &str, tokens: &[Token<'_>]) -> Option<std::ops::Range<usize>> {
    let parts: Vec<String> = name.split('.').map(bare).collect();
    let code: Vec<&Token<'_>> = tokens.iter().filter(|token| !token.is_blank()).collect();
    // A file's name has dots of its own.
    if let Some(token) = code.iter().find(|token| can_be_named(token) && bare(token.text) == bare(name)) {
        return Some(token.start..token.end());
    }
    for parts in [&parts[..], &parts[parts.len() - 1..]] {
        for (at, token) in code.iter().enumerate() {
            let mut end = at;
            let matches = parts.iter().enumerate().all(|(index, part)| {
                let Some(token) = code.get(at + 2 * index) else { return false };
                end = at + 2 * index;
                let dotted = index == 0 || code.get(at + 2 * index - 1).is_some_and(|token| token.is("."));
                dotted && can_be_named(token) && bare(token.text) == *part
            });
            if matches {
                return Some(token.start..code[end].end());
            }
        }
    }
    None
}

fn can_be_named(token: &Token<'_>) -> bool {
    // A file is named in a text.
    matches!(token.kind, TokenKind::Word | TokenKind::QuotedName | TokenKind::Parameter | TokenKind::Text)
}

fn bare(name: &str) -> String {
    name.trim_matches(['"', '`', '\'']).to_lowercase()
}

fn printable(char: char) -> char {
    if char.is_control() { ' ' } else { char }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointed(place: Place, statement: &str) -> String {
        let error = point(Error::failed("wrong at line 1, column 2").at(place), statement, 7);
        assert!(error.excerpt_lines().is_none() || error.chain() == "wrong");
        error.excerpt_lines().unwrap_or_default().to_owned()
    }

    fn named(name: &str, statement: &str) -> String {
        pointed(Place::Name(name.into()), statement)
    }

    #[test]
    fn a_name_is_found_as_it_was_written() {
        assert_eq!(named("b", "SELECT a,\n  B FROM t"), "  |\n8 |   B FROM t\n  |   ^");
        assert_eq!(
            named("useridentity.arn", "SELECT userIdentity.arn"),
            "  |\n7 | SELECT userIdentity.arn\n  |        ^^^^^^^^^^^^^^^^"
        );
        assert_eq!(
            named("events.b", "SELECT 'b c', \"b\""),
            "  |\n7 | SELECT 'b c', \"b\"\n  |               ^^^"
        );
        assert_eq!(named("a.csv", "FROM 'a.csv'"), "  |\n7 | FROM 'a.csv'\n  |      ^^^^^^^");
        assert_eq!(named("c", "SELECT /* c */ -- c\n 1"), "");
        assert_eq!(named("x", "SELECT é, x"), "  |\n7 | SELECT é, x\n  |           ^");
    }

    #[test]
    fn a_position_is_a_token() {
        let at = |line, column| Place::Position { line, column };
        assert_eq!(pointed(at(1, 1), "SELEC 1"), "  |\n7 | SELEC 1\n  | ^^^^^");
        assert_eq!(pointed(at(2, 2), "SELECT\n\t1 frm t"), "  |\n8 |  1 frm t\n  |  ^");
        assert_eq!(pointed(at(9, 9), "SELECT"), "");
        assert_eq!(
            pointed(Place::End, "SELECT a FROM -- b"),
            "  |\n7 | SELECT a FROM -- b\n  |              ^"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let shown = named("here", &format!("SELECT {} here", "a, ".repeat(100)));
        assert!(shown.lines().all(|line| line.chars().count() < WIDEST + 5), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].find("here"), lines[2].find('^'));
    }
}
