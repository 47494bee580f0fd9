//! The source of time, which tests replace.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// A wall clock and a monotonic clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall clock, in UTC. It may jump in both directions.
    fn now(&self) -> OffsetDateTime;

    /// The monotonic clock: the time since an arbitrary start. Use it to measure durations.
    fn elapsed(&self) -> Duration;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock of the operating system, in the form that options take.
    #[must_use]
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// A clock for tests that moves only when told to.
///
/// ```
/// use std::time::Duration;
///
/// use nexo_pairing_core::{Clock, ManualClock};
/// use time::OffsetDateTime;
///
/// let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
/// clock.advance(Duration::from_hours(1));
/// assert_eq!(clock.now().unix_timestamp(), 3600);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    /// The wall clock, in nanoseconds since the Unix epoch.
    wall: AtomicI64,
    /// The monotonic clock, in nanoseconds.
    monotonic: AtomicI64,
}

impl ManualClock {
    /// A clock that starts at `now`.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(nanoseconds(now)), monotonic: AtomicI64::new(0) })
    }

    /// Advances both clocks.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.wall.fetch_add(by, Ordering::SeqCst);
        self.monotonic.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall clock, possibly back.
    pub fn set(&self, now: OffsetDateTime) {
        self.wall.store(nanoseconds(now), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        let wall = i128::from(self.wall.load(Ordering::SeqCst));
        OffsetDateTime::from_unix_timestamp_nanos(wall).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.monotonic.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Nanoseconds since the Unix epoch; valid for the years 1678 to 2261.
fn nanoseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_when_told_to() {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        assert_eq!((clock.now().unix_timestamp(), clock.elapsed()), (0, Duration::ZERO));
        clock.advance(Duration::from_hours(1));
        clock.advance(Duration::ZERO);
        assert_eq!((clock.now().unix_timestamp(), clock.elapsed().as_secs()), (3600, 3600));
        clock.set(OffsetDateTime::UNIX_EPOCH - time::Duration::DAY);
        assert_eq!((clock.now().unix_timestamp(), clock.elapsed().as_secs()), (-86_400, 3600));
    }

    #[test]
    fn the_system_clocks_advance() {
        let (clock, start) = (SystemClock::shared(), SystemClock.elapsed());
        assert!((clock.now() - OffsetDateTime::now_utc()).abs() < time::Duration::MINUTE);
        let limit = Instant::now() + Duration::from_secs(10);
        while clock.elapsed() <= start {
            assert!(Instant::now() < limit, "the clock does not advance");
            std::thread::yield_now();
        }
    }
}
