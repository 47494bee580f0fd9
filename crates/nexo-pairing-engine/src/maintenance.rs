//! Ends overdue rows and trims old ones, in steps.

use nexo_pairing_core::rules::REJECTED_FOR;
use nexo_pairing_core::{Filter, limits};

use crate::port::{AuditTrim, PortResult, Rows, Trim};
use crate::tx::{SHARE, Tx, seconds};

/// The most outcomes that are kept, so that strangers cannot fill the disk.
const MAX_OUTCOMES: u64 = 10_000;

/// How long an ended session is kept, in seconds.
const KEPT_SESSION: i64 = 30 * 86_400;

/// How long a redemption is kept at least after its code expired, in seconds.
const KEPT_REDEMPTION: i64 = 48 * 3600;

/// How many redemptions are kept however long ago their codes expired.
const KEPT_REDEMPTIONS: u64 = 10_000;

/// How many rows a step changes at most. With SQLite it holds the lock for some 10 ms.
const STEP: u64 = 1000;

/// Periodic maintenance, in steps that a storage runs in a transaction each.
#[derive(Debug, Clone, Copy)]
pub struct Maintenance {
    /// `None`: sessions only.
    audit_days: Option<u32>,
}

/// The progress of a maintenance: from one of its transactions to the next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many requests expired.
    pub expired: u64,
    /// How many sessions were deleted.
    pub sessions: u64,
    /// The last entry of the audit log that was examined.
    audit: i64,
}

impl Maintenance {
    /// Everything, with an audit log that is kept for so many days.
    #[must_use]
    pub fn all(audit_days: u32) -> Self {
        Self { audit_days: Some(audit_days) }
    }

    /// Only sessions and setup codes.
    #[must_use]
    pub fn sessions() -> Self {
        Self { audit_days: None }
    }

    /// Runs the next step. Returns the new progress, and whether there may be more to do.
    ///
    /// # Errors
    ///
    /// [`PortError`](crate::PortError) when the storage fails: nothing of the step is kept then.
    pub fn step(&self, rows: &mut dyn Rows, progress: Progress) -> PortResult<(Progress, bool)> {
        let mut step = Step { tx: Tx::new(rows), progress, left: STEP };
        let mut has_more = false;
        if let Some(days) = self.audit_days {
            has_more = step.requests_and_grants()?;
            step.audit(days)?;
            step.trim(Trim::Attempts(step.tx.now - seconds(REJECTED_FOR)))?;
        }
        step.sessions()?;
        if self.audit_days.is_some() {
            step.trim(Trim::Own)?;
        }
        Ok((step.progress, has_more || step.left == 0))
    }
}

struct Step<'a> {
    tx: Tx<'a>,
    progress: Progress,
    /// How many rows may still be changed.
    left: u64,
}

impl Step<'_> {
    /// Ends requests and grants, and trims outcomes. Returns whether more requests may be overdue.
    fn requests_and_grants(&mut self) -> PortResult<bool> {
        let requests = self.tx.expire_requests(SHARE)?;
        self.progress.expired += requests;
        self.left = self.left.saturating_sub(requests);
        let grants = self.tx.expire_grants(&Filter::all(), self.left)?;
        self.left = self.left.saturating_sub(grants);
        let until = self.tx.now - seconds(REJECTED_FOR);
        // Expiries count for as long as a sender may wait, come back and let a code expire.
        let expired_until = until - 2 * seconds(REJECTED_FOR);
        self.trim(Trim::Outcomes { keep: MAX_OUTCOMES, until, expired_until })?;
        Ok(requests == SHARE)
    }

    /// Deletes old entries up to the first that is kept.
    fn audit(&mut self, days: u32) -> PortResult<()> {
        if self.left == 0 {
            return Ok(());
        }
        let oldest = self.tx.now - i64::from(days) * 86_400;
        let newest = self.tx.now + seconds(limits::TIMESTAMP_LEEWAY);
        let trim = AuditTrim { after: self.progress.audit, oldest, newest };
        let examined = self.tx.rows.trim_audit(trim, self.left)?;
        if let Some(examined) = examined {
            // Examining an entry takes time, too.
            self.left = 0;
            self.progress.audit = examined;
        }
        Ok(())
    }

    fn sessions(&mut self) -> PortResult<()> {
        self.tx.audit_repeated_claims()?;
        let now = self.tx.now;
        self.trim(Trim::ExpiredSessions(now))?;
        // Even a revoked one stays until it would have expired: importing it again must not revive it.
        let ended = Trim::Sessions { revoked_until: now - KEPT_SESSION, expired_until: now };
        self.progress.sessions += self.trim(ended)?;
        // When the clock jumps ahead by years and back again, codes that were used in between and just
        // before must not become valid again: the newest stay, whatever their time stamps.
        let expired_until = now - KEPT_REDEMPTION;
        self.trim(Trim::Redemptions { expired_until, keep: KEPT_REDEMPTIONS }).map(drop)
    }

    fn trim(&mut self, what: Trim) -> PortResult<u64> {
        let changed = self.tx.rows.trim(what, self.left)?;
        self.left = self.left.saturating_sub(changed);
        Ok(changed)
    }
}
