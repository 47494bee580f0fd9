//! The open connections of a listener: their deadlines, and which one is evicted when a slot is needed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexo_pairing_core::{SystemClock, WarningLimiter};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::peer::Peer;

/// The age up to which a pending connection counts as new: the TLS handshake and the request of a
/// distant client take several round trips.
const NEW: Duration = Duration::from_secs(2);

/// How long a connection may be idle while only reserved slots are left.
const SHORT_IDLE: Duration = Duration::from_secs(10);

/// The open connections of a listener.
///
/// A quarter of the slots is reserved for newcomers of peers that hold few (less than 1 in 128 of all
/// slots). A newcomer without a free slot evicts another connection, but never one that is being
/// answered. The peer with the most connections loses one: the longest idle, or else the oldest
/// pending. A new connection weighs half. A peer that holds more than a few evicts only its own
/// connections and those of peers that have more than it holds.
///
/// The table has no index. It is scanned for each newcomer once the shared slots are used up, which
/// takes some microseconds for 1,024 connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    table: Mutex<Table>,
    /// By the peer that lost a connection; `None` for rejected newcomers.
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
    /// The start of the phase.
    since: Instant,
    deadline: Instant,
    /// Dropped when the connection is evicted.
    _eviction: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The TLS handshake or the request is not complete.
    Pending,
    /// The request is complete.
    Responding,
    /// The request was answered; another one may come, or the WebSocket may close.
    Idle,
}

/// The slot of an open connection. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Arc<Connections>,
    peer: Peer,
    id: u64,
    /// Notified when the deadline has moved.
    moved: Notify,
}

/// Resolves when the connection is evicted.
pub(crate) type Evicted = oneshot::Receiver<()>;

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let warnings = WarningLimiter::new(SystemClock::shared());
        Arc::new(Self { max: max.max(1), table: Mutex::default(), warnings })
    }

    /// A slot for a new connection, which has until `deadline` to send its request. `None` if no
    /// connection can be evicted for it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: Peer,
        deadline: Instant,
    ) -> Option<(Slot, Evicted)> {
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
            // Logging may be slow, and every connection needs the table.
            drop(table);
            self.warn(evicted);
            evicted?;
            table = self.table();
        }
        let id = table.next_id;
        table.next_id += 1;
        let (_eviction, evicted) = oneshot::channel();
        let open = Open { id, phase: Phase::Pending, since: now, deadline, _eviction };
        table.peers.entry(peer).or_default().push(open);
        let slot = Slot { connections: Arc::clone(self), peer, id, moved: Notify::new() };
        Some((slot, evicted))
    }

    /// Evicts a connection, because the process has no file descriptor for another.
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

    /// Evicts all connections.
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

    fn open(&mut self, slot: &Slot) -> Option<&mut Open> {
        self.peers.get_mut(&slot.peer)?.iter_mut().find(|open| open.id == slot.id)
    }

    /// Evicts a connection for a newcomer: one of its own peer, or of a peer with more connections than
    /// `held`. Returns the peer that lost it.
    fn evict(&mut self, newcomer: Option<Peer>, held: usize, now: Instant) -> Option<Peer> {
        let evictable = self.peers.iter().flat_map(|(peer, of)| {
            let of = of.iter().filter(|open| open.phase != Phase::Responding);
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

    /// Closes connections that have been idle for [`SHORT_IDLE`].
    fn close_idle(&mut self, now: Instant) {
        self.peers.retain(|_, of| {
            of.retain(|open| open.phase != Phase::Idle || now < open.since + SHORT_IDLE);
            !of.is_empty()
        });
    }
}

impl Slot {
    /// The head of a request is complete. The first request keeps the deadline of the connection, a later
    /// one has until `deadline`.
    pub(crate) fn begin_request(&self, deadline: Instant) {
        let is_first = |open: &mut Open| open.phase == Phase::Pending;
        if !self.connections.table().open(self).is_some_and(is_first) {
            self.enter(Phase::Pending, deadline);
        }
    }

    /// The request is complete; the response has until `deadline`. `false` if the connection was evicted,
    /// so that a response would be lost.
    pub(crate) fn begin_response(&self, deadline: Instant) -> bool {
        self.enter(Phase::Responding, deadline)
    }

    /// The request is answered; the next one has until `deadline`.
    pub(crate) fn end_response(&self, deadline: Instant) {
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

    /// Waits until the deadline has passed, even if it moves meanwhile.
    pub(crate) async fn expired(&self) {
        loop {
            tokio::select! {
                () = sleep_until(self.deadline()) => return,
                () = self.moved.notified() => {}
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.table().remove(self.peer, self.id);
    }
}

#[cfg(test)]
mod tests;
