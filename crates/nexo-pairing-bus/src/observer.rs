//! Who is shown decisions in place of the bus.

use std::io;

use async_trait::async_trait;
use nexo_pairing_core::Inbound;
use nexo_pairing_gate::{Screened, ScreenedNotice};
use serde::Serialize;

/// Is shown each decision of a gate that only listens; see
/// [`BusGate::with_observer`](crate::BusGate::with_observer).
#[async_trait]
pub trait Observer: Send + Sync {
    /// Is shown a decision. The decisions on one sender come in the order of the messages. The gate takes
    /// no further message of the subscription, or of the sender, until this returns.
    async fn observe(&self, observed: Observed<'_>);

    /// Waits until everything that was observed is where it should be. Called once, after the last
    /// decision; the grace period counts while it waits. By default there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// What the observer could not do. It ends the gate with
    /// [`BusGateError::Observer`](crate::BusGateError::Observer).
    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns when nobody wants to see decisions any more, which ends the gate at once. The future is
    /// dropped and asked for again at any time. By default it never returns.
    async fn closed(&self) {
        std::future::pending().await
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// A sender's message was decided on.
    Message {
        /// The message.
        inbound: &'a Inbound,
        /// The decision. It may hold a code, which nobody but the sender should be told.
        screened: &'a Screened,
    },
    /// An event of a plugin itself was decided on.
    Notice {
        /// The channel, as the subject names it.
        channel: &'a str,
        /// The account, as the subject names it; `default` where it names none.
        account: &'a str,
        /// The decision, with what may be passed on of the event.
        screened: &'a ScreenedNotice,
    },
    /// Nothing was decided on a message.
    Rejected(Rejection<'a>),
}

/// What is told of a message on which nothing was decided; as JSON, it is what the gate publishes on
/// `pairing.rejected`. The message itself is not part of it: it may be private, and long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rejection<'a> {
    /// The subject on which it came, escaped, at most 256 characters.
    pub subject: &'a str,
    /// The stable name of the reason, such as `invalid_json`, `topic_mismatch` or `overloaded`.
    pub reason: &'static str,
    /// The reason, for people; escaped.
    pub message: &'a str,
    /// The length of the message in bytes.
    pub bytes: usize,
}
