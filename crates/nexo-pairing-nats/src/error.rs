//! Errors of the bus.

use std::error::Error;
use std::path::PathBuf;

/// Why an operation on the bus failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The URL of a server is invalid. It is not shown: it may hold a password.
    #[error("server {number} of the list is not the URL of a NATS server: {reason}")]
    Server {
        /// Its position in the list, from 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The options are contradictory or out of range.
    #[error("{0}")]
    Options(&'static str),
    /// A file of the options cannot be used.
    #[error("the file {} cannot be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// No server could be reached, or none accepted us.
    #[error("failed to connect to {servers}")]
    Connect {
        /// The servers, without secrets.
        servers: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A subject, or the name of a queue group, is invalid.
    #[error("{subject:?} is not a subject: {reason}")]
    Subject {
        /// The text, truncated to 64 characters.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message is longer than the server accepts.
    #[error("the message has {bytes} bytes, and the server accepts {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The server's limit.
        max: usize,
    },
    /// Not connected at the moment.
    #[error("not connected to a NATS server")]
    Disconnected,
    /// The server did not confirm a message. It may have arrived.
    #[error("the server did not confirm {0}")]
    Unconfirmed(&'static str),
    /// The subject has no subscriber.
    #[error("{0} has no subscribers")]
    NoListener(String),
    /// The server does not allow publishing on the subject.
    #[error("the server does not allow publishing on {0}")]
    Forbidden(String),
    /// The connection was closed by [`Bus::close`](crate::Bus::close).
    #[error("the connection was closed")]
    Closed,
}

impl From<NatsError> for nexo_pairing_core::PairingError {
    fn from(error: NatsError) -> Self {
        Self::delivery(error)
    }
}
