//! The streams that a command reads from and writes to.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};

use rustix::termios::tcgetwinsize;

use crate::text::shell_path;

/// The streams of a command: those of the process, or others.
pub struct Io {
    pub(crate) stdin: Box<dyn Read + Send>,
    pub(crate) stdout: Box<dyn Write + Send>,
    pub(crate) stderr: Box<dyn Write + Send>,
    /// Whether there is a person who can be asked.
    pub(crate) interactive: bool,
    /// Whether standard output is a terminal on which a cursor can be moved.
    pub(crate) screen: bool,
    /// Whether it shows colours.
    pub(crate) colour: bool,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: u16,
    pub(crate) lines: u16,
}

impl Size {
    /// The number of lines that a text without line breaks takes.
    pub(crate) fn lines_of(self, text: &str) -> u16 {
        let columns = usize::from(self.columns.max(1));
        let lines = text.chars().count().div_ceil(columns).max(1);
        lines.try_into().unwrap_or(u16::MAX)
    }
}

impl Io {
    /// The streams of this process; a person is asked when standard input and standard error are
    /// a terminal.
    #[must_use]
    pub fn standard() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let screen = io::stdout().is_terminal() && !is_dumb;
        Self {
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            screen,
            colour: screen && !is_set("NO_COLOR"),
        }
    }

    /// Streams that are not terminals; nobody is asked.
    #[must_use]
    pub fn new(
        stdin: impl Read + Send + 'static,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Self {
        Self {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            interactive: false,
            screen: false,
            colour: false,
        }
    }

    /// The same streams, with or without a person who can be asked.
    #[must_use]
    pub fn interactive(mut self, interactive: bool) -> Self {
        self.interactive = interactive;
        self
    }

    /// Reads a file, or standard input without one or for `-`, where it does not hold up other work.
    /// Returns the name of what was read, for messages, and the result of `read`.
    pub(crate) async fn read_input<T: Send + 'static>(
        &mut self,
        file: Option<PathBuf>,
        read: impl FnOnce(Box<dyn Read + Send>) -> io::Result<T> + Send + 'static,
    ) -> (String, io::Result<T>) {
        let file = file.filter(|file| file != Path::new("-"));
        let name = file.as_deref().map_or("standard input".to_owned(), shell_path);
        let stdin = mem::replace(&mut self.stdin, Box::new(io::empty()));
        let read = tokio::task::spawn_blocking(move || match file {
            Some(file) => read(Box::new(File::open(file)?)),
            None => read(stdin),
        });
        (name, read.await.unwrap_or_else(|error| Err(error.into())))
    }

    /// The size of the terminal on standard output; `None` if it is not a terminal or does not know.
    pub(crate) fn size(&self) -> Option<Size> {
        let size = self.screen.then(|| tcgetwinsize(io::stdout()).ok()).flatten()?;
        // Some serial lines report zeros.
        (size.ws_col > 0 && size.ws_row > 0)
            .then_some(Size { columns: size.ws_col, lines: size.ws_row })
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("interactive", &self.interactive).finish_non_exhaustive()
    }
}
