//! What a storage implements: transactions, and operations on rows within one.
//!
//! The contract is **as if operations ran one after the other**. A storage with one writer at a time
//! meets it by that alone. Any other takes the locks that each operation asks for by
//! [`WriteRows::lock`], holds them to the end of the transaction, and lets what is read after them show
//! what was committed before them. Three things happen without a lock, and a storage must cope:
//!
//! - An operation also ends requests and grants of others that are over
//!   ([`takes_upkeep`](WriteRows::takes_upkeep)), and an [`Upkeep`] only does that. Two of them may find
//!   the same request, so [`close_request`](WriteRows::close_request) says whether it was there, and
//!   [`erase`](WriteRows::erase) waits for those who are at it.
//! - Rows that are added by asking ([`insert_request`](WriteRows::insert_request),
//!   [`insert_redemption`](WriteRows::insert_redemption)) are unique whoever adds them.
//! - The audit log only grows, in any order of those who write at the same time.
//!
//! Times are UTC seconds. The newest row is the one that was added last, whatever its time. Ids compare
//! by bytes. A filter or a target matches exactly, and `*` is an account like any other, except where a
//! method says otherwise.

mod rows;

use std::collections::HashSet;
use std::error::Error;
use std::fmt;

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, ChannelId,
    Filter, PairingCode, SenderId, SenderKey, Session, SessionId, Target,
};
use time::OffsetDateTime;

pub use rows::{
    AccountRow, AdapterRow, Attempt, AttemptKind, AuditRow, Erased, LockKey, OutcomeRow, Over,
    RedemptionRow, RepeatKind, Repeats, RequestCounts, RequestRow, Seeded, SessionRow, Sha256,
    Trim,
};

/// Why an operation on rows failed. Nothing of its operation is kept.
pub struct PortError(Box<dyn Error + Send + Sync>);

/// What an operation on rows returns.
pub type PortResult<T> = Result<T, PortError>;

impl PortError {
    /// A failure, with its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// The cause, for the storage that gave it.
    #[must_use]
    pub fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Debug for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The operations that read rows.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait ReadRows {
    /// The time of this transaction: asked for again after each [`lock`](WriteRows::lock), as it may
    /// have waited.
    fn now(&self) -> OffsetDateTime;

    /// The request of a sender, live or not.
    fn request(&self, key: &SenderKey) -> PortResult<Option<RequestRow>>;

    /// The request that has a code, live or not.
    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>>;

    /// Gives each request that matches to `each`, by when it was made and then in the order in which they
    /// were added, live or not.
    fn visit_requests(&self, filter: &Filter, each: &mut dyn FnMut(RequestRow)) -> PortResult<()>;

    /// How many requests there are, less those that are `over`.
    fn count_requests(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        over: Over,
    ) -> PortResult<RequestCounts>;

    /// At most `limit` requests that are `over`, of a target or of all, in the order in which they were
    /// added. Which, if there are more, is the storage's choice. The account `*` of a target is every
    /// account.
    fn overdue_requests(
        &self,
        of: Option<&Target>,
        over: Over,
        limit: u64,
    ) -> PortResult<Vec<RequestRow>>;

    /// The requests of a target, live or not, by account. Its account `*` is every account.
    fn requests_of(&self, target: &Target) -> PortResult<Vec<RequestRow>>;

    /// Whether a request has this code, or any outcome that is still kept had it.
    fn is_code_known(&self, code: &PairingCode) -> PortResult<bool>;

    /// How the newest of a sender's requests that ended did so: the one that was written last.
    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>>;

    /// The newest outcome of a code, of those after `after` and up to `until`.
    fn outcome_of_code(
        &self,
        code: &PairingCode,
        after: i64,
        until: i64,
    ) -> PortResult<Option<OutcomeRow>>;

    /// The grant of a sender, live or not.
    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>>;

    /// Gives each grant that matches to `each`, live or not, by channel, account and sender.
    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()>;

    /// Whether a sender is blocked, on the account or on all (`*`).
    fn is_blocked(&self, key: &SenderKey) -> PortResult<bool>;

    /// Whether anybody is blocked on any account of a channel.
    fn has_blocks(&self, channel: &ChannelId) -> PortResult<bool>;

    /// Everybody who is blocked on an account, or on all (`*`).
    fn blocked_on(&self, channel: &ChannelId, account: &AccountId)
    -> PortResult<HashSet<SenderId>>;

    /// Gives each block that matches to `each`, by channel, account and sender. A filter by account
    /// also matches blocks for all (`*`).
    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()>;

    /// The attempts of an actor after `after`.
    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>>;

    /// The newest [`limit`](AuditQuery::limit) entries of the audit log that match, the oldest of them
    /// first. The device of a query is the session with this id, and every session whose device has
    /// this label or had it in an entry of the log.
    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>>;

    /// What is remembered of accounts.
    fn accounts(&self) -> PortResult<Vec<AccountRow>>;

    /// The channels whose adapter is in another process.
    fn adapters(&self) -> PortResult<Vec<AdapterRow>>;

    /// What is known of a setup code.
    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>>;

    /// The redemptions with repeated claims that no entry of the audit log covers.
    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>>;

    /// The session with an id, live or not.
    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>>;

    /// The session that has a token, live or not.
    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>>;

    /// Gives each session to `each`, live or not, the oldest first.
    fn visit_sessions(&self, each: &mut dyn FnMut(Session)) -> PortResult<()>;
}

/// The operations that write rows.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait WriteRows: ReadRows {
    /// Locks what the operation will decide on, before it decides: `keys` are sorted, and no key is twice
    /// among them. A storage whose transactions run one after the other does nothing.
    ///
    /// An operation that has to read what it locks, such as whose a code is, reads that, locks, and
    /// reads it again. One may ask more than once, with keys that come after all that it has: so nobody
    /// waits in a circle, unless the storage locks something coarser than these keys, which then sorts
    /// its own and fails, or runs again, an operation that is in a circle nevertheless.
    fn lock(&mut self, keys: &[LockKey]) -> PortResult<()>;

    /// Has `effect` run once the transaction is durable, before the operation is answered: for metrics
    /// and logs. An operation that is run again, or fails, leaves none.
    fn after_commit(&mut self, effect: Box<dyn FnOnce() + Send>);

    /// Whether this operation shall end a share of what is over, beside what it decides on: `true`
    /// once a transaction, and never where there is hardly any space left.
    fn takes_upkeep(&mut self) -> bool;

    /// Adds a request, if its sender has none and nobody has its code. Whether it was added.
    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool>;

    /// Notes when a sender was last challenged. Does nothing where there is no request.
    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()>;

    /// Deletes the request of a sender and adds its outcome, if there is one with the outcome's code.
    /// Whether there was.
    fn close_request(&mut self, outcome: &OutcomeRow) -> PortResult<bool>;

    /// Puts a grant in place of the one that its sender has, if any.
    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()>;

    /// Adds grants for good, of different senders. A grant that is there is renewed where it was
    /// revoked or has an end, and otherwise left as it is.
    fn seed_grants(
        &mut self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        at: i64,
        via: &Actor,
    ) -> PortResult<Seeded>;

    /// Revokes the grants of a target that are not; which, by account. Its account `*` is every
    /// account.
    fn revoke_grants(
        &mut self,
        target: &Target,
        at: i64,
        via: &Actor,
    ) -> PortResult<Vec<SenderKey>>;

    /// Revokes at most `limit` grants, of a target or of all, that ended up to `until` and are not
    /// revoked: as of their end, by `expiry`. How many.
    fn expire_grants(&mut self, of: Option<&Target>, until: i64, limit: u64) -> PortResult<u64>;

    /// Adds a block. One that is there keeps all but its reason, which is replaced if there is a new
    /// one.
    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()>;

    /// Deletes a block; `*` is the one for all accounts and no other. Whether there was one.
    fn delete_block(&mut self, target: &Target) -> PortResult<bool>;

    /// Deletes every row of a target, so that nothing of it can be read from the storage's files any
    /// more, and puts `pseudonym` in its place in the audit log, where the detail of entries about
    /// blocks is deleted. The account `*` is every account.
    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased>;

    /// Adds an attempt.
    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()>;

    /// Deletes the attempts of an actor; which.
    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>>;

    /// Adds an entry to the audit log.
    fn append_audit(&mut self, entry: &AuditRow<'_>) -> PortResult<()>;

    /// Puts what is remembered of an account in place of what was.
    fn put_account(&mut self, account: &AccountRow) -> PortResult<()>;

    /// Deletes what is remembered of an account.
    fn delete_account(&mut self, account: &AccountKey) -> PortResult<()>;

    /// Adds a channel whose adapter is in another process, or puts it in place of what is there.
    fn put_adapter(&mut self, adapter: &AdapterRow) -> PortResult<()>;

    /// Deletes such a channel. Whether it was there.
    fn delete_adapter(&mut self, channel: &ChannelId) -> PortResult<bool>;

    /// Adds what is known of a setup code, if nothing is. Whether it was added.
    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool>;

    /// Puts repeated claims of a setup code in place of those that were noted.
    fn put_repeats(&mut self, nonce: &str, kind: RepeatKind, repeats: &Repeats) -> PortResult<()>;

    /// Adds a session, or puts it in place of the one with its id.
    fn put_session(&mut self, session: &SessionRow) -> PortResult<()>;

    /// Deletes at most `limit` of these rows; how many.
    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64>;

    /// Looks at no more than `limit` entries of the audit log, in order, after the entry `after`, and
    /// deletes the ones up to `oldest`, as far as the first that is from after `oldest` and not after
    /// `newest`: one from the future says nothing about what follows. The last entry that was looked
    /// at, or `None` when the first that stays was found, or there is no more.
    fn trim_audit(
        &mut self,
        after: i64,
        oldest: i64,
        newest: i64,
        limit: u64,
    ) -> PortResult<Option<i64>>;
}
