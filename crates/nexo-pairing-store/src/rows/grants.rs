//! `pairing_allow_from`: the grants. 0.1.8 writes it too, and knows `revoked_at` and no expiry.

use nexo_pairing_core::{
    AccountId, Actor, AllowedSender, ChannelId, Filter, SenderId, SenderKey, Target,
};
use nexo_pairing_engine::{Seeded, at};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::columns::{
    self, OF_FILTER, OF_TARGET, change, filter_params, key_on, key_params, sender_key,
    target_params,
};

const SELECT: &str = "SELECT channel, account_id, sender_id, approved_at, approved_via, expires_at,
        revoked_at, note
    FROM pairing_allow_from";

pub(super) fn get(
    connection: &Connection,
    key: &SenderKey,
) -> rusqlite::Result<Option<AllowedSender>> {
    let sql = format!("{SELECT} WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3");
    connection.prepare_cached(&sql)?.query_row(key_params(key), read).optional()
}

/// The order of the primary key, so that nothing is sorted.
fn visit_sql() -> String {
    format!("{SELECT} WHERE {OF_FILTER} ORDER BY channel, account_id, sender_id")
}

pub(super) fn visit(
    connection: &Connection,
    filter: &Filter,
    each: &mut dyn FnMut(AllowedSender),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&visit_sql())?;
    let mut rows = statement.query(filter_params(filter))?;
    while let Some(row) = rows.next()? {
        each(read(row)?);
    }
    Ok(())
}

pub(super) fn put(connection: &Connection, grant: &AllowedSender) -> rusqlite::Result<()> {
    let (channel, account) = (grant.channel.as_str(), grant.account_id.as_str());
    let sender = grant.sender_id.as_str();
    let approved_at = grant.approved_at.unix_timestamp();
    connection
        .prepare_cached(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via, note)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                    approved_at = excluded.approved_at, approved_via = excluded.approved_via,
                    note = excluded.note, revoked_at = NULL, revoked_via = NULL,
                    expires_at = NULL",
        )?
        .execute(params![channel, account, sender, approved_at, grant.approved_via, grant.note])?;
    if let Some(expires_at) = grant.expires_at {
        // On its own: with the revival in one statement it would look like one of 0.1.8's.
        connection
            .prepare_cached(
                "UPDATE pairing_allow_from SET expires_at = ?4
                    WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3",
            )?
            .execute(params![channel, account, sender, expires_at.unix_timestamp()])?;
    }
    Ok(())
}

pub(super) fn seed(
    connection: &Connection,
    channel: &ChannelId,
    account: &AccountId,
    senders: &[SenderId],
    at: i64,
    via: &Actor,
) -> rusqlite::Result<Seeded> {
    // The list as one parameter: a statement for each of 10,000 senders took four times as long.
    let list = json!(senders).to_string();
    let grants = params![channel.as_str(), account.as_str(), list, at, via.as_str()];
    let inserted = connection
        .prepare_cached(
            "INSERT INTO pairing_allow_from
                    (channel, account_id, sender_id, approved_at, approved_via)
                SELECT ?1, ?2, value, ?4, ?5 FROM json_each(?3) WHERE true
                ON CONFLICT DO NOTHING",
        )?
        .execute(grants)?;
    let renewed = if inserted == senders.len() {
        0
    } else {
        connection
            .prepare_cached(
                "UPDATE pairing_allow_from SET revoked_at = NULL, revoked_via = NULL,
                        expires_at = NULL, approved_at = ?4, approved_via = ?5
                    WHERE channel = ?1 AND account_id = ?2
                        AND sender_id IN (SELECT value FROM json_each(?3))
                        AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL)",
            )?
            .execute(grants)?
    };
    Ok(Seeded { inserted: inserted as u64, renewed: renewed as u64 })
}

pub(super) fn revoke(
    connection: &Connection,
    target: &Target,
    at: i64,
    via: &Actor,
) -> rusqlite::Result<Vec<SenderKey>> {
    let [channel, scope, sender] = target_params(target);
    let sql = format!(
        "UPDATE pairing_allow_from SET revoked_at = ?4, revoked_via = ?5
            WHERE revoked_at IS NULL AND {OF_TARGET} RETURNING account_id"
    );
    let mut revoke = connection.prepare_cached(&sql)?;
    let mut revoked = revoke
        .query_map(params![channel, scope, sender, at, via.as_str()], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    // They come in no particular order.
    revoked.sort_unstable();
    Ok(revoked.into_iter().map(|account| key_on(target, account)).collect())
}

pub(super) fn expire(
    connection: &Connection,
    of: Option<&Target>,
    until: i64,
    limit: u64,
) -> rusqlite::Result<u64> {
    // 0.1.8 knows no expiry, but it knows `revoked_at`.
    let Some(target) = of else {
        let expire = "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
            WHERE rowid IN (SELECT rowid FROM pairing_allow_from
                WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expires_at <= ?1
                ORDER BY expires_at LIMIT ?2)";
        return change(connection, expire, &[until], limit);
    };
    let [channel, scope, sender] = target_params(target);
    let sql = format!(
        "UPDATE pairing_allow_from SET revoked_at = expires_at, revoked_via = 'expiry'
            WHERE expires_at <= ?4 AND revoked_at IS NULL AND {OF_TARGET}"
    );
    let expired =
        connection.prepare_cached(&sql)?.execute(params![channel, scope, sender, until])?;
    Ok(expired as u64)
}

pub(super) fn delete_of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Vec<String>> {
    columns::delete_of_target(connection, "pairing_allow_from", target)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AllowedSender> {
    let mut grant = AllowedSender::new(sender_key(row)?, at(row.get(3)?), row.get(4)?);
    grant.expires_at = row.get::<_, Option<i64>>(5)?.map(at);
    grant.revoked_at = row.get::<_, Option<i64>>(6)?.map(at);
    grant.note = row.get(7)?;
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use crate::rows::tests::sorts_nothing;

    #[test]
    fn grants_are_read_in_the_order_of_an_index() {
        sorts_nothing(&super::visit_sql());
    }
}
