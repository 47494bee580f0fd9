//! What can be wrong with a database file, and what the operator can do about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use nexo_pairing_core::PairingError;
use rusqlite::ErrorCode;

/// What a library or the system said. Which library it was is none of the caller's concern.
type Cause = Box<dyn Error + Send + Sync>;

/// A failure of the database, with its file.
///
/// Comes as the source of a [`PairingError::Backend`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The path is a directory, a device or something else that is no file.
    #[error("{} is no file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// There is no file, where one has to be.
    #[error("there is no database at {}", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// There is a file, where none may be.
    #[error("{} exists already", .path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is no SQLite database", .path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
    },
    /// The database is damaged, or cut short.
    #[error("the database {} is damaged", .path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// What SQLite said, if it was asked.
        #[source]
        source: Option<Cause>,
    },
    /// The database is not one in which 0.1.8 kept sessions.
    #[error("{} holds no sessions of nexo-pairing 0.1.8", .path.display())]
    NoSessions {
        /// The path.
        path: PathBuf,
    },
    /// A session of 0.1.8's cannot be taken over.
    #[error("row {row} of pairing_sessions in {} cannot be taken over: {reason}", .path.display())]
    BadSession {
        /// The path.
        path: PathBuf,
        /// Its `rowid`.
        row: i64,
        /// What is wrong with it, without its token.
        reason: String,
    },
    /// A newer version of this program wrote the database.
    #[error("the database {} has schema {found}, this program knows up to {known}", .path.display())]
    Newer {
        /// The path.
        path: PathBuf,
        /// The schema it has.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// Another file was put in its place while this was written to it.
    #[error("the database {} was replaced meanwhile", .path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// Too many writes or reads that strangers caused wait already. Becomes a
    /// [`PairingError::Overloaded`].
    #[error("{waiting} operations wait for the database {} already", .path.display())]
    QueueFull {
        /// The path.
        path: PathBuf,
        /// How many wait.
        waiting: usize,
    },
    /// The disk is nearly full, and what is left is kept for operators. Becomes a
    /// [`PairingError::Overloaded`].
    #[error("only {free} bytes are free for the database {}, and are kept for operators", .path.display())]
    LowSpace {
        /// The path.
        path: PathBuf,
        /// How many bytes are free.
        free: u64,
    },
    /// There is no room for the copy that is kept before an upgrade; the database is what it was.
    #[error(
        "a copy of the database {} before its upgrade takes {needed} bytes, and {free} are free",
        .path.display()
    )]
    NoRoomForCopy {
        /// The path.
        path: PathBuf,
        /// How many bytes have to be free.
        needed: u64,
        /// How many bytes are free.
        free: u64,
    },
    /// The disk is full.
    #[error("there is no space left for the database {}", .path.display())]
    Full {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The file or its folder may not be read or written.
    #[error("no permission to use the database {}", .path.display())]
    Permission {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The file lies on a network file system, where SQLite's locks do not hold.
    #[error("{} lies on a network file system ({name}), where locks do not hold", .path.display())]
    NetworkFileSystem {
        /// The path.
        path: PathBuf,
        /// The kind of file system.
        name: &'static str,
    },
    /// A crash left the database in the middle of a write, and it may only be read here.
    #[error("a crash left the database {} in the middle of a write", .path.display())]
    Unfinished {
        /// The path.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// Somebody else held the database for longer than we wait.
    #[error("the database {} stayed locked for 10 s", .path.display())]
    Busy {
        /// The path.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// A file operation failed.
    #[error("failed to use {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Bringing the schema up to date failed; it is what it was.
    #[error("failed to upgrade the database {}", .path.display())]
    Migration {
        /// The path.
        path: PathBuf,
        /// What the migration said.
        #[source]
        source: Cause,
    },
    /// Anything else that SQLite says.
    #[error("the database {} failed", .path.display())]
    Sqlite {
        /// The path.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// The thread that serves the database is gone.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotAFile { path } => {
                format!("name a file below it: --db {}", path.join("pairing.db").display())
            }
            Self::Missing { .. } => "check the path with `nexo-pair config`".to_owned(),
            Self::Exists { .. } => "name a file that does not exist".to_owned(),
            Self::NotADatabase { .. } => {
                "check the path with `nexo-pair config`; the file was left as it is".to_owned()
            }
            Self::NoSessions { .. } => {
                "name the file in which 0.1.8 kept them: pairing_sessions.db".to_owned()
            }
            Self::BadSession { path, row, .. } => format!(
                "mend it, or leave it out in a copy: cp {0} COPY && sqlite3 COPY \
                 'DELETE FROM pairing_sessions WHERE rowid = {row}'",
                path.display()
            ),
            Self::Damaged { path, .. } => format!(
                "stop every program that uses it, keep a copy, and put a backup in its place: \
                 mv BACKUP {}",
                path.display()
            ),
            Self::Replaced { .. } => "look at what is there now, and do it again".to_owned(),
            Self::Newer { .. } => "use the newer version of nexo-pair that wrote it".to_owned(),
            Self::Full { path, .. } | Self::LowSpace { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                format!("make room on the file system of {}: df -h {0}", folder.display())
            }
            Self::NoRoomForCopy { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                format!(
                    "make room on the file system of {}: df -h {0}; or upgrade without a copy: add \
                     --no-copy once",
                    folder.display()
                )
            }
            Self::Permission { path, .. } => format!(
                "run as the owner of the file and its folder: ls -la {}",
                path.parent().unwrap_or(path).display()
            ),
            Self::Unfinished { path, .. } => {
                format!("have it brought in order first: sqlite3 {} .tables", path.display())
            }
            Self::NetworkFileSystem { .. } => {
                "put it on a local disk, with --db or pairing.storage.path".to_owned()
            }
            Self::QueueFull { path, .. } => format!(
                "try again in a moment; if this goes on, find out who holds the database: fuser {}",
                path.display()
            ),
            Self::Busy { path, .. } => {
                format!("find out who holds it: fuser {}", path.display())
            }
            Self::Sqlite { source, .. } if is_unknown_value(&**source) => {
                "use the newer version of nexo-pair that wrote it".to_owned()
            }
            Self::Io { .. } | Self::Migration { .. } | Self::Sqlite { .. } => {
                "check it with `nexo-pair doctor`".to_owned()
            }
            Self::Closed => return None,
        };
        Some(hint)
    }

    /// Sorts an error of SQLite.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let (code, extended) = (source.sqlite_error_code(), extended_code(&source));
        let source = Box::new(source);
        match code {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, source: Some(source) },
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            // The index of the WAL could not be made as large as it has to be.
            _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
                Self::Full { path, source }
            }
            _ if extended == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) => {
                Self::Unfinished { path, source }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { path, source }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::Permission { path, source }
            }
            _ => Self::Sqlite { path, source },
        }
    }

    /// Sorts an error of a migration.
    pub(crate) fn migration(path: &Path, error: refinery::Error) -> Self {
        if let refinery::error::Kind::Connection(_, cause) = error.kind()
            && let Some(cause) = cause.downcast_ref::<rusqlite::Error>()
            && let Some(&code) = cause.sqlite_error()
        {
            let cause = rusqlite::Error::SqliteFailure(code, Some(cause.to_string()));
            let sorted = Self::sqlite(path, cause);
            if !matches!(sorted, Self::Sqlite { .. }) {
                return sorted;
            }
        }
        Self::Migration { path: path.to_owned(), source: Box::new(error) }
    }

    /// Sorts an error of the file system.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { path, source: Box::new(source) }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source: Box::new(source) }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// Whether a row holds a value that this version does not know.
fn is_unknown_value(source: &(dyn Error + Send + Sync + 'static)) -> bool {
    let source = source.downcast_ref::<rusqlite::Error>();
    matches!(source, Some(rusqlite::Error::FromSqlConversionFailure(..)))
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

impl From<StoreError> for PairingError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::QueueFull { .. } | StoreError::LowSpace { .. } => Self::overloaded(error),
            error => Self::backend(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_full_disk_is_one_whoever_meets_it() {
        let path = Path::new("/state/pairing.db.lock");
        let error = StoreError::io(path, io::ErrorKind::StorageFull.into());
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("df -h /state"));
        assert!(error.source().is_some());
    }
}
