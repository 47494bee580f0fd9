//! The clock of the operating system, no more precise than the gate needs it.

use std::time::Duration;

use coarsetime::Instant;
use nexo_pairing_core::{Clock, SystemClock};
use time::OffsetDateTime;

/// A clock that moves on every few milliseconds: lists grow old in seconds, and a precise one takes
/// 26 ns to read rather than 4, a fifth of a decision.
#[derive(Debug)]
pub(crate) struct CoarseClock;

impl Clock for CoarseClock {
    fn now(&self) -> OffsetDateTime {
        SystemClock::default().now()
    }

    fn elapsed(&self) -> Duration {
        // The other `now` would write to memory that all threads share.
        let since_start = Instant::now_without_cache_update() - Instant::from_ticks(0);
        since_start.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let limit = std::time::Instant::now() + Duration::from_secs(10);
        let mut last = CoarseClock.elapsed();
        for _ in 0..3 {
            let mut next = CoarseClock.elapsed();
            while next == last {
                assert!(std::time::Instant::now() < limit, "it does not advance");
                std::thread::yield_now();
                next = CoarseClock.elapsed();
            }
            assert!(next > last && next - last < Duration::from_secs(60));
            last = next;
        }
        let now = SystemClock::default().now();
        assert!((CoarseClock.now() - now).abs() < time::Duration::MINUTE);
    }
}
