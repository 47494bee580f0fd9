//! Messages that wait for the store or for a plugin, by channel: one that is slow, or dead, delays only
//! what comes on its own channel.
//!
//! A channel has a lane, and a lane has places in which messages are decided one after the other. Whose
//! place is where follows from channel and sender, so that the messages of one sender keep their order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nexo_pairing::Inbound;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::desk::Desk;
use super::event::Letter;

/// How many messages of a lane are decided at once.
const PLACES: usize = 16;

/// How many messages wait in a place at most, besides the one in hand: one sender does not fill a lane.
const QUEUED: usize = 256;

/// How many messages are in a lane at most.
const MAX_MESSAGES: usize = 1024;

/// How many bytes are in a lane at most.
const MAX_BYTES: usize = 8 << 20;

/// The lane of the channels that nobody has named.
const OTHERS: &str = "";

/// Stands for a sender on a channel. Two that have the same one keep their order among each other too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u64);

/// The lanes.
pub(super) struct Lanes {
    desk: Arc<Desk>,
    hasher: RandomState,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    waiting: Arc<Waiting>,
    workers: Mutex<JoinSet<()>>,
}

/// Who waits: how many messages of whom, and in which lane.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Place, (usize, Arc<Lane>)>>);

struct Lane {
    places: Vec<mpsc::Sender<Job>>,
    load: Arc<Load>,
}

/// What is in a lane.
#[derive(Default)]
struct Load {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

struct Job {
    place: Place,
    inbound: Inbound,
    subject: Box<str>,
    payload: Bytes,
}

impl Lanes {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            hasher: RandomState::new(),
            lanes: Mutex::default(),
            waiting: Arc::default(),
            workers: Mutex::default(),
        }
    }

    /// Where the messages of this sender wait.
    pub(super) fn place(&self, inbound: &Inbound) -> Place {
        Place(self.hasher.hash_one((&inbound.channel, &inbound.raw_sender)))
    }

    /// Whether a message of this sender waits, or is being decided on.
    pub(super) fn waits(&self, place: Place) -> bool {
        lock(&self.waiting.0).contains_key(&place)
    }

    /// Has a message wait for its turn; says whether there is room for it.
    pub(super) fn queue(&self, place: Place, inbound: Inbound, letter: Letter<'_>) -> bool {
        // What waits on a lane stays there, also when the configuration has another one for it now.
        let waits_on = lock(&self.waiting.0).get(&place).map(|(_, lane)| Arc::clone(lane));
        let lane = waits_on.unwrap_or_else(|| self.lane_of(&inbound.channel));
        if !lane.load.add(letter.payload.len()) {
            return false;
        }
        self.waiting.add(place, &lane);
        // A copy, without what came with it on the wire: that would be kept for as long.
        let payload = Bytes::copy_from_slice(letter.payload);
        let job = Job { place, inbound, subject: letter.subject.into(), payload };
        let at = usize::try_from(place.0 % PLACES as u64).unwrap_or_default();
        let has_room = lane.places[at].try_send(job).is_ok();
        if !has_room {
            lane.load.remove(letter.payload.len());
            self.waiting.remove(place);
        }
        has_room
    }

    /// Waits until nothing waits any more. Nothing can be queued after it.
    pub(super) async fn finish(&self) {
        lock(&self.lanes).clear();
        let mut workers = std::mem::take(&mut *lock(&self.workers));
        while workers.join_next().await.is_some() {}
    }

    /// The lane of a channel; opened with its first message.
    fn lane_of(&self, channel: &str) -> Arc<Lane> {
        let name = if self.desk.in_force().names(channel) { channel } else { OTHERS };
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(name) {
            return Arc::clone(lane);
        }
        let load = Arc::<Load>::default();
        let mut workers = lock(&self.workers);
        let places = (0..PLACES).map(|_| {
            let (sender, jobs) = mpsc::channel(QUEUED);
            let (desk, waiting) = (Arc::clone(&self.desk), Arc::clone(&self.waiting));
            workers.spawn(work(jobs, desk, waiting, Arc::clone(&load)));
            sender
        });
        let lane = Arc::new(Lane { places: places.collect(), load: Arc::clone(&load) });
        lanes.insert(name.to_owned(), Arc::clone(&lane));
        lane
    }
}

/// Decides on the messages of a place, one after the other.
async fn work(
    mut jobs: mpsc::Receiver<Job>,
    desk: Arc<Desk>,
    waiting: Arc<Waiting>,
    load: Arc<Load>,
) {
    while let Some(Job { place, inbound, subject, payload }) = jobs.recv().await {
        desk.screen(&inbound, Letter { subject: &subject, payload: &payload }).await;
        load.remove(payload.len());
        waiting.remove(place);
    }
}

impl Load {
    /// Takes a message of so many bytes in, if there is room for it.
    fn add(&self, bytes: usize) -> bool {
        let messages = self.messages.fetch_add(1, Ordering::AcqRel) + 1;
        let all = self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let has_room = messages <= MAX_MESSAGES && all <= MAX_BYTES;
        if !has_room {
            self.remove(bytes);
        }
        has_room
    }

    fn remove(&self, bytes: usize) {
        self.messages.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Waiting {
    fn add(&self, place: Place, lane: &Arc<Lane>) {
        lock(&self.0).entry(place).or_insert_with(|| (0, Arc::clone(lane))).0 += 1;
    }

    fn remove(&self, place: Place) {
        let mut senders = lock(&self.0);
        if let Some((count, _)) = senders.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                senders.remove(&place);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
