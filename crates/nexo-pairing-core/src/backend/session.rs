//! The contract between a session server and a store.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Actor, Cancellation, ImportReport, ImportedSession, IssuedSession, PairingError, PeerAddress,
    RedeemError, Redemption, RedemptionState, Session, SessionId, SessionToken, SetupEvent,
    TokenClaims,
};

/// Redeems setup codes, and keeps the sessions of companion devices.
///
/// An operation that returned `Ok` is durable. An operation is one transaction; operations take effect
/// as if they ran one after the other. A dropped future leaves its operation done or not done, never
/// half done. A minor version may add operations.
#[async_trait]
pub trait SessionBackend: Send + Sync {
    /// Redeems a setup code for a session, once. A client that repeats the claim with its claim id
    /// before the code expires gets a new token for the same session, and its old token becomes
    /// invalid. Any other repetition is refused as a replay, and under
    /// [`OnReplay::Revoke`](crate::OnReplay) it revokes the session. A revoked session is never revived.
    ///
    /// # Errors
    ///
    /// [`RedeemError`]; inside it [`PairingError::Invalid`] for a redemption out of bounds.
    async fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError>;

    /// Cancels a setup code, so that it cannot be redeemed. A redeemed one stays redeemed.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn cancel(
        &self,
        claims: &TokenClaims,
        actor: &Actor,
    ) -> Result<Cancellation, PairingError>;

    /// The state of the setup code with this nonce; `None` if it was not used, or expired long ago.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError>;

    /// The live session of a token. Reads the database each time, so that a revocation by another
    /// process takes effect with the next call.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError>;

    /// Records when and from where a device was last seen. Writes at most once a minute per session;
    /// check [`Session::wants_touch`] first, so that other calls need not wait for the writer.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn touch(&self, id: &SessionId, peer: Option<PeerAddress>) -> Result<(), PairingError>;

    /// Extends a live session to `ttl` from now, within [`SESSION_TTL`](crate::limits::SESSION_TTL), but
    /// not beyond its `renew_until`; never shortens it. `None` if the token has no live session.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a `ttl` out of range; [`PairingError::Backend`].
    async fn renew_session(
        &self,
        token: &SessionToken,
        ttl: Duration,
    ) -> Result<Option<Session>, PairingError>;

    /// Ends a session at the request of its device. `false` if the token has no live session.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError>;

    /// The live sessions, oldest first, with ended ones if `include_ended`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError>;

    /// Revokes a session at the request of an operator. `None` if no live session has this id.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn revoke_session(
        &self,
        id: &SessionId,
        actor: &Actor,
    ) -> Result<Option<Session>, PairingError>;

    /// Imports sessions of another store: all of them or, on an error, none. One whose token is already
    /// known stays as it is, revoked or not, so that an import can be repeated.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for a label or profile out of bounds;
    /// [`PairingError::Backend`].
    async fn import_sessions(
        &self,
        sessions: Vec<ImportedSession>,
        actor: &Actor,
    ) -> Result<ImportReport, PairingError>;

    /// Ends expired sessions, so that a clock that is set back does not revive them. Deletes sessions
    /// that ended more than 30 days ago and records of setup codes that expired long ago. Returns how
    /// many sessions were deleted. A store with a subscribed replica does this by itself.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn purge_sessions(&self) -> Result<u64, PairingError>;

    /// Adds an event from outside the store to the audit log.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if the store fails.
    async fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError>;

    /// Health check: reads and writes the store, and rolls back.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] if a read or a write fails.
    async fn probe(&self) -> Result<(), PairingError>;
}
