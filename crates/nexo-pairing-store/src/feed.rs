//! Tells the mirrors what changed, in order, from whatever connection has just seen it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{Mirror, Standing};
use rusqlite::{Transaction, TransactionBehavior};

use crate::integrity::Verdict;
use crate::open::Opened;
use crate::open::place::FileId;
use crate::rows::states;

/// Up to how many changes are looked up in any case, rather than everything loaded.
const FEW: i64 = 100;

/// How many rows are loaded in the time in which one change is looked up.
const ROWS_PER_CHANGE: i64 = 8;

/// How often blocks that are damaged are checked again: somebody may have mended the file in place.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// The mirrors of a store.
#[derive(Default)]
pub(crate) struct Feed {
    mirrors: Mutex<Vec<Weak<dyn Mirror>>>,
    /// Held while the mirrors are spoken to: of which file they hold the state.
    told: Mutex<Option<FileId>>,
    /// What the last check of the tables found, and when.
    verdict: Mutex<Option<(Verdict, Instant)>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Feed {
    /// Adds a mirror. It is empty until the next [`publish`](Self::publish).
    pub(crate) fn add(&self, mirror: Weak<dyn Mirror>) {
        lock(&self.mirrors).push(mirror);
    }

    /// Brings every mirror up to what `opened`, which was opened at `path`, sees. A mirror for which
    /// that fails must not be trusted any more, and knows it; the others are served. When another
    /// file is at `path` by now, what `opened` sees is not told to anybody.
    pub(crate) fn publish(&self, path: &Path, opened: &mut Opened) -> rusqlite::Result<()> {
        // Outlive the guard: a mirror that was let go meanwhile ends here, and whatever it holds.
        let mirrors = self.live();
        // Held while the state is read, so that an older state never follows a newer one, nor that
        // of a file that was replaced; whoever asks a mirror does not wait for this.
        let mut told = lock(&self.told);
        let is_current = opened.is_at(path);
        if !is_current || told.is_some_and(|told| Some(told) != opened.id()) {
            mirrors.iter().for_each(|mirror| mirror.invalidate());
        }
        *told = opened.id().filter(|_| is_current);
        if !is_current {
            return Ok(());
        }
        let mut published = Ok(());
        for mirror in &mirrors {
            if let Err(error) = self.catch_up(opened, &**mirror) {
                mirror.invalidate();
                published = published.and(Err(error));
            }
        }
        published
    }

    fn catch_up(&self, opened: &mut Opened, mirror: &dyn Mirror) -> rusqlite::Result<()> {
        let as_of = mirror.now();
        let file = opened.id();
        let tx = opened.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let newest: i64 = tx
            .prepare_cached(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pairing_changes'), 0)",
            )?
            .query_row((), |row| row.get(0))?;
        let changed = match mirror.position() {
            Some(position) if position == newest => Some(Vec::new()),
            Some(position) => delta(&tx, position, newest)?,
            None => None,
        };
        match changed {
            Some(standings) if standings.is_empty() => {}
            Some(standings) => {
                if standings.iter().any(|standing| standing.blocked == Some(false)) {
                    // Lifted, or not to be found: the index by which it was looked up may be damaged.
                    self.check(&tx, file, mirror)?;
                }
                mirror.update(standings, newest);
            }
            None => {
                self.check(&tx, file, mirror)?;
                states::each(&tx, |standings| mirror.replace(standings, newest))?;
            }
        }
        tx.commit()?;
        mirror.confirm(as_of);
        Ok(())
    }

    /// Checks the tables from which a mirror takes who is blocked, in the transaction that reads them. A
    /// fault in the blocks is an error, and is looked for again now and then.
    fn check(
        &self,
        tx: &Transaction<'_>,
        file: Option<FileId>,
        mirror: &dyn Mirror,
    ) -> rusqlite::Result<()> {
        // A database in memory has no disk that could damage it.
        let Some(file) = file else { return Ok(()) };
        let mut known = lock(&self.verdict);
        let before = known.clone().filter(|(verdict, _)| verdict.file == file);
        let (verdict, at) = match before {
            Some((verdict, at)) if verdict.blocks.is_some() && at.elapsed() < CHECK_AGAIN => {
                (verdict, at)
            }
            before => {
                // The pages in memory may be older than those on the disk.
                tx.execute_batch("PRAGMA shrink_memory")?;
                let verdict = Verdict::of_few(tx, file)?;
                (verdict.with_others_of(before.map(|(before, _)| before)), Instant::now())
            }
        };
        mirror.set_damage(verdict.damage());
        let fault = verdict.fault();
        *known = Some((verdict, at));
        fault
    }

    /// Tells the mirrors what a check of all tables found.
    pub(crate) fn report(&self, verdict: Verdict) {
        let mirrors = self.live();
        mirrors.iter().for_each(|mirror| mirror.set_damage(verdict.damage()));
        let is_fatal = verdict.blocks.is_some();
        *lock(&self.verdict) = Some((verdict, Instant::now()));
        if is_fatal {
            self.invalidate();
        }
    }

    /// The mirrors, each with its time: before the store is looked at.
    pub(crate) fn mirrors_now(&self) -> Vec<(Arc<dyn Mirror>, Duration)> {
        self.live().into_iter().map(|mirror| (Arc::clone(&mirror), mirror.now())).collect()
    }

    /// Tells these mirrors that nothing had changed. `false` when one is not up to date, or when
    /// there is another by now.
    pub(crate) fn confirm(&self, mirrors: &[(Arc<dyn Mirror>, Duration)]) -> bool {
        let live = self.live().len();
        let _told = lock(&self.told);
        let mut is_current = live <= mirrors.len();
        for (mirror, as_of) in mirrors {
            if mirror.position().is_some() {
                mirror.confirm(*as_of);
            } else {
                is_current = false;
            }
        }
        is_current
    }

    /// Tells the mirrors that what they hold is not the store's any more.
    pub(crate) fn invalidate(&self) {
        let mirrors = self.live();
        let mut told = lock(&self.told);
        *told = None;
        mirrors.iter().for_each(|mirror| mirror.invalidate());
    }

    /// The mirrors that there still are; those that were dropped are let go.
    fn live(&self) -> Vec<Arc<dyn Mirror>> {
        let mut mirrors = lock(&self.mirrors);
        mirrors.retain(|mirror| mirror.strong_count() > 0);
        mirrors.iter().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The standings that changed after `position`; `None` when the list of changes has a gap, is so long
/// that a load takes less time, or does not go as far as the mirror (the file went back in time).
fn delta(
    tx: &Transaction<'_>,
    position: i64,
    newest: i64,
) -> rusqlite::Result<Option<Vec<Standing>>> {
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
