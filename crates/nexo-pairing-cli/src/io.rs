//! What a command reads from and writes to.

use std::fmt;
use std::io::{self, IsTerminal, Read, Write};

/// The streams of a command: those of the process, or others.
pub struct Io {
    pub(crate) stdin: Box<dyn Read + Send>,
    pub(crate) stdout: Box<dyn Write + Send>,
    pub(crate) stderr: Box<dyn Write + Send>,
    /// Whether a person sits there, who can be asked.
    pub(crate) interactive: bool,
}

impl Io {
    /// The streams of this process; a person is asked when standard input and standard error are
    /// a terminal.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Other streams; nobody is asked.
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
        }
    }

    /// The same streams, with or without a person who can be asked.
    #[must_use]
    pub fn interactive(mut self, interactive: bool) -> Self {
        self.interactive = interactive;
        self
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("interactive", &self.interactive).finish_non_exhaustive()
    }
}
