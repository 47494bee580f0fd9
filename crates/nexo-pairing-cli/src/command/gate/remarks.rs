//! What a gate says to the operator while it runs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing::{SystemClock, WarningLimiter};

use crate::context::Database;
use crate::text::escape;

/// Standard error, for several threads.
#[derive(Clone)]
pub(super) struct Remarks(Arc<Inner>);

struct Inner {
    stderr: Mutex<Box<dyn Write + Send>>,
    warnings: WarningLimiter<Warning>,
}

/// What a message can cause to be said, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Warning {
    /// A sender was not told the code.
    NoCodeSent,
    /// There was no room for a message.
    Overloaded,
}

impl Remarks {
    pub(super) fn new(stderr: Box<dyn Write + Send>) -> Self {
        let warnings = WarningLimiter::new(SystemClock::shared());
        Self(Arc::new(Inner { stderr: Mutex::new(stderr), warnings }))
    }

    /// Says what a dry run works on.
    pub(super) fn rehearses(&self, database: &Database) {
        let path = escape(&database.path().to_string_lossy());
        self.say(&format!("dry run: it decides on a copy of {path} as it is now"));
    }

    /// Says that a configuration that was read again is not put in force.
    pub(super) fn stays(&self, problem: &str) {
        self.say(&format!("the old configuration stays in force: {problem}"));
    }

    /// Says a line; nothing is decided by whether somebody hears it.
    pub(super) fn say(&self, text: &str) {
        let line = format!("nexo-pair gate: {text}\n");
        let _ = self.stderr().write_all(line.as_bytes());
    }

    /// Says a line that messages can cause: one a minute of each kind, with the number of those left
    /// out.
    pub(super) fn warn(&self, kind: Warning, text: impl FnOnce() -> String) {
        match self.0.warnings.allow(kind) {
            None => {}
            Some(0) => self.say(&text()),
            Some(more) => self.say(&format!("{} ({more} more since the last warning)", text())),
        }
    }

    fn stderr(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Remarks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr().flush()
    }
}
