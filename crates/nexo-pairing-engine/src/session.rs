//! Finds, renews, ends and imports sessions.

use std::time::Duration;

use nexo_pairing_core::{
    Actor, AuditAction, ImportReport, ImportedSession, PeerAddress, Session, SessionId, SetupEvent,
};
use serde_json::json;

use crate::port::{LockKey, PortResult, Rows, SessionRow, Sha256, at};
use crate::refusal::TxResult;
use crate::tx::{Subject, Tx, seconds, sha256};

/// The live session that has this token.
pub(crate) fn live_of_token(rows: &dyn Rows, token: &Sha256) -> PortResult<Option<Session>> {
    let now = at(rows.now().unix_timestamp());
    let found = rows.session_by_token(token)?.map(|row| row.session);
    Ok(found.filter(|session| session.is_live(now)))
}

/// Whether a session with this token has not ended. Checked before a write, which delays others: anyone may
/// present any token, and a device a revoked one.
pub(crate) fn has_not_ended(rows: &dyn Rows, token: &Sha256) -> PortResult<bool> {
    let now = rows.now().unix_timestamp();
    Ok(rows.session_by_token(token)?.is_some_and(|row| can_end(&row.session, now)))
}

/// The sessions, oldest first.
pub(crate) fn list(rows: &dyn Rows, include_ended: bool) -> PortResult<Vec<Session>> {
    let (now, mut sessions) = (at(rows.now().unix_timestamp()), rows.sessions()?);
    sessions.retain(|session| include_ended || session.is_live(now));
    Ok(sessions)
}

/// Records when a device was last seen, and from where, at most once a minute.
pub(crate) fn touch(tx: &mut Tx<'_>, id: &SessionId, peer: Option<PeerAddress>) -> TxResult<()> {
    tx.lock([LockKey::Session(id.clone())])?;
    let Some(mut row) = tx.rows.session(id)? else { return Ok(()) };
    let now = at(tx.now);
    if row.session.is_live(now) && row.session.wants_touch(now) {
        row.session.last_seen_at = Some(now);
        row.session.last_peer = peer;
        tx.rows.put_session(&row)?;
    }
    Ok(())
}

/// Extends a live session.
pub(crate) fn renew(tx: &mut Tx<'_>, token: &Sha256, ttl: Duration) -> TxResult<Option<Session>> {
    let Some(mut row) = locked_by_token(tx, token)? else { return Ok(None) };
    if !row.session.is_live(at(tx.now)) {
        return Ok(None);
    }
    let renewed = at(tx.now.saturating_add(seconds(ttl))).min(row.session.renew_until);
    if renewed > row.session.expires_at {
        row.session.expires_at = renewed;
        tx.rows.put_session(&row)?;
    }
    Ok(Some(row.session))
}

/// Ends the session that has this token.
pub(crate) fn end_by_device(tx: &mut Tx<'_>, token: &Sha256) -> TxResult<bool> {
    let Some(row) = locked_by_token(tx, token)? else { return Ok(false) };
    let device = Actor::device();
    let Some(ended) = end(tx, row, device.as_str())? else { return Ok(false) };
    tx.audit_session(&device, AuditAction::SessionEnded, &ended, None)?;
    Ok(true)
}

/// Ends the session with this id.
pub(crate) fn revoke(tx: &mut Tx<'_>, id: &SessionId, actor: &Actor) -> TxResult<Option<Session>> {
    tx.lock([LockKey::Session(id.clone())])?;
    let Some(row) = tx.rows.session(id)? else { return Ok(None) };
    let ended = end(tx, row, actor.as_str())?;
    if let Some(session) = &ended {
        tx.audit_session(actor, AuditAction::SessionRevoked, session, None)?;
    }
    Ok(ended)
}

/// Ends a session, also one from the future: it would be live when the clock is right again.
pub(crate) fn end(tx: &mut Tx<'_>, mut row: SessionRow, via: &str) -> PortResult<Option<Session>> {
    if !can_end(&row.session, tx.now) {
        return Ok(None);
    }
    row.session.revoked_at = Some(at(tx.now));
    row.revoked_via = Some(via.to_owned());
    tx.rows.put_session(&row)?;
    Ok(Some(row.session))
}

/// Imports sessions of another store.
pub(crate) fn import(
    tx: &mut Tx<'_>,
    sessions: &[(SessionId, ImportedSession)],
    actor: &Actor,
) -> TxResult<ImportReport> {
    tx.lock([LockKey::Import])?;
    let mut report = ImportReport::default();
    for (id, imported) in sessions {
        let token = sha256(imported.token.as_str());
        let ImportedSession { profile, issued_at, expires_at, .. } = imported;
        let (id, profile) = (id.clone(), profile.clone());
        let mut session = Session::new(id, profile, *issued_at, *expires_at, *expires_at);
        session.device_label.clone_from(&imported.device_label);
        if tx.rows.session_by_token(&token)?.is_some() {
            report.unchanged += 1;
        } else if session.is_live(at(tx.now)) {
            tx.rows.put_session(&SessionRow {
                session,
                token: token.to_vec(),
                revoked_via: None,
            })?;
            report.imported += 1;
        } else {
            report.expired += 1;
        }
    }
    tx.audit(actor, AuditAction::SessionsImported, Subject::default(), json!(report))?;
    Ok(report)
}

/// Audits an event outside of the store.
pub(crate) fn record(tx: &mut Tx<'_>, actor: &Actor, event: &SetupEvent) -> TxResult<()> {
    Ok(tx.audit(actor, event.action(), Subject::default(), event.detail())?)
}

/// The session that has this token, locked and read again: a reissue may have invalidated the token
/// meanwhile.
fn locked_by_token(tx: &mut Tx<'_>, token: &Sha256) -> PortResult<Option<SessionRow>> {
    let Some(row) = tx.rows.session_by_token(token)? else { return Ok(None) };
    tx.lock([LockKey::Session(row.session.id)])?;
    tx.rows.session_by_token(token)
}

fn can_end(session: &Session, now: i64) -> bool {
    session.revoked_at.is_none() && session.expires_at.unix_timestamp() > now
}
