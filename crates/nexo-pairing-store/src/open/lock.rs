//! The lock that is held while a database is opened, and the record of the last opener in it.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::place::{FileId, QUARANTINED, beside, give_to_owner};
use crate::{StoreError, StoreErrorKind};

/// How long another process may take to open the same file.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The lock on `<database>.lock`. It records which file was opened last, and its WAL.
pub(super) struct OpenLock {
    file: File,
    db: String,
    wal: String,
}

impl OpenLock {
    /// Waits for the lock.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let io = |error| StoreError::io(&lock_path, error);
        let file = open(&lock_path)?;
        // The owner of the database or, before it exists, of the folder. If refused, only root uses the
        // file.
        let of = if path.exists() { path } else { path.parent().unwrap_or(path) };
        let _ = give_to_owner(&file, of);
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() < TIMEOUT => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(io(error.into())),
            }
        }
        Ok(Self::read(file))
    }

    fn read(mut file: File) -> Self {
        let mut text = String::new();
        // Anything but text is not a record of ours.
        let _ = Read::by_ref(&mut file).take(1024).read_to_string(&mut text);
        let mut lines = text.lines().map(str::to_owned);
        let (db, wal) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        Self { file, db, wal }
    }

    /// Whether this is the file that was opened last.
    pub(super) fn is_of(&self, id: &FileId) -> bool {
        self.db == id.to_word()
    }

    /// Moves a stale WAL aside: after the database was replaced, SQLite would mix the new file with the WAL
    /// of the old one.
    pub(super) fn quarantine_stale_wal(&self, path: &Path, id: &FileId) -> Result<(), StoreError> {
        let Some(wal) = FileId::of(&beside(path, "-wal")).filter(|wal| self.is_stale(id, wal))
        else {
            return Ok(());
        };
        for suffix in ["-wal", "-shm"] {
            let kept = format!("{suffix}{QUARANTINED}{}", wal.inode());
            let (from, to) = (beside(path, suffix), beside(path, &kept));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io(&from, error));
                }
                _ => {}
            }
        }
        tracing::warn!(path = %path.display(), "database file was replaced; moved its stale WAL aside");
        Ok(())
    }

    fn is_stale(&self, id: &FileId, wal: &FileId) -> bool {
        !self.db.is_empty() && !self.is_of(id) && wal.to_word() == self.wal
    }

    /// Records which file was opened, and its WAL.
    pub(super) fn record(&mut self, path: &Path, id: &FileId) -> Result<(), StoreError> {
        let (db, wal) = (id.to_word(), FileId::of(&beside(path, "-wal")));
        let wal = wal.map(FileId::to_word).unwrap_or_default();
        if self.db == db && self.wal == wal {
            return Ok(());
        }
        let text = format!("{db}\n{wal}\n");
        self.file
            .rewind()
            .and_then(|()| self.file.set_len(0))
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|error| StoreError::io(&beside(path, ".lock"), error))
    }
}

/// Whether the WAL beside the file at a resolved path belongs to a database that was there before. Does not
/// create or wait for the lock.
pub(crate) fn has_stale_wal(path: &Path) -> bool {
    let noted = File::open(beside(path, ".lock")).ok().map(OpenLock::read);
    match (noted, FileId::of(path), FileId::of(&beside(path, "-wal"))) {
        (Some(noted), Some(id), Some(wal)) => noted.is_stale(&id, &wal),
        _ => false,
    }
}

/// Opens the lock file, and creates a missing one. Anyone with write access to the folder could have put a
/// link there: to a file of ours, which we would write to, or of root's, which root would give away.
fn open(path: &Path) -> Result<File, StoreError> {
    // Opening a pipe would wait for a writer.
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(StoreError::new(StoreErrorKind::NotAFile, path)),
        Err(error) => return Err(StoreError::io(path, error.into())),
    };
    let metadata = file.metadata().map_err(|error| StoreError::io(path, error))?;
    if metadata.is_file() && metadata.nlink() == 1 {
        Ok(file)
    } else {
        Err(StoreError::new(StoreErrorKind::NotAFile, path))
    }
}
