//! What statements on several tables have in common: keys, filters, targets, and limits.

use nexo_pairing_core::{AccountId, ChannelId, Filter, PeerAddress, SenderId, SenderKey, Target};
use rusqlite::{Connection, Row, params_from_iter};

/// Picks the rows of a filter: `?1` the channel, `?2` the account, `?3` the sender, NULL for any.
pub(super) const OF_FILTER: &str =
    "(?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR account_id = ?2)
    AND (?3 IS NULL OR sender_id = ?3)";

/// Picks the rows of a target: `?1` the channel, `?2` the account or `*`, `?3` the sender.
pub(super) const OF_TARGET: &str =
    "channel = ?1 AND sender_id = ?3 AND (?2 = '*' OR account_id = ?2)";

/// The key in the first three columns.
pub(super) fn sender_key(row: &Row<'_>) -> rusqlite::Result<SenderKey> {
    Ok(SenderKey::new(
        ChannelId::from_stored(row.get(0)?),
        AccountId::from_stored(row.get(1)?),
        SenderId::from_stored(row.get(2)?),
    ))
}

/// The key of a target on an account.
pub(super) fn key_on(target: &Target, account: String) -> SenderKey {
    let account = AccountId::from_stored(account);
    SenderKey::new(target.channel.clone(), account, target.sender.clone())
}

/// Channel, account and sender.
pub(super) fn key_params(key: &SenderKey) -> [&str; 3] {
    [key.channel.as_str(), key.account_id.as_str(), key.sender_id.as_str()]
}

/// Channel, account or `*`, and sender.
pub(super) fn target_params(target: &Target) -> [&str; 3] {
    [target.channel.as_str(), target.scope.as_str(), target.sender.as_str()]
}

/// Channel, account and sender, each of which may be any.
pub(super) fn filter_params(filter: &Filter) -> [Option<&str>; 3] {
    let channel = filter.channel.as_ref().map(ChannelId::as_str);
    let account = filter.account.as_ref().map(AccountId::as_str);
    [channel, account, filter.sender.as_ref().map(SenderId::as_str)]
}

/// Deletes the rows of a target from a table; on which accounts they were.
pub(super) fn delete_of_target(
    connection: &Connection,
    table: &str,
    target: &Target,
) -> rusqlite::Result<Vec<String>> {
    let sql = format!("DELETE FROM {table} WHERE {OF_TARGET} RETURNING account_id");
    let mut delete = connection.prepare_cached(&sql)?;
    let deleted = delete.query_map(target_params(target), |row| row.get(0))?;
    deleted.collect()
}

/// Changes at most `limit` rows, by a statement whose last parameter is that number; how many.
pub(super) fn change(
    connection: &Connection,
    sql: &str,
    parameters: &[i64],
    limit: u64,
) -> rusqlite::Result<u64> {
    let limit = integer(limit);
    let parameters = params_from_iter(parameters.iter().chain(std::iter::once(&limit)));
    Ok(connection.prepare_cached(sql)?.execute(parameters)? as u64)
}

/// A number as SQLite has it.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An address as a column holds it.
pub(super) fn stored_peer(peer: Option<PeerAddress>) -> Option<String> {
    peer.map(|peer| peer.to_string())
}

/// An address in a column.
pub(super) fn peer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<PeerAddress>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| PeerAddress::from_stored(&text)))
}
