//! Writes that share a transaction: those that come while another is made durable go together into the
//! next one, so that they wait for the disk once and not one after the other.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::op::{After, Write};
use crate::{StoreError, StoreOptions};

/// How many writes share a transaction at most, so that the first of them does not wait long for the
/// last.
const MAX_BATCH: usize = 256;

/// The writes that wait for their turn.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Box<dyn Operation>>>);

/// A write, and whoever waits for its answer.
pub(crate) trait Operation: Send {
    /// Does it, and keeps the answer.
    fn run(&mut self, write: &mut Write<'_>) -> rusqlite::Result<()>;

    /// Gives the answer, or says why there is none.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What was made durable, and was not answered yet.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) operations: Vec<Box<dyn Operation>>,
    /// What follows them.
    pub(crate) after: Vec<After>,
}

impl Queue {
    /// Puts a write at the end.
    pub(crate) fn push<T, F>(&self, op: F) -> oneshot::Receiver<Result<T, StoreError>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { op: Some(op), value: None, answer };
        self.waiting(|waiting| waiting.push_back(Box::new(asked)));
        answered
    }

    /// The one that has waited longest.
    pub(crate) fn first(&self) -> Option<Box<dyn Operation>> {
        self.waiting(VecDeque::pop_front)
    }

    /// Those that go together, in their order.
    pub(crate) fn next(&self) -> VecDeque<Box<dyn Operation>> {
        self.waiting(|waiting| {
            let later = waiting.split_off(waiting.len().min(MAX_BATCH));
            mem::replace(waiting, later)
        })
    }

    fn waiting<T>(&self, with: impl FnOnce(&mut VecDeque<Box<dyn Operation>>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Makes these writes durable, in one transaction. One that fails is taken back and told why, and the
/// others are kept; when the transaction fails, all of them are told.
pub(crate) fn write(
    connection: &mut Connection,
    path: &Path,
    options: &StoreOptions,
    operations: VecDeque<Box<dyn Operation>>,
) -> Written {
    let mut waiting = operations.into_iter();
    let mut written = Written::default();
    let committed = in_transaction(connection, |tx| {
        // Read in the transaction, so that stamps have the order of the commits.
        let now = options.clock.now().unix_timestamp();
        let expired = Cell::new(false);
        for mut operation in waiting.by_ref() {
            let mut write = Write { tx, now, options, expired: &expired, after: After::default() };
            match in_savepoint(tx, || operation.run(&mut write)) {
                Ok(Ok(())) => {
                    written.after.push(write.after);
                    written.operations.push(operation);
                }
                Ok(Err(error)) => {
                    // It may have been the one that put it away.
                    expired.set(false);
                    operation.answer(Err(StoreError::sqlite(path, error)));
                }
                // A full disk and the like take back what came before, too.
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
            Written::default()
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

/// Does a part of a transaction, or none of it. An error beside that of the part itself is one of the
/// transaction, which must not be committed then.
fn in_savepoint(
    tx: &Transaction<'_>,
    part: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<rusqlite::Result<()>> {
    tx.prepare_cached("SAVEPOINT operation")?.execute(())?;
    let done = part();
    if tx.is_autocommit() {
        // There is no transaction any more.
        return done.map(Ok);
    }
    if done.is_err() {
        tx.prepare_cached("ROLLBACK TO operation")?.execute(())?;
    }
    tx.prepare_cached("RELEASE operation")?.execute(())?;
    Ok(done)
}

/// The same error once more: several have to be told.
fn same(error: &rusqlite::Error) -> rusqlite::Error {
    let unknown = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
    let code = error.sqlite_error().copied().unwrap_or(unknown);
    rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
}

/// A write as a function.
struct Asked<T, F> {
    op: Option<F>,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, write: &mut Write<'_>) -> rusqlite::Result<()> {
        if let Some(op) = self.op.take() {
            self.value = Some(op(write)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, answer, .. } = *self;
        // The caller may be gone: what was done stays done.
        let _ = answer.send(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    type Answer = oneshot::Receiver<Result<i64, StoreError>>;

    /// A database with an empty table, and what of it is left after these writes.
    fn written(push: impl FnOnce(&Queue) -> Vec<Answer>) -> (Vec<Result<i64, String>>, Vec<i64>) {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER UNIQUE)").unwrap();
        let queue = Queue::default();
        let answers = push(&queue);
        let path = Path::new("pairing.db");
        let done = write(&mut connection, path, &StoreOptions::default(), queue.next());
        assert_eq!(done.operations.len(), done.after.len());
        done.operations.into_iter().for_each(|operation| operation.answer(Ok(())));
        let cause = |e: StoreError| std::error::Error::source(&e).unwrap().to_string();
        let told = |mut answer: Answer| answer.try_recv().unwrap().map_err(cause);
        let told = answers.into_iter().map(told).collect();
        let mut rows = connection.prepare("SELECT x FROM t ORDER BY rowid").unwrap();
        let rows = rows.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>();
        (told, rows.unwrap())
    }

    fn insert(queue: &Queue, x: i64) -> Answer {
        queue.push(move |write| {
            write.tx.execute("INSERT INTO t VALUES (?1)", params![x])?;
            Ok(x)
        })
    }

    #[test]
    fn writes_go_together_in_their_order() {
        let (told, rows) = written(|queue| [3, 1, 2].map(|x| insert(queue, x)).into());
        assert_eq!((told, rows), (vec![Ok(3), Ok(1), Ok(2)], vec![3, 1, 2]));
    }

    #[test]
    fn one_that_fails_is_taken_back_and_the_others_are_kept() {
        let half_done = |queue: &Queue| {
            queue.push(|write| {
                write.tx.execute("INSERT INTO t VALUES (7)", ())?;
                write.tx.execute("INSERT INTO t VALUES (1)", ())?;
                Ok(7)
            })
        };
        let (told, rows) =
            written(|queue| vec![insert(queue, 1), half_done(queue), insert(queue, 2)]);
        assert_eq!((&told[0], &told[2], rows), (&Ok(1), &Ok(2), vec![1, 2]));
        assert!(told[1].is_err(), "{told:?}");
    }

    #[test]
    fn what_one_that_fails_put_away_is_put_away_by_the_next() {
        let put_away = |queue: &Queue, then: &'static str| {
            queue.push(move |write| {
                let was_done = write.expired.replace(true);
                write.tx.execute(then, ())?;
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
    fn all_are_told_when_the_transaction_is_gone() {
        // As SQLite does by itself on a full disk.
        let roll_back = |queue: &Queue| {
            queue.push(|write| {
                write.tx.execute_batch("ROLLBACK")?;
                write.tx.execute("INSERT INTO nowhere VALUES (1)", ())?;
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
    fn only_so_many_go_together() {
        let queue = Queue::default();
        let _answers: Vec<_> = (0..300).map(|x| insert(&queue, x)).collect();
        assert_eq!((queue.next().len(), queue.next().len()), (256, 44));
        assert_eq!(queue.next().len(), 0);
    }
}
