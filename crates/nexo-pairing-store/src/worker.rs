//! Threads that run SQLite's blocking calls, so that no async worker thread does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nexo_pairing_engine::Caller;
use tokio::sync::oneshot;

use crate::open::place::FileId;
use crate::open::{self, Db};
use crate::{StoreError, StoreErrorKind};

/// What a worker runs, given the connection or the error in its place. `None` ends the thread.
type Job = Option<Box<dyn FnOnce(Result<&mut Db, StoreError>) + Send>>;

/// A thread with a connection. Dropping it waits for its queued jobs.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: WorkQueue,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The queue of a worker's thread.
#[derive(Debug, Clone)]
pub(crate) struct WorkQueue {
    sender: Sender<Job>,
    /// How many jobs of strangers are queued.
    waiting: Arc<AtomicUsize>,
}

/// The most jobs of strangers in one queue. Each takes less than 1 kB.
const MAX_WAITING: usize = 1024;

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(
        name: &str,
        mut connection: ReconnectingConnection,
    ) -> Result<Self, StoreError> {
        let (sender, jobs) = mpsc::channel();
        let thread = spawn(name, move || run(&jobs, &mut connection))?;
        let jobs = WorkQueue { sender, waiting: Arc::default() };
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// The queue of the thread.
    pub(crate) fn queue(&self) -> &WorkQueue {
        &self.jobs
    }
}

impl WorkQueue {
    /// Runs `job`, which uses the database at `path`, on the thread. It runs to its end even if the caller
    /// is dropped, unless it is a stranger's and has not started by then.
    pub(crate) async fn run<T, F>(
        &self,
        caller: Caller,
        path: &Path,
        job: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    {
        let place = match caller {
            Caller::Operator => None,
            Caller::Stranger => Some(Slot::acquire(&self.waiting, path)?),
        };
        let (answer, answered) = oneshot::channel();
        self.send(move |db| {
            let is_abandoned = place.is_some() && answer.is_closed();
            drop(place);
            if !is_abandoned {
                // The caller may be gone: the job stays done.
                let _ = answer.send(db.and_then(job));
            }
        })?;
        answered.await.unwrap_or_else(|_| Err(StoreError::closed()))
    }

    /// Queues a job without waiting for it.
    pub(crate) fn send(
        &self,
        job: impl FnOnce(Result<&mut Db, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.sender.send(Some(Box::new(job))).map_err(|_| StoreError::closed())
    }
}

/// A stranger's slot in a queue.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn acquire(waiting: &Arc<AtomicUsize>, path: &Path) -> Result<Self, StoreError> {
        let taken = waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < MAX_WAITING).then_some(waiting + 1)
        });
        taken
            .map(|_| Self(Arc::clone(waiting)))
            .map_err(|waiting| StoreError::new(StoreErrorKind::QueueFull { waiting }, path))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Other handles of the queue may remain. A thread that has ended needs no signal.
        let _ = self.jobs.sender.send(None);
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        join_from_elsewhere(thread);
    }
}

/// Runs `job` on a thread of its own. It goes on when the caller is dropped.
pub(crate) async fn once<T, F>(name: &str, job: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    spawn(name, move || {
        let _ = answer.send(job());
    })?;
    answered.await.unwrap_or_else(|_| Err(StoreError::closed()))
}

/// Starts a thread.
pub(crate) fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| StoreError::io(Path::new(name), error))
}

/// Joins a thread, unless it is this one: a store may be dropped by its own threads, when they drop the
/// last replica that holds it.
pub(crate) fn join_from_elsewhere(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
        // The caller of a job that panicked has its error already.
        let _ = thread.join();
    }
}

fn run(jobs: &Receiver<Job>, connection: &mut ReconnectingConnection) {
    while let Ok(Some(job)) = jobs.recv() {
        // One that panics drops its sender, which is the caller's error, and rolls back its transaction;
        // a thread that ended with it would leave the others waiting forever.
        let _ = catch_unwind(AssertUnwindSafe(|| job(connection.db())));
    }
}

/// A connection that reopens its file when that was replaced.
pub(crate) struct ReconnectingConnection {
    path: PathBuf,
    /// Whether a copy is kept before an upgrade.
    keep_copy: bool,
    db: Option<Db>,
}

impl ReconnectingConnection {
    /// Opens the file on first use.
    pub(crate) fn new(path: PathBuf, keep_copy: bool) -> Self {
        Self { path, keep_copy, db: None }
    }

    /// Takes a connection that is open already.
    pub(crate) fn connected(path: PathBuf, keep_copy: bool, db: Db) -> Self {
        Self { path, keep_copy, db: Some(db) }
    }

    /// Whether it is connected to the file that is now at its path.
    pub(crate) fn is_current(&self) -> bool {
        self.db.as_ref().is_some_and(|db| db.is_at(&self.path))
    }

    /// Which file it is connected to.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.db.as_ref().and_then(Db::id)
    }

    /// The connection, to the file that is now at its path.
    pub(crate) fn db(&mut self) -> Result<&mut Db, StoreError> {
        if !self.is_current() {
            // Closed before the new one is opened.
            self.db = None;
            self.db = Some(open::reopen(&self.path, self.keep_copy)?);
        }
        self.db.as_mut().ok_or_else(StoreError::closed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use nexo_pairing_core::Actor;
    use nexo_pairing_engine::{Attempt, AttemptKind, Rows, Storage};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::Caller;
    use crate::storage::SqliteStorage;
    use crate::{StoreOptions, inspect};

    #[tokio::test]
    async fn a_panicking_write_is_rolled_back_and_blocks_no_other() {
        let (path, options) = (PathBuf::from(":memory:"), StoreOptions::default());
        let storage = SqliteStorage::detached(path, options, inspect::empty).await.unwrap();
        let (begin, begun) = oneshot::channel();
        let (go, gone) = mpsc::channel::<u8>();
        let (begin, gone) = (Mutex::new(Some(begin)), Mutex::new(gone));
        let attempt = Attempt { kind: AttemptKind::Unknown, at: 1 };
        let bad = storage.write(Caller::Operator, move |rows: &mut dyn Rows| {
            rows.insert_attempt(&Actor::cli(), attempt)?;
            begin.lock().unwrap().take().unwrap().send(()).unwrap();
            Ok(gone.lock().unwrap().recv().expect("it panics on purpose"))
        });
        let good = async {
            // So that it is not in the same transaction.
            begun.await.unwrap();
            let good = storage
                .write(Caller::Operator, |rows: &mut dyn Rows| rows.attempts(&Actor::cli(), 0));
            tokio::join!(good, async { drop(go) }).0
        };
        let both = timeout(Duration::from_secs(10), async { tokio::join!(bad, good) });
        let (bad, good) = both.await.unwrap();
        assert!(bad.is_err());
        assert_eq!(good.unwrap(), []);
    }
}
