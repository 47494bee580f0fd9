//! Tells the mirrors what changed, in order, from whatever connection has just seen it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError, Weak};

use nexo_pairing_core::{Mirror, Standing};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::op::standing;

/// How many changes are looked up one by one; beyond that, everything is loaded anew.
const MAX_DELTA: i64 = 10_000;

/// The mirrors of a store.
#[derive(Default)]
pub(crate) struct Feed {
    mirrors: Mutex<Vec<Weak<dyn Mirror>>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Feed {
    /// Adds a mirror. It is empty until the next [`publish`](Self::publish).
    pub(crate) fn add(&self, mirror: Weak<dyn Mirror>) {
        self.lock().push(mirror);
    }

    /// Brings every mirror up to what `connection` sees. On an error the mirrors must not be
    /// trusted any more, and know it.
    pub(crate) fn publish(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let mut mirrors = self.lock();
        mirrors.retain(|mirror| mirror.strong_count() > 0);
        // The mirrors are held while their state is read, so that an older state never follows a
        // newer one; whoever asks a mirror does not wait for this.
        for mirror in mirrors.iter().filter_map(Weak::upgrade) {
            if let Err(error) = catch_up(connection, &*mirror) {
                mirror.invalidate();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Tells the mirrors that nothing changed. `false` when one of them is not up to date.
    pub(crate) fn confirm(&self) -> bool {
        let mirrors = self.lock();
        let mut is_current = true;
        for mirror in mirrors.iter().filter_map(Weak::upgrade) {
            if mirror.position().is_some() {
                mirror.confirm();
            } else {
                is_current = false;
            }
        }
        is_current
    }

    /// Tells the mirrors that what they hold is not the store's any more.
    pub(crate) fn invalidate(&self) {
        for mirror in self.lock().iter().filter_map(Weak::upgrade) {
            mirror.invalidate();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn Mirror>>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn catch_up(connection: &mut Connection, mirror: &dyn Mirror) -> rusqlite::Result<()> {
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
    mirror.confirm();
    Ok(())
}

/// The standings that changed after `position`; `None` when the list of changes has a gap, is too
/// long, or does not go as far as the mirror (the file went back in time).
fn delta(
    tx: &Transaction<'_>,
    position: i64,
    newest: i64,
) -> rusqlite::Result<Option<Vec<Standing>>> {
    if position > newest || newest - position > MAX_DELTA {
        return Ok(None);
    }
    let mut changes = tx.prepare_cached(
        "SELECT channel, account_id, sender_id FROM pairing_changes WHERE seq > ?1 ORDER BY seq",
    )?;
    let rows = changes.query_map([position], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    // One more than there may be would be a row that another transaction is not done with; one
    // less is a gap.
    if i64::try_from(rows.len()).ok() != Some(newest - position) {
        return Ok(None);
    }
    let keys: HashSet<_> = rows.into_iter().collect();
    keys.into_iter()
        .map(|(channel, account, sender)| standing::of(tx, channel, account, sender))
        .collect::<rusqlite::Result<Vec<_>>>()
        .map(Some)
}

fn load(tx: &Transaction<'_>, mirror: &dyn Mirror, newest: i64) -> rusqlite::Result<()> {
    standing::each(tx, |standings| mirror.replace(standings, newest))
}
