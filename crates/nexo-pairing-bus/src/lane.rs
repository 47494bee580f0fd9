//! Messages that wait for the store or for a plugin, by channel: one that is slow, or dead, delays only
//! what comes on its own channel. A channel has a lane for each [`Priority`], so that a crowd of strangers
//! neither delays known senders nor takes their room.
//!
//! A lane has places in which messages are decided one after the other. Whose place is where follows from
//! channel and sender, so that the messages of one sender keep their order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nexo_pairing_core::{Inbound, PairingError};
use nexo_pairing_gate::Screened;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::event::{self, Event, Letter};
use crate::known::{Known, Place, Priority};

/// How many messages of a lane are decided at once. So many questions about strangers can be before that
/// about a known sender.
const PLACES: usize = 8;

/// How many messages wait in a place at most, besides the one in hand: one sender does not fill a lane.
const QUEUED: usize = 256;

/// The most messages that wait in a lane.
const MAX_MESSAGES: usize = 1024;

/// The most bytes of messages that wait in a lane.
const MAX_BYTES: usize = 8 << 20;

/// The lanes of the channels that nobody has named.
const OTHERS: &str = "";

/// The lanes.
pub(crate) struct Lanes {
    desk: Arc<Desk>,
    hasher: RandomState,
    /// By channel, those of each priority.
    lanes: Mutex<HashMap<String, [Arc<Lane>; Priority::COUNT]>>,
    waiting: Arc<Waiting>,
    known: Arc<Known>,
    workers: Mutex<JoinSet<()>>,
}

/// Who waits: how many messages of whom, and in which lane.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Place, (usize, Arc<Lane>)>>);

struct Lane {
    places: Vec<mpsc::Sender<Job>>,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

struct Job {
    place: Place,
    subject: Box<str>,
    payload: Bytes,
    /// Its room in the lane, until it is decided.
    _room: [OwnedSemaphorePermit; 2],
}

impl Lanes {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            hasher: RandomState::new(),
            lanes: Mutex::default(),
            waiting: Arc::default(),
            known: Arc::default(),
            workers: Mutex::default(),
        }
    }

    /// Where the messages of this sender wait.
    pub(crate) fn place(&self, inbound: &Inbound) -> Place {
        Place(self.hasher.hash_one((&inbound.channel, &inbound.raw_sender)))
    }

    /// Whether a message of this sender waits, or is being decided on.
    pub(crate) fn waits(&self, place: Place) -> bool {
        lock(&self.waiting.0).contains_key(&place)
    }

    /// Remembers what was decided on a sender.
    pub(crate) fn decided(&self, place: Place, result: &Result<Screened, PairingError>) {
        self.known.decided(place, result);
    }

    /// Has a message wait for its turn; says whether there is room for it.
    pub(crate) fn queue(&self, place: Place, inbound: &Inbound, letter: Letter<'_>) -> bool {
        // What waits on a lane stays there, also when another one is for its sender or channel now.
        let waits_on = lock(&self.waiting.0).get(&place).map(|(_, lane)| Arc::clone(lane));
        let lane = waits_on.unwrap_or_else(|| self.lane_of(place, inbound));
        let Some(room) = lane.reserve(letter.payload.len()) else { return false };
        self.waiting.add(place, &lane);
        // A copy, without what came with it on the wire: that would be kept for as long.
        let payload = Bytes::copy_from_slice(letter.payload);
        let job = Job { place, subject: letter.subject.into(), payload, _room: room };
        let at = usize::try_from(place.0 % PLACES as u64).unwrap_or_default();
        let has_room = lane.places[at].try_send(job).is_ok();
        if !has_room {
            self.waiting.remove(place);
        }
        has_room
    }

    /// Waits until nothing waits any more. Nothing can be queued after it.
    pub(crate) async fn finish(&self) {
        lock(&self.lanes).clear();
        let mut workers = std::mem::take(&mut *lock(&self.workers));
        while workers.join_next().await.is_some() {}
    }

    /// The lane of a sender on a channel, whose lanes are opened with its first message.
    fn lane_of(&self, place: Place, inbound: &Inbound) -> Arc<Lane> {
        let priority = self.known.priority(place, self.desk.listing(inbound));
        let channel = inbound.channel.as_str();
        let name = if self.desk.handle().settings().names(channel) { channel } else { OTHERS };
        let mut lanes = lock(&self.lanes);
        if let Some(lanes) = lanes.get(name) {
            return Arc::clone(&lanes[priority as usize]);
        }
        let opened = std::array::from_fn(|_| Arc::new(self.open()));
        let lane = Arc::clone(&opened[priority as usize]);
        lanes.insert(name.to_owned(), opened);
        lane
    }

    fn open(&self) -> Lane {
        let mut workers = lock(&self.workers);
        let places = (0..PLACES).map(|_| {
            let (sender, jobs) = mpsc::channel(QUEUED);
            let worker = Worker {
                desk: Arc::clone(&self.desk),
                waiting: Arc::clone(&self.waiting),
                known: Arc::clone(&self.known),
            };
            workers.spawn(worker.run(jobs));
            sender
        });
        Lane::new(places.collect())
    }
}

impl Lane {
    fn new(places: Vec<mpsc::Sender<Job>>) -> Self {
        let messages = Arc::new(Semaphore::new(MAX_MESSAGES));
        Self { places, messages, bytes: Arc::new(Semaphore::new(MAX_BYTES)) }
    }

    /// Room for a message of so many bytes; `None` when there is none.
    fn reserve(&self, bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let message = Arc::clone(&self.messages).try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some([message, bytes])
    }
}

/// Decides on the messages of a place, one after the other.
struct Worker {
    desk: Arc<Desk>,
    waiting: Arc<Waiting>,
    known: Arc<Known>,
}

impl Worker {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(Job { place, subject, payload, _room }) = jobs.recv().await {
            let letter = Letter { subject: &subject, payload: &payload };
            // Only now, although it was read before: what was read can take many times the room of the
            // message.
            match event::read(letter) {
                Ok(Event::Message(inbound)) => {
                    let result = self.desk.decide(&inbound).await;
                    self.known.decided(place, &result);
                    self.desk.conclude(&inbound, letter, result).await;
                }
                Ok(Event::Notice(address, notice)) => {
                    self.desk.notice(address, &notice, letter).await;
                }
                Err(refusal) => self.desk.reject(letter, &refusal).await,
            }
            self.waiting.remove(place);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_room_for_so_many_messages_and_bytes() {
        let lane = Lane::new(Vec::new());
        let mut taken: Vec<_> = (0..MAX_MESSAGES).map(|_| lane.reserve(1).unwrap()).collect();
        assert!(lane.reserve(1).is_none() && lane.reserve(0).is_none());
        taken.pop();
        assert!(lane.reserve(1).is_some(), "a message that is decided gives its room back");

        drop(taken);
        assert!(lane.reserve(MAX_BYTES + 1).is_none() && lane.reserve(usize::MAX).is_none());
        let all = lane.reserve(MAX_BYTES);
        assert!(all.is_some() && lane.reserve(1).is_none());
        drop(all);
        assert!(lane.reserve(1).is_some());
    }
}
