//! Group commit: writes that arrive while a transaction is made durable share the next one, so that they
//! wait for the disk once.

use std::cell::Cell;
use std::collections::VecDeque;
use std::iter;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nexo_pairing_engine::Caller;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::rows::{Effects, SqliteRows};
use crate::{StoreError, StoreOptions};

/// The most writes in a transaction, so that the first of them does not wait long for the last.
pub(crate) const MAX_BATCH: usize = 256;

/// The most queued writes of strangers. The largest, a request with its metadata, takes some 5 kB; each
/// process serves them in far less than a second once it has the database's lock.
pub(crate) const MAX_WAITING: usize = 1024;

/// The queued writes.
#[derive(Default)]
pub(crate) struct WriteQueue(Mutex<QueuedWrites>);

/// Operators' writes go first: a crowd of strangers, or the 10 s that each of their transactions may
/// wait for a lock, must not delay an operator who blocks a sender.
#[derive(Default)]
struct QueuedWrites {
    operators: VecDeque<Box<dyn Operation>>,
    strangers: VecDeque<Box<dyn Operation>>,
}

/// A write, and the caller that waits for its result.
pub(crate) trait Operation: Send {
    /// Runs it, and keeps the result.
    fn run(&mut self, rows: &mut SqliteRows<'_>) -> rusqlite::Result<()>;

    /// Whether the caller no longer waits.
    fn is_abandoned(&self) -> bool;

    /// Sends the result, or an error in its place.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// Writes that are durable, and not answered yet.
#[derive(Default)]
pub(crate) struct Committed {
    pub(crate) operations: Vec<Box<dyn Operation>>,
    /// What follows the commit.
    pub(crate) effects: Effects,
}

impl WriteQueue {
    /// Adds a write. `None` when too many strangers' writes are queued already.
    pub(crate) fn push<T, F>(
        &self,
        caller: Caller,
        op: F,
    ) -> Option<oneshot::Receiver<Result<T, StoreError>>>
    where
        T: Send + 'static,
        F: Fn(&mut SqliteRows<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let asked = Box::new(QueuedWrite { op, value: None, answer });
        let mut waiting = self.lock();
        match caller {
            Caller::Operator => waiting.operators.push_back(asked),
            Caller::Stranger if waiting.strangers.len() >= MAX_WAITING => return None,
            Caller::Stranger => waiting.strangers.push_back(asked),
        }
        Some(answered)
    }

    /// Takes the next write.
    pub(crate) fn first(&self) -> Option<Box<dyn Operation>> {
        self.lock().pop()
    }

    /// Takes all writes of strangers.
    pub(crate) fn take_strangers(&self) -> VecDeque<Box<dyn Operation>> {
        std::mem::take(&mut self.lock().strangers)
    }

    /// Takes the writes of the next transaction, in order.
    pub(crate) fn next(&self) -> VecDeque<Box<dyn Operation>> {
        let mut waiting = self.lock();
        iter::from_fn(|| waiting.pop()).take(MAX_BATCH).collect()
    }

    fn lock(&self) -> MutexGuard<'_, QueuedWrites> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedWrites {
    /// Takes the next write. Skips those that a stranger no longer waits for, but none of an operator.
    fn pop(&mut self) -> Option<Box<dyn Operation>> {
        self.operators.pop_front().or_else(|| {
            iter::from_fn(|| self.strangers.pop_front()).find(|operation| !operation.is_abandoned())
        })
    }
}

impl std::fmt::Debug for WriteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Commits these writes in one transaction. One that fails is rolled back and answered with its error, and
/// the others are kept; when the transaction fails, all are answered with its error. On a disk that
/// `is_low` on space, none runs maintenance.
pub(crate) fn write(
    connection: &mut Connection,
    path: &Path,
    options: &StoreOptions,
    is_low: bool,
    operations: VecDeque<Box<dyn Operation>>,
) -> Committed {
    let mut waiting = operations.into_iter();
    let mut written = Committed::default();
    let committed = in_transaction(connection, |tx| {
        // Read in the transaction, so that stamps have the order of the commits.
        let now = options.clock.now();
        let had_maintenance = Cell::new(is_low);
        for mut operation in waiting.by_ref() {
            let mut rows = SqliteRows::new(tx, now, &had_maintenance);
            match in_savepoint(tx, || operation.run(&mut rows)) {
                Ok(Ok(())) => {
                    written.effects.after_commit.append(&mut rows.effects.after_commit);
                    written.effects.wipe |= rows.effects.wipe;
                    written.operations.push(operation);
                }
                Ok(Err(error)) => {
                    // It may be the one that had claimed it.
                    had_maintenance.set(is_low);
                    operation.answer(Err(StoreError::sqlite(path, error)));
                }
                // A full disk, for example, rolls back the earlier writes, too.
                Err(error) => {
                    operation.answer(Err(StoreError::sqlite(path, same(&error))));
                    return Err(error);
                }
            }
        }
        Ok(())
    });
    match committed {
        Ok(()) => written,
        Err(error) => {
            for operation in written.operations.into_iter().chain(waiting) {
                operation.answer(Err(StoreError::sqlite(path, same(&error))));
            }
            Committed::default()
        }
    }
}

fn in_transaction(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    work(&tx)?;
    tx.commit()
}

/// Runs a part of a transaction, whole or not at all. The outer error is one of the transaction, which must
/// not be committed then.
fn in_savepoint(
    tx: &Transaction<'_>,
    part: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<rusqlite::Result<()>> {
    tx.prepare_cached("SAVEPOINT operation")?.execute(())?;
    let done = part();
    if tx.is_autocommit() {
        // SQLite has rolled the transaction back.
        return done.map(Ok);
    }
    if done.is_err() {
        tx.prepare_cached("ROLLBACK TO operation")?.execute(())?;
    }
    tx.prepare_cached("RELEASE operation")?.execute(())?;
    Ok(done)
}

/// A copy of an error, for several callers.
fn same(error: &rusqlite::Error) -> rusqlite::Error {
    let unknown = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
    let code = error.sqlite_error().copied().unwrap_or(unknown);
    rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
}

/// A write as a function.
struct QueuedWrite<T, F> {
    op: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for QueuedWrite<T, F>
where
    T: Send,
    F: Fn(&mut SqliteRows<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, rows: &mut SqliteRows<'_>) -> rusqlite::Result<()> {
        self.value = Some((self.op)(rows)?);
        Ok(())
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, answer, .. } = *self;
        // The caller may be gone: the write stays.
        let _ = answer.send(outcome.and_then(|()| value.ok_or_else(StoreError::closed)));
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_engine::Rows;
    use rusqlite::params;

    use super::*;

    type Answer = oneshot::Receiver<Result<i64, StoreError>>;

    /// A database with an empty table, and what of it is left after these writes.
    fn written(
        push: impl FnOnce(&WriteQueue) -> Vec<Answer>,
    ) -> (Vec<Result<i64, String>>, Vec<i64>) {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER UNIQUE)").unwrap();
        let queue = WriteQueue::default();
        let answers = push(&queue);
        let path = Path::new("pairing.db");
        let options = StoreOptions::default();
        let done = write(&mut connection, path, &options, false, queue.next());
        done.operations.into_iter().for_each(|operation| operation.answer(Ok(())));
        let cause = |e: StoreError| std::error::Error::source(&e).unwrap().to_string();
        let told = |mut answer: Answer| answer.try_recv().unwrap().map_err(cause);
        let told = answers.into_iter().map(told).collect();
        let mut rows = connection.prepare("SELECT x FROM t ORDER BY rowid").unwrap();
        let rows = rows.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>();
        (told, rows.unwrap())
    }

    fn push<F>(queue: &WriteQueue, op: F) -> Answer
    where
        F: Fn(&mut SqliteRows<'_>) -> rusqlite::Result<i64> + Send + 'static,
    {
        queue.push(Caller::Stranger, op).unwrap()
    }

    fn insert(queue: &WriteQueue, x: i64) -> Answer {
        push(queue, move |rows| {
            rows.connection.execute("INSERT INTO t VALUES (?1)", params![x])?;
            Ok(x)
        })
    }

    #[test]
    fn writes_share_a_transaction_in_order() {
        let (told, rows) = written(|queue| [3, 1, 2].map(|x| insert(queue, x)).into());
        assert_eq!((told, rows), (vec![Ok(3), Ok(1), Ok(2)], vec![3, 1, 2]));
    }

    #[test]
    fn a_failed_write_is_rolled_back_and_the_others_are_kept() {
        let half_done = |queue: &WriteQueue| {
            push(queue, |rows| {
                rows.connection.execute("INSERT INTO t VALUES (7)", ())?;
                rows.connection.execute("INSERT INTO t VALUES (1)", ())?;
                Ok(7)
            })
        };
        let (told, rows) =
            written(|queue| vec![insert(queue, 1), half_done(queue), insert(queue, 2)]);
        assert_eq!((&told[0], &told[2], rows), (&Ok(1), &Ok(2), vec![1, 2]));
        assert!(told[1].is_err(), "{told:?}");
    }

    #[test]
    fn the_maintenance_of_a_failed_write_is_claimed_by_the_next() {
        let put_away = |queue: &WriteQueue, then: &'static str| {
            push(queue, move |rows| {
                let was_done = !rows.claim_maintenance();
                rows.connection.execute(then, ())?;
                Ok(i64::from(was_done))
            })
        };
        let (good, bad) = ("INSERT INTO t VALUES (1)", "INSERT INTO nowhere VALUES (1)");
        let (told, _) = written(|queue| {
            vec![put_away(queue, bad), put_away(queue, good), put_away(queue, "DELETE FROM t")]
        });
        assert!(told[0].is_err(), "{told:?}");
        assert_eq!((&told[1], &told[2]), (&Ok(0), &Ok(1)));
    }

    #[test]
    fn no_write_runs_maintenance_on_a_disk_low_on_space() {
        let mut connection = Connection::open_in_memory().unwrap();
        let (queue, options) = (WriteQueue::default(), StoreOptions::default());
        let takes = |rows: &mut SqliteRows<'_>| Ok(rows.claim_maintenance());
        let mut answers: Vec<_> =
            (0..2).map(|_| queue.push(Caller::Operator, takes).unwrap()).collect();
        let path = Path::new("pairing.db");
        let done = write(&mut connection, path, &options, true, queue.next());
        done.operations.into_iter().for_each(|operation| operation.answer(Ok(())));
        assert!(answers.iter_mut().all(|answer| !answer.try_recv().unwrap().unwrap()));
    }

    #[test]
    fn all_writes_fail_with_their_transaction() {
        // As SQLite does by itself on a full disk.
        let roll_back = |queue: &WriteQueue| {
            push(queue, |rows| {
                rows.connection.execute_batch("ROLLBACK")?;
                rows.connection.execute("INSERT INTO nowhere VALUES (1)", ())?;
                Ok(0)
            })
        };
        let (told, rows) =
            written(|queue| vec![insert(queue, 1), roll_back(queue), insert(queue, 2)]);
        let is_why = |told: &Result<_, String>| told.as_ref().is_err_and(|e| e.contains("nowhere"));
        assert!(told.iter().all(is_why), "what came first is told: {told:?}");
        assert!(rows.is_empty(), "{rows:?}");
    }

    #[test]
    fn a_transaction_has_a_maximum_of_writes() {
        let queue = WriteQueue::default();
        let _answers: Vec<_> = (0..300).map(|x| insert(&queue, x)).collect();
        assert_eq!((queue.next().len(), queue.next().len()), (256, 44));
        assert_eq!(queue.next().len(), 0);
    }
    #[test]
    fn operators_go_first_and_are_never_refused_because_of_a_crowd() {
        let (told, rows) = written(|queue| {
            let mut answers: Vec<_> = (0..MAX_WAITING as i64).map(|x| insert(queue, x)).collect();
            assert!(queue.push(Caller::Stranger, |_| Ok(())).is_none());
            let operator = |rows: &mut SqliteRows<'_>| {
                rows.connection.execute("INSERT INTO t VALUES (-1)", ())?;
                Ok(-1)
            };
            answers.insert(0, queue.push(Caller::Operator, operator).unwrap());
            // Those of the later batches.
            answers.truncate(MAX_BATCH);
            answers
        });
        assert_eq!((rows[0], rows.len()), (-1, MAX_BATCH));
        assert!(told.iter().all(Result::is_ok), "{told:?}");
    }

    #[test]
    fn an_abandoned_write_of_a_stranger_is_skipped() {
        let (told, rows) = written(|queue| {
            let kept = insert(queue, 1);
            (2..=MAX_WAITING as i64).for_each(|x| drop(insert(queue, x)));
            let operator = |rows: &mut SqliteRows<'_>| {
                rows.connection.execute("INSERT INTO t VALUES (-1)", ())
            };
            drop(queue.push(Caller::Operator, operator));
            vec![kept]
        });
        assert_eq!((told, rows), (vec![Ok(1)], vec![-1, 1]));
    }
}
