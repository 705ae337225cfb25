//! Where rows go: the screen, a pager, a file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::progress::Bar;
use crate::error::{Context, Result};

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A file that rows are written to. It has its name once it is whole: where something fails, what had the name before
/// is still there.
pub(super) struct FileOut {
    pub(super) out: BufWriter<File>,
    /// How many results are in it.
    pub(super) results: u64,
    path: PathBuf,
    /// What it is called until it is whole; none for what is no ordinary file.
    unfinished: Option<PathBuf>,
}

impl FileOut {
    pub(super) fn create(path: &Path) -> Result<FileOut> {
        let special = path.metadata().is_ok_and(|found| !found.is_file());
        let unfinished = (!special).then(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}.part", std::process::id()));
            PathBuf::from(name)
        });
        let file = match &unfinished {
            Some(unfinished) => File::create(unfinished),
            None => File::options().write(true).open(path),
        };
        let file = file.context(|| format!("writing {}", path.display()))?;
        let out = BufWriter::with_capacity(256 * 1024, file);
        Ok(FileOut { out, results: 0, path: path.to_owned(), unfinished })
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        let writing = || format!("writing {}", self.path.display());
        self.out.flush().context(writing)?;
        match self.unfinished.take() {
            Some(unfinished) => std::fs::rename(unfinished, &self.path).context(writing),
            None => Ok(()),
        }
    }
}

impl Drop for FileOut {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            std::fs::remove_file(unfinished).ok();
        }
    }
}

/// The pager as a command for `sh`: `$PAGER`; `less` where it is installed, which keeps the frame of a wide table whole,
/// ends by itself where all fits, and leaves what was shown on the screen.
pub(super) fn pager() -> Option<String> {
    match std::env::var("PAGER") {
        Ok(pager) if pager.trim().is_empty() => None,
        Ok(pager) => Some(pager),
        Err(_) => {
            let path = std::env::var_os("PATH")?;
            let found = std::env::split_paths(&path).any(|folder| folder.join("less").is_file());
            found.then(|| "less -SRFX".to_owned())
        }
    }
}

/// The terminal. What does not fit on it goes to the pager, if there is one.
pub(super) struct Screen {
    size: Option<Size>,
    pager: Option<String>,
    bar: Option<Bar>,
    state: State,
}

enum State {
    /// Not yet known whether it fits.
    Held {
        text: Vec<u8>,
        lines: usize,
    },
    Shown(BufWriter<io::Stdout>),
    Paged(Child),
}

impl Screen {
    pub(super) fn new(size: Option<Size>, pager: Option<String>, bar: Option<Bar>) -> Screen {
        Screen { size, pager, bar, state: State::Held { text: Vec::new(), lines: 0 } }
    }

    /// Writes what is held back, and waits until the pager is left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let State::Held { .. } = self.state {
            self.release(None)?;
        }
        match &mut self.state {
            State::Paged(pager) => {
                drop(pager.stdin.take());
                pager.wait().map(drop)
            }
            State::Shown(out) => out.flush(),
            State::Held { .. } => Ok(()),
        }
    }

    /// Writes what is held back, and from here on what comes.
    fn release(&mut self, pager: Option<&str>) -> io::Result<()> {
        drop(self.bar.take());
        let out = BufWriter::with_capacity(64 * 1024, io::stdout());
        let state = match pager.and_then(|pager| start(pager).ok()) {
            Some(pager) => State::Paged(pager),
            None => State::Shown(out),
        };
        if let State::Held { text, .. } = std::mem::replace(&mut self.state, state) {
            self.write_all(&text)?;
        }
        Ok(())
    }

    fn fits(&self) -> bool {
        let State::Held { text, lines } = &self.state else { return true };
        let Some(size) = self.size else { return true };
        // The prompt takes a line.
        let wide = |line: &[u8]| {
            // Continuation bytes of UTF-8 take no room of their own.
            line.iter().filter(|byte| **byte & 0xC0 != 0x80).count() > size.width
        };
        *lines < size.height && !text.split(|byte| *byte == b'\n').any(wide)
    }
}

fn start(pager: &str) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    // The frames are UTF-8, whatever the locale.
    if std::env::var_os("LESSCHARSET").is_none() {
        command.env("LESSCHARSET", "utf-8");
    }
    command.spawn()
}

/// Text without what would move a terminal's cursor, and more: records hold what attackers sent, and formats for programs
/// have it as it was.
fn harmless(bytes: &[u8]) -> Cow<'_, [u8]> {
    let controls =
        |byte: &u8| (*byte < b' ' && *byte != b'\n' && *byte != b'\t') || *byte == 0x7f || *byte == 0xc2;
    if !bytes.iter().any(controls) {
        return Cow::Borrowed(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let shown = |char: char| {
        if char.is_control() && char != '\n' && char != '\t' { char::REPLACEMENT_CHARACTER } else { char }
    };
    Cow::Owned(text.chars().map(shown).collect::<String>().into_bytes())
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = harmless(bytes);
        match &mut self.state {
            State::Shown(out) => out.write_all(&text)?,
            State::Paged(pager) => match &mut pager.stdin {
                Some(stdin) => stdin.write_all(&text)?,
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            },
            State::Held { text: held, lines } => {
                held.extend_from_slice(&text);
                *lines += text.iter().filter(|byte| **byte == b'\n').count();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pager.is_none() {
            if matches!(&self.state, State::Held { text, .. } if !text.is_empty()) {
                self.release(None)?;
            }
        } else if !self.fits() {
            let pager = self.pager.clone();
            self.release(pager.as_deref())?;
        }
        match &mut self.state {
            State::Shown(out) => out.flush(),
            State::Paged(Child { stdin: Some(stdin), .. }) => stdin.flush(),
            _ => Ok(()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the query was cancelled the pager still has the terminal.
        if let State::Paged(pager) = &mut self.state {
            drop(pager.stdin.take());
            pager.wait().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_never_sent_control_characters() {
        assert_eq!(&*harmless("a\tb\né\u{a0}│".as_bytes()), "a\tb\né\u{a0}│".as_bytes());
        let sent = "a\x1b[2Jb\rc\u{9b}d\x7f";
        assert_eq!(
            String::from_utf8_lossy(&harmless(sent.as_bytes())),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answer.csv");
        std::fs::write(&path, "before").unwrap();
        let mut file = FileOut::create(&path).unwrap();
        file.out.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        let mut file = FileOut::create(&path).unwrap();
        file.out.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(FileOut::create(Path::new("/no/such/folder/x.csv")).is_err());
    }
}
