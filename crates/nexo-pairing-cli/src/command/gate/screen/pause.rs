//! How long reading may stop because too many lines wait.

use std::time::Duration;

/// The longest time that reading stops while the store decides nothing: a known sender may wait this long
/// behind strangers.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The time that each decided line adds, up to [`MAX_PAUSE`]. With a store that decides 250 lines a second no
/// line is refused: that is a disk that takes 128 ms for a transaction of 32 lines on average. A store that
/// other processes lock repeatedly decides fewer.
const TIME_PER_LINE: Duration = Duration::from_millis(4);

/// How long reading may still stop.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(MAX_PAUSE)
    }
}

impl Pause {
    pub(super) fn left(&self) -> Duration {
        self.0
    }

    /// Reading has stopped for this long.
    pub(super) fn spend(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// The store has decided a line.
    pub(super) fn extend(&mut self) {
        self.0 = MAX_PAUSE.min(self.0 + TIME_PER_LINE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time left after rounds that each take this time and decide this many lines.
    fn left_after(rounds: usize, time: Duration, lines: usize) -> Duration {
        let mut pause = Pause::default();
        for _ in 0..rounds {
            pause.spend(time);
            (0..lines).for_each(|_| pause.extend());
        }
        pause.left()
    }

    #[test]
    fn a_slow_disk_may_stop_reading_forever_and_an_intermittent_lock_for_a_second() {
        assert_eq!(left_after(10_000, Duration::from_millis(128), 32), MAX_PAUSE);
        assert_eq!(left_after(10_000, Duration::from_millis(999), 250), MAX_PAUSE);
        // A store that has used up almost all of it catches up.
        let mut pause = Pause::default();
        pause.spend(Duration::from_millis(990));
        (0..10_000).for_each(|_| pause.extend());
        assert_eq!(pause.left(), MAX_PAUSE);

        for hold in [500, 900].map(Duration::from_millis) {
            let rounds = left_after(100, hold, 64);
            assert!(rounds <= 64 * TIME_PER_LINE, "{rounds:?} left");
        }
        assert_eq!(left_after(1, Duration::from_secs(1), 0), Duration::ZERO);
    }
}
