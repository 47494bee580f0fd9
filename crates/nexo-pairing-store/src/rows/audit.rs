//! `pairing_audit`: the audit log, which only grows and is trimmed at its beginning.

use nexo_pairing_core::{AuditEvent, AuditQuery, Filter};
use nexo_pairing_engine::{AuditRow, AuditTable, AuditTrim, PortResult};
use rusqlite::params;

use super::audit_search::search;
use super::transaction::{SqliteRows, filter_params, integer, of_filter};

impl AuditTable for SqliteRows<'_> {
    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>> {
        Ok(search(self.connection, query)?)
    }

    fn append_audit(&mut self, entry: &AuditRow) -> PortResult<()> {
        let AuditRow { event, session, device_label } = entry;
        let insert = "INSERT INTO pairing_audit (at, actor, action, channel, account_id, sender_id,
                detail_json, session_id, device_label)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let row = params![
            event.at.unix_timestamp(),
            event.actor,
            event.action,
            event.channel,
            event.account_id,
            event.sender_id,
            event.detail.to_string(),
            session,
            device_label
        ];
        self.change(insert, row).map(drop)
    }

    fn trim_audit(&mut self, trim: AuditTrim, limit: u64) -> PortResult<Option<i64>> {
        let AuditTrim { after, oldest, newest } = trim;
        let examined = "SELECT max(seq) FROM
            (SELECT seq FROM pairing_audit WHERE seq > ?1 ORDER BY seq LIMIT ?2)";
        let examined = self.one(examined, [after, integer(limit)], |row| row.get(0))?;
        let Some(examined) = examined.flatten() else { return Ok(None) };
        let kept = "SELECT min(seq) FROM pairing_audit
            WHERE seq > ?1 AND seq <= ?2 AND +at > ?3 AND +at <= ?4";
        let kept = self.one(kept, [after, examined, oldest, newest], |row| row.get(0))?;
        let kept: Option<i64> = kept.flatten();
        let last = kept.map_or(examined, |kept| kept - 1);
        let delete = "DELETE FROM pairing_audit WHERE seq > ?1 AND seq <= ?2 AND +at <= ?3";
        self.change(delete, [after, last, oldest])?;
        Ok(kept.is_none().then_some(examined))
    }
}

impl SqliteRows<'_> {
    /// Replaces the sender of the entries that match by a pseudonym; returns how many there are.
    pub(super) fn rename_in_audit(&self, filter: &Filter, pseudonym: &str) -> PortResult<u64> {
        let [channel, account, sender] = filter_params(filter);
        // The detail of a block is its reason: words about the person.
        let sql = format!(
            "UPDATE pairing_audit SET sender_id = ?4,
                    detail_json = CASE action WHEN 'block' THEN 'null' ELSE detail_json END
                WHERE {}",
            of_filter(filter)
        );
        self.change(&sql, params![channel, account, sender, pseudonym])
    }
}
