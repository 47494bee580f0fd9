//! `pairing_audit`: the audit log, which only grows and is trimmed at its beginning.

use nexo_pairing_core::{
    AccountScope, Actor, AuditAction, AuditEvent, AuditQuery, ChannelId, Filter, SenderId,
};
use nexo_pairing_engine::{AuditRow, AuditTable, AuditTrim, PortResult, at};
use rusqlite::{Row, named_params, params};
use serde_json::Value;
use time::OffsetDateTime;

use super::transaction::{SqliteRows, filter_params, integer, of_filter};

/// The sessions of a device: the given id, and all that ever had the given label.
const SESSIONS: &str = "SELECT ?1
    UNION SELECT id FROM pairing_sessions WHERE device_label = ?1
    UNION SELECT session_id FROM pairing_audit
        WHERE device_label = ?1 AND session_id IS NOT NULL";

impl AuditTable for SqliteRows<'_> {
    fn audit(&self, query: &AuditQuery) -> PortResult<Vec<AuditEvent>> {
        let mut events = match &query.device {
            None => self.newest(query, None)?,
            Some(device) => {
                let mut events = Vec::new();
                for session in self.all(SESSIONS, [device], |row| row.get(0))? {
                    events.extend(self.newest(query, session)?);
                    events.sort_by_key(|event| std::cmp::Reverse(event.seq));
                    events.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
                }
                events
            }
        };
        events.reverse();
        Ok(events)
    }

    fn append_audit(&mut self, entry: &AuditRow) -> PortResult<()> {
        let AuditRow { event, session, device_label } = entry;
        let insert = "INSERT INTO pairing_audit (at, actor, action, channel, account_id, sender_id,
                detail_json, session_id, device_label)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let row = params![
            event.at.unix_timestamp(),
            event.actor.as_str(),
            event.action.as_str(),
            event.channel.as_ref().map(ChannelId::as_str),
            event.account_id.as_ref().map(AccountScope::as_str),
            event.sender_id.as_ref().map(SenderId::as_str),
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
    /// The newest entries that match, about one session or any, the newest first.
    fn newest(&self, query: &AuditQuery, session: Option<String>) -> PortResult<Vec<AuditEvent>> {
        let [channel, account, sender] = filter_params(&query.filter);
        let lead = if session.is_some() {
            Lead::Session
        } else if sender.is_some() {
            Lead::Sender
        } else if query.action.is_some() {
            Lead::Action
        } else if query.since.is_some() || query.until.is_some() {
            Lead::Time
        } else {
            Lead::Order
        };
        let params = named_params! {
            ":channel": channel,
            ":account": account,
            ":sender": sender,
            ":action": query.action.as_ref().map(AuditAction::as_str),
            ":session": session,
            ":since": query.since.map_or(i64::MIN, whole_seconds),
            ":until": query.until.map_or(i64::MAX, whole_seconds),
            ":before": query.before.unwrap_or(i64::MAX),
            ":limit": query.limit,
        };
        self.all(&lead.sql(), params, read)
    }

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

/// The index that a search uses. Without statistics the planner would have to guess, so each statement names
/// it.
#[derive(Debug, Clone, Copy)]
enum Lead {
    Session,
    Sender,
    Action,
    Time,
    /// Backwards from the newest entry, or from the page's end.
    Order,
}

impl Lead {
    fn sql(self) -> String {
        let (index, term) = match self {
            Self::Session => ("INDEXED BY pairing_audit_session", "session_id = :session"),
            Self::Sender => ("INDEXED BY pairing_audit_sender", "sender_id = :sender"),
            Self::Action => ("INDEXED BY pairing_audit_action", "action = :action"),
            Self::Time => ("INDEXED BY pairing_audit_at", "TRUE"),
            Self::Order => ("NOT INDEXED", "TRUE"),
        };
        // Details are read of the chosen entries only.
        format!(
            "SELECT seq, at, actor, action, channel, account_id, sender_id, detail_json
                FROM pairing_audit WHERE seq IN (
                    SELECT seq FROM pairing_audit {index}
                        WHERE {term} AND seq < :before AND at >= :since AND at < :until
                            AND (:session IS NULL OR session_id = :session)
                            AND (:sender IS NULL OR sender_id = :sender)
                            AND (:action IS NULL OR action = :action)
                            AND (:channel IS NULL OR channel = :channel)
                            AND (:account IS NULL OR account_id = :account)
                        ORDER BY seq DESC LIMIT :limit)
                ORDER BY seq DESC"
        )
    }
}

/// A moment as the first whole second that is not before it.
fn whole_seconds(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() + i64::from(at.nanosecond() > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    let detail: String = row.get(7)?;
    let detail = serde_json::from_str(&detail).unwrap_or(Value::Null);
    let (seq, when) = (row.get(0)?, at(row.get(1)?));
    let (actor, action) = (Actor::from_stored(row.get(2)?), row.get::<_, String>(3)?.into());
    let mut event = AuditEvent::new(seq, when, actor, action, detail);
    event.channel = row.get::<_, Option<_>>(4)?.map(ChannelId::from_stored);
    event.account_id = row.get::<_, Option<_>>(5)?.map(AccountScope::from_stored);
    event.sender_id = row.get::<_, Option<_>>(6)?.map(SenderId::from_stored);
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::transaction::tests::plan;

    #[test]
    fn every_search_uses_an_index() {
        for (lead, by) in [
            (Lead::Session, "INDEX pairing_audit_session (session_id=? AND rowid<?)"),
            (Lead::Sender, "INDEX pairing_audit_sender (sender_id=? AND rowid<?)"),
            (Lead::Action, "INDEX pairing_audit_action (action=? AND at>? AND at<?)"),
            (Lead::Time, "INDEX pairing_audit_at (at>? AND at<?)"),
            (Lead::Order, "INTEGER PRIMARY KEY (rowid<?)"),
        ] {
            let plan = plan(&lead.sql());
            let found = plan.iter().any(|step| *step == format!("SEARCH pairing_audit USING {by}"));
            assert!(found, "{lead:?}: {plan:#?}");
            let chosen = "SEARCH pairing_audit USING INTEGER PRIMARY KEY (rowid=?)";
            assert!(plan.iter().any(|step| step == chosen), "{lead:?}: {plan:#?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{lead:?}: {plan:#?}");
            // Only entries found by time have to be sorted: the clock may have been set back.
            let sorts = plan.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
            assert_eq!(sorts, matches!(lead, Lead::Action | Lead::Time), "{lead:?}: {plan:#?}");
        }
        let plan = plan(SESSIONS);
        assert!(!plan.iter().any(|step| step.contains("SCAN pairing")), "{plan:#?}");
    }
}
