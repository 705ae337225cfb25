//! SQL text as far as an editor needs it: tokens, and where a statement ends. Whether it is right, the parser says.

use std::ops::Range;

/// What a piece of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or a name.
    Word,
    /// A name in quotes: `"…"`, `` `…` ``.
    QuotedName,
    /// A text: `'…'`, `E'…'`, `$$…$$`, `$tag$…$tag$`.
    Text,
    /// A number.
    Number,
    /// A parameter, `$name`.
    Parameter,
    /// A comment, to the end of the line or in `/* */`.
    Comment,
    /// Blanks and ends of lines.
    Space,
    /// Anything else, one character a token, but `::`, `->` and `->>` as one.
    Symbol,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// The piece itself, quotes included.
    pub text: &'a str,
    /// Where it starts, in bytes.
    pub start: usize,
    /// Whether what it opens is closed: a quote, a comment.
    pub closed: bool,
}

impl Token<'_> {
    /// Where it ends, in bytes.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this word, in whatever case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this symbol.
    pub fn is(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Whether a parser would pass over it.
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }
}

/// The tokens of a text. Joined they are the text.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let (kind, length, closed) = first(rest);
        tokens.push(Token { kind, text: &rest[..length], start, closed });
        start += length;
    }
    tokens
}

/// One statement, or one command of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text, without the `;` and the blanks around it.
    pub text: &'a str,
    /// Where it is in the text.
    pub range: Range<usize>,
    /// Whether it is ended: a statement by `;`, a command by the end of its line.
    pub ended: bool,
}

impl Piece<'_> {
    /// Whether it is a command of the shell.
    pub fn is_command(&self) -> bool {
        self.text.starts_with('\\')
    }
}

/// The statements and commands of a text; a command starts with `\` where a statement could start, and is one line. A
/// `;` in a text, a quoted name or a comment ends nothing.
pub fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    'pieces: while from < text.len() {
        let mut first: Option<usize> = None;
        let mut last = from;
        // Tokens are read anew for every piece, for a command is not made of tokens.
        let rest = &text[from..];
        let mut at = 0;
        while at < rest.len() {
            let (kind, length, closed) = self::first(&rest[at..]);
            let token = Token { kind, text: &rest[at..at + length], start: from + at, closed };
            if first.is_none() && token.is("\\") {
                let line = rest[at..].find('\n').map_or(rest.len(), |end| at + end);
                let command = rest[at..line].trim_end();
                let start = from + at;
                pieces.push(Piece { text: command, range: start..start + command.len(), ended: true });
                from += line;
                continue 'pieces;
            }
            at += length;
            if token.is(";") {
                if let Some(first) = first {
                    pieces.push(Piece { text: &text[first..last], range: first..last, ended: true });
                }
                from += at;
                continue 'pieces;
            }
            if !token.is_blank() || !token.closed {
                first.get_or_insert(token.start);
                last = token.end();
            }
        }
        if let Some(first) = first {
            pieces.push(Piece { text: &text[first..last], range: first..last, ended: false });
        }
        break;
    }
    pieces
}

/// The first token of a text that is not empty: its kind, its length, and whether it is closed.
fn first(text: &str) -> (TokenKind, usize, bool) {
    let mut chars = text.chars();
    let char = chars.next().unwrap_or_default();
    let next = chars.next();
    match char {
        char if char.is_whitespace() => (TokenKind::Space, run(text, char::is_whitespace), true),
        '-' if next == Some('-') => (TokenKind::Comment, text.find('\n').unwrap_or(text.len()), true),
        '/' if next == Some('*') => {
            let (length, closed) = block_comment(text);
            (TokenKind::Comment, length, closed)
        }
        '\'' => quoted(TokenKind::Text, text, '\'', 1, false),
        'e' | 'E' if next == Some('\'') => quoted(TokenKind::Text, text, '\'', 2, true),
        '"' | '`' => quoted(TokenKind::QuotedName, text, char, 1, false),
        '$' => dollar(text),
        char if char.is_ascii_digit() => {
            (TokenKind::Number, run(text, |char| char.is_ascii_alphanumeric() || char == '.'), true)
        }
        char if is_name(char) => (TokenKind::Word, run(text, |char| is_name(char) || char == '$'), true),
        _ => {
            let joined = ["->>", "->", "::"].iter().find(|symbol| text.starts_with(**symbol));
            (TokenKind::Symbol, joined.map_or(char.len_utf8(), |symbol| symbol.len()), true)
        }
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|char| !belongs(char)).unwrap_or(text.len())
}

/// What stands in quotes, where a doubled quote is one of the contents; and after a backslash any, if `escapes`.
fn quoted(kind: TokenKind, text: &str, quote: char, from: usize, escapes: bool) -> (TokenKind, usize, bool) {
    let mut chars = text[from..].char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if escapes && char == '\\' {
            chars.next();
        } else if char == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return (kind, from + at + quote.len_utf8(), true);
            }
        }
    }
    (kind, text.len(), false)
}

/// Comments nest, as PostgreSQL's do.
fn block_comment(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return (at, true);
                }
            }
            _ => at += 1,
        }
    }
    (text.len(), false)
}

/// What starts with a dollar: a parameter, or a text between two equal tags.
fn dollar(text: &str) -> (TokenKind, usize, bool) {
    let name = 1 + run(&text[1..], is_name);
    if !text[name..].starts_with('$') || text[1..].starts_with(|char: char| char.is_ascii_digit()) {
        return if name > 1 { (TokenKind::Parameter, name, true) } else { (TokenKind::Symbol, 1, true) };
    }
    let tag = &text[..=name];
    match text[tag.len()..].find(tag) {
        Some(at) => (TokenKind::Text, tag.len() + at + tag.len(), true),
        None => (TokenKind::Text, text.len(), false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|piece| piece.text).collect()
    }

    fn is_open(text: &str) -> bool {
        split(text).last().is_some_and(|piece| !piece.ended)
    }

    #[test]
    fn a_semicolon_ends_a_statement_but_in_texts_names_and_comments() {
        for (text, expected) in [
            ("SELECT 1; SELECT 2", &["SELECT 1", "SELECT 2"][..]),
            ("SELECT 'a;b', 'it''s;'; x", &["SELECT 'a;b', 'it''s;'", "x"]),
            (r"SELECT E'it\'s;'; x", &[r"SELECT E'it\'s;'", "x"]),
            (r"SELECT 'a\'; x", &[r"SELECT 'a\'", "x"]),
            ("SELECT \"a;\"\"b\" FROM `t;`;", &["SELECT \"a;\"\"b\" FROM `t;`"]),
            ("SELECT $$a;b$$, $x$;$$;$x$; x", &["SELECT $$a;b$$, $x$;$$;$x$", "x"]),
            ("SELECT $a; SELECT $1 ; x", &["SELECT $a", "SELECT $1", "x"]),
            ("SELECT 1 -- it's; so\n, 2; x", &["SELECT 1 -- it's; so\n, 2", "x"]),
            ("SELECT /* ; /* ; */ ' ; */ 1; x", &["SELECT /* ; /* ; */ ' ; */ 1", "x"]),
            (";; -- nothing\n;/* ; */", &[]),
            ("-- first\nSELECT 1; -- last", &["SELECT 1"]),
            ("SELECT a->>'b;', 1::int;", &["SELECT a->>'b;', 1::int"]),
            ("SELECT 'ü;é';ü", &["SELECT 'ü;é'", "ü"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_is_a_line_where_a_statement_could_start() {
        let text = "\\timing\n\\o it's.csv ; x\nSELECT 1;\\x\nSELECT '\\d';\n  \\q";
        assert_eq!(pieces(text), ["\\timing", "\\o it's.csv ; x", "SELECT 1", "\\x", "SELECT '\\d'", "\\q"]);
        assert!(split("\\d events")[0].is_command() && split("\\d events")[0].ended);
        assert_eq!(pieces("SELECT 1\n\\d;"), ["SELECT 1\n\\d"]);
    }

    #[test]
    fn what_is_open_waits_for_more() {
        for open in
            ["SELECT 1", "SELECT 'a;", "SELECT \"a;", "SELECT $$;", "SELECT 1 /* ; ", "/* ;", "SELECT E'\\';"]
        {
            assert!(is_open(open), "{open}");
        }
        for ended in ["SELECT 1;", "SELECT 1; -- done", "", "-- nothing", "\\d", "SELECT 1; /* done */ "] {
            assert!(!is_open(ended), "{ended}");
        }
    }

    #[test]
    fn tokens_have_kinds() {
        let kinds: Vec<_> = tokens("a1 \"b\" 'c' 1.5e3 $p -- d")
            .into_iter()
            .filter(|token| token.kind != TokenKind::Space)
            .map(|token| token.kind)
            .collect();
        use TokenKind::*;
        assert_eq!(kinds, [Word, QuotedName, Text, Number, Parameter, Comment]);
    }

    proptest! {
        #[test]
        fn no_text_is_lost(text in "[a-z'\"`$;/*\\\\ \n-é1.>:]{0,40}") {
            let joined: String = tokens(&text).iter().map(|token| token.text).collect();
            prop_assert_eq!(&joined, &text);
            for piece in split(&text) {
                prop_assert_eq!(piece.text, &text[piece.range.clone()]);
                prop_assert!(!piece.text.trim().is_empty());
            }
        }
    }
}
