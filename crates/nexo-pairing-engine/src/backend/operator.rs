//! [`OperatorBackend`] by the operations of the engine.

use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::limits::{GRANT_TTL, GRANT_TTL_FORM, MAX_NOTE_BYTES, NOTE_FORM};
use nexo_pairing_core::text::excerpt;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AdaptersError, AllowedSender, ApprovedRequest, AuditEvent,
    AuditQuery, BlockOutcome, BlockedSender, ChannelId, ConfiguredModes, Filter, Grant,
    ModeSetting, ModesError, ModesInForce, OperatorBackend, PairingCode, PairingError,
    PendingRequest, RejectedRequest, RememberedAdapters, RememberedModes, SeedReport, SenderId,
    SenderKey, Target,
};

use crate::modes::WantedModes;
use crate::refusal::{Specific, check};
use crate::storage::{Caller, Storage};
use crate::tx::Tx;
use crate::{PairingEngine, adapters, code, grant, list, modes};

#[async_trait]
impl<S: Storage> OperatorBackend for PairingEngine<S> {
    async fn approve(
        &self,
        code: &str,
        actor: &Actor,
        grant: Grant,
    ) -> Result<ApprovedRequest, PairingError> {
        check_grant(&grant)?;
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(Caller::Operator, move |tx| code::approve(tx, &code, &actor, &grant)).await
    }

    async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError> {
        let (code, actor) = (PairingCode::parse(code), actor.clone());
        self.write(Caller::Operator, move |tx| code::reject(tx, &code, &actor)).await
    }

    async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| grant::revoke(tx, &target, &actor)).await
    }

    async fn block(
        &self,
        target: &Target,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<BlockOutcome, PairingError> {
        check_text("reason", reason)?;
        let (target, actor) = (target.clone(), actor.clone());
        let reason = reason.map(str::to_owned);
        let block = move |tx: &mut Tx<'_>| grant::block(tx, &target, &actor, reason.as_deref());
        self.write(Caller::Operator, block).await
    }

    async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError> {
        let (target, actor) = (target.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| grant::unblock(tx, &target, &actor)).await
    }

    async fn seed(
        &self,
        channel: &ChannelId,
        account: &AccountId,
        senders: &[SenderId],
        actor: &Actor,
    ) -> Result<SeedReport, PairingError> {
        let on = (channel.clone(), account.clone());
        let (senders, actor) = (senders.to_vec(), actor.clone());
        self.write(Caller::Operator, move |tx| grant::seed(tx, &on, &senders, &actor)).await
    }

    async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError> {
        let mut salt = [0; 32];
        self.random().fill(&mut salt)?;
        let (target, actor) = (target.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| grant::forget(tx, &target, &actor, &salt)).await
    }

    async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError> {
        let (locked, actor) = (locked.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| code::unlock(tx, &locked, &actor)).await
    }

    async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError> {
        let key = key.clone();
        self.read(Caller::Stranger, move |rows| list::is_allowed(rows, &key)).await
    }

    async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError> {
        let filter = filter.clone();
        self.read(Caller::Operator, move |rows| list::pending(rows, &filter)).await
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

    async fn visit_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
        mut each: Box<dyn FnMut(AllowedSender) + Send>,
    ) -> Result<(), PairingError> {
        self.fold_allow(filter, include_revoked, (), move |(), grant| each(grant)).await
    }

    async fn visit_blocked(
        &self,
        filter: &Filter,
        mut each: Box<dyn FnMut(BlockedSender) + Send>,
    ) -> Result<(), PairingError> {
        self.fold_blocked(filter, (), move |(), block| each(block)).await
    }

    async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError> {
        let query = AuditQuery::newest(limit).with_filter(filter.clone());
        self.audit_log(&query).await
    }

    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError> {
        let query = query.clone();
        self.read(Caller::Operator, move |rows| rows.audit(&query)).await
    }

    async fn purge_expired(&self) -> Result<u64, PairingError> {
        Ok(self.storage().maintain(self.maintenance()).await?.expired)
    }

    async fn remembered_modes(&self) -> Result<RememberedModes, PairingError> {
        Ok(self.read(Caller::Operator, modes::remembered).await?.unwrap_or_default())
    }

    async fn put_modes_in_force(
        &self,
        configured: &ConfiguredModes,
        fallback: Option<ModeSetting>,
        own: Option<&RememberedModes>,
    ) -> Result<Result<ModesInForce, ModesError>, PairingError> {
        let wanted = WantedModes { configured: configured.clone(), fallback, own: own.cloned() };
        let asked = wanted.clone();
        // Most of the time there is nothing to write, and no need to wait for the writer.
        match self.read(Caller::Operator, move |rows| modes::resolve(rows, &asked)).await? {
            Ok(resolved) if resolved.is_change() => {}
            resolved => return Ok(resolved.map(|resolved| resolved.modes)),
        }
        let put = move |tx: &mut Tx<'_>| modes::put_in_force(tx, &wanted);
        Specific::split(self.write(Caller::Operator, put).await)
    }

    async fn forget_mode(
        &self,
        account: Option<&AccountKey>,
        actor: &Actor,
    ) -> Result<Vec<(Option<AccountKey>, ModeSetting)>, PairingError> {
        let (account, actor) = (account.cloned(), actor.clone());
        self.write(Caller::Operator, move |tx| modes::forget(tx, account.as_ref(), &actor)).await
    }

    async fn remembered_adapters(&self) -> Result<RememberedAdapters, PairingError> {
        self.read(Caller::Operator, adapters::remembered).await
    }

    async fn remember_adapters(
        &self,
        before: &RememberedAdapters,
        after: &RememberedAdapters,
    ) -> Result<Result<(), AdaptersError>, PairingError> {
        if before.channels().keys().eq(after.channels().keys()) {
            return Ok(Ok(()));
        }
        let (before, after) = (before.clone(), after.clone());
        let put = move |tx: &mut Tx<'_>| adapters::put(tx, &before, &after);
        Specific::split(self.write(Caller::Operator, put).await)
    }

    async fn forget_adapter(
        &self,
        channel: &ChannelId,
        actor: &Actor,
    ) -> Result<bool, PairingError> {
        let (channel, actor) = (channel.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| adapters::forget(tx, &channel, &actor)).await
    }
}

impl<S: Storage> PairingEngine<S> {
    /// [`list_allow`](OperatorBackend::list_allow), one grant after the other, in the order of channel,
    /// account and sender: calls `fold` with the state for each, on the thread that reads, where it must
    /// not block. Returns the state.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_allow<T: Send + 'static>(
        &self,
        filter: &Filter,
        include_revoked: bool,
        mut state: T,
        mut fold: impl FnMut(&mut T, AllowedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        let filter = filter.clone();
        let folded = self.read(Caller::Operator, move |rows| {
            list::each_allowed(rows, &filter, include_revoked, |grant| fold(&mut state, grant))?;
            Ok(state)
        });
        folded.await
    }

    /// [`list_blocked`](OperatorBackend::list_blocked), one block after the other, as
    /// [`fold_allow`](Self::fold_allow).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_blocked<T: Send + 'static>(
        &self,
        filter: &Filter,
        mut state: T,
        mut fold: impl FnMut(&mut T, BlockedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        let filter = filter.clone();
        let folded = self.read(Caller::Operator, move |rows| {
            rows.visit_blocks(&filter, &mut |block| fold(&mut state, block))?;
            Ok(state)
        });
        folded.await
    }
}

fn check_grant(grant: &Grant) -> Result<(), PairingError> {
    let expires_in = grant.expires_in.unwrap_or(*GRANT_TTL.start());
    let is_valid = GRANT_TTL.contains(&Duration::from_secs(expires_in.as_secs()));
    check(is_valid, "expires_in", || format!("{expires_in:?}"), GRANT_TTL_FORM)?;
    check_text("note", grant.note.as_deref())
}

/// Operators' texts are shown on other operators' terminals.
fn check_text(name: &'static str, text: Option<&str>) -> Result<(), PairingError> {
    let text = text.unwrap_or_default();
    let is_valid = text.len() <= MAX_NOTE_BYTES && !text.chars().any(char::is_control);
    check(is_valid, name, || excerpt(text), NOTE_FORM)
}
