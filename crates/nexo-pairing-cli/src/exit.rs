//! The exit status of a command.

use std::process::ExitCode;

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[must_use]
pub enum Exit {
    /// It succeeded.
    Done = 0,
    /// A pairing rule refused it, or there was nothing to do.
    Refused = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    /// The store, a file or a stream failed.
    Storage = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
