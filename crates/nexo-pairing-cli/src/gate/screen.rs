//! Decides on each line and writes the answer.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexo_pairing::{
    Delivery, Inbound, InboundEvent, PairingAdapterRegistry, PairingBackend, PairingGate,
    PairingStore, Screened,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use super::answer::Answer;
use super::lines::{Batch, MAX_LINE_BYTES};
use super::remarks::Remarks;
use super::{Settings, accounts, options};
use crate::channels::{Recorder, adapters};
use crate::error::{CliError, Exit, chain};
use crate::json;
use crate::text::cut;

/// How much is gathered at most before it is written, in bytes.
const GATHERED_BYTES: usize = 256 << 10;

/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Tells the gate to end after the line in hand.
#[derive(Debug, Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    wake: Notify,
}

impl Stop {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Answers lines, in order.
pub(super) struct Screener {
    gate: PairingGate,
    store: PairingStore,
    settings: Settings,
    next_settings: watch::Receiver<Settings>,
    registry: PairingAdapterRegistry,
    published: Arc<Recorder>,
    stdout: Box<dyn Write + Send>,
    remarks: Remarks,
    dry_run: bool,
    /// Answers that are not written yet.
    answers: Vec<u8>,
    /// The number of the line in hand, from 1.
    line: u64,
    /// Whether a line could not be decided.
    failed: bool,
}

/// Why nothing more is answered.
enum Ended {
    /// Whoever read the answers has gone.
    Unread,
    Failed(io::Error),
}

#[derive(Serialize)]
struct OutboundLine<'a> {
    outbound: Published<'a>,
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

impl Screener {
    pub(super) fn new(
        store: PairingStore,
        next_settings: watch::Receiver<Settings>,
        stdout: Box<dyn Write + Send>,
        remarks: Remarks,
        dry_run: bool,
    ) -> Self {
        let published = Arc::new(Recorder::default());
        let settings = next_settings.borrow().clone();
        Self {
            gate: PairingGate::with_options(Arc::new(store.clone()), options(&settings)),
            store,
            settings,
            next_settings,
            registry: adapters(published.clone()),
            published,
            stdout,
            remarks,
            dry_run,
            answers: Vec::new(),
            line: 0,
            failed: false,
        }
    }

    /// Answers batches until there are no more, until it is asked to stop, or until nobody reads
    /// the answers.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<io::Result<Batch>>,
        stop: &Stop,
    ) -> Result<Exit, CliError> {
        self.load().await;
        let mut ended = Ok(());
        while ended.is_ok() && !stop.is_asked() {
            let batch = tokio::select! {
                biased;
                () = stop.wake.notified() => break,
                batch = batches.recv() => batch,
            };
            ended = match batch {
                None => break,
                Some(Ok(batch)) => self.answer_batch(&batch, stop).await,
                Some(Err(source)) => {
                    let what = "read standard input".to_owned();
                    return Err(CliError::Io { what, source });
                }
            };
        }
        match ended {
            Err(Ended::Failed(source)) => {
                Err(CliError::Io { what: "write the answers".to_owned(), source })
            }
            _ if self.failed => Ok(Exit::Refused),
            _ => Ok(Exit::Done),
        }
    }

    async fn answer_batch(&mut self, batch: &Batch, stop: &Stop) -> Result<(), Ended> {
        self.take_settings();
        if batch.skipped {
            self.line += 1;
            self.too_long();
        }
        let mut rest = batch.lines.as_slice();
        while !rest.is_empty() && !stop.is_asked() {
            let mut after = rest;
            // Reading from memory does not fail.
            let _ = after.skip_until(b'\n');
            let line = &rest[..rest.len() - after.len()];
            rest = after;
            self.line += 1;
            let took_a_while = self.answer(line).await;
            if took_a_while || self.answers.len() >= GATHERED_BYTES {
                self.write()?;
            }
        }
        self.write()
    }

    /// Answers one line; says whether it had to wait for the store.
    async fn answer(&mut self, line: &[u8]) -> bool {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(line) if self.line == 1 => line.trim_ascii(),
            _ => line.trim_ascii(),
        };
        if line.is_empty() {
            return false;
        }
        if line.len() > MAX_LINE_BYTES {
            self.too_long();
            return false;
        }
        match InboundEvent::parse(line) {
            Ok(InboundEvent::Message(inbound)) => {
                let policy = self.settings.policy(&inbound.channel, &inbound.account);
                match self.gate.screen(&inbound, policy, &self.registry).await {
                    Ok(screened) => {
                        self.decided(&inbound, &screened);
                        return screened.delivery.is_some();
                    }
                    Err(error) => {
                        self.undecided(error.kind(), &chain(&error));
                        return true;
                    }
                }
            }
            Ok(InboundEvent::Notice { channel, account, .. }) => self.notice(&channel, &account),
            Ok(_) => self.undecided("unknown_event", "the event is of an unknown sort"),
            Err(error) => self.undecided(error.kind(), &chain(&error)),
        }
        false
    }

    /// Answers an event without a sender.
    fn notice(&mut self, channel: &str, account: &str) {
        let decision = match self.gate.notice(channel, account) {
            Ok(decision) => decision,
            Err(error) => return self.undecided(error.kind(), &chain(&error)),
        };
        self.push(&Answer::notice(channel, account, &decision));
    }

    fn decided(&mut self, inbound: &Inbound, screened: &Screened) {
        // A code of a dry run opens nothing.
        self.push(&Answer::new(inbound, screened, !self.dry_run));
        if let Some(delivery) = &screened.delivery {
            self.delivered(inbound, delivery);
        }
    }

    /// Passes on what the adapter published, or says that nobody was told his code.
    fn delivered(&mut self, inbound: &Inbound, delivery: &Delivery) {
        let published = self.published.take();
        if self.dry_run {
            return;
        }
        for (topic, payload) in &published {
            self.push(&OutboundLine { outbound: Published { topic, payload } });
        }
        let why = match delivery {
            Delivery::DeliveredViaAdapter | Delivery::DeliveredViaBroker => return,
            Delivery::NoAdapterNoBrokerTopic => {
                let known = self.registry.channels().join(", ");
                format!("there is no adapter for this channel here, only for {known}")
            }
            Delivery::PublishFailed(error) => chain(error),
            other => format!("{other:?}"),
        };
        let (channel, account) = (cut(&inbound.channel, 32), cut(&inbound.account, 64));
        let line = self.line;
        self.remarks.say(&format!("line {line}: no code was sent on {channel}/{account}: {why}"));
    }

    fn too_long(&mut self) {
        let message = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        self.undecided("too_long", &message);
    }

    fn undecided(&mut self, kind: &str, message: &str) {
        self.failed = true;
        let error = LineError { line: self.line, kind, message };
        self.push(&ErrorLine { error });
    }

    fn push(&mut self, line: &impl Serialize) {
        // Neither writing to memory nor these types can fail.
        let _ = json::write(&mut self.answers, line);
        self.answers.push(b'\n');
    }

    fn write(&mut self) -> Result<(), Ended> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let written = self.stdout.write_all(&self.answers).and_then(|()| self.stdout.flush());
        self.answers.clear();
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ended::Unread,
            _ => Ended::Failed(error),
        })
    }

    /// Puts a configuration that was read again in force, between two batches.
    fn take_settings(&mut self) {
        if !self.next_settings.has_changed().unwrap_or(false) {
            return;
        }
        self.settings = self.next_settings.borrow_and_update().clone();
        self.gate.set_accounts(accounts(&self.settings));
    }

    /// Waits for the roster, so that the first line is decided by it.
    async fn load(&mut self) {
        if let Err(error) = self.store.refresh().await {
            self.remarks.say(&format!("the lists could not be read: {}", chain(&error)));
        }
    }
}
