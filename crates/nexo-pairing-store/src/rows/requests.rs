//! `pairing_pending`: the requests. 0.1.8 writes it too, without an end and without a challenge.

use nexo_pairing_core::{AccountId, ChannelId, Filter, PairingCode, SenderKey, Target};
use nexo_pairing_engine::{Over, RequestCounts, RequestRow};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::columns::{
    self, OF_FILTER, OF_TARGET, filter_params, integer, key_params, sender_key, target_params,
};

const SELECT: &str = "SELECT channel, account_id, sender_id, code, created_at,
        coalesce(expires_at, created_at + 3600), coalesce(last_challenged_at, created_at), meta_json
    FROM pairing_pending";

/// Those that are over at `?1`, or were made after `?2`, by the two indexes that are made for it.
const OVER: &str = "(coalesce(expires_at, created_at + 3600) <= ?1 OR created_at > ?2)";

pub(super) fn get(
    connection: &Connection,
    key: &SenderKey,
) -> rusqlite::Result<Option<RequestRow>> {
    let sql = format!("{SELECT} WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3");
    one(connection, &sql, key_params(key))
}

pub(super) fn by_code(
    connection: &Connection,
    code: &PairingCode,
) -> rusqlite::Result<Option<RequestRow>> {
    one(connection, &format!("{SELECT} WHERE code = ?1"), [code.as_str()])
}

pub(super) fn visit(
    connection: &Connection,
    filter: &Filter,
    each: &mut dyn FnMut(RequestRow),
) -> rusqlite::Result<()> {
    let sql = format!("{SELECT} WHERE {OF_FILTER} ORDER BY created_at, rowid");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(filter_params(filter))?;
    while let Some(row) = rows.next()? {
        each(read(row)?);
    }
    Ok(())
}

pub(super) fn count(
    connection: &Connection,
    channel: &ChannelId,
    account: &AccountId,
    over: Over,
) -> rusqlite::Result<RequestCounts> {
    // Those that are over are few, and found by indexes.
    let sql = format!(
        "WITH over AS (SELECT channel, account_id FROM pairing_pending WHERE {OVER})
        SELECT (SELECT count(*) FROM pairing_pending WHERE channel = ?3 AND account_id = ?4)
                - (SELECT count(*) FROM over WHERE channel = ?3 AND account_id = ?4),
            (SELECT count(*) FROM pairing_pending) - (SELECT count(*) FROM over),
            (SELECT count(*) FROM pairing_pending)"
    );
    let parameters = params![over.until, over.future, channel.as_str(), account.as_str()];
    let (of_account, live, stored): (u32, u32, u32) =
        connection.prepare_cached(&sql)?.query_row(parameters, |row| row.try_into())?;
    let [of_account, live, stored] = [of_account, live, stored].map(u64::from);
    Ok(RequestCounts { of_account, live, stored })
}

pub(super) fn overdue(
    connection: &Connection,
    of: Option<&Target>,
    over: Over,
    limit: u64,
) -> rusqlite::Result<Vec<RequestRow>> {
    let limit = integer(limit);
    match of {
        None => {
            let found = params![over.until, over.future, limit];
            all(connection, &in_order(&format!("{OVER} LIMIT ?3")), found)
        }
        Some(target) => {
            let sql = in_order(&format!(
                "{OVER} AND channel = ?3 AND sender_id = ?5 AND (?4 = '*' OR account_id = ?4) LIMIT ?6"
            ));
            let [channel, scope, sender] = target_params(target);
            all(connection, &sql, params![over.until, over.future, channel, scope, sender, limit])
        }
    }
}

/// Those that are found by `which`, in the order in which they were added, whichever index found them
/// first.
fn in_order(which: &str) -> String {
    format!(
        "{SELECT} WHERE rowid IN (SELECT rowid FROM pairing_pending WHERE {which}) ORDER BY rowid"
    )
}

pub(super) fn of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Vec<RequestRow>> {
    let sql = format!("{SELECT} WHERE {OF_TARGET} ORDER BY account_id");
    all(connection, &sql, target_params(target))
}

/// Whether a request has this code, or an outcome that is still kept had it.
pub(super) fn is_code_known(connection: &Connection, code: &PairingCode) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM pairing_pending WHERE code = ?1)
                OR EXISTS (SELECT 1 FROM pairing_finished WHERE code = ?1)",
        )?
        .query_row([code.as_str()], |row| row.get(0))
}

pub(super) fn insert(connection: &Connection, request: &RequestRow) -> rusqlite::Result<bool> {
    let RequestRow { key, code, created_at, expires_at, challenged_at, meta } = request;
    let added = connection
        .prepare_cached(
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at,
                    meta_json, expires_at, last_challenged_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key.channel.as_str(),
            key.account_id.as_str(),
            key.sender_id.as_str(),
            code.as_str(),
            created_at,
            meta,
            expires_at,
            challenged_at
        ])?;
    Ok(added == 1)
}

pub(super) fn set_challenged_at(
    connection: &Connection,
    key: &SenderKey,
    at: i64,
) -> rusqlite::Result<()> {
    let [channel, account, sender] = key_params(key);
    connection
        .prepare_cached(
            "UPDATE pairing_pending SET last_challenged_at = ?4
                WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
        )?
        .execute(params![channel, account, sender, at])
        .map(drop)
}

/// Deletes the request of a sender, if it has this code. Whether it has.
pub(super) fn delete(
    connection: &Connection,
    key: &SenderKey,
    code: &PairingCode,
) -> rusqlite::Result<bool> {
    let [channel, account, sender] = key_params(key);
    let deleted = connection
        .prepare_cached(
            "DELETE FROM pairing_pending
                WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3 AND code = ?4",
        )?
        .execute([channel, account, sender, code.as_str()])?;
    Ok(deleted > 0)
}

pub(super) fn delete_of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Vec<String>> {
    columns::delete_of_target(connection, "pairing_pending", target)
}

fn one(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Option<RequestRow>> {
    connection.prepare_cached(sql)?.query_row(parameters, read).optional()
}

fn all(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<RequestRow>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        key: sender_key(row)?,
        code: PairingCode::from_stored(row.get(3)?),
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        challenged_at: row.get(6)?,
        // Anybody's writing in it must not keep a request from its end.
        meta: row.get_ref(7)?.as_str().unwrap_or("null").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;

    #[test]
    fn requests_that_are_over_are_found_by_indexes() {
        let connection = inspect::empty(std::path::Path::new(":memory:")).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", in_order(&format!("{OVER} LIMIT ?3")));
        let mut plan = connection.prepare(&sql).unwrap();
        let steps = plan.query_map([1, 1, 1], |row| row.get::<_, String>("detail")).unwrap();
        let plan = steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ");
        for index in ["pairing_pending_expiry", "pairing_pending_created"] {
            assert!(plan.contains(index), "{plan}");
        }
        assert!(!plan.contains("SCAN"), "{plan}");
    }
}
