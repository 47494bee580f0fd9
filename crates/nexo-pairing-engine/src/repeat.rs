//! Counts repeated claims of a setup code on its row, and audits few of them: anyone who saw a code can
//! present it any number of times until it expires.

use nexo_pairing_core::{Actor, AuditAction, PeerAddress, Session};
use serde_json::json;

use crate::port::{LockKey, PortResult, RedemptionRow, Repeats};
use crate::tx::{Subject, Tx};

/// The kind of a repeated claim.
#[derive(Clone, Copy)]
pub(crate) enum RepeatKind {
    /// By another client than the first, or too late: it gets nothing.
    Replay,
    /// By the same client, which lost the response: it gets another token.
    Reissue,
}

/// How many repeated claims of a code are audited one by one.
const AUDITED_SINGLY: i64 = 5;

/// The least time between two later entries about a code, in seconds.
const AUDIT_INTERVAL: i64 = 60;

impl Repeats {
    /// Whether an entry is due. An entry from the future, by a clock that was set back since, does not
    /// delay the next.
    fn is_due(&self, now: i64) -> bool {
        let is_recent = |at: i64| (at..at.saturating_add(AUDIT_INTERVAL)).contains(&now);
        self.total <= AUDITED_SINGLY || !self.audited_at.is_some_and(is_recent)
    }
}

impl RedemptionRow {
    fn repeats(&mut self, kind: RepeatKind) -> &mut Repeats {
        match kind {
            RepeatKind::Replay => &mut self.replays,
            RepeatKind::Reissue => &mut self.reissues,
        }
    }
}

impl Tx<'_> {
    /// Counts a repeated claim. Audits it if an entry is due, or if it `revoked` the session.
    pub(crate) fn repeated(
        &mut self,
        kind: RepeatKind,
        mut used: RedemptionRow,
        session: (&str, Option<&Session>),
        peer: Option<PeerAddress>,
        revoked: bool,
    ) -> PortResult<()> {
        let repeats = used.repeats(kind);
        repeats.total += 1;
        repeats.last_at = Some(self.now);
        repeats.last_peer = peer;
        if revoked || repeats.is_due(self.now) {
            self.audit_repeated(kind, session, revoked, repeats)?;
        }
        self.rows.put_repeats(&used)
    }

    /// Audits the last repeated claims of a flood that is over, for which no later claim added an entry.
    pub(crate) fn audit_repeated_claims(&mut self) -> PortResult<()> {
        let nonces = self.rows.unaudited_redemptions()?.into_iter().map(|used| used.nonce);
        let nonces: Vec<String> = nonces.collect();
        if nonces.is_empty() {
            return Ok(());
        }
        self.lock(nonces.iter().cloned().map(LockKey::Nonce))?;
        for nonce in nonces {
            // Read again, as it may have been claimed again before the lock.
            let Some(mut used) = self.rows.redemption(&nonce)? else { continue };
            let Some(id) = used.session.clone() else { continue };
            let session = self.rows.session(&id)?.map(|row| row.session);
            for kind in [RepeatKind::Replay, RepeatKind::Reissue] {
                let repeats = used.repeats(kind);
                if repeats.total > repeats.audited && repeats.is_due(self.now) {
                    let session = (id.as_str(), session.as_ref());
                    self.audit_repeated(kind, session, false, repeats)?;
                    self.rows.put_repeats(&used)?;
                }
            }
        }
        Ok(())
    }

    /// Adds an entry that covers all repeated claims so far.
    fn audit_repeated(
        &mut self,
        kind: RepeatKind,
        (id, session): (&str, Option<&Session>),
        revoked: bool,
        repeats: &mut Repeats,
    ) -> PortResult<()> {
        let Repeats { total, last_peer: peer, audited, .. } = *repeats;
        let label = session.and_then(|session| session.device_label.as_deref());
        let count = total.saturating_sub(audited);
        let (action, detail) = match kind {
            RepeatKind::Replay => (
                AuditAction::Replay,
                json!({
                    "session": id, "revoked": revoked, "peer": peer, "count": count, "total": total,
                }),
            ),
            RepeatKind::Reissue => (
                AuditAction::SessionReissued,
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
        repeats.audited = total;
        repeats.audited_at = Some(self.now);
        self.audit(&Actor::device(), action, Subject::session(id, label), detail)
    }
}
