//! Watches the file for external changes, and runs the periodic maintenance.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::feed::ChangeFeed;
use crate::integrity::IntegrityCheck;
use crate::open::Db;
use crate::open::place::FileId;
use crate::worker::{self, ReconnectingConnection};
use crate::{StoreError, StoreErrorKind};

/// How often maintenance runs.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// How often the log repeats the same error.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// The most queued refreshes: each message that finds a gate out of date asks for one.
const MAX_REFRESHES: usize = 1024;

/// Keeps the replicas of a file up to date. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Watcher {
    path: PathBuf,
    refresh: Option<SyncSender<Answer>>,
    thread: Option<JoinHandle<()>>,
}

/// The caller of a refresh, if it waits.
pub(crate) type Answer = Option<oneshot::Sender<Result<(), StoreError>>>;

impl Watcher {
    /// Starts the thread, which begins with a complete load.
    pub(crate) fn start(options: WatchOptions) -> Result<Self, StoreError> {
        let (refresh, refreshes) = mpsc::sync_channel(MAX_REFRESHES);
        let path = options.path.clone();
        let watch = Watch { options, seen: None, reported: None, checked: None };
        let thread = worker::spawn("pairing-watch", move || watch.run(&refreshes))?;
        Ok(Self { path, refresh: Some(refresh), thread: Some(thread) })
    }

    /// Asks for a refresh now, and sends its result to `answer`.
    pub(crate) fn refresh(&self, answer: Answer) -> Result<(), StoreError> {
        let refresh = self.refresh.as_ref().ok_or_else(StoreError::closed)?;
        refresh.try_send(answer).map_err(|error| match error {
            TrySendError::Full(_) => {
                let full = StoreErrorKind::QueueFull { waiting: MAX_REFRESHES };
                StoreError::new(full, &self.path)
            }
            TrySendError::Disconnected(_) => StoreError::closed(),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.refresh = None;
        worker::join_from_elsewhere(self.thread.take());
    }
}

/// What is watched, and what is called.
pub(crate) struct WatchOptions {
    pub(crate) path: PathBuf,
    pub(crate) connection: ReconnectingConnection,
    pub(crate) feed: Arc<ChangeFeed>,
    /// How often the file is polled for changes.
    pub(crate) poll_interval: Duration,
    /// How often all tables are checked.
    pub(crate) check_interval: Duration,
    /// Starts the periodic maintenance; must not block.
    pub(crate) maintain: Box<dyn Fn() + Send>,
    /// Has the other threads close a file that was replaced; must not block.
    pub(crate) release: Box<dyn Fn() + Send>,
}

struct Watch {
    options: WatchOptions,
    /// `PRAGMA data_version` when the replicas were last brought up to date.
    seen: Option<i64>,
    /// The error of the last poll, and when it was last logged.
    reported: Option<(String, Instant)>,
    /// The last check of all tables, of which file, and since when.
    checked: Option<(IntegrityCheck, Option<FileId>, Instant)>,
}

impl Watch {
    fn run(mut self, refreshes: &Receiver<Answer>) {
        let mut cleaned = Instant::now();
        loop {
            let answer = match refreshes.recv_timeout(self.options.poll_interval) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let polled = self.poll();
            self.report(polled.as_ref().err());
            if polled.is_ok() {
                self.check();
            }
            if let Some(answer) = answer {
                // The caller may be gone.
                let _ = answer.send(polled);
            }
            if cleaned.elapsed() >= MAINTENANCE_INTERVAL {
                cleaned = Instant::now();
                (self.options.maintain)();
            }
        }
    }

    /// Publishes changes, if there are any.
    fn poll(&mut self) -> Result<(), StoreError> {
        if !self.options.connection.is_current() {
            // Another file, or a missing one: the state of the replicas is not its own.
            self.options.feed.invalidate();
            self.seen = None;
            if self.options.connection.id().is_some() {
                // While one connection of this process has the old file open, SQLite would use its index
                // of a quarantined WAL, should the file come back.
                self.checked = None;
                (self.options.release)();
            }
        }
        let WatchOptions { path, connection, feed, .. } = &mut self.options;
        let db = connection.db().inspect_err(|_| feed.invalidate())?;
        let published = publish_changes(path, db, feed, &mut self.seen);
        published.map_err(|error| {
            self.seen = None;
            StoreError::sqlite(path, error)
        })
    }

    /// Checks all tables in the background once the replicas are loaded: each new file, and daily.
    fn check(&mut self) {
        let file = self.options.connection.id();
        if let Some((_, checked, since)) = &self.checked
            && *checked == file
            && since.elapsed() < self.options.check_interval
        {
            return;
        }
        self.checked = None;
        let feed = Arc::clone(&self.options.feed);
        match IntegrityCheck::start(self.options.path.clone(), move |verdict| feed.report(verdict))
        {
            Ok(check) => self.checked = Some((check, file, Instant::now())),
            Err(error) => tracing::warn!(%error, "cannot check the database"),
        }
    }

    /// Logs an error when it begins and then at intervals, not at every poll.
    fn report(&mut self, error: Option<&StoreError>) {
        let Some(error) = error else {
            if self.reported.take().is_some() {
                tracing::info!(path = %self.options.path.display(), "the store can be read again");
            }
            return;
        };
        let text = error.to_string();
        if let Some((reported, since)) = &self.reported
            && *reported == text
            && since.elapsed() < REPORT_INTERVAL
        {
            return;
        }
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(path = %self.options.path.display(), %error, cause, "the store cannot be read");
        self.reported = Some((text, Instant::now()));
    }
}

fn publish_changes(
    path: &Path,
    db: &mut Db,
    feed: &ChangeFeed,
    seen: &mut Option<i64>,
) -> rusqlite::Result<()> {
    let replicas = feed.replicas_now();
    // Read before the changes: what is committed in between is published at the next poll.
    let version =
        db.connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?;
    if *seen == Some(version) && feed.heartbeat(&replicas) {
        return Ok(());
    }
    feed.publish(path, db)?;
    *seen = Some(version);
    Ok(())
}
