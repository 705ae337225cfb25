//! Colours.

use crate::query::lex::{Token, TokenKind, split, tokens};

const KEYWORD: &str = "\x1b[1;34m";
const FUNCTION: &str = "\x1b[36m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[35m";
const PARAMETER: &str = "\x1b[33m";
const COMMENT: &str = "\x1b[2m";
const COMMAND: &str = "\x1b[1;35m";
const END: &str = "\x1b[0m";

/// The text in colours, of the same width.
pub(super) fn colored(text: &str, is_keyword: impl Fn(&str) -> bool) -> String {
    let mut colored = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for piece in split(text).iter().filter(|piece| piece.is_command()) {
        statements(&text[done..piece.range.start], &is_keyword, &mut colored);
        let name = piece.text.find(char::is_whitespace).unwrap_or(piece.text.len());
        paint(COMMAND, &piece.text[..name], &mut colored);
        colored.push_str(&piece.text[name..]);
        done = piece.range.end;
    }
    statements(&text[done..], &is_keyword, &mut colored);
    colored
}

fn statements(text: &str, is_keyword: &impl Fn(&str) -> bool, out: &mut String) {
    let tokens = tokens(text);
    for (at, token) in tokens.iter().enumerate() {
        match color(token, tokens.get(at + 1), is_keyword) {
            Some(color) => paint(color, token.text, out),
            None => out.push_str(token.text),
        }
    }
}

fn color(
    token: &Token<'_>,
    next: Option<&Token<'_>>,
    is_keyword: &impl Fn(&str) -> bool,
) -> Option<&'static str> {
    match token.kind {
        TokenKind::Word if is_keyword(token.text) => Some(KEYWORD),
        TokenKind::Word if next.is_some_and(|next| next.is("(")) => Some(FUNCTION),
        TokenKind::Text => Some(TEXT),
        TokenKind::Number => Some(NUMBER),
        TokenKind::Parameter => Some(PARAMETER),
        TokenKind::Comment => Some(COMMENT),
        _ => None,
    }
}

fn paint(color: &str, text: &str, out: &mut String) {
    // Each line by itself: what is drawn between lines is not part of it.
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if !line.is_empty() {
            out.push_str(color);
            out.push_str(line);
            out.push_str(END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
    }

    #[test]
    fn colours_change_no_character() {
        for text in [
            "SELECT count(*), 'a;\nb' -- c\nFROM t WHERE x = $p AND n > 1.5;",
            "\\d events\nSELECT 'ü",
            "\\format csv",
            "",
            "/* a\nb */ select \"é\"",
        ] {
            let colored = colored(text, |word| ["SELECT", "FROM", "WHERE"].contains(&word));
            assert_eq!(plain(&colored), text);
            for line in colored.split('\n') {
                assert_eq!(line.matches('\x1b').count() % 2, 0, "{line:?}");
            }
        }
        assert_eq!(
            colored("SELECT f(1)", |word| word == "SELECT"),
            "\x1b[1;34mSELECT\x1b[0m \x1b[36mf\x1b[0m(\x1b[35m1\x1b[0m)"
        );
        assert_eq!(colored("\\d t", |_| false), "\x1b[1;35m\\d\x1b[0m t");
    }
}
