//! Shows the log messages of the libraries to the operator.

use std::io::{self, Write};

use serde_json::json;
use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;

use crate::json;
use crate::text::escape;

/// Writes warnings and errors of the libraries to standard error of this process, one per line. For the
/// program `nexo-pair` only: a program that embeds the commands has its own subscriber.
pub(crate) fn to_stderr(json: bool) {
    // An existing subscriber is kept.
    let _ = tracing::subscriber::set_global_default(subscriber(json, io::stderr));
}

fn subscriber<W: Write + 'static>(
    json: bool,
    into: impl Fn() -> W + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .with_writer(move || Lines { into: into(), json })
        .finish()
}

/// Writes each event, whose text comes in one piece, as one line in one write, so that lines of threads
/// are not mixed.
struct Lines<W> {
    into: W,
    json: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = escape(text.trim());
        let line = if self.json {
            json::to_string(&json!({ "log": text }))? + "\n"
        } else {
            format!("nexo-pair: {text}\n")
        };
        self.into.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The writes for an event that is logged and one that is not.
    fn logged(json: bool) -> Vec<String> {
        let written = Written::default();
        let into = written.clone();
        let subscriber = subscriber(json, move || into.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("all is well");
            tracing::warn!(path = "a\u{202e}b", error = %"one\ntwo\u{1b}[2J", "the WAL is busy");
        });
        let written = written.0.lock().unwrap();
        written.iter().map(|write| String::from_utf8(write.clone()).unwrap()).collect()
    }

    #[test]
    fn a_warning_is_one_escaped_line_in_one_write() {
        let [line] = &logged(false)[..] else { panic!("one write") };
        assert!(line.starts_with("nexo-pair: WARN the WAL is busy"), "{line}");
        assert!(line.contains("one\\ntwo"), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
        assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true));
    }

    #[test]
    fn the_log_is_json_for_programs() {
        let [line] = &logged(true)[..] else { panic!("one write") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["log"].as_str().unwrap().starts_with("WARN the WAL is busy"), "{line}");
    }
}
