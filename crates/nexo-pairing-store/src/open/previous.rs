//! The copy of a database that is kept before an upgrade that the version which wrote it cannot read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use super::place::{beside, give_to_owner};
use super::schema;
use crate::{StoreError, StoreErrorKind, space};

/// The first schema that earlier versions reject.
const BREAKING: u32 = 4;

/// The suffix of the copy.
const COPY: &str = ".before-v4";

/// The suffix of the copy while it is written.
const PARTIAL: &str = ".before-v4.partial";

/// The suffix of the journal of that.
const PARTIAL_JOURNAL: &str = ".before-v4.partial-journal";

/// Copies the database behind `connection`, at `path`, if the version that wrote it cannot read the upgraded
/// one. The copy replaces an earlier one, and appears whole or not at all. The lock on opening is held, so
/// no other process makes one.
pub(super) fn keep_copy(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    if !(1..BREAKING).contains(&schema::version(connection).map_err(sqlite)?) {
        return Ok(());
    }
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = connection.query_row(size, (), |row| row.get(0)).map_err(sqlite)?;
    let needed = size.unsigned_abs().saturating_add(space::LOW);
    let no_room = |free| StoreError::new(StoreErrorKind::NoRoomForCopy { needed, free }, path);
    let free = space::free(path).map_err(|error| StoreError::io(path, error))?;
    if free < needed {
        return Err(no_room(free));
    }
    let partial = beside(path, PARTIAL);
    let copied = write(path, connection, &partial);
    if copied.is_err() {
        // A partial copy takes space.
        let _ = fs::remove_file(&partial);
    }
    copied.map_err(|error| match error.kind {
        StoreErrorKind::Full => no_room(space::free(path).unwrap_or_default()),
        _ => error,
    })?;
    let copy = beside(path, COPY);
    fs::rename(&partial, &copy).map_err(|error| StoreError::io(&copy, error))?;
    let folder = path.parent().unwrap_or(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StoreError::io(folder, error))?;
    tracing::info!(copy = %copy.display(), "kept a copy of the database as it was before its upgrade");
    Ok(())
}

fn write(path: &Path, connection: &Connection, partial: &Path) -> Result<(), StoreError> {
    let io = |error| StoreError::io(partial, error);
    // Left by an interrupted attempt. SQLite would apply its journal to this copy.
    for left in [partial, &beside(path, PARTIAL_JOURNAL)] {
        remove(left).map_err(io)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial);
    let file = file.map_err(io)?;
    give_to_owner(&file, path).map_err(io)?;
    // `VACUUM INTO` accepts an existing file if it is empty, and keeps its mode.
    connection
        .execute("VACUUM INTO ?1", [Name(partial)])
        .map_err(|error| StoreError::copying(path, partial, error))?;
    file.sync_all().map_err(io)
}

/// Removes the copies of the database at `path`, whole and partial: they name people.
pub(crate) fn remove_copies(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    for suffix in [COPY, PARTIAL, PARTIAL_JOURNAL] {
        remove(&beside(&path, suffix))?;
    }
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a file, which need not be UTF-8.
struct Name<'a>(&'a Path);

impl ToSql for Name<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_os_str().as_bytes())))
    }
}
