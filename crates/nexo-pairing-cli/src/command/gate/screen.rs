//! Decides on each line and writes the output.
//!
//! A line that can be decided from memory is decided at once. A line that needs the store waits
//! ([`Waiting`]), and so does every later line of its sender. While the store is fast, the output keeps the
//! order of the input: later lines are held back for up to [`MAX_HOLD`]. After that they overtake, until no
//! line waits any more.

mod decider;
mod pause;
#[cfg(test)]
mod tests;
mod waiting;

use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use nexo_pairing::gate::{InboundEvent, Notice};
use nexo_pairing::{GateBackend, Inbound, PairingAdapterRegistry, PairingGate};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lines::{Batch, MAX_LINE_BYTES};
use super::output::{DecisionLine, Output};
use super::settings::{Settings, accounts, options};
use super::status_log::{StatusLog, Warning};
use crate::channels::local_adapters;
use crate::error::chain;
use crate::exit::Exit;
use crate::{CliError, Result, Store};
use decider::{ADAPTER_UNREACHABLE, Decider, served_elsewhere};
use pause::Pause;
use waiting::{Decided, Key, Waiting};

/// How much output is buffered before it is written, in bytes.
const BUFFERED_BYTES: usize = 256 << 10;

/// How long output waits for that of earlier lines. A healthy disk makes a request durable in less.
const MAX_HOLD: Duration = Duration::from_millis(250);

/// Some editors put it before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decides on lines.
pub(super) struct Screener {
    decider: Arc<Decider>,
    store: Store,
    next_settings: watch::Receiver<Settings>,
    registry: PairingAdapterRegistry,
    waiting: Waiting,
    /// Whether output no longer waits for that of earlier lines.
    is_stalled: bool,
    pause: Pause,
    stdout: Box<dyn Write + Send>,
    output: Output,
    /// The number of the current line, from 1.
    line: u64,
}

/// Why no more lines are decided.
enum Ended {
    /// The reader of the output is gone.
    Unread,
    Failed(CliError),
}

impl Screener {
    pub(super) fn new(
        store: Store,
        next_settings: watch::Receiver<Settings>,
        stdout: Box<dyn Write + Send>,
        log: StatusLog,
        dry_run: bool,
    ) -> Self {
        let settings = next_settings.borrow().clone();
        let backend: Arc<dyn GateBackend> = store.clone();
        let gate = PairingGate::with_options(backend, options(&settings));
        Self {
            decider: Arc::new(Decider { gate, settings: Mutex::new(settings), log, dry_run }),
            store,
            next_settings,
            registry: local_adapters(),
            waiting: Waiting::new(),
            is_stalled: false,
            pause: Pause::default(),
            stdout,
            output: Output::default(),
            line: 0,
        }
    }

    /// Decides on batches until there are no more, until it is stopped, or until the reader is gone. Lines
    /// that wait are decided before it ends.
    pub(super) async fn run(
        mut self,
        batches: mpsc::Receiver<io::Result<Batch>>,
        stop: &CancellationToken,
    ) -> Result<Exit> {
        self.load().await;
        match self.decide_all(batches, stop).await {
            Err(Ended::Failed(error)) => Err(error),
            _ if self.output.has_errors => Ok(Exit::Refused),
            _ => Ok(Exit::Done),
        }
    }

    async fn decide_all(
        &mut self,
        mut batches: mpsc::Receiver<io::Result<Batch>>,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let mut ended = Ok(());
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = self.next_settings.changed() => self.take_settings(),
                Some(decided) = self.waiting.next() => {
                    self.take(decided);
                    self.write()?;
                }
                batch = batches.recv() => match batch {
                    None => break,
                    Some(Ok(batch)) => self.decide_batch(&batch, stop).await?,
                    Some(Err(source)) => {
                        ended = Err(Ended::Failed(CliError::io("read standard input")(source)));
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

    async fn decide_batch(&mut self, batch: &Batch, stop: &CancellationToken) -> Result<(), Ended> {
        let settings = self.decider.settings().clone();
        if batch.skipped {
            self.line += 1;
            self.settle().await?;
            self.too_long();
        }
        let mut rest = batch.lines.as_slice();
        while !rest.is_empty() && !stop.is_cancelled() {
            let mut after = rest;
            // Reading from memory does not fail.
            let _ = after.skip_until(b'\n');
            let line = &rest[..rest.len() - after.len()];
            rest = after;
            self.line += 1;
            self.decide(line, &settings).await?;
            if self.output.bytes.len() >= BUFFERED_BYTES {
                self.write()?;
            }
        }
        self.write()
    }

    /// Decides on one line, or lets it wait.
    async fn decide(&mut self, line: &[u8], settings: &Settings) -> Result<(), Ended> {
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
                match served_elsewhere(&channel, settings, &self.registry) {
                    Some(message) => self.undecided(ADAPTER_UNREACHABLE, &message),
                    None => self.notice(&channel, &account, &notice),
                }
            }
            Some(Ok(_)) => self.undecided("unknown_event", "the event is of an unknown kind"),
            Some(Err(error)) => self.undecided(error.kind(), &chain(&error)),
        }
        Ok(())
    }

    /// Decides on a message from memory, unless it or an earlier one of its sender needs the store.
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
            if let Some(message) = served_elsewhere(&inbound.channel, settings, &self.registry) {
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
                        let decision = DecisionLine::new(inbound, &screened, !self.decider.dry_run);
                        self.output.decided(self.line, decision);
                    }
                    Err(error) => self.undecided(error.kind(), &chain(&error)),
                }
                return Ok(());
            }
            keys = self.waiting.keys(inbound, &self.registry);
        }
        self.wait(line, keys).await
    }

    /// Lets a line wait for the store; refuses it if too many wait and reading has stopped for too long.
    async fn wait(&mut self, line: &[u8], keys: Vec<Key>) -> Result<(), Ended> {
        while !self.waiting.has_room(line.len()) {
            let Some(decided) = self.stop_reading().await? else {
                let message = "too many lines wait for the store, which is too slow";
                self.undecided("overloaded", message);
                let warning = || format!("line {}: {message}", self.line);
                self.decider.log.warn(Warning::Overloaded, warning);
                return Ok(());
            };
            self.take(decided);
        }
        let (decider, number, text) = (Arc::clone(&self.decider), self.line, line.into());
        self.waiting.push(number, line.len(), keys, move || decider.screen(number, text));
        Ok(())
    }

    /// The next decided line, if there is one in the time that reading may still stop.
    async fn stop_reading(&mut self) -> Result<Option<Decided>, Ended> {
        if self.pause.left().is_zero() {
            // A timer would cost a millisecond for each refused line.
            return Ok(self.waiting.next().now_or_never().flatten());
        }
        self.write()?;
        let stopped = Instant::now();
        let decided = timeout(self.pause.left(), self.waiting.next()).await;
        self.pause.spend(stopped.elapsed());
        Ok(decided.ok().flatten())
    }

    /// Waits for the lines before the current one while the store is fast.
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
        let is_late = timeout(MAX_HOLD, decide).await.is_err();
        all.sort_unstable_by_key(|decided| decided.line);
        all.into_iter().for_each(|decided| self.take(decided));
        self.is_stalled = is_late;
        Ok(())
    }

    /// Takes the output of a line that waited.
    fn take(&mut self, decided: Decided) {
        // A locked store fails the lines after a while: that is not progress.
        if !decided.output.has_errors {
            self.pause.extend();
        }
        self.is_stalled &= !self.waiting.is_empty();
        self.output.append(decided.output);
    }

    /// Decides on a plugin event.
    fn notice(&mut self, channel: &str, account: &str, notice: &Notice) {
        match self.decider.gate.screen_notice(notice, &self.registry) {
            Ok(screened) => {
                self.output.decided(self.line, DecisionLine::notice(channel, account, &screened));
            }
            Err(error) => self.undecided(error.kind(), &chain(&error)),
        }
    }

    fn too_long(&mut self) {
        let message = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        self.undecided("too_long", &message);
    }

    fn undecided(&mut self, kind: &str, message: &str) {
        self.output.undecided(self.line, kind, message);
    }

    fn write(&mut self) -> Result<(), Ended> {
        let bytes = &self.output.bytes;
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.stdout.write_all(bytes).and_then(|()| self.stdout.flush());
        self.output.bytes.clear();
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => Ended::Unread,
            _ => Ended::Failed(CliError::io("write the decisions")(source)),
        })
    }

    /// Puts a reloaded configuration in force, between two batches.
    fn take_settings(&mut self) {
        let settings = self.next_settings.borrow_and_update().clone();
        self.decider.gate.set_accounts(accounts(&settings));
        *self.decider.settings() = settings;
    }

    /// Loads the lists before the first line is decided.
    async fn load(&mut self) {
        if let Err(error) = self.store.refresh().await {
            self.decider.log.log(&format!("the lists could not be read: {}", chain(&error)));
        }
    }
}
