//! What a store keeps, as it tells it.

use std::time::Duration;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::serde::rfc3339;

use crate::{AccountId, AccountScope, ChannelId, PairingCode, SenderId, SenderKey, limits};

/// A stranger who waits for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account he wrote to.
    pub account_id: AccountId,
    /// Who he is.
    pub sender_id: SenderId,
    /// What the operator approves.
    pub code: PairingCode,
    /// When he wrote first.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the code runs out.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
    /// What the channel said about him, such as a display name. He may have chosen it himself.
    #[serde(default)]
    pub meta: Value,
}

impl PendingRequest {
    /// A request, for stores to build.
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

/// What the operator just let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovedRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// Who was let in.
    pub sender_id: SenderId,
    /// When.
    #[serde(with = "rfc3339")]
    pub approved_at: OffsetDateTime,
    /// Until when; `None` for good.
    #[serde(with = "rfc3339::option", default)]
    pub expires_at: Option<OffsetDateTime>,
}

impl ApprovedRequest {
    /// An approval, for stores to build.
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

/// What the operator just refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RejectedRequest {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// Who was refused.
    pub sender_id: SenderId,
    /// When.
    #[serde(with = "rfc3339")]
    pub rejected_at: OffsetDateTime,
}

impl RejectedRequest {
    /// A rejection, for stores to build.
    #[must_use]
    pub fn new(key: SenderKey, rejected_at: OffsetDateTime) -> Self {
        let SenderKey { channel, account_id, sender_id } = key;
        Self { channel, account_id, sender_id, rejected_at }
    }
}

/// A grant: who is let in, since when, until when, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AllowedSender {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account_id: AccountId,
    /// Who is let in.
    pub sender_id: SenderId,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub approved_at: OffsetDateTime,
    /// Who let him in.
    pub approved_via: String,
    /// Until when; `None` for good.
    #[serde(with = "rfc3339::option", default)]
    pub expires_at: Option<OffsetDateTime>,
    /// When the grant ended, if it did.
    #[serde(with = "rfc3339::option", default)]
    pub revoked_at: Option<OffsetDateTime>,
    /// What the operator noted.
    #[serde(default)]
    pub note: Option<String>,
}

impl AllowedSender {
    /// A grant for good, for stores to build.
    #[must_use]
    pub fn new(key: SenderKey, approved_at: OffsetDateTime, approved_via: String) -> Self {
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

/// Somebody whom the operator never wants to hear from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlockedSender {
    /// The channel.
    pub channel: ChannelId,
    /// The account, or `*` for all.
    pub account_id: AccountScope,
    /// Who is blocked.
    pub sender_id: SenderId,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub blocked_at: OffsetDateTime,
    /// Who blocked him.
    pub blocked_via: String,
    /// Why, if the operator said so.
    #[serde(default)]
    pub reason: Option<String>,
}

impl BlockedSender {
    /// A block, for stores to build.
    #[must_use]
    pub fn new(
        channel: ChannelId,
        account_id: AccountScope,
        sender_id: SenderId,
        blocked_at: OffsetDateTime,
        blocked_via: String,
        reason: Option<String>,
    ) -> Self {
        Self { channel, account_id, sender_id, blocked_at, blocked_via, reason }
    }
}

/// What a block did besides being there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockOutcome {
    /// The grants that it ended.
    pub revoked: Vec<SenderKey>,
    /// The requests that it dropped.
    pub dropped: Vec<SenderKey>,
}

impl BlockOutcome {
    /// The report of a block, for stores to build.
    #[must_use]
    pub fn new(revoked: Vec<SenderKey>, dropped: Vec<SenderKey>) -> Self {
        Self { revoked, dropped }
    }
}

/// How somebody is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct Grant {
    /// For how long, within [`GRANT_TTL`](limits::GRANT_TTL); `None` for good.
    pub expires_in: Option<Duration>,
    /// What the operator wants to remember about it: at most
    /// [`MAX_NOTE_BYTES`](limits::MAX_NOTE_BYTES), no control characters.
    #[setters(into)]
    pub note: Option<String>,
}

impl Grant {
    /// The longest that a grant may be limited to: the end of [`limits::GRANT_TTL`].
    pub const MAX_EXPIRES_IN: Duration = *limits::GRANT_TTL.end();

    /// The longest note, in bytes.
    pub const MAX_NOTE_BYTES: usize = limits::MAX_NOTE_BYTES;

    /// A grant for good, without a note.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }
}

/// What `seed` did with its senders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeedReport {
    /// How many are new.
    pub inserted: u64,
    /// How many had been revoked, or had run out, and are let in again.
    pub reactivated: u64,
    /// How many were let in already.
    pub unchanged: u64,
}

impl SeedReport {
    /// A report, for stores to build.
    #[must_use]
    pub fn new(inserted: u64, reactivated: u64, unchanged: u64) -> Self {
        Self { inserted, reactivated, unchanged }
    }
}

/// What became of a stranger's message in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpsertOutcome {
    /// A new request was made: send this code.
    Created {
        /// Whose request it is.
        key: SenderKey,
        /// The new code.
        code: PairingCode,
        /// When it runs out.
        expires_at: OffsetDateTime,
    },
    /// The request is there and its cooldown is over: send this code again.
    Repeated {
        /// Whose request it is: the sender's, or that of another id he has.
        key: SenderKey,
        /// The code it had.
        code: PairingCode,
        /// When it runs out.
        expires_at: OffsetDateTime,
    },
    /// The request is there and was challenged less than the cooldown ago.
    AlreadyChallenged,
    /// The sender was rejected, or let codes expire, and has to wait.
    Waiting,
    /// The account has as many live requests as it may.
    PendingFull,
    /// The sender is let in, by now.
    Allowed,
    /// The sender is blocked, by now.
    Blocked,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// Its place in the log; it only grows.
    pub seq: i64,
    /// When it happened.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// Who did it.
    pub actor: String,
    /// What was done: `request`, `approve`, `reject`, `expire`, `seed`, `revoke`, `block`, …
    pub action: String,
    /// The channel, if it concerns one.
    pub channel: Option<String>,
    /// The account, or `*`, if it concerns one.
    pub account_id: Option<String>,
    /// The sender, if it concerns one; a hash once he was forgotten.
    pub sender_id: Option<String>,
    /// What else is worth knowing; never a code.
    pub detail: Value,
}

impl AuditEvent {
    /// An entry that concerns nobody in particular, for stores to build.
    #[must_use]
    pub fn new(seq: i64, at: OffsetDateTime, actor: String, action: String, detail: Value) -> Self {
        let (channel, account_id, sender_id) = (None, None, None);
        Self { seq, at, actor, action, channel, account_id, sender_id, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_good_and_without_a_note_unless_it_is_told() {
        assert_eq!(Grant::unlimited(), Grant { expires_in: None, note: None });
        let grant = Grant::unlimited().with_expires_in(Grant::MAX_EXPIRES_IN).with_note("a friend");
        assert_eq!(grant.expires_in.map(|it| it.as_secs()), Some(315_360_000), "ten years");
        assert_eq!(grant.note.as_deref(), Some("a friend"));
    }
}
