//! nexo-pairing 0.1.8 as the database sees it: its statements, word for word, in its order.

use rusqlite::{Connection, OptionalExtension, params};

/// A process of 0.1.8 with the file open, on its own clock.
pub(crate) struct Old {
    pub(crate) connection: Connection,
    pub(crate) now: i64,
}

impl Old {
    pub(crate) fn open(path: &std::path::Path, now: i64) -> Self {
        let connection = crate::support::shell(path);
        for statement in [
            "CREATE TABLE IF NOT EXISTS pairing_pending (\
                channel    TEXT NOT NULL,\
                account_id TEXT NOT NULL,\
                sender_id  TEXT NOT NULL,\
                code       TEXT NOT NULL,\
                created_at INTEGER NOT NULL,\
                meta_json  TEXT NOT NULL DEFAULT '{}',\
                PRIMARY KEY (channel, account_id, sender_id)\
            )",
            "CREATE INDEX IF NOT EXISTS idx_pairing_pending_code ON pairing_pending(code)",
            "CREATE TABLE IF NOT EXISTS pairing_allow_from (\
                channel       TEXT NOT NULL,\
                account_id    TEXT NOT NULL,\
                sender_id     TEXT NOT NULL,\
                approved_at   INTEGER NOT NULL,\
                approved_via  TEXT NOT NULL DEFAULT 'cli',\
                revoked_at    INTEGER,\
                PRIMARY KEY (channel, account_id, sender_id)\
            )",
        ] {
            connection.execute(statement, ()).unwrap();
        }
        Self { connection, now }
    }

    /// `upsert_pending`, with the code that it drew; `None` when the account is full.
    pub(crate) fn upsert(&self, key: [&str; 3], code: &str) -> Option<String> {
        self.purge();
        let [channel, account_id, sender_id] = key;
        let existing: Option<String> = self
            .connection
            .query_row(
                "SELECT code FROM pairing_pending WHERE channel = ? AND account_id = ? AND sender_id = ?",
                key,
                |row| row.get(0),
            )
            .optional()
            .unwrap();
        if existing.is_some() {
            return existing;
        }
        let count: i64 = self
            .connection
            .query_row(
                "SELECT COUNT(*) FROM pairing_pending WHERE channel = ? AND account_id = ?",
                [channel, account_id],
                |row| row.get(0),
            )
            .unwrap();
        if count >= 3 {
            return None;
        }
        self.connection
            .execute(
                "INSERT INTO pairing_pending(channel, account_id, sender_id, code, created_at, meta_json) VALUES(?, ?, ?, ?, ?, ?)",
                params![channel, account_id, sender_id, code, self.now, r#"{"push_name":"Ana"}"#],
            )
            .unwrap();
        Some(code.to_owned())
    }

    /// `list_pending`: sender and code.
    pub(crate) fn list_pending(&self) -> Vec<(String, String)> {
        let sql = "SELECT channel, account_id, sender_id, code, created_at, meta_json FROM pairing_pending ORDER BY created_at";
        let mut statement = self.connection.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// `list_allow`: sender and `revoked_at`.
    pub(crate) fn list_allow(&self) -> Vec<(String, Option<i64>)> {
        let sql = "SELECT channel, account_id, sender_id, approved_at, approved_via, revoked_at \
             FROM pairing_allow_from ORDER BY channel, account_id, sender_id";
        let mut statement = self.connection.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(2)?, row.get(5)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// `approve`; `false` for a code that it does not know or that has expired.
    pub(crate) fn approve(&mut self, code: &str) -> bool {
        let now = self.now;
        let tx = self.connection.transaction().unwrap();
        let row: Option<(String, String, String, i64)> = tx
            .query_row(
                "SELECT channel, account_id, sender_id, created_at FROM pairing_pending WHERE code = ?",
                [code],
                |row| row.try_into(),
            )
            .optional()
            .unwrap();
        let Some((channel, account_id, sender_id, created_at)) = row else { return false };
        if now - created_at > 3600 {
            return false;
        }
        tx.execute(
            "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at, approved_via, revoked_at) VALUES(?, ?, ?, ?, 'cli', NULL) ON CONFLICT(channel, account_id, sender_id) DO UPDATE SET revoked_at = NULL, approved_at = excluded.approved_at, approved_via = excluded.approved_via",
            params![channel, account_id, sender_id, now],
        )
        .unwrap();
        tx.execute("DELETE FROM pairing_pending WHERE code = ?", [code]).unwrap();
        tx.commit().unwrap();
        true
    }

    /// `revoke`: on all accounts.
    pub(crate) fn revoke(&self, channel: &str, sender_id: &str) -> bool {
        let sql = "UPDATE pairing_allow_from SET revoked_at = ? WHERE channel = ? AND sender_id = ? AND revoked_at IS NULL";
        self.connection.execute(sql, params![self.now, channel, sender_id]).unwrap() > 0
    }

    /// `is_allowed`.
    pub(crate) fn is_allowed(&self, key: [&str; 3]) -> bool {
        let sql = "SELECT 1 FROM pairing_allow_from WHERE channel = ? AND account_id = ? AND sender_id = ? AND revoked_at IS NULL";
        let row: Option<i64> =
            self.connection.query_row(sql, key, |row| row.get(0)).optional().unwrap();
        row.is_some()
    }

    /// `seed`, of one.
    pub(crate) fn seed(&self, key: [&str; 3]) {
        let sql = "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at, approved_via, revoked_at) VALUES(?, ?, ?, ?, 'seed', NULL) ON CONFLICT(channel, account_id, sender_id) DO UPDATE SET revoked_at = NULL";
        self.connection.execute(sql, params![key[0], key[1], key[2], self.now]).unwrap();
    }

    /// `purge_expired`.
    pub(crate) fn purge(&self) -> usize {
        let cutoff = self.now - 3600;
        let sql =
            "SELECT channel, COUNT(*) FROM pairing_pending WHERE created_at < ? GROUP BY channel";
        let mut statement = self.connection.prepare(sql).unwrap();
        let by_channel = statement.query_map([cutoff], |row| row.get::<_, i64>(1)).unwrap();
        let counted: i64 = by_channel.map(Result::unwrap).sum();
        let purged = self
            .connection
            .execute("DELETE FROM pairing_pending WHERE created_at < ?", [cutoff])
            .unwrap();
        assert_eq!(counted, i64::try_from(purged).unwrap());
        purged
    }
}
