//! `pairing_attempts`: attempts to guess a code.

use nexo_pairing_core::Actor;
use nexo_pairing_engine::{Attempt, AttemptKind, AttemptTable, PortResult};
use rusqlite::{Row, params};

use super::transaction::SqliteRows;

/// Deletes those up to `?1`.
pub(super) const TRIM: &str = "DELETE FROM pairing_attempts WHERE rowid IN
    (SELECT rowid FROM pairing_attempts WHERE at <= ?1 LIMIT ?2)";

impl AttemptTable for SqliteRows<'_> {
    fn attempts(&self, actor: &Actor, after: i64) -> PortResult<Vec<Attempt>> {
        let select = "SELECT kind, at FROM pairing_attempts WHERE actor = ?1 AND at > ?2";
        let found = self.all(select, params![actor.as_str(), after], read)?;
        Ok(found.into_iter().flatten().collect())
    }

    fn insert_attempt(&mut self, actor: &Actor, attempt: Attempt) -> PortResult<()> {
        let insert = "INSERT INTO pairing_attempts (actor, at, kind) VALUES (?1, ?2, ?3)";
        self.change(insert, params![actor.as_str(), attempt.at, attempt.kind.as_str()]).map(drop)
    }

    fn delete_attempts(&mut self, actor: &Actor) -> PortResult<Vec<Attempt>> {
        let delete = "DELETE FROM pairing_attempts WHERE actor = ?1 RETURNING kind, at";
        Ok(self.all(delete, [actor.as_str()], read)?.into_iter().flatten().collect())
    }
}

/// `None` for a kind that this version does not know; the table allows no other.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Attempt>> {
    let kind: String = row.get(0)?;
    let at = row.get(1)?;
    Ok(AttemptKind::from_stored(&kind).map(|kind| Attempt { kind, at }))
}
