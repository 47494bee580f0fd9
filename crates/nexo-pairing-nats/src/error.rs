//! What can go wrong on the bus.

use std::error::Error;
use std::path::PathBuf;

/// What the bus refuses or could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// A server's URL is none, or not one for NATS. It is not shown: it may hold a password.
    #[error("server {number} of the list is no URL of a NATS server: {reason}")]
    Server {
        /// Which one of the list, from 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Options that do not go together, or are out of range.
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
    /// The servers could not be reached, or did not let us in.
    #[error("failed to connect to {servers}")]
    Connect {
        /// The servers, without secrets.
        servers: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A name cannot be published on, or subscribed to.
    #[error("{subject:?} is not a subject: {reason}")]
    Subject {
        /// What was given, cut to 64 characters.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message is longer than the server takes.
    #[error("the message has {bytes} bytes, and the server takes {max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// There is no connection at the moment.
    #[error("not connected to a NATS server")]
    Disconnected,
    /// The server did not confirm what was published. Nobody knows whether it arrived.
    #[error("the server did not confirm {0}")]
    Unconfirmed(&'static str),
    /// Nobody listens there.
    #[error("nobody listens on {0}")]
    NoListener(String),
    /// The server does not let us publish there.
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
