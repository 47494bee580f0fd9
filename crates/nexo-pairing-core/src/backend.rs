//! What the gate and the operator's commands need of a store.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use time::OffsetDateTime;

use crate::limits;
use crate::{
    AccountId, AccountScope, Actor, AllowedSender, ApprovedRequest, AuditEvent, BlockedSender,
    Blocking, ChannelId, Grant, PairingError, PendingRequest, RejectedRequest, SeedReport,
    SenderId, SenderKey, UpsertOutcome,
};

/// A store of grants, blocks and requests.
///
/// A minor version may add operations to it; a store of your own follows the versions of this crate.
///
/// An operation that has returned `Ok` is durable and is seen by every attached [`Mirror`] before
/// it returns. Every read and write of one operation is one transaction. A future that is dropped
/// leaves its operation done or not done, never half.
#[async_trait]
pub trait PairingBackend: Send + Sync {
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

    /// Lets in whoever has `code` (as a person typed it).
    ///
    /// # Errors
    ///
    /// Why not: [`PairingError::UnknownCode`], [`MistypedCode`](PairingError::MistypedCode),
    /// [`Expired`](PairingError::Expired), [`AlreadyApproved`](PairingError::AlreadyApproved),
    /// [`AlreadyRejected`](PairingError::AlreadyRejected), [`LockedOut`](PairingError::LockedOut),
    /// [`Blocked`](PairingError::Blocked); [`Invalid`](PairingError::Invalid) for a grant out of
    /// range; [`Backend`](PairingError::Backend).
    async fn approve(
        &self,
        code: &str,
        actor: &Actor,
        grant: Grant,
    ) -> Result<ApprovedRequest, PairingError>;

    /// Refuses the request that has `code`; its sender is not challenged for 24 hours.
    ///
    /// # Errors
    ///
    /// As for [`approve`](Self::approve): a wrong code costs the same attempt.
    async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError>;

    /// Ends the grants of a target; says which.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;

    /// Blocks a target: ends his grants and drops his requests.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a reason out of range; [`PairingError::Backend`].
    async fn block(
        &self,
        target: &Target,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<Blocking, PairingError>;

    /// Takes a block back; restores nothing of what it ended. `false` when there was none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError>;

    /// Lets in a list of senders at once: all of them or, on an error, none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Blocked`] when one of them is blocked; [`PairingError::Backend`].
    async fn seed(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        actor: &Actor,
    ) -> Result<SeedReport, PairingError>;

    /// Erases a person: grants, blocks and requests; the audit log keeps a salted hash in place of
    /// the id. Says what was erased.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;

    /// Takes back an actor's lockout and his failed attempts. `false` when there were none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError>;

    /// Whether a sender holds a live grant and is not blocked.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError>;

    /// The live requests, oldest first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError>;

    /// The grants by channel, account and sender; with those that ended, if asked for.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn list_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, PairingError>;

    /// The blocks by channel, account and sender. A filter by account also finds blocks for all.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError>;

    /// The newest `limit` entries of the audit log, oldest of them first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError>;

    /// Puts away what has run out: requests, grants, old attempts and old audit entries. Says how
    /// many requests expired.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn purge_expired(&self) -> Result<u64, PairingError>;
}

/// A copy, in memory, of what a backend knows about senders: the gate's roster.
///
/// The backend calls these one at a time. A position only grows, except through
/// [`replace`](Self::replace).
pub trait Mirror: Send + Sync {
    /// Up to where this copy is complete; `None` until the first load and after
    /// [`invalidate`](Self::invalidate).
    fn position(&self) -> Option<i64>;

    /// Puts `standings` in place of everything; a key that is not among them is a stranger's. When
    /// the iterator yields an error the copy keeps what it had.
    ///
    /// # Errors
    ///
    /// The iterator's.
    fn replace(
        &self,
        standings: &mut dyn Iterator<Item = Result<Standing, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError>;

    /// Puts `standings` in place of what was known of their keys, besides blocks of which they do not
    /// tell.
    fn update(&self, standings: Vec<Standing>, position: i64);

    /// The copy's own time. It is taken before the store is read, and goes back with
    /// [`confirm`](Self::confirm).
    fn now(&self) -> Duration;

    /// The copy was equal to the store at `as_of`. Called at every poll, changed or not.
    fn confirm(&self, as_of: Duration);

    /// What this copy holds is not the store's any more: it must not be used until it is replaced.
    fn invalidate(&self);

    /// What a check of the store found damaged; `None` when it found nothing. Somebody who is blocked
    /// may be missing, so whoever is not on a list must not be let in for that alone. By default
    /// nothing is done: a copy whose blocks are damaged is invalidated as well.
    fn set_damage(&self, _damage: Option<&str>) {}
}

/// Everything a backend knows about one key that a gate decides by.
///
/// In a complete load the same key may come in several, each with a part; in an update it comes
/// once, whole, except that it need not tell of a block that has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The channel.
    pub channel: ChannelId,
    /// The account; `All` for a block that is for all accounts.
    pub scope: AccountScope,
    /// The sender.
    pub sender: SenderId,
    /// Whether they are blocked. `None` in an update: as before. A backend says `Some(false)` only of
    /// a block that was lifted, after it has made sure that nothing keeps it from finding one.
    pub blocked: Option<bool>,
    /// When his grant holds, if he has one that was not revoked.
    pub allowed: Option<Span>,
    /// When his request lives, if he has one, and when he was last challenged.
    pub pending: Option<(Span, OffsetDateTime)>,
    /// When he has to wait for his next code, if he does.
    pub waiting: Option<Span>,
}

impl Standing {
    /// A key of which nothing is known.
    #[must_use]
    pub fn stranger(channel: ChannelId, scope: AccountScope, sender: SenderId) -> Self {
        let (allowed, pending, waiting) = (None, None, None);
        Self { channel, scope, sender, blocked: None, allowed, pending, waiting }
    }
}

/// From when to when something holds. A beginning in the future means that the clock was set back:
/// then nothing holds, rather than for ever. Up to [`LEEWAY`](Self::LEEWAY) is no more than a clock
/// that is kept in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Span {
    /// Always.
    Always,
    /// From the first moment, up to but not including the second.
    Between(OffsetDateTime, OffsetDateTime),
}

impl Span {
    /// How far ahead a time stamp may be without being from the future.
    pub const LEEWAY: time::Duration =
        time::Duration::seconds(limits::TIMESTAMP_LEEWAY.as_secs() as i64);

    /// Whether it holds at `now`.
    ///
    /// ```
    /// use nexo_pairing_core::Span;
    /// use time::{Duration, OffsetDateTime};
    ///
    /// let start = OffsetDateTime::UNIX_EPOCH;
    /// let span = Span::Between(start, start + Duration::hours(1));
    /// assert!(span.holds(start));
    /// assert!(!span.holds(start + Duration::hours(1)));
    /// assert!(!span.holds(start - Duration::minutes(1)), "the clock was set back");
    /// ```
    #[must_use]
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        match self {
            Self::Always => true,
            Self::Between(from, until) => from.saturating_sub(Self::LEEWAY) <= now && now < *until,
        }
    }
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
}

/// Whom an operator means: a sender of a channel, on one account or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The channel.
    pub channel: ChannelId,
    /// The account, or all.
    pub scope: AccountScope,
    /// The sender.
    pub sender: SenderId,
}

impl Target {
    /// A target of its three parts.
    #[must_use]
    pub fn new(channel: ChannelId, scope: AccountScope, sender: SenderId) -> Self {
        Self { channel, scope, sender }
    }
}

impl From<SenderKey> for Target {
    fn from(key: SenderKey) -> Self {
        Self::new(key.channel, AccountScope::One(key.account_id), key.sender_id)
    }
}

/// Which rows a listing shows; what is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only this channel.
    pub channel: Option<ChannelId>,
    /// Only this account.
    pub account: Option<AccountId>,
    /// Only this sender.
    pub sender: Option<SenderId>,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only this channel.
    #[must_use]
    pub fn channel(mut self, channel: ChannelId) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Only this account.
    #[must_use]
    pub fn account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Only this sender.
    #[must_use]
    pub fn sender(mut self, sender: SenderId) -> Self {
        self.sender = Some(sender);
        self
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_span_ends_before_its_end_and_may_begin_a_little_ahead() {
        let from = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let until = from + Duration::HOUR;
        let holds = |now| Span::Between(from, until).holds(now);
        let moment = Duration::NANOSECOND;
        assert!(holds(from) && holds(until - moment));
        assert!(!holds(until) && !holds(until + moment));
        assert!(holds(from - Span::LEEWAY) && !holds(from - Span::LEEWAY - moment));
        assert!(Span::Always.holds(OffsetDateTime::UNIX_EPOCH));
    }

    #[test]
    fn a_filter_asks_for_what_it_was_told_and_nothing_else() {
        let channel = ChannelId::parse("telegram").unwrap();
        let (account, sender) = (AccountId::default_account(), SenderId::parse("1").unwrap());
        let filter = Filter::all().channel(channel.clone()).sender(sender.clone());
        assert_eq!(
            (filter.channel, filter.account, filter.sender),
            (Some(channel), None, Some(sender))
        );
        assert_eq!(Filter::all().account(account.clone()).account, Some(account));
    }
}
