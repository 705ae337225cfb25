//! Lakes of the test data, and what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trailhouse::lake::rejected::{Rejected, decode};

use super::command::{Output, TestEnv};

/// A file or folder of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Converts `source` into the lake `lake` of the environment, whatever the outcome.
pub fn convert(env: &TestEnv, source: &Path) -> (Output, Value) {
    let source = source.to_str().unwrap();
    let output = env.run(["convert", source, "--to", "lake", "--json", "--progress", "none"]);
    let report = output.report().0;
    (output, report)
}

/// Converts `source`, all of which is sound, into the lake `lake` of a new environment.
pub fn lake_of(source: &Path) -> TestEnv {
    let env = TestEnv::new();
    let (output, report) = convert(&env, source);
    assert_eq!(output.code, 0, "{report}\n{}", output.stderr);
    env
}

/// The rows that a query of the lake `lake` answers.
pub fn rows(env: &TestEnv, sql: &str) -> Vec<Value> {
    let output = env.run(["sql", "lake", "--format", "ndjson", "-c", sql]).success();
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rebuilt records of the lake `lake`, a line each.
pub fn exported(env: &TestEnv) -> Vec<String> {
    let output = env.run(["export", "lake"]).success();
    assert_eq!(output.stderr, "");
    output.stdout.lines().map(str::to_owned).collect()
}

/// What the lake `lake` keeps as rejected, in the order of the input.
pub fn rejected(env: &TestEnv) -> Vec<Rejected> {
    let Ok(folder) = std::fs::read_dir(env.path("lake/_trailhouse/rejected")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| decode(&std::fs::read(file).unwrap()).unwrap()).collect()
}

/// The rows of the Markdown table under the heading of `tests/data/README.md` that names `folder`: the file in the first
/// cell, and the second cell.
pub fn documented(folder: &str) -> BTreeMap<String, String> {
    let readme = std::fs::read_to_string(data("README.md")).unwrap();
    let heading = format!("## `{folder}/`");
    let section =
        readme.split("\n## ").find(|part| heading[3..] == part[..part.len().min(heading.len() - 3)]);
    let section = section.unwrap_or_else(|| panic!("the README has no section {heading}"));
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(file, rest)| (file.to_owned(), rest.split(" |").next().unwrap().to_owned()))
        .collect()
}

/// The names of the files in a folder of `tests/data`, sorted.
pub fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(data(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
