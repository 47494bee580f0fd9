//! Puts away what has run out.

use nexo_pairing_core::Actor;
use rusqlite::{Params, params};
use serde_json::Value;

use super::audit::About;
use super::standing::last_outcome;
use super::{LEEWAY, REJECTED_FOR, Write, at};

/// How many outcomes are remembered at most, so that strangers cannot fill the disk.
const MAX_FINISHED: i64 = 10_000;

/// How many changes are kept for gates that are behind; a gap makes them load everything.
const MAX_CHANGES: i64 = 10_000;

/// For how long a session that ended can still be listed, in seconds.
const KEPT_SESSION: i64 = 30 * 86_400;

/// For how long an expired setup code is known at least, in seconds.
const KEPT_REDEMPTION: i64 = 48 * 3600;

/// How many used setup codes are known however long ago they expired.
const KEPT_REDEMPTIONS: i64 = 10_000;

/// How many rows a transaction of a purge deletes at most. It holds the lock for some 10 ms.
pub(crate) const PIECE: i64 = 1000;

/// How far a purge has come: from one of its transactions to the next.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Progress {
    /// How many requests expired.
    pub(crate) expired: u64,
    /// How many sessions were deleted.
    pub(crate) sessions: u64,
    /// Up to which entry the audit log was looked through.
    audit: i64,
}

/// How many requests a transaction ends at most beside those that it decides on, and an operation how
/// many grants. The end of one writes its metadata over and adds three rows; gates look 50 up one by one.
pub(crate) const SHARE: i64 = 50;

/// The requests that are over at `?1`.
macro_rules! due {
    ($which:literal) => {
        concat!(
            "SELECT code, channel, account_id, sender_id,
                min(?1, coalesce(expires_at, created_at + 3600)), created_at, rowid
            FROM pairing_pending
            WHERE (coalesce(expires_at, created_at + 3600) <= ?1 OR created_at > ?1 + 5)",
            $which
        )
    };
}

/// Some, by the two indexes that are made for it.
const DUE: &str = due!(" LIMIT ?2");

/// Those of a target: channel, sender, and account or `*`.
const DUE_OF_TARGET: &str =
    due!(" AND channel = ?2 AND sender_id = ?3 AND (?4 = '*' OR account_id = ?4)");

/// The one that has a code.
const DUE_OF_CODE: &str = due!(" AND code = ?2");

/// A request that came to an end.
pub(crate) struct Finished<'a> {
    pub(crate) code: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    pub(crate) sender: &'a str,
}

impl Write<'_> {
    /// Ends a share of the requests and grants that are over, once a transaction. An operation decides
    /// right without it, on condition that what it decides on is ended before.
    pub(crate) fn expire(&mut self) -> rusqlite::Result<()> {
        if !self.expired.get() {
            self.expire_requests(SHARE)?;
            self.expire_grants(SHARE)?;
            self.expired.set(true);
        }
        Ok(())
    }

    /// Ends what is over of a sender, on an account or on all (`*`), and a share of the rest.
    pub(crate) fn expire_of(
        &mut self,
        channel: &str,
        scope: &str,
        sender: &str,
    ) -> rusqlite::Result<()> {
        self.expire()?;
        let now = self.now;
        self.expire_each(DUE_OF_TARGET, params![now, channel, sender, scope])?;
        self.tx
            .prepare_cached(
                "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
                    WHERE expires_at <= ?1 AND revoked_at IS NULL
                        AND channel = ?2 AND sender_id = ?3 AND (?4 = '*' OR account_id = ?4)",
            )?
            .execute(params![now, channel, sender, scope])
            .map(drop)
    }

    /// Ends the request that has a code, if it is over, and a share of the rest.
    pub(crate) fn expire_code(&mut self, code: &str) -> rusqlite::Result<()> {
        self.expire()?;
        self.expire_each(DUE_OF_CODE, (self.now, code)).map(drop)
    }

    /// Ends at most so many requests; how many.
    pub(crate) fn expire_requests(&mut self, most: i64) -> rusqlite::Result<i64> {
        self.expire_each(DUE, [self.now, most])
    }

    /// Ends the requests that a statement finds. One that was made in the future, by a clock that was
    /// set back since, is over too.
    fn expire_each(&mut self, sql: &str, which: impl Params) -> rusqlite::Result<i64> {
        let mut due = self.tx.prepare_cached(sql)?;
        let mut due: Vec<(String, String, String, String, i64, i64, i64)> =
            due.query_map(which, |row| row.try_into())?.collect::<Result<_, _>>()?;
        // The log has them in the order in which they were made, whichever index found them first.
        due.sort_unstable_by_key(|&(.., rowid)| rowid);
        for (code, channel, account, sender, at, created_at, _) in &due {
            let request = Finished { code, channel, account, sender };
            // What ends because the clock was set back is not its sender's doing.
            let is_his = *created_at <= *at;
            let strikes = self.strikes(&request, *created_at)? + i64::from(is_his);
            self.finish(&request, "expired", *at, strikes)?;
            let about = About::sender(channel, account, sender);
            self.audit(Actor::gate().as_str(), "expire", about, &Value::Null)?;
        }
        self.after.expired += due.len() as u64;
        Ok(due.len() as i64)
    }

    /// Ends at most so many grants; how many.
    fn expire_grants(&mut self, most: i64) -> rusqlite::Result<i64> {
        // 0.1.8 knows no expiry, but it knows `revoked_at`.
        let ended = self
            .tx
            .prepare_cached(
                "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
                    WHERE rowid IN (SELECT rowid FROM pairing_allow_from
                        WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expires_at <= ?1
                        ORDER BY expires_at LIMIT ?2)",
            )?
            .execute([self.now, most])?;
        Ok(ended as i64)
    }

    /// Takes a request away and remembers what became of it.
    pub(crate) fn finish(
        &self,
        request: &Finished<'_>,
        outcome: &str,
        at: i64,
        strikes: i64,
    ) -> rusqlite::Result<()> {
        let Finished { code, channel, account, sender } = request;
        self.tx
            .prepare_cached(
                "DELETE FROM pairing_pending
                    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
            )?
            .execute(params![channel, account, sender])?;
        self.tx
            .prepare_cached(
                "INSERT INTO pairing_finished
                    (code, outcome, at, channel, account_id, sender_id, strikes)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![code, outcome, at, channel, account, sender, strikes])
            .map(drop)
    }

    /// How many codes of a sender had run out in a row before the one that was made at `created_at`.
    fn strikes(&self, request: &Finished<'_>, created_at: i64) -> rusqlite::Result<i64> {
        let last = last_outcome(self.tx, request.channel, request.account, request.sender)?;
        Ok(last.map_or(0, |last| last.strikes_before(at(created_at)).into()))
    }

    /// Ends what has run out and deletes some of what is too old or too much to keep. Whether there may
    /// be more to delete.
    pub(crate) fn purge(&mut self, progress: &mut Progress) -> rusqlite::Result<bool> {
        let requests = self.expire_requests(SHARE)?;
        progress.expired += requests.unsigned_abs();
        let mut left = PIECE - requests;
        left -= self.expire_grants(left)?;
        self.trim_finished(&mut left)?;
        self.trim_audit(progress, &mut left)?;
        let day_ago = self.now - REJECTED_FOR;
        self.delete(
            &mut left,
            "DELETE FROM pairing_attempts WHERE rowid IN
                (SELECT rowid FROM pairing_attempts WHERE at <= ?1 LIMIT ?2)",
            &[day_ago],
        )?;
        self.trim_sessions(progress, &mut left)?;
        self.delete(
            &mut left,
            "DELETE FROM pairing_changes WHERE seq IN
                (SELECT seq FROM pairing_changes
                    WHERE seq <= (SELECT max(seq) FROM pairing_changes) - ?1
                    ORDER BY seq LIMIT ?2)",
            &[MAX_CHANGES],
        )?;
        Ok(left == 0 || requests == SHARE)
    }

    /// Ends sessions that have run out, and deletes some of what is long over. Whether there may be
    /// more to delete.
    pub(crate) fn purge_sessions(&mut self, progress: &mut Progress) -> rusqlite::Result<bool> {
        let mut left = PIECE;
        self.trim_sessions(progress, &mut left)?;
        Ok(left == 0)
    }

    fn trim_finished(&self, left: &mut i64) -> rusqlite::Result<()> {
        self.delete(
            left,
            "DELETE FROM pairing_finished WHERE seq IN
                (SELECT seq FROM pairing_finished
                    WHERE seq <= (SELECT max(seq) FROM pairing_finished) - ?1
                    ORDER BY seq LIMIT ?2)",
            &[MAX_FINISHED],
        )?;
        self.delete(
            left,
            // Expiries count for as long as a sender may wait, come back and let a code run out.
            "DELETE FROM pairing_finished WHERE seq IN
                (SELECT seq FROM pairing_finished
                    WHERE at <= ?1 - CASE outcome WHEN 'expired' THEN 2 * 86400 ELSE 0 END
                    ORDER BY seq LIMIT ?2)",
            &[self.now - REJECTED_FOR],
        )
        .map(drop)
    }

    /// Deletes old entries up to the first that is kept. What is among them from the future says
    /// nothing about what comes after, and stays.
    fn trim_audit(&self, progress: &mut Progress, left: &mut i64) -> rusqlite::Result<()> {
        let oldest_kept = self.now - i64::from(self.options.audit_days) * 86_400;
        let looked_at: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT max(seq) FROM
                    (SELECT seq FROM pairing_audit WHERE seq > ?1 ORDER BY seq LIMIT ?2)",
            )?
            .query_row([progress.audit, *left], |row| row.get(0))?;
        let Some(looked_at) = looked_at else { return Ok(()) };
        let kept: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT min(seq) FROM pairing_audit
                    WHERE seq > ?1 AND seq <= ?2 AND +at > ?3 AND +at <= ?4",
            )?
            .query_row([progress.audit, looked_at, oldest_kept, self.now + LEEWAY], |row| {
                row.get(0)
            })?;
        let last = kept.map_or(looked_at, |kept| kept - 1);
        self.tx
            .prepare_cached("DELETE FROM pairing_audit WHERE seq > ?1 AND seq <= ?2 AND +at <= ?3")?
            .execute([progress.audit, last, oldest_kept])?;
        if kept.is_none() {
            // To look at an entry takes its time, too.
            *left = 0;
            progress.audit = looked_at;
        }
        Ok(())
    }

    fn trim_sessions(&self, progress: &mut Progress, left: &mut i64) -> rusqlite::Result<()> {
        self.audit_repeated_claims()?;
        self.delete(
            left,
            // So that a clock that is set back does not revive them.
            "UPDATE pairing_sessions SET revoked_at = expires_at, revoked_via = 'expiry'
                WHERE rowid IN (SELECT rowid FROM pairing_sessions
                    WHERE revoked_at IS NULL AND expires_at <= ?1 LIMIT ?2)",
            &[self.now],
        )?;
        progress.sessions += self.delete(
            left,
            // Even a revoked one stays until it would have expired: to import it again must not
            // revive it.
            "DELETE FROM pairing_sessions WHERE rowid IN
                (SELECT rowid FROM pairing_sessions
                    WHERE revoked_at <= ?1 AND expires_at <= ?2 LIMIT ?3)",
            &[self.now - KEPT_SESSION, self.now],
        )?;
        self.delete(
            left,
            // When the clock jumps ahead by years and back again, what was used in between and just
            // before must not be good once more: the newest stay, whatever their time stamps say.
            "DELETE FROM pairing_redemptions WHERE rowid IN
                (SELECT rowid FROM pairing_redemptions WHERE expires_at <= ?1
                    AND rowid <= (SELECT max(rowid) FROM pairing_redemptions) - ?2
                    ORDER BY rowid LIMIT ?3)",
            &[self.now - KEPT_REDEMPTION, KEPT_REDEMPTIONS],
        )
        .map(drop)
    }

    /// Changes at most `left` rows, by a statement whose last parameter is that number; how many.
    fn delete(&self, left: &mut i64, sql: &str, parameters: &[i64]) -> rusqlite::Result<u64> {
        let parameters = parameters.iter().chain(std::iter::once(&*left));
        let changed =
            self.tx.prepare_cached(sql)?.execute(rusqlite::params_from_iter(parameters))?;
        *left -= changed as i64;
        Ok(changed as u64)
    }
}

#[cfg(test)]
mod tests;
