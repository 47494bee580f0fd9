//! What a gate needs of a store.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::Value;

use super::Replica;
use crate::limits;
use crate::{PairingError, SenderId, SenderKey, UpsertOutcome};

/// What a gate needs of a store: to make requests, and a copy of the lists that is kept up to date.
///
/// An operation that has returned `Ok` is durable and is seen by every subscribed [`Replica`] before it
/// returns. Every read and write of one operation is one transaction, and operations take effect as if
/// they ran one after the other. A future that is dropped leaves its operation done or not done, never
/// half. A minor version may add operations.
#[async_trait]
pub trait GateBackend: Send + Sync {
    /// Makes a request for a stranger, or finds the one he has; all conditions of
    /// [`UpsertOutcome`] are checked in the transaction that writes, so they hold under any
    /// concurrency. `Created` and `Repeated` are stamped as challenged now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError>;

    /// Takes back the stamp of a challenge that was not delivered, so that a message that comes
    /// `retry_after` from now is challenged again (given the cooldown of its request).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn challenge_undelivered(
        &self,
        key: &SenderKey,
        cooldown: Duration,
        retry_after: Duration,
    ) -> Result<(), PairingError>;

    /// Keeps `replica` up to date until it is dropped, beginning with a complete load. Returns at
    /// once; the load goes on behind it.
    fn subscribe(&self, replica: Weak<dyn Replica>);

    /// Brings every subscribed replica up to date now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read.
    async fn refresh(&self) -> Result<(), PairingError>;
}

/// What a new request is made of, and the limits of its account.
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct NewRequest {
    /// Whose request it is.
    #[setters(skip)]
    pub key: SenderKey,
    /// Other ids of the same sender: a grant, a block, a request or a wait of theirs counts.
    #[setters(skip)]
    pub alt: Vec<SenderId>,
    /// Whether the event has another id, of which no canonical one could be made: it may be a blocked
    /// person's. Default `false`.
    pub has_unreadable_id: bool,
    /// What helps the operator to recognise the sender.
    pub meta: Value,
    /// How many live requests the account may have.
    pub max_pending: u32,
    /// How many live requests there may be over all accounts: whoever can name accounts that nobody
    /// configured gets `max_pending` requests on each.
    pub max_pending_total: u32,
    /// How long the code lives.
    pub ttl: Duration,
    /// How long after a challenge the sender is not challenged again.
    pub cooldown: Duration,
}

impl NewRequest {
    /// [`limits::MAX_PENDING_TOTAL`].
    pub const MAX_PENDING_TOTAL: u32 = limits::MAX_PENDING_TOTAL;

    /// A request with the default [limits].
    #[must_use]
    pub fn new(key: SenderKey) -> Self {
        Self {
            key,
            alt: Vec::new(),
            has_unreadable_id: false,
            meta: Value::Null,
            max_pending: limits::MAX_PENDING.default,
            max_pending_total: Self::MAX_PENDING_TOTAL,
            ttl: limits::PENDING_TTL.default,
            cooldown: limits::CHALLENGE_COOLDOWN.default,
        }
    }

    /// The same request, with this [`alt`](Self::alt).
    #[must_use]
    pub fn with_alt(mut self, alt: impl IntoIterator<Item = SenderId>) -> Self {
        self.alt = alt.into_iter().collect();
        self
    }
}
