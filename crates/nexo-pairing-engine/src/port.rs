//! What a storage implements: transactions, and operations on the rows of each table within one.
//!
//! The contract is **as if operations ran one after the other**. A storage with one writer at a time
//! meets it by that alone. Any other takes the locks that each operation asks for by [`Rows::lock`],
//! holds them to the end of the transaction, and lets what is read after them show what was committed
//! before them. Three things happen without a lock, and a storage must cope:
//!
//! - An operation also ends overdue requests and grants of others
//!   ([`claim_maintenance`](Rows::claim_maintenance)), and [`Maintenance`](crate::Maintenance) only does
//!   that. Two transactions may find the same request, so
//!   [`delete_request`](RequestTable::delete_request) returns whether it was there, and
//!   [`erase`](Rows::erase) waits for those transactions.
//! - An insert that returns whether it added a row ([`insert_request`](RequestTable::insert_request),
//!   [`insert_redemption`](RedemptionTable::insert_redemption)) keeps rows unique under any concurrency.
//! - The audit log only grows, in any order of the transactions that write at the same time.
//!
//! Times are UTC seconds. The newest row is the one that was added last, whatever its time. Ids compare
//! by bytes. A filter matches as [`Filter::matches`] does, and `*` is an account like any other, except
//! where a method says otherwise.

mod rows;

use std::error::Error;
use std::fmt;

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{
    AccountKey, Actor, AllowedSender, AuditEvent, AuditQuery, BlockedSender, Filter, PairingCode,
    PairingError, SeedReport, SenderKey, Session, SessionId, Target,
};
use time::OffsetDateTime;

pub use rows::{
    AccountRow, AdapterRow, Attempt, AttemptKind, AuditRow, AuditTrim, Erased, GrantEnd, LockKey,
    OutcomeRow, Overdue, RedemptionRow, Repeats, RequestCounts, RequestRow, Seed, SessionRow,
    Sha256, Trim, at,
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

impl<E: Error + Send + Sync + 'static> From<E> for PortError {
    fn from(cause: E) -> Self {
        Self(Box::new(cause))
    }
}

impl From<PortError> for PairingError {
    fn from(error: PortError) -> Self {
        Self::backend(error.0)
    }
}

impl fmt::Debug for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The rows as one transaction sees them. One that only reads has a shared reference.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait Rows:
    RequestTable
    + OutcomeTable
    + GrantTable
    + BlockTable
    + AttemptTable
    + AuditTable
    + ModeTable
    + RedemptionTable
    + SessionTable
{
    /// The time of this transaction: read again after each [`lock`](Self::lock), which may have waited.
    fn now(&self) -> OffsetDateTime;

    /// Locks what the operation will decide on, before it decides. `keys` are sorted and unique. Returns
    /// whether others may have written since the transaction began: then earlier reads of these keys
    /// may be stale, and the operation repeats them. A storage whose transactions run one after the other does nothing, and
    /// returns `false`.
    ///
    /// An operation may lock more than once, such as the sender of a code after looking it up, with
    /// keys that come after those it holds: so there are no deadlocks, unless the storage locks something
    /// coarser than these keys. Such a storage sorts its own locks and fails, or runs again, an operation
    /// in a deadlock.
    fn lock(&mut self, keys: &[LockKey]) -> PortResult<bool>;

    /// Runs `effect` once the transaction is durable, before the operation returns: for metrics and
    /// logs. An operation that is run again, or fails, has no effects.
    fn after_commit(&mut self, effect: Box<dyn FnOnce() + Send>);

    /// Whether this operation also ends a share of the overdue rows of others: `true` once a
    /// transaction, and never when the storage is low on space.
    fn claim_maintenance(&mut self) -> bool;

    /// Deletes every row of a target, so that it can no longer be read from the storage's files, and
    /// replaces it by `pseudonym` in the audit log, where the detail of entries about blocks is deleted.
    /// The account `*` is every account.
    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased>;

    /// Deletes at most `limit` of these rows; returns how many.
    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64>;
}

/// The requests, at most one for each sender and for each code.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait RequestTable {
    /// The requests that match, live or not, in the order in which they were added.
    fn requests(&self, filter: &Filter) -> PortResult<Vec<RequestRow>>;

    /// The request that has a code, live or not.
    fn request_by_code(&self, code: &PairingCode) -> PortResult<Option<RequestRow>>;

    /// At most `limit` overdue requests, in the order in which they were added. Which, if there are
    /// more, is the storage's choice.
    fn overdue_requests(&self, overdue: Overdue, limit: u64) -> PortResult<Vec<RequestRow>>;

    /// How many requests there are, not counting overdue ones.
    fn count_requests(&self, on: &AccountKey, overdue: Overdue) -> PortResult<RequestCounts>;

    /// Adds a request unless its sender has one or another has its code. Returns whether it was added.
    fn insert_request(&mut self, request: &RequestRow) -> PortResult<bool>;

    /// Sets when a sender was last challenged. Does nothing without a request.
    fn set_challenged_at(&mut self, key: &SenderKey, at: i64) -> PortResult<()>;

    /// Deletes the request of a sender if it has this code. Returns whether it had.
    fn delete_request(&mut self, key: &SenderKey, code: &PairingCode) -> PortResult<bool>;
}

/// How requests ended.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait OutcomeTable {
    /// The newest outcome of a sender: the one that was written last.
    fn last_outcome(&self, key: &SenderKey) -> PortResult<Option<EndedRequest>>;

    /// The outcomes of a code, the newest first.
    fn outcomes_of_code(&self, code: &PairingCode) -> PortResult<Vec<OutcomeRow>>;

    /// Adds an outcome.
    fn insert_outcome(&mut self, outcome: &OutcomeRow) -> PortResult<()>;
}

/// The grants, at most one for each sender.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait GrantTable {
    /// The grant of a sender, live or not.
    fn grant(&self, key: &SenderKey) -> PortResult<Option<AllowedSender>>;

    /// Gives each grant that matches to `each`, live or not, by channel, account and sender.
    fn visit_grants(&self, filter: &Filter, each: &mut dyn FnMut(AllowedSender)) -> PortResult<()>;

    /// Adds a grant that is not revoked, or replaces the one of the same sender.
    fn put_grant(&mut self, grant: &AllowedSender) -> PortResult<()>;

    /// Adds permanent grants, of different senders. An existing grant is renewed if it was revoked or
    /// expires, and otherwise left as it is.
    fn seed_grants(&mut self, seed: &Seed<'_>) -> PortResult<SeedReport>;

    /// Revokes the grants that match and are not revoked yet. Returns which, in any order.
    fn end_grants(&mut self, filter: &Filter, end: GrantEnd<'_>) -> PortResult<Vec<SenderKey>>;
}

/// The blocks, at most one for each sender on an account, and one on all accounts (`*`). A filter by
/// account also matches blocks on all: see [`Filter::matches_block`].
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait BlockTable {
    /// Whether a block matches.
    fn has_block(&self, filter: &Filter) -> PortResult<bool>;

    /// Gives each block that matches to `each`, by channel, account and sender.
    fn visit_blocks(&self, filter: &Filter, each: &mut dyn FnMut(BlockedSender)) -> PortResult<()>;

    /// Adds a block. An existing one keeps everything but its reason, which is replaced by a new one.
    fn put_block(&mut self, block: &BlockedSender) -> PortResult<()>;

    /// Deletes the block on exactly this scope. Returns whether there was one.
    fn delete_block(&mut self, target: &Target) -> PortResult<bool>;
}

/// The attempts to guess a code.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait AttemptTable {
    /// The attempts of an actor after `after`.
    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>>;

    /// Adds an attempt.
    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()>;

    /// Deletes the attempts of an actor; returns them.
    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>>;
}

/// The audit log.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait AuditTable {
    /// The newest [`limit`](AuditQuery::limit) entries that match, the oldest of them first. The device
    /// of a query is the session with this id, and every session whose device has this label or had it
    /// in an entry of the log.
    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>>;

    /// Adds an entry.
    fn append_audit(&mut self, entry: &AuditRow) -> PortResult<()>;

    /// Examines at most `limit` entries in order, and deletes the old ones up to the first that stays.
    /// Returns the last entry examined, or `None` when it came to one that stays or to the end.
    fn trim_audit(&mut self, trim: AuditTrim, limit: u64) -> PortResult<Option<i64>>;
}

/// The remembered modes of accounts, and the channels whose adapter is in another process.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait ModeTable {
    /// All remembered accounts.
    fn accounts(&self) -> PortResult<Vec<AccountRow>>;

    /// Replaces all remembered accounts.
    fn replace_accounts(&mut self, accounts: &[AccountRow]) -> PortResult<()>;

    /// All remembered adapters, by channel.
    fn adapters(&self) -> PortResult<Vec<AdapterRow>>;

    /// Replaces all remembered adapters.
    fn replace_adapters(&mut self, adapters: &[AdapterRow]) -> PortResult<()>;
}

/// The setup codes that were used or cancelled.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait RedemptionTable {
    /// The redemption of a setup code.
    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>>;

    /// The redemptions with repeated claims that no entry of the audit log covers.
    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>>;

    /// Adds a redemption without repeated claims, unless its setup code has one. Returns whether it was
    /// added.
    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool>;

    /// Replaces the repeated claims of a redemption; the rest of it never changes.
    fn put_repeats(&mut self, redemption: &RedemptionRow) -> PortResult<()>;
}

/// The sessions of companion devices.
#[expect(clippy::missing_errors_doc, reason = "each fails where the storage does, and only there")]
pub trait SessionTable {
    /// The session with an id, live or not.
    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>>;

    /// The session that has a token, live or not.
    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>>;

    /// All sessions, live or not, by when they were issued and then in the order in which they were
    /// added.
    fn sessions(&self) -> PortResult<Vec<Session>>;

    /// Adds a session, or replaces the one with its id.
    fn put_session(&mut self, session: &SessionRow) -> PortResult<()>;
}
