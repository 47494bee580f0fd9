//! Finds, renews, ends and imports sessions.

use std::time::Duration;

use nexo_pairing_core::{
    Actor, ImportReport, ImportedSession, PeerAddress, Session, SessionId, SetupEvent,
};
use ring::digest::Digest;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::audit::About;
use super::{Write, at, sha256};

/// What a [`Session`] is read from.
macro_rules! columns {
    () => {
        " id, profile, device_label, issued_at, expires_at, renew_until, last_seen_at, revoked_at,
            claim_peer, last_peer, named_by_device "
    };
}

/// The session with this id, live or not.
pub(crate) fn of_id(connection: &Connection, id: &str) -> rusqlite::Result<Option<Session>> {
    let sql = concat!("SELECT", columns!(), "FROM pairing_sessions WHERE id = ?1");
    connection.prepare_cached(sql)?.query_row([id], read).optional()
}

/// The session that has this token, live or not.
pub(crate) fn of_token(
    connection: &Connection,
    token: &Digest,
) -> rusqlite::Result<Option<Session>> {
    let sql = concat!("SELECT", columns!(), "FROM pairing_sessions WHERE token_sha256 = ?1");
    connection.prepare_cached(sql)?.query_row([token.as_ref()], read).optional()
}

/// The live session that has this token.
pub(crate) fn live_of_token(
    connection: &Connection,
    token: &Digest,
    now: i64,
) -> rusqlite::Result<Option<Session>> {
    Ok(of_token(connection, token)?.filter(|session| session.is_live(at(now))))
}

/// The sessions, oldest first.
pub(crate) fn list(
    connection: &Connection,
    include_ended: bool,
    now: i64,
) -> rusqlite::Result<Vec<Session>> {
    let sql = concat!("SELECT", columns!(), "FROM pairing_sessions ORDER BY issued_at, rowid");
    let mut statement = connection.prepare_cached(sql)?;
    let sessions = statement.query_map((), read)?;
    let is_shown = |session: &Session| include_ended || session.is_live(at(now));
    sessions.filter(|session| session.as_ref().map_or(true, is_shown)).collect()
}

/// Adds a session.
pub(crate) fn insert(write: &Write<'_>, session: &Session, token: &Digest) -> rusqlite::Result<()> {
    write
        .tx
        .prepare_cached(
            "INSERT INTO pairing_sessions
                    (id, token_sha256, profile, device_label, issued_at, expires_at, renew_until,
                        claim_peer, named_by_device)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            session.id.as_str(),
            token.as_ref(),
            session.profile,
            session.device_label,
            session.issued_at.unix_timestamp(),
            session.expires_at.unix_timestamp(),
            session.renew_until.unix_timestamp(),
            stored_peer(session.claim_peer),
            session.named_by_device
        ])
        .map(drop)
}

/// Records that a device was heard of, and from where, unless that was recorded within a minute.
pub(crate) fn touch(
    write: &Write<'_>,
    id: &SessionId,
    peer: Option<PeerAddress>,
) -> rusqlite::Result<()> {
    let session = of_id(write.tx, id.as_str())?;
    let now = at(write.now);
    if session.is_some_and(|session| session.is_live(now) && session.wants_touch(now)) {
        let touch = "UPDATE pairing_sessions SET last_seen_at = ?2, last_peer = ?3 WHERE id = ?1";
        let row = params![id.as_str(), write.now, stored_peer(peer)];
        write.tx.prepare_cached(touch)?.execute(row)?;
    }
    Ok(())
}

/// Puts off the end of a live session.
pub(crate) fn renew(
    write: &Write<'_>,
    token: &Digest,
    ttl: Duration,
) -> rusqlite::Result<Option<Session>> {
    let Some(mut session) = live_of_token(write.tx, token, write.now)? else { return Ok(None) };
    let renewed = at(write.now.saturating_add(seconds(ttl))).min(session.renew_until);
    if renewed > session.expires_at {
        session.expires_at = renewed;
        let renew = "UPDATE pairing_sessions SET expires_at = ?2 WHERE id = ?1";
        let row = params![session.id.as_str(), renewed.unix_timestamp()];
        write.tx.prepare_cached(renew)?.execute(row)?;
    }
    Ok(Some(session))
}

/// Ends the session that has this token.
pub(crate) fn end_by_device(write: &Write<'_>, token: &Digest) -> rusqlite::Result<bool> {
    let Some(session) = of_token(write.tx, token)? else { return Ok(false) };
    let device = Actor::device();
    let Some(ended) = end(write, session.id.as_str(), device.as_str())? else { return Ok(false) };
    write.audit_session(&device, "session_ended", &ended, None)?;
    Ok(true)
}

/// Ends the session with this id.
pub(crate) fn revoke(
    write: &Write<'_>,
    id: &SessionId,
    actor: &Actor,
) -> rusqlite::Result<Option<Session>> {
    let ended = end(write, id.as_str(), actor.as_str())?;
    if let Some(session) = &ended {
        write.audit_session(actor, "session_revoked", session, None)?;
    }
    Ok(ended)
}

/// Ends a session. One from the future is ended too: it would be live when the clock is right again.
pub(crate) fn end(write: &Write<'_>, id: &str, via: &str) -> rusqlite::Result<Option<Session>> {
    let sql = concat!(
        "UPDATE pairing_sessions SET revoked_at = ?2, revoked_via = ?3
            WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2 RETURNING",
        columns!()
    );
    write.tx.prepare_cached(sql)?.query_row(params![id, write.now, via], read).optional()
}

/// Takes over sessions of another store.
pub(crate) fn import(
    write: &Write<'_>,
    sessions: &[(SessionId, ImportedSession)],
    actor: &Actor,
) -> rusqlite::Result<ImportReport> {
    let mut report = ImportReport::default();
    for (id, imported) in sessions {
        let token = sha256(imported.token.as_str());
        let ImportedSession { profile, issued_at, expires_at, .. } = imported;
        let (id, profile) = (id.clone(), profile.clone());
        let mut session = Session::new(id, profile, *issued_at, *expires_at, *expires_at);
        session.device_label.clone_from(&imported.device_label);
        if of_token(write.tx, &token)?.is_some() {
            report.unchanged += 1;
        } else if session.is_live(at(write.now)) {
            insert(write, &session, &token)?;
            report.imported += 1;
        } else {
            report.expired += 1;
        }
    }
    write.audit(actor.as_str(), "sessions_imported", About::default(), &json!(report))?;
    Ok(report)
}

/// Notes what was done outside of the store.
pub(crate) fn record(write: &Write<'_>, actor: &Actor, event: &SetupEvent) -> rusqlite::Result<()> {
    write.audit(actor.as_str(), event.action(), About::default(), &event.detail())
}

/// Whole seconds, as they are stored.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl Write<'_> {
    /// Adds an entry about a session to the audit log.
    pub(crate) fn audit_session(
        &self,
        actor: &Actor,
        action: &str,
        session: &Session,
        peer: Option<PeerAddress>,
    ) -> rusqlite::Result<()> {
        let Session { id, profile, device_label, .. } = session;
        let mut detail = json!({ "session": id, "profile": profile, "device_label": device_label });
        if let Some(peer) = peer {
            detail["peer"] = json!(peer);
        }
        let about = About::session(id.as_str(), device_label.as_deref());
        self.audit(actor.as_str(), action, about, &detail)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    let (id, profile) = (SessionId::from_stored(row.get(0)?), row.get(1)?);
    let times = (at(row.get(3)?), at(row.get(4)?), at(row.get(5)?));
    let mut session = Session::new(id, profile, times.0, times.1, times.2);
    session.device_label = row.get(2)?;
    session.last_seen_at = row.get::<_, Option<i64>>(6)?.map(at);
    session.revoked_at = row.get::<_, Option<i64>>(7)?.map(at);
    session.claim_peer = peer(row, 8)?;
    session.last_peer = peer(row, 9)?;
    session.named_by_device = row.get(10)?;
    Ok(session)
}

/// An address as a column holds it.
pub(crate) fn stored_peer(peer: Option<PeerAddress>) -> Option<String> {
    peer.map(|peer| peer.to_string())
}

fn peer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<PeerAddress>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| PeerAddress::from_stored(&text)))
}
