//! What ends a gate before it was asked to end.

use std::io;

use nexo_pairing_nats::NatsError;

/// Why a gate on a bus ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusGateError {
    /// The bus refused a subscription, or the connection was closed for good.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The grace period was over before everything that was taken was finished.
    #[error("{messages} messages were not finished")]
    Unfinished {
        /// How many messages were taken and not finished. The bus does not deliver them again.
        messages: u64,
    },
    /// [`Observer::flush`](crate::Observer::flush) failed.
    #[error("the decisions could not be observed")]
    Observer(#[source] io::Error),
}
