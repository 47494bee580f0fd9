//! Counts failed claims by peer, so that whoever fails too often is turned away unheard.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nexo_pairing_core::Clock;

use crate::peer::Peer;

/// So many failures of one peer within [`WINDOW`] are heard.
const FAILURES: usize = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// How many sets of peers there are.
const SETS: usize = 1024;

/// How many peers a set holds.
const WAYS: usize = 8;

/// The peers that failed of late.
///
/// It has a fixed size: a peer belongs to one of [`SETS`] sets, which one nobody outside can tell. In
/// a full set the peer with the fewest failures makes room. One that is turned away never does: who
/// has many addresses cannot use them to get rid of its own record. When a whole set is turned away,
/// a newcomer to it is heard without being counted, for it may be a good client.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    sets: Box<[Mutex<Vec<Failed>>]>,
}

/// When a peer failed.
#[derive(Debug)]
struct Failed {
    peer: Peer,
    /// The last failures; the oldest is overwritten first.
    at: [Option<Duration>; FAILURES],
    next: usize,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_sets(clock, SETS)
    }

    fn with_sets(clock: Arc<dyn Clock>, sets: usize) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    /// How long a peer has to wait until it is heard again; `None` when it is heard now.
    pub(crate) fn wait(&self, peer: Peer) -> Option<Duration> {
        let now = self.clock.elapsed();
        self.with_set(peer, |set| set.iter().find(|failed| failed.peer == peer)?.wait(now))
    }

    /// Notes that a claim of a peer failed.
    pub(crate) fn failed(&self, peer: Peer) {
        let now = self.clock.elapsed();
        self.with_set(peer, |set| {
            let place = match set.iter().position(|failed| failed.peer == peer) {
                Some(known) => known,
                None if set.len() < WAYS => {
                    set.push(Failed::new(peer));
                    set.len() - 1
                }
                None => {
                    let heard =
                        set.iter().enumerate().filter(|(_, other)| other.wait(now).is_none());
                    let fewest = heard.min_by_key(|(_, other)| other.recent(now));
                    let Some((place, _)) = fewest else { return };
                    set[place] = Failed::new(peer);
                    place
                }
            };
            set[place].note(now);
        });
    }

    /// Takes back the last failure of a peer.
    pub(crate) fn take_back(&self, peer: Peer) {
        self.with_set(peer, |set| {
            if let Some(failed) = set.iter_mut().find(|failed| failed.peer == peer) {
                failed.next = (failed.next + FAILURES - 1) % FAILURES;
                failed.at[failed.next] = None;
            }
        });
    }

    fn with_set<T>(&self, peer: Peer, work: impl FnOnce(&mut Vec<Failed>) -> T) -> T {
        let set = self.hasher.hash_one(peer) as usize % self.sets.len();
        work(&mut self.sets[set].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Failed {
    fn new(peer: Peer) -> Self {
        Self { peer, at: [None; FAILURES], next: 0 }
    }

    fn note(&mut self, now: Duration) {
        self.at[self.next] = Some(now);
        self.next = (self.next + 1) % FAILURES;
    }

    /// How long until the oldest of as many failures as are heard is over.
    fn wait(&self, now: Duration) -> Option<Duration> {
        // It is the one that would be overwritten next.
        let over = self.at[self.next]? + WINDOW;
        over.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn recent(&self, now: Duration) -> usize {
        self.at.iter().flatten().filter(|&&at| at + WINDOW > now).count()
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
            throttle.failed(peer);
        }
    }

    #[test]
    fn the_eleventh_failure_within_a_minute_is_not_heard() {
        let (clock, throttle) = throttle(SETS);
        let (bad, good) = (Peer::V4(1), Peer::V4(2));
        for _ in 0..FAILURES {
            assert_eq!(throttle.wait(bad), None);
            throttle.failed(bad);
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(throttle.wait(bad), Some(Duration::from_secs(50)));
        assert_eq!(throttle.wait(good), None);
        clock.advance(Duration::from_secs(49));
        assert_eq!(throttle.wait(bad), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(throttle.wait(bad), None);
        // The second failure is a second younger than the first.
        throttle.failed(bad);
        assert_eq!(throttle.wait(bad), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_failure_that_is_taken_back_does_not_count() {
        let (_, throttle) = throttle(SETS);
        let peer = Peer::V4(1);
        for _ in 0..3 * FAILURES {
            throttle.failed(peer);
            throttle.take_back(peer);
        }
        fail(&throttle, peer, FAILURES - 1);
        assert_eq!(throttle.wait(peer), None);
        throttle.failed(peer);
        assert_eq!(throttle.wait(peer), Some(WINDOW));
        throttle.take_back(peer);
        assert_eq!(throttle.wait(peer), None);
        throttle.take_back(Peer::V4(2));
    }

    #[test]
    fn a_peer_with_many_addresses_gets_no_record_out_of_the_way() {
        let (clock, throttle) = throttle(1);
        let bad = Peer::V4(0);
        fail(&throttle, bad, FAILURES);
        for other in 1..10_000 {
            throttle.failed(Peer::V6(other));
        }
        assert_eq!(throttle.wait(bad), Some(WINDOW));
        assert_eq!(throttle.sets[0].lock().unwrap().len(), WAYS);
        clock.advance(Duration::from_secs(60));
        assert_eq!(throttle.wait(bad), None);
    }

    #[test]
    fn who_failed_least_makes_room_and_a_full_house_of_offenders_turns_nobody_else_away() {
        let (clock, throttle) = throttle(1);
        for peer in 0..WAYS as u32 {
            fail(&throttle, Peer::V4(peer), FAILURES - 1);
        }
        fail(&throttle, Peer::V4(100), FAILURES);
        assert_eq!(throttle.wait(Peer::V4(100)), Some(WINDOW));
        for peer in 0..WAYS as u32 {
            fail(&throttle, Peer::V4(peer), FAILURES);
        }
        fail(&throttle, Peer::V4(200), FAILURES + 1);
        assert_eq!(throttle.wait(Peer::V4(200)), None);
        // What is over holds no place.
        clock.advance(Duration::from_secs(60));
        fail(&throttle, Peer::V4(200), FAILURES);
        assert_eq!(throttle.wait(Peer::V4(200)), Some(WINDOW));
    }
}
