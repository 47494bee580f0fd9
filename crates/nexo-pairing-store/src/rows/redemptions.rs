//! `pairing_redemptions`: the setup codes that were used or cancelled.

use nexo_pairing_core::SessionId;
use nexo_pairing_engine::{RedemptionRow, RepeatKind, Repeats};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{change, integer, peer, stored_peer};

const SELECT: &str = "SELECT nonce, session_id, claim_id_sha256, redeemed_at, expires_at, peer,
        replays, last_replay_at, last_replay_peer, replays_audited, replays_audited_at,
        reissues, last_reissue_at, last_reissue_peer, reissues_audited, reissues_audited_at
    FROM pairing_redemptions";

pub(super) fn get(connection: &Connection, nonce: &str) -> rusqlite::Result<Option<RedemptionRow>> {
    let sql = format!("{SELECT} WHERE nonce = ?1");
    connection.prepare_cached(&sql)?.query_row([nonce], read).optional()
}

pub(super) fn unaudited(connection: &Connection) -> rusqlite::Result<Vec<RedemptionRow>> {
    let sql = format!("{SELECT} WHERE (replays > replays_audited OR reissues > reissues_audited)");
    connection.prepare_cached(&sql)?.query_map((), read)?.collect()
}

pub(super) fn insert(connection: &Connection, row: &RedemptionRow) -> rusqlite::Result<bool> {
    let added = connection
        .prepare_cached(
            "INSERT INTO pairing_redemptions
                    (nonce, session_id, claim_id_sha256, redeemed_at, expires_at, peer)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            row.nonce,
            row.session.as_ref().map(SessionId::as_str),
            row.claim_id,
            row.redeemed_at,
            row.expires_at,
            stored_peer(row.peer)
        ])?;
    Ok(added == 1)
}

pub(super) fn put_repeats(
    connection: &Connection,
    nonce: &str,
    kind: RepeatKind,
    repeats: &Repeats,
) -> rusqlite::Result<()> {
    let put = match kind {
        RepeatKind::Replay => {
            "UPDATE pairing_redemptions SET replays = ?2, last_replay_at = ?3,
                last_replay_peer = ?4, replays_audited = ?5, replays_audited_at = ?6
                WHERE nonce = ?1"
        }
        RepeatKind::Reissue => {
            "UPDATE pairing_redemptions SET reissues = ?2, last_reissue_at = ?3,
                last_reissue_peer = ?4, reissues_audited = ?5, reissues_audited_at = ?6
                WHERE nonce = ?1"
        }
    };
    let Repeats { total, last_at, last_peer, audited, audited_at } = repeats;
    let row = params![nonce, total, last_at, stored_peer(*last_peer), audited, audited_at];
    connection.prepare_cached(put)?.execute(row).map(drop)
}

pub(super) fn trim(
    connection: &Connection,
    expired_until: i64,
    keep: u64,
    limit: u64,
) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_redemptions WHERE rowid IN
        (SELECT rowid FROM pairing_redemptions WHERE expires_at <= ?1
            AND rowid <= (SELECT max(rowid) FROM pairing_redemptions) - ?2
            ORDER BY rowid LIMIT ?3)";
    change(connection, delete, &[expired_until, integer(keep)], limit)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RedemptionRow> {
    let repeats = |first: usize| {
        Ok::<_, rusqlite::Error>(Repeats {
            total: row.get(first)?,
            last_at: row.get(first + 1)?,
            last_peer: peer(row, first + 2)?,
            audited: row.get(first + 3)?,
            audited_at: row.get(first + 4)?,
        })
    };
    Ok(RedemptionRow {
        nonce: row.get(0)?,
        session: row.get::<_, Option<String>>(1)?.map(SessionId::from_stored),
        claim_id: row.get(2)?,
        redeemed_at: row.get(3)?,
        expires_at: row.get(4)?,
        peer: peer(row, 5)?,
        replays: repeats(6)?,
        reissues: repeats(11)?,
    })
}
