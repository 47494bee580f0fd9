//! Limits how often a warning is logged that strangers can cause.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Clock;

/// The least time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// The most kinds with a line of their own at once.
const MAX_KINDS: usize = 16;

/// Limits repeated warnings to one line a minute for each kind, and counts the rest.
///
/// A kind is whatever the caller tells apart: a variant of an enum, a channel, a peer. At most 16
/// kinds are remembered, so callers may use values that strangers choose. Further kinds share one
/// line a minute. There are therefore at most 17 lines in any minute, whatever happens.
///
/// Time is measured on [`Clock::elapsed`]; a change of the wall clock has no effect.
///
/// ```
/// use nexo_pairing_core::{SystemClock, WarningLimiter};
///
/// let warnings = WarningLimiter::new(SystemClock::shared());
/// for _ in 0..1000 {
///     if let Some(suppressed) = warnings.allow("unreadable id") {
///         println!("an id is unreadable ({suppressed} more since the last warning)");
///     }
/// }
/// ```
#[derive(Debug)]
pub struct WarningLimiter<K> {
    clock: Arc<dyn Clock>,
    table: Mutex<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    kinds: HashMap<K, Line>,
    /// For kinds that found no place in `kinds`.
    others: Line,
}

#[derive(Debug, Default)]
struct Line {
    /// When the last line was logged, if ever.
    logged_at: Option<Duration>,
    /// Warnings since then.
    suppressed: u64,
}

impl<K: Eq + Hash> WarningLimiter<K> {
    /// A limiter that has seen nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let table = Table { kinds: HashMap::new(), others: Line::default() };
        Self { clock, table: Mutex::new(table) }
    }

    /// Counts a warning. `Some` when the caller should log it now, with the number of warnings that
    /// were suppressed since the last line of this kind.
    ///
    /// A number that no later warning reports, because its kind stopped and lost its place, is added
    /// to the line that the other kinds share.
    pub fn allow(&self, kind: K) -> Option<u64> {
        let now = self.clock.elapsed();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.line(kind, now).allow(now)
    }
}

impl<K: Eq + Hash> Table<K> {
    fn line(&mut self, kind: K, now: Duration) -> &mut Line {
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            let others = &mut self.others;
            self.kinds.retain(|_, line| {
                let is_recent = line.is_recent(now);
                others.suppressed += if is_recent { 0 } else { line.suppressed };
                is_recent
            });
            if self.kinds.len() >= MAX_KINDS {
                return others;
            }
        }
        self.kinds.entry(kind).or_default()
    }
}

impl Line {
    fn is_recent(&self, now: Duration) -> bool {
        self.logged_at.is_some_and(|at| now.saturating_sub(at) < INTERVAL)
    }

    fn allow(&mut self, now: Duration) -> Option<u64> {
        if self.is_recent(now) {
            self.suppressed += 1;
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::ManualClock;

    fn limiter<K: Eq + Hash>() -> (Arc<ManualClock>, WarningLimiter<K>) {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        (Arc::clone(&clock), WarningLimiter::new(clock))
    }

    #[test]
    fn a_kind_has_one_line_a_minute_with_the_number_suppressed() {
        let (clock, warnings) = limiter();
        assert_eq!(warnings.allow("a"), Some(0));
        assert_eq!((warnings.allow("a"), warnings.allow("a")), (None, None));
        assert_eq!(warnings.allow("b"), Some(0));
        clock.advance(Duration::from_secs(59));
        assert_eq!(warnings.allow("a"), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!((warnings.allow("a"), warnings.allow("b")), (Some(3), Some(0)));
        assert_eq!(warnings.allow("a"), None);
    }

    #[test]
    fn the_wall_clock_has_no_effect() {
        let (clock, warnings) = limiter();
        assert_eq!(warnings.allow(()), Some(0));
        for hours in [1000, -1000] {
            clock.set(OffsetDateTime::UNIX_EPOCH + time::Duration::hours(hours));
            assert_eq!(warnings.allow(()), None);
        }
    }

    #[test]
    fn a_crowd_of_kinds_has_a_bounded_number_of_lines_and_every_warning_is_counted() {
        let (clock, warnings) = limiter();
        let (mut warned, mut lines, mut reported) = (0, 0, 0);
        for minute in 0..10 {
            let mut lines_of_minute = 0;
            for kind in 0..10_000_u32 {
                warned += 1;
                if let Some(suppressed) = warnings.allow(minute * 5000 + kind) {
                    lines_of_minute += 1;
                    reported += suppressed;
                }
            }
            assert_eq!(lines_of_minute, MAX_KINDS + 1);
            lines += lines_of_minute as u64;
            assert!(warnings.table.lock().unwrap().kinds.len() <= MAX_KINDS);
            clock.advance(Duration::from_mins(1));
        }
        let table = warnings.table.lock().unwrap();
        let pending: u64 = table.kinds.values().map(|line| line.suppressed).sum();
        assert_eq!(lines + reported + pending + table.others.suppressed, warned);
    }

    #[test]
    fn a_kind_keeps_its_line_in_a_crowd_and_gets_its_count() {
        let (clock, warnings) = limiter();
        assert_eq!(warnings.allow(0), Some(0));
        for crowd in 1..1000 {
            warnings.allow(crowd);
            assert_eq!(warnings.allow(0), None);
        }
        clock.advance(Duration::from_mins(1));
        assert_eq!(warnings.allow(0), Some(999));
    }

    #[test]
    fn threads_share_one_line() {
        let (_, warnings) = limiter();
        let lines: usize = std::thread::scope(|scope| {
            let warn = || (0..1000).filter(|_| warnings.allow(()).is_some()).count();
            let threads = [(); 4].map(|()| scope.spawn(warn));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(lines, 1);
    }
}
