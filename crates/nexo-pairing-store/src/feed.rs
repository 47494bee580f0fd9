//! The change feed: publishes changes to the replicas, in order, from whichever connection has just seen
//! them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{Replica, SenderState};
use rusqlite::{Transaction, TransactionBehavior};

use crate::batch::MAX_BATCH;
use crate::integrity::Verdict;
use crate::open::Db;
use crate::open::place::FileId;
use crate::rows::states;

/// Up to so many changes are always looked up; more may cause a complete load. A full batch of approvals
/// makes three each.
const FEW: i64 = 3 * MAX_BATCH as i64;

/// How many rows are loaded in the time in which one change is looked up.
const ROWS_PER_CHANGE: i64 = 8;

/// How often damaged blocks are checked again: the file may have been repaired in place.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The replicas of a store.
#[derive(Default)]
pub(crate) struct ChangeFeed {
    replicas: Mutex<Vec<Weak<dyn Replica>>>,
    /// The file whose state the replicas hold. Locked while they are updated.
    published: Mutex<Option<FileId>>,
    /// The result of the last check of the tables, and when it was made.
    verdict: Mutex<Option<(Verdict, Instant)>>,
}

impl std::fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl ChangeFeed {
    /// Adds a replica. It is empty until the next [`publish`](Self::publish).
    pub(crate) fn add(&self, replica: Weak<dyn Replica>) {
        lock(&self.replicas).push(replica);
    }

    /// Updates every replica to what `db`, which was opened at `path`, sees. A replica for which that
    /// fails is invalidated; the others are updated. If another file is at `path` by now, all are
    /// invalidated, and nothing is published.
    pub(crate) fn publish(&self, path: &Path, db: &mut Db) -> rusqlite::Result<()> {
        // Outlives the guard: the last handle of a replica, and of what it holds, may be dropped here.
        let replicas = self.live();
        // Locked while the state is read, so that an older state, or that of a replaced file, never
        // follows a newer one; readers of a replica do not wait for this lock.
        let mut published_file = lock(&self.published);
        let is_current = db.is_at(path);
        if !is_current || published_file.is_some_and(|file| Some(file) != db.id()) {
            replicas.iter().for_each(|replica| replica.invalidate());
        }
        *published_file = db.id().filter(|_| is_current);
        if !is_current {
            return Ok(());
        }
        let mut published = Ok(());
        for replica in &replicas {
            if let Err(error) = self.catch_up(db, &**replica) {
                replica.invalidate();
                published = published.and(Err(error));
            }
        }
        published
    }

    fn catch_up(&self, db: &mut Db, replica: &dyn Replica) -> rusqlite::Result<()> {
        let as_of = replica.now();
        let file = db.id();
        let tx = db.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let newest: i64 = tx
            .prepare_cached(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pairing_changes'), 0)",
            )?
            .query_row((), |row| row.get(0))?;
        let changed = match replica.position() {
            Some(position) if position == newest => Some(Vec::new()),
            Some(position) => delta(&tx, position, newest)?,
            None => None,
        };
        match changed {
            Some(states) if states.is_empty() => {}
            Some(states) => {
                if states.iter().any(|state| state.blocked == Some(false)) {
                    // Deleted, or not found: the index by which it was looked up may be damaged.
                    self.check(&tx, file, replica)?;
                }
                replica.update(states, newest);
            }
            None => {
                self.check(&tx, file, replica)?;
                states::each(&tx, |states| replica.replace(states, newest))?;
            }
        }
        tx.commit()?;
        replica.heartbeat(as_of);
        Ok(())
    }

    /// Checks the tables that a replica must not load without, in the transaction that reads them. A fault
    /// in the blocks is an error, and is checked again after a while.
    fn check(
        &self,
        tx: &Transaction<'_>,
        file: Option<FileId>,
        replica: &dyn Replica,
    ) -> rusqlite::Result<()> {
        // A database in memory has no disk that could damage it.
        let Some(file) = file else { return Ok(()) };
        let mut known = lock(&self.verdict);
        let before = known.clone().filter(|(verdict, _)| verdict.file == file);
        let (verdict, at) = match before {
            Some((verdict, at)) if verdict.blocks.is_some() && at.elapsed() < RECHECK_INTERVAL => {
                (verdict, at)
            }
            before => {
                // The cached pages may be older than those on the disk.
                tx.execute_batch("PRAGMA shrink_memory")?;
                let verdict = Verdict::of_few(tx, file)?;
                (verdict.with_others_of(before.map(|(before, _)| before)), Instant::now())
            }
        };
        replica.set_damage(verdict.damage());
        let fault = verdict.fault();
        *known = Some((verdict, at));
        fault
    }

    /// Passes the result of a check of all tables to the replicas.
    pub(crate) fn report(&self, verdict: Verdict) {
        let replicas = self.live();
        replicas.iter().for_each(|replica| replica.set_damage(verdict.damage()));
        let is_fatal = verdict.blocks.is_some();
        *lock(&self.verdict) = Some((verdict, Instant::now()));
        if is_fatal {
            self.invalidate();
        }
    }

    /// The replicas, each with its time before the store is read.
    pub(crate) fn replicas_now(&self) -> Vec<(Arc<dyn Replica>, Duration)> {
        self.live().into_iter().map(|replica| (Arc::clone(&replica), replica.now())).collect()
    }

    /// Tells these replicas that nothing had changed. `false` if one is not up to date, or another was
    /// subscribed meanwhile.
    pub(crate) fn heartbeat(&self, replicas: &[(Arc<dyn Replica>, Duration)]) -> bool {
        let live = self.live().len();
        let _published = lock(&self.published);
        let mut is_current = live <= replicas.len();
        for (replica, as_of) in replicas {
            if replica.position().is_some() {
                replica.heartbeat(*as_of);
            } else {
                is_current = false;
            }
        }
        is_current
    }

    /// Tells the replicas that their state is no longer the store's.
    pub(crate) fn invalidate(&self) {
        let replicas = self.live();
        let mut published_file = lock(&self.published);
        *published_file = None;
        replicas.iter().for_each(|replica| replica.invalidate());
    }

    /// The live replicas; forgets those that were dropped.
    fn live(&self) -> Vec<Arc<dyn Replica>> {
        let mut replicas = lock(&self.replicas);
        replicas.retain(|replica| replica.strong_count() > 0);
        replicas.iter().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The states that changed after `position`; `None` if the list of changes has a gap, is so long that a
/// load takes less time, or ends before `position` (an older file was restored).
fn delta(
    tx: &Transaction<'_>,
    position: i64,
    newest: i64,
) -> rusqlite::Result<Option<Vec<SenderState>>> {
    let count = newest - position;
    if count < 0 || count > FEW && count.saturating_mul(ROWS_PER_CHANGE) > about_rows(tx)? {
        return Ok(None);
    }
    let listed: i64 = tx
        .prepare_cached("SELECT count(*) FROM pairing_changes WHERE seq > ?1")?
        .query_row([position], |row| row.get(0))?;
    // More than expected would be rows of an unfinished transaction; less is a gap.
    if listed != count {
        return Ok(None);
    }
    states::changed(tx, position).map(Some)
}

/// About how many grants there are: they are rarely deleted, and are most of what a load reads.
fn about_rows(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.query_row("SELECT coalesce(max(rowid), 0) FROM pairing_allow_from", (), |row| row.get(0))
}
