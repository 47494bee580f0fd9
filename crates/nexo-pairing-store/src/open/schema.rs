//! The schema of a database, and its migrations.

use std::path::Path;

use rusqlite::Connection;

use crate::StoreError;

/// The migrations in `migrations/`, which are never edited once shipped.
mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Where refinery records the migrations of a database.
const HISTORY: &str = "refinery_schema_history";

/// The schema that a database has; 0 for one of 0.1.8 and for an empty one.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    if !has_table(connection, HISTORY)? {
        return Ok(0);
    }
    let newest = format!("SELECT coalesce(max(version), 0) FROM {HISTORY}");
    connection.query_row(&newest, (), |row| row.get(0))
}

/// The newest schema that we know.
pub(crate) fn newest() -> u32 {
    let runner = embedded::migrations::runner();
    let versions = runner.get_migrations().iter().map(|migration| migration.version());
    versions.max().and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// Upgrades a database, as a whole or not at all.
pub(crate) fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    if version(connection).map_err(sqlite)? == newest() {
        return Ok(());
    }
    let had_history = has_table(connection, HISTORY).map_err(sqlite)?;
    let migrated = embedded::migrations::runner()
        .set_grouped(true)
        .set_migration_table_name(HISTORY)
        .run(connection);
    migrated.map(drop).map_err(|error| {
        if !had_history {
            // Created before the migrations, outside their transaction; without it the file is unchanged.
            let _ = connection.execute_batch(&format!("DROP TABLE IF EXISTS {HISTORY}"));
        }
        StoreError::migration(path, error)
    })
}

pub(crate) fn has_table(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)";
    connection.query_row(exists, [table], |row| row.get(0))
}
