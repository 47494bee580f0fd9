//! The rows as one transaction sees them, and what statements on several tables have in common.

use std::cell::Cell;

use nexo_pairing_core::{AccountId, ChannelId, Filter, PeerAddress, SenderId, SenderKey};
use nexo_pairing_engine::{PortError, PortResult};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use time::OffsetDateTime;

/// The rows as one transaction sees them: each table is read and written by one file.
pub(crate) struct SqliteRows<'a> {
    pub(crate) connection: &'a Connection,
    pub(super) now: OffsetDateTime,
    /// Whether an operation of this transaction has ended its share of the overdue rows.
    pub(super) had_maintenance: &'a Cell<bool>,
    pub(crate) effects: Effects,
}

/// What follows a write once it is durable.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) after_commit: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether deleted rows must be wiped from the WAL.
    pub(crate) wipe: bool,
}

impl<'a> SqliteRows<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        now: OffsetDateTime,
        had_maintenance: &'a Cell<bool>,
    ) -> Self {
        Self { connection, now, had_maintenance, effects: Effects::default() }
    }

    /// The first row of a query.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> PortResult<Option<T>> {
        Ok(self.connection.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> PortResult<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Gives each row of a query to `each`.
    pub(super) fn visit<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
        each: &mut dyn FnMut(T),
    ) -> PortResult<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        for row in statement.query_map(params, read)? {
            each(row?);
        }
        Ok(())
    }

    /// How many rows a statement changes.
    pub(super) fn change(&self, sql: &str, params: impl Params) -> PortResult<u64> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)? as u64)
    }

    /// Deletes the rows of a table that match; returns their accounts.
    pub(super) fn delete(&self, table: &str, filter: &Filter) -> PortResult<Vec<String>> {
        let of_filter = of_filter(filter);
        let sql = format!("DELETE FROM {table} WHERE {of_filter} RETURNING account_id");
        self.all(&sql, filter_params(filter), |row| row.get(0))
    }
}

/// The error of SQLite behind one of the port.
pub(crate) fn sqlite_error(error: PortError) -> rusqlite::Error {
    match error.into_cause().downcast() {
        Ok(error) => *error,
        // Without a column, so that only the cause is shown.
        Err(other) => rusqlite::Error::FromSqlConversionFailure(usize::MAX, Type::Null, other),
    }
}

/// The condition of a filter, with the parameters of [`filter_params`]. A part that is not set is a condition
/// on its parameter only, so that indexes are used.
pub(super) fn of_filter(filter: &Filter) -> String {
    let channel = if filter.channel.is_some() { "channel = ?1" } else { "?1 IS NULL" };
    let account = if filter.account.is_some() { "account_id = ?2" } else { "?2 IS NULL" };
    let sender = if filter.sender.is_some() { "sender_id = ?3" } else { "?3 IS NULL" };
    format!("{channel} AND {account} AND {sender}")
}

/// Channel, account and sender, each of which may be any.
pub(super) fn filter_params(filter: &Filter) -> [Option<&str>; 3] {
    let channel = filter.channel.as_ref().map(ChannelId::as_str);
    let account = filter.account.as_ref().map(AccountId::as_str);
    [channel, account, filter.sender.as_ref().map(SenderId::as_str)]
}

/// The condition of a key, with the parameters of [`key_params`].
pub(super) const OF_KEY: &str = "channel = ?1 AND account_id = ?2 AND sender_id = ?3";

/// Channel, account and sender.
pub(super) fn key_params(key: &SenderKey) -> [&str; 3] {
    [key.channel.as_str(), key.account_id.as_str(), key.sender_id.as_str()]
}

/// The key in the first three columns.
pub(super) fn sender_key(row: &Row<'_>) -> rusqlite::Result<SenderKey> {
    Ok(SenderKey::new(
        ChannelId::from_stored(row.get(0)?),
        AccountId::from_stored(row.get(1)?),
        SenderId::from_stored(row.get(2)?),
    ))
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

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use crate::inspect;

    /// The plan of a query, a step a line.
    pub(in crate::rows) fn plan(sql: &str) -> Vec<String> {
        let connection = inspect::empty(Path::new(":memory:")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    }

    /// Asserts that a query reads its rows in the order of an index: a million would be sorted in memory
    /// otherwise.
    pub(in crate::rows) fn sorts_nothing(sql: &str) {
        let plan = plan(sql);
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
