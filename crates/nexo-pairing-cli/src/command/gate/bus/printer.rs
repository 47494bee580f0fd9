//! Prints the decisions of a dry run.

use std::io::{self, Write};

use async_trait::async_trait;
use nexo_pairing::bus::{Observed, Observer, Rejection};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::command::gate::answer::Answer;
use crate::error::CliError;
use crate::json;
use crate::process::start_thread;

/// How many lines wait for whoever reads them; then the gate waits too.
const QUEUED: usize = 1024;

/// Prints decisions to standard output.
pub(super) struct Printer(mpsc::Sender<Line>);

/// What is written to standard output.
enum Line {
    Text(Vec<u8>),
    /// Everything before was written.
    Done(oneshot::Sender<io::Result<()>>),
}

impl Printer {
    /// A printer with a thread of its own that writes, so that a reader who does not take the lines
    /// keeps no signal from being heard.
    pub(super) fn start(stdout: Box<dyn Write + Send>) -> Result<Self, CliError> {
        let (sender, lines) = mpsc::channel(QUEUED);
        start_thread("nexo-pair-print", move || print(stdout, lines))?;
        Ok(Self(sender))
    }
}

#[async_trait]
impl Observer for Printer {
    async fn observe(&self, observed: Observed<'_>) {
        #[derive(Serialize)]
        struct Error<'a> {
            error: Rejection<'a>,
        }
        let line = match observed {
            // A code is told to nobody but its sender.
            Observed::Message { inbound, screened } => line(&Answer::new(inbound, screened, false)),
            Observed::Notice { channel, account, screened } => {
                line(&Answer::notice(channel, account, screened))
            }
            Observed::Rejected(error) => line(&Error { error }),
            _ => return,
        };
        // Whoever read them may be gone; `closed` says so.
        let _ = self.0.send(Line::Text(line)).await;
    }

    async fn flush(&self) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        // Both fail when the reader is gone, who then wants no more.
        let _ = self.0.send(Line::Done(done)).await;
        written.await.unwrap_or(Ok(()))
    }

    async fn closed(&self) {
        self.0.closed().await;
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    // Neither writing to memory nor these types can fail.
    let _ = json::write(&mut line, value);
    line.push(b'\n');
    line
}

/// Writes lines until there are no more, or until they cannot be written.
fn print(mut stdout: Box<dyn Write + Send>, mut lines: mpsc::Receiver<Line>) {
    while let Some(line) = lines.blocking_recv() {
        match line {
            Line::Text(line) => {
                if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
            Line::Done(done) => drop(done.send(stdout.flush())),
        }
    }
}
