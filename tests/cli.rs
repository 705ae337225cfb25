//! What the command line says: help, completions, the manual, and wrong usage. Rows and reports go to standard output,
//! everything else to standard error.

use crate::support::command::TestEnv;
use crate::support::lake::{data, lake_of};

const COMMANDS: [&str; 11] = [
    "convert",
    "sql",
    "status",
    "schema",
    "export",
    "replay",
    "compact",
    "expire",
    "vacuum",
    "completions",
    "man",
];

fn help(args: &[&str]) -> String {
    let output = TestEnv::new().run(args).success();
    assert_eq!(output.stderr, "");
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
    output.stdout
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!("help", help(&["--help"]));
    assert_eq!(help(&["help"]), help(&["--help"]));
}

#[test]
fn help_of_every_command() {
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help-{command}"), help(&[command, "--help"]));
        assert_eq!(help(&["help", command]), help(&[command, "--help"]));
    }
    // A command that is not in the list above would have no snapshot.
    let all = help(&["--help"]);
    let listed: Vec<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
}

#[test]
fn commands_that_take_something_show_examples() {
    for command in ["convert", "sql", "status", "schema", "export", "replay", "compact", "expire", "vacuum"] {
        let help = help(&[command, "--help"]);
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command}"));
        assert!(examples.contains(&format!("    trailhouse {command}")), "{command}");
    }
}

#[test]
fn the_version_is_the_crates() {
    let output = TestEnv::new().run(["--version"]).success();
    assert_eq!(output.stdout, concat!("trailhouse ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_know_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let output = TestEnv::new().run(["completions", shell]).success();
        assert_eq!(output.stderr, "");
        for word in COMMANDS.into_iter().chain([
            "partition-by",
            "dry-run",
            "max-object-size",
            "where",
            "target-size",
            "retention",
        ]) {
            assert!(output.stdout.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let output = TestEnv::new().run(["man"]).success();
    let titles = output.stdout.lines().filter(|line| line.starts_with(".TH ")).count();
    assert_eq!(titles, 1 + COMMANDS.len());
    assert!(output.stdout.contains(".TH trailhouse 1"));
    for command in COMMANDS {
        let title = concat!("trailhouse ", env!("CARGO_PKG_VERSION"));
        assert!(output.stdout.contains(&format!(".TH trailhouse-{command} 1  \"{title}\"")), "{command}");
    }
    for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
        assert_eq!(output.stdout.matches(section).count(), titles, "{section}");
    }
}

/// Runs what is wrong usage; returns what is said.
fn misused(args: &[&str]) -> String {
    let env = TestEnv::new();
    let output = env.run(args);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {}", output.stderr);
    assert_eq!(std::fs::read_dir(env.dir.path()).unwrap().count(), 0, "{args:?} left something behind");
    output.stderr
}

#[test]
fn wrong_usage_is_said_and_what_to_do() {
    let mut said = String::new();
    for args in [
        &["--frobnicate"][..],
        &["convrt"],
        &["convert"],
        &["convert", "trail"],
        &["convert", "--to", "lake"],
        &["convert", "trail", "--to", "lake", "--since", "soon"],
        &["convert", "trail", "--to", "lake", "--until", "2026-02-30"],
        &["convert", "trail", "--to", "lake", "--since", "2026-03-02", "--until", "2026-03-01"],
        &["convert", "trail", "--to", "lake", "--account", "1234"],
        &["convert", "trail", "--to", "lake", "--partition-by", "date,month"],
        &["convert", "trail", "--to", "lake", "--partition-by", "date,date"],
        &["convert", "trail", "--to", "lake", "--memory", "lots"],
        &["convert", "trail", "--to", "lake", "--jobs", "0"],
        &["convert", "trail", "--to", "lake", "--progress", "fast"],
        &["convert", "trail", "--to", "lake", "--source-option", "region"],
        &["convert", "ftp://host/trail", "--to", "lake"],
        &["convert", "s3:/bucket", "--to", "lake"],
        &["convert", "trail", "--to", "gs://bucket/"],
        &["convert", "trail", "--to", "lake", "-q", "-v"],
        &["sql"],
        &["sql", "lake"],
        &["sql", "lake", "-c", "SELECT 1", "--format", "xml"],
        &["sql", "lake", "-c", "SELECT 1", "--memory", "-1"],
        &["export"],
        &["status"],
        &["status", "lake", "--since", "7d"],
        &["status", "lake", "trail", "--account", "1234"],
        &["status", "lake", "trail", "--since", "soon"],
        &["compact", "lake", "--target-size", "big"],
        &["compact", "lake", "--since", "today", "--until", "yesterday"],
        &["expire", "lake"],
        &["expire", "lake", "--before", "2999-01-01"],
        &["vacuum", "lake", "--retention", "2026-03-01"],
        &["schema", "--format", "yaml"],
        &["completions", "tcsh"],
    ] {
        said += &format!("$ trailhouse {}\n{}\n", args.join(" "), misused(args));
    }
    insta::assert_snapshot!("wrong-usage", said);
}

#[test]
fn without_a_command_the_help_is_shown() {
    assert_eq!(misused(&[]), help(&["-h"]));
}

#[test]
fn reports_go_to_standard_output_and_nothing_else_does() {
    let sample = data("sample");
    let sample = sample.to_str().unwrap();
    let convert = |more: &[&str]| {
        let mut env = TestEnv::new();
        env.set("NO_COLOR", "1");
        let args = ["convert", sample, "--to", "lake"];
        env.run(args.iter().chain(more)).success()
    };
    let plain = convert(&[]);
    assert_eq!(plain.stdout, "");
    assert!(plain.stderr.starts_with("54 objects, 258 events into "), "{}", plain.stderr);

    let json = convert(&["--json"]);
    assert_eq!(json.stdout.lines().count(), 1);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["records"]["rows"], 258);
    assert_eq!(json.stderr.lines().count(), plain.stderr.lines().count());

    let quiet = convert(&["-q"]);
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
    let quiet = convert(&["--json", "--quiet"]);
    assert_eq!((quiet.stdout.lines().count(), quiet.stderr), (1, String::new()));

    let verbose = convert(&["-v"]);
    assert_eq!(verbose.stdout, "");
    assert!(verbose.stderr.contains("INFO committed"), "{}", verbose.stderr);
    assert!(convert(&["-vv"]).stderr.lines().count() > verbose.stderr.lines().count());
}

#[test]
fn the_log_is_set_by_rust_log() {
    let mut env = TestEnv::new();
    env.set("RUST_LOG", "trailhouse::convert=debug");
    let sample = data("sample");
    let output =
        env.run(["convert".as_ref(), sample.as_os_str(), "--to".as_ref(), "lake".as_ref()]).success();
    assert_eq!(output.stderr.matches("DEBUG decoded").count(), 54, "{}", output.stderr);
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let env = TestEnv::new();
    for args in [
        &["sql", "lake", "-c", "SELECT 1"][..],
        &["export", "lake"],
        &["compact", "lake"],
        &["expire", "lake", "--before", "1d"],
        &["vacuum", "lake"],
        &["status", "lake"],
    ] {
        let output = env.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        let here = env.dir.path().canonicalize().unwrap();
        let expected = format!(
            "error: there is no lake at file://{}/lake/\nhint: make one: trailhouse convert SOURCE --to lake\n",
            here.display()
        );
        assert_eq!(output.stderr, expected);
    }
    let output = env.run(["convert", "no-trail", "--to", "lake"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("no such file or directory"), "{}", output.stderr);
    assert!(!env.path("lake").exists(), "a lake was made though there was nothing to put into it");
}

#[test]
fn errors_leave_standard_output_to_the_rows() {
    let env = lake_of(&data("records/insight.json"));
    let output =
        env.run(["sql", "lake", "--format", "csv", "-c", "SELECT 1 AS a; SELECT nothing FROM events"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "a\n1\n"));
    assert!(output.stderr.starts_with("error: there is no column nothing\n  |\n1 | "), "{}", output.stderr);
}
