//! The contract between operators and a store.

use async_trait::async_trait;

use crate::{
    AccountId, AccountKey, AccountScope, Actor, AdaptersError, AllowedSender, ApprovedRequest,
    AuditEvent, AuditQuery, BlockOutcome, BlockedSender, ChannelId, ConfiguredModes, Filter, Grant,
    ModeSetting, ModesError, ModesInForce, PairingError, PendingRequest, RejectedRequest,
    RememberedAdapters, RememberedModes, SeedReport, SenderId, SenderKey,
};

/// What operators do with a store: decide on senders, list them, read the audit log.
///
/// An operation that returned `Ok` is durable, and every subscribed [`Replica`](crate::Replica) has seen
/// it. An operation is one transaction; operations take effect as if they ran one after the other. A
/// dropped future leaves its operation done or not done, never half done. A minor version may add
/// operations.
#[async_trait]
pub trait OperatorBackend: Send + Sync {
    /// Admits the sender whose request has `code`, as a person typed it.
    ///
    /// # Errors
    ///
    /// [`PairingError::UnknownCode`], [`MistypedCode`](PairingError::MistypedCode),
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

    /// Rejects the request with `code`. Its sender is not challenged for 24 hours.
    ///
    /// # Errors
    ///
    /// As for [`approve`](Self::approve): a wrong code costs the same attempt.
    async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError>;

    /// Ends the grants of a target. Returns their keys.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;

    /// Blocks a target: ends its grants and drops its requests.
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

    /// Removes a block, but restores nothing that it ended. `false` if the target was not blocked.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError>;

    /// Admits a list of senders at once: all of them or, on an error, none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Blocked`] if one of them is blocked; [`PairingError::Backend`].
    async fn seed(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        actor: &Actor,
    ) -> Result<SeedReport, PairingError>;

    /// Erases a person: grants, blocks and requests. The audit log keeps a salted hash in place of the
    /// id. Returns the erased keys.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;

    /// Removes an actor's lockout and failed attempts. `false` if there were none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError>;

    /// Whether a sender holds a live grant and is not blocked.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError>;

    /// The live requests, oldest first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError>;

    /// The grants by channel, account and sender, with ended ones if `include_revoked`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn list_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, PairingError>;

    /// The blocks by channel, account and sender. A filter by account also matches blocks on all.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError>;

    /// The newest `limit` entries of the audit log, oldest first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError>;

    /// Expires overdue requests and grants; deletes old attempts and audit entries past retention.
    /// Returns how many requests expired.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn purge_expired(&self) -> Result<u64, PairingError>;

    /// Calls `each` for the grants that [`list_allow`](Self::list_allow) returns, for lists that may not
    /// fit into memory. It runs on a reader thread and must not block for long.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn visit_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
        each: Box<dyn FnMut(AllowedSender) + Send>,
    ) -> Result<(), PairingError>;

    /// Calls `each` for the blocks that [`list_blocked`](Self::list_blocked) returns, as
    /// [`visit_allow`](Self::visit_allow) does.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn visit_blocked(
        &self,
        filter: &Filter,
        each: Box<dyn FnMut(BlockedSender) + Send>,
    ) -> Result<(), PairingError>;

    /// The newest entries of the audit log that match, oldest first. Found by an index, unless only a
    /// channel or an account is given: then the log is scanned backwards until there are enough.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError>;

    /// The modes that were last in force; the default if there were none, or all were forgotten.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store cannot be read, or has a mode that this version does not
    /// know.
    async fn remembered_modes(&self) -> Result<RememberedModes, PairingError>;

    /// Resolves the modes in force under the configuration `words`, remembers them, and audits each
    /// change.
    ///
    /// `own` are the modes that the calling process has in force. At its start that is `None`, and the
    /// remembered modes count instead. What was forgotten since counts in neither case. `fallback`
    /// applies where no mode is configured or remembered. Without changes, nothing is written.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; inside the result [`ModesError`] if an account has no mode. Nothing
    /// has changed then.
    async fn put_modes_in_force(
        &self,
        words: &ConfiguredModes,
        fallback: Option<ModeSetting>,
        own: Option<&RememberedModes>,
    ) -> Result<Result<ModesInForce, ModesError>, PairingError>;

    /// Forgets an account's own mode: it follows the default once a gate starts or reloads. `None`
    /// forgets all modes and the list of known accounts. Returns the forgotten modes; `None` is the
    /// default.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn forget_mode(
        &self,
        account: Option<&AccountKey>,
        actor: &Actor,
    ) -> Result<Vec<(Option<AccountKey>, ModeSetting)>, PairingError>;

    /// The channels whose adapter was configured in another process.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn remembered_adapters(&self) -> Result<RememberedAdapters, PairingError>;

    /// Remembers the channels that are only in `after`, forgets those that are only in `before`, and
    /// audits each change. Writes nothing if the two are equal.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`]; inside the result [`AdaptersError::TooMany`]. Nothing has changed
    /// then.
    async fn remember_adapters(
        &self,
        before: &RememberedAdapters,
        after: &RememberedAdapters,
    ) -> Result<Result<(), AdaptersError>, PairingError>;

    /// Forgets that another process served a channel. `false` if that was not remembered.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn forget_adapter(
        &self,
        channel: &ChannelId,
        actor: &Actor,
    ) -> Result<bool, PairingError>;
}

/// The sender that an operation is about, on one account or on all.
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
    /// A target from its three parts.
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
