//! What a subscription brings.

use std::fmt;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::NatsError;
use crate::events::BusState;

/// A message that came.
#[derive(Clone)]
pub struct Message(async_nats::Message);

impl Message {
    /// The subject on which it was published.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject.as_str()
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Where an answer is expected, if it is.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What people write to each other does not belong into a log.
        f.debug_struct("Message")
            .field("subject", &self.subject())
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// The messages of a subscription, in the order in which they came. Dropping it ends it.
pub struct Subscription {
    messages: Subscriber,
    state: watch::Receiver<BusState>,
}

impl Subscription {
    pub(crate) fn new(messages: Subscriber, state: watch::Receiver<BusState>) -> Self {
        Self { messages, state }
    }

    /// The next message. `None` when none will come any more: the connection was closed, or the
    /// subscription [stopped](Self::stop). No message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        let closed = self.state.wait_for(|state| *state == BusState::Closed);
        tokio::select! {
            biased;
            message = self.messages.next() => message.map(Message),
            _ = closed => None,
        }
    }

    /// Asks the server to send no more. What it sent before can still be taken, then
    /// [`next`](Self::next) says `None`.
    ///
    /// What is on the wire at this moment is lost if the connection does something else meanwhile. Who
    /// cannot afford that gives the subscription a [`Bus`](crate::Bus) of its own.
    ///
    /// # Errors
    ///
    /// [`NatsError::Closed`].
    pub async fn stop(&mut self) -> Result<(), NatsError> {
        self.messages.drain().await.map_err(|_| NatsError::Closed)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
