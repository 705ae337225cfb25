//! Rules that the compiler does not check: who may use whom, what is pure, who prints, and that no test is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::lake::documented;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder with this extension, as paths from the repository's root and their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// The code of a file: no comments, and nothing from its unit tests on.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The module that a file of `src` belongs to.
fn module(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap();
    rest.split(['/', '.']).next().unwrap()
}

/// Words like `` `store` `` in a cell of the table.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The table in the documentation of the crate: a module, and those it may use.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut modules: BTreeSet<String> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    let mut allowed = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let (names, may_use) = line.split_once(" | ").unwrap();
        for name in quoted(&format!("`{names}")) {
            let mut others: BTreeSet<String> = if may_use.starts_with("everything") {
                modules.clone()
            } else if may_use.starts_with("nothing") {
                BTreeSet::new()
            } else {
                quoted(may_use).map(str::to_owned).collect()
            };
            others.extend([name.to_owned(), "error".to_owned()]);
            allowed.insert(name.to_owned(), others);
        }
    }
    for name in allowed.keys() {
        assert!(modules.remove(name), "the table names {name}, which is no module");
    }
    assert!(modules.is_empty(), "the table does not name {modules:?}");
    allowed
}

/// The modules at the top that a file's code names: after `crate::`, in the braces of `use crate::{…}`, and after as
/// many `super::` as lead out of its own.
fn used(path: &str, text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut used = BTreeSet::new();
    let word = |text: &str| -> String {
        text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    // In src/a/b.rs `super` is a; in src/a/mod.rs and src/a.rs it is the crate.
    let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
    let up = "super::".repeat(depth);
    for prefix in ["crate::", &up] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == ':') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => drop(used.insert(word(rest))),
                Some(list) => {
                    let mut level = 0;
                    let mut start = true;
                    for (at, char) in list.char_indices() {
                        match char {
                            '{' => level += 1,
                            '}' if level == 0 => break,
                            '}' => level -= 1,
                            ',' if level == 0 => start = true,
                            char if start && char.is_alphabetic() => {
                                used.insert(word(&list[at..]));
                                start = false;
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    used
}

#[test]
fn modules_use_those_that_the_crate_says() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let module = module(&path);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let strangers = used(&path, &text);
        let strangers = strangers.iter().filter(|name| allowed.contains_key(*name));
        for stranger in strangers.filter(|name| !allowed[module].contains(*name)) {
            wrong.push(format!("{path} uses {stranger}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::lake::{layout, write};\nuse crate::{error::{Error, Result}, store};\n// crate::cli\nfn f() { crate::event::time::parse(super::super::query::x(super::plan)) }\n#[cfg(test)]\nmod tests { use crate::cli; }";
    let found: Vec<String> = used("src/convert/task.rs", text).into_iter().collect();
    assert_eq!(found, ["error", "event", "lake", "query", "store"]);
    assert!(used("src/convert/mod.rs", "use super::lake;").contains("lake"));
}

#[test]
fn events_are_converted_without_io_async_or_clock() {
    for (path, text) in sources("src/event") {
        let code = code(&text);
        for word in [
            "std::fs",
            "std::net",
            "std::io",
            "std::env",
            "std::time",
            "std::thread",
            "tokio",
            "async ",
            ".await",
            "object_store",
            "Utc::now",
            "Instant",
            "rand::",
        ] {
            assert!(!code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn only_the_ui_prints() {
    for (path, text) in sources("src") {
        let code = code(&text);
        for word in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!", "process::exit"] {
            assert!(path == "src/cli/ui.rs" || !code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn no_test_is_forgotten() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).unwrap();
    for (path, _) in sources("tests") {
        let (folder, file) = path.rsplit_once('/').unwrap();
        let name = file.strip_suffix(".rs").unwrap();
        let declared = match folder {
            "tests" if name != "main" => main.contains(&format!("\nmod {name};\n")),
            _ => true,
        };
        assert!(declared, "{path} is not in tests/main.rs");
    }
    let comments = main.lines().filter(|line| line.starts_with("/// ")).count();
    assert!(
        comments + 1 >= main.lines().filter(|line| line.starts_with("mod ")).count(),
        "say what each is about"
    );
}

#[test]
fn all_test_data_is_explained() {
    for folder in ["records", "envelopes", "hostile"] {
        let explained: Vec<String> = documented(folder).into_keys().collect();
        assert_eq!(explained, crate::support::lake::files(folder), "{folder}: tests/data/README.md");
    }
    assert_eq!(crate::support::lake::files(""), ["README.md", "envelopes", "hostile", "records", "sample"]);
}
