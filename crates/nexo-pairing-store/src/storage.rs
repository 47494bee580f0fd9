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

/// The rows of one SQLite file. Writes run one after the other on a thread of their own, reads on
/// another beside it. Dropping it waits for what was begun.
#[derive(Debug)]
pub(crate) struct SqliteStorage {
    // In the order in which they are dropped: the watcher hands work to the writer.
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

    /// A storage on a connection of its own, which nobody else writes through.
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
            // In memory there is nobody else to watch.
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
            // Each closes its file, if that is not there any more, before it does anything.
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
        // Whoever has the turn takes the others along, whose turns then find nothing to do.
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
        // A replica that is never loaded keeps its gate shut, so nothing is let in by going on.
        if let Err(error) = self.request_refresh(None) {
            tracing::error!(%error, "the store cannot be watched");
        }
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        let (answer, answered) = oneshot::channel();
        self.request_refresh(Some(answer))?;
        Ok(answered.await.unwrap_or_else(|_| Err(StoreError::closed()))?)
    }

    /// After 10 s it fails when somebody else holds the database.
    async fn probe(&self) -> Result<(), PairingError> {
        let shared = Arc::clone(&self.shared);
        let path = shared.path.clone();
        let read = self.reading().run(Caller::Stranger, &path, move |db| {
            let read = db.connection.query_row(PROBE_READ, (), |_| Ok(()));
            read.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        read.await?;
        let shared = Arc::clone(&self.shared);
        // Whoever reaches a server may ask it for its health.
        let probe = self.writer.queue().run(Caller::Stranger, &path, move |db| {
            let probed = probe(&mut db.connection);
            probed.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        Ok(probe.await?)
    }
}

/// Reads in one transaction, so that all of it is of one moment; a view is in one already.
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
    /// Writes what waits, and tells who waits for it once the replicas know.
    fn write(&self, db: Result<&mut Db, StoreError>) {
        let db = match db {
            Ok(db) => db,
            Err(error) => {
                // The others have turns of their own, in which it is tried again.
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
            // So that this is written over the WAL's beginning. On a full disk it may not be possible:
            // then it is written behind what is there.
            let _ = space::checkpoint(&db.connection, "PASSIVE");
        }
        let (connection, is_low) = (&mut db.connection, low.is_some());
        let written = batch::write(connection, &self.path, &self.options, is_low, operations);
        if written.operations.is_empty() {
            return;
        }
        written.effects.after_commit.into_iter().for_each(|effect| effect());
        // The writes are done, whatever becomes of this: replicas that cannot follow know it.
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
                // What was written went into a file that is not there any more.
                false => Err(StoreError::new(StoreErrorKind::Replaced, &self.path)),
            });
        }
    }

    /// Empties the WAL, in which rows outlive their deletion until it is written anew.
    fn wipe_wal(&self, db: &mut Db) {
        if db.id().is_none() {
            return;
        }
        place::remove_quarantined(&self.path);
        if let Err(error) = previous::remove_copies(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a copy from before an upgrade stays");
        }
        let wiped = space::wipe(&self.path, &mut db.connection);
        if !matches!(wiped, Ok(true)) {
            // Somebody reads in it, or the disk is full: it is overwritten by what is written next.
            let error = wiped.err();
            tracing::warn!(path = %self.path.display(), ?error, "the WAL could not be emptied yet");
        }
    }

    fn publish(&self, db: &mut Db) -> Result<(), StoreError> {
        let published = self.feed.publish(&self.path, db);
        published.map_err(|error| StoreError::sqlite(&self.path, error))
    }
}

/// Reads a page of the database, not only what is known of it.
const PROBE_READ: &str = "SELECT count(*) FROM (SELECT 1 FROM pairing_sessions LIMIT 1)";

/// Writes, and takes it back.
fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // About as much as an operation may write.
    let write = "INSERT INTO pairing_audit (at, actor, action, detail_json)
        VALUES (0, 'probe', 'probe', zeroblob(65536))";
    tx.execute(write, ())?;
    // Otherwise nothing would be written before the commit, and a full disk would go unnoticed.
    tx.cache_flush()?;
    tx.rollback()
}
