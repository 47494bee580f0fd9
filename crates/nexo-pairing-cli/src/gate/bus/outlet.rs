//! Where the messages and the decisions of a gate on a bus go.

use std::io::{self, Write};

use bytes::Bytes;
use nexo_pairing::nats::{Bus, NatsError};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::event::{Letter, Refusal};
use super::subject::{ADMITTED, NOTICES, REJECTED};
use crate::error::CliError;
use crate::gate::answer::Answer;
use crate::gate::start;
use crate::json;
use crate::text::cut;

/// How many lines wait for whoever reads them; then the gate waits too.
const QUEUED: usize = 1024;

/// How much is shown of a subject, in characters.
const MAX_SUBJECT_SHOWN: usize = 256;

/// Where messages and decisions go.
pub(super) enum Outlet {
    /// To the bus; decisions are only counted.
    Publish(Bus),
    /// Decisions to standard output, and messages nowhere.
    Print(mpsc::Sender<Line>),
}

/// What is written to standard output.
pub(super) enum Line {
    Text(Vec<u8>),
    /// Everything before was written.
    Done(oneshot::Sender<io::Result<()>>),
}

/// What is told of a message on which nothing was decided. What it said stays out: it may be private,
/// and as long as a message can be.
#[derive(Serialize)]
struct Rejected<'a> {
    subject: &'a str,
    reason: &'a str,
    message: &'a str,
    bytes: usize,
}

impl Outlet {
    /// An outlet for a dry run. A thread of its own writes, so that a reader who does not take the lines
    /// keeps no signal from being heard.
    pub(super) fn print(stdout: Box<dyn Write + Send>) -> Result<Self, CliError> {
        let (sender, lines) = mpsc::channel(QUEUED);
        start("nexo-pair-print", move || print(stdout, lines))?;
        Ok(Self::Print(sender))
    }

    /// Passes a message on, unchanged.
    pub(super) async fn admit(&self, suffix: &str, letter: Letter<'_>) -> Result<(), NatsError> {
        match self {
            Self::Publish(bus) => {
                let subject = [ADMITTED, suffix].concat();
                bus.publish(&subject, letter.payload.clone()).await
            }
            Self::Print(_) => Ok(()),
        }
    }

    /// Passes on what was made anew of a notice; also among what is admitted, if `is_admitted`.
    pub(super) async fn notice(
        &self,
        suffix: &str,
        event: &Value,
        is_admitted: bool,
    ) -> Result<(), NatsError> {
        let Self::Publish(bus) = self else { return Ok(()) };
        let event = Bytes::from(event.to_string());
        bus.publish(&[NOTICES, suffix].concat(), event.clone()).await?;
        if is_admitted {
            bus.publish(&[ADMITTED, suffix].concat(), event).await?;
        }
        Ok(())
    }

    /// Tells a decision, where somebody wants to see them.
    pub(super) async fn decided<'a>(&self, answer: impl FnOnce() -> Answer<'a>) {
        if let Self::Print(lines) = self {
            let answer = line(&answer());
            // Whoever read them may be gone; `closed` says so.
            let _ = lines.send(Line::Text(answer)).await;
        }
    }

    /// Tells that nothing was decided on a message, and why.
    pub(super) async fn reject(
        &self,
        letter: Letter<'_>,
        refusal: &Refusal,
    ) -> Result<(), NatsError> {
        let Refusal { reason, message } = refusal;
        let subject = &cut(letter.subject, MAX_SUBJECT_SHOWN);
        let bytes = letter.payload.len();
        let rejected = Rejected { subject, reason, message, bytes };
        match self {
            Self::Publish(bus) => {
                // It is made of text and a number.
                let rejected = serde_json::to_vec(&rejected).unwrap_or_default();
                bus.publish(REJECTED, rejected.into()).await
            }
            Self::Print(lines) => {
                #[derive(Serialize)]
                struct Error<'a> {
                    error: Rejected<'a>,
                }
                let _ = lines.send(Line::Text(line(&Error { error: rejected }))).await;
                Ok(())
            }
        }
    }

    /// Ends when nobody wants the decisions any more.
    pub(super) async fn closed(&self) {
        match self {
            Self::Publish(_) => std::future::pending().await,
            Self::Print(lines) => lines.closed().await,
        }
    }

    /// Waits until everything is where it should be.
    pub(super) async fn finish(&self) -> Result<(), CliError> {
        match self {
            Self::Publish(bus) => Ok(bus.flush().await?),
            Self::Print(lines) => {
                let (done, written) = oneshot::channel();
                // Both fail when the reader is gone, who then wants no more.
                let _ = lines.send(Line::Done(done)).await;
                written.await.unwrap_or(Ok(())).map_err(|source| {
                    let what = "write the decisions".to_owned();
                    CliError::Io { what, source }
                })
            }
        }
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
