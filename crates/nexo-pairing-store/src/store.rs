//! The handle of a store: its threads, and how an operation gets to them.

mod housekeeping;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nexo_pairing_core::{ManualClock, Mirror, PairingError, RandomSource, WarningLimiter, metric};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::batch::{self, Queue};
use crate::feed::Feed;
use crate::op::Write;
use crate::open::{self, Opened, place, previous};
use crate::space::{self, Space};
use crate::watch::{Answer, Watcher};
use crate::worker::{self, Caller, Holder, Jobs, Worker};
use crate::{StoreError, StoreOptions, inspect};

/// Grants, blocks, requests, sessions and the audit log, in one SQLite file.
///
/// A clone is the same handle. Its operations are those of
/// [`OperatorBackend`](nexo_pairing_core::OperatorBackend), and those on setup codes and sessions below;
/// writes run one after the other on a thread of their own, reads on another beside it. Dropping the
/// last handle waits for what was begun.
#[derive(Debug, Clone)]
pub struct PairingStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
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
    queue: Queue,
    feed: Arc<Feed>,
    /// Warnings of replays, by session and whether they ended it: whoever saw a code can cause any
    /// number of them.
    replays: WarningLimiter<(String, bool)>,
    /// Whether the housekeeping is at work.
    is_purging: AtomicBool,
    space: Space,
}

impl PairingStore {
    /// Opens the database at `path`; makes it, mode 0600, and its folder, mode 0700, when they are
    /// not there, and upgrades one of an older version in place, of which it may keep a copy: see
    /// [`StoreOptions::copy_before_upgrade`].
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] with a [`StoreError`] that says what is wrong with the file and
    /// what can be done. A file that cannot be used is left as it was.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, PairingError> {
        Self::open_with(path, StoreOptions::default()).await
    }

    /// [`open`](Self::open) with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: StoreOptions,
    ) -> Result<Self, PairingError> {
        let path = path.as_ref().to_owned();
        let keep_copy = options.copy_before_upgrade;
        // Not on the caller's thread: making folders and waiting for a lock may take a while.
        let open = worker::once("pairing-open", move || {
            let absolute = std::path::absolute(&path);
            let path = absolute.map_err(|error| StoreError::io(&path, error))?;
            let opened = open::open_or_create(&path, keep_copy)?;
            Ok((path, opened))
        });
        let (path, opened) = open.await?;
        let writer =
            Worker::start("pairing-write", Holder::holding(path.clone(), keep_copy, opened))?;
        let reader = Worker::start("pairing-read", Holder::of(path.clone(), keep_copy))?;
        Ok(Self::new(path, writer, Some(reader), options))
    }

    /// A store in memory, which ends with its last handle.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when no thread can be started.
    pub async fn open_memory() -> Result<Self, PairingError> {
        Self::open_memory_with(StoreOptions::default()).await
    }

    /// [`open_memory`](Self::open_memory) with options.
    ///
    /// # Errors
    ///
    /// As for [`open_memory`](Self::open_memory).
    pub async fn open_memory_with(options: StoreOptions) -> Result<Self, PairingError> {
        let path = PathBuf::from(":memory:");
        Self::detached(path, options, inspect::empty).await
    }

    /// A private copy, in memory, of the database at `path`: nothing that is done to it reaches the
    /// file, and nothing is made or upgraded on disk. A file that is not there is an empty store.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn snapshot(
        path: impl AsRef<Path>,
        options: StoreOptions,
    ) -> Result<Self, PairingError> {
        Self::detached(path.as_ref().to_owned(), options, inspect::copy).await
    }

    /// A view of the database at `path` as it is now, with a clock that stands still; operations that
    /// write fail. Nothing is made or
    /// upgraded on disk. It reads the file itself, in one transaction that lasts as long as the view,
    /// and takes no more memory however large the file is. A copy in memory is read instead where the
    /// file has an older schema, or where it cannot be locked and may change while it is read. A file
    /// that is not there is an empty store.
    ///
    /// Other processes can write meanwhile. What they write stays in the WAL until the view is dropped,
    /// so drop it before anything that waits for a person.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn view(
        path: impl AsRef<Path>,
        mut options: StoreOptions,
    ) -> Result<Self, PairingError> {
        // What expires while it is read would be in one list and not in the next.
        options.clock = ManualClock::new(options.clock.now());
        Self::detached(path.as_ref().to_owned(), options, inspect::view).await
    }

    async fn detached(
        path: PathBuf,
        options: StoreOptions,
        connect: fn(&Path) -> Result<Connection, StoreError>,
    ) -> Result<Self, PairingError> {
        let name = path.clone();
        let open = worker::once("pairing-open", move || Ok(Opened::detached(connect(&name)?)));
        let writer =
            Worker::start("pairing-memory", Holder::holding(path.clone(), false, open.await?))?;
        Ok(Self::new(path, writer, None, options))
    }

    fn new(path: PathBuf, writer: Worker, reader: Option<Worker>, options: StoreOptions) -> Self {
        describe_metrics();
        let replays = WarningLimiter::new(Arc::clone(&options.clock));
        let (queue, feed) = (Queue::default(), Arc::default());
        let is_purging = AtomicBool::default();
        let space = Space::default();
        let shared = Arc::new(Shared { path, options, queue, feed, replays, is_purging, space });
        Self { inner: Arc::new(Inner { watcher: Mutex::default(), writer, reader, shared }) }
    }

    /// Writes a complete copy of the database to `destination`, while it is in use. The copy is one
    /// file, mode 0600, and appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] with [`StoreError::Exists`] when there is a file already, or with
    /// why it could not be written.
    pub async fn backup(&self, destination: impl AsRef<Path>) -> Result<(), PairingError> {
        let destination = destination.as_ref().to_owned();
        let path = self.inner.shared.path.clone();
        let database = path.clone();
        let backup = self.reading().run(Caller::Operator, &database, move |opened| {
            inspect::backup(&path, &opened.connection, &destination)
        });
        Ok(backup.await?)
    }

    /// Runs `op` in one transaction, which is durable and known to every mirror when this returns.
    /// An answer that is an error is committed too: failed attempts count.
    pub(crate) async fn write<T, F>(&self, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_as(Caller::Operator, op).await
    }

    /// [`write`](Self::write) for a stranger or a device: refused when too many of these wait already.
    pub(crate) async fn write_for_stranger<T, F>(&self, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_as(Caller::Stranger, op).await
    }

    async fn write_as<T, F>(&self, caller: Caller, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.inner.shared);
        let answered = shared.queue.push(caller, op);
        let answered = answered.ok_or_else(|| StoreError::QueueFull {
            path: shared.path.clone(),
            waiting: batch::MAX_WAITING,
        })?;
        // Whoever has the turn takes the others along, whose turns then find nothing to do.
        self.inner.writer.jobs().send(move |opened| shared.write(opened))?;
        Ok(answered.await.unwrap_or(Err(StoreError::Closed))?)
    }

    /// Runs `op` on a connection that does not write, with the time.
    pub(crate) async fn read<T, F>(&self, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(Caller::Operator, op).await
    }

    /// [`read`](Self::read) for whoever presents a token: refused when too many of these wait already.
    pub(crate) async fn read_for_stranger<T, F>(&self, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(Caller::Stranger, op).await
    }

    async fn read_as<T, F>(&self, caller: Caller, op: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> rusqlite::Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.inner.shared);
        let path = shared.path.clone();
        let read = self.reading().run(caller, &path, move |opened| {
            let now = shared.options.clock.now().unix_timestamp();
            op(&opened.connection, now).map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        Ok(read.await?)
    }

    /// Whether the store can be read and written now: for a health check. What it writes is taken back.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] with the [`StoreError`] that a read or a write would meet; after 10 s
    /// when somebody else holds the database.
    pub async fn probe(&self) -> Result<(), PairingError> {
        self.read_for_stranger(|connection, _| connection.query_row(PROBE_READ, (), |_| Ok(())))
            .await?;
        let shared = Arc::clone(&self.inner.shared);
        let path = shared.path.clone();
        // Whoever reaches a server may ask it for its health.
        let probe = self.inner.writer.jobs().run(Caller::Stranger, &path, move |opened| {
            let probed = probe(&mut opened.connection);
            probed.map_err(|error| StoreError::sqlite(&shared.path, error))
        });
        Ok(probe.await?)
    }

    /// Adds a mirror and has it loaded, behind the caller.
    pub(crate) fn add_mirror(&self, mirror: Weak<dyn Mirror>) {
        self.inner.shared.feed.add(mirror);
        // A mirror that is never loaded keeps its gate shut, so nothing is let in by going on.
        if let Err(error) = self.request_refresh(None) {
            tracing::error!(%error, "the store cannot be watched");
        }
    }

    /// Brings the mirrors up to date.
    pub(crate) async fn refresh_mirrors(&self) -> Result<(), PairingError> {
        let (answer, answered) = oneshot::channel();
        self.request_refresh(Some(answer))?;
        Ok(answered.await.unwrap_or(Err(StoreError::Closed))?)
    }

    fn request_refresh(&self, answer: Answer) -> Result<(), StoreError> {
        let Inner { watcher, writer, reader, shared } = &*self.inner;
        let Some(reader) = reader else {
            // In memory there is nobody else to watch.
            let shared = Arc::clone(shared);
            return writer.jobs().send(move |opened| {
                let refreshed = opened.and_then(|opened| shared.publish(opened));
                answer.map(|answer| answer.send(refreshed));
            });
        };
        let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = &*watcher {
            return watcher.refresh(answer);
        }
        let (jobs, housekeeper) = (writer.jobs().clone(), Arc::clone(shared));
        let threads = [writer.jobs().clone(), reader.jobs().clone()];
        let started = Watcher::start(
            Holder::of(shared.path.clone(), shared.options.copy_before_upgrade),
            shared.path.clone(),
            Arc::clone(&shared.feed),
            shared.options.poll_interval.max(Duration::from_millis(1)),
            shared.options.check_interval,
            move || housekeeper.keep_house(&jobs),
            // Each closes its file, if that is not there any more, before it does anything.
            move || threads.iter().for_each(|jobs| drop(jobs.send(|_| ()))),
        )?;
        watcher.insert(started).refresh(answer)
    }

    /// Where this store's randomness comes from.
    pub(crate) fn random(&self) -> &dyn RandomSource {
        &*self.inner.shared.options.random
    }

    fn reading(&self) -> &Jobs {
        self.inner.reader.as_ref().unwrap_or(&self.inner.writer).jobs()
    }
}

impl Shared {
    /// Writes what waits, and tells who waits for it once the mirrors know.
    fn write(&self, opened: Result<&mut Opened, StoreError>) {
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The others have turns of their own, in which it is tried again.
                if let Some(first) = self.queue.first() {
                    first.answer(Err(error));
                }
                return;
            }
        };
        let low = opened.id().and_then(|_| self.space.low(&self.path));
        if let Some(free) = low {
            for operation in self.queue.take_strangers() {
                operation.answer(Err(StoreError::LowSpace { path: self.path.clone(), free }));
            }
        }
        let operations = self.queue.next();
        if operations.is_empty() {
            return;
        }
        if low.is_some() {
            // So that this is written over the WAL's beginning. On a full disk it may not be possible:
            // then it is written behind what is there.
            let _ = space::checkpoint(&opened.connection, "PASSIVE");
        }
        let (connection, is_low) = (&mut opened.connection, low.is_some());
        let written = batch::write(connection, &self.path, &self.options, is_low, operations);
        if written.operations.is_empty() {
            return;
        }
        let wipe = written.after.iter().any(|after| after.wipe);
        written.after.into_iter().for_each(|after| after.tell(&self.replays));
        // The writes are done, whatever becomes of this: mirrors that cannot follow know it.
        if let Err(error) = self.publish(opened) {
            tracing::error!(%error, "the mirrors cannot follow the store");
        }
        if wipe {
            self.wipe_wal(opened);
        }
        let is_current = opened.is_at(&self.path);
        for operation in written.operations {
            operation.answer(match is_current {
                true => Ok(()),
                // What was written went into a file that is not there any more.
                false => Err(StoreError::Replaced { path: self.path.clone() }),
            });
        }
    }

    /// Empties the WAL, in which rows outlive their deletion until it is written anew.
    fn wipe_wal(&self, opened: &mut Opened) {
        if opened.id().is_none() {
            return;
        }
        place::remove_put_away(&self.path);
        if let Err(error) = previous::remove_copies(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a copy from before an upgrade stays");
        }
        let wiped = space::wipe(&self.path, &mut opened.connection);
        if !matches!(wiped, Ok(true)) {
            // Somebody reads in it, or the disk is full: it is overwritten by what is written next.
            let error = wiped.err();
            tracing::warn!(path = %self.path.display(), ?error, "the WAL could not be emptied yet");
        }
    }

    fn publish(&self, opened: &mut Opened) -> Result<(), StoreError> {
        let published = self.feed.publish(&self.path, opened);
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

fn describe_metrics() {
    metrics::describe_counter!(metric::APPROVALS_TOTAL, "Codes given to approve, by result.");
    metrics::describe_counter!(metric::CODES_EXPIRED_TOTAL, "Codes that ran out unused.");
}
