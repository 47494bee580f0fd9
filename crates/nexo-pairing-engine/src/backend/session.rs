//! [`SessionBackend`] by the operations of the engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::limits::{LABEL_FORM, PROFILE_FORM, SESSION_TTL, SESSION_TTL_FORM};
use nexo_pairing_core::setup_code::{is_device_label, is_profile};
use nexo_pairing_core::text::excerpt;
use nexo_pairing_core::{
    Actor, Cancellation, ImportReport, ImportedSession, IssuedSession, PairingError, PeerAddress,
    RedeemError, Redemption, RedemptionState, Session, SessionBackend, SessionId, SessionToken,
    SetupEvent, TokenClaims,
};
use zeroize::Zeroizing;

use crate::maintenance::Maintenance;
use crate::port::Rows;
use crate::redemption::NewToken;
use crate::refusal::check;
use crate::storage::{Caller, Storage};
use crate::tx::{Tx, sha256};
use crate::{PairingEngine, redemption, session};

#[async_trait]
impl<S: Storage> SessionBackend for PairingEngine<S> {
    async fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError> {
        check_ttl("session_ttl", redemption.session_ttl)?;
        check_ttl("renew_for", redemption.renew_for.max(SESSION_TTL.min))?;
        check_profile(&redemption.claims.profile)?;
        check_label(redemption.claims.device_label.as_deref())?;
        check_label(redemption.device_label.as_deref())?;
        let mut bytes = Zeroizing::new([0; 32]);
        self.random().fill(&mut *bytes).map_err(PairingError::from)?;
        let token = SessionToken::from_random(&bytes);
        let new = NewToken { id: self.new_session_id()?, token: sha256(token.as_str()) };
        let warnings = Arc::clone(self.replays());
        let redeem = move |tx: &mut Tx<'_>| redemption::redeem(tx, &redemption, &new, &warnings);
        let (session, is_repeated) = self.write(Caller::Stranger, redeem).await?;
        Ok(IssuedSession::new(session, token, is_repeated))
    }

    async fn cancel(
        &self,
        claims: &TokenClaims,
        actor: &Actor,
    ) -> Result<Cancellation, PairingError> {
        let (claims, actor) = (claims.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| redemption::cancel(tx, &claims, &actor)).await
    }

    async fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError> {
        let nonce = nonce.to_owned();
        self.read(Caller::Operator, move |rows| redemption::state(rows, &nonce)).await
    }

    async fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError> {
        let hash = sha256(token.as_str());
        self.read(Caller::Stranger, move |rows| session::live_of_token(rows, &hash)).await
    }

    async fn touch(&self, id: &SessionId, peer: Option<PeerAddress>) -> Result<(), PairingError> {
        let id = id.clone();
        self.write(Caller::Stranger, move |tx| session::touch(tx, &id, peer)).await
    }

    async fn renew_session(
        &self,
        token: &SessionToken,
        ttl: Duration,
    ) -> Result<Option<Session>, PairingError> {
        check_ttl("ttl", ttl)?;
        let hash = sha256(token.as_str());
        let has_not_ended = move |rows: &dyn Rows| session::has_not_ended(rows, &hash);
        if !self.read(Caller::Stranger, has_not_ended).await? {
            return Ok(None);
        }
        self.write(Caller::Stranger, move |tx| session::renew(tx, &hash, ttl)).await
    }

    async fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError> {
        let hash = sha256(token.as_str());
        let has_not_ended = move |rows: &dyn Rows| session::has_not_ended(rows, &hash);
        if !self.read(Caller::Stranger, has_not_ended).await? {
            return Ok(false);
        }
        self.write(Caller::Stranger, move |tx| session::end_by_device(tx, &hash)).await
    }

    async fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError> {
        self.read(Caller::Operator, move |rows| session::list(rows, include_ended)).await
    }

    async fn revoke_session(
        &self,
        id: &SessionId,
        actor: &Actor,
    ) -> Result<Option<Session>, PairingError> {
        let (id, actor) = (id.clone(), actor.clone());
        self.write(Caller::Operator, move |tx| session::revoke(tx, &id, &actor)).await
    }

    async fn import_sessions(
        &self,
        sessions: Vec<ImportedSession>,
        actor: &Actor,
    ) -> Result<ImportReport, PairingError> {
        let mut new = Vec::with_capacity(sessions.len());
        for session in sessions {
            check_profile(&session.profile)?;
            check_label(session.device_label.as_deref())?;
            new.push((self.new_session_id()?, session));
        }
        let actor = actor.clone();
        self.write(Caller::Operator, move |tx| session::import(tx, &new, &actor)).await
    }

    async fn purge_sessions(&self) -> Result<u64, PairingError> {
        Ok(self.storage().maintain(Maintenance::sessions()).await?.sessions)
    }

    async fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError> {
        let actor = actor.clone();
        self.write(Caller::Operator, move |tx| session::record(tx, &actor, &event)).await
    }

    async fn probe(&self) -> Result<(), PairingError> {
        self.storage().probe().await
    }
}

impl<S: Storage> PairingEngine<S> {
    fn new_session_id(&self) -> Result<SessionId, PairingError> {
        let mut bytes = [0; SessionId::RANDOM_BYTES];
        self.random().fill(&mut bytes)?;
        Ok(SessionId::from_random(bytes))
    }
}

fn check_ttl(name: &'static str, ttl: Duration) -> Result<(), PairingError> {
    check(SESSION_TTL.contains(&ttl), name, || format!("{ttl:?}"), SESSION_TTL_FORM)
}

fn check_profile(profile: &str) -> Result<(), PairingError> {
    check(is_profile(profile), "profile", || excerpt(profile), PROFILE_FORM)
}

fn check_label(label: Option<&str>) -> Result<(), PairingError> {
    let is_valid = label.is_none_or(is_device_label);
    check(is_valid, "device_label", || excerpt(label.unwrap_or_default()), LABEL_FORM)
}
