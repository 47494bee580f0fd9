//! What can be wrong with a database file, and what the operator can do about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use nexo_pairing_core::PairingError;
use rusqlite::{ErrorCode, ffi};

/// What a library or the system said. Which library it was does not concern the caller.
type Cause = Box<dyn Error + Send + Sync>;

/// A failure of the database.
///
/// Comes as the source of a [`PairingError::Backend`].
#[derive(Debug, thiserror::Error)]
#[error("{}", .kind.message(.path))]
#[non_exhaustive]
pub struct StoreError {
    /// What is wrong.
    pub kind: StoreErrorKind,
    /// The file, in most cases the database. Empty when the store is closed.
    pub path: PathBuf,
    /// What SQLite or the system said, if it was asked.
    #[source]
    source: Option<Cause>,
}

/// What is wrong with a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The path is a directory, a device or something else that is not a regular file.
    NotAFile,
    /// There is no file where one is required.
    Missing,
    /// There is a file where none may be.
    Exists,
    /// The file holds something else.
    NotADatabase,
    /// The database is damaged, or cut short.
    Damaged,
    /// The database is not one in which 0.1.8 kept sessions.
    NoSessions,
    /// A session of 0.1.8 cannot be imported.
    BadSession {
        /// Its `rowid`.
        row: i64,
        /// What is wrong with it, without its token.
        reason: String,
    },
    /// A newer version of this program wrote the database.
    Newer {
        /// The schema it has.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// Another file took its place while it was written to.
    Replaced,
    /// Too many writes or reads that strangers caused are waiting. Becomes a
    /// [`PairingError::Overloaded`].
    QueueFull {
        /// How many are waiting.
        waiting: usize,
    },
    /// The disk is nearly full, and the rest is reserved for operators. Becomes a
    /// [`PairingError::Overloaded`].
    LowSpace {
        /// How many bytes are free.
        free: u64,
    },
    /// There is no room for the copy that is kept before an upgrade; the database is unchanged.
    NoRoomForCopy {
        /// How many bytes have to be free.
        needed: u64,
        /// How many bytes are free.
        free: u64,
    },
    /// The disk is full.
    Full,
    /// The file or its folder may not be read or written.
    Permission,
    /// The file is on a network file system, where SQLite's locks do not hold.
    NetworkFileSystem {
        /// The kind of file system.
        name: &'static str,
    },
    /// A crash left the database in the middle of a write, and it may only be read here.
    Unfinished,
    /// Another process held the database for longer than the store waits.
    Busy,
    /// A file operation failed.
    Io,
    /// The schema could not be upgraded; it is unchanged.
    Migration,
    /// Any other error of SQLite.
    Sqlite,
    /// The thread that serves the database has ended.
    Closed,
}

impl StoreErrorKind {
    fn message(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::NotAFile => format!("{path} is not a regular file"),
            Self::Missing => format!("there is no database at {path}"),
            Self::Exists => format!("{path} exists already"),
            Self::NotADatabase => format!("{path} is not a SQLite database"),
            Self::Damaged => format!("the database {path} is damaged"),
            Self::NoSessions => format!("{path} holds no sessions of nexo-pairing 0.1.8"),
            Self::BadSession { row, reason } => {
                format!("row {row} of pairing_sessions in {path} cannot be imported: {reason}")
            }
            Self::Newer { found, known } => {
                format!("the database {path} has schema {found}, this program knows up to {known}")
            }
            Self::Replaced => format!("the database {path} was replaced in the meantime"),
            Self::QueueFull { waiting } => {
                format!("{waiting} operations are already waiting for the database {path}")
            }
            Self::LowSpace { free } => format!(
                "only {free} bytes are free for the database {path}, and are reserved for operators"
            ),
            Self::NoRoomForCopy { needed, free } => format!(
                "a copy of the database {path} before its upgrade takes {needed} bytes, but only \
                 {free} are free"
            ),
            Self::Full => format!("there is no space left for the database {path}"),
            Self::Permission => format!("no permission to use the database {path}"),
            Self::NetworkFileSystem { name } => {
                format!("{path} is on a network file system ({name}), where locks do not hold")
            }
            Self::Unfinished => {
                format!("a crash left the database {path} in the middle of a write")
            }
            Self::Busy => format!("the database {path} stayed locked for 10 s"),
            Self::Io => format!("failed to use {path}"),
            Self::Migration => format!("failed to upgrade the database {path}"),
            Self::Sqlite => format!("the database {path} failed"),
            Self::Closed => "the store is closed".to_owned(),
        }
    }
}

impl StoreError {
    /// An error without a cause.
    #[must_use]
    pub fn new(kind: StoreErrorKind, path: impl Into<PathBuf>) -> Self {
        Self { kind, path: path.into(), source: None }
    }

    pub(crate) fn closed() -> Self {
        Self::new(StoreErrorKind::Closed, PathBuf::new())
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let path = self.path.display();
        let folder = self.path.parent().unwrap_or(&self.path).display();
        let hint = match &self.kind {
            StoreErrorKind::NotAFile => {
                format!("choose a file in it: --db {}", self.path.join("pairing.db").display())
            }
            StoreErrorKind::Missing => "check the path with `nexo-pair config`".to_owned(),
            StoreErrorKind::Exists => "choose a file that does not exist".to_owned(),
            StoreErrorKind::NotADatabase => {
                "check the path with `nexo-pair config`; the file was left unchanged".to_owned()
            }
            StoreErrorKind::NoSessions => {
                "pass the sessions file of 0.1.8: pairing_sessions.db".to_owned()
            }
            StoreErrorKind::BadSession { row, .. } => format!(
                "correct it, or leave it out in a copy: cp {path} COPY && sqlite3 COPY \
                 'DELETE FROM pairing_sessions WHERE rowid = {row}'"
            ),
            StoreErrorKind::Damaged => format!(
                "stop every program that uses it, keep a copy, and put a backup in its place: \
                 mv BACKUP {path}"
            ),
            StoreErrorKind::Replaced => "check what is there now, and run it again".to_owned(),
            StoreErrorKind::Newer { .. } => {
                "use the newer version of nexo-pair that wrote it".to_owned()
            }
            StoreErrorKind::Full | StoreErrorKind::LowSpace { .. } => {
                format!("make room on the file system of {folder}: df -h {folder}")
            }
            StoreErrorKind::NoRoomForCopy { .. } => format!(
                "make room on the file system of {folder}: df -h {folder}; or upgrade without a \
                 copy: add --no-copy once"
            ),
            StoreErrorKind::Permission => {
                format!("run as the owner of the file and its folder: ls -la {folder}")
            }
            StoreErrorKind::Unfinished => format!("recover it first: sqlite3 {path} .tables"),
            StoreErrorKind::NetworkFileSystem { .. } => {
                "put it on a local disk, with --db or pairing.storage.path".to_owned()
            }
            StoreErrorKind::QueueFull { .. } => format!(
                "try again in a moment; if this persists, find out which process holds the \
                 database: fuser {path}"
            ),
            StoreErrorKind::Busy => format!("find out which process holds it: fuser {path}"),
            StoreErrorKind::Sqlite if self.has_unknown_value() => {
                "use the newer version of nexo-pair that wrote it".to_owned()
            }
            StoreErrorKind::Io | StoreErrorKind::Migration | StoreErrorKind::Sqlite => {
                "check it with `nexo-pair doctor`".to_owned()
            }
            StoreErrorKind::Closed => return None,
        };
        Some(hint)
    }

    /// Whether a row holds a value that this version does not know.
    fn has_unknown_value(&self) -> bool {
        let source = self.source.as_ref().and_then(|source| source.downcast_ref());
        matches!(source, Some(rusqlite::Error::FromSqlConversionFailure(..)))
    }

    /// Sorts an error of SQLite.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let extended = source.sqlite_error().map(|error| error.extended_code);
        let kind = match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                return Self::new(StoreErrorKind::NotADatabase, path);
            }
            Some(ErrorCode::DatabaseCorrupt) => StoreErrorKind::Damaged,
            Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
            // The index of the WAL could not be made as large as it has to be.
            _ if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => StoreErrorKind::Full,
            _ if extended == Some(ffi::SQLITE_READONLY_ROLLBACK) => StoreErrorKind::Unfinished,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreErrorKind::Permission
            }
            _ => StoreErrorKind::Sqlite,
        };
        Self { source: Some(source.into()), ..Self::new(kind, path) }
    }

    /// Sorts an error of SQLite while it copied one database to another.
    pub(crate) fn copying(source: &Path, copy: &Path, error: rusqlite::Error) -> Self {
        use ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase};
        let is_of_source = matches!(
            error.sqlite_error_code(),
            Some(DatabaseBusy | DatabaseCorrupt | DatabaseLocked | NotADatabase)
        );
        Self::sqlite(if is_of_source { source } else { copy }, error)
    }

    /// Sorts an error of a migration.
    pub(crate) fn migration(path: &Path, error: refinery::Error) -> Self {
        if let refinery::error::Kind::Connection(_, cause) = error.kind()
            && let Some(cause) = cause.downcast_ref::<rusqlite::Error>()
            && let Some(&code) = cause.sqlite_error()
        {
            let cause = rusqlite::Error::SqliteFailure(code, Some(cause.to_string()));
            let sorted = Self::sqlite(path, cause);
            if sorted.kind != StoreErrorKind::Sqlite {
                return sorted;
            }
        }
        Self { source: Some(Box::new(error)), ..Self::new(StoreErrorKind::Migration, path) }
    }

    /// Sorts an error of the file system.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => return Self::new(StoreErrorKind::Missing, path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreErrorKind::Permission
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            _ => StoreErrorKind::Io,
        };
        Self { source: Some(source.into()), ..Self::new(kind, path) }
    }

    /// A file operation that failed because a folder is missing, where no database is meant to be.
    pub(crate) fn no_folder(self) -> Self {
        match self.kind {
            StoreErrorKind::Missing => Self {
                kind: StoreErrorKind::Io,
                source: Some(io::Error::from(io::ErrorKind::NotFound).into()),
                ..self
            },
            _ => self,
        }
    }
}

impl From<StoreError> for PairingError {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::QueueFull { .. } | StoreErrorKind::LowSpace { .. } => {
                Self::overloaded(error)
            }
            _ => Self::backend(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_full_disk_is_the_same_error_from_sqlite_and_the_system() {
        let path = Path::new("/state/pairing.db.lock");
        let error = StoreError::io(path, io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind, StoreErrorKind::Full);
        assert!(error.hint().unwrap().contains("df -h /state"));
        assert!(error.source().is_some());
    }
}
