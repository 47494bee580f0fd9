//! The engine, and how an operation runs in a transaction.

use std::fmt;
use std::sync::Arc;

use derive_setters::Setters;
use nexo_pairing_core::{
    Clock, OsRandom, PairingError, RandomSource, SystemClock, WarningLimiter, limits,
};

use crate::maintenance::Maintenance;
use crate::port::{PortError, Rows};
use crate::redemption::ReplayWarnings;
use crate::refusal::{TxError, TxResult};
use crate::storage::{Caller, Storage};
use crate::tx::Tx;

/// The configuration of an engine.
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
#[non_exhaustive]
pub struct EngineOptions {
    /// The clock of the rate limit on repeated warnings. Default: the operating system's.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for codes, tokens and pseudonyms. Default: the operating system.
    pub random: Arc<dyn RandomSource>,
    /// For how many days the audit log is kept, within
    /// [`AUDIT_DAYS`](nexo_pairing_core::limits::AUDIT_DAYS), which has the default.
    pub audit_days: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let (clock, random) = (SystemClock::shared(), OsRandom::shared());
        Self { clock, random, audit_days: limits::AUDIT_DAYS.default }
    }
}

/// The operations of pairing over a storage; a clone is the same engine.
///
/// It implements [`GateBackend`](nexo_pairing_core::GateBackend),
/// [`OperatorBackend`](nexo_pairing_core::OperatorBackend) and
/// [`SessionBackend`](nexo_pairing_core::SessionBackend).
pub struct PairingEngine<S>(Arc<Inner<S>>);

struct Inner<S> {
    storage: S,
    options: EngineOptions,
    /// Rate-limits warnings about replayed setup codes.
    replays: ReplayWarnings,
}

impl<S> Clone for PairingEngine<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for PairingEngine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingEngine").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl<S: Storage> PairingEngine<S> {
    /// An engine on a storage.
    #[must_use]
    pub fn new(storage: S, options: EngineOptions) -> Self {
        crate::tx::describe_metrics();
        let replays = Arc::new(WarningLimiter::new(Arc::clone(&options.clock)));
        Self(Arc::new(Inner { storage, options, replays }))
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &S {
        &self.0.storage
    }

    /// The periodic maintenance, which ends overdue rows and trims old ones. A storage with a watcher
    /// of its own runs it by itself.
    #[must_use]
    pub fn maintenance(&self) -> Maintenance {
        Maintenance::all(self.0.options.audit_days)
    }

    pub(crate) fn random(&self) -> &Arc<dyn RandomSource> {
        &self.0.options.random
    }

    pub(crate) fn replays(&self) -> &ReplayWarnings {
        &self.0.replays
    }

    /// Runs `operation` in one transaction, which is durable and seen by every replica when this returns.
    /// A refusal is committed too.
    pub(crate) async fn write<T, R, F>(&self, caller: Caller, operation: F) -> Result<T, R>
    where
        T: Send + 'static,
        R: From<PairingError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> TxResult<T, R> + Send + Sync + 'static,
    {
        let run = move |rows: &mut dyn Rows| match operation(&mut Tx::new(rows)) {
            Ok(value) => Ok(Ok(value)),
            Err(TxError::Refused(refusal)) => Ok(Err(refusal)),
            Err(TxError::Failed(error)) => Err(error),
        };
        self.0.storage.write(caller, run).await?
    }

    /// Runs `operation` in one read transaction.
    pub(crate) async fn read<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Rows) -> Result<T, PortError> + Send + 'static,
    {
        self.0.storage.read(caller, operation).await
    }
}
