//! Subscriptions and their messages.

use std::fmt;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::NatsError;
use crate::events::BusState;

/// A message of a subscription.
#[derive(Clone)]
pub struct Message(async_nats::Message);

impl Message {
    /// The subject on which it was published.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject.as_str()
    }

    /// The content.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The subject for replies, if the sender expects one.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content is private.
        f.debug_struct("Message")
            .field("subject", &self.subject())
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// A subscription: its messages in the order of arrival. Dropping it unsubscribes.
pub struct Subscription {
    messages: Subscriber,
    state: watch::Receiver<BusState>,
}

impl Subscription {
    pub(crate) fn new(messages: Subscriber, state: watch::Receiver<BusState>) -> Self {
        Self { messages, state }
    }

    /// The next message; `None` once the connection is closed, or the subscription has
    /// [stopped](Self::stop). No message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        let closed = self.state.wait_for(|state| *state == BusState::Closed);
        tokio::select! {
            biased;
            message = self.messages.next() => message.map(Message),
            _ = closed => None,
        }
    }

    /// Unsubscribes. [`next`](Self::next) returns the messages that the server has sent before, and then
    /// `None`.
    ///
    /// Messages on the wire at this moment are lost if the connection is used for anything else. Where
    /// that matters, give the subscription a [`Bus`](crate::Bus) of its own.
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
