//! The program as a user runs it: the real binary, in a directory of its own, with nothing of the developer's environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A directory to work in, and the environment of the commands run in it.
pub struct TestEnv {
    pub dir: TempDir,
    variables: BTreeMap<OsString, OsString>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
#[must_use = "a command that failed is no test that passed"]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl TestEnv {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let variables = BTreeMap::from([("HOME".into(), dir.path().into())]);
        TestEnv { dir, variables }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn set(&mut self, key: &str, value: impl AsRef<OsStr>) {
        self.variables.insert(key.into(), value.as_ref().into());
    }

    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_trailhouse"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.variables)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        Output {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Output {
    /// The same, where the command succeeded.
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}
