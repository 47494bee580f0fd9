//! The contract between a gate and a store.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::Value;

use super::Replica;
use crate::limits;
use crate::{PairingError, SenderId, SenderKey, UpsertOutcome};

/// What a gate needs from a store: requests, and a copy of the lists that stays up to date.
///
/// An operation that returned `Ok` is durable, and every subscribed [`Replica`] has seen it. An
/// operation is one transaction; operations take effect as if they ran one after the other. A dropped
/// future leaves its operation done or not done, never half done. A minor version may add operations.
#[async_trait]
pub trait GateBackend: Send + Sync {
    /// Makes a request for a stranger, or finds the pending one. All conditions of [`UpsertOutcome`]
    /// are checked in the transaction that writes, so they hold under any concurrency. `Created` and
    /// `Repeated` record a challenge now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError>;

    /// Records that a challenge was not delivered: the sender's next message is challenged again from
    /// `retry_after` on, instead of from the end of `cooldown`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn challenge_undelivered(
        &self,
        key: &SenderKey,
        cooldown: Duration,
        retry_after: Duration,
    ) -> Result<(), PairingError>;

    /// Keeps `replica` up to date until it is dropped, beginning with a complete load. Returns at
    /// once; the load runs in the background.
    fn subscribe(&self, replica: Weak<dyn Replica>);

    /// Brings every subscribed replica up to date now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store cannot be read.
    async fn refresh(&self) -> Result<(), PairingError>;
}

/// A new request, and the limits of its account.
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct NewRequest {
    /// Whose request it is.
    #[setters(skip)]
    pub key: SenderKey,
    /// Other ids of the same sender. Their grants, blocks, requests and waits count too. Default: none.
    #[setters(skip)]
    pub alt: Vec<SenderId>,
    /// Whether the message has another id without a canonical form, which may be a blocked person's.
    /// Default: `false`.
    pub has_unreadable_id: bool,
    /// What helps the operator to recognize the sender. Default: `null`.
    pub meta: Value,
    /// The maximum number of live requests on the account. Default: that of
    /// [`MAX_PENDING`](limits::MAX_PENDING).
    pub max_pending: u32,
    /// The maximum number of live requests on all accounts together, as a stranger who can invent
    /// accounts gets `max_pending` requests on each. Default:
    /// [`MAX_PENDING_TOTAL`](limits::MAX_PENDING_TOTAL).
    pub max_pending_total: u32,
    /// The lifetime of the code. Default: that of [`PENDING_TTL`](limits::PENDING_TTL).
    pub ttl: Duration,
    /// The minimum time between two challenges to the sender. Default: that of
    /// [`CHALLENGE_COOLDOWN`](limits::CHALLENGE_COOLDOWN).
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

    /// Sets the [`alt`](#structfield.alt) field of this struct.
    #[must_use]
    pub fn with_alt(mut self, alt: impl IntoIterator<Item = SenderId>) -> Self {
        self.alt = alt.into_iter().collect();
        self
    }
}
