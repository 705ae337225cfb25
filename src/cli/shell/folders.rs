//! Where the shell keeps its files: the XDG base directories.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file of past statements: `$XDG_STATE_HOME/trailhouse/history`.
pub(super) fn history() -> Option<PathBuf> {
    below(std::env::var_os("XDG_STATE_HOME"), ".local/state").map(|folder| folder.join("history"))
}

/// The file of statements and commands that run first: `$XDG_CONFIG_HOME/trailhouse/rc.sql`.
pub(super) fn rc() -> Option<PathBuf> {
    below(std::env::var_os("XDG_CONFIG_HOME"), ".config").map(|folder| folder.join("rc.sql"))
}

fn below(base: Option<OsString>, in_home: &str) -> Option<PathBuf> {
    // The specification: a relative path is to be ignored.
    let base = base.map(PathBuf::from).filter(|base| base.is_absolute());
    let home = || std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    base.or_else(|| home().map(|home| home.join(in_home))).map(|base| base.join("trailhouse"))
}

/// Makes a file that only its owner may read, and its folder, if they are not there.
///
/// # Errors
/// Where that cannot be done.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true);
    let mut file = std::fs::File::options();
    file.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folders.mode(0o700);
        file.mode(0o600);
    }
    if let Some(folder) = path.parent() {
        folders.create(folder)?;
    }
    file.open(path).map(drop)
}
