//! The open connections of a listener: their deadlines, and which one is evicted when a place is needed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexo_pairing_core::{SystemClock, WarningLimiter};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::peer::Peer;

/// The age up to which a connection that waits for its request counts as new: the TLS handshake and
/// the request of a distant client take several round trips.
const NEW: Duration = Duration::from_secs(2);

/// How long a connection may be idle while only reserved places are left.
const SHORT_IDLE: Duration = Duration::from_secs(10);

/// The open connections of a listener.
///
/// A quarter of the places is reserved for newcomers of peers that hold few (less than 1 in 128 of all
/// places). A newcomer without a free place evicts another connection. Those being answered are never
/// evicted. Of the others goes one of the peer with the most: first the longest idle after an answer,
/// then the oldest that waits for its request. A new connection weighs half. A peer that holds more
/// than a few evicts only its own and those of peers that have more than it holds.
///
/// There is no index beside the table. It is scanned for each newcomer once the shared places are used
/// up, which takes some microseconds for 1,024 connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    table: Mutex<Table>,
    /// Evictions, by the peer that lost a connection; `None` for newcomers that were rejected.
    warnings: WarningLimiter<Option<Peer>>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    /// By peer; no list is empty.
    peers: HashMap<Peer, Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    id: u64,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    deadline: Instant,
    /// Dropped when the connection is evicted.
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its TLS handshake or its request is not complete.
    Waiting,
    /// Its request is complete.
    Answering,
    /// It was answered and may send another request, or its WebSocket may close.
    Idle,
}

/// The place of a connection among the open ones. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    peer: Peer,
    id: u64,
    /// Notified when the deadline was moved.
    moved: Notify,
}

/// Resolves when the connection is evicted.
pub(crate) type Evicted = oneshot::Receiver<()>;

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let warnings = WarningLimiter::new(SystemClock::shared());
        Arc::new(Self { max: max.max(1), table: Mutex::default(), warnings })
    }

    /// A place for a new connection, which has until `deadline` to send its request. `None` when no
    /// connection can be evicted for it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: Peer,
        deadline: Instant,
    ) -> Option<(Place, Evicted)> {
        let now = Instant::now();
        let shared = self.max - self.max / 4;
        let mut table = self.table();
        if table.len() >= shared {
            table.close_idle(now);
        }
        let held = table.peers.get(&peer).map_or(0, Vec::len);
        let (max, held) =
            if held < (self.max / 128).max(1) { (self.max, 0) } else { (shared, held) };
        if table.len() >= max {
            let evicted = table.evict(Some(peer), held, now);
            // The log may be slow, and every connection needs the table.
            drop(table);
            self.warn(evicted);
            evicted?;
            table = self.table();
        }
        let id = table.next_id;
        table.next_id += 1;
        let (end, evicted) = oneshot::channel();
        let open = Open { id, phase: Phase::Waiting, since: now, deadline, _end: end };
        table.peers.entry(peer).or_default().push(open);
        let place = Place { connections: Arc::clone(self), peer, id, moved: Notify::new() };
        Some((place, evicted))
    }

    /// Evicts a connection, because the system has no room for another.
    pub(crate) fn make_room(&self) -> bool {
        let evicted = self.table().evict(None, 0, Instant::now());
        self.warn(evicted);
        evicted.is_some()
    }

    fn warn(&self, evicted: Option<Peer>) {
        let Some(suppressed) = self.warnings.allow(evicted) else { return };
        match evicted {
            Some(peer) => {
                tracing::warn!(%peer, suppressed, "evicted a connection: too many are open");
            }
            None => tracing::warn!(suppressed, "rejected a connection: none can be evicted"),
        }
    }

    /// Evicts all of them.
    pub(crate) fn close_all(&self) {
        self.table().peers.clear();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn len(&self) -> usize {
        self.peers.values().map(Vec::len).sum()
    }

    fn open(&mut self, place: &Place) -> Option<&mut Open> {
        self.peers.get_mut(&place.peer)?.iter_mut().find(|open| open.id == place.id)
    }

    /// Evicts a connection for a newcomer: one of its own peer, or of a peer with more connections than
    /// `held`. Whose it was.
    fn evict(&mut self, newcomer: Option<Peer>, held: usize, now: Instant) -> Option<Peer> {
        let evictable = self.peers.iter().flat_map(|(peer, of)| {
            let of = of.iter().filter(|open| open.phase != Phase::Answering);
            let count = of.clone().count();
            let is_heavy = newcomer == Some(*peer) || count > held;
            of.filter(move |_| is_heavy).map(move |open| (*peer, count, open))
        });
        let first = evictable.max_by_key(|(_, count, open)| {
            let is_idle = open.phase == Phase::Idle;
            let is_new = !is_idle && now < open.since + NEW;
            let weight = count * if is_new { 1 } else { 2 };
            (weight, is_idle, Reverse((open.since, open.id)))
        });
        let (peer, _, &Open { id, .. }) = first?;
        self.remove(peer, id);
        Some(peer)
    }

    fn remove(&mut self, peer: Peer, id: u64) {
        let Some(of) = self.peers.get_mut(&peer) else { return };
        of.retain(|open| open.id != id);
        if of.is_empty() {
            self.peers.remove(&peer);
        }
    }

    /// Closes what has been idle for [`SHORT_IDLE`].
    fn close_idle(&mut self, now: Instant) {
        self.peers.retain(|_, of| {
            of.retain(|open| open.phase != Phase::Idle || now < open.since + SHORT_IDLE);
            !of.is_empty()
        });
    }
}

impl Place {
    /// The head of a request is complete. The first request has the time that the connection was
    /// given, a later one has until `deadline`.
    pub(crate) fn request_begins(&self, deadline: Instant) {
        let is_first = |open: &mut Open| open.phase == Phase::Waiting;
        if !self.connections.table().open(self).is_some_and(is_first) {
            self.enter(Phase::Waiting, deadline);
        }
    }

    /// The request is complete and is answered until `deadline`. `false` when the connection was
    /// evicted: nobody would receive the answer.
    pub(crate) fn answer_begins(&self, deadline: Instant) -> bool {
        self.enter(Phase::Answering, deadline)
    }

    /// The request is answered; the next one has until `deadline`.
    pub(crate) fn answered(&self, deadline: Instant) {
        self.enter(Phase::Idle, deadline);
    }

    fn enter(&self, phase: Phase, deadline: Instant) -> bool {
        let mut table = self.connections.table();
        let Some(open) = table.open(self) else { return false };
        (open.phase, open.since, open.deadline) = (phase, Instant::now(), deadline);
        self.moved.notify_one();
        true
    }

    /// The end of the current phase.
    pub(crate) fn deadline(&self) -> Instant {
        let mut table = self.connections.table();
        table.open(self).map_or_else(Instant::now, |open| open.deadline)
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
        self.connections.table().remove(self.peer, self.id);
    }
}

#[cfg(test)]
mod tests;
