//! The operations of the store, as the gate and the commands call them.

use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::limits::{GRANT_TTL, GRANT_TTL_FORM, MAX_NOTE_BYTES, NOTE_FORM};
use nexo_pairing_core::{
    AccountId, Actor, AllowedSender, ApprovedRequest, AuditEvent, BlockedSender, Blocking,
    ChannelId, Filter, Grant, Mirror, NewRequest, PairingBackend, PairingCode, PairingError,
    PendingRequest, RejectedRequest, SeedReport, SenderId, SenderKey, Target, UpsertOutcome,
};

use crate::op::{code, grant, list, request};
use crate::{AuditQuery, PairingStore};

#[async_trait]
impl PairingBackend for PairingStore {
    async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError> {
        self.write_for_stranger(move |write| request::upsert(write, &request)).await?
    }

    async fn challenge_undelivered(
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

    fn attach(&self, mirror: Weak<dyn Mirror>) {
        self.add_mirror(mirror);
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.refresh_mirrors().await
    }

    async fn approve(
        &self,
        code: &str,
        actor: &Actor,
        grant: Grant,
    ) -> Result<ApprovedRequest, PairingError> {
        check_grant(&grant)?;
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(move |write| code::approve(write, code, &actor, &grant)).await?
    }

    async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError> {
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(move |write| code::reject(write, code, &actor)).await?
    }

    async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::revoke(write, &target, &actor)).await
    }

    async fn block(
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

    async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::unblock(write, &target, &actor)).await
    }

    async fn seed(
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

    async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> {
        let mut salt = [0; 32];
        self.random().fill(&mut salt)?;
        let (target, actor) = (target.clone(), actor.clone());
        self.write(move |write| grant::forget(write, &target, &actor, &salt)).await
    }

    async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError> {
        let (locked, actor) = (locked.clone(), actor.clone());
        self.write(move |write| code::unlock(write, &locked, &actor)).await
    }

    async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError> {
        let key = key.clone();
        self.read_for_stranger(move |connection, now| {
            let (channel, account) = (key.channel.as_str(), key.account_id.as_str());
            list::is_allowed(connection, channel, account, key.sender_id.as_str(), now)
        })
        .await
    }

    async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError> {
        let filter = filter.clone();
        self.read(move |connection, now| list::pending(connection, &filter, now)).await
    }

    async fn list_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, PairingError> {
        self.fold_allow(filter, include_revoked, Vec::new(), Vec::push).await
    }

    async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError> {
        self.fold_blocked(filter, Vec::new(), Vec::push).await
    }

    async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError> {
        let mut query = AuditQuery::newest(limit);
        query.filter = filter.clone();
        self.audit_log(&query).await
    }

    async fn purge_expired(&self) -> Result<u64, PairingError> {
        Ok(self.purge(|write, progress| write.purge(progress)).await?.expired)
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
            Err(PairingError::Invalid {
                name,
                value: text.chars().take(40).flat_map(char::escape_debug).collect(),
                expected: NOTE_FORM,
            })
        }
        _ => Ok(()),
    }
}
