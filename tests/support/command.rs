//! The program, run as a user runs it: a directory of its own, and no environment but what a test sets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::s3::S3Server;

/// Where a test runs the program.
pub struct TestEnv {
    pub dir: TempDir,
    variables: BTreeMap<OsString, OsString>,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; -1 where a signal ended the program.
    pub code: i32,
}

impl TestEnv {
    pub fn new() -> TestEnv {
        let dir = tempfile::tempdir().unwrap();
        let mut env = TestEnv { dir, variables: BTreeMap::new() };
        env.set("PATH", std::env::var_os("PATH").unwrap());
        env.set("HOME", env.path(".home"));
        env
    }

    /// Sets a variable of the program's environment.
    pub fn set(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.variables.insert(key.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Sets what the program needs to use `server`.
    pub fn use_server(&mut self, server: &S3Server) {
        for (key, value) in server.env() {
            self.set(key, value);
        }
    }

    /// A path in the directory the program runs in.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, to be started by other means than [`TestEnv::run`].
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.other_command(env!("CARGO_BIN_EXE_trailhouse"), args)
    }

    /// Another program in the same surroundings.
    pub fn other_command(&self, program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.dir).env_clear().envs(&self.variables).stdin(Stdio::null());
        command
    }

    #[must_use]
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command(args).output().unwrap().into()
    }

    /// Starts the program; [`Output::of`] waits for it.
    pub fn start(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Answers a query over the lake `lake`: a line of CSV a row.
    pub fn sql(&self, lake: &str, query: &str) -> Vec<String> {
        let output = self.run(["sql", lake, "--format", "csv", "-c", query]).success();
        output.stdout.lines().skip(1).map(str::to_owned).collect()
    }

    /// The event ids of a lake, sorted.
    pub fn ids(&self, lake: &str) -> Vec<String> {
        self.sql(lake, "SELECT event_id FROM events ORDER BY event_id")
    }
}

impl Output {
    /// What a started program says until it ends.
    pub fn of(child: Child) -> Output {
        child.wait_with_output().unwrap().into()
    }

    /// The same, if the exit code is 0.
    pub fn success(self) -> Output {
        self.code(0)
    }

    /// The same, if the exit code is `code`.
    pub fn code(self, code: i32) -> Output {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The same, if each of these is in standard error.
    pub fn says(self, parts: &[&str]) -> Output {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {}", self.stderr);
        }
        self
    }

    /// The report of `convert --json`, which is all of standard output, and balances.
    pub fn report(&self) -> Report {
        let report = serde_json::from_str(&self.stdout).map(Report);
        let report = report.unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr));
        let sum = |of: &str, parts: &[&str]| {
            parts.iter().map(|part| report.n(&format!("/{of}/{part}"))).sum::<u64>()
        };
        if report.0["verdict"] != "planned" {
            let became = ["known", "converted", "empty", "foreign", "rejected", "unreadable"];
            assert_eq!(report.n("/objects/listed"), sum("objects", &became), "{}", report.0);
        }
        let became = ["rows", "duplicates", "filtered", "rejected"];
        assert_eq!(report.n("/records/in"), sum("records", &became), "{}", report.0);
        assert_eq!(report.0["balanced"], true);
        report
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Output {
        Output {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

/// The report of a conversion.
#[derive(Debug)]
pub struct Report(pub Value);

impl Report {
    /// The number at a JSON pointer.
    pub fn n(&self, pointer: &str) -> u64 {
        let number = self.0.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number at {pointer} in {}", self.0))
    }

    /// The numbers at some JSON pointers.
    pub fn all<const N: usize>(&self, pointers: [&str; N]) -> [u64; N] {
        pointers.map(|pointer| self.n(pointer))
    }

    /// The notes of a list, `rejected` or `unreadable`: the object's last step, the record, the reason.
    pub fn notes(&self, list: &str) -> Vec<(String, Option<u64>, String)> {
        let notes = self.0[list].as_array().unwrap().iter();
        let note = |note: &Value| {
            let object = note["object"].as_str().unwrap();
            let name = object.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
            (name, note["record"].as_u64(), note["reason"].as_str().unwrap().to_owned())
        };
        notes.map(note).collect()
    }
}
