//! The storage, which runs operations in transactions.

use std::sync::Weak;

use nexo_pairing_core::{PairingError, Replica};

use crate::maintenance::{Maintenance, Progress};
use crate::port::{PortResult, Rows};

/// A storage: runs operations, each in one transaction.
///
/// When one of its futures has resolved to `Ok`, the writes of its operation are durable, and seen by every
/// replica. A future that is dropped leaves its operation done or not done, never half.
pub trait Storage: Send + Sync + 'static {
    /// Runs `operation` in a transaction that may write.
    ///
    /// It may be run again when the transaction could not be committed; only the writes and the effects
    /// ([`Rows::after_commit`]) of its last run count. When it fails, nothing of it is kept, and
    /// operations that share its transaction are not affected.
    fn write<T, F>(
        &self,
        caller: Caller,
        operation: F,
    ) -> impl Future<Output = Result<T, PairingError>> + Send
    where
        T: Send + 'static,
        F: Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static;

    /// Runs `operation` in a read transaction: it sees one moment.
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

    /// Keeps `replica` up to date until it is dropped, beginning with a complete load. Returns at once,
    /// and loads in the background. A storage with external writers sends a heartbeat at each poll, any
    /// other after each write and each refresh.
    fn subscribe(&self, replica: Weak<dyn Replica>);

    /// Brings every replica up to date now.
    fn refresh(&self) -> impl Future<Output = Result<(), PairingError>> + Send;

    /// Whether the storage can be read and written now. The write is rolled back.
    fn probe(&self) -> impl Future<Output = Result<(), PairingError>> + Send;
}

/// The kind of a caller, which was authenticated before. An operator is never refused because of a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An operator, or the storage's own maintenance.
    Operator,
    /// A sender who is not admitted yet, or a client that presents a setup code or a token. A storage may
    /// refuse them with [`PairingError::Overloaded`].
    Stranger,
}
