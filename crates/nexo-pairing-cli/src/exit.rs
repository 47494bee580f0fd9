//! The exit status of a command.

use std::process::ExitCode;

/// How a command ended; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[must_use]
pub enum Exit {
    /// It did what it was asked.
    Done = 0,
    /// A pairing rule refused it.
    Refused = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    /// The store failed, or a file or a stream.
    Storage = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
