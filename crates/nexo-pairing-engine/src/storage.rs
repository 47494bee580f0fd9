//! What runs operations: a storage, with its transactions.

use std::sync::Weak;

use nexo_pairing_core::{PairingError, Replica};

use crate::maintenance::{Maintenance, Progress};
use crate::port::{PortResult, Rows};

/// A storage: runs operations, each in one transaction.
///
/// When a future of these has resolved to `Ok`, what its operation wrote is durable, and every replica
/// knows it. A future that is dropped leaves its operation done or not done, never half.
pub trait Storage: Send + Sync + 'static {
    /// Runs `operation` in a transaction that may write.
    ///
    /// It may be run again when the transaction could not be kept; only what its last run did, and
    /// asked for by [`Rows::after_commit`], counts. When it fails, nothing of it is kept, and
    /// operations that share its transaction are not touched.
    fn write<T, F>(
        &self,
        caller: Caller,
        operation: F,
    ) -> impl Future<Output = Result<T, PairingError>> + Send
    where
        T: Send + 'static,
        F: Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static;

    /// Runs `operation` in a transaction that does not write: it reads at one moment.
    fn read<T, F>(
        &self,
        caller: Caller,
        operation: F,
    ) -> impl Future<Output = Result<T, PairingError>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&dyn Rows) -> PortResult<T> + Send + 'static;

    /// Runs `maintenance` in one transaction after the other until it is done, with pauses in which
    /// others get their turn. It goes on when the future is dropped.
    fn maintain(
        &self,
        maintenance: Maintenance,
    ) -> impl Future<Output = Result<Progress, PairingError>> + Send;

    /// Keeps `replica` up to date until it is dropped, beginning with a complete load. Returns at once;
    /// the load goes on behind it. A storage that others can change confirms a replica at each poll; one
    /// that nobody else can change does so after each write and each refresh.
    fn subscribe(&self, replica: Weak<dyn Replica>);

    /// Brings every replica up to date now.
    fn refresh(&self) -> impl Future<Output = Result<(), PairingError>> + Send;

    /// Whether the storage can be read and written now. What it writes is taken back.
    fn probe(&self) -> impl Future<Output = Result<(), PairingError>> + Send;
}

/// For whom something is done. Who they are was checked before they got here: an operator is never
/// refused for a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An operator, or the storage's own maintenance.
    Operator,
    /// A sender who is not admitted yet, or whoever presents a setup code or a token. A storage may
    /// refuse them with [`PairingError::Overloaded`].
    Stranger,
}
