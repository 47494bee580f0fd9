//! A circuit breaker, one for each kind of request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no request is sent after one timed out.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Closed while the plugin replies. After a time-out it is open for [`PAUSE`]; then it lets one request
/// at a time pass until one is answered.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<Option<Instant>>);

impl Circuit {
    /// Whether a request with this time limit may be sent now.
    pub(super) fn allows(&self, timeout: Duration, now: Instant) -> bool {
        let mut open_until = self.lock();
        match *open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // This one is the probe; the others wait for its result.
                *open_until = Some(now + timeout);
                true
            }
        }
    }

    /// The plugin replied, or is known to be absent: the next request costs no wait.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// A request timed out.
    pub(super) fn open(&self, now: Instant) {
        *self.lock() = Some(now + PAUSE);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_time_out_one_request_at_a_time_passes() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(2));
        let circuit = Circuit::default();
        assert!(circuit.allows(timeout, start) && circuit.allows(timeout, start));
        circuit.open(start);
        assert!(!circuit.allows(timeout, start + PAUSE / 2));
        assert!(circuit.allows(timeout, start + PAUSE));
        assert!(!circuit.allows(timeout, start + PAUSE), "two requests passed at once");
        // The probe was dropped without a result.
        assert!(circuit.allows(timeout, start + PAUSE + timeout));
        circuit.close();
        assert!(circuit.allows(timeout, start) && circuit.allows(timeout, start));
    }
}
