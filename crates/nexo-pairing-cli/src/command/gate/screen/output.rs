//! What is written for a line: JSON, one object a line.

use serde::Serialize;
use serde_json::Value;

use crate::command::gate::answer::Answer;
use crate::json;

/// Answers that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Whether a line could not be decided.
    pub(super) has_errors: bool,
}

#[derive(Serialize)]
struct OutboundLine<'a> {
    outbound: Published<'a>,
    line: u64,
}

#[derive(Serialize)]
struct Published<'a> {
    topic: &'a str,
    payload: &'a Value,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    error: LineError<'a>,
}

#[derive(Serialize)]
struct LineError<'a> {
    line: u64,
    kind: &'a str,
    message: &'a str,
}

impl Output {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn append(&mut self, other: Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.has_errors |= other.has_errors;
    }

    pub(super) fn decided(&mut self, line: u64, answer: Answer<'_>) {
        self.push(&answer.for_line(line));
    }

    pub(super) fn outbound(&mut self, line: u64, topic: &str, payload: &Value) {
        self.push(&OutboundLine { outbound: Published { topic, payload }, line });
    }

    /// Tells that nothing was decided on a line.
    pub(super) fn undecided(&mut self, line: u64, kind: &str, message: &str) {
        self.has_errors = true;
        self.push(&ErrorLine { error: LineError { line, kind, message } });
    }

    fn push(&mut self, line: &impl Serialize) {
        // Neither writing to memory nor these types can fail.
        let _ = json::write(&mut self.bytes, line);
        self.bytes.push(b'\n');
    }
}
