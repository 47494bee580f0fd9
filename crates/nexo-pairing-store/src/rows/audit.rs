//! `pairing_audit`: the audit log, which only grows and is trimmed at its beginning.

use nexo_pairing_core::Target;
use nexo_pairing_engine::AuditRow;
use rusqlite::{Connection, params};

use super::columns::{OF_TARGET, target_params};

pub(super) fn append(connection: &Connection, entry: &AuditRow<'_>) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO pairing_audit
                (at, actor, action, channel, account_id, sender_id, detail_json, session_id,
                    device_label)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            entry.at,
            entry.actor,
            entry.action,
            entry.channel,
            entry.account,
            entry.sender,
            entry.detail.to_string(),
            entry.session,
            entry.device_label
        ])
        .map(drop)
}

/// Puts a pseudonym in place of a target; how many entries name it.
pub(super) fn rename(
    connection: &Connection,
    target: &Target,
    pseudonym: &str,
) -> rusqlite::Result<usize> {
    let [channel, scope, sender] = target_params(target);
    // Of a block the log also says why: words about the person.
    let sql = format!(
        "UPDATE pairing_audit SET sender_id = ?4,
                detail_json = CASE action WHEN 'block' THEN 'null' ELSE detail_json END
            WHERE {OF_TARGET}"
    );
    connection.prepare_cached(&sql)?.execute(params![channel, scope, sender, pseudonym])
}

pub(super) fn trim(
    connection: &Connection,
    after: i64,
    oldest: i64,
    newest: i64,
    limit: u64,
) -> rusqlite::Result<Option<i64>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let looked_at: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM
                (SELECT seq FROM pairing_audit WHERE seq > ?1 ORDER BY seq LIMIT ?2)",
        )?
        .query_row([after, limit], |row| row.get(0))?;
    let Some(looked_at) = looked_at else { return Ok(None) };
    let kept: Option<i64> = connection
        .prepare_cached(
            "SELECT min(seq) FROM pairing_audit
                WHERE seq > ?1 AND seq <= ?2 AND +at > ?3 AND +at <= ?4",
        )?
        .query_row([after, looked_at, oldest, newest], |row| row.get(0))?;
    let last = kept.map_or(looked_at, |kept| kept - 1);
    connection
        .prepare_cached("DELETE FROM pairing_audit WHERE seq > ?1 AND seq <= ?2 AND +at <= ?3")?
        .execute([after, last, oldest])?;
    Ok(kept.is_none().then_some(looked_at))
}
