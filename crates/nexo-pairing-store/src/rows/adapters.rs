//! `pairing_adapters`: which channels have their adapter in another process.

use nexo_pairing_core::ChannelId;
use nexo_pairing_engine::AdapterRow;
use rusqlite::{Connection, params};

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<AdapterRow>> {
    let select = "SELECT channel, said_by, said_at FROM pairing_adapters ORDER BY channel";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map((), |row| {
        let channel = ChannelId::from_stored(row.get(0)?);
        Ok(AdapterRow { channel, said_by: row.get(1)?, said_at: row.get(2)? })
    })?;
    rows.collect()
}

pub(super) fn put(connection: &Connection, row: &AdapterRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO pairing_adapters (channel, said_by, said_at) VALUES (?1, ?2, ?3)
                ON CONFLICT (channel) DO UPDATE SET said_by = excluded.said_by,
                    said_at = excluded.said_at",
        )?
        .execute(params![row.channel.as_str(), row.said_by, row.said_at])
        .map(drop)
}

pub(super) fn delete(connection: &Connection, channel: &ChannelId) -> rusqlite::Result<bool> {
    let delete = "DELETE FROM pairing_adapters WHERE channel = ?1";
    Ok(connection.prepare_cached(delete)?.execute([channel.as_str()])? > 0)
}
