//! Inspects or copies a database file without changing it.

use std::fs;
use std::path::{Path, PathBuf};

use nexo_pairing_core::PairingError;
use nexo_pairing_engine::at;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use time::OffsetDateTime;

use crate::open::place::FileId;
use crate::open::{lock, place, schema};
use crate::{StoreError, StoreErrorKind, connection, worker};

/// The state of a database file, read without changing it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The schema it has; 0 for one that 0.1.8 wrote.
    pub schema_version: u32,
    /// The newest schema that this program knows.
    pub newest_schema: u32,
    /// The damage, in SQLite's words (`PRAGMA integrity_check`); empty if it is intact.
    pub problems: Vec<String>,
    /// The newest time stamp of a past event. If it is in the future, the clock was set back.
    pub newest_row: Option<OffsetDateTime>,
}

impl Inspection {
    /// Inspects the database at `path`. A schema newer than this program is not an error here.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] with the [`StoreError`] that using it would meet.
    pub async fn of(path: impl AsRef<Path>) -> Result<Self, PairingError> {
        let path = path.as_ref().to_owned();
        Ok(worker::once("pairing-inspect", move || inspect(&path)).await?)
    }
}

fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    let Source { connection, schema: schema_version, .. } = connect_to_read(path)?;
    let mut check = connection.prepare("PRAGMA integrity_check(20)").map_err(sqlite)?;
    let problems: Vec<String> =
        check.query_map((), |row| row.get(0)).and_then(Iterator::collect).map_err(sqlite)?;
    let mut problems: Vec<String> = problems.into_iter().filter(|line| line != "ok").collect();
    problems.extend(wrong_types(&connection).map_err(sqlite)?);
    let newest_row = newest_row(&connection).map_err(sqlite)?;
    let newest_schema = schema::newest();
    Ok(Inspection { schema_version, newest_schema, problems, newest_row })
}

/// Rows with a key that is not text, or a time that is not a number, as another program may write them. One
/// of them keeps a gate from loading its lists.
fn wrong_types(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (table, time) in [
        ("pairing_pending", "created_at"),
        ("pairing_allow_from", "approved_at"),
        ("pairing_blocked", "blocked_at"),
        ("pairing_finished", "at"),
    ] {
        if !schema::has_table(connection, table)? {
            continue;
        }
        let mut rows = connection.prepare(&format!(
            "SELECT rowid FROM {table} WHERE typeof(channel) <> 'text' OR typeof(sender_id) <> 'text'
                OR typeof(account_id) <> 'text' OR typeof({time}) <> 'integer' LIMIT 20"
        ))?;
        let rows = rows.query_map((), |row| row.get::<_, i64>(0))?;
        for row in rows {
            problems.push(format!("row {} of {table} has a value of the wrong type", row?));
        }
    }
    Ok(problems)
}

/// The newest time of an event; expiries are meant to be in the future, and left out.
fn newest_row(connection: &Connection) -> rusqlite::Result<Option<OffsetDateTime>> {
    let mut newest: Option<i64> = None;
    for (table, columns) in [
        ("pairing_pending", "created_at"),
        ("pairing_allow_from", "approved_at"),
        ("pairing_blocked", "blocked_at"),
        ("pairing_redemptions", "redeemed_at"),
        ("pairing_sessions", "issued_at"),
        ("pairing_audit", "at"),
    ] {
        if !schema::has_table(connection, table)? {
            continue;
        }
        let sql = format!("SELECT max({columns}) FROM {table}");
        newest = newest.max(connection.query_row(&sql, (), |row| row.get(0))?);
    }
    Ok(newest.map(at))
}

/// A read-only connection to the database at `path` as it is now: to the file itself, or to a copy in memory
/// if that is not safe or the schema is older. A missing file is empty.
pub(crate) fn view(path: &Path) -> Result<Connection, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    let source = find_source(path)?;
    let connection = match source {
        Some(source) if source.is_locked && source.schema == schema::newest() => source.connection,
        source => copy_of(path, source)?,
    };
    // The transaction begins with the first statement that reads.
    connection
        .execute_batch("PRAGMA query_only = ON; BEGIN")
        .and_then(|()| schema::version(&connection))
        .map_err(sqlite)?;
    Ok(connection)
}

/// A copy, in memory, of the database at `path`, with the newest schema. A missing file is empty.
pub(crate) fn copy(path: &Path) -> Result<Connection, StoreError> {
    copy_of(path, find_source(path)?)
}

/// An empty database in memory; `path` is its name in errors.
pub(crate) fn empty(path: &Path) -> Result<Connection, StoreError> {
    copy_of(path, None)
}

fn find_source(path: &Path) -> Result<Option<Source>, StoreError> {
    let source = match connect_to_read(path) {
        Ok(source) => source,
        Err(error) if error.kind == StoreErrorKind::Missing => return Ok(None),
        Err(error) => return Err(error),
    };
    let (found, known) = (source.schema, schema::newest());
    if found > known {
        return Err(StoreError::new(StoreErrorKind::Newer { found, known }, path));
    }
    Ok(Some(source))
}

fn copy_of(path: &Path, source: Option<Source>) -> Result<Connection, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    let mut copy = Connection::open_in_memory().map_err(sqlite)?;
    if let Some(source) = source {
        copy_pages(&source.connection, &mut copy).map_err(sqlite)?;
    }
    connection::set_up(&mut copy).map_err(sqlite)?;
    schema::migrate(path, &mut copy)?;
    Ok(copy)
}

/// Writes the database behind `connection` (at `path`) to a new file.
pub(crate) fn backup(
    path: &Path,
    connection: &Connection,
    destination: &Path,
) -> Result<(), StoreError> {
    // Also a dangling link: the copy goes to the path that was given.
    if fs::symlink_metadata(destination).is_ok() {
        return Err(StoreError::new(StoreErrorKind::Exists, destination));
    }
    // The folder is missing, not a database.
    let destination = place::resolve(destination, false).map_err(StoreError::no_folder)?;
    let folder = destination.parent().unwrap_or(&destination);
    let partial = tempfile::Builder::new()
        .prefix(".pairing-backup-")
        .tempfile_in(folder)
        .map_err(|error| StoreError::io(folder, error))?;
    // When root moves it into place, the service has to open it. A database in memory has no owner.
    if path.exists() {
        place::give_to_owner(partial.as_file(), path)
            .map_err(|error| StoreError::io(partial.path(), error))?;
    }
    let sqlite = |error| StoreError::sqlite(&destination, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(partial.path(), flags).map_err(sqlite)?;
    copy_pages(connection, &mut copy)
        .map_err(|error| StoreError::copying(path, &destination, error))?;
    // One file, with nothing beside it.
    let _: String =
        copy.query_row("PRAGMA journal_mode = DELETE", (), |row| row.get(0)).map_err(sqlite)?;
    copy.close().map_err(|(_, error)| sqlite(error))?;
    let io = |error| StoreError::io(&destination, error);
    partial.as_file().sync_all().map_err(io)?;
    partial.persist_noclobber(&destination).map_err(|error| io(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

fn copy_pages(from: &Connection, into: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(from, into)?;
    // All pages in one step, so of one moment.
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        StepResult::Busy | StepResult::Locked | StepResult::More | _ => {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            Err(rusqlite::Error::SqliteFailure(busy, None))
        }
    }
}

/// Connects to an existing file that must never be written, not even to recover it after a crash.
pub(crate) fn connect_to_read_only(path: &Path) -> Result<Connection, StoreError> {
    let path = file_at(path)?;
    connect_read_only(&path, false).map_err(|error| StoreError::sqlite(&path, error))
}

/// A new connection to the file that is at `path` now, for a check. Nothing is created beside it.
pub(crate) fn connect_to_check(path: &Path) -> Result<(Connection, FileId), StoreError> {
    let before = FileId::of(path);
    let source = connect_to_read(path)?;
    match FileId::of(path) {
        Some(file) if before == Some(file) => Ok((source.connection, file)),
        _ => Err(StoreError::new(StoreErrorKind::Replaced, path)),
    }
}

/// The regular file at `path`, without links.
fn file_at(path: &Path) -> Result<PathBuf, StoreError> {
    let path = place::resolve(path, false)?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(StoreError::new(StoreErrorKind::NotAFile, path)),
        Err(error) => Err(StoreError::io(&path, error)),
    }
}

/// A database that is read without changing it.
struct Source {
    connection: Connection,
    schema: u32,
    /// Whether the read is locked. Otherwise the file may change under the reader, which has to be quick.
    is_locked: bool,
}

/// Connects to an existing file, and leaves it and the files beside it unchanged.
fn connect_to_read(path: &Path) -> Result<Source, StoreError> {
    let path = file_at(path)?;
    place::refuse_network(&path)?;
    place::refuse_links(&path)?;
    let sqlite = |error| StoreError::sqlite(&path, error);
    // The new database is whole; SQLite would mix it with the WAL of the old one.
    if lock::has_stale_wal(&path) {
        let connection = connect_read_only(&path, true).map_err(sqlite)?;
        return Source::of(&path, connection, false);
    }
    let wal = fs::metadata(place::beside(&path, "-wal"));
    let is_whole =
        !wal.as_ref().is_ok_and(|wal| wal.len() > 0) && !place::beside(&path, "-journal").exists();
    let (connection, is_locked) = match connect_read_write(&path).map_err(sqlite) {
        Ok(connection) => (connection, true),
        Err(error) if error.kind == StoreErrorKind::Permission => {
            (connect_read_only(&path, is_whole).map_err(sqlite)?, !is_whole)
        }
        Err(error) => return Err(error),
    };
    // An existing WAL stays: it belongs to another process, or a crash left it.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, wal.is_ok())
        .map_err(sqlite)?;
    Source::of(&path, connection, is_locked)
}

impl Source {
    fn of(path: &Path, connection: Connection, is_locked: bool) -> Result<Self, StoreError> {
        let schema =
            schema::version(&connection).map_err(|error| StoreError::sqlite(path, error))?;
        Ok(Self { connection, schema, is_locked })
    }
}

fn connect_read_write(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // SQLite would fall back to reading, but leave a WAL behind that it may not delete.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(refused, None));
    }
    readable(connection)
}

/// With `immutable` SQLite creates nothing beside the file, and assumes that it does not change and is
/// complete.
fn connect_read_only(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    if immutable {
        uri.push_str("?immutable=1");
    }
    readable(Connection::open_with_flags(uri, flags)?)
}

/// A connection that has read something: SQLite opens a file only then.
fn readable(mut connection: Connection) -> rusqlite::Result<Connection> {
    connection::set_up(&mut connection)?;
    schema::version(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open;

    #[test]
    fn a_current_file_is_read_in_place_and_an_older_one_as_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        let is_in_place = || view(&path).unwrap().path() == path.to_str();
        assert!(!is_in_place(), "the file is missing");
        let db = open::open_or_create(&path, true).unwrap();
        assert!(is_in_place(), "in use");
        drop(db);
        assert!(is_in_place(), "closed");
        let older = folder.path().join("older.db");
        Connection::open(&older).unwrap().execute("CREATE TABLE other (x)", ()).unwrap();
        let view = view(&older).unwrap();
        assert_ne!(view.path(), older.to_str());
        assert_eq!(schema::version(&view).unwrap(), schema::newest());
    }
}
