//! Checks the tables by which a gate decides for damage. Nothing less than `integrity_check` will do:
//! `quick_check` does not compare a table with its indexes, and one flipped bit makes them differ.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, InterruptHandle, ffi};

use crate::open::place::FileId;
use crate::{StoreError, inspect, worker};

/// Without these nothing may be decided.
const BLOCKS: &str = "pairing_blocked";

/// Few, and checked before a gate decides.
const REQUESTS: &str = "pairing_pending";

/// Any number, and checked while the gate is at work.
const GRANTS: &str = "pairing_allow_from";

/// The damage of a file.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) file: FileId,
    /// A fault in the blocks.
    pub(crate) blocks: Option<String>,
    /// A fault in other tables.
    others: Option<String>,
}

impl Verdict {
    /// Checks the tables that a gate must not load without.
    pub(crate) fn of_few(connection: &Connection, file: FileId) -> rusqlite::Result<Self> {
        let blocks = problem(connection, BLOCKS)?;
        Ok(Self { file, blocks, others: problem(connection, REQUESTS)? })
    }

    /// Checks all tables, one after the other. `None` when it is stopped.
    fn of_all(
        connection: &Connection,
        file: FileId,
        stop: &Stop,
    ) -> rusqlite::Result<Option<Self>> {
        let mut verdict = Self::of_few(connection, file)?;
        if !stop.is_stopped() && verdict.others.is_none() {
            verdict.others = problem(connection, GRANTS)?;
        }
        Ok((!stop.is_stopped()).then_some(verdict))
    }

    /// Adds the fault that an earlier, longer check found in the other tables.
    pub(crate) fn with_others_of(mut self, earlier: Option<Self>) -> Self {
        self.others = self.others.or_else(|| earlier?.others);
        self
    }

    /// A description of the damage.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.blocks.as_deref().or(self.others.as_deref())
    }

    /// The fault in the blocks, as the error that SQLite would return.
    pub(crate) fn fault(&self) -> rusqlite::Result<()> {
        match &self.blocks {
            None => Ok(()),
            Some(fault) => {
                let corrupt = ffi::Error::new(ffi::SQLITE_CORRUPT);
                Err(rusqlite::Error::SqliteFailure(corrupt, Some(fault.clone())))
            }
        }
    }
}

/// The first fault in a table or its indexes.
fn problem(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let check = format!("PRAGMA integrity_check({table})");
    let found = connection.query_row(&check, (), |row| row.get::<_, String>(0));
    match found {
        Ok(found) => Ok((found != "ok").then(|| format!("{table}: {found}"))),
        Err(error) => match error.sqlite_error_code() {
            // Values that cannot be interpreted, such as text that is not UTF-8, have no code.
            None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(Some(format!("{table}: {error}")))
            }
            Some(_) => Err(error),
        },
    }
}

/// A check of all tables on a thread of its own. Dropping it ends the check.
pub(crate) struct IntegrityCheck {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    is_stopped: AtomicBool,
    interrupt: Mutex<Option<InterruptHandle>>,
}

impl Stop {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}

impl IntegrityCheck {
    /// Checks the file at `path`, and reports the result.
    pub(crate) fn start(
        path: PathBuf,
        report: impl FnOnce(Verdict) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let thread = worker::spawn("pairing-check", move || {
            if let Err(error) = check(&path, report, &stopped)
                && !stopped.is_stopped()
            {
                tracing::warn!(path = %path.display(), %error, "failed to check the database");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn check(
    path: &std::path::Path,
    report: impl FnOnce(Verdict),
    stop: &Stop,
) -> Result<(), StoreError> {
    // The other connections may have cached older pages.
    let (connection, file) = inspect::connect_to_check(path)?;
    let interrupt = connection.get_interrupt_handle();
    *stop.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupt);
    let verdict = Verdict::of_all(&connection, file, stop);
    if let Some(verdict) = verdict.map_err(|error| StoreError::sqlite(path, error))? {
        if let Some(damage) = verdict.damage() {
            tracing::error!(path = %path.display(), damage, "the database is damaged");
        }
        report(verdict);
    }
    Ok(())
}

impl Drop for IntegrityCheck {
    fn drop(&mut self) {
        self.stop.is_stopped.store(true, Ordering::Release);
        if let Some(interrupt) =
            &*self.stop.interrupt.lock().unwrap_or_else(PoisonError::into_inner)
        {
            interrupt.interrupt();
        }
        worker::join_from_elsewhere(self.thread.take());
    }
}
