//! The tasks of a server: how they learn that it ends, and how it waits for them.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The connections of a server, and what they began and has to be finished. A clone is for the same
/// ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Cancelled when they are asked to end.
    shutdown: CancellationToken,
}

impl Tasks {
    /// Runs a task that the server waits for at its end.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Cancelled when the tasks are asked to end.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Asks the tasks to end when this is dropped.
    pub(crate) fn shutdown_on_drop(&self) -> DropGuard {
        self.shutdown.clone().drop_guard()
    }

    /// Asks the tasks to end and waits for them. `false` when they have not ended after `grace`.
    pub(crate) async fn shut_down(&self, grace: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
