//! Tells the mirrors what changed, in order, from whatever connection has just seen it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{Mirror, Standing};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::inspect;
use crate::integrity::Verdict;
use crate::op::standing;
use crate::open::Opened;
use crate::open::place::FileId;

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
        if mirrors.iter().any(|mirror| mirror.position().is_none()) {
            self.examine(path, opened, &mirrors)?;
        }
        let mut published = Ok(());
        for mirror in &mirrors {
            if let Err(error) = catch_up(&mut opened.connection, &**mirror) {
                mirror.invalidate();
                published = published.and(Err(error));
            }
        }
        published
    }

    /// Checks the tables before a mirror is loaded, once a file. A fault in the blocks is an error, and
    /// is looked for again now and then.
    fn examine(
        &self,
        path: &Path,
        opened: &Opened,
        mirrors: &[Arc<dyn Mirror>],
    ) -> rusqlite::Result<()> {
        let Some(file) = opened.id() else { return Ok(()) };
        let known = lock(&self.verdict).clone().filter(|(verdict, _)| verdict.file == file);
        let verdict = match known {
            Some((verdict, at)) if verdict.blocks.is_none() || at.elapsed() < CHECK_AGAIN => {
                verdict
            }
            // Not by this connection: it may hold pages as they were before.
            Some((verdict, _)) => match inspect::connect_to_check(path) {
                Ok((connection, found)) if found == file => Verdict::of_few(&connection, file)?,
                _ => verdict,
            },
            None => Verdict::of_few(&opened.connection, file)?,
        };
        mirrors.iter().for_each(|mirror| mirror.set_damage(verdict.damage()));
        let fault = verdict.fault();
        if fault.is_err() {
            mirrors.iter().for_each(|mirror| mirror.invalidate());
        }
        let mut known = lock(&self.verdict);
        if known.as_ref().is_none_or(|(known, _)| known.file != file || known.blocks.is_some()) {
            *known = Some((verdict, Instant::now()));
        }
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

fn catch_up(connection: &mut Connection, mirror: &dyn Mirror) -> rusqlite::Result<()> {
    let as_of = mirror.now();
    let tx = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let newest: i64 = tx
        .prepare_cached(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pairing_changes'), 0)",
        )?
        .query_row((), |row| row.get(0))?;
    match mirror.position() {
        Some(position) if position == newest => {}
        Some(position) => match delta(&tx, position, newest)? {
            Some(standings) => mirror.update(standings, newest),
            None => load(&tx, mirror, newest)?,
        },
        None => load(&tx, mirror, newest)?,
    }
    tx.commit()?;
    mirror.confirm(as_of);
    Ok(())
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
    standing::changed(tx, position).map(Some)
}

/// About how many grants there are: rows are hardly ever deleted, and are most of what a load reads.
fn about_rows(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.query_row("SELECT coalesce(max(rowid), 0) FROM pairing_allow_from", (), |row| row.get(0))
}

fn load(tx: &Transaction<'_>, mirror: &dyn Mirror, newest: i64) -> rusqlite::Result<()> {
    standing::each(tx, |standings| mirror.replace(standings, newest))
}
