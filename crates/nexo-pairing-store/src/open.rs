//! Opens a database file: creates, checks, upgrades and locks it, or says why not.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::Access;

use crate::{StoreError, connection};

/// The migrations in `migrations/`, which are never edited once shipped.
mod embedded {
    refinery::embed_migrations!("migrations");
}

/// How long another process may take to open the same file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// File systems of other machines (`statfs`(2)), on which SQLite's locks do not hold.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 8] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
];

/// Which file a path names. An inode number is used again soon, so the time of birth is part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileId(String);

impl FileId {
    /// The file that `path` names now, if there is one.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born = born.unwrap_or_default().as_nanos();
        Some(Self(format!("{}:{}:{born}", metadata.dev(), metadata.ino())))
    }
}

/// The path by which SQLite and we know a file: without links, so that the files beside it are
/// beside it for everybody. Makes the folder (mode 0700) when `create` is set.
pub(crate) fn resolve(path: &Path, create: bool) -> Result<PathBuf, StoreError> {
    if let Ok(resolved) = fs::canonicalize(path) {
        return Ok(resolved);
    }
    let name = path.file_name().ok_or_else(|| StoreError::NotAFile { path: path.into() })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if create {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| StoreError::io(folder, error))?;
    }
    let folder = fs::canonicalize(folder).map_err(|error| StoreError::io(path, error))?;
    Ok(folder.join(name))
}

/// Opens the file at a resolved path, which is made when it is not there.
pub(crate) fn open_or_create(path: &Path) -> Result<(Connection, Option<FileId>), StoreError> {
    refuse_network(path)?;
    let mut lock = OpenLock::take(path)?;
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(StoreError::NotAFile { path: path.into() });
        }
        Ok(_) => {}
        Err(_) => {
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            made.map_err(|error| StoreError::io(path, error))?;
        }
    }
    open_locked(path, &mut lock)
}

/// Opens the file that is at a resolved path now.
pub(crate) fn reopen(path: &Path) -> Result<(Connection, Option<FileId>), StoreError> {
    // A folder that vanished with its file must not come back because of us.
    if !path.exists() {
        return Err(StoreError::Missing { path: path.into() });
    }
    refuse_network(path)?;
    let mut lock = OpenLock::take(path)?;
    open_locked(path, &mut lock)
}

fn open_locked(
    path: &Path,
    lock: &mut OpenLock,
) -> Result<(Connection, Option<FileId>), StoreError> {
    let id = FileId::of(path).ok_or_else(|| StoreError::Missing { path: path.into() })?;
    if lock.is_of(&id) && fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(StoreError::Damaged { path: path.into(), source: None });
    }
    lock.put_stale_wal_away(path, &id)?;
    // Not by opening it: closing any descriptor of the file drops the locks of all connections.
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| StoreError::io(path, error.into()))?;
    let connection = connect(path)?;
    bring_up_to_date(path, &connection).and_then(|()| keep_private(path))?;
    lock.record(path, &id)?;
    Ok((connection, Some(id)))
}

/// Connects to a file that is there, sets the connection up and refuses what we cannot use, without
/// changing the file.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::sqlite(path, error))?;
    connection::set_up(&mut connection).map_err(|error| StoreError::sqlite(path, error))?;
    let found = schema_version(&connection).map_err(|error| StoreError::sqlite(path, error))?;
    let known = newest_schema();
    if found > known {
        return Err(StoreError::Newer { path: path.into(), found, known });
    }
    Ok(connection)
}

/// Connects to an empty database in memory.
pub(crate) fn in_memory() -> Result<Connection, StoreError> {
    let sqlite = |error| StoreError::sqlite(Path::new(":memory:"), error);
    let mut connection = Connection::open_in_memory().map_err(sqlite)?;
    connection::set_up(&mut connection).map_err(sqlite)?;
    Ok(connection)
}

/// Upgrades the schema of a connection of any kind.
pub(crate) fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    if schema_version(connection).map_err(sqlite)? == newest_schema() {
        return Ok(());
    }
    // One writer at a time, ours or not, until the schema is whole.
    embedded::migrations::runner()
        .set_grouped(true)
        .run(connection)
        .map(drop)
        .map_err(|error| StoreError::Migration { path: path.into(), source: Box::new(error) })
}

fn bring_up_to_date(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    // The migrations want the connection for themselves; it is the only one in this lock.
    let mut migrating = connect(path)?;
    migrate(path, &mut migrating)?;
    drop(migrating);
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).map_err(sqlite)?;
    if mode == "wal" {
        // A first read makes the WAL, so that it can be recorded.
        schema_version(connection).map(drop).map_err(sqlite)
    } else {
        let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL);
        let told = format!("the journal mode stays {mode}, it has to be wal");
        Err(sqlite(rusqlite::Error::SqliteFailure(refused, Some(told))))
    }
}

/// Gives a file of ours the mode 0600; its WAL takes the mode over.
fn keep_private(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| StoreError::io(path, error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o177 == 0 {
        return Ok(());
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::set_permissions(&file, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io(&file, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The schema that a database has; 0 for one of 0.1.8 and for an empty one.
pub(crate) fn schema_version(connection: &Connection) -> rusqlite::Result<u32> {
    let table = "SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history'";
    if connection.query_row(table, (), |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    connection.query_row(newest, (), |row| row.get(0))
}

/// The newest schema that we know.
pub(crate) fn newest_schema() -> u32 {
    let runner = embedded::migrations::runner();
    let versions = runner.get_migrations().iter().map(|migration| migration.version());
    versions.max().and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// The file of SQLite's that lies beside a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a place where locks do not hold.
pub(crate) fn refuse_network(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    let stat = rustix::fs::statfs(folder).map_err(|error| StoreError::io(folder, error.into()))?;
    // The width of the magic number differs between machines; its low 32 bits do not.
    let magic = stat.f_type as i64 & 0xffff_ffff;
    match NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => Err(StoreError::NetworkFileSystem { path: path.into(), name }),
        None => Ok(()),
    }
}

/// The lock on `<database>.lock` that is held while a database is opened, and what the last opener
/// wrote there: which file, and which WAL belonged to it.
struct OpenLock {
    file: File,
    db: String,
    wal: String,
}

impl OpenLock {
    fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let io = |error| StoreError::io(&lock_path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&lock_path).map_err(io)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() < OPEN_TIMEOUT => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(io(error.into())),
            }
        }
        let mut text = String::new();
        // What is no text is no record of ours.
        let _ = Read::by_ref(&mut file).take(1024).read_to_string(&mut text);
        let mut lines = text.lines().map(str::to_owned);
        let (db, wal) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        Ok(Self { file, db, wal })
    }

    fn is_of(&self, id: &FileId) -> bool {
        self.db == id.0
    }

    /// When another database was put in place of the recorded one, but the WAL is still that one's,
    /// SQLite would mix the two. The WAL is kept under another name.
    fn put_stale_wal_away(&self, path: &Path, id: &FileId) -> Result<(), StoreError> {
        let wal = beside(path, "-wal");
        let is_stale = !self.db.is_empty()
            && !self.is_of(id)
            && FileId::of(&wal).is_some_and(|id| id.0 == self.wal);
        if !is_stale {
            return Ok(());
        }
        for suffix in ["-wal", "-shm"] {
            let (from, to) = (beside(path, suffix), beside(path, &format!("{suffix}.replaced")));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&from, error));
                }
                _ => {}
            }
        }
        tracing::warn!(path = %path.display(), "the database was replaced; its old WAL was put away");
        Ok(())
    }

    fn record(&mut self, path: &Path, id: &FileId) -> Result<(), StoreError> {
        let wal = FileId::of(&beside(path, "-wal")).map(|id| id.0).unwrap_or_default();
        if self.db == id.0 && self.wal == wal {
            return Ok(());
        }
        let text = format!("{}\n{wal}\n", id.0);
        self.file
            .rewind()
            .and_then(|()| self.file.set_len(0))
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|error| StoreError::io(&beside(path, ".lock"), error))
    }
}
