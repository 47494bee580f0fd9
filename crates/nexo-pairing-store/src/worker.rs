//! A thread that owns a connection and runs what it is given, one after the other.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::StoreError;
use crate::open::{self, FileId};

/// What a worker runs: it gets the connection, or why there is none.
type Job = Box<dyn FnOnce(Result<&mut Connection, StoreError>) + Send>;

/// Where a worker's connection comes from.
pub(crate) enum Source {
    /// A file, opened again when another one is put in its place.
    File(PathBuf),
    /// A database in memory, which ends with the worker.
    Memory,
}

/// A thread with a connection. Dropping it waits for what it was given before.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<Jobs>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The way to a worker's thread.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(Sender<Job>);

impl Worker {
    /// Starts the thread. It opens a file when it first needs it.
    pub(crate) fn start(name: &str, source: Source) -> Result<Self, StoreError> {
        let (sender, jobs) = mpsc::channel();
        let mut holder = Holder::new(source);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&jobs, &mut holder))
            .map_err(|error| StoreError::io(Path::new(name), error))?;
        Ok(Self { jobs: Some(Jobs(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// The way to the thread.
    pub(crate) fn jobs(&self) -> Result<&Jobs, StoreError> {
        self.jobs.as_ref().ok_or(StoreError::Closed)
    }
}

impl Jobs {
    /// Runs `job` on the thread. It runs to its end even if the caller is dropped meanwhile.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.send(move |connection| {
            // The caller may be gone: what was done stays done.
            let _ = answer.send(connection.and_then(job));
        })?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Hands a job over without waiting for its answer.
    pub(crate) fn send(
        &self,
        job: impl FnOnce(Result<&mut Connection, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.0.send(Box::new(job)).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A job that panicked has told its caller already.
            let _ = thread.join();
        }
    }
}

fn run(jobs: &Receiver<Job>, holder: &mut Holder) {
    for job in jobs {
        job(holder.connection());
    }
}

/// A connection that notices when its file was replaced.
pub(crate) struct Holder {
    source: Source,
    open: Option<(Connection, Option<FileId>)>,
}

impl Holder {
    /// A holder that connects when it is first asked.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, open: None }
    }

    /// Whether it is connected to the file that is now at its path.
    pub(crate) fn is_current(&self) -> bool {
        match (&self.source, &self.open) {
            (Source::File(path), Some((_, id))) => id.is_some() && *id == FileId::of(path),
            (Source::Memory, Some(_)) => true,
            (_, None) => false,
        }
    }

    /// The connection, to the file that is now at its path.
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if !self.is_current() {
            self.open = None;
            self.open = Some(match &self.source {
                Source::File(path) => open::reopen(path)?,
                Source::Memory => (open::in_memory()?, None),
            });
        }
        self.open.as_mut().map(|(connection, _)| connection).ok_or(StoreError::Closed)
    }
}
