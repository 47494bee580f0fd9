//! Tells the replicas what changed, in order, from whatever connection has just seen it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{Replica, SenderState};
use rusqlite::{Transaction, TransactionBehavior};

use crate::integrity::Verdict;
use crate::open::Db;
use crate::open::place::FileId;
use crate::rows::states;

/// Up to how many changes are looked up in any case, rather than everything loaded.
const FEW: i64 = 100;

/// How many rows are loaded in the time in which one change is looked up.
const ROWS_PER_CHANGE: i64 = 8;

/// How often blocks that are damaged are checked again: somebody may have mended the file in place.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The replicas of a store.
#[derive(Default)]
pub(crate) struct ChangeFeed {
    replicas: Mutex<Vec<Weak<dyn Replica>>>,
    /// Held while the replicas are spoken to: of which file they hold the state.
    told: Mutex<Option<FileId>>,
    /// What the last check of the tables found, and when.
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

    /// Brings every replica up to what `opened`, which was opened at `path`, sees. A replica for which
    /// that fails must not be trusted any more, and knows it; the others are served. When another
    /// file is at `path` by now, what `opened` sees is not told to anybody.
    pub(crate) fn publish(&self, path: &Path, db: &mut Db) -> rusqlite::Result<()> {
        // Outlive the guard: a replica that was let go meanwhile ends here, and whatever it holds.
        let replicas = self.live();
        // Held while the state is read, so that an older state never follows a newer one, nor that
        // of a file that was replaced; whoever asks a replica does not wait for this.
        let mut told = lock(&self.told);
        let is_current = db.is_at(path);
        if !is_current || told.is_some_and(|told| Some(told) != db.id()) {
            replicas.iter().for_each(|replica| replica.invalidate());
        }
        *told = db.id().filter(|_| is_current);
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
                    // Lifted, or not to be found: the index by which it was looked up may be damaged.
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

    /// Checks the tables from which a replica takes who is blocked, in the transaction that reads them. A
    /// fault in the blocks is an error, and is looked for again now and then.
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
                // The pages in memory may be older than those on the disk.
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

    /// Tells the replicas what a check of all tables found.
    pub(crate) fn report(&self, verdict: Verdict) {
        let replicas = self.live();
        replicas.iter().for_each(|replica| replica.set_damage(verdict.damage()));
        let is_fatal = verdict.blocks.is_some();
        *lock(&self.verdict) = Some((verdict, Instant::now()));
        if is_fatal {
            self.invalidate();
        }
    }

    /// The replicas, each with its time: before the store is looked at.
    pub(crate) fn replicas_now(&self) -> Vec<(Arc<dyn Replica>, Duration)> {
        self.live().into_iter().map(|replica| (Arc::clone(&replica), replica.now())).collect()
    }

    /// Tells these replicas that nothing had changed. `false` when one is not up to date, or when
    /// there is another by now.
    pub(crate) fn heartbeat(&self, replicas: &[(Arc<dyn Replica>, Duration)]) -> bool {
        let live = self.live().len();
        let _told = lock(&self.told);
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

    /// Tells the replicas that what they hold is not the store's any more.
    pub(crate) fn invalidate(&self) {
        let replicas = self.live();
        let mut told = lock(&self.told);
        *told = None;
        replicas.iter().for_each(|replica| replica.invalidate());
    }

    /// The replicas that there still are; those that were dropped are let go.
    fn live(&self) -> Vec<Arc<dyn Replica>> {
        let mut replicas = lock(&self.replicas);
        replicas.retain(|replica| replica.strong_count() > 0);
        replicas.iter().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The states that changed after `position`; `None` when the list of changes has a gap, is so long
/// that a load takes less time, or does not go as far as the replica (the file went back in time).
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
    // One more than there may be would be a row that another transaction is not done with; one
    // less is a gap.
    if listed != count {
        return Ok(None);
    }
    states::changed(tx, position).map(Some)
}

/// About how many grants there are: rows are hardly ever deleted, and are most of what a load reads.
fn about_rows(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.query_row("SELECT coalesce(max(rowid), 0) FROM pairing_allow_from", (), |row| row.get(0))
}
