//! The health of the backend, probed at most once a second.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::Clock;
use tokio::sync::Mutex;

/// How long a result is cached, so that health checks put no load on the backend.
const FRESH: Duration = Duration::from_secs(1);

/// The last result.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    /// When the backend was probed, and whether it was healthy.
    last: Arc<Mutex<Option<(Duration, bool)>>>,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Arc::default() }
    }

    /// The result of `probe`, or a fresh one of another caller. One probe runs at a time, and to its end.
    pub(crate) async fn check(&self, probe: impl Future<Output = bool> + Send + 'static) -> bool {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((at, is_healthy)) = *last
            && self.clock.elapsed().saturating_sub(at) < FRESH
        {
            return is_healthy;
        }
        let clock = Arc::clone(&self.clock);
        let probed = tokio::spawn(async move {
            let is_healthy = probe.await;
            *last = Some((clock.elapsed(), is_healthy));
            is_healthy
        });
        probed.await.unwrap_or(false)
    }
}
