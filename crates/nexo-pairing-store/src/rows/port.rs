//! The operations of the port on no table in particular.

use nexo_pairing_core::{Filter, Target};
use nexo_pairing_engine::{Erased, LockKey, PortResult, Rows, Trim};
use rusqlite::params_from_iter;
use time::OffsetDateTime;

use super::transaction::{SqliteRows, integer};
use super::{attempts, changes, outcomes, redemptions, sessions};

impl Rows for SqliteRows<'_> {
    fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The transaction has the lock on the whole database.
    fn lock(&mut self, _: &[LockKey]) -> PortResult<bool> {
        Ok(false)
    }

    fn after_commit(&mut self, effect: Box<dyn FnOnce() + Send>) {
        self.effects.after_commit.push(effect);
    }

    fn claim_maintenance(&mut self) -> bool {
        !self.had_maintenance.replace(true)
    }

    fn erase(&mut self, target: &Target, pseudonym: &str) -> PortResult<Erased> {
        let filter = Filter::from(target);
        let mut accounts = Vec::new();
        for table in
            ["pairing_allow_from", "pairing_blocked", "pairing_pending", "pairing_finished"]
        {
            accounts.extend(self.delete(table, &filter)?);
        }
        accounts.sort_unstable();
        accounts.dedup();
        // After the deletions above, which add to it. A gate that has not read them finds a gap, and loads
        // everything.
        let unlisted = self.delete("pairing_changes", &filter)?;
        let renamed = self.rename_in_audit(&filter, pseudonym)?;
        let changed = !accounts.is_empty() || !unlisted.is_empty() || renamed > 0;
        self.effects.wipe |= changed;
        Ok(Erased { accounts, changed })
    }

    fn trim(&mut self, what: Trim, limit: u64) -> PortResult<u64> {
        let (sql, mut params) = match what {
            Trim::Outcomes { keep, until, expired_until } => {
                (outcomes::TRIM, vec![integer(keep), until, expired_until])
            }
            Trim::Attempts(until) => (attempts::TRIM, vec![until]),
            Trim::ExpiredSessions(until) => (sessions::EXPIRE, vec![until]),
            Trim::Sessions { revoked_until, expired_until } => {
                (sessions::TRIM, vec![revoked_until, expired_until])
            }
            Trim::Redemptions { expired_until, keep } => {
                (redemptions::TRIM, vec![expired_until, integer(keep)])
            }
            Trim::Own => (changes::TRIM, vec![changes::MAX_CHANGES]),
        };
        params.push(integer(limit));
        self.change(sql, params_from_iter(params))
    }
}
