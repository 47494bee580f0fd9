//! A connection to the bus.

use bytes::Bytes;
use tokio::sync::watch;

use crate::{NatsError, NatsOptions};

/// A connection to the bus. Clones share it; the last one that is dropped closes it.
///
/// A connection that breaks is made again, for ever, after at most a second between two attempts.
#[derive(Debug, Clone)]
pub struct Bus {}

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusState {
    /// There is one.
    Connected,
    /// There is none at the moment.
    Disconnected,
    /// There was one, and it was closed for good.
    Closed,
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`NatsError::Connect`] when no server is there or lets us in, [`NatsError::File`] when a file
    /// of the options cannot be read. With [`NatsOptions::wait_for_server`] it returns at once and
    /// goes on trying.
    pub async fn connect(options: NatsOptions) -> Result<Self, NatsError> {
        let _ = options;
        todo!()
    }

    /// Publishes without waiting for the server: [`flush`](Self::flush) does. While there is no
    /// connection, messages wait; when many of them do, so does this.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::TooLong`], [`NatsError::Closed`].
    pub async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        let _ = (subject, payload);
        todo!()
    }

    /// Publishes, and waits until the server has taken the message for somebody who listens.
    ///
    /// # Errors
    ///
    /// [`NatsError::Disconnected`] at once while there is no connection, [`NatsError::NoListener`] when
    /// nobody listens on the subject, [`NatsError::Forbidden`] when the server does not let us,
    /// [`NatsError::Unconfirmed`] when it said nothing in time, and those of
    /// [`publish`](Self::publish).
    pub async fn deliver(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        let _ = (subject, payload);
        todo!()
    }

    /// Waits until the server has taken what was published before.
    ///
    /// # Errors
    ///
    /// [`NatsError::Unconfirmed`] when it said nothing in time, [`NatsError::Closed`].
    pub async fn flush(&self) -> Result<(), NatsError> {
        todo!()
    }

    /// Subscribes to a subject, which may have wildcards.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::Closed`].
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, NatsError> {
        let _ = subject;
        todo!()
    }

    /// Subscribes as one of a group: each message goes to one of its members.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] (also when the group's name is empty or has spaces),
    /// [`NatsError::Closed`].
    pub async fn subscribe_queue(
        &self,
        subject: &str,
        group: &str,
    ) -> Result<Subscription, NatsError> {
        let _ = (subject, group);
        todo!()
    }

    /// Whether there is a connection, and a notice when that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BusState> {
        todo!()
    }

    /// How many messages the subscriptions of this connection lost so far because nobody took them
    /// in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        todo!()
    }

    /// Flushes, and closes the connection for all clones. Subscriptions end.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush); the connection is closed all the same.
    pub async fn close(&self) -> Result<(), NatsError> {
        todo!()
    }
}

/// A message that came.
#[derive(Debug)]
pub struct Message {}

impl Message {
    /// The subject it was published on.
    #[must_use]
    pub fn subject(&self) -> &str {
        todo!()
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        todo!()
    }

    /// Where an answer is expected, if one is.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        todo!()
    }
}

/// The messages of a subscription, in the order in which they came.
#[derive(Debug)]
pub struct Subscription {}

impl Subscription {
    /// The next message; `None` when the connection was closed, or after [`stop`](Self::stop) when
    /// nothing is left. Can be dropped and called again without losing one.
    pub async fn next(&mut self) -> Option<Message> {
        todo!()
    }

    /// Ends the subscription at the server; what it has sent until then can still be taken by
    /// [`next`](Self::next), which says `None` after it.
    ///
    /// # Errors
    ///
    /// [`NatsError::Closed`].
    pub async fn stop(&mut self) -> Result<(), NatsError> {
        todo!()
    }
}
