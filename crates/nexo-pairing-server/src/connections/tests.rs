//! Which connection is evicted for a newcomer.

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

    fn open(&self, peer: u32) -> Connection {
        self.connections.admit(Peer::V4(peer), self.deadline()).unwrap()
    }

    fn idle(&self, peer: u32) -> Connection {
        let connection = self.open(peer);
        assert!(connection.0.begin_response(self.deadline()));
        connection.0.end_response(self.deadline());
        connection
    }
}

type Connection = (Slot, Evicted);

fn is_evicted(connection: &mut Connection) -> bool {
    connection.1.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

fn is_evicted_of(connections: &mut [Connection]) -> usize {
    connections.iter_mut().map(is_evicted).filter(|is_evicted| *is_evicted).count()
}

#[tokio::test]
async fn the_oldest_pending_connection_is_evicted() {
    let world = World::new(2);
    let (mut first, mut second) = (world.open(1), world.open(2));
    let mut third = world.open(3);
    assert!(is_evicted(&mut first) && !is_evicted(&mut second) && !is_evicted(&mut third));
    assert!(!first.0.begin_response(world.deadline()));
    assert!(second.0.begin_response(world.deadline()));
    let mut fourth = world.open(4);
    assert!(!is_evicted(&mut second) && is_evicted(&mut third) && !is_evicted(&mut fourth));
}

#[tokio::test]
async fn the_peer_with_the_most_connections_loses_one_and_no_peer_with_fewer() {
    let world = World::new(1024);
    let mut good = world.open(0);
    let mut bad: Vec<_> = (0..2000).map(|number| world.open(1 + number % 2)).collect();
    assert!(!is_evicted(&mut good));
    // All shared slots but the one of the other peer.
    assert_eq!(bad.len() - is_evicted_of(&mut bad), 768 - 1);
    assert!(!is_evicted(bad.last_mut().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn three_hundred_peers_evict_no_only_connection_however_fast_they_connect() {
    let world = World::new(1024);
    let (mut idle, mut waiting) = (world.idle(1000), world.open(1001));
    tokio::time::advance(NEW).await;
    let mut new = world.open(1002);
    let mut open: Vec<_> = (0..3000).map(|number| world.open(number % 300)).collect();
    // Each address may drop its connections and connect again.
    for peer in 0..300 {
        open.retain(|(slot, _)| slot.peer != Peer::V4(peer));
        open.push(world.open(peer));
        open.extend((0..3).map(|_| world.open(peer)));
    }
    for good in [&mut idle, &mut waiting, &mut new] {
        assert!(!is_evicted(good));
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_peers_evict_no_only_connection_that_is_new() {
    let world = World::new(1024);
    let mut good = world.open(5000);
    let mut bad: Vec<_> = (0..1500).map(|number| world.open(number % 1000)).collect();
    for (slot, _) in bad.iter().step_by(3) {
        if slot.begin_response(world.deadline()) {
            slot.end_response(world.deadline());
        }
    }
    bad.extend((0..1500).map(|number| world.open(number % 1000)));
    assert!(!is_evicted(&mut good));
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_not_evicted_before_idle_connections_of_others() {
    let world = World::new(1024);
    let mut idle: Vec<_> = (0..767).map(|number| world.idle(1 + number % 2)).collect();
    tokio::time::advance(NEW).await;
    let mut good = world.open(0);
    let mut newer: Vec<_> = (0..1000).map(|number| world.open(1 + number % 2)).collect();
    assert!(!is_evicted(&mut good));
    assert_eq!(is_evicted_of(&mut idle), 767);
    // Then the oldest pending ones.
    assert_eq!(is_evicted_of(&mut newer), 1000 - 767);
    assert!(!is_evicted(newer.last_mut().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_is_evicted_before_any_pending_connection() {
    let world = World::new(8);
    let (mut waiting, mut old) = (world.open(1), world.idle(1));
    tokio::time::advance(NEW).await;
    let mut young = world.idle(1);
    // Six slots are shared; this peer asks for a seventh.
    let mut more: Vec<_> = (0..4).map(|_| world.open(1)).collect();
    assert!(is_evicted(&mut old) && !is_evicted(&mut young) && !is_evicted(&mut waiting));
    more.push(world.open(1));
    assert!(is_evicted(&mut young) && !is_evicted(&mut waiting));
    more.push(world.open(1));
    assert!(is_evicted(&mut waiting) && is_evicted_of(&mut more) == 0);
}

#[tokio::test]
async fn a_quarter_of_the_slots_is_for_peers_with_few_connections() {
    let world = World::new(1024);
    let mut bad: Vec<_> = (0..2000).map(|number| world.open(number % 2)).collect();
    let before = is_evicted_of(&mut bad);
    assert_eq!(bad.len() - before, 768);
    let mut good: Vec<_> = (0..256).map(|number| world.open(2 + number / 8)).collect();
    assert_eq!((is_evicted_of(&mut bad), is_evicted_of(&mut good)), (before, 0));
    // The next newcomer takes a slot of the peers with many.
    let mut other = world.open(1000);
    assert_eq!((is_evicted_of(&mut bad), is_evicted_of(&mut good)), (before + 1, 0));
    assert!(!is_evicted(&mut other));
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_counts_half() {
    let world = World::new(8);
    let mut old: Vec<_> = (0..3).map(|_| world.open(1)).collect();
    tokio::time::advance(NEW).await;
    // One more than the others, but all of them new.
    let mut new: Vec<_> = (0..3).map(|_| world.open(2)).collect();
    new.push(world.open(2));
    assert_eq!((is_evicted_of(&mut old), is_evicted_of(&mut new)), (0, 1));
    let _others = [world.open(3), world.open(4)];
    let _newcomer = world.open(5);
    assert_eq!((is_evicted_of(&mut old), is_evicted_of(&mut new)), (1, 1));
    tokio::time::advance(NEW).await;
    let _newcomer = world.open(6);
    assert_eq!((is_evicted_of(&mut old), is_evicted_of(&mut new)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_have_less_time_when_only_reserved_slots_are_left() {
    let world = World::new(8);
    let mut idle: Vec<_> = (0..5).map(|peer| world.idle(peer)).collect();
    tokio::time::advance(SHORT_IDLE).await;
    let mut fresh = world.idle(10);
    assert_eq!(is_evicted_of(&mut idle), 0);
    let mut newcomer = world.open(11);
    assert_eq!(is_evicted_of(&mut idle), 5);
    assert!(!is_evicted(&mut fresh) && !is_evicted(&mut newcomer));
}

#[tokio::test]
async fn a_newcomer_gets_in_among_as_many_peers_as_slots() {
    let world = World::new(1024);
    let mut peers: Vec<_> = (0..2000).map(|peer| world.open(peer)).collect();
    // The oldest pending ones are gone.
    assert_eq!(is_evicted_of(&mut peers[..2000 - 1024]), 2000 - 1024);
    assert_eq!(is_evicted_of(&mut peers), 2000 - 1024);
    assert!(peers[1500].0.begin_response(world.deadline()));
    peers[1500].0.end_response(world.deadline());
    let mut newcomer = world.open(5000);
    assert!(is_evicted(&mut peers[1500]) && !is_evicted(&mut newcomer));
}

#[tokio::test]
async fn a_connection_being_answered_stays_and_an_idle_one_goes_when_none_is_pending() {
    let world = World::new(2);
    let (mut first, mut second) = (world.open(1), world.open(2));
    for connection in [&first, &second] {
        assert!(connection.0.begin_response(world.deadline()));
    }
    assert!(world.connections.admit(Peer::V4(3), world.deadline()).is_none());
    assert!(!world.connections.make_room());
    second.0.end_response(world.deadline());
    let mut third = world.open(3);
    assert!(!is_evicted(&mut first) && is_evicted(&mut second) && !is_evicted(&mut third));
    assert!(world.connections.make_room());
    assert!(is_evicted(&mut third));
}

#[tokio::test]
async fn one_peer_cannot_fill_all_slots_with_requests_being_answered() {
    let world = World::new(8);
    let mut good = world.open(1);
    let mut bad: Vec<_> = (0..5).map(|_| world.open(2)).collect();
    for connection in &bad {
        assert!(connection.0.begin_response(world.deadline()));
    }
    assert!(world.connections.admit(Peer::V4(2), world.deadline()).is_none());
    let mut other = world.open(3);
    // It may replace one of its own.
    bad[4].0.end_response(world.deadline());
    let newest = world.open(2);
    assert!(is_evicted(&mut bad[4]) && !is_evicted(&mut good) && !is_evicted(&mut other));
    drop((bad, newest));
    assert_eq!(world.connections.table().len(), 2);
}

#[tokio::test]
async fn a_slot_is_free_again_when_its_connection_ends() {
    let world = World::new(1);
    let first = world.open(1);
    assert!(first.0.begin_response(world.deadline()));
    drop(first);
    let mut second = world.open(1);
    assert!(!is_evicted(&mut second));
    drop(second);
    assert!(world.connections.table().peers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_request_has_the_connections_deadline_and_a_later_one_its_own() {
    let world = World::new(1);
    let (slot, _evicted) = world.open(1);
    let later = world.deadline() + Duration::from_secs(60);
    slot.begin_request(later);
    assert_eq!(slot.deadline(), world.deadline());
    slot.begin_response(later);
    slot.end_response(later);
    slot.begin_request(later + Duration::from_secs(10));
    assert_eq!(slot.deadline(), later + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_may_be_moved_either_way() {
    let world = World::new(1);
    let (slot, _evicted) = world.open(1);
    let (slot, began) = (Arc::new(slot), Instant::now());
    let waiting = Arc::clone(&slot);
    let expired = tokio::spawn(async move { waiting.expired().await });
    tokio::task::yield_now().await;
    assert!(slot.begin_response(began + Duration::from_secs(30)));
    tokio::task::yield_now().await;
    slot.end_response(began + Duration::from_secs(20));
    expired.await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(20));
}
