//! Records returned by a store.

use std::time::Duration;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::serde::rfc3339;

use crate::{AccountId, AccountScope, Actor, ChannelId, PairingCode, SenderId, SenderKey, limits};

/// A request that awaits the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account that received the message.
    pub account_id: AccountId,
    /// The sender.
    pub sender_id: SenderId,
    /// The code that the operator approves.
    pub code: PairingCode,
    /// When the sender first wrote.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the code expires.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
    /// What the channel said about the sender, such as a display name. It may be self-chosen.
    #[serde(default)]
    pub meta: Value,
}

impl PendingRequest {
    /// Builds a request, for stores.
    #[must_use]
    pub fn new(
        key: SenderKey,
        code: PairingCode,
        created_at: OffsetDateTime,
        expires_at: OffsetDateTime,
        meta: Value,
    ) -> Self {
        let SenderKey { channel, account_id, sender_id } = key;
        Self { channel, account_id, sender_id, code, created_at, expires_at, meta }
    }
}

/// The result of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovedRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// The admitted sender.
    pub sender_id: SenderId,
    /// When the grant was made.
    #[serde(with = "rfc3339")]
    pub approved_at: OffsetDateTime,
    /// When the grant expires; `None` for never.
    #[serde(with = "rfc3339::option", default)]
    pub expires_at: Option<OffsetDateTime>,
}

impl ApprovedRequest {
    /// Builds a result, for stores.
    #[must_use]
    pub fn new(
        key: SenderKey,
        approved_at: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
    ) -> Self {
        let SenderKey { channel, account_id, sender_id } = key;
        Self { channel, account_id, sender_id, approved_at, expires_at }
    }
}

/// The result of a rejection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RejectedRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// The rejected sender.
    pub sender_id: SenderId,
    /// When the request was rejected.
    #[serde(with = "rfc3339")]
    pub rejected_at: OffsetDateTime,
}

impl RejectedRequest {
    /// Builds a result, for stores.
    #[must_use]
    pub fn new(key: SenderKey, rejected_at: OffsetDateTime) -> Self {
        let SenderKey { channel, account_id, sender_id } = key;
        Self { channel, account_id, sender_id, rejected_at }
    }
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AllowedSender {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// The admitted sender.
    pub sender_id: SenderId,
    /// When the grant was made.
    #[serde(with = "rfc3339")]
    pub approved_at: OffsetDateTime,
    /// The actor who made it.
    pub approved_via: Actor,
    /// When the grant expires; `None` for never.
    #[serde(with = "rfc3339::option", default)]
    pub expires_at: Option<OffsetDateTime>,
    /// When the grant ended; `None` if it has not.
    #[serde(with = "rfc3339::option", default)]
    pub revoked_at: Option<OffsetDateTime>,
    /// The operator's note.
    #[serde(default)]
    pub note: Option<String>,
}

impl AllowedSender {
    /// Builds a grant that never expires, for stores.
    #[must_use]
    pub fn new(key: SenderKey, approved_at: OffsetDateTime, approved_via: Actor) -> Self {
        let SenderKey { channel, account_id, sender_id } = key;
        Self {
            channel,
            account_id,
            sender_id,
            approved_at,
            approved_via,
            expires_at: None,
            revoked_at: None,
            note: None,
        }
    }

    /// Whose grant it is.
    #[must_use]
    pub fn key(&self) -> SenderKey {
        SenderKey::new(self.channel.clone(), self.account_id.clone(), self.sender_id.clone())
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlockedSender {
    /// The channel.
    pub channel: ChannelId,
    /// The account, or `*` for all.
    pub account_id: AccountScope,
    /// The blocked sender.
    pub sender_id: SenderId,
    /// When the block was made.
    #[serde(with = "rfc3339")]
    pub blocked_at: OffsetDateTime,
    /// The actor who made it.
    pub blocked_via: Actor,
    /// The operator's reason, if given.
    #[serde(default)]
    pub reason: Option<String>,
}

impl BlockedSender {
    /// Builds a block, for stores.
    #[must_use]
    pub fn new(
        channel: ChannelId,
        account_id: AccountScope,
        sender_id: SenderId,
        blocked_at: OffsetDateTime,
        blocked_via: Actor,
        reason: Option<String>,
    ) -> Self {
        Self { channel, account_id, sender_id, blocked_at, blocked_via, reason }
    }
}

/// The side effects of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockOutcome {
    /// The keys whose grant it ended.
    pub revoked: Vec<SenderKey>,
    /// The keys whose request it dropped.
    pub dropped: Vec<SenderKey>,
}

impl BlockOutcome {
    /// Builds an outcome, for stores.
    #[must_use]
    pub fn new(revoked: Vec<SenderKey>, dropped: Vec<SenderKey>) -> Self {
        Self { revoked, dropped }
    }
}

/// The terms of a grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct Grant {
    /// The lifetime, within [`GRANT_TTL`](limits::GRANT_TTL). Default: `None`, for no limit.
    pub expires_in: Option<Duration>,
    /// A note for operators: at most [`MAX_NOTE_BYTES`](limits::MAX_NOTE_BYTES), no control characters.
    /// Default: none.
    #[setters(into)]
    pub note: Option<String>,
}

impl Grant {
    /// The maximum lifetime of a limited grant: the end of [`limits::GRANT_TTL`].
    pub const MAX_EXPIRES_IN: Duration = *limits::GRANT_TTL.end();

    /// A grant without limit and note.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }
}

/// The result of [`seed`](crate::OperatorBackend::seed).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeedReport {
    /// How many senders are new.
    pub inserted: u64,
    /// How many had a revoked or expired grant, and are admitted again.
    pub reactivated: u64,
    /// How many were already admitted.
    pub unchanged: u64,
}

impl SeedReport {
    /// Builds a report, for stores.
    #[must_use]
    pub fn new(inserted: u64, reactivated: u64, unchanged: u64) -> Self {
        Self { inserted, reactivated, unchanged }
    }
}

/// How a store handled a stranger's message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpsertOutcome {
    /// It made a new request: send this code.
    Created {
        /// The key of the request.
        key: SenderKey,
        /// The new code.
        code: PairingCode,
        /// When the code expires.
        expires_at: OffsetDateTime,
    },
    /// A request is pending and its cooldown is over: send this code again.
    Repeated {
        /// The key of the request, which may have another id of the sender.
        key: SenderKey,
        /// The code of the request.
        code: PairingCode,
        /// When the code expires.
        expires_at: OffsetDateTime,
    },
    /// A request is pending and its sender was challenged within the cooldown.
    AlreadyChallenged,
    /// The sender was rejected or let codes expire, and has to wait.
    Waiting,
    /// The account, or all accounts together, have the maximum number of live requests.
    PendingFull,
    /// The sender has been allowed meanwhile.
    Allowed,
    /// The sender has been blocked meanwhile.
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_no_limit_and_no_note_by_default() {
        assert_eq!(Grant::unlimited(), Grant { expires_in: None, note: None });
        let grant = Grant::unlimited().with_expires_in(Grant::MAX_EXPIRES_IN).with_note("a friend");
        assert_eq!(grant.expires_in.map(|it| it.as_secs()), Some(315_360_000), "ten years");
        assert_eq!(grant.note.as_deref(), Some("a friend"));
    }
}
