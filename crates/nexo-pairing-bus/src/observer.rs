//! Observers of the decisions of a gate that only listens.

use std::io;

use async_trait::async_trait;
use nexo_pairing_core::Inbound;
use nexo_pairing_gate::{Screened, ScreenedNotice};
use serde::Serialize;

/// Receives the decisions of a gate that only listens; see
/// [`BusGate::with_observer`](crate::BusGate::with_observer).
#[async_trait]
pub trait Observer: Send + Sync {
    /// Receives a decision. The decisions on one sender come in the order of the messages. The gate takes
    /// no further message of the subscription, or of the sender, until this returns.
    async fn observe(&self, observed: Observed<'_>);

    /// Finishes all decisions that it has received. Called once, after the last decision, within the grace
    /// period. Does nothing by default.
    ///
    /// # Errors
    ///
    /// An error of the observer's. It ends the gate with
    /// [`BusGateError::Observer`](crate::BusGateError::Observer).
    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns when no more decisions are wanted, which ends the gate at once. The future may be dropped
    /// and created again at any time. By default it never returns.
    async fn closed(&self) {
        std::future::pending().await
    }
}

/// The outcome of a message.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// The decision on a sender's message.
    Message {
        /// The message.
        inbound: &'a Inbound,
        /// The decision. It may have a code, which only the sender may see.
        screened: &'a Screened,
    },
    /// The decision on an event of a plugin itself.
    Notice {
        /// The channel in the subject.
        channel: &'a str,
        /// The account in the subject; `default` without one.
        account: &'a str,
        /// The decision, with the rebuilt event.
        screened: &'a ScreenedNotice,
    },
    /// A message without a decision.
    Rejected(Rejection<'a>),
}

/// The report of a message without a decision. As JSON, it is published on `pairing.rejected`. It does not
/// contain the message, which may be private, and long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rejection<'a> {
    /// The subject of the message, escaped, at most 256 characters.
    pub subject: &'a str,
    /// The stable name of the reason, such as `invalid_json`, `topic_mismatch` or `overloaded`.
    pub reason: &'static str,
    /// The reason, for people; escaped.
    pub message: &'a str,
    /// The length of the message in bytes.
    pub bytes: usize,
}
