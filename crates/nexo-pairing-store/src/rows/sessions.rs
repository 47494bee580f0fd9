//! `pairing_sessions`: the sessions of companion devices.

use nexo_pairing_core::{Session, SessionId};
use nexo_pairing_engine::{SessionRow, Sha256, at};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use time::OffsetDateTime;

use super::columns::{change, peer, stored_peer};

const SELECT: &str = "SELECT id, profile, device_label, issued_at, expires_at, renew_until,
        last_seen_at, revoked_at, claim_peer, last_peer, named_by_device, token_sha256, revoked_via
    FROM pairing_sessions";

pub(super) fn get(connection: &Connection, id: &SessionId) -> rusqlite::Result<Option<SessionRow>> {
    one(connection, &format!("{SELECT} WHERE id = ?1"), [id.as_str()])
}

pub(super) fn by_token(
    connection: &Connection,
    token: &Sha256,
) -> rusqlite::Result<Option<SessionRow>> {
    one(connection, &format!("{SELECT} WHERE token_sha256 = ?1"), [token])
}

pub(super) fn visit(
    connection: &Connection,
    each: &mut dyn FnMut(Session),
) -> rusqlite::Result<()> {
    let sql = format!("{SELECT} ORDER BY issued_at, rowid");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        each(read(row)?.session);
    }
    Ok(())
}

pub(super) fn put(connection: &Connection, row: &SessionRow) -> rusqlite::Result<()> {
    let SessionRow { session, token, revoked_via } = row;
    let seconds = |at: Option<OffsetDateTime>| at.map(OffsetDateTime::unix_timestamp);
    connection
        .prepare_cached(
            "INSERT INTO pairing_sessions
                    (id, token_sha256, profile, device_label, issued_at, expires_at, renew_until,
                        last_seen_at, revoked_at, revoked_via, claim_peer, last_peer,
                        named_by_device)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                ON CONFLICT (id) DO UPDATE SET token_sha256 = excluded.token_sha256,
                    expires_at = excluded.expires_at, last_seen_at = excluded.last_seen_at,
                    revoked_at = excluded.revoked_at, revoked_via = excluded.revoked_via,
                    last_peer = excluded.last_peer",
        )?
        .execute(params![
            session.id.as_str(),
            token,
            session.profile,
            session.device_label,
            session.issued_at.unix_timestamp(),
            session.expires_at.unix_timestamp(),
            session.renew_until.unix_timestamp(),
            seconds(session.last_seen_at),
            seconds(session.revoked_at),
            revoked_via,
            stored_peer(session.claim_peer),
            stored_peer(session.last_peer),
            session.named_by_device
        ])
        .map(drop)
}

pub(super) fn expire(connection: &Connection, until: i64, limit: u64) -> rusqlite::Result<u64> {
    let expire = "UPDATE pairing_sessions SET revoked_at = expires_at, revoked_via = 'expiry'
        WHERE rowid IN (SELECT rowid FROM pairing_sessions
            WHERE revoked_at IS NULL AND expires_at <= ?1 LIMIT ?2)";
    change(connection, expire, &[until], limit)
}

pub(super) fn trim(
    connection: &Connection,
    revoked_until: i64,
    expired_until: i64,
    limit: u64,
) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_sessions WHERE rowid IN
        (SELECT rowid FROM pairing_sessions
            WHERE revoked_at <= ?1 AND expires_at <= ?2 LIMIT ?3)";
    change(connection, delete, &[revoked_until, expired_until], limit)
}

fn one(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Option<SessionRow>> {
    connection.prepare_cached(sql)?.query_row(parameters, read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let (id, profile) = (SessionId::from_stored(row.get(0)?), row.get(1)?);
    let (issued_at, expires_at) = (at(row.get(3)?), at(row.get(4)?));
    let mut session = Session::new(id, profile, issued_at, expires_at, at(row.get(5)?));
    session.device_label = row.get(2)?;
    session.last_seen_at = row.get::<_, Option<i64>>(6)?.map(at);
    session.revoked_at = row.get::<_, Option<i64>>(7)?.map(at);
    session.claim_peer = peer(row, 8)?;
    session.last_peer = peer(row, 9)?;
    session.named_by_device = row.get(10)?;
    // One that is no blob is no token's, and must not keep the others from being listed.
    let token = row.get_ref(11)?.as_bytes().unwrap_or_default().to_vec();
    Ok(SessionRow { session, token, revoked_via: row.get(12)? })
}
