//! `pairing_attempts`: attempts to guess a code.

use nexo_pairing_core::Actor;
use nexo_pairing_engine::{Attempt, AttemptKind};
use rusqlite::{Connection, Params, params};

use super::columns::change;

pub(super) fn of(
    connection: &Connection,
    actor: &Actor,
    after: i64,
) -> rusqlite::Result<Vec<Attempt>> {
    let select = "SELECT kind, at FROM pairing_attempts WHERE actor = ?1 AND at > ?2";
    read(connection, select, params![actor.as_str(), after])
}

pub(super) fn insert(
    connection: &Connection,
    actor: &Actor,
    attempt: Attempt,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO pairing_attempts (actor, at, kind) VALUES (?1, ?2, ?3)")?
        .execute(params![actor.as_str(), attempt.at, attempt.kind.as_str()])
        .map(drop)
}

pub(super) fn delete(connection: &Connection, actor: &Actor) -> rusqlite::Result<Vec<Attempt>> {
    let delete = "DELETE FROM pairing_attempts WHERE actor = ?1 RETURNING kind, at";
    read(connection, delete, [actor.as_str()])
}

pub(super) fn trim(connection: &Connection, until: i64, limit: u64) -> rusqlite::Result<u64> {
    let delete = "DELETE FROM pairing_attempts WHERE rowid IN
        (SELECT rowid FROM pairing_attempts WHERE at <= ?1 LIMIT ?2)";
    change(connection, delete, &[until], limit)
}

fn read(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| {
        let kind: String = row.get(0)?;
        let at = row.get(1)?;
        // The table allows no other kinds.
        Ok(AttemptKind::from_stored(&kind).map(|kind| Attempt { kind, at }))
    })?;
    rows.filter_map(Result::transpose).collect()
}
