//! The operations of the store, as the gate and the commands call them.

use std::sync::Weak;
use std::time::Duration;

use nexo_pairing_core::limits::{GRANT_TTL, GRANT_TTL_FORM, MAX_NOTE_BYTES, NOTE_FORM};
use nexo_pairing_core::text::excerpt;
use nexo_pairing_core::{
    AccountId, Actor, AllowedSender, ApprovedRequest, AuditEvent, AuditQuery, BlockedSender,
    Blocking, ChannelId, Filter, Grant, Mirror, NewRequest, PairingCode, PairingError,
    PendingRequest, RejectedRequest, SeedReport, SenderId, SenderKey, Target, UpsertOutcome,
};

use crate::PairingStore;
use crate::op::{code, grant, list, log, request};

impl PairingStore {
    /// Makes a request for a stranger, or finds the one he has; all conditions of
    /// [`UpsertOutcome`] are checked in the transaction that writes, so they hold under any
    /// concurrency. `Created` and `Repeated` are stamped as challenged now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError> {
        self.write_for_stranger(move |write| request::upsert(write, &request)).await?
    }

    /// Takes back the stamp of a challenge that was not delivered, so that a message that comes
    /// `retry_after` from now is challenged again (given the cooldown of its request).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn challenge_undelivered(
        &self,
        key: &SenderKey,
        cooldown: Duration,
        retry_after: Duration,
    ) -> Result<(), PairingError> {
        let key = key.clone();
        self.write_for_stranger(move |write| {
            request::undelivered(write, &key, cooldown, retry_after)
        })
        .await
    }

    /// Keeps `mirror` up to date until it is dropped, beginning with a complete load. Returns at
    /// once; the load goes on behind it.
    pub fn attach(&self, mirror: Weak<dyn Mirror>) {
        self.add_mirror(mirror);
    }

    /// Brings every attached mirror up to date now.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store cannot be read.
    pub async fn refresh(&self) -> Result<(), PairingError> {
        self.refresh_mirrors().await
    }

    /// Lets in whoever has `code` (as a person typed it).
    ///
    /// # Errors
    ///
    /// Why not: [`PairingError::UnknownCode`], [`MistypedCode`](PairingError::MistypedCode),
    /// [`Expired`](PairingError::Expired), [`AlreadyApproved`](PairingError::AlreadyApproved),
    /// [`AlreadyRejected`](PairingError::AlreadyRejected), [`LockedOut`](PairingError::LockedOut),
    /// [`Blocked`](PairingError::Blocked); [`Invalid`](PairingError::Invalid) for a grant out of
    /// range; [`Backend`](PairingError::Backend).
    pub async fn approve(
        &self,
        code: &str,
        actor: &Actor,
        grant: Grant,
    ) -> Result<ApprovedRequest, PairingError> {
        check_grant(&grant)?;
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(move |write| code::approve(write, code, &actor, &grant)).await?
    }

    /// Refuses the request that has `code`; its sender is not challenged for 24 hours.
    ///
    /// # Errors
    ///
    /// As for [`approve`](Self::approve): a wrong code costs the same attempt.
    pub async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError> {
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(move |write| code::reject(write, code, &actor)).await?
    }

    /// Ends the grants of a target; says which.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn revoke(
        &self,
        target: &Target,
        actor: &Actor,
    ) -> Result<Vec<SenderKey>, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::revoke(write, &target, &actor)).await
    }

    /// Blocks a target: ends his grants and drops his requests.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a reason out of range; [`PairingError::Backend`].
    pub async fn block(
        &self,
        target: &Target,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<Blocking, PairingError> {
        check_text("reason", reason)?;
        let (target, actor) = (target.clone(), actor.clone());
        let reason = reason.map(str::to_owned);
        self.write(move |write| grant::block(write, &target, &actor, reason.as_deref())).await
    }

    /// Takes a block back; restores nothing of what it ended. `false` when there was none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::unblock(write, &target, &actor)).await
    }

    /// Lets in a list of senders at once: all of them or, on an error, none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Blocked`] when one of them is blocked; [`PairingError::Backend`].
    pub async fn seed(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        actor: &Actor,
    ) -> Result<SeedReport, PairingError> {
        let (channel, account) = (channel.clone(), account.clone());
        let (senders, actor) = (senders.to_vec(), actor.clone());
        self.write(move |write| grant::seed(write, &channel, &account, &senders, &actor)).await?
    }

    /// Erases a person: grants, blocks and requests; the audit log keeps a salted hash in place of
    /// the id. Says what was erased.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn forget(
        &self,
        target: &Target,
        actor: &Actor,
    ) -> Result<Vec<SenderKey>, PairingError> {
        let mut salt = [0; 32];
        self.random().fill(&mut salt)?;
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::forget(write, &target, &actor, &salt)).await
    }

    /// Takes back an actor's lockout and his failed attempts. `false` when there were none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError> {
        let (locked, actor) = (locked.clone(), actor.clone());
        self.write(move |write| code::unlock(write, &locked, &actor)).await
    }

    /// Whether a sender holds a live grant and is not blocked.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError> {
        let key = key.clone();
        self.read_for_stranger(move |connection, now| {
            let (channel, account) = (key.channel.as_str(), key.account_id.as_str());
            list::is_allowed(connection, channel, account, key.sender_id.as_str(), now)
        })
        .await
    }

    /// The live requests, oldest first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError> {
        let filter = filter.clone();
        self.read(move |connection, now| list::pending(connection, &filter, now)).await
    }

    /// The grants by channel, account and sender; with those that ended, if asked for.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn list_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, PairingError> {
        self.fold_allow(filter, include_revoked, Vec::new(), Vec::push).await
    }

    /// The blocks by channel, account and sender. A filter by account also finds blocks for all.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError> {
        self.fold_blocked(filter, Vec::new(), Vec::push).await
    }

    /// The newest `limit` entries of the audit log, oldest of them first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn audit(
        &self,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, PairingError> {
        let mut query = AuditQuery::newest(limit);
        query.filter = filter.clone();
        self.audit_log(&query).await
    }

    /// Puts away what has run out: requests, grants, old attempts and old audit entries. Says how
    /// many requests expired.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn purge_expired(&self) -> Result<u64, PairingError> {
        Ok(self.purge(|write, progress| write.purge(progress)).await?.expired)
    }

    /// Reads entries of the audit log, the oldest first. Entries that do not match are not read, except
    /// where only a channel or an account is given: then the log is read backwards until there are
    /// enough.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError> {
        let query = query.clone();
        self.read(move |connection, _| log::search(connection, &query)).await
    }
}

fn check_grant(grant: &Grant) -> Result<(), PairingError> {
    if let Some(expires_in) = grant.expires_in
        && !GRANT_TTL.contains(&Duration::from_secs(expires_in.as_secs()))
    {
        return Err(PairingError::Invalid {
            name: "expires_in",
            value: format!("{expires_in:?}"),
            expected: GRANT_TTL_FORM,
        });
    }
    check_text("note", grant.note.as_deref())
}

/// What an operator writes is kept for other operators' terminals.
fn check_text(name: &'static str, text: Option<&str>) -> Result<(), PairingError> {
    match text {
        Some(text) if text.len() > MAX_NOTE_BYTES || text.chars().any(char::is_control) => {
            Err(PairingError::Invalid { name, value: excerpt(text), expected: NOTE_FORM })
        }
        _ => Ok(()),
    }
}
