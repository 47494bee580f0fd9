//! Messages that wait for the store or for a plugin, by channel: a slow channel delays only its own
//! messages. A channel has a queue for each [`Priority`], so that a flood of strangers neither delays known
//! senders nor takes their room.
//!
//! The workers of a queue each decide one message after the other. Channel and sender determine the worker,
//! so that the messages of one sender keep their order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nexo_pairing_core::{Inbound, PairingError};
use nexo_pairing_gate::Screened;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::event::{self, Envelope, Event};
use crate::gate::BusGate;
use crate::known::{KnownSenders, OrderingKey, Priority};

/// The workers of a queue: how many of its messages are decided at once, and so how many questions about
/// strangers can precede one about a known sender.
const WORKERS: usize = 8;

/// The most messages that wait for one worker, so that one sender does not fill a queue.
const WORKER_CAPACITY: usize = 256;

/// The most messages that wait in a queue.
const MAX_MESSAGES: usize = 1024;

/// The most bytes of messages that wait in a queue.
const MAX_BYTES: usize = 8 << 20;

/// The shared queues of channels that are not configured.
const OTHERS: &str = "";

/// The queues of all channels.
pub(crate) struct ChannelQueues {
    gate: Arc<BusGate>,
    hasher: RandomState,
    senders: Arc<Senders>,
    /// By channel, those of each priority.
    queues: Mutex<HashMap<String, [Arc<ChannelQueue>; Priority::COUNT]>>,
    workers: Mutex<JoinSet<()>>,
}

/// The senders, as the queues and their workers know them.
#[derive(Default)]
struct Senders {
    known: KnownSenders,
    /// The messages that wait or are being decided: how many of each sender, and in which queue.
    in_flight: Mutex<HashMap<OrderingKey, (usize, Arc<ChannelQueue>)>>,
}

/// A queue of a channel.
struct ChannelQueue {
    workers: Vec<mpsc::Sender<Job>>,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A message that waits.
struct Job {
    key: OrderingKey,
    subject: Box<str>,
    payload: Bytes,
    /// Its room in the queue, until it is decided.
    _room: [OwnedSemaphorePermit; 2],
}

impl ChannelQueues {
    pub(crate) fn new(gate: Arc<BusGate>) -> Self {
        Self {
            gate,
            hasher: RandomState::new(),
            senders: Arc::default(),
            queues: Mutex::default(),
            workers: Mutex::default(),
        }
    }

    pub(crate) fn gate(&self) -> &BusGate {
        &self.gate
    }

    /// The key that keeps the messages of this sender in order.
    pub(crate) fn ordering_key(&self, inbound: &Inbound) -> OrderingKey {
        OrderingKey(self.hasher.hash_one((&inbound.channel, &inbound.raw_sender)))
    }

    /// Whether a message of this sender waits or is being decided.
    pub(crate) fn is_in_flight(&self, key: OrderingKey) -> bool {
        lock(&self.senders.in_flight).contains_key(&key)
    }

    /// Remembers the decision on a sender.
    pub(crate) fn remember(&self, key: OrderingKey, result: &Result<Screened, PairingError>) {
        self.senders.known.remember(key, result);
    }

    /// Queues a message. Returns whether there was room.
    pub(crate) fn enqueue(
        &self,
        key: OrderingKey,
        inbound: &Inbound,
        envelope: Envelope<'_>,
    ) -> bool {
        // Behind earlier messages of the sender, even if another queue is right for them now.
        let current = lock(&self.senders.in_flight).get(&key).map(|(_, queue)| Arc::clone(queue));
        let queue = current.unwrap_or_else(|| self.queue_of(key, inbound));
        let Some(room) = queue.reserve(envelope.payload.len()) else { return false };
        self.senders.begin(key, &queue);
        // A copy, because the payload shares its memory with other messages from the wire.
        let payload = Bytes::copy_from_slice(envelope.payload);
        let job = Job { key, subject: envelope.subject.into(), payload, _room: room };
        let worker = usize::try_from(key.0 % WORKERS as u64).unwrap_or_default();
        let has_room = queue.workers[worker].try_send(job).is_ok();
        if !has_room {
            self.senders.end(key);
        }
        has_room
    }

    /// Waits until all queues are empty. Nothing can be queued after it.
    pub(crate) async fn drain(&self) {
        lock(&self.queues).clear();
        let mut workers = std::mem::take(&mut *lock(&self.workers));
        while workers.join_next().await.is_some() {}
    }

    /// The queue for a sender on a channel. The queues of a channel are opened with its first message.
    fn queue_of(&self, key: OrderingKey, inbound: &Inbound) -> Arc<ChannelQueue> {
        let priority = self.senders.known.priority(key, self.gate.listing(inbound));
        let channel = inbound.channel.as_str();
        let name = if self.gate.settings().names(channel) { channel } else { OTHERS };
        let mut queues = lock(&self.queues);
        if let Some(queues) = queues.get(name) {
            return Arc::clone(&queues[priority as usize]);
        }
        let opened = std::array::from_fn(|_| Arc::new(self.open()));
        let queue = Arc::clone(&opened[priority as usize]);
        queues.insert(name.to_owned(), opened);
        queue
    }

    fn open(&self) -> ChannelQueue {
        let mut workers = lock(&self.workers);
        let senders = (0..WORKERS).map(|_| {
            let (sender, jobs) = mpsc::channel(WORKER_CAPACITY);
            workers.spawn(work(jobs, Arc::clone(&self.gate), Arc::clone(&self.senders)));
            sender
        });
        ChannelQueue::new(senders.collect())
    }
}

impl ChannelQueue {
    fn new(workers: Vec<mpsc::Sender<Job>>) -> Self {
        let messages = Arc::new(Semaphore::new(MAX_MESSAGES));
        Self { workers, messages, bytes: Arc::new(Semaphore::new(MAX_BYTES)) }
    }

    /// Reserves room for a message of this length in bytes.
    fn reserve(&self, bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let message = Arc::clone(&self.messages).try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some([message, bytes])
    }
}

/// A worker: decides its messages one after the other.
async fn work(mut jobs: mpsc::Receiver<Job>, gate: Arc<BusGate>, senders: Arc<Senders>) {
    while let Some(Job { key, subject, payload, _room }) = jobs.recv().await {
        let envelope = Envelope { subject: &subject, payload: &payload };
        // Parsed a second time: a parsed message can take many times the room of its bytes.
        match event::parse(envelope) {
            Ok(Event::Message(inbound)) => {
                let result = gate.decide(&inbound).await;
                senders.known.remember(key, &result);
                gate.apply(&inbound, envelope, result).await;
            }
            Ok(Event::Notice(address, notice)) => {
                gate.screen_notice(address, &notice, envelope).await;
            }
            Err(reason) => gate.reject(envelope, &reason).await,
        }
        senders.end(key);
    }
}

impl Senders {
    /// Counts a message of a sender as in flight.
    fn begin(&self, key: OrderingKey, queue: &Arc<ChannelQueue>) {
        lock(&self.in_flight).entry(key).or_insert_with(|| (0, Arc::clone(queue))).0 += 1;
    }

    /// One message of the sender is decided.
    fn end(&self, key: OrderingKey) {
        let mut in_flight = lock(&self.in_flight);
        if let Some((count, _)) = in_flight.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&key);
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
    fn a_queue_has_room_for_so_many_messages_and_bytes() {
        let queue = ChannelQueue::new(Vec::new());
        let mut taken: Vec<_> = (0..MAX_MESSAGES).map(|_| queue.reserve(1).unwrap()).collect();
        assert!(queue.reserve(1).is_none() && queue.reserve(0).is_none());
        taken.pop();
        assert!(queue.reserve(1).is_some(), "a decided message frees its room");

        drop(taken);
        assert!(queue.reserve(MAX_BYTES + 1).is_none() && queue.reserve(usize::MAX).is_none());
        let all = queue.reserve(MAX_BYTES);
        assert!(all.is_some() && queue.reserve(1).is_none());
        drop(all);
        assert!(queue.reserve(1).is_some());
    }
}
