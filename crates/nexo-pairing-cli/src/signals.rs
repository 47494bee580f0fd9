//! The signals that long-running commands handle.

use tokio::signal::unix::{self, SignalKind};

use crate::{CliError, Result};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGTERM or SIGINT: end.
    End,
}

/// The signals of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    reload: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

/// SIGHUP, which reloads the configuration. Until it is listened to, it ends the process.
#[derive(Debug)]
pub(crate) struct ReloadSignal(unix::Signal);

impl ReloadSignal {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self(listen(SignalKind::hangup())?))
    }

    /// Handles all signals. Until this is called, SIGINT and SIGTERM still end a process that is starting.
    pub(crate) fn handle_all(self) -> Result<Signals> {
        let interrupt = listen(SignalKind::interrupt())?;
        let terminate = listen(SignalKind::terminate())?;
        Ok(Signals { reload: self.0, interrupt, terminate })
    }
}

impl Signals {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.reload.recv() => Signal::Reload,
            Some(()) = self.interrupt.recv() => Signal::End,
            Some(()) = self.terminate.recv() => Signal::End,
            else => std::future::pending().await,
        }
    }

    /// Waits for a reload unless a signal to end arrives meanwhile: the file or the database may be
    /// slow.
    pub(crate) async fn unless_ended<T>(&mut self, reload: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            reloaded = reload => Some(reloaded),
            Some(()) = self.interrupt.recv() => None,
            Some(()) = self.terminate.recv() => None,
        }
    }
}

/// Handles a signal from now on.
pub(crate) fn listen(kind: SignalKind) -> Result<unix::Signal> {
    unix::signal(kind).map_err(CliError::io("listen to signals"))
}
