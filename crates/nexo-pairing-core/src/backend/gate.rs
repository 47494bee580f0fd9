//! What a gate needs of a store.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::Mirror;
use crate::limits;
use crate::{PairingError, SenderId, SenderKey, UpsertOutcome};

/// What a gate needs of a store: to make requests, and a copy of the lists that is kept up to date.
///
/// An operation that has returned `Ok` is durable and is seen by every attached [`Mirror`] before it
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

    /// Keeps `mirror` up to date until it is dropped, beginning with a complete load. Returns at
    /// once; the load goes on behind it.
    fn attach(&self, mirror: Weak<dyn Mirror>);

    /// Brings every attached mirror up to date now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read.
    async fn refresh(&self) -> Result<(), PairingError>;
}

/// What a new request is made of, and the limits of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRequest {
    /// Whose request it is.
    pub key: SenderKey,
    /// Other ids of the same sender: a grant, a block, a request or a wait of theirs counts.
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

    /// The same request, with this [`has_unreadable_id`](Self::has_unreadable_id).
    #[must_use]
    pub fn with_has_unreadable_id(mut self, has_unreadable_id: bool) -> Self {
        self.has_unreadable_id = has_unreadable_id;
        self
    }

    /// The same request, with this [`meta`](Self::meta).
    #[must_use]
    pub fn with_meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }

    /// The same request, with this [`max_pending`](Self::max_pending).
    #[must_use]
    pub fn with_max_pending(mut self, max_pending: u32) -> Self {
        self.max_pending = max_pending;
        self
    }

    /// The same request, with this [`max_pending_total`](Self::max_pending_total).
    #[must_use]
    pub fn with_max_pending_total(mut self, max_pending_total: u32) -> Self {
        self.max_pending_total = max_pending_total;
        self
    }

    /// The same request, with this [`ttl`](Self::ttl).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same request, with this [`cooldown`](Self::cooldown).
    #[must_use]
    pub fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }
}
