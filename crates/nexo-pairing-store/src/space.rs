//! Disk space: how much is free, and what is reserved for operators.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use rustix::fs::{FallocateFlags, Mode, OFlags};

use crate::StoreError;
use crate::connection::{self, WAL_BYTES};
use crate::open::place;

/// With fewer free bytes than this, strangers' writes are refused: the rest is for operators.
pub(crate) const LOW: u64 = 16 << 20;

/// How often the free space is queried at most: before a transaction, which takes a hundred times as long.
/// Strangers must not use up the WAL in between.
const INTERVAL: Duration = Duration::from_millis(10);

/// The free space beside a database.
#[derive(Debug, Default)]
pub(crate) struct Space(Mutex<Option<(Instant, u64)>>);

impl Space {
    /// How many bytes are free, if too few for strangers.
    pub(crate) fn low(&self, path: &Path) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = match *known {
            Some((at, free)) if at.elapsed() < INTERVAL => free,
            _ => {
                // An inaccessible folder is reported when it is used.
                let free = free(path).ok()?;
                *known = Some((Instant::now(), free));
                free
            }
        };
        (free < LOW).then_some(free)
    }
}

/// How many bytes are free beside a database.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path.parent().unwrap_or(path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Has the file system allocate the WAL's blocks, so that operators can still write on a full disk. The
/// contents are unchanged. A failure leaves only the free space.
pub(crate) fn reserve(path: &Path) {
    let reserved = open_wal(path).and_then(|wal| {
        if wal.metadata()?.len() < WAL_BYTES {
            rustix::fs::fallocate(&wal, FallocateFlags::empty(), 0, WAL_BYTES)?;
        }
        Ok(())
    });
    if let Err(error) = reserved {
        tracing::debug!(path = %path.display(), %error, "failed to reserve space for the WAL");
    }
}

/// Overwrites the earlier writes in the WAL, in place: deleted rows remain there, and truncating the file
/// would give up its blocks. `false` if it is still being read.
pub(crate) fn wipe(path: &Path, connection: &mut Connection) -> Result<bool, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    // Waiting for readers blocks all writers, and a check of a million grants reads for a long time.
    connection.busy_timeout(Duration::from_secs(1)).map_err(sqlite)?;
    let wiped = try_to_wipe(path, connection);
    connection::wait_for_writers(connection).map_err(sqlite)?;
    wiped
}

fn try_to_wipe(path: &Path, connection: &mut Connection) -> Result<bool, StoreError> {
    let sqlite = |error| StoreError::sqlite(path, error);
    for _ in 0..3 {
        let (is_busy, frames) = checkpoint(connection, "RESTART").map_err(sqlite)?;
        if is_busy {
            return Ok(false);
        }
        // The next write restarts the WAL, with as many frames as it changes pages.
        begin_anew(connection).map_err(sqlite)?;
        let version = data_version(connection).map_err(sqlite)?;
        let (_, begun) = checkpoint(connection, "PASSIVE").map_err(sqlite)?;
        let page_size: u32 =
            connection.query_row("PRAGMA page_size", (), |row| row.get(0)).map_err(sqlite)?;
        // Nothing is appended while the lock is held.
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        if begun <= frames && data_version(&tx).map_err(sqlite)? == version {
            let end = FILE_HEADER + u64::from(begun) * (FRAME_HEADER + u64::from(page_size));
            zero_from(path, end).map_err(|error| StoreError::io(path, error))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sizes of the headers in a WAL file, in bytes.
const FILE_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// Checkpoints the WAL. Returns whether another connection blocked it, and how many frames the WAL has.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(bool, u32)> {
    let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&checkpoint, (), |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Writes something, and leaves no trace.
fn begin_anew(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO pairing_attempts (actor, at, kind) VALUES ('', 0, 'unknown')", ())?;
    tx.execute("DELETE FROM pairing_attempts WHERE actor = ''", ())?;
    tx.commit()
}

/// A number that changes with each write by another connection.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", (), |row| row.get(0))
}

fn zero_from(path: &Path, mut at: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let wal = open_wal(path)?;
    let end = wal.metadata()?.len();
    while at < end {
        let length = ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        wal.write_all_at(&ZEROS[..length], at)?;
        at += length as u64;
    }
    wal.sync_data()
}

/// Opens the existing WAL. SQLite's locks are on other files, so closing this one drops none.
fn open_wal(path: &Path) -> io::Result<File> {
    let path = std::fs::canonicalize(path)?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(place::beside(&path, "-wal"), flags, Mode::empty())?))
}
