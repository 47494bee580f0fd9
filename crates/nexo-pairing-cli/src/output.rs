//! What a command prints: its result, warnings and notes about it, and the error that stopped it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IntoInnerError, Seek, Write};

use serde::Serialize;
use serde_json::json;
use tempfile::SpooledTempFile;

use crate::error::chain;
use crate::exit::Exit;
use crate::io::Io;
use crate::json;
use crate::text::escape;
use crate::{CliError, Context, Result};

impl Context {
    /// Prints the result: `value` as one line of JSON, or `text` for people.
    pub(crate) fn print(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result {
        let text =
            if self.json() { json::to_string(value).map_err(not_written)? + "\n" } else { text() };
        self.print_text(&text)
    }

    /// Prints a text as it is.
    pub(crate) fn print_text(&mut self, text: &str) -> Result {
        self.copy(text.as_bytes())
    }

    /// Prints a buffered result.
    pub(crate) fn print_buffer(&mut self, buffer: Buffer) -> Result {
        let folder = std::env::temp_dir();
        let not_buffered = CliError::io(format!("buffer the result in {}", folder.display()));
        let mut file = buffer.complete().map_err(not_buffered)?;
        file.rewind().map_err(not_written)?;
        self.copy(file)
    }

    fn copy(&mut self, mut from: impl io::Read) -> Result {
        let stdout = &mut self.io.stdout;
        match io::copy(&mut from, stdout).and_then(|_| stdout.flush()) {
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(not_written),
        }
    }

    /// Prints a warning about the result on standard error.
    pub(crate) fn warn(&mut self, kind: &str, message: &str) {
        let line = if self.json() {
            let warning = json!({ "warning": { "kind": kind, "message": message } });
            json::to_string(&warning).unwrap_or_default()
        } else {
            format!("warning: {}", escape(message))
        };
        // A warning that cannot be printed is no reason to fail.
        let _ = writeln!(self.io.stderr, "{line}");
    }

    /// Prints a remark beside the result, for people only.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.json() {
            // A note that cannot be printed is no reason to fail.
            let _ = writeln!(self.io.stderr, "note: {}", escape(text));
        }
    }
}

/// Prints the error on standard error.
pub(crate) fn report(error: &CliError, json: bool, io: &mut Io) -> Exit {
    let message = chain(error);
    let text = if json {
        as_json(error.kind(), &message, error.hint())
    } else {
        // Each line by itself, so that a command in it can be pasted.
        let hint: Vec<_> = error.hint().iter().flat_map(|hint| hint.lines()).map(escape).collect();
        let hint = hint.join("\n      ");
        let hint = if hint.is_empty() { hint } else { format!("hint: {hint}\n") };
        format!("error: {message}\n{hint}")
    };
    // When this fails, there is nobody left to report to.
    let _ = io.stderr.write_all(text.as_bytes()).and_then(|()| io.stderr.flush());
    error.exit()
}

/// An error for programs, on one line.
pub(crate) fn as_json(kind: &str, message: &str, hint: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Reported<'a> {
        kind: &'a str,
        message: &'a str,
        hint: Option<&'a str>,
    }
    let line = BTreeMap::from([("error", Reported { kind, message, hint })]);
    // Three strings can always be written.
    json::to_string(&line).unwrap_or_default() + "\n"
}

/// The largest result that is buffered in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

/// A result that is buffered until it is complete, so that a slow reader, such as a pager, does not
/// hold a transaction open. Beyond [`IN_MEMORY`] it goes to a temporary file without a name.
#[derive(Debug)]
pub(crate) struct Buffer {
    file: BufWriter<SpooledTempFile>,
    /// Why it is incomplete; reported when it is printed.
    error: Option<io::Error>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { file: BufWriter::new(SpooledTempFile::new(IN_MEMORY)), error: None }
    }
}

impl Buffer {
    /// Adds a text.
    pub(crate) fn push(&mut self, text: &str) {
        self.write(|file| file.write_all(text.as_bytes()));
    }

    /// Adds a value as JSON.
    pub(crate) fn push_json(&mut self, value: &impl Serialize) {
        self.write(|file| json::write(file, value));
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<SpooledTempFile>) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.file).err();
        }
    }

    fn complete(self) -> io::Result<SpooledTempFile> {
        match self.error {
            Some(error) => Err(error),
            None => self.file.into_inner().map_err(IntoInnerError::into_error),
        }
    }
}

fn not_written(source: io::Error) -> CliError {
    CliError::io("write the result")(source)
}
