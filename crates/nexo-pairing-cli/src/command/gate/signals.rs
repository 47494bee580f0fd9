//! The signals that a running gate listens to.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::error::CliError;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end.
    End,
}

/// The signals of this process.
#[derive(Debug)]
pub(super) struct Signals {
    hang_up: HangUp,
    interrupt: Signal,
    terminate: Signal,
}

/// SIGHUP, which would end the process as long as nobody listens to it.
#[derive(Debug)]
pub(super) struct HangUp(Signal);

impl HangUp {
    pub(super) fn listen() -> Result<Self, CliError> {
        Ok(Self(listen(SignalKind::hangup())?))
    }

    /// Listens to all of them: the others may end the process while it is not ready yet.
    pub(super) fn and_the_others(self) -> Result<Signals, CliError> {
        let interrupt = listen(SignalKind::interrupt())?;
        let terminate = listen(SignalKind::terminate())?;
        Ok(Signals { hang_up: self, interrupt, terminate })
    }
}

impl Signals {
    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            Some(()) = self.hang_up.0.recv() => Asked::Reload,
            Some(()) = self.interrupt.recv() => Asked::End,
            Some(()) = self.terminate.recv() => Asked::End,
            else => std::future::pending().await,
        }
    }

    /// Waits for a reload that was asked for, unless the gate is asked to end meanwhile: the file, or
    /// the database, may take its time.
    pub(super) async fn unless_ended<T>(&mut self, reload: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            reloaded = reload => Some(reloaded),
            Some(()) = self.interrupt.recv() => None,
            Some(()) = self.terminate.recv() => None,
        }
    }
}

/// How long a gate that was asked to end may take for it.
#[derive(Debug)]
pub(super) struct Grace {
    length: Duration,
    deadline: Option<Instant>,
}

impl Grace {
    pub(super) fn of(length: Duration) -> Self {
        Self { length, deadline: None }
    }

    /// It begins now. Asked twice, it is over at once.
    pub(super) fn begin(&mut self) {
        let length = if self.has_begun() { Duration::ZERO } else { self.length };
        self.deadline = Some(Instant::now() + length);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.deadline.is_some()
    }

    /// Returns when it is over: never, unless it has begun.
    pub(super) async fn over(&self) {
        match self.deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|source| CliError::Io { what: "listen to signals".to_owned(), source })
}
