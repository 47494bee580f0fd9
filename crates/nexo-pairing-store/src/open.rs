//! Opens a database file: creates, checks, upgrades and locks it, or returns why not.

pub(crate) mod lock;
pub(crate) mod place;
pub(crate) mod previous;
pub(crate) mod schema;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use self::lock::OpenLock;
use self::place::FileId;
use crate::{StoreError, StoreErrorKind, connection, space};

/// A connection, and its file.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) connection: Connection,
    /// `None` in memory.
    id: Option<FileId>,
}

impl Db {
    /// A database that does not follow a replaced file: one in memory, or a view of one moment.
    pub(crate) fn detached(connection: Connection) -> Self {
        Self { connection, id: None }
    }

    /// Its file; `None` in memory.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.id
    }

    /// Whether its file is the one at `path` now.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.id.is_none() || self.id == FileId::of(path)
    }
}

/// Opens the file at `path`, and creates a missing one. With `keep_copy`, keeps a copy before an upgrade
/// that earlier versions cannot read.
pub(crate) fn open_or_create(path: &Path, keep_copy: bool) -> Result<Db, StoreError> {
    let path = &place::resolve(path, true)?;
    // Before the lock file is created beside it.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(StoreError::new(StoreErrorKind::NotAFile, path));
    }
    place::refuse_network(path)?;
    place::refuse_links(path)?;
    let mut lock = OpenLock::take(path)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let folder = path.parent().unwrap_or(path);
    // Closed at once: closing any descriptor of the file drops the locks of all connections.
    match made.and_then(|file| place::give_to_owner(&file, folder)) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::io(path, error))
        }
        _ => open_locked(path, &mut lock, keep_copy),
    }
}

/// Opens the existing file at `path`, and keeps a copy as [`open_or_create`] does.
pub(crate) fn reopen(path: &Path, keep_copy: bool) -> Result<Db, StoreError> {
    let path = &place::resolve(path, false)?;
    // A folder that was deleted with its file must not be created again.
    if !path.exists() {
        return Err(StoreError::new(StoreErrorKind::Missing, path));
    }
    place::refuse_network(path)?;
    place::refuse_links(path)?;
    let mut lock = OpenLock::take(path)?;
    open_locked(path, &mut lock, keep_copy)
}

fn open_locked(path: &Path, lock: &mut OpenLock, keep_copy: bool) -> Result<Db, StoreError> {
    let id = FileId::of(path).ok_or_else(|| StoreError::new(StoreErrorKind::Missing, path))?;
    // SQLite treats a file of one byte as empty, too.
    if lock.is_of(&id) && fs::metadata(path).is_ok_and(|metadata| metadata.len() <= 1) {
        return Err(StoreError::new(StoreErrorKind::Damaged, path));
    }
    lock.quarantine_stale_wal(path, &id)?;
    // Not by opening it: closing any descriptor of the file drops the locks of all connections.
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| StoreError::io(path, error.into()))?;
    let mut connection = connect(path)?;
    if keep_copy {
        previous::keep_copy(path, &connection)?;
    }
    schema::migrate(path, &mut connection)?;
    switch_to_wal(path, &connection)?;
    space::reserve(path);
    place::keep_private(path)?;
    lock.record(path, &id)?;
    Ok(Db { connection, id: Some(id) })
}

/// Connects to an existing file, sets the connection up and rejects a newer schema, without changing the
/// file.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    let has_wal = place::beside(path, "-wal").exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection::set_up(&mut connection).map_err(sqlite)?;
    let found = schema::version(&connection).map_err(sqlite)?;
    let known = schema::newest();
    if found > known {
        // A WAL that a crash left behind is for the newer version to checkpoint.
        let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(keep, has_wal).map_err(sqlite)?;
        return Err(StoreError::new(StoreErrorKind::Newer { found, known }, path));
    }
    Ok(connection)
}

fn switch_to_wal(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).map_err(sqlite)?;
    if mode == "wal" {
        // A first read makes the WAL, so that it can be recorded.
        schema::version(connection).map(drop).map_err(sqlite)
    } else {
        let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL);
        let message = format!("the journal mode is {mode} and cannot be changed to wal");
        Err(sqlite(rusqlite::Error::SqliteFailure(refused, Some(message))))
    }
}
