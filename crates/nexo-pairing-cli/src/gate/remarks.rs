//! What a gate says to the operator while it runs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::context::Database;
use crate::text::escaped;

/// Standard error, for several threads.
#[derive(Clone)]
pub(super) struct Remarks(Arc<Mutex<Box<dyn Write + Send>>>);

impl Remarks {
    pub(super) fn new(stderr: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(stderr)))
    }

    /// Says what a dry run works on.
    pub(super) fn rehearses(&self, database: &Database) {
        let path = escaped(&database.path().to_string_lossy());
        self.say(&format!("dry run: it decides on a copy of {path} as it is now"));
    }

    /// Says that a configuration that was read again is not put in force.
    pub(super) fn stays(&self, problem: &str) {
        self.say(&format!("the old configuration stays in force: {problem}"));
    }

    /// Says a line; nothing is decided by whether somebody hears it.
    pub(super) fn say(&self, text: &str) {
        let line = format!("nexo-pair gate: {text}\n");
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

impl Write for Remarks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
