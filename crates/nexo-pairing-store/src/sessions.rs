//! The operations on sessions, as the server and the commands call them.

use std::time::Duration;

use nexo_pairing_core::limits::{LABEL_FORM, PROFILE_FORM, SESSION_TTL, SESSION_TTL_FORM};
use nexo_pairing_core::setup_code::{is_device_label, is_profile};
use nexo_pairing_core::text::excerpt;
use nexo_pairing_core::{
    Actor, Cancellation, ImportReport, ImportedSession, IssuedSession, PairingError, PeerAddress,
    RedeemError, Redemption, RedemptionState, Session, SessionId, SessionToken, SetupEvent,
    TokenClaims,
};
use ring::digest::Digest;

use crate::PairingStore;
use crate::op::redemption::{self, Fresh};
use crate::op::session;
use crate::op::sha256;

impl PairingStore {
    /// Turns a setup code into a session, once: using it up and issuing the session is one
    /// transaction. A client that gave a claim id and asks again with the same one, while the code has
    /// not expired, gets a new token for the same session; the token it had is void. Anybody else
    /// is told that the code was used, and under [`OnReplay::Revoke`](nexo_pairing_core::OnReplay)
    /// the session is revoked. A session that was revoked is never revived.
    ///
    /// ```
    /// # use nexo_pairing_core::{Redemption, TokenClaims};
    /// # use nexo_pairing_store::PairingStore;
    /// # use time::{Duration, OffsetDateTime};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = PairingStore::open_memory().await?;
    /// # let (expires_at, nonce) = (OffsetDateTime::now_utc() + Duration::MINUTE, "00".repeat(16));
    /// # let claims = TokenClaims::new("companion-v1".into(), expires_at, nonce, None);
    /// // `claims` are what `SetupCodeIssuer::verify` says of a token that is good.
    /// let issued = store.redeem(Redemption::new(claims.clone())).await?;
    /// println!("for the device: {}", issued.token.as_str());
    /// assert!(store.session(&issued.token).await?.is_some());
    ///
    /// let again = store.redeem(Redemption::new(claims)).await.unwrap_err();
    /// assert_eq!(again.kind(), "replayed");
    /// assert!(store.session(&issued.token).await?.is_none(), "one of the two was a thief");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RedeemError`]; [`PairingError::Invalid`] in it for a redemption out of its bounds.
    pub async fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError> {
        check_ttl("session_ttl", redemption.session_ttl)?;
        check_ttl("renew_for", redemption.renew_for.max(SESSION_TTL.min))?;
        check_profile(&redemption.claims.profile)?;
        check_label(redemption.claims.device_label.as_deref())?;
        check_label(redemption.device_label.as_deref())?;
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        self.random().fill(&mut *bytes).map_err(PairingError::from)?;
        let token = SessionToken::from_random(&bytes);
        let fresh = Fresh { id: self.new_session_id()?, token_sha256: sha256(token.as_str()) };
        let redeemed =
            self.write_for_stranger(move |write| redemption::redeem(write, &redemption, &fresh));
        let (session, is_repeated) = redeemed.await??;
        Ok(IssuedSession::new(session, token, is_repeated))
    }

    /// Cancels a setup code, so that it gives no session any more. What was used already stays used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn cancel(
        &self,
        claims: &TokenClaims,
        actor: &Actor,
    ) -> Result<Cancellation, PairingError> {
        let (claims, actor) = (claims.clone(), actor.clone());
        self.write(move |write| redemption::cancel(write, &claims, &actor)).await
    }

    /// What became of the setup code that has this nonce; `None` when nothing did, or when it expired
    /// long ago.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError> {
        let nonce = nonce.to_owned();
        self.read(move |connection, _| redemption::state(connection, &nonce)).await
    }

    /// The live session that a token is of. It is read from the database each time, so that what
    /// another process revoked is refused by the next call.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError> {
        let hash = sha256(token.as_str());
        self.read_for_stranger(move |connection, now| {
            session::live_of_token(connection, &hash, now)
        })
        .await
    }

    /// Records that the device was heard of, and from where. Writes at most once a minute for each
    /// session; ask [`Session::wants_touch`] first, so that the other calls do not wait for the writer.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn touch(
        &self,
        id: &SessionId,
        peer: Option<PeerAddress>,
    ) -> Result<(), PairingError> {
        let id = id.clone();
        self.write_for_stranger(move |write| session::touch(write, &id, peer)).await
    }

    /// Lets a live session live for `ttl` (within [`SESSION_TTL`]) from now, but not beyond its
    /// `renew_until`, and never for less than it had. `None` when the token is of no live session.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a `ttl` out of range; [`PairingError::Backend`].
    pub async fn renew_session(
        &self,
        token: &SessionToken,
        ttl: Duration,
    ) -> Result<Option<Session>, PairingError> {
        check_ttl("ttl", ttl)?;
        let hash = sha256(token.as_str());
        if !self.has_not_ended(hash).await? {
            return Ok(None);
        }
        self.write_for_stranger(move |write| session::renew(write, &hash, ttl)).await
    }

    /// Ends a session, as its device asks for it. `false` when the token is of none that could be
    /// used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError> {
        let hash = sha256(token.as_str());
        if !self.has_not_ended(hash).await? {
            return Ok(false);
        }
        self.write_for_stranger(move |write| session::end_by_device(write, &hash)).await
    }

    /// The live sessions, oldest first; with those that ended, if asked for.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError> {
        self.read(move |connection, now| session::list(connection, include_ended, now)).await
    }

    /// Revokes a session, as an operator asks for it. `None` when there is none with this id that
    /// could be used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn revoke_session(
        &self,
        id: &SessionId,
        actor: &Actor,
    ) -> Result<Option<Session>, PairingError> {
        let (id, actor) = (id.clone(), actor.clone());
        self.write(move |write| session::revoke(write, &id, &actor)).await
    }

    /// Takes over sessions of another store, all of them or, on an error, none. One whose token is
    /// known here already is left as it is, revoked or not, so that it may be done again.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a label or a profile out of its bounds;
    /// [`PairingError::Backend`].
    pub async fn import_sessions(
        &self,
        sessions: Vec<ImportedSession>,
        actor: &Actor,
    ) -> Result<ImportReport, PairingError> {
        let mut fresh = Vec::with_capacity(sessions.len());
        for session in sessions {
            check_profile(&session.profile)?;
            check_label(session.device_label.as_deref())?;
            fresh.push((self.new_session_id()?, session));
        }
        let actor = actor.clone();
        self.write(move |write| session::import(write, &fresh, &actor)).await
    }

    /// Ends the sessions that have run out, so that a clock that is set back later does not revive them.
    /// Deletes those that ended more than 30 days ago, and what is known of setup codes that expired long
    /// ago. Says how many sessions it deleted. A store that a gate mirrors does so by itself.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn purge_sessions(&self) -> Result<u64, PairingError> {
        Ok(self.purge(|write, progress| write.purge_sessions(progress)).await?.sessions)
    }

    /// Writes to the audit log what was done outside of the store.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError> {
        let actor = actor.clone();
        self.write(move |write| session::record(write, &actor, &event)).await
    }

    /// Whether there is a session with this token that has not ended. Asked before a write, for which
    /// others have to wait: anybody may present any token, and a device one that was revoked.
    async fn has_not_ended(&self, token: Digest) -> Result<bool, PairingError> {
        self.read_for_stranger(move |connection, now| {
            let found = session::of_token(connection, &token)?;
            Ok(found
                .is_some_and(|it| it.revoked_at.is_none() && it.expires_at > crate::op::at(now)))
        })
        .await
    }

    fn new_session_id(&self) -> Result<SessionId, PairingError> {
        let mut bytes = [0; SessionId::RANDOM_BYTES];
        self.random().fill(&mut bytes)?;
        Ok(SessionId::from_random(bytes))
    }
}

fn check_ttl(name: &'static str, ttl: Duration) -> Result<(), PairingError> {
    if SESSION_TTL.contains(&ttl) {
        return Ok(());
    }
    let (value, expected) = (format!("{ttl:?}"), SESSION_TTL_FORM);
    Err(PairingError::Invalid { name, value, expected })
}

fn check_profile(profile: &str) -> Result<(), PairingError> {
    check("profile", profile, is_profile, PROFILE_FORM)
}

fn check_label(label: Option<&str>) -> Result<(), PairingError> {
    label.map_or(Ok(()), |label| check("device_label", label, is_device_label, LABEL_FORM))
}

fn check(
    name: &'static str,
    text: &str,
    is_valid: fn(&str) -> bool,
    expected: &'static str,
) -> Result<(), PairingError> {
    if is_valid(text) {
        return Ok(());
    }
    Err(PairingError::Invalid { name, value: excerpt(text), expected })
}
