//! What a server of sessions needs of a store.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Actor, Cancellation, ImportReport, ImportedSession, IssuedSession, PairingError, PeerAddress,
    RedeemError, Redemption, RedemptionState, Session, SessionId, SessionToken, SetupEvent,
    TokenClaims,
};

/// What becomes of setup codes and of the sessions that they give.
///
/// An operation that has returned `Ok` is durable. Every read and write of one operation is one
/// transaction, and operations take effect as if they ran one after the other. A future that is
/// dropped leaves its operation done or not done, never half. A minor version may add operations.
#[async_trait]
pub trait SessionBackend: Send + Sync {
    /// Turns a setup code into a session, once: using it up and issuing the session is one
    /// transaction. A client that gave a claim id and asks again with the same one, while the code has
    /// not expired, gets a new token for the same session; the token it had is void. Anybody else
    /// is told that the code was used, and under [`OnReplay::Revoke`](crate::OnReplay)
    /// the session is revoked. A session that was revoked is never revived.
    ///
    ///
    /// # Errors
    ///
    /// [`RedeemError`]; [`PairingError::Invalid`] in it for a redemption out of its bounds.
    async fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError>;

    /// Cancels a setup code, so that it gives no session any more. What was used already stays used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn cancel(
        &self,
        claims: &TokenClaims,
        actor: &Actor,
    ) -> Result<Cancellation, PairingError>;

    /// What became of the setup code that has this nonce; `None` when nothing did, or when it expired
    /// long ago.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError>;

    /// The live session that a token is of. It is read from the database each time, so that what
    /// another process revoked is refused by the next call.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError>;

    /// Records that the device was heard of, and from where. Writes at most once a minute for each
    /// session; ask [`Session::wants_touch`] first, so that the other calls do not wait for the writer.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn touch(&self, id: &SessionId, peer: Option<PeerAddress>) -> Result<(), PairingError>;

    /// Lets a live session live for `ttl` (within [`SESSION_TTL`](crate::limits::SESSION_TTL)) from now, but not beyond its
    /// `renew_until`, and never for less than it had. `None` when the token is of no live session.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a `ttl` out of range; [`PairingError::Backend`].
    async fn renew_session(
        &self,
        token: &SessionToken,
        ttl: Duration,
    ) -> Result<Option<Session>, PairingError>;

    /// Ends a session, as its device asks for it. `false` when the token is of none that could be
    /// used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError>;

    /// The live sessions, oldest first; with those that ended, if asked for.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError>;

    /// Revokes a session, as an operator asks for it. `None` when there is none with this id that
    /// could be used.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn revoke_session(
        &self,
        id: &SessionId,
        actor: &Actor,
    ) -> Result<Option<Session>, PairingError>;

    /// Takes over sessions of another store, all of them or, on an error, none. One whose token is
    /// known here already is left as it is, revoked or not, so that it may be done again.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a label or a profile out of its bounds;
    /// [`PairingError::Backend`].
    async fn import_sessions(
        &self,
        sessions: Vec<ImportedSession>,
        actor: &Actor,
    ) -> Result<ImportReport, PairingError>;

    /// Ends the sessions that have run out, so that a clock that is set back later does not revive them.
    /// Deletes those that ended more than 30 days ago, and what is known of setup codes that expired long
    /// ago. Says how many sessions it deleted. A store that a gate replicas does so by itself.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn purge_sessions(&self) -> Result<u64, PairingError>;

    /// Writes to the audit log what was done outside of the store.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    async fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError>;

    /// Whether the store can be read and written now: for a health check. What it writes is taken back.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] with what a read or a write would meet.
    async fn probe(&self) -> Result<(), PairingError>;
}
