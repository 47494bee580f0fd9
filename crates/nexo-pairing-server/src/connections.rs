//! The open connections of a listener: how many there are, how long each has, and who makes room.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::peer::Peer;

/// The open connections of a listener.
///
/// When there are as many as there may be, one makes room for the next: of the peer with the most
/// connections that wait for their request, the oldest; where none waits, the one that has been idle
/// for longest after its answer. A connection whose request is being answered is never given up, so a
/// quarter of the places is never one peer's: who has three quarters makes room for himself.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    /// By their ids, which is the order in which they came.
    open: BTreeMap<u64, Open>,
    /// Those that wait, by peer; no set is empty.
    waiting: HashMap<Peer, BTreeSet<u64>>,
    /// How many each peer has; no number is 0.
    held: HashMap<Peer, usize>,
}

#[derive(Debug)]
struct Open {
    peer: Peer,
    phase: Phase,
    deadline: Instant,
    /// Dropped when the connection has to make room.
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its request is not complete.
    Waiting,
    /// Its request is complete.
    Answering,
    /// It was answered and may send another request.
    Idle { since: Instant },
}

/// The place of a connection among the open ones; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    /// Told when the deadline was moved.
    moved: Notify,
}

/// Resolves when the connection has to make room.
pub(crate) type Evicted = oneshot::Receiver<()>;

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), table: Mutex::default() })
    }

    /// A place for a new connection, which has until `deadline` to send its request. `None` when all
    /// others, or all that the peer may have, are being answered.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: Peer,
        deadline: Instant,
    ) -> Option<(Place, Evicted)> {
        let mut table = self.table();
        let is_greedy = table.held.get(&peer).is_some_and(|&held| held >= self.max - self.max / 4);
        let is_full = table.open.len() >= self.max;
        if (is_greedy || is_full) && !table.make_room(is_greedy.then_some(peer)) {
            return None;
        }
        let id = table.next_id;
        table.next_id += 1;
        let (end, evicted) = oneshot::channel();
        let open = Open { peer, phase: Phase::Waiting, deadline, _end: end };
        table.open.insert(id, open);
        table.waiting.entry(peer).or_default().insert(id);
        *table.held.entry(peer).or_default() += 1;
        let place = Place { connections: Arc::clone(self), id, moved: Notify::new() };
        Some((place, evicted))
    }

    /// Gives up a connection, because the system has no room for more.
    pub(crate) fn make_room(&self) -> bool {
        self.table().make_room(None)
    }

    /// Gives up all of them.
    pub(crate) fn close_all(&self) {
        let mut table = self.table();
        table.open.clear();
        table.waiting.clear();
        table.held.clear();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Gives up a connection: of this peer, if one is named.
    fn make_room(&mut self, of: Option<Peer>) -> bool {
        let most = match of {
            Some(peer) => self.waiting.get(&peer),
            None => self.waiting.values().max_by_key(|ids| (ids.len(), Reverse(ids.first()))),
        };
        let idle = || {
            let idle = self.open.iter().filter_map(|(id, open)| match open.phase {
                Phase::Idle { since } if of.is_none_or(|peer| peer == open.peer) => {
                    Some((since, *id))
                }
                _ => None,
            });
            idle.min().map(|(_, id)| id)
        };
        let Some(id) = most.and_then(|ids| ids.first().copied()).or_else(idle) else {
            return false;
        };
        self.remove(id);
        true
    }

    fn remove(&mut self, id: u64) {
        self.set(id, Phase::Answering, None);
        let Some(Open { peer, .. }) = self.open.remove(&id) else { return };
        if let Entry::Occupied(mut held) = self.held.entry(peer) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    /// Puts a connection into a phase; `false` when it had to make room.
    fn set(&mut self, id: u64, phase: Phase, deadline: Option<Instant>) -> bool {
        let Some(open) = self.open.get_mut(&id) else { return false };
        open.deadline = deadline.unwrap_or(open.deadline);
        open.phase = phase;
        if phase == Phase::Waiting {
            self.waiting.entry(open.peer).or_default().insert(id);
        } else if let Some(ids) = self.waiting.get_mut(&open.peer) {
            ids.remove(&id);
            if ids.is_empty() {
                self.waiting.remove(&open.peer);
            }
        }
        true
    }
}

impl Place {
    /// A request has begun. The first has the time that the connection was given, a later one has
    /// until `deadline`.
    pub(crate) fn request_begins(&self, deadline: Instant) {
        let mut table = self.connections.table();
        let is_first = table.open.get(&self.id).is_some_and(|open| open.phase == Phase::Waiting);
        table.set(self.id, Phase::Waiting, (!is_first).then_some(deadline));
        self.moved.notify_one();
    }

    /// The request is complete and is answered until `deadline`. `false` when the connection has to
    /// make room: then nobody would hear the answer.
    pub(crate) fn answer_begins(&self, deadline: Instant) -> bool {
        let is_open = self.connections.table().set(self.id, Phase::Answering, Some(deadline));
        self.moved.notify_one();
        is_open
    }

    /// The request is answered; the next one has until `deadline`.
    pub(crate) fn answered(&self, deadline: Instant) {
        let idle = Phase::Idle { since: Instant::now() };
        self.connections.table().set(self.id, idle, Some(deadline));
        self.moved.notify_one();
    }

    /// Until when what the connection does has time.
    pub(crate) fn deadline(&self) -> Instant {
        let table = self.connections.table();
        table.open.get(&self.id).map_or_else(Instant::now, |open| open.deadline)
    }

    /// Waits until the deadline has passed, wherever it was moved to meanwhile.
    pub(crate) async fn expired(&self) {
        loop {
            tokio::select! {
                () = sleep_until(self.deadline()) => return,
                () = self.moved.notified() => {}
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct World {
        connections: Arc<Connections>,
        now: Instant,
    }

    impl World {
        fn new(max: usize) -> Self {
            Self { connections: Connections::new(max), now: Instant::now() }
        }

        fn deadline(&self) -> Instant {
            self.now + Duration::from_secs(10)
        }

        fn open(&self, peer: u32) -> (Place, Evicted) {
            self.connections.admit(Peer::V4(peer), self.deadline()).unwrap()
        }
    }

    fn is_evicted(connection: &mut (Place, Evicted)) -> bool {
        connection.1.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[tokio::test]
    async fn the_oldest_that_waits_makes_room() {
        let world = World::new(2);
        let (mut first, mut second) = (world.open(1), world.open(2));
        let mut third = world.open(3);
        assert!(is_evicted(&mut first) && !is_evicted(&mut second) && !is_evicted(&mut third));
        assert!(!first.0.answer_begins(world.deadline()));
        assert!(second.0.answer_begins(world.deadline()));
        let mut fourth = world.open(4);
        assert!(!is_evicted(&mut second) && is_evicted(&mut third) && !is_evicted(&mut fourth));
    }

    #[tokio::test]
    async fn whoever_has_the_most_that_wait_makes_room_first() {
        let world = World::new(4);
        let mut good = world.open(1);
        let mut bad: Vec<_> = (0..20).map(|_| world.open(2)).collect();
        assert!(!is_evicted(&mut good));
        assert_eq!(bad.iter_mut().map(is_evicted).filter(|is_evicted| !is_evicted).count(), 3);
        assert!(!is_evicted(bad.last_mut().unwrap()));
    }

    #[tokio::test]
    async fn what_is_answered_stays_and_what_is_idle_goes_when_nobody_waits() {
        let world = World::new(2);
        let (mut first, mut second) = (world.open(1), world.open(2));
        for connection in [&first, &second] {
            assert!(connection.0.answer_begins(world.deadline()));
        }
        assert!(world.connections.admit(Peer::V4(3), world.deadline()).is_none());
        second.0.answered(world.deadline());
        let mut third = world.open(3);
        assert!(!is_evicted(&mut first) && is_evicted(&mut second) && !is_evicted(&mut third));
    }

    #[tokio::test]
    async fn one_peer_cannot_have_all_places_answered() {
        let world = World::new(8);
        let mut good = world.open(1);
        let mut bad: Vec<_> = (0..6).map(|_| world.open(2)).collect();
        for connection in &bad {
            assert!(connection.0.answer_begins(world.deadline()));
        }
        assert!(world.connections.admit(Peer::V4(2), world.deadline()).is_none());
        let mut other = world.open(3);
        // Of its own it may give one up.
        bad[4].0.answered(world.deadline());
        let newest = world.open(2);
        assert!(is_evicted(&mut bad[4]) && !is_evicted(&mut good) && !is_evicted(&mut other));
        drop((bad, newest));
        assert_eq!(world.connections.table().held.len(), 2);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_ends() {
        let world = World::new(1);
        let first = world.open(1);
        assert!(first.0.answer_begins(world.deadline()));
        drop(first);
        let mut second = world.open(1);
        assert!(!is_evicted(&mut second));
        drop(second);
        assert!(world.connections.table().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_the_connections_time_and_a_later_one_its_own() {
        let world = World::new(1);
        let (place, _evicted) = world.open(1);
        let later = world.deadline() + Duration::from_secs(60);
        place.request_begins(later);
        assert_eq!(place.deadline(), world.deadline());
        place.answer_begins(later);
        place.answered(later);
        place.request_begins(later + Duration::from_secs(10));
        assert_eq!(place.deadline(), later + Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_may_be_moved_either_way() {
        let world = World::new(1);
        let (place, _evicted) = world.open(1);
        let (place, began) = (Arc::new(place), Instant::now());
        let waiting = Arc::clone(&place);
        let expired = tokio::spawn(async move { waiting.expired().await });
        tokio::task::yield_now().await;
        assert!(place.answer_begins(began + Duration::from_secs(30)));
        tokio::task::yield_now().await;
        place.answered(began + Duration::from_secs(20));
        expired.await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(20));
    }
}
