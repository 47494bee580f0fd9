//! Redeems and cancels setup codes, and reports their state. A used or cancelled code stays so.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::{
    Actor, AuditAction, Cancellation, ClaimId, OnReplay, RedeemError, Redemption, RedemptionState,
    Session, SessionId, TokenClaims, WarningLimiter,
};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::port::{
    LockKey, PortError, PortResult, RedemptionRow, Repeats, Rows, SessionRow, Sha256, at,
};
use crate::refusal::{TxError, TxResult};
use crate::repeat::RepeatKind;
use crate::session::end;
use crate::tx::{Subject, Tx, seconds, sha256};

/// The id of a new session, and the hash of a new token.
pub(crate) struct NewToken {
    pub(crate) id: SessionId,
    pub(crate) token: Sha256,
}

/// Rate-limits warnings about replayed setup codes, by session and whether it was revoked.
pub(crate) type ReplayWarnings = Arc<WarningLimiter<(String, bool)>>;

/// Redeems a setup code. Returns whether the session existed before, with a new token now.
pub(crate) fn redeem(
    tx: &mut Tx<'_>,
    redemption: &Redemption,
    new: &NewToken,
    warnings: &ReplayWarnings,
) -> TxResult<(Session, bool), RedeemError> {
    let claims = &redemption.claims;
    tx.lock([LockKey::Nonce(claims.nonce.clone())])?;
    // It was checked before, but waiting for the transaction took time. An expired code is not looked
    // up: it neither issues nor revokes a session.
    if tx.rows.now() >= claims.expires_at {
        return Err(TxError::Refused(RedeemError::Expired { at: claims.expires_at }));
    }
    let Some(used) = tx.rows.redemption(&claims.nonce)? else {
        return Ok((issue(tx, redemption, new)?, false));
    };
    let Some(id) = used.session.clone() else {
        return Err(TxError::Refused(RedeemError::Cancelled));
    };
    tx.lock([LockKey::Session(id.clone())])?;
    let row = tx.rows.session(&id)?;
    let is_same = is_by(&used, redemption.claim_id.as_ref());
    match row {
        Some(row) if is_same && row.session.is_live(at(tx.now)) => {
            let session = row.session.clone();
            tx.rows.put_session(&SessionRow { token: new.token.to_vec(), ..row })?;
            let of = (id.as_str(), Some(&session));
            tx.repeated(RepeatKind::Reissue, used, of, redemption.peer, false)?;
            Ok((session, true))
        }
        // A client with the claim id is the same one, and its session is not revoked.
        row => {
            let revokes = !is_same && redemption.on_replay != OnReplay::Refuse;
            Err(replay(tx, redemption, (used, id), row, revokes, warnings)?)
        }
    }
}

fn is_by(used: &RedemptionRow, claim_id: Option<&ClaimId>) -> bool {
    match (&used.claim_id, claim_id) {
        (Some(hash), Some(claim_id)) => hash.ct_eq(&sha256(claim_id.as_str())[..]).into(),
        _ => false,
    }
}

/// Uses a setup code, and issues its session.
fn issue(tx: &mut Tx<'_>, redemption: &Redemption, new: &NewToken) -> PortResult<Session> {
    let Redemption { claims, session_ttl, renew_for, .. } = redemption;
    let mut used = used(claims, tx.now);
    used.session = Some(new.id.clone());
    used.claim_id = redemption.claim_id.as_ref().map(|id| sha256(id.as_str()).to_vec());
    used.peer = redemption.peer;
    insert(tx, &used)?;
    let now = tx.now;
    let ends = |after: Duration| at(now.saturating_add(seconds(after)));
    let (id, profile) = (new.id.clone(), claims.profile.clone());
    let (expires_at, renew_until) = (ends(*session_ttl), ends(*renew_for.max(session_ttl)));
    let mut session = Session::new(id, profile, at(now), expires_at, renew_until);
    session.device_label = claims.device_label.clone().or_else(|| redemption.device_label.clone());
    session.named_by_device = claims.device_label.is_none() && redemption.device_label.is_some();
    session.claim_peer = redemption.peer;
    let row = SessionRow { session: session.clone(), token: new.token.to_vec(), revoked_via: None };
    tx.rows.put_session(&row)?;
    tx.audit_session(&Actor::device(), AuditAction::SessionIssued, &session, session.claim_peer)?;
    Ok(session)
}

/// Handles a setup code that was presented a second time. If by another client, one of the two stole it,
/// and it is unknown which.
fn replay(
    tx: &mut Tx<'_>,
    redemption: &Redemption,
    (used, id): (RedemptionRow, SessionId),
    row: Option<SessionRow>,
    revokes: bool,
    warnings: &ReplayWarnings,
) -> PortResult<TxError<RedeemError>> {
    let session = row.as_ref().map(|row| row.session.clone());
    let ended = match row {
        Some(row) if revokes => end(tx, row, "replay")?,
        _ => None,
    };
    let revoked = ended.is_some();
    let session = ended.or(session);
    let of = (id.as_str(), session.as_ref());
    tx.repeated(RepeatKind::Replay, used, of, redemption.peer, revoked)?;
    let warnings = Arc::clone(warnings);
    tx.rows.after_commit(Box::new(move || warn(&warnings, id.as_str(), revoked)));
    let session = session.map(Box::new);
    Ok(TxError::Refused(RedeemError::Replayed { session, revoked }))
}

fn warn(warnings: &WarningLimiter<(String, bool)>, session: &str, revoked: bool) {
    // Counted apart, so that earlier warnings do not suppress that of a revocation.
    if let Some(suppressed) = warnings.allow((session.to_owned(), revoked)) {
        tracing::warn!(session, revoked, suppressed, "a setup code was presented a second time");
    }
}

/// Cancels a setup code.
pub(crate) fn cancel(
    tx: &mut Tx<'_>,
    claims: &TokenClaims,
    actor: &Actor,
) -> TxResult<Cancellation> {
    tx.lock([LockKey::Nonce(claims.nonce.clone())])?;
    match tx.rows.redemption(&claims.nonce)? {
        Some(RedemptionRow { session: Some(id), .. }) => {
            let session = tx.rows.session(&id)?.map(|row| row.session);
            Ok(Cancellation::AlreadyUsed(session))
        }
        Some(_) => Ok(Cancellation::AlreadyCancelled),
        None => {
            let row = used(claims, tx.now);
            insert(tx, &row)?;
            let detail = json!({ "profile": claims.profile, "device_label": claims.device_label });
            tx.audit(actor, AuditAction::CodeCancelled, Subject::default(), detail)?;
            Ok(Cancellation::Cancelled)
        }
    }
}

/// The state of a setup code.
pub(crate) fn state(rows: &dyn Rows, nonce: &str) -> PortResult<Option<RedemptionState>> {
    let Some(used) = rows.redemption(nonce)? else { return Ok(None) };
    let Some(id) = used.session else { return Ok(Some(RedemptionState::Cancelled)) };
    let session = rows.session(&id)?.map(|row| row.session);
    Ok(Some(session.map_or(RedemptionState::Forgotten, RedemptionState::Claimed)))
}

/// Adds a redemption. Fails if the storage has one already: a code never issues two sessions.
fn insert(tx: &mut Tx<'_>, row: &RedemptionRow) -> PortResult<()> {
    if tx.rows.insert_redemption(row)? {
        return Ok(());
    }
    Err(PortError::new("the setup code was used at the same time"))
}

/// A redemption at `now`, without a session.
fn used(claims: &TokenClaims, now: i64) -> RedemptionRow {
    RedemptionRow {
        nonce: claims.nonce.clone(),
        session: None,
        claim_id: None,
        redeemed_at: now,
        expires_at: claims.expires_at.unix_timestamp(),
        peer: None,
        replays: Repeats::default(),
        reissues: Repeats::default(),
    }
}
