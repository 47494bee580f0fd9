//! Reads standard input in chunks and sends the complete lines of each.

use std::io::{self, Read};
use std::mem;

use nexo_pairing::limits::MAX_EVENT_BYTES;
use tokio::sync::mpsc::Sender;

/// The maximum length of a line, in bytes without its end.
pub(super) const MAX_LINE_BYTES: usize = MAX_EVENT_BYTES;

/// The most batches that wait to be decided: enough to keep both threads busy.
pub(super) const QUEUED: usize = 4;

/// The number of bytes to read at once: the capacity of a pipe.
const CHUNK_BYTES: usize = 64 << 10;

/// Lines that were read together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Whether an overlong line before these was skipped.
    pub(super) skipped: bool,
    /// The lines, each with its end; only the last of the input may have none.
    pub(super) lines: Vec<u8>,
}

/// Reads until the end of the input, or until the receiver is gone.
pub(super) fn read(mut input: Box<dyn Read + Send>, batches: &Sender<io::Result<Batch>>) {
    let mut splitter = Splitter::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let batch = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => splitter.push(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => {
                // The lines before the error are still decided.
                let _ = splitter.finish().map(|batch| batches.blocking_send(Ok(batch)));
                let _ = batches.blocking_send(Err(error));
                return;
            }
        };
        if batch.is_some_and(|batch| batches.blocking_send(Ok(batch)).is_err()) {
            return;
        }
    }
    if let Some(batch) = splitter.finish() {
        let _ = batches.blocking_send(Ok(batch));
    }
}

/// Splits a stream into batches of lines; buffers at most one line.
#[derive(Debug, Default)]
struct Splitter {
    /// The beginning of an incomplete line.
    partial: Vec<u8>,
    /// Whether that line is too long; its beginning is dropped.
    skipping: bool,
}

impl Splitter {
    fn push(&mut self, mut chunk: &[u8]) -> Option<Batch> {
        let mut skipped = false;
        if self.skipping {
            let end = chunk.iter().position(|&byte| byte == b'\n')?;
            chunk = &chunk[end + 1..];
            (self.skipping, skipped) = (false, true);
        }
        let complete = chunk.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = chunk.split_at(complete);
        let mut batch = Batch { skipped, lines: Vec::new() };
        if !lines.is_empty() {
            batch.lines = mem::take(&mut self.partial);
            batch.lines.extend_from_slice(lines);
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > MAX_LINE_BYTES {
            (self.partial, self.skipping) = (Vec::new(), true);
        }
        (batch != Batch::default()).then_some(batch)
    }

    /// The rest at the end of the input.
    fn finish(&mut self) -> Option<Batch> {
        let skipped = mem::take(&mut self.skipping);
        let batch = Batch { skipped, lines: mem::take(&mut self.partial) };
        (batch != Batch::default()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Option<Batch> {
        Some(Batch { skipped: false, lines: text.into() })
    }

    #[test]
    fn lines_are_sent_when_they_are_complete() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"on"), None);
        assert_eq!(splitter.push(b"e\ntwo\nth"), lines("one\ntwo\n"));
        assert_eq!(splitter.push(b"ree"), None);
        assert_eq!(splitter.push(b"\n"), lines("three\n"));
        assert_eq!(splitter.push(b"\n\n"), lines("\n\n"));
        assert_eq!(splitter.push(b"last"), None);
        assert_eq!(splitter.finish(), lines("last"));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_not_kept() {
        let mut splitter = Splitter::default();
        let chunk = [b'x'; CHUNK_BYTES];
        for _ in 0..160 {
            assert_eq!(splitter.push(&chunk), None);
            assert!(splitter.partial.capacity() <= 2 * (MAX_LINE_BYTES + CHUNK_BYTES));
        }
        let next = Batch { skipped: true, lines: b"next\n".into() };
        assert_eq!(splitter.push(b"xx\nnext\nmo"), Some(next));
        assert_eq!(splitter.push(b"re\n"), lines("more\n"));
    }

    #[test]
    fn the_end_of_a_skipped_line_is_reported_without_waiting_for_the_next() {
        let mut splitter = Splitter { partial: Vec::new(), skipping: true };
        assert_eq!(splitter.push(b"xx\n"), Some(Batch { skipped: true, lines: Vec::new() }));
        let mut splitter = Splitter { partial: Vec::new(), skipping: true };
        assert_eq!(splitter.push(b"xx"), None);
        assert_eq!(splitter.finish(), Some(Batch { skipped: true, lines: Vec::new() }));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_kept() {
        let mut splitter = Splitter::default();
        let line = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(splitter.push(&line), None);
        assert_eq!(splitter.push(b"\n").map(|batch| batch.lines.len()), Some(MAX_LINE_BYTES + 1));
    }
}
