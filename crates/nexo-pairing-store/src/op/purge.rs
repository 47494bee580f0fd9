//! Puts away what has run out.

use nexo_pairing_core::Actor;
use rusqlite::params;
use serde_json::Value;

use super::audit::About;
use super::standing::{last_outcome, wait_after};
use super::{LEEWAY, REJECTED_FOR, Write};

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

/// A request that came to an end.
pub(crate) struct Finished<'a> {
    pub(crate) code: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    pub(crate) sender: &'a str,
}

impl Write<'_> {
    /// Ends requests and grants whose time is up. A request that was made in the future, by a clock
    /// that was set back since, is over too.
    pub(crate) fn expire(&mut self) -> rusqlite::Result<()> {
        if self.expired.get() {
            return Ok(());
        }
        let mut due = self.tx.prepare_cached(
            "SELECT code, channel, account_id, sender_id,
                    min(?1, coalesce(expires_at, created_at + 3600)), created_at
                FROM pairing_pending
                WHERE coalesce(expires_at, created_at + 3600) <= ?1 OR created_at > ?1 + 5",
        )?;
        let due: Vec<(String, String, String, String, i64, i64)> =
            due.query_map([self.now], |row| row.try_into())?.collect::<Result<_, _>>()?;
        for (code, channel, account, sender, at, created_at) in &due {
            let request = Finished { code, channel, account, sender };
            // What ends because the clock was set back is not its sender's doing.
            let is_his = *created_at <= *at;
            let strikes = self.strikes(&request, *created_at)? + i64::from(is_his);
            self.finish(&request, "expired", *at, strikes)?;
            let about = About::sender(channel, account, sender);
            self.audit(Actor::gate().as_str(), "expire", about, &Value::Null)?;
        }
        self.after.expired += due.len() as u64;
        // 0.1.8 knows no expiry, but it knows `revoked_at`.
        self.tx
            .prepare_cached(
                "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
                    WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expires_at <= ?1",
            )?
            .execute([self.now])?;
        self.expired.set(true);
        Ok(())
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

    /// How many codes of a sender had run out in a row before the one that was made at `created_at`:
    /// he goes on where he was when he comes back within 24 hours of the end of his wait.
    fn strikes(&self, request: &Finished<'_>, created_at: i64) -> rusqlite::Result<i64> {
        let last = last_outcome(self.tx, request.channel, request.account, request.sender)?;
        Ok(match last {
            Some((outcome, before, strikes))
                if outcome == "expired"
                    && created_at.saturating_sub(before) < wait_after(strikes) + REJECTED_FOR =>
            {
                strikes
            }
            _ => 0,
        })
    }

    /// Forgets what is too old or too much to keep.
    pub(crate) fn trim(&self) -> rusqlite::Result<()> {
        let day_ago = self.now - REJECTED_FOR;
        let tx = self.tx;
        tx.execute(
            // Expiries count for as long as a sender may wait, come back and let a code run out.
            "DELETE FROM pairing_finished
                WHERE at <= ?1 - CASE outcome WHEN 'expired' THEN 2 * 86400 ELSE 0 END
                OR seq <= (SELECT max(seq) FROM pairing_finished) - ?2",
            [day_ago, MAX_FINISHED],
        )?;
        tx.execute("DELETE FROM pairing_attempts WHERE at <= ?1", [day_ago])?;
        let days = i64::from(self.options.audit_days);
        tx.execute(
            // Up to the first entry that is kept, so that a long log is not read through each time.
            // What is in it from the future says nothing about what comes after.
            "DELETE FROM pairing_audit WHERE at <= ?1 AND seq < coalesce(
                (SELECT seq FROM pairing_audit WHERE at > ?1 AND at <= ?2 ORDER BY seq LIMIT 1),
                9223372036854775807)",
            [self.now - days * 86_400, self.now + LEEWAY],
        )?;
        self.purge_sessions()?;
        tx.execute(
            "DELETE FROM pairing_changes
                WHERE seq <= (SELECT max(seq) FROM pairing_changes) - ?1",
            [MAX_CHANGES],
        )?;
        Ok(())
    }

    /// Ends sessions that have run out, so that a clock that is set back does not revive them. Forgets
    /// those that ended long ago, and setup codes that expired long ago. Says how many sessions it forgot.
    pub(crate) fn purge_sessions(&self) -> rusqlite::Result<u64> {
        self.audit_repeated_claims()?;
        self.tx.execute(
            "UPDATE pairing_sessions SET revoked_at = expires_at, revoked_via = 'expiry'
                WHERE revoked_at IS NULL AND expires_at <= ?1",
            [self.now],
        )?;
        let purged = self.tx.execute(
            // Even a revoked one stays until it would have expired: to import it again must not
            // revive it.
            "DELETE FROM pairing_sessions WHERE revoked_at <= ?1 AND expires_at <= ?2",
            [self.now - KEPT_SESSION, self.now],
        )?;
        self.tx.execute(
            // When the clock jumps ahead by years and back again, what was used in between and just
            // before must not be good once more: the newest stay, whatever their time stamps say.
            "DELETE FROM pairing_redemptions WHERE expires_at <= ?1
                AND rowid <= (SELECT max(rowid) FROM pairing_redemptions) - ?2",
            [self.now - KEPT_REDEMPTION, KEPT_REDEMPTIONS],
        )?;
        Ok(purged as u64)
    }
}
