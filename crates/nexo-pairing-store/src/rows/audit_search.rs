//! Searches the audit log by its indexes.

use nexo_pairing_core::{AuditEvent, AuditQuery};
use nexo_pairing_engine::at;
use rusqlite::{Connection, Row, named_params};
use serde_json::Value;
use time::OffsetDateTime;

use super::transaction::filter_params;

/// The sessions of a device: the given id, and all that ever had the given label.
const SESSIONS: &str = "SELECT ?1
    UNION SELECT id FROM pairing_sessions WHERE device_label = ?1
    UNION SELECT session_id FROM pairing_audit
        WHERE device_label = ?1 AND session_id IS NOT NULL";

/// The newest entries that match, the oldest of them first.
pub(super) fn search(
    connection: &Connection,
    query: &AuditQuery,
) -> rusqlite::Result<Vec<AuditEvent>> {
    let mut events = match &query.device {
        None => newest(connection, query, None)?,
        Some(device) => {
            let mut sessions = connection.prepare_cached(SESSIONS)?;
            let sessions = sessions.query_map([device], |row| row.get::<_, String>(0))?;
            let mut events = Vec::new();
            for session in sessions {
                events.extend(newest(connection, query, Some(&session?))?);
                events.sort_by_key(|event| std::cmp::Reverse(event.seq));
                events.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
            }
            events
        }
    };
    events.reverse();
    Ok(events)
}

/// The newest entries that match, about one session or any, the newest first.
fn newest(
    connection: &Connection,
    query: &AuditQuery,
    session: Option<&str>,
) -> rusqlite::Result<Vec<AuditEvent>> {
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
    let mut statement = connection.prepare_cached(&lead.sql())?;
    let parameters = named_params! {
        ":channel": channel,
        ":account": account,
        ":sender": sender,
        ":action": query.action,
        ":session": session,
        ":since": query.since.map_or(i64::MIN, whole_seconds),
        ":until": query.until.map_or(i64::MAX, whole_seconds),
        ":before": query.before.unwrap_or(i64::MAX),
        ":limit": query.limit,
    };
    let events = statement.query_map(parameters, read)?;
    events.collect()
}

/// What entries are found by. Without statistics the planner would have to guess, so each statement
/// names its index.
#[derive(Debug, Clone, Copy)]
enum Lead {
    Session,
    Sender,
    Action,
    Time,
    /// Backwards from the newest entry, or from the one before which to read.
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
        // Details are read after the newest were chosen.
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
    let mut event = AuditEvent::new(seq, when, row.get(2)?, row.get(3)?, detail);
    event.channel = row.get(4)?;
    event.account_id = row.get(5)?;
    event.sender_id = row.get(6)?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::transaction::tests::plan;

    #[test]
    fn every_search_goes_by_an_index_and_none_scans_the_log() {
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
            // Only what is found by its time has to be sorted: the clock may have been set back.
            let sorts = plan.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
            assert_eq!(sorts, matches!(lead, Lead::Action | Lead::Time), "{lead:?}: {plan:#?}");
        }
        let plan = plan(SESSIONS);
        assert!(!plan.iter().any(|step| step.contains("SCAN pairing")), "{plan:#?}");
    }
}
