//! What can come next where the cursor is. Pure: the words are given.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Fields, Schema};

use super::commands::COMMANDS;
use crate::query::Format;
use crate::query::lex::{Token, TokenKind, split, tokens};
use crate::query::session::quote_name;
use crate::query::vocabulary::{Values, Vocabulary};

/// What can stand from `start` to the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    /// Where what is replaced starts, in bytes of the line.
    pub(super) start: usize,
    /// What can replace it: what is shown, and what is written.
    pub(super) candidates: Vec<(String, String)>,
    /// A path is wanted: the file system knows.
    pub(super) is_path: bool,
}

/// What can come next in `line` at byte `cursor`.
pub(super) fn complete(line: &str, cursor: usize, words: &Vocabulary, values: &Values) -> Completion {
    let before = &line[..cursor];
    if let Some(piece) = split(before).last().filter(|piece| piece.is_command()) {
        // The next line is a statement's again.
        if !before[piece.range.end..].contains('\n') {
            return complete_command(&before[piece.range.start..], piece.range.start, words);
        }
    }
    let pieces = split(line);
    let begun = pieces.iter().rfind(|piece| piece.range.start <= cursor);
    // Behind its `;` the next one starts.
    let whole = begun.filter(|piece| !line.get(piece.range.end..cursor).unwrap_or_default().contains(';'));
    let (start, statement) = match whole {
        Some(piece) => (piece.range.start, piece.text),
        None => (cursor, ""),
    };
    let before: Vec<Token<'_>> = tokens(&line[start..cursor]);
    let code: Vec<&Token<'_>> = before.iter().filter(|token| !token.is_blank()).collect();
    if before.last().is_some_and(|last| last.kind == TokenKind::Comment) {
        return Completion::default();
    }
    let tables = tables_of(statement, cursor - start, words);
    let scope = Scope { words, tables };

    let Some((last, rest)) = code.split_last() else {
        return words_at(cursor, "", &[], &scope);
    };
    let touches = start + last.end() == cursor;
    match last.kind {
        TokenKind::Text if !last.closed => {
            let typed = &last.text[1..];
            let from = start + last.start + 1;
            match rest.split_last() {
                Some((bracket, base)) if bracket.is("[") => fields_at(from, typed, base, &scope),
                _ => values_at(from, typed, rest, values),
            }
        }
        TokenKind::QuotedName if !last.closed => {
            let mut found = words_at(start + last.start, &last.text[1..], rest, &scope);
            found.candidates.retain(|(_, written)| !written.ends_with('('));
            for (shown, written) in &mut found.candidates {
                *written = quote_name(shown);
            }
            found
        }
        TokenKind::Word if touches => words_at(start + last.start, last.text, rest, &scope),
        TokenKind::Number | TokenKind::Text | TokenKind::QuotedName if touches => Completion::default(),
        _ => words_at(cursor, "", &code, &scope),
    }
}

fn complete_command(text: &str, start: usize, words: &Vocabulary) -> Completion {
    let Some((name, rest)) = text.split_once(char::is_whitespace) else {
        let names = COMMANDS.iter().map(|command| command.name).filter(|name| name.starts_with(text));
        return Completion {
            start,
            candidates: names.map(|name| pair(name, name)).collect(),
            is_path: false,
        };
    };
    let typed = rest.trim_start();
    let start = start + text.len() - typed.len();
    let mut found = Completion { start, ..Completion::default() };
    let mut offer = |names: &mut dyn Iterator<Item = &str>| {
        let names = names.filter(|name| starts_with(name, typed));
        found.candidates = names.map(|name| pair(name, name)).collect();
    };
    match name {
        "\\d" => offer(&mut words.tables.keys().map(String::as_str)),
        "\\df" => offer(&mut words.functions.iter().map(String::as_str)),
        "\\format" => offer(&mut Format::ALL.iter().map(|format| format.name())),
        "\\x" | "\\timing" | "\\pager" => offer(&mut ["on", "off"].into_iter()),
        "\\i" | "\\o" => found.is_path = true,
        _ => {}
    }
    found
}

/// What a statement can name.
struct Scope<'a> {
    words: &'a Vocabulary,
    /// The tables it reads, by the names it gives them.
    tables: BTreeMap<String, &'a Schema>,
}

impl<'a> Scope<'a> {
    /// The fields that a chain of names leads to: those of a table, or of a struct.
    fn fields(&self, chain: &[String]) -> Option<&'a Fields> {
        let (first, rest) = chain.split_first()?;
        // `other.events.` is a table of another schema, `e.` one of the statement, `resources.` a column.
        if let Some(table) = self.words.tables.get(&chain.join(".")) {
            return Some(table.fields());
        }
        if let Some(table) = self.tables.get(first) {
            return descend(table.fields(), rest);
        }
        self.tables.values().find_map(|table| descend(table.fields(), chain))
    }
}

fn descend<'a>(fields: &'a Fields, chain: &[String]) -> Option<&'a Fields> {
    let mut fields = fields;
    for name in chain {
        let field = fields.iter().find(|field| field.name().eq_ignore_ascii_case(name))?;
        let mut data_type = field.data_type();
        while let DataType::List(item) | DataType::LargeList(item) = data_type {
            data_type = item.data_type();
        }
        let DataType::Struct(members) = data_type else { return None };
        fields = members;
    }
    Some(fields)
}

/// The tables that a statement reads, by their names and aliases; the word at the cursor is neither yet. One that names
/// none yet will read `events`.
fn tables_of<'a>(statement: &str, cursor: usize, words: &'a Vocabulary) -> BTreeMap<String, &'a Schema> {
    let tokens = tokens(statement);
    let code: Vec<&Token<'_>> = tokens.iter().filter(|token| !token.is_blank()).collect();
    let mut tables = BTreeMap::new();
    for at in 0..code.len() {
        if !(code[at].is_word("FROM") || code[at].is_word("JOIN") || code[at].is(",")) {
            continue;
        }
        let (name, length) = name_at(&code[at + 1..]);
        let Some(schema) = words.tables.get(&name) else { continue };
        let mut alias = at + 1 + length;
        if code.get(alias).is_some_and(|token| token.is_word("AS")) {
            alias += 1;
        }
        let is_alias = |token: &&&Token<'_>| {
            token.kind == TokenKind::Word && token.end() != cursor && !is_clause(token.text, words)
        };
        let named = code.get(alias).filter(is_alias);
        if let Some(alias) = named {
            tables.insert(alias.text.to_lowercase(), schema.as_ref());
        }
        let own = name.rsplit('.').next().unwrap_or(&name).to_owned();
        tables.insert(own, schema.as_ref());
    }
    if tables.is_empty()
        && let Some(events) = words.tables.get("events")
    {
        tables.insert("events".to_owned(), events.as_ref());
    }
    tables
}

fn is_clause(word: &str, words: &Vocabulary) -> bool {
    words.keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// The name, dots and all, that the tokens start with, and how many tokens it is.
fn name_at(code: &[&Token<'_>]) -> (String, usize) {
    let mut name = String::new();
    let mut length = 0;
    while let Some(token) = code.get(length) {
        let is_name = matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
        if length % 2 == 0 && is_name {
            name += &token.text.trim_matches(['"', '`']).to_lowercase();
        } else if length % 2 == 1 && token.is(".") {
            name.push('.');
        } else {
            break;
        }
        length += 1;
    }
    (name, length)
}

/// The names of a chain like `e.resources[1]` that the tokens end with.
fn chain_before(code: &[&Token<'_>]) -> Vec<String> {
    let mut chain = Vec::new();
    let mut at = code.len();
    loop {
        // Subscripts lead to the same fields.
        while at > 0 && code[at - 1].is("]") {
            let Some(open) = code[..at].iter().rposition(|token| token.is("[")) else { break };
            at = open;
        }
        let Some(token) = at.checked_sub(1).map(|at| code[at]) else { break };
        if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedName) {
            break;
        }
        chain.insert(0, token.text.trim_matches(['"', '`']).to_lowercase());
        at -= 1;
        if at == 0 || !code[at - 1].is(".") {
            break;
        }
        at -= 1;
    }
    chain
}

/// The members of a struct, in brackets: `resources[1]['`.
fn fields_at(start: usize, typed: &str, base: &[&Token<'_>], scope: &Scope<'_>) -> Completion {
    let fields = scope.fields(&chain_before(base));
    let names = fields.into_iter().flatten().map(|field| field.name().as_str());
    let candidates =
        names.filter(|name| starts_with(name, typed)).map(|name| pair(name, &format!("{name}']"))).collect();
    Completion { start, candidates, is_path: false }
}

/// The values of the column that a text is compared with.
fn values_at(start: usize, typed: &str, rest: &[&Token<'_>], values: &Values) -> Completion {
    let mut found = Completion { start, ..Completion::default() };
    // A file can be a table.
    if rest.last().is_some_and(|last| last.is_word("FROM") || last.is_word("JOIN")) {
        found.is_path = true;
        return found;
    }
    let chain = compared_column(rest);
    // Of `e.event_name` and `useridentity.type` either can be the whole name.
    let column = (0..chain.len())
        .map(|from| chain[from..].join("."))
        .find(|name| values.of_column(name).next().is_some());
    let Some(column) = column else { return found };
    let typed = typed.replace("''", "'");
    let mut matching: Vec<&str> =
        values.of_column(&column).filter(|value| starts_with(value, &typed)).collect();
    if matching.is_empty() {
        let part = typed.to_lowercase();
        matching = values.of_column(&column).filter(|value| value.to_lowercase().contains(&part)).collect();
    }
    let written = |value: &str| format!("{}'", value.replace('\'', "''"));
    found.candidates = matching.into_iter().map(|value| pair(value, &written(value))).collect();
    found
}

/// The column before an operator, or before a list that is not closed yet, as a chain of names.
fn compared_column(code: &[&Token<'_>]) -> Vec<String> {
    const OPERATORS: [&str; 7] = ["IN", "NOT", "LIKE", "ILIKE", "BETWEEN", "AND", "ANY"];
    let mut at = code.len();
    let mut steps = 0;
    while let Some(token) = at.checked_sub(1).map(|at| code[at]) {
        let passed = match token.kind {
            TokenKind::Text => steps > 0,
            TokenKind::Symbol => ["=", "<", ">", "!", "(", ","].contains(&token.text),
            // `a = 'x' AND '` compares nothing: only BETWEEN has two values.
            TokenKind::Word if token.is_word("AND") => {
                at >= 3 && code[at - 2].kind == TokenKind::Text && code[at - 3].is_word("BETWEEN")
            }
            TokenKind::Word => OPERATORS.iter().any(|operator| token.is_word(operator)),
            _ => false,
        };
        if !passed {
            break;
        }
        at -= 1;
        steps += 1;
    }
    // `f('` is no comparison.
    let operator =
        code[at..].iter().any(|token| !(token.is("(") || token.is(",") || token.kind == TokenKind::Text));
    if operator { chain_before(&code[..at]) } else { Vec::new() }
}

/// Tables after `FROM`; elsewhere columns, functions and keywords.
fn words_at(start: usize, typed: &str, rest: &[&Token<'_>], scope: &Scope<'_>) -> Completion {
    let mut candidates: Vec<(String, String)> = Vec::new();
    let last = rest.last();
    if last.is_some_and(|last| last.is(".")) {
        let chain = chain_before(&rest[..rest.len() - 1]);
        if let Some(fields) = scope.fields(&chain) {
            let names = fields.iter().map(|field| field.name().as_str());
            candidates
                .extend(names.filter(|name| starts_with(name, typed)).map(|name| pair(name, &name_of(name))));
        }
        let prefix = format!("{}.", chain.join("."));
        let tables = scope.words.tables.keys().filter_map(|name| name.strip_prefix(&prefix));
        candidates.extend(tables.filter(|name| starts_with(name, typed)).map(|name| pair(name, name)));
        return Completion { start, candidates, is_path: false };
    }
    let wants_table = ["FROM", "JOIN", "DESCRIBE", "TABLE", "INTO"]
        .iter()
        .any(|word| last.is_some_and(|last| last.is_word(word)));
    if wants_table {
        let names = scope.words.tables.keys().filter(|name| starts_with(name, typed));
        candidates.extend(names.map(|name| pair(name, name)));
        return Completion { start, candidates, is_path: false };
    }
    let mut columns: Vec<&str> = scope
        .tables
        .values()
        .flat_map(|table| table.fields().iter().map(|field| field.name().as_str()))
        .filter(|name| starts_with(name, typed))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let starts = rest.is_empty();
    if !starts {
        candidates.extend(columns.into_iter().map(|name| pair(name, &name_of(name))));
        let aliases = scope.tables.keys().filter(|name| starts_with(name, typed));
        candidates.extend(aliases.map(|name| pair(name, name)));
    }
    if !typed.is_empty() {
        if !starts {
            let functions = scope.words.functions.iter().filter(|name| starts_with(name, typed));
            candidates.extend(functions.map(|name| pair(name, &format!("{name}("))));
        }
        let lower = typed.chars().all(|char| !char.is_uppercase());
        for keyword in scope.words.keywords.iter().filter(|word| starts_with(word, typed)) {
            let keyword = if lower { keyword.to_lowercase() } else { (*keyword).to_owned() };
            if starts && !STARTS.iter().any(|start| keyword.eq_ignore_ascii_case(start)) {
                continue;
            }
            candidates.push(pair(&keyword, &keyword));
        }
    } else if starts {
        candidates.extend(STARTS.iter().map(|word| pair(word, word)));
    }
    Completion { start, candidates, is_path: false }
}

/// What a statement can start with.
const STARTS: [&str; 11] =
    ["COPY", "CREATE", "DESCRIBE", "DROP", "EXECUTE", "EXPLAIN", "PREPARE", "SELECT", "SET", "SHOW", "WITH"];

fn name_of(name: &str) -> String {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if name.chars().all(plain) && !name.starts_with(|char: char| char.is_ascii_digit()) {
        name.to_owned()
    } else {
        quote_name(name)
    }
}

fn starts_with(name: &str, typed: &str) -> bool {
    name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
}

fn pair(shown: &str, written: &str) -> (String, String) {
    (shown.to_owned(), written.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn words() -> Vocabulary {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let resource = DataType::Struct(vec![text("arn"), text("account_id"), text("type")].into());
        let item = Arc::new(Field::new("item", resource, true));
        let events = Schema::new(vec![
            text("event_name"),
            text("event_source"),
            text("account"),
            Field::new("resources", DataType::List(item), true),
        ]);
        let identity = DataType::Struct(vec![text("arn"), text("userName")].into());
        let logs = Schema::new(vec![Field::new("useridentity", identity, true), text("eventName")]);
        let tables = [("events", events.clone()), ("logs", logs), ("other.events", events)];
        Vocabulary {
            tables: tables.into_iter().map(|(name, table)| (name.to_owned(), Arc::new(table))).collect(),
            functions: vec!["count".into(), "coalesce".into()],
            keywords: vec!["AND", "FROM", "SELECT", "SET", "WHERE", "ORDER", "IN"],
        }
    }

    fn values() -> Values {
        let mut values = Values::default();
        let names = ["AssumeRole", "ConsoleLogin", "CreateUser", "It's"];
        values.extend("event_name", names.map(str::to_owned));
        values.extend("account", ["012345678901".to_owned()]);
        values
    }

    /// What is written where `|` is, in the order it is offered.
    fn offered(line: &str) -> Vec<String> {
        let cursor = line.find('|').unwrap();
        let line = line.replacen('|', "", 1);
        let found = complete(&line, cursor, &words(), &values());
        found.candidates.into_iter().map(|(_, written)| written).collect()
    }

    #[test]
    fn names_functions_and_keywords() {
        for (line, expected) in [
            ("SEL|", &["SELECT"][..]),
            ("sel|", &["select"]),
            ("SELECT event_|", &["event_name", "event_source"]),
            ("SELECT EVENT_N|", &["event_name"]),
            ("SELECT co|", &["count(", "coalesce("]),
            ("SELECT * FROM e|", &["events"]),
            ("SELECT * FROM |", &["events", "logs", "other.events"]),
            ("SELECT * FROM events WHERE a| ", &["account", "and"]),
            ("SELECT user| FROM logs", &["useridentity"]),
            ("SELECT eventn| FROM logs", &["\"eventName\""]),
            ("SELECT 1; SELECT ac|", &["account"]),
            ("SELECT \"event_n|", &["\"event_name\""]),
            ("SELECT 'a' -- ev|", &[]),
            ("SELECT 1|", &[]),
            ("SELECT * FROM events WH|\n AND x", &["WHERE"]),
        ] {
            assert_eq!(offered(line), expected, "{line}");
        }
        assert!(offered("|").contains(&"SELECT".to_owned()));
        assert!(offered("SELECT * FROM events WHERE |").starts_with(&["account".to_owned()]));
    }

    #[test]
    fn a_dot_leads_into_tables_and_structs() {
        for (line, expected) in [
            ("SELECT e.ev| FROM events e", &["event_name", "event_source"][..]),
            ("SELECT e.acc| FROM events AS e WHERE true", &["account"]),
            ("SELECT resources[1].a| FROM events", &["arn", "account_id"]),
            ("SELECT e.resources[1].t| FROM events e", &["type"]),
            ("SELECT resources[1]['a|", &["arn']", "account_id']"]),
            ("SELECT useridentity.| FROM logs", &["arn", "\"userName\""]),
            ("SELECT l.useridentity.a| FROM events JOIN logs l ON true", &["arn"]),
            ("SELECT * FROM other.|", &["events"]),
            ("SELECT x.| FROM events", &[]),
        ] {
            assert_eq!(offered(line), expected, "{line}");
        }
    }

    #[test]
    fn values_of_the_column_that_is_compared() {
        for (line, expected) in [
            ("SELECT * FROM events WHERE event_name = 'C|", &["ConsoleLogin'", "CreateUser'"][..]),
            ("SELECT * FROM events e WHERE e.event_name = 'con|", &["ConsoleLogin'"]),
            ("SELECT * FROM logs WHERE eventName <> 'As|", &["AssumeRole'"]),
            (
                "SELECT * FROM events WHERE event_name IN ('AssumeRole', 'C|",
                &["ConsoleLogin'", "CreateUser'"],
            ),
            ("SELECT * FROM events WHERE event_name NOT IN ('con|", &["ConsoleLogin'"]),
            ("SELECT * FROM events WHERE event_name LIKE 'login|", &["ConsoleLogin'"]),
            ("SELECT * FROM events WHERE event_name BETWEEN 'A' AND 'cr|", &["CreateUser'"]),
            ("SELECT * FROM events WHERE event_name = 'It|", &["It''s'"]),
            ("SELECT * FROM events WHERE account='|", &["012345678901'"]),
            ("SELECT * FROM events WHERE account = '0' AND event_name = 'as|", &["AssumeRole'"]),
            ("SELECT lower('C|", &[]),
            ("SELECT * FROM events WHERE event_source = 'x|", &[]),
        ] {
            assert_eq!(offered(line), expected, "{line}");
        }
        assert!(complete("SELECT * FROM 'da", 17, &words(), &values()).is_path);
    }

    #[test]
    fn commands_and_what_they_take() {
        for (line, expected) in [
            ("\\t|", &["\\timing"][..]),
            ("\\d ev|", &["events"]),
            ("\\format nd|", &["ndjson"]),
            ("\\timing o|", &["on", "off"]),
            ("\\d events\nSEL|", &["SELECT"]),
        ] {
            assert_eq!(offered(line), expected, "{line}");
        }
        let found = complete("\\i da", 5, &words(), &values());
        assert!(found.is_path && found.start == 3);
    }

    proptest::proptest! {
        #[test]
        fn any_text_at_any_place(text in "[a-zE'\"$;.,()\\[\\]\\\\ \né=1]{0,30}", at in 0usize..31) {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let found = complete(&text, at, &words(), &values());
            proptest::prop_assert!(found.start <= at || found.candidates.is_empty());
        }
    }
}
