//! What operators do with a store.

use async_trait::async_trait;

use crate::{
    AccountId, AccountKey, AccountScope, Actor, AdaptersError, AllowedSender, ApprovedRequest,
    AuditEvent, AuditQuery, BlockOutcome, BlockedSender, ChannelId, ConfiguredModes, Filter, Grant,
    ModeSetting, ModesError, ModesInForce, PairingError, PendingRequest, RejectedRequest,
    RememberedAdapters, RememberedModes, SeedReport, SenderId, SenderKey,
};

/// What operators do with a store: decide, list, read the audit log.
///
/// An operation that has returned `Ok` is durable and is seen by every subscribed [`Replica`](crate::Replica) before it
/// returns. Every read and write of one operation is one transaction, and operations take effect as if
/// they ran one after the other. A future that is dropped leaves its operation done or not done, never
/// half. A minor version may add operations.
#[async_trait]
pub trait OperatorBackend: Send + Sync {
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
    ) -> Result<BlockOutcome, PairingError>;

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

    /// The grants that [`list_allow`](Self::list_allow) returns, one after the other: for lists that
    /// may not fit into memory. `each` is called on a thread that reads, where it must not wait long.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn visit_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
        each: Box<dyn FnMut(AllowedSender) + Send>,
    ) -> Result<(), PairingError>;

    /// The blocks that [`list_blocked`](Self::list_blocked) returns, as
    /// [`visit_allow`](Self::visit_allow).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn visit_blocked(
        &self,
        filter: &Filter,
        each: Box<dyn FnMut(BlockedSender) + Send>,
    ) -> Result<(), PairingError>;

    /// Reads entries of the audit log, the oldest first. Entries that do not match are not read, except
    /// where only a channel or an account is given: then the log is read backwards until there are
    /// enough.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError>;

    /// The modes that were last in force; the default where nothing was, or all was forgotten.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read, or holds a mode that this version does
    /// not know.
    async fn remembered_modes(&self) -> Result<RememberedModes, PairingError>;

    /// Finds the modes in force under `words`, remembers them, and notes each change in the audit log.
    ///
    /// `own` are those that the calling process has in force; `None` when it starts: then it goes on
    /// from what is remembered. What was forgotten since counts in neither case. `fallback` counts
    /// where nothing was said, now or before. Nothing is written when nothing changes.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; within the answer [`ModesError`], when there is no mode for an
    /// account: then nothing has changed.
    async fn put_modes_in_force(
        &self,
        words: &ConfiguredModes,
        fallback: Option<ModeSetting>,
        own: Option<&RememberedModes>,
    ) -> Result<Result<ModesInForce, ModesError>, PairingError>;

    /// Forgets the own mode of an account, which then follows the default as soon as a gate starts or
    /// reloads; `None` forgets all modes, and which accounts are known. What was forgotten; `None` in
    /// it is the default.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    async fn forget_mode(
        &self,
        account: Option<&AccountKey>,
        actor: &Actor,
    ) -> Result<Vec<(Option<AccountKey>, ModeSetting)>, PairingError>;

    /// The channels that were said to have their adapter in another process.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    async fn remembered_adapters(&self) -> Result<RememberedAdapters, PairingError>;

    /// Remembers the channels that `after` has and `before` had not, forgets those that only `before`
    /// had, and notes each in the audit log. Nothing is written when the two are the same.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; within the answer [`AdaptersError::TooMany`]: then nothing has changed.
    async fn remember_adapters(
        &self,
        before: &RememberedAdapters,
        after: &RememberedAdapters,
    ) -> Result<Result<(), AdaptersError>, PairingError>;

    /// Forgets that another process served a channel; whether that was remembered.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`].
    async fn forget_adapter(
        &self,
        channel: &ChannelId,
        actor: &Actor,
    ) -> Result<bool, PairingError>;
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

    /// The key of the sender on an account.
    #[must_use]
    pub fn key_on(&self, account: AccountId) -> SenderKey {
        SenderKey::new(self.channel.clone(), account, self.sender.clone())
    }
}

impl From<SenderKey> for Target {
    fn from(key: SenderKey) -> Self {
        Self::new(key.channel, AccountScope::One(key.account_id), key.sender_id)
    }
}
