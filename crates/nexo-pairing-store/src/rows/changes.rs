//! `pairing_changes`: the keys that changed, which triggers write. Read by `states.rs`.

use nexo_pairing_core::Target;
use rusqlite::Connection;

use super::columns::{OF_TARGET, change, target_params};

/// How many changes are kept for gates that are behind; a gap makes them load everything.
const MAX_CHANGES: i64 = 10_000;

pub(super) fn trim(connection: &Connection, limit: u64) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_changes WHERE seq IN
        (SELECT seq FROM pairing_changes
            WHERE seq <= (SELECT max(seq) FROM pairing_changes) - ?1 ORDER BY seq LIMIT ?2)";
    change(connection, delete, &[MAX_CHANGES], limit)
}

/// Deletes what names a target. A gate that has not read it finds a gap and loads everything.
pub(super) fn delete_of_target(
    connection: &Connection,
    target: &Target,
) -> rusqlite::Result<usize> {
    let sql = format!("DELETE FROM pairing_changes WHERE {OF_TARGET}");
    connection.prepare_cached(&sql)?.execute(target_params(target))
}
