//! Counts failed claims by peer, so that a peer with too many of them is rejected.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nexo_pairing_core::Clock;

use crate::peer::Peer;

/// The number of failures within [`WINDOW`] after which a peer is rejected.
const FAILURES: usize = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// The number of sets of peers.
const SETS: usize = 1024;

/// The number of peers in a set.
const WAYS: usize = 8;

/// The peers with recent failures.
///
/// It has a fixed size: a peer belongs to one of [`SETS`] sets, chosen by a secret hash. A full set
/// evicts the peer with the fewest failures, but never one that is currently rejected: an attacker with
/// many addresses cannot use them to flush its own record. If all peers of a set are rejected, a
/// newcomer to it is admitted and not counted, for it may be a good client.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    sets: Box<[Mutex<Vec<Record>>]>,
}

/// The last failures of a peer.
#[derive(Debug)]
struct Record {
    peer: Peer,
    /// At most [`FAILURES`], the oldest first.
    failures: VecDeque<Duration>,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_sets(clock, SETS)
    }

    fn with_sets(clock: Arc<dyn Clock>, sets: usize) -> Self {
        let sets = (0..sets).map(|_| Mutex::default()).collect();
        Self { clock, hasher: RandomState::new(), sets }
    }

    /// How long a peer is still rejected; `None` if it is not.
    pub(crate) fn retry_after(&self, peer: Peer) -> Option<Duration> {
        let now = self.clock.elapsed();
        self.with_set(peer, |set| set.iter().find(|record| record.peer == peer)?.retry_after(now))
    }

    /// Records a failed claim of a peer.
    pub(crate) fn record_failure(&self, peer: Peer) {
        let now = self.clock.elapsed();
        self.with_set(peer, |set| {
            if let Some(known) = set.iter_mut().find(|record| record.peer == peer) {
                return known.push(now);
            }
            if set.len() == WAYS {
                let evictable = set.iter().enumerate();
                let evictable = evictable.filter(|(_, other)| other.retry_after(now).is_none());
                let fewest = evictable.min_by_key(|(_, other)| other.recent(now));
                let Some((evicted, _)) = fewest else { return };
                set.swap_remove(evicted);
            }
            let mut record = Record { peer, failures: VecDeque::new() };
            record.push(now);
            set.push(record);
        });
    }

    /// Removes the last failure of a peer.
    pub(crate) fn revert_failure(&self, peer: Peer) {
        self.with_set(peer, |set| {
            set.iter_mut().find(|record| record.peer == peer)?.failures.pop_back()
        });
    }

    fn with_set<T>(&self, peer: Peer, work: impl FnOnce(&mut Vec<Record>) -> T) -> T {
        let set = self.hasher.hash_one(peer) as usize % self.sets.len();
        work(&mut self.sets[set].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Record {
    fn push(&mut self, now: Duration) {
        if self.failures.len() == FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
    }

    /// The time until the oldest of [`FAILURES`] failures leaves the window.
    fn retry_after(&self, now: Duration) -> Option<Duration> {
        let oldest = self.failures.front().filter(|_| self.failures.len() == FAILURES)?;
        (*oldest + WINDOW).checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn recent(&self, now: Duration) -> usize {
        self.failures.iter().filter(|&&at| at + WINDOW > now).count()
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::ManualClock;
    use time::OffsetDateTime;

    use super::*;

    fn throttle(sets: usize) -> (Arc<ManualClock>, Throttle) {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        let throttle = Throttle::with_sets(Arc::clone(&clock) as Arc<dyn Clock>, sets);
        (clock, throttle)
    }

    fn fail(throttle: &Throttle, peer: Peer, times: usize) {
        for _ in 0..times {
            throttle.record_failure(peer);
        }
    }

    #[test]
    fn a_peer_is_rejected_after_ten_failures_within_a_minute() {
        let (clock, throttle) = throttle(SETS);
        let (bad, good) = (Peer::V4(1), Peer::V4(2));
        for _ in 0..FAILURES {
            assert_eq!(throttle.retry_after(bad), None);
            throttle.record_failure(bad);
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(throttle.retry_after(bad), Some(Duration::from_secs(50)));
        assert_eq!(throttle.retry_after(good), None);
        clock.advance(Duration::from_secs(49));
        assert_eq!(throttle.retry_after(bad), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(throttle.retry_after(bad), None);
        // The second failure is a second younger than the first.
        throttle.record_failure(bad);
        assert_eq!(throttle.retry_after(bad), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_reverted_failure_does_not_count() {
        let (_, throttle) = throttle(SETS);
        let peer = Peer::V4(1);
        for _ in 0..3 * FAILURES {
            throttle.record_failure(peer);
            throttle.revert_failure(peer);
        }
        fail(&throttle, peer, FAILURES - 1);
        assert_eq!(throttle.retry_after(peer), None);
        throttle.record_failure(peer);
        assert_eq!(throttle.retry_after(peer), Some(WINDOW));
        throttle.revert_failure(peer);
        assert_eq!(throttle.retry_after(peer), None);
        throttle.revert_failure(Peer::V4(2));
    }

    #[test]
    fn a_peer_with_many_addresses_cannot_flush_a_record() {
        let (clock, throttle) = throttle(1);
        let bad = Peer::V4(0);
        fail(&throttle, bad, FAILURES);
        for other in 1..10_000 {
            throttle.record_failure(Peer::V6(other));
        }
        assert_eq!(throttle.retry_after(bad), Some(WINDOW));
        assert_eq!(throttle.sets[0].lock().unwrap().len(), WAYS);
        clock.advance(Duration::from_secs(60));
        assert_eq!(throttle.retry_after(bad), None);
    }

    #[test]
    fn evicts_the_least_failed_peer_and_admits_others_when_a_set_is_full() {
        let (clock, throttle) = throttle(1);
        for peer in 0..WAYS as u32 {
            fail(&throttle, Peer::V4(peer), FAILURES - 1);
        }
        fail(&throttle, Peer::V4(100), FAILURES);
        assert_eq!(throttle.retry_after(Peer::V4(100)), Some(WINDOW));
        for peer in 0..WAYS as u32 {
            fail(&throttle, Peer::V4(peer), FAILURES);
        }
        fail(&throttle, Peer::V4(200), FAILURES + 1);
        assert_eq!(throttle.retry_after(Peer::V4(200)), None);
        // Failures outside the window do not keep their peer in the set.
        clock.advance(Duration::from_secs(60));
        fail(&throttle, Peer::V4(200), FAILURES);
        assert_eq!(throttle.retry_after(Peer::V4(200)), Some(WINDOW));
    }
}
