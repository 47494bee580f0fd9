//! Decides on each line and writes the answer.
//!
//! What is decided from memory is answered at once. A line that needs the store waits ([`Waiting`]), and
//! so does every later line of its sender. As long as the store is quick, answers keep the order of
//! their lines: those of later lines are held back for [`PATIENCE`]. After that they pass, until no
//! line waits any more.

mod decider;
mod load;
mod output;
mod pause;
#[cfg(test)]
mod tests;
mod waiting;

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use nexo_pairing::{
    Inbound, InboundEvent, Notice, PairingAdapterRegistry, PairingGate, PairingStore,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::answer::Answer;
use super::lines::{Batch, MAX_LINE_BYTES};
use super::options::{accounts, options};
use super::remarks::{Remarks, Warning};
use super::settings::Settings;
use crate::channels::adapters_for_names;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use decider::{ADAPTER_UNREACHABLE, Decider, not_here};
use output::Output;
use pause::Pause;
use waiting::{Decided, Key, Waiting};

/// How much is gathered at most before it is written, in bytes.
const GATHERED_BYTES: usize = 256 << 10;

/// How long answers wait for those of earlier lines. A healthy disk makes a request durable in less.
const PATIENCE: Duration = Duration::from_millis(250);

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

/// Answers lines.
pub(super) struct Screener {
    decider: Arc<Decider>,
    store: PairingStore,
    next_settings: watch::Receiver<Settings>,
    registry: PairingAdapterRegistry,
    waiting: Waiting,
    /// Whether answers no longer wait for those of earlier lines.
    is_stalled: bool,
    pause: Pause,
    stdout: Box<dyn Write + Send>,
    output: Output,
    /// The number of the line in hand, from 1.
    line: u64,
}

/// Why nothing more is answered.
enum Ended {
    /// Whoever read the answers has gone.
    Unread,
    Failed {
        what: &'static str,
        source: io::Error,
    },
}

impl Screener {
    pub(super) fn new(
        store: PairingStore,
        next_settings: watch::Receiver<Settings>,
        stdout: Box<dyn Write + Send>,
        remarks: Remarks,
        dry_run: bool,
    ) -> Self {
        let settings = next_settings.borrow().clone();
        let gate = PairingGate::with_options(store.clone(), options(&settings));
        Self {
            decider: Arc::new(Decider::new(gate, settings, remarks, dry_run)),
            store,
            next_settings,
            registry: adapters_for_names(),
            waiting: Waiting::new(),
            is_stalled: false,
            pause: Pause::default(),
            stdout,
            output: Output::default(),
            line: 0,
        }
    }

    /// Answers batches until there are no more, until it is asked to stop, or until nobody reads
    /// the answers. Lines that wait are answered before it ends.
    pub(super) async fn run(
        mut self,
        batches: mpsc::Receiver<io::Result<Batch>>,
        stop: &Stop,
    ) -> Result<Exit, CliError> {
        self.load().await;
        match self.answer_all(batches, stop).await {
            Err(Ended::Failed { what, source }) => {
                Err(CliError::Io { what: what.to_owned(), source })
            }
            _ if self.output.has_errors => Ok(Exit::Refused),
            _ => Ok(Exit::Done),
        }
    }

    async fn answer_all(
        &mut self,
        mut batches: mpsc::Receiver<io::Result<Batch>>,
        stop: &Stop,
    ) -> Result<(), Ended> {
        let mut ended = Ok(());
        while !stop.is_asked() {
            tokio::select! {
                biased;
                () = stop.wake.notified() => break,
                Ok(()) = self.next_settings.changed() => self.take_settings(),
                Some(decided) = self.waiting.next() => {
                    self.take(decided);
                    self.write()?;
                }
                batch = batches.recv() => match batch {
                    None => break,
                    Some(Ok(batch)) => self.answer_batch(&batch, stop).await?,
                    Some(Err(source)) => {
                        ended = Err(Ended::Failed { what: "read standard input", source });
                        break;
                    }
                },
            }
        }
        while let Some(decided) = self.waiting.next().await {
            self.take(decided);
            self.write()?;
        }
        ended
    }

    async fn answer_batch(&mut self, batch: &Batch, stop: &Stop) -> Result<(), Ended> {
        let settings = self.decider.settings().clone();
        if batch.skipped {
            self.line += 1;
            self.settle().await?;
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
            self.answer(line, &settings).await?;
            if self.output.bytes().len() >= GATHERED_BYTES {
                self.write()?;
            }
        }
        self.write()
    }

    /// Answers one line, or has it wait.
    async fn answer(&mut self, line: &[u8], settings: &Settings) -> Result<(), Ended> {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(line) if self.line == 1 => line.trim_ascii(),
            _ => line.trim_ascii(),
        };
        if line.is_empty() {
            return Ok(());
        }
        let event = (line.len() <= MAX_LINE_BYTES).then(|| InboundEvent::parse(line));
        if let Some(Ok(InboundEvent::Message(inbound))) = event {
            return self.message(line, &inbound, settings).await;
        }
        self.settle().await?;
        match event {
            None => self.too_long(),
            Some(Ok(InboundEvent::Notice { channel, account, notice, .. })) => {
                match not_here(&channel, settings, &self.registry) {
                    Some(message) => self.undecided(ADAPTER_UNREACHABLE, &message),
                    None => self.notice(&channel, &account, &notice),
                }
            }
            Some(Ok(_)) => self.undecided("unknown_event", "the event is of an unknown sort"),
            Some(Err(error)) => self.undecided(error.kind(), &chain(&error)),
        }
        Ok(())
    }

    /// Answers a message from memory, unless it or an earlier one of its sender needs the store.
    async fn message(
        &mut self,
        line: &[u8],
        inbound: &Inbound,
        settings: &Settings,
    ) -> Result<(), Ended> {
        let mut keys = Vec::new();
        if !self.waiting.is_empty() {
            keys = self.waiting.keys(inbound, &self.registry);
        }
        if !self.waiting.has_earlier(&keys) {
            if let Some(message) = not_here(&inbound.channel, settings, &self.registry) {
                self.settle().await?;
                self.undecided(ADAPTER_UNREACHABLE, &message);
                return Ok(());
            }
            let policy = settings.policy(&inbound.channel, &inbound.account);
            let decided = self.decider.gate.try_screen(inbound, policy, &self.registry);
            if let Some(decided) = decided.transpose() {
                self.settle().await?;
                match decided {
                    Ok(screened) => {
                        let answer = Answer::new(inbound, &screened, !self.decider.dry_run);
                        self.output.decided(self.line, answer);
                    }
                    Err(error) => self.undecided(error.kind(), &chain(&error)),
                }
                return Ok(());
            }
            keys = self.waiting.keys(inbound, &self.registry);
        }
        self.wait(line, keys).await
    }

    /// Has a line wait for the store; refuses it when too many wait and reading has stopped for too long.
    async fn wait(&mut self, line: &[u8], keys: Vec<Key>) -> Result<(), Ended> {
        while !self.waiting.reserve(line.len()) {
            let Some(decided) = self.stop_reading().await? else {
                self.overloaded();
                return Ok(());
            };
            self.take(decided);
        }
        let (decider, number, text) = (Arc::clone(&self.decider), self.line, line.into());
        self.waiting.push(number, line.len(), keys, move || decider.screen(number, text));
        Ok(())
    }

    /// The next line that is decided, if there is one in the time that reading may still stop.
    async fn stop_reading(&mut self) -> Result<Option<Decided>, Ended> {
        if self.pause.left().is_zero() {
            // A timer would take a millisecond for each line that is refused.
            return Ok(self.waiting.next().now_or_never().flatten());
        }
        self.write()?;
        let stopped = Instant::now();
        let decided = timeout(self.pause.left(), self.waiting.next()).await;
        self.pause.spend(stopped.elapsed());
        Ok(decided.ok().flatten())
    }

    /// Waits for the lines before the one in hand, as long as the store is quick.
    async fn settle(&mut self) -> Result<(), Ended> {
        if self.is_stalled || self.waiting.is_empty() {
            return Ok(());
        }
        self.write()?;
        let mut all = Vec::new();
        let decide = async {
            while let Some(decided) = self.waiting.next().await {
                all.push(decided);
            }
        };
        let is_late = timeout(PATIENCE, decide).await.is_err();
        all.sort_unstable_by_key(|decided| decided.line);
        all.into_iter().for_each(|decided| self.take(decided));
        self.is_stalled = is_late;
        Ok(())
    }

    /// Takes the answers to a line that waited.
    fn take(&mut self, decided: Decided) {
        // A store that is locked fails the lines after a while: that is no progress.
        if !decided.output.has_errors {
            self.pause.earn();
        }
        self.is_stalled &= !self.waiting.is_empty();
        self.output.append(decided.output);
    }

    /// Answers an event without a sender.
    fn notice(&mut self, channel: &str, account: &str, notice: &Notice) {
        match self.decider.gate.screen_notice(notice, &self.registry) {
            Ok(screened) => {
                self.output.decided(self.line, Answer::notice(channel, account, &screened));
            }
            Err(error) => self.undecided(error.kind(), &chain(&error)),
        }
    }

    fn too_long(&mut self) {
        let message = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        self.undecided("too_long", &message);
    }

    fn overloaded(&mut self) {
        let message = "too many lines wait for the store, which decides too few of them";
        self.undecided("overloaded", message);
        self.decider.remarks.warn(Warning::Overloaded, || format!("line {}: {message}", self.line));
    }

    fn undecided(&mut self, kind: &str, message: &str) {
        self.output.undecided(self.line, kind, message);
    }

    fn write(&mut self) -> Result<(), Ended> {
        let bytes = self.output.bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.stdout.write_all(bytes).and_then(|()| self.stdout.flush());
        self.output.clear();
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => Ended::Unread,
            _ => Ended::Failed { what: "write the answers", source },
        })
    }

    /// Puts a configuration that was read again in force, between two batches.
    fn take_settings(&mut self) {
        let settings = self.next_settings.borrow_and_update().clone();
        self.decider.gate.set_accounts(accounts(&settings));
        *self.decider.settings() = settings;
    }

    /// Waits for the roster, so that the first line is decided by it.
    async fn load(&mut self) {
        if let Err(error) = self.store.refresh().await {
            let remarks = &self.decider.remarks;
            remarks.say(&format!("the lists could not be read: {}", chain(&error)));
        }
    }
}
