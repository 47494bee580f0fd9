//! A thread that notices what others do to the file, and keeps house.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::StoreError;
use crate::feed::Feed;
use crate::integrity::Examination;
use crate::open::Opened;
use crate::open::place::FileId;
use crate::worker::{self, Holder};

/// How often what has run out is put away.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// How often the log says that the same is still wrong.
const REPORT_AGAIN: Duration = Duration::from_secs(60);

/// How many refreshes wait at most: each message that finds a gate out of date asks for one.
const MAX_REFRESHES: usize = 1024;

/// Keeps the replicas of a file up to date. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Watcher {
    path: PathBuf,
    refresh: Option<SyncSender<Answer>>,
    thread: Option<JoinHandle<()>>,
}

/// Who waits for a refresh.
pub(crate) type Answer = Option<oneshot::Sender<Result<(), StoreError>>>;

impl Watcher {
    /// Starts the thread, which begins with a complete load. `housekeeping` is called now and then, and
    /// `release` when the file was replaced; neither may block.
    pub(crate) fn start(
        holder: Holder,
        path: PathBuf,
        feed: Arc<Feed>,
        interval: Duration,
        check_interval: Duration,
        housekeeping: impl Fn() + Send + 'static,
        release: impl Fn() + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (refresh, refreshes) = mpsc::sync_channel(MAX_REFRESHES);
        let database = path.clone();
        let thread = worker::spawn("pairing-watch", move || {
            let watch = Watch::new(holder, path, feed, check_interval, Box::new(release));
            watch.run(&refreshes, interval, &housekeeping);
        })?;
        Ok(Self { path: database, refresh: Some(refresh), thread: Some(thread) })
    }

    /// Asks for a refresh now; `answer` learns what came of it.
    pub(crate) fn refresh(&self, answer: Answer) -> Result<(), StoreError> {
        let refresh = self.refresh.as_ref().ok_or(StoreError::Closed)?;
        refresh.try_send(answer).map_err(|error| match error {
            TrySendError::Full(_) => {
                StoreError::QueueFull { path: self.path.clone(), waiting: MAX_REFRESHES }
            }
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.refresh = None;
        worker::join_from_elsewhere(self.thread.take());
    }
}

struct Watch {
    path: PathBuf,
    feed: Arc<Feed>,
    holder: Holder,
    /// Has the other threads let go of a file that is not there any more.
    release: Box<dyn Fn() + Send>,
    /// `PRAGMA data_version` when the replicas were last brought up to date.
    seen: Option<i64>,
    /// What was wrong at the last poll, and since when it has been said.
    reported: Option<(String, Instant)>,
    /// How often all tables are checked.
    check_interval: Duration,
    /// The last such check, of which file, and since when.
    checked: Option<(Examination, Option<FileId>, Instant)>,
}

impl Watch {
    fn new(
        holder: Holder,
        path: PathBuf,
        feed: Arc<Feed>,
        check_interval: Duration,
        release: Box<dyn Fn() + Send>,
    ) -> Self {
        let (seen, reported, checked) = (None, None, None);
        Self { path, feed, holder, release, seen, reported, check_interval, checked }
    }

    fn run(mut self, refreshes: &Receiver<Answer>, interval: Duration, housekeeping: &dyn Fn()) {
        let mut cleaned = Instant::now();
        loop {
            let answer = match refreshes.recv_timeout(interval) {
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
                // Who asked may be gone.
                let _ = answer.send(polled);
            }
            if cleaned.elapsed() >= HOUSEKEEPING {
                cleaned = Instant::now();
                housekeeping();
            }
        }
    }

    /// Looks whether anything changed, and passes it on.
    fn poll(&mut self) -> Result<(), StoreError> {
        if !self.holder.is_current() {
            // Another file, or none: what the replicas hold is not of it.
            self.feed.invalidate();
            self.seen = None;
            if self.holder.id().is_some() {
                // While one connection of this process has the file open, SQLite would go by its index
                // of a WAL that was put away, should the file come back.
                self.checked = None;
                (self.release)();
            }
        }
        let opened = match self.holder.opened() {
            Ok(opened) => opened,
            Err(error) => {
                self.feed.invalidate();
                return Err(error);
            }
        };
        let passed = pass_on(&self.path, opened, &self.feed, &mut self.seen);
        if passed.is_err() {
            self.seen = None;
        }
        passed.map_err(|error| StoreError::sqlite(&self.path, error))
    }

    /// Has all tables checked behind the replicas, which are loaded by now: each file, and daily.
    fn check(&mut self) {
        let file = self.holder.id();
        if let Some((_, checked, since)) = &self.checked
            && *checked == file
            && since.elapsed() < self.check_interval
        {
            return;
        }
        self.checked = None;
        let feed = Arc::clone(&self.feed);
        match Examination::start(self.path.clone(), move |verdict| feed.report(verdict)) {
            Ok(examination) => self.checked = Some((examination, file, Instant::now())),
            Err(error) => tracing::warn!(%error, "the database cannot be checked"),
        }
    }

    /// Logs what is wrong: when it begins and then now and then, not at every poll.
    fn report(&mut self, error: Option<&StoreError>) {
        let Some(error) = error else {
            if self.reported.take().is_some() {
                tracing::info!(path = %self.path.display(), "the store can be read again");
            }
            return;
        };
        let text = error.to_string();
        if let Some((reported, since)) = &self.reported
            && *reported == text
            && since.elapsed() < REPORT_AGAIN
        {
            return;
        }
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(path = %self.path.display(), %error, cause, "the store cannot be read");
        self.reported = Some((text, Instant::now()));
    }
}

fn pass_on(
    path: &Path,
    opened: &mut Opened,
    feed: &Feed,
    seen: &mut Option<i64>,
) -> rusqlite::Result<()> {
    let replicas = feed.replicas_now();
    // Read before the changes: what is committed in between is passed on at the next poll.
    let version =
        opened.connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?;
    if *seen == Some(version) && feed.heartbeat(&replicas) {
        return Ok(());
    }
    feed.publish(path, opened)?;
    *seen = Some(version);
    Ok(())
}
