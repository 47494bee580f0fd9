//! How a connection is set up: every PRAGMA on every connection, none in a migration.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// How long a connection waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The size that the WAL keeps while the database is open, in bytes: some 1,000 pages. A revocation writes
/// about 10.
pub(crate) const WAL_BYTES: u64 = 4 << 20;

/// Sets up a connection of any kind. The WAL is checkpointed when half of its reserved size (see
/// `space.rs`) is used: the other half is for operators' writes on a full disk.
pub(crate) fn set_up(connection: &mut Connection) -> rusqlite::Result<()> {
    wait_for_writers(connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Without it the built-in SQLite, which has STAT4, recompiles a cached statement whenever the
    // value of a parameter changes: half of the time of a write.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 500;
         PRAGMA journal_size_limit = {WAL_BYTES};
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    ))
}

/// Makes a connection wait 10 s for other writers.
pub(crate) fn wait_for_writers(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_for_other_writer))
}

/// Retries about every millisecond, with jitter. SQLite's built-in timeout sleeps ever longer, and
/// starves one writer among many.
fn wait_for_other_writer(tries: i32) -> bool {
    thread_local!(static SINCE: Cell<Option<Instant>> = const { Cell::new(None) });
    let since = match SINCE.get() {
        Some(since) if tries > 0 => since,
        _ => {
            let now = Instant::now();
            SINCE.set(Some(now));
            now
        }
    };
    if since.elapsed() >= BUSY_TIMEOUT {
        return false;
    }
    let mut jitter = [0];
    // Without randomness the wait is merely regular.
    let _ = SystemRandom::new().fill(&mut jitter);
    thread::sleep(Duration::from_micros(500 + 4 * u64::from(jitter[0])));
    true
}
