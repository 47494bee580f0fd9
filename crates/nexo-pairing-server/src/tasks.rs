//! The tasks of a server, and how they are shut down.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks that a server waits for when it shuts down: connections, and writes that they began.
/// Clones share the same tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Asks the tasks to end.
    pub(crate) shutdown: CancellationToken,
}

impl Tasks {
    /// Asks the tasks to end and waits for them. `false` if they have not ended after `grace`.
    pub(crate) async fn shut_down(&self, grace: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
