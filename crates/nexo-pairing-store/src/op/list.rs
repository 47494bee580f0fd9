//! Reads what there is, for people and programs.

use nexo_pairing_core::{
    AccountScope, AllowedSender, BlockedSender, ChannelId, Filter, PairingCode, PendingRequest,
    SenderId,
};
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::at;
use super::grant::stored_key;

/// Whether a key (`?1`, `?2`, `?3`) holds a grant that is live at `?4`. One that was given in the
/// future, by a clock that was set back since, and has an end, is over.
pub(crate) const HAS_GRANT: &str = "SELECT EXISTS (SELECT 1 FROM pairing_allow_from
    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3 AND revoked_at IS NULL
        AND (expires_at IS NULL OR (expires_at > ?4 AND approved_at <= ?4 + 5)))";

/// Whether a key (`?1`, `?2`, `?3`) is blocked, on its account or on all.
pub(crate) const IS_BLOCKED: &str = "SELECT EXISTS (SELECT 1 FROM pairing_blocked
    WHERE channel = ?1 AND account_id IN (?2, '*') AND sender_id = ?3)";

/// Picks the rows of a filter: `?1` the channel, `?2` the account, `?3` the sender, NULL for any.
const OF_FILTER: &str = " (?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR account_id = ?2)
    AND (?3 IS NULL OR sender_id = ?3) ";

pub(crate) fn is_allowed(
    connection: &Connection,
    channel: &str,
    account: &str,
    sender: &str,
    now: i64,
) -> rusqlite::Result<bool> {
    // One statement, so that both are read at one moment.
    connection
        .prepare_cached(&format!("SELECT ({HAS_GRANT}) AND NOT ({IS_BLOCKED})"))?
        .query_row(params![channel, account, sender, now], |row| row.get(0))
}

pub(crate) fn pending(
    connection: &Connection,
    filter: &Filter,
    now: i64,
) -> rusqlite::Result<Vec<PendingRequest>> {
    let sql = format!(
        "SELECT channel, account_id, sender_id, code, created_at,
                coalesce(expires_at, created_at + 3600) AS until, meta_json
            FROM pairing_pending
            WHERE {OF_FILTER} AND until > ?4 AND created_at <= ?4 + 5
            ORDER BY created_at, rowid"
    );
    let mut pending = Vec::new();
    each_row(connection, &sql, filter, now, |row| {
        let meta: String = row.get(6)?;
        pending.push(PendingRequest::new(
            stored_key(row.get(0)?, row.get(1)?, row.get(2)?),
            PairingCode::from_stored(row.get(3)?),
            at(row.get(4)?),
            at(row.get(5)?),
            serde_json::from_str(&meta).unwrap_or(Value::Null),
        ));
        Ok(())
    })?;
    Ok(pending)
}

/// Gives the grants to `each`, one after the other.
pub(crate) fn each_allowed(
    connection: &Connection,
    filter: &Filter,
    include_revoked: bool,
    now: i64,
    mut each: impl FnMut(AllowedSender),
) -> rusqlite::Result<()> {
    let sql = format!("{ALLOWED} {} {IN_ORDER}", if include_revoked { "" } else { LIVE });
    each_row(connection, &sql, filter, now, |row| {
        let key = stored_key(row.get(0)?, row.get(1)?, row.get(2)?);
        let mut allowed = AllowedSender::new(key, at(row.get(3)?), row.get(4)?);
        allowed.expires_at = row.get::<_, Option<i64>>(5)?.map(at);
        allowed.revoked_at = row.get::<_, Option<i64>>(6)?.map(at);
        allowed.note = row.get(7)?;
        each(allowed);
        Ok(())
    })
}

/// Gives the blocks to `each`, one after the other.
pub(crate) fn each_blocked(
    connection: &Connection,
    filter: &Filter,
    mut each: impl FnMut(BlockedSender),
) -> rusqlite::Result<()> {
    each_row(connection, &format!("{BLOCKED} {IN_ORDER}"), filter, 0, |row| {
        each(BlockedSender::new(
            ChannelId::from_stored(row.get(0)?),
            AccountScope::from_stored(row.get(1)?),
            SenderId::from_stored(row.get(2)?),
            at(row.get(3)?),
            row.get(4)?,
            row.get(5)?,
        ));
        Ok(())
    })
}

const ALLOWED: &str =
    "SELECT channel, account_id, sender_id, approved_at, approved_via, expires_at,
        coalesce(revoked_at, CASE WHEN expires_at <= ?4 THEN expires_at
            WHEN expires_at IS NOT NULL AND approved_at > ?4 + 5 THEN ?4 END) AS ended, note
    FROM pairing_allow_from
    WHERE (?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR account_id = ?2)
        AND (?3 IS NULL OR sender_id = ?3)";

/// Leaves out of [`ALLOWED`] what ended.
const LIVE: &str = "AND ended IS NULL";

const BLOCKED: &str = "SELECT channel, account_id, sender_id, blocked_at, blocked_via, reason
    FROM pairing_blocked
    WHERE (?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR account_id IN (?2, '*'))
        AND (?3 IS NULL OR sender_id = ?3) AND ?4 IS NOT NULL";

/// The order of the primary keys, so that nothing is sorted.
const IN_ORDER: &str = "ORDER BY channel, account_id, sender_id";

/// Reads the rows of a query whose `?1` to `?3` are a filter and whose `?4` is a number.
fn each_row(
    connection: &Connection,
    sql: &str,
    filter: &Filter,
    number: i64,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let channel = filter.channel.as_ref().map(AsRef::<str>::as_ref);
    let account = filter.account.as_ref().map(AsRef::<str>::as_ref);
    let sender = filter.sender.as_ref().map(AsRef::<str>::as_ref);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![channel, account, sender, number])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;

    #[test]
    fn grants_and_blocks_are_read_in_the_order_of_an_index() {
        let connection = inspect::empty(std::path::Path::new(":memory:")).unwrap();
        for sql in [ALLOWED, &format!("{ALLOWED} {LIVE}"), BLOCKED] {
            let sql = format!("EXPLAIN QUERY PLAN {sql} {IN_ORDER}");
            let mut plan = connection.prepare(&sql).unwrap();
            let plan: Vec<String> =
                plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap();
            // A million rows would be sorted in memory otherwise.
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
