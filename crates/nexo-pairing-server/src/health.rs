//! Whether the store is well, looked at no more often than once a second.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::Clock;
use tokio::sync::Mutex;

/// How long a finding is told again, so that nobody loads the store by asking.
const FRESH: Duration = Duration::from_secs(1);

/// What was found last.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    /// When, and whether the store was well.
    found: Arc<Mutex<Option<(Duration, bool)>>>,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, found: Arc::default() }
    }

    /// What `look` finds, unless somebody just looked. One looks at a time, and does so to the end.
    pub(crate) async fn check(&self, look: impl Future<Output = bool> + Send + 'static) -> bool {
        let mut found = Arc::clone(&self.found).lock_owned().await;
        if let Some((at, is_well)) = *found
            && self.clock.elapsed().saturating_sub(at) < FRESH
        {
            return is_well;
        }
        let clock = Arc::clone(&self.clock);
        let looking = tokio::spawn(async move {
            let is_well = look.await;
            *found = Some((clock.elapsed(), is_well));
            is_well
        });
        looking.await.unwrap_or(false)
    }
}
