//! The rows of the port, its locks and its trims.

use std::ops::RangeInclusive;

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, ChannelId, PairingCode, PeerAddress,
    SenderId, SenderKey, Session, SessionId,
};
use time::OffsetDateTime;

/// What an operation decides on, in the order in which all operations lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LockKey {
    /// The attempts of an actor.
    Actor(Actor),
    /// The request that a code belongs to.
    Code(PairingCode),
    /// The blocks and the grants of all senders on a channel: locked in place of each sender of a list.
    Channel(ChannelId),
    /// The requests of all senders on an account.
    Account(ChannelId, AccountId),
    /// The grants, blocks, requests and outcomes of a sender on all accounts.
    Sender(ChannelId, SenderId),
    /// The number of live requests. Locked last by operations that add one, and only briefly.
    Requests,
    /// All remembered accounts and adapters.
    Modes,
    /// A setup code.
    Nonce(String),
    /// A session.
    Session(SessionId),
    /// The import of sessions.
    Import,
}

/// When a request is overdue: it expired up to `until`, or was made after `future`, by a clock that was
/// set back since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The last expiry of an overdue request.
    pub until: i64,
    /// The last moment at which a request that is not overdue was made.
    pub future: i64,
}

impl LockKey {
    /// The lock of a decision on a sender, on any account.
    #[must_use]
    pub fn sender(key: &SenderKey) -> Self {
        Self::Sender(key.channel.clone(), key.sender_id.clone())
    }
}

impl Overdue {
    /// Whether a request is overdue.
    #[must_use]
    pub fn includes(self, request: &RequestRow) -> bool {
        request.expires_at <= self.until || request.created_at > self.future
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its sender.
    pub key: SenderKey,
    /// Its code.
    pub code: PairingCode,
    /// When it was added.
    pub created_at: i64,
    /// When it expires.
    pub expires_at: i64,
    /// When its sender was last challenged.
    pub challenged_at: i64,
    /// Metadata of the channel about the sender, as JSON.
    pub meta: String,
}

/// The numbers of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Live ones of an account.
    pub of_account: u64,
    /// Live ones of all accounts.
    pub live: u64,
    /// All, live or not.
    pub stored: u64,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The sender of the request.
    pub key: SenderKey,
    /// Its code.
    pub code: PairingCode,
    /// How and when it ended.
    pub ended: EndedRequest,
}

/// How grants end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantEnd<'a> {
    /// All of them are revoked.
    Revoked {
        /// When.
        at: i64,
        /// By whom.
        via: &'a Actor,
    },
    /// Those that expired are revoked as of their expiry, by `expiry`: 0.1.8 knows no other end.
    Expired {
        /// The last expiry that counts.
        until: i64,
        /// How many are revoked at most. Which, if there are more, is the storage's choice.
        limit: u64,
    },
}

/// Permanent grants on one account.
#[derive(Debug, Clone, Copy)]
pub struct Seed<'a> {
    /// The account.
    pub account: &'a AccountKey,
    /// The senders, each once.
    pub senders: &'a [SenderId],
    /// When.
    pub at: i64,
    /// By whom.
    pub via: &'a Actor,
}

/// The result of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// The accounts, `*` among them, on which the target had a row, each once, in order.
    pub accounts: Vec<String>,
    /// Whether anything was changed: a row, an entry of the audit log, or what the storage keeps for
    /// its own purposes, such as a list of changes. So storages may differ for a target of which only
    /// the latter is left.
    pub changed: bool,
}

/// An attempt to guess a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its kind.
    pub kind: AttemptKind,
    /// When.
    pub at: i64,
}

/// The kind of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptKind {
    /// A code without a request.
    Unknown,
    /// A mistyped code.
    Mistyped,
    /// The attempt that caused a lockout.
    Lockout,
}

impl AttemptKind {
    /// Its stable name, for storages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Mistyped => "mistyped",
            Self::Lockout => "lockout",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        let all = [Self::Unknown, Self::Mistyped, Self::Lockout];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A new entry of the audit log.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// The entry; the storage gives it its [`seq`](AuditEvent::seq).
    pub event: AuditEvent,
    /// The session, if it concerns one.
    pub session: Option<String>,
    /// The label of the session's device.
    pub device_label: Option<String>,
}

/// Which entries of the audit log are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditTrim {
    /// Only entries after this one are examined.
    pub after: i64,
    /// The last moment of an entry that is deleted.
    pub oldest: i64,
    /// The last moment of an entry that stays. A later one, from the future, says nothing about those
    /// that follow it.
    pub newest: i64,
}

/// A remembered account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The account; `None` in the row for all others.
    pub account: Option<AccountKey>,
    /// Its own mode, if it has one.
    pub mode: Option<String>,
    /// The origin of the mode: a file, a variable or a flag.
    pub said_by: Option<String>,
    /// When.
    pub said_at: i64,
    /// Whether the configuration named it. In the row for all others: whether only named accounts are
    /// known.
    pub named: bool,
    /// Whether its mode was forgotten last.
    pub forgotten: bool,
}

/// A channel whose adapter is in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterRow {
    /// The channel.
    pub channel: ChannelId,
    /// The origin: a file or a variable.
    pub said_by: String,
    /// When.
    pub said_at: i64,
}

/// The SHA-256 of a token, stored in its place.
pub type Sha256 = [u8; 32];

/// A setup code that was used, or cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedemptionRow {
    /// The code's nonce.
    pub nonce: String,
    /// The session that it issued; `None` if it was cancelled.
    pub session: Option<SessionId>,
    /// The SHA-256 of the claim id, if one was given.
    pub claim_id: Option<Vec<u8>>,
    /// When it was used or cancelled.
    pub redeemed_at: i64,
    /// When the code expires.
    pub expires_at: i64,
    /// The peer of the first claim.
    pub peer: Option<PeerAddress>,
    /// Claims by another client than the first.
    pub replays: Repeats,
    /// Claims with the same claim id.
    pub reissues: Repeats,
}

/// Repeated claims of a setup code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeats {
    /// How many there were.
    pub total: i64,
    /// When the last one came.
    pub last_at: Option<i64>,
    /// The peer of the last one.
    pub last_peer: Option<PeerAddress>,
    /// How many of them an entry of the audit log covers.
    pub audited: i64,
    /// When the last entry was written.
    pub audited_at: Option<i64>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The session.
    pub session: Session,
    /// The SHA-256 of its token. A stored value of another length matches no token.
    pub token: Vec<u8>,
    /// Who ended it: an actor, `replay` or `expiry`.
    pub revoked_via: Option<String>,
}

/// Rows that are trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// Outcomes that are not among the newest `keep`, or ended up to `until`.
    Outcomes {
        /// How many stay at most.
        keep: u64,
        /// The newest that is deleted.
        until: i64,
        /// The newest expiry that is deleted, in place of `until`.
        expired_until: i64,
    },
    /// Attempts up to this moment.
    Attempts(i64),
    /// Deletes nothing: sessions that expired up to this moment and are not revoked become revoked as of
    /// their expiry, by `expiry`, so that a clock that is set back does not revive them.
    ExpiredSessions(i64),
    /// Sessions that were revoked up to `revoked_until` and expired up to `expired_until`.
    Sessions {
        /// The last revocation that is deleted.
        revoked_until: i64,
        /// The last expiry that is deleted.
        expired_until: i64,
    },
    /// Redemptions whose codes expired up to `expired_until`, but the newest `keep`.
    Redemptions {
        /// The last expiry that is deleted.
        expired_until: i64,
        /// How many always stay.
        keep: u64,
    },
    /// Excess rows that the storage keeps for its own purposes, such as a list of changes.
    Own,
}

impl GrantEnd<'_> {
    /// How many grants end at most.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self {
            Self::Revoked { .. } => u64::MAX,
            Self::Expired { limit, .. } => *limit,
        }
    }

    /// When a grant ends by this; `None` if it does not, or has ended before.
    #[must_use]
    pub fn of(&self, grant: &AllowedSender) -> Option<OffsetDateTime> {
        match self {
            _ if grant.revoked_at.is_some() => None,
            Self::Revoked { at: moment, .. } => Some(at(*moment)),
            Self::Expired { until, .. } => grant.expires_at.filter(|end| *end <= at(*until)),
        }
    }
}

impl AuditTrim {
    /// Whether an entry stays, and with it those that follow.
    #[must_use]
    pub fn keeps(&self, event: &AuditEvent) -> bool {
        let at = event.at.unix_timestamp();
        self.oldest < at && at <= self.newest
    }
}

impl Trim {
    /// Whether an outcome is old enough.
    #[must_use]
    pub fn is_old_outcome(&self, outcome: &OutcomeRow) -> bool {
        let EndedRequest { end, at: ended_at, .. } = outcome.ended;
        matches!(self, Self::Outcomes { until, expired_until, .. }
            if ended_at <= at(if end == RequestEnd::Expired { *expired_until } else { *until }))
    }

    /// Whether a session has expired, or is old enough.
    #[must_use]
    pub fn is_old_session(&self, session: &Session) -> bool {
        match (self, session.revoked_at) {
            (Self::ExpiredSessions(until), None) => session.expires_at <= at(*until),
            (Self::Sessions { revoked_until, expired_until }, Some(revoked_at)) => {
                revoked_at <= at(*revoked_until) && session.expires_at <= at(*expired_until)
            }
            _ => false,
        }
    }
}

/// The moment of a stored time stamp, clamped to the years 1 to 9999.
#[must_use]
pub fn at(seconds: i64) -> OffsetDateTime {
    const YEARS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let seconds = seconds.clamp(*YEARS.start(), *YEARS.end());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_out_of_range_is_clamped() {
        let seconds = |stored| at(stored).unix_timestamp();
        assert_eq!(seconds(1_800_000_000), 1_800_000_000);
        assert_eq!(seconds(i64::MAX), 253_402_300_799);
        assert_eq!(seconds(i64::MIN), -62_135_596_800);
    }
}
