//! Statements and their answers over the sample, in files of `tests/slt`:
//!
//! ```text
//! # a comment
//! SELECT 1, 'a;b';
//! ----
//! 1,a;b
//!
//! SELECT wrong();
//! ---- error: there is no function wrong
//! ```
//!
//! A statement ends at a line `----`; what follows it, to the next empty line, are its rows as CSV without the header,
//! or the start of what its error says. `UPDATE_SLT=1` writes the answers that are given into the files.

use std::fmt::Write;
use std::path::PathBuf;

use trailhouse::lake::snapshot::Lake;
use trailhouse::query::{Format, Session, explain, format};
use trailhouse::store::{Location, Options};

use crate::support::lake::{data, lake_of};

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

async fn answer(session: &Session, sql: &str) -> String {
    let mut out = Vec::new();
    let written = match session.query(sql).await {
        Ok(rows) => format::write(&Format::Csv.into(), rows, &mut out).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(_) => {
            let text = String::from_utf8(out).unwrap();
            let rows = text.split_once('\n').map_or("", |(_, rows)| rows);
            format!("----\n{rows}")
        }
        Err(error) => format!("---- error: {}\n", error.chain().lines().next().unwrap()),
    }
}

async fn open(url: &str) -> Session {
    let location = Location::open(url, &Options::default()).await.unwrap();
    let lake = Lake::open(&location).await.unwrap().unwrap();
    Session::open(&lake, 256 << 20).unwrap()
}

#[tokio::test]
async fn statements_answer_as_written() {
    let env = lake_of(&data("sample"));
    let url = env.path("lake").to_str().unwrap().to_owned();
    let update = std::env::var_os("UPDATE_SLT").is_some();
    let mut wrong = String::new();
    for file in files() {
        let session = open(&url).await;
        let text = std::fs::read_to_string(&file).unwrap();
        let mut fresh = String::new();
        for block in text.split("\n\n") {
            let block = block.trim_matches('\n');
            let at = block.lines().position(|line| line.starts_with("----"));
            let lines: Vec<&str> = block.lines().collect();
            let statement = &lines[..at.unwrap_or(lines.len())];
            let sql: Vec<&str> = statement.iter().filter(|line| !line.starts_with('#')).copied().collect();
            if sql.is_empty() {
                writeln!(fresh, "{block}\n").unwrap();
                continue;
            }
            let given = answer(&session, &sql.join("\n")).await;
            let expected = at.map_or(String::new(), |at| lines[at..].join("\n") + "\n");
            let right = match expected.strip_prefix("---- error: ") {
                Some(start) => given
                    .strip_prefix("---- error: ")
                    .is_some_and(|given| given.starts_with(start.trim_end())),
                None => given == expected,
            };
            if !right {
                writeln!(wrong, "{}:\n{}\nexpected {expected}given {given}", file.display(), sql.join("\n"))
                    .unwrap();
            }
            let kept = if right { &expected } else { &given };
            writeln!(fresh, "{}\n{kept}", statement.join("\n")).unwrap();
        }
        if update {
            std::fs::write(&file, format!("{}\n", fresh.trim_end())).unwrap();
        }
    }
    assert!(update || wrong.is_empty(), "{wrong}");
}

/// What the errors of a stream say is not for the tests above: their rows are complete or they fail.
#[tokio::test]
async fn an_error_among_the_rows_names_the_function() {
    let env = lake_of(&data("records/insight.json"));
    let session = open(env.path("lake").to_str().unwrap()).await;
    let rows = session.query("SELECT json_parse(event_id) FROM events").await.unwrap();
    let error = futures::TryStreamExt::try_collect::<Vec<_>>(rows).await.unwrap_err();
    assert!(explain(error).chain().starts_with("json_parse: this is no JSON"));
}
