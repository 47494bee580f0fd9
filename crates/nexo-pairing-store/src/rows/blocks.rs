//! `pairing_blocked`: the blocks.

use std::collections::HashSet;

use nexo_pairing_core::{
    AccountId, AccountScope, BlockedSender, ChannelId, Filter, SenderId, SenderKey, Target,
};
use nexo_pairing_engine::at;
use rusqlite::{Connection, params};

use super::columns::{self, filter_params, key_params, target_params};

pub(super) fn is_blocked(connection: &Connection, key: &SenderKey) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM pairing_blocked
                WHERE channel = ?1 AND account_id IN (?2, '*') AND sender_id = ?3)",
        )?
        .query_row(key_params(key), |row| row.get(0))
}

pub(super) fn any(connection: &Connection, channel: &ChannelId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM pairing_blocked WHERE channel = ?1)")?
        .query_row([channel.as_str()], |row| row.get(0))
}

pub(super) fn on(
    connection: &Connection,
    channel: &ChannelId,
    account: &AccountId,
) -> rusqlite::Result<HashSet<SenderId>> {
    let mut blocked = connection.prepare_cached(
        "SELECT sender_id FROM pairing_blocked WHERE channel = ?1 AND account_id IN (?2, '*')",
    )?;
    let blocked = blocked.query_map([channel.as_str(), account.as_str()], |row| {
        row.get(0).map(SenderId::from_stored)
    })?;
    blocked.collect()
}

/// The order of the primary key, so that nothing is sorted.
const VISIT: &str = "SELECT channel, account_id, sender_id, blocked_at, blocked_via, reason
    FROM pairing_blocked
    WHERE (?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR account_id IN (?2, '*'))
        AND (?3 IS NULL OR sender_id = ?3)
    ORDER BY channel, account_id, sender_id";

pub(super) fn visit(
    connection: &Connection,
    filter: &Filter,
    each: &mut dyn FnMut(BlockedSender),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(VISIT)?;
    let mut rows = statement.query(filter_params(filter))?;
    while let Some(row) = rows.next()? {
        each(BlockedSender::new(
            ChannelId::from_stored(row.get(0)?),
            AccountScope::from_stored(row.get(1)?),
            SenderId::from_stored(row.get(2)?),
            at(row.get(3)?),
            row.get(4)?,
            row.get(5)?,
        ));
    }
    Ok(())
}

pub(super) fn put(connection: &Connection, block: &BlockedSender) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO pairing_blocked
                    (channel, sender_id, account_id, blocked_at, blocked_via, reason)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (channel, account_id, sender_id) DO UPDATE SET
                    reason = coalesce(excluded.reason, reason)",
        )?
        .execute(params![
            block.channel.as_str(),
            block.sender_id.as_str(),
            block.account_id.as_str(),
            block.blocked_at.unix_timestamp(),
            block.blocked_via,
            block.reason
        ])
        .map(drop)
}

pub(super) fn delete(connection: &Connection, target: &Target) -> rusqlite::Result<bool> {
    let delete =
        "DELETE FROM pairing_blocked WHERE channel = ?1 AND account_id = ?2 AND sender_id = ?3";
    Ok(connection.prepare_cached(delete)?.execute(target_params(target))? > 0)
}

pub(super) fn delete_of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<Vec<String>> {
    columns::delete_of_target(connection, "pairing_blocked", target)
}

#[cfg(test)]
mod tests {
    use crate::rows::tests::sorts_nothing;

    #[test]
    fn blocks_are_read_in_the_order_of_an_index() {
        sorts_nothing(super::VISIT);
    }
}
