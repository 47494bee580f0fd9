//! The status messages of a running gate, on standard error.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing::SystemClock;
use nexo_pairing::core::WarningLimiter;

use crate::context::Database;

/// Standard error, for several threads.
#[derive(Clone)]
pub(super) struct StatusLog(Arc<Inner>);

struct Inner {
    stderr: Mutex<Box<dyn Write + Send>>,
    warnings: WarningLimiter<Warning>,
}

/// Warnings that messages can cause again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Warning {
    /// A challenge was not delivered.
    ChallengeUndelivered,
    /// There was no room for a message.
    Overloaded,
}

impl StatusLog {
    pub(super) fn new(stderr: Box<dyn Write + Send>) -> Self {
        let warnings = WarningLimiter::new(SystemClock::shared());
        Self(Arc::new(Inner { stderr: Mutex::new(stderr), warnings }))
    }

    /// Logs which database a dry run works on.
    pub(super) fn dry_run(&self, database: &Database) {
        self.log(&format!("dry run: deciding on a copy of {} as it is now", database.shown()));
    }

    /// Logs a line. A failure to write is ignored.
    pub(super) fn log(&self, text: &str) {
        let line = format!("nexo-pair gate: {text}\n");
        let _ = self.stderr().write_all(line.as_bytes());
    }

    /// Logs a line that messages can cause: at most one per minute of each kind, with the number of
    /// those left out.
    pub(super) fn warn(&self, kind: Warning, text: impl FnOnce() -> String) {
        match self.0.warnings.allow(kind) {
            None => {}
            Some(0) => self.log(&text()),
            Some(more) => self.log(&format!("{} ({more} more since the last warning)", text())),
        }
    }

    fn stderr(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for StatusLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr().flush()
    }
}
