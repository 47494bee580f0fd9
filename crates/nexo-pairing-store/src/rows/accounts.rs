//! `pairing_accounts`: which mode was in force for which account.

use nexo_pairing_core::{AccountId, AccountKey, ChannelId};
use nexo_pairing_engine::AccountRow;
use rusqlite::{Connection, params};

/// The channel and the account of the row for all accounts together.
const ALL: &str = "*";

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<AccountRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, account_id, mode, said_by, said_at, named, forgotten FROM pairing_accounts",
    )?;
    let rows = statement.query_map((), |row| {
        let (channel, account): (String, String) = (row.get(0)?, row.get(1)?);
        let key = || (ChannelId::from_stored(channel.clone()), AccountId::from_stored(account));
        Ok(AccountRow {
            account: (channel != ALL).then(key),
            mode: row.get(2)?,
            said_by: row.get(3)?,
            said_at: row.get(4)?,
            named: row.get(5)?,
            forgotten: row.get(6)?,
        })
    })?;
    rows.collect()
}

pub(super) fn put(connection: &Connection, row: &AccountRow) -> rusqlite::Result<()> {
    let AccountRow { account, mode, said_by, said_at, named, forgotten } = row;
    let (channel, account) = columns(account.as_ref());
    connection
        .prepare_cached(
            "INSERT INTO pairing_accounts
                (channel, account_id, mode, said_by, said_at, named, forgotten)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (channel, account_id) DO UPDATE SET mode = excluded.mode,
                    said_by = excluded.said_by, said_at = excluded.said_at,
                    named = excluded.named, forgotten = excluded.forgotten",
        )?
        .execute(params![channel, account, mode, said_by, said_at, named, forgotten])
        .map(drop)
}

pub(super) fn delete(connection: &Connection, account: &AccountKey) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM pairing_accounts WHERE channel = ?1 AND account_id = ?2")?
        .execute([account.0.as_str(), account.1.as_str()])
        .map(drop)
}

fn columns(account: Option<&AccountKey>) -> (&str, &str) {
    account.map_or((ALL, ALL), |(channel, account)| (channel.as_str(), account.as_str()))
}
