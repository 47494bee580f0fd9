//! What a command prints: its result, what should be known beside it, and what stopped it.

use std::io::{self, BufWriter, IntoInnerError, Seek, Write};

use serde::Serialize;
use serde_json::json;
use tempfile::SpooledTempFile;

use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::io::Io;
use crate::json;
use crate::text::escape;

impl Context {
    /// Prints the result: `value` as one line of JSON, or `text` for people.
    pub(crate) fn print(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let text =
            if self.json() { json::to_string(value).map_err(not_written)? + "\n" } else { text() };
        self.print_text(&text)
    }

    /// Prints a text as it is.
    pub(crate) fn print_text(&mut self, text: &str) -> Result<(), CliError> {
        let stdout = &mut self.io.stdout;
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(not_written),
        }
    }

    /// Prints what was kept.
    pub(crate) fn print_kept(&mut self, kept: Kept) -> Result<(), CliError> {
        let mut file = kept.complete().map_err(|source| {
            let folder = std::env::temp_dir();
            CliError::Io { what: format!("keep the result in {}", folder.display()), source }
        })?;
        let stdout = &mut self.io.stdout;
        let printed =
            file.rewind().and_then(|()| io::copy(&mut file, stdout)).and_then(|_| stdout.flush());
        match printed {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(not_written),
        }
    }

    /// Says what should be known before the result is used, on standard error.
    pub(crate) fn warn(&mut self, kind: &str, message: &str) {
        let line = if self.json() {
            let warning = json!({ "warning": { "kind": kind, "message": message } });
            json::to_string(&warning).unwrap_or_default()
        } else {
            format!("warning: {}", escape(message))
        };
        // A warning that cannot be told is no reason to fail.
        let _ = writeln!(self.io.stderr, "{line}");
    }

    /// Says something beside the result, to people only.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.json() {
            // A remark that cannot be told is no reason to fail.
            let _ = writeln!(self.io.stderr, "note: {}", escape(text));
        }
    }
}

/// Tells the error on standard error.
pub(crate) fn report(error: &CliError, json: bool, io: &mut Io) -> Exit {
    let message = chain(error);
    let hint = error.hint();
    let text = if json {
        as_json(error.kind(), &message, hint.as_deref())
    } else {
        // Each line by itself, so that a command in it can be pasted.
        let hint: Vec<_> = hint.iter().flat_map(|hint| hint.lines()).map(escape).collect();
        let hint = hint.join("\n      ");
        let hint = if hint.is_empty() { hint } else { format!("hint: {hint}\n") };
        format!("error: {message}\n{hint}")
    };
    // Nobody is left to be told that this failed.
    let _ = io.stderr.write_all(text.as_bytes());
    let _ = io.stderr.flush();
    error.exit()
}

/// An error as programs read it, on one line.
pub(crate) fn as_json(kind: &str, message: &str, hint: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        error: Told<'a>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        kind: &'a str,
        message: &'a str,
        hint: Option<&'a str>,
    }
    let line = Line { error: Told { kind, message, hint } };
    // Three strings can always be written.
    json::to_string(&line).unwrap_or_default() + "\n"
}

/// A result that is kept until it is complete, so that a reader who waits, such as a pager, does not
/// hold a transaction open. What is longer than 1 MiB goes to a temporary file that has no name.
#[derive(Debug)]
pub(crate) struct Kept {
    file: BufWriter<SpooledTempFile>,
    /// Why it is not complete. It is told when it is printed.
    error: Option<io::Error>,
}

impl Kept {
    const IN_MEMORY: usize = 1 << 20;

    pub(crate) fn new() -> Self {
        Self { file: BufWriter::new(SpooledTempFile::new(Self::IN_MEMORY)), error: None }
    }

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
    CliError::Io { what: "write the result".to_owned(), source }
}
