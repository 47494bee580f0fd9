//! `pairing_sessions`: the sessions of companion devices.

use nexo_pairing_core::{Session, SessionId};
use nexo_pairing_engine::{PortResult, SessionRow, SessionTable, Sha256, at};
use rusqlite::{Row, params};
use time::OffsetDateTime;

use super::transaction::{SqliteRows, peer, stored_peer};

const SELECT: &str = "SELECT id, profile, device_label, issued_at, expires_at, renew_until,
        last_seen_at, revoked_at, claim_peer, last_peer, named_by_device, token_sha256, revoked_via
    FROM pairing_sessions";

/// Revokes those that expired up to `?1`, as of their expiry.
pub(super) const EXPIRE: &str = "UPDATE pairing_sessions
    SET revoked_at = expires_at, revoked_via = 'expiry'
    WHERE rowid IN (SELECT rowid FROM pairing_sessions
        WHERE revoked_at IS NULL AND expires_at <= ?1 LIMIT ?2)";

/// Deletes those that were revoked up to `?1` and expired up to `?2`.
pub(super) const TRIM: &str = "DELETE FROM pairing_sessions WHERE rowid IN
    (SELECT rowid FROM pairing_sessions WHERE revoked_at <= ?1 AND expires_at <= ?2 LIMIT ?3)";

impl SessionTable for SqliteRows<'_> {
    fn session(&self, id: &SessionId) -> PortResult<Option<SessionRow>> {
        self.one(&format!("{SELECT} WHERE id = ?1"), [id.as_str()], read)
    }

    fn session_by_token(&self, token: &Sha256) -> PortResult<Option<SessionRow>> {
        self.one(&format!("{SELECT} WHERE token_sha256 = ?1"), [token], read)
    }

    fn sessions(&self) -> PortResult<Vec<Session>> {
        let sql = format!("{SELECT} ORDER BY issued_at, rowid");
        self.all(&sql, (), |row| Ok(read(row)?.session))
    }

    fn put_session(&mut self, row: &SessionRow) -> PortResult<()> {
        let SessionRow { session, token, revoked_via } = row;
        let seconds = |at: Option<OffsetDateTime>| at.map(OffsetDateTime::unix_timestamp);
        let put = "INSERT INTO pairing_sessions
                    (id, token_sha256, profile, device_label, issued_at, expires_at, renew_until,
                        last_seen_at, revoked_at, revoked_via, claim_peer, last_peer,
                        named_by_device)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                ON CONFLICT (id) DO UPDATE SET token_sha256 = excluded.token_sha256,
                    expires_at = excluded.expires_at, last_seen_at = excluded.last_seen_at,
                    revoked_at = excluded.revoked_at, revoked_via = excluded.revoked_via,
                    last_peer = excluded.last_peer";
        let row = params![
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
        ];
        self.change(put, row).map(drop)
    }
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
    // A token that is not a blob matches none, and must not keep the others from being listed.
    let token = row.get_ref(11)?.as_bytes().unwrap_or_default().to_vec();
    Ok(SessionRow { session, token, revoked_via: row.get(12)? })
}
