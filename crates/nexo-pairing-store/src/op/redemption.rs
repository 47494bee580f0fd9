//! Uses a setup code, cancels it, and says what became of it: one that was used or cancelled stays
//! so.

use std::time::Duration;

use nexo_pairing_core::{
    Actor, Cancellation, ClaimId, OnReplay, PeerAddress, RedeemError, Redemption, RedemptionState,
    Session, SessionId, TokenClaims,
};
use ring::digest::Digest;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::audit::About;
use super::repeat::Repeat;
use super::session::{self, end};
use super::{Write, at, sha256};

/// What a new session, or a session with a new token, is made of.
pub(crate) struct Fresh {
    pub(crate) id: SessionId,
    pub(crate) token_sha256: Digest,
}

/// A setup code that was used or cancelled.
struct Used {
    /// `None`: it was cancelled.
    session_id: Option<String>,
    claim_id_sha256: Option<Vec<u8>>,
}

impl Used {
    fn is_by(&self, claim_id: Option<&ClaimId>) -> bool {
        match (&self.claim_id_sha256, claim_id) {
            (Some(hash), Some(claim_id)) => hash.ct_eq(sha256(claim_id.as_str()).as_ref()).into(),
            _ => false,
        }
    }
}

/// Uses a setup code. Says whether the session was there before, and only its token is new.
pub(crate) fn redeem(
    write: &mut Write<'_>,
    redemption: &Redemption,
    fresh: &Fresh,
) -> rusqlite::Result<Result<(Session, bool), RedeemError>> {
    let claims = &redemption.claims;
    // It was checked before, but the wait for the transaction took its time. An expired code is not
    // looked up: it gives nothing and takes nothing.
    if write.options.clock.now() >= claims.expires_at {
        return Ok(Err(RedeemError::Expired { at: claims.expires_at }));
    }
    let Some(used) = find(write.tx, &claims.nonce)? else {
        return issue(write, redemption, fresh).map(|session| Ok((session, false)));
    };
    let Some(session_id) = &used.session_id else { return Ok(Err(RedeemError::Cancelled)) };
    let session = session::of_id(write.tx, session_id)?;
    let is_same = used.is_by(redemption.claim_id.as_ref());
    match session {
        Some(session) if is_same && session.is_live(at(write.now)) => {
            reissue(write, redemption, &session, fresh)?;
            Ok(Ok((session, true)))
        }
        // Who has the claim id is no thief, and takes nothing from himself.
        session => {
            let revokes = !is_same && redemption.on_replay != OnReplay::Refuse;
            replay(write, redemption, session_id, session, revokes).map(Err)
        }
    }
}

/// Uses up a setup code and makes its session.
fn issue(write: &Write<'_>, redemption: &Redemption, fresh: &Fresh) -> rusqlite::Result<Session> {
    let Redemption { claims, session_ttl, renew_for, .. } = redemption;
    let claim_id = redemption.claim_id.as_ref().map(|id| sha256(id.as_str()));
    note(write, claims, Some(&fresh.id), claim_id.as_ref(), redemption.peer)?;
    let ends = |after: Duration| at(write.now.saturating_add(session::seconds(after)));
    let (id, profile) = (fresh.id.clone(), claims.profile.clone());
    let (expires_at, renew_until) = (ends(*session_ttl), ends(*renew_for.max(session_ttl)));
    let mut session = Session::new(id, profile, at(write.now), expires_at, renew_until);
    session.device_label = claims.device_label.clone().or_else(|| redemption.device_label.clone());
    session.named_by_device = claims.device_label.is_none() && redemption.device_label.is_some();
    session.claim_peer = redemption.peer;
    session::insert(write, &session, &fresh.token_sha256)?;
    write.audit_session(&Actor::device(), "session_issued", &session, session.claim_peer)?;
    Ok(session)
}

/// Gives a client whose answer was lost another token.
fn reissue(
    write: &Write<'_>,
    Redemption { claims, peer, .. }: &Redemption,
    session: &Session,
    fresh: &Fresh,
) -> rusqlite::Result<()> {
    write
        .tx
        .prepare_cached("UPDATE pairing_sessions SET token_sha256 = ?2 WHERE id = ?1")?
        .execute(params![session.id.as_str(), fresh.token_sha256.as_ref()])?;
    let session = (session.id.as_str(), Some(session));
    write.repeated(Repeat::Reissue, &claims.nonce, session, *peer, false)
}

/// A setup code was presented a second time. When it was not by the same client, one of the two is a
/// thief, and nobody knows which.
fn replay(
    write: &mut Write<'_>,
    Redemption { claims, peer, .. }: &Redemption,
    session_id: &str,
    session: Option<Session>,
    revokes: bool,
) -> rusqlite::Result<RedeemError> {
    let ended = if revokes { end(write, session_id, "replay")? } else { None };
    let revoked = ended.is_some();
    let session = ended.or(session);
    let of = (session_id, session.as_ref());
    write.repeated(Repeat::Replay, &claims.nonce, of, *peer, revoked)?;
    write.after.replay = Some((session_id.to_owned(), revoked));
    Ok(RedeemError::Replayed { session: session.map(Box::new), revoked })
}

/// Burns a setup code.
pub(crate) fn cancel(
    write: &Write<'_>,
    claims: &TokenClaims,
    actor: &Actor,
) -> rusqlite::Result<Cancellation> {
    match find(write.tx, &claims.nonce)? {
        Some(Used { session_id: Some(id), .. }) => {
            session::of_id(write.tx, &id).map(Cancellation::AlreadyUsed)
        }
        Some(_) => Ok(Cancellation::AlreadyCancelled),
        None => {
            note(write, claims, None, None, None)?;
            let detail = json!({ "profile": claims.profile, "device_label": claims.device_label });
            write.audit(actor.as_str(), "code_cancelled", About::default(), &detail)?;
            Ok(Cancellation::Cancelled)
        }
    }
}

/// What became of a setup code.
pub(crate) fn state(
    connection: &Connection,
    nonce: &str,
) -> rusqlite::Result<Option<RedemptionState>> {
    // One moment for both statements; a view is one already.
    let _tx = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let Some(used) = find(connection, nonce)? else { return Ok(None) };
    let Some(id) = used.session_id else { return Ok(Some(RedemptionState::Cancelled)) };
    let session = session::of_id(connection, &id)?;
    Ok(Some(session.map_or(RedemptionState::Forgotten, RedemptionState::Claimed)))
}

fn find(connection: &Connection, nonce: &str) -> rusqlite::Result<Option<Used>> {
    connection
        .prepare_cached(
            "SELECT session_id, claim_id_sha256 FROM pairing_redemptions WHERE nonce = ?1",
        )?
        .query_row([nonce], |row| {
            Ok(Used { session_id: row.get(0)?, claim_id_sha256: row.get(1)? })
        })
        .optional()
}

/// Notes that a setup code was used for a session, or cancelled.
fn note(
    write: &Write<'_>,
    claims: &TokenClaims,
    session: Option<&SessionId>,
    claim_id: Option<&Digest>,
    peer: Option<PeerAddress>,
) -> rusqlite::Result<()> {
    write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_redemptions
                    (nonce, session_id, claim_id_sha256, redeemed_at, expires_at, peer)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            claims.nonce,
            session.map(SessionId::as_str),
            claim_id.map(AsRef::as_ref),
            write.now,
            claims.expires_at.unix_timestamp(),
            session::stored_peer(peer)
        ])
        .map(drop)
}
