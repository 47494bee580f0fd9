//! `pairing_redemptions`: the setup codes that were used or cancelled.

use nexo_pairing_core::SessionId;
use nexo_pairing_engine::{PortResult, RedemptionRow, RedemptionTable, Repeats};
use rusqlite::{Row, params};

use super::transaction::{SqliteRows, peer, stored_peer};

const SELECT: &str = "SELECT nonce, session_id, claim_id_sha256, redeemed_at, expires_at, peer,
        replays, last_replay_at, last_replay_peer, replays_audited, replays_audited_at,
        reissues, last_reissue_at, last_reissue_peer, reissues_audited, reissues_audited_at
    FROM pairing_redemptions";

/// Deletes those that expired up to `?1`, but the newest `?2`.
pub(super) const TRIM: &str = "DELETE FROM pairing_redemptions WHERE rowid IN
    (SELECT rowid FROM pairing_redemptions WHERE expires_at <= ?1
        AND rowid <= (SELECT max(rowid) FROM pairing_redemptions) - ?2
        ORDER BY rowid LIMIT ?3)";

impl RedemptionTable for SqliteRows<'_> {
    fn redemption(&self, nonce: &str) -> PortResult<Option<RedemptionRow>> {
        self.one(&format!("{SELECT} WHERE nonce = ?1"), [nonce], read)
    }

    fn unaudited_redemptions(&self) -> PortResult<Vec<RedemptionRow>> {
        let unaudited = "(replays > replays_audited OR reissues > reissues_audited)";
        self.all(&format!("{SELECT} WHERE {unaudited}"), (), read)
    }

    fn insert_redemption(&mut self, redemption: &RedemptionRow) -> PortResult<bool> {
        let RedemptionRow { nonce, session, claim_id, redeemed_at, expires_at, peer, .. } =
            redemption;
        let session = session.as_ref().map(SessionId::as_str);
        let added = self.change(
            "INSERT INTO pairing_redemptions
                    (nonce, session_id, claim_id_sha256, redeemed_at, expires_at, peer)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            params![nonce, session, claim_id, redeemed_at, expires_at, stored_peer(*peer)],
        )?;
        Ok(added == 1)
    }

    fn put_repeats(&mut self, redemption: &RedemptionRow) -> PortResult<()> {
        let RedemptionRow { nonce, replays, reissues, .. } = redemption;
        let put = "UPDATE pairing_redemptions SET replays = ?2, last_replay_at = ?3,
                last_replay_peer = ?4, replays_audited = ?5, replays_audited_at = ?6,
                reissues = ?7, last_reissue_at = ?8, last_reissue_peer = ?9,
                reissues_audited = ?10, reissues_audited_at = ?11
            WHERE nonce = ?1";
        let row = params![
            nonce,
            replays.total,
            replays.last_at,
            stored_peer(replays.last_peer),
            replays.audited,
            replays.audited_at,
            reissues.total,
            reissues.last_at,
            stored_peer(reissues.last_peer),
            reissues.audited,
            reissues.audited_at
        ];
        self.change(put, row).map(drop)
    }
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
