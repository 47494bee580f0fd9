//! The storage: its threads, and how an operation gets to them.

mod maintenance;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nexo_pairing_core::{Clock, PairingError, Replica};
use nexo_pairing_engine::{Caller, Maintenance, PortResult, Progress, Rows, Storage};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::batch::{self, WriteQueue};
use crate::feed::ChangeFeed;
use crate::open::{self, Db, place, previous};
use crate::rows::{SqliteRows, sqlite_error};
use crate::space::{self, Space};
use crate::watch::{Answer, WatchOptions, Watcher};
use crate::worker::{self, ReconnectingConnection, WorkQueue, Worker};
use crate::{StoreError, StoreErrorKind, StoreOptions, inspect};

/// The rows of one SQLite file. Writes run one after the other on one thread, reads on another. Dropping
/// it waits for queued work.
#[derive(Debug)]
pub(crate) struct SqliteStorage {
    // In the order of their drops: the watcher queues work for the writer.
    watcher: Mutex<Option<Watcher>>,
    writer: Worker,
    /// `None` in memory, where there is only one connection.
    reader: Option<Worker>,
    shared: Arc<Shared>,
}

/// What the threads of a store share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: StoreOptions,
    queue: WriteQueue,
    feed: Arc<ChangeFeed>,
    /// Whether the periodic maintenance is running.
    is_maintaining: AtomicBool,
    space: Space,
}

impl SqliteStorage {
    pub(crate) async fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let keep_copy = options.copy_before_upgrade;
        // Not on the caller's thread: making folders and waiting for a lock may take a while.
        let open = worker::once("pairing-open", move || {
            let absolute = std::path::absolute(&path);
            let path = absolute.map_err(|error| StoreError::io(&path, error))?;
            let db = open::open_or_create(&path, keep_copy)?;
            Ok((path, db))
        });
        let (path, db) = open.await?;
        let writer = Worker::start(
            "pairing-write",
            ReconnectingConnection::connected(path.clone(), keep_copy, db),
        )?;
        let reader =
            Worker::start("pairing-read", ReconnectingConnection::new(path.clone(), keep_copy))?;
        Ok(Self::new(path, writer, Some(reader), options))
    }

    /// A storage on a private connection.
    pub(crate) async fn detached(
        path: PathBuf,
        options: StoreOptions,
        connect: fn(&Path) -> Result<Connection, StoreError>,
    ) -> Result<Self, StoreError> {
        let name = path.clone();
        let open = worker::once("pairing-open", move || Ok(Db::detached(connect(&name)?)));
        let writer = Worker::start(
            "pairing-memory",
            ReconnectingConnection::connected(path.clone(), false, open.await?),
        )?;
        Ok(Self::new(path, writer, None, options))
    }

    fn new(path: PathBuf, writer: Worker, reader: Option<Worker>, options: StoreOptions) -> Self {
        let (queue, feed) = (WriteQueue::default(), Arc::default());
        let (is_maintaining, space) = (AtomicBool::default(), Space::default());
        let shared = Arc::new(Shared { path, options, queue, feed, is_maintaining, space });
        Self { watcher: Mutex::default(), writer, reader, shared }
    }

    /// Writes a complete copy of the database to `destination`, while it is in use.
    pub(crate) async fn backup(&self, destination: &Path) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        let path = self.shared.path.clone();
        let database = path.clone();
        let backup = self.reading().run(Caller::Operator, &database, move |db| {
            inspect::backup(&path, &db.connection, &destination)
        });
        backup.await
    }

    fn request_refresh(&self, answer: Answer) -> Result<(), StoreError> {
        let Self { watcher, writer, reader, shared } = self;
        let Some(reader) = reader else {
            // In memory there are no external changes to watch for.
            let shared = Arc::clone(shared);
            return writer.queue().send(move |db| {
                let refreshed = db.and_then(|db| shared.publish(db));
                answer.map(|answer| answer.send(refreshed));
            });
        };
        let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = &*watcher {
            return watcher.refresh(answer);
        }
        let (jobs, maintained) = (writer.queue().clone(), Arc::clone(shared));
        let threads = [writer.queue().clone(), reader.queue().clone()];
        let started = Watcher::start(WatchOptions {
            path: shared.path.clone(),
            connection: ReconnectingConnection::new(
                shared.path.clone(),
                shared.options.copy_before_upgrade,
            ),
            feed: Arc::clone(&shared.feed),
            poll_interval: shared.options.poll_interval.max(Duration::from_millis(1)),
            check_interval: shared.options.check_interval,
            maintain: Box::new(move || maintained.run_maintenance(&jobs)),
            // Each job closes a file that was replaced before it runs.
            release: Box::new(move || threads.iter().for_each(|jobs| drop(jobs.send(|_| ())))),
        })?;
        watcher.insert(started).refresh(answer)
    }

    fn reading(&self) -> &WorkQueue {
        self.reader.as_ref().unwrap_or(&self.writer).queue()
    }
}

impl Storage for SqliteStorage {
    async fn write<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let answered = shared.queue.push(caller, move |rows| operation(rows).map_err(sqlite_error));
        let full = StoreErrorKind::QueueFull { waiting: batch::MAX_WAITING };
        let answered = answered.ok_or_else(|| StoreError::new(full, &shared.path))?;
        // The first job takes all queued writes along; the jobs of the others then find none.
        self.writer.queue().send(move |db| shared.write(db))?;
        Ok(answered.await.unwrap_or_else(|_| Err(StoreError::closed()))?)
    }

    async fn read<T, F>(&self, caller: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Rows) -> PortResult<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let path = shared.path.clone();
        let read = self.reading().run(caller, &path, move |db| {
            let read = read(&db.connection, &*shared.options.clock, operation);
            read.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        Ok(read.await?)
    }

    async fn maintain(&self, maintenance: Maintenance) -> Result<Progress, PairingError> {
        let (shared, writer) = (Arc::clone(&self.shared), self.writer.queue().clone());
        Ok(worker::once("pairing-purge", move || shared.maintain(&writer, maintenance)).await?)
    }

    fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.shared.feed.add(replica);
        // A replica that is never loaded keeps its gate closed, so it is safe to go on.
        if let Err(error) = self.request_refresh(None) {
            tracing::error!(%error, "cannot watch the store");
        }
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        let (answer, answered) = oneshot::channel();
        self.request_refresh(Some(answer))?;
        Ok(answered.await.unwrap_or_else(|_| Err(StoreError::closed()))?)
    }

    /// Fails after 10 s if another process holds the database.
    async fn probe(&self) -> Result<(), PairingError> {
        let shared = Arc::clone(&self.shared);
        let path = shared.path.clone();
        let read = self.reading().run(Caller::Stranger, &path, move |db| {
            let read = db.connection.query_row(PROBE_READ, (), |_| Ok(()));
            read.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        read.await?;
        let shared = Arc::clone(&self.shared);
        // Anyone who reaches a server may ask for its health.
        let probe = self.writer.queue().run(Caller::Stranger, &path, move |db| {
            let probed = probe(&mut db.connection);
            probed.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        Ok(probe.await?)
    }
}

/// Reads in one transaction, so at one moment; a view is in one already.
fn read<T>(
    connection: &Connection,
    clock: &dyn Clock,
    operation: impl FnOnce(&dyn Rows) -> PortResult<T>,
) -> rusqlite::Result<T> {
    let _tx = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let had_maintenance = Cell::new(true);
    operation(&SqliteRows::new(connection, clock.now(), &had_maintenance)).map_err(sqlite_error)
}

impl Shared {
    /// Commits the queued writes, and answers their callers once the replicas are up to date.
    fn write(&self, db: Result<&mut Db, StoreError>) {
        let db = match db {
            Ok(db) => db,
            Err(error) => {
                // The others have jobs of their own, which try again.
                if let Some(first) = self.queue.first() {
                    first.answer(Err(error));
                }
                return;
            }
        };
        let low = db.id().and_then(|_| self.space.low(&self.path));
        if let Some(free) = low {
            for operation in self.queue.take_strangers() {
                operation
                    .answer(Err(StoreError::new(StoreErrorKind::LowSpace { free }, &self.path)));
            }
        }
        let operations = self.queue.next();
        if operations.is_empty() {
            return;
        }
        if low.is_some() {
            // So that the write reuses the beginning of the WAL. If a full disk prevents it, the write is
            // appended.
            let _ = space::checkpoint(&db.connection, "PASSIVE");
        }
        let (connection, is_low) = (&mut db.connection, low.is_some());
        let written = batch::write(connection, &self.path, &self.options, is_low, operations);
        if written.operations.is_empty() {
            return;
        }
        written.effects.after_commit.into_iter().for_each(|effect| effect());
        // The writes are durable in any case: replicas that cannot follow are invalidated.
        if let Err(error) = self.publish(db) {
            tracing::error!(%error, "the replicas cannot follow the store");
        }
        if written.effects.wipe {
            self.wipe_wal(db);
        }
        let is_current = db.is_at(&self.path);
        for operation in written.operations {
            operation.answer(match is_current {
                true => Ok(()),
                // It was written to a file that was replaced.
                false => Err(StoreError::new(StoreErrorKind::Replaced, &self.path)),
            });
        }
    }

    /// Wipes the WAL, in which deleted rows remain until they are overwritten.
    fn wipe_wal(&self, db: &mut Db) {
        if db.id().is_none() {
            return;
        }
        place::remove_quarantined(&self.path);
        if let Err(error) = previous::remove_copies(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a copy from before an upgrade");
        }
        let wiped = space::wipe(&self.path, &mut db.connection);
        if !matches!(wiped, Ok(true)) {
            // It is being read, or the disk is full: later writes overwrite it.
            let error = wiped.err();
            tracing::warn!(path = %self.path.display(), ?error, "failed to wipe the WAL");
        }
    }

    fn publish(&self, db: &mut Db) -> Result<(), StoreError> {
        let published = self.feed.publish(&self.path, db);
        published.map_err(|error| StoreError::sqlite(&self.path, error))
    }
}

/// Reads a page of the database, not only the cached schema.
const PROBE_READ: &str = "SELECT count(*) FROM (SELECT 1 FROM pairing_sessions LIMIT 1)";

/// Writes, and rolls back.
fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // About as much as an operation may write.
    let write = "INSERT INTO pairing_audit (at, actor, action, detail_json)
        VALUES (0, 'probe', 'probe', zeroblob(65536))";
    tx.execute(write, ())?;
    // Otherwise nothing would reach the disk before the commit, and a full one would go unnoticed.
    tx.cache_flush()?;
    tx.rollback()
}
