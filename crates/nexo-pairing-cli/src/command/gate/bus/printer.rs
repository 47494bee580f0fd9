//! Prints the decisions of a dry run.

use std::io::{self, Write};

use async_trait::async_trait;
use nexo_pairing::bus::{Observed, Observer};
use tokio::sync::{mpsc, oneshot};

use crate::Result;
use crate::command::gate::output::{DecisionLine, ErrorLine, push_line};
use crate::process::start_thread;

/// The most lines that wait for the reader; then the gate waits too.
const QUEUED: usize = 1024;

/// Prints decisions to standard output.
pub(super) struct Printer(mpsc::Sender<Line>);

/// A message to the printing thread.
enum Line {
    Text(Vec<u8>),
    /// Reports that all lines before it are written.
    Done(oneshot::Sender<io::Result<()>>),
}

impl Printer {
    /// Starts a thread that writes, so that a slow reader does not delay the handling of signals.
    pub(super) fn start(stdout: Box<dyn Write + Send>) -> Result<Self> {
        let (sender, lines) = mpsc::channel(QUEUED);
        start_thread("nexo-pair-print", move || print(stdout, lines))?;
        Ok(Self(sender))
    }
}

#[async_trait]
impl Observer for Printer {
    async fn observe(&self, observed: Observed<'_>) {
        let mut line = Vec::new();
        match observed {
            // A code is shown to nobody but its sender.
            Observed::Message { inbound, screened } => {
                push_line(&mut line, &DecisionLine::new(inbound, screened, false));
            }
            Observed::Notice { channel, account, screened } => {
                push_line(&mut line, &DecisionLine::notice(channel, account, screened));
            }
            Observed::Rejected(error) => push_line(&mut line, &ErrorLine { error }),
            _ => return,
        }
        // If the reader is gone, `closed` returns.
        let _ = self.0.send(Line::Text(line)).await;
    }

    async fn flush(&self) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        // Both fail once the reader is gone; then there is nothing left to do.
        let _ = self.0.send(Line::Done(done)).await;
        written.await.unwrap_or(Ok(()))
    }

    async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Writes lines until there are no more or writing fails.
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
