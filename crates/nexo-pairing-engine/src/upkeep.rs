//! Ends what is over and deletes what is too old or too much to keep, in pieces.

use nexo_pairing_core::limits;
use nexo_pairing_core::rules::REJECTED_FOR;

use crate::port::{PortResult, Trim, WriteRows};
use crate::tx::{SHARE, Tx, seconds};

/// How many outcomes are remembered at most, so that strangers cannot fill the disk.
const MAX_OUTCOMES: u64 = 10_000;

/// For how long a session that ended can still be listed, in seconds.
const KEPT_SESSION: i64 = 30 * 86_400;

/// For how long an expired setup code is known at least, in seconds.
const KEPT_REDEMPTION: i64 = 48 * 3600;

/// How many used setup codes are known however long ago they expired.
const KEPT_REDEMPTIONS: u64 = 10_000;

/// How many rows a piece changes at most. With SQLite it holds the lock for some 10 ms.
const PIECE: u64 = 1000;

/// What is to be done now and then, in pieces that a storage runs in a transaction each.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// `None`: sessions only.
    audit_days: Option<u32>,
}

/// How far an upkeep has come: from one of its transactions to the next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many requests expired.
    pub expired: u64,
    /// How many sessions were deleted.
    pub sessions: u64,
    /// Up to which entry the audit log was looked through.
    audit: i64,
}

impl Upkeep {
    /// Everything, with an audit log that is kept for so many days.
    #[must_use]
    pub fn all(audit_days: u32) -> Self {
        Self { audit_days: Some(audit_days) }
    }

    /// What concerns sessions and setup codes.
    #[must_use]
    pub fn sessions() -> Self {
        Self { audit_days: None }
    }

    /// Does the next piece. Whether there may be more to do.
    ///
    /// # Errors
    ///
    /// [`PortError`](crate::PortError) when the storage fails: nothing of the piece is kept then, and
    /// `progress` is not changed.
    pub fn piece(&self, rows: &mut dyn WriteRows, progress: &mut Progress) -> PortResult<bool> {
        let mut piece = Segment { tx: Tx::new(rows), progress: *progress, left: PIECE };
        let mut has_more = false;
        if let Some(days) = self.audit_days {
            has_more = piece.requests_and_grants()?;
            piece.audit(days)?;
            piece.attempts()?;
        }
        piece.sessions()?;
        if self.audit_days.is_some() {
            piece.trim(Trim::Own)?;
        }
        *progress = piece.progress;
        Ok(has_more || piece.left == 0)
    }
}

struct Segment<'a> {
    tx: Tx<'a>,
    progress: Progress,
    /// How many rows may still be changed.
    left: u64,
}

impl Segment<'_> {
    /// Ends requests and grants, and trims outcomes. Whether more requests may be over.
    fn requests_and_grants(&mut self) -> PortResult<bool> {
        let requests = self.tx.expire_requests(SHARE)?;
        self.progress.expired += requests;
        self.left = self.left.saturating_sub(requests);
        let grants = self.tx.rows.expire_grants(None, self.tx.now, self.left)?;
        self.left = self.left.saturating_sub(grants);
        self.trim(Trim::OutcomesBeyond(MAX_OUTCOMES))?;
        let until = self.tx.now - seconds(REJECTED_FOR);
        // Expiries count for as long as a sender may wait, come back and let a code expire.
        let expired_until = until - 2 * seconds(REJECTED_FOR);
        self.trim(Trim::Outcomes { until, expired_until })?;
        Ok(requests == SHARE)
    }

    /// Deletes old entries up to the first that is kept.
    fn audit(&mut self, days: u32) -> PortResult<()> {
        if self.left == 0 {
            return Ok(());
        }
        let oldest = self.tx.now - i64::from(days) * 86_400;
        let newest = self.tx.now + seconds(limits::TIMESTAMP_LEEWAY);
        let looked_at = self.tx.rows.trim_audit(self.progress.audit, oldest, newest, self.left)?;
        if let Some(looked_at) = looked_at {
            // To look at an entry takes its time, too.
            self.left = 0;
            self.progress.audit = looked_at;
        }
        Ok(())
    }

    fn attempts(&mut self) -> PortResult<()> {
        self.trim(Trim::Attempts(self.tx.now - seconds(REJECTED_FOR))).map(drop)
    }

    fn sessions(&mut self) -> PortResult<()> {
        self.tx.audit_repeated_claims()?;
        let now = self.tx.now;
        self.trim(Trim::ExpiredSessions(now))?;
        // Even a revoked one stays until it would have expired: to import it again must not revive it.
        let ended = Trim::Sessions { revoked_until: now - KEPT_SESSION, expired_until: now };
        self.progress.sessions += self.trim(ended)?;
        // When the clock jumps ahead by years and back again, what was used in between and just before
        // must not be good once more: the newest stay, whatever their time stamps say.
        let expired_until = now - KEPT_REDEMPTION;
        self.trim(Trim::Redemptions { expired_until, keep: KEPT_REDEMPTIONS }).map(drop)
    }

    fn trim(&mut self, what: Trim) -> PortResult<u64> {
        let changed = self.tx.rows.trim(what, self.left)?;
        self.left = self.left.saturating_sub(changed);
        Ok(changed)
    }
}
