//! Counts repeated claims of a setup code on its row, and audits few of them: whoever saw a code can
//! present it as often as they like until it expires.

use nexo_pairing_core::{Actor, PeerAddress, Session};
use rusqlite::{Row, params};
use serde_json::json;

use super::Write;
use super::audit::About;
use super::session::{self, stored_peer};

/// How many repeated claims of a code are audited one by one.
const AUDITED_SINGLY: i64 = 5;

/// The least time between two later entries about a code, in seconds.
const AUDIT_INTERVAL: i64 = 60;

/// What a repeated claim is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// By another client than the first, or too late: it gives nothing.
    Replay,
    /// By the same client, whose answer was lost: it gives another token.
    Reissue,
}

/// Repeated claims that the audit log does not cover yet.
struct Counted {
    total: i64,
    audited: i64,
    audited_at: Option<i64>,
}

impl Counted {
    /// Whether an entry is due. One from the future, by a clock that was set back since, does not delay
    /// the next.
    fn is_due(&self, now: i64) -> bool {
        let is_recent = |at: i64| (at..at.saturating_add(AUDIT_INTERVAL)).contains(&now);
        self.total <= AUDITED_SINGLY || !self.audited_at.is_some_and(is_recent)
    }
}

impl Write<'_> {
    /// Counts a repeated claim. Audits it if an entry is due, or in any case if it `revoked` the session.
    pub(crate) fn repeated(
        &self,
        repeat: Repeat,
        nonce: &str,
        session: (&str, Option<&Session>),
        peer: Option<PeerAddress>,
        revoked: bool,
    ) -> rusqlite::Result<()> {
        let count = match repeat {
            Repeat::Replay => {
                "UPDATE pairing_redemptions
                    SET replays = replays + 1, last_replay_at = ?2, last_replay_peer = ?3
                    WHERE nonce = ?1 RETURNING replays, replays_audited, replays_audited_at"
            }
            Repeat::Reissue => {
                "UPDATE pairing_redemptions
                    SET reissues = reissues + 1, last_reissue_at = ?2, last_reissue_peer = ?3
                    WHERE nonce = ?1 RETURNING reissues, reissues_audited, reissues_audited_at"
            }
        };
        let peer = stored_peer(peer);
        let counted =
            self.tx.prepare_cached(count)?.query_row(params![nonce, self.now, peer], |row| {
                let (total, audited, audited_at) = row.try_into()?;
                Ok(Counted { total, audited, audited_at })
            })?;
        if revoked || counted.is_due(self.now) {
            self.audit_repeated(repeat, nonce, session, peer.as_deref(), revoked, &counted)?;
        }
        Ok(())
    }

    /// Audits repeated claims that no later one gave an entry: the flood that they belong to is over.
    pub(crate) fn audit_repeated_claims(&self) -> rusqlite::Result<()> {
        let mut uncovered = self.tx.prepare_cached(
            "SELECT nonce, session_id,
                    replays, replays_audited, replays_audited_at, last_replay_peer,
                    reissues, reissues_audited, reissues_audited_at, last_reissue_peer
                FROM pairing_redemptions
                WHERE (replays > replays_audited OR reissues > reissues_audited)
                    AND session_id IS NOT NULL",
        )?;
        type Uncovered = (String, String, [(Counted, Option<String>); 2]);
        let read = |row: &Row<'_>| {
            let of = |first: usize| {
                let (total, audited) = (row.get(first)?, row.get(first + 1)?);
                let counted = Counted { total, audited, audited_at: row.get(first + 2)? };
                Ok::<_, rusqlite::Error>((counted, row.get(first + 3)?))
            };
            Ok((row.get(0)?, row.get(1)?, [of(2)?, of(6)?]))
        };
        let uncovered: Vec<Uncovered> = uncovered.query_map((), read)?.collect::<Result<_, _>>()?;
        for (nonce, id, repeats) in &uncovered {
            let session = session::of_id(self.tx, id)?;
            for (repeat, (counted, peer)) in [Repeat::Replay, Repeat::Reissue].iter().zip(repeats) {
                if counted.total > counted.audited && counted.is_due(self.now) {
                    let session = (id.as_str(), session.as_ref());
                    self.audit_repeated(*repeat, nonce, session, peer.as_deref(), false, counted)?;
                }
            }
        }
        Ok(())
    }

    fn audit_repeated(
        &self,
        repeat: Repeat,
        nonce: &str,
        (id, session): (&str, Option<&Session>),
        peer: Option<&str>,
        revoked: bool,
        counted: &Counted,
    ) -> rusqlite::Result<()> {
        let Counted { total, audited, .. } = counted;
        let covered = match repeat {
            Repeat::Replay => {
                "UPDATE pairing_redemptions
                    SET replays_audited = replays, replays_audited_at = ?2 WHERE nonce = ?1"
            }
            Repeat::Reissue => {
                "UPDATE pairing_redemptions
                    SET reissues_audited = reissues, reissues_audited_at = ?2 WHERE nonce = ?1"
            }
        };
        self.tx.prepare_cached(covered)?.execute(params![nonce, self.now])?;
        let label = session.and_then(|session| session.device_label.as_deref());
        let count = total.saturating_sub(*audited);
        let (action, detail) = match repeat {
            Repeat::Replay => (
                "replay",
                json!({
                    "session": id, "revoked": revoked, "peer": peer, "count": count, "total": total,
                }),
            ),
            Repeat::Reissue => (
                "session_reissued",
                json!({
                    "session": id,
                    "profile": session.map(|session| &session.profile),
                    "device_label": label,
                    "peer": peer,
                    "count": count,
                    "total": total,
                }),
            ),
        };
        self.audit(Actor::device().as_str(), action, About::session(id, label), &detail)
    }
}
