//! Messages that wait for the store or for a plugin, by channel: one that is slow, or dead, delays only
//! what comes on its own channel. A channel has a queue for each [`Priority`], so that a crowd of strangers
//! neither delays known senders nor takes their room.
//!
//! A queue has workers that decide one message after the other. Which worker a message goes to follows from
//! channel and sender, so that the messages of one sender keep their order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nexo_pairing_core::{Inbound, PairingError};
use nexo_pairing_gate::Screened;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::dispatcher::Dispatcher;
use crate::event::{self, Envelope, Event};
use crate::known::{KnownSenders, OrderingKey, Priority};

/// How many workers a queue has: so many of its messages are decided at once, and so many questions about strangers can be before that
/// about a known sender.
const WORKERS: usize = 8;

/// How many messages wait for a worker at most, besides the one in hand: one sender does not fill a queue.
const WORKER_CAPACITY: usize = 256;

/// The most messages that wait in a queue.
const MAX_MESSAGES: usize = 1024;

/// The most bytes of messages that wait in a queue.
const MAX_BYTES: usize = 8 << 20;

/// The queues of the channels that nobody has named.
const OTHERS: &str = "";

/// The queues of all channels, by priority.
pub(crate) struct ChannelQueues {
    dispatcher: Arc<Dispatcher>,
    hasher: RandomState,
    /// By channel, those of each priority.
    queues: Mutex<HashMap<String, [Arc<ChannelQueue>; Priority::COUNT]>>,
    in_flight: Arc<InFlight>,
    known: Arc<KnownSenders>,
    workers: Mutex<JoinSet<()>>,
}

/// The messages that wait or are decided on now: how many of each sender, and in which queue.
#[derive(Default)]
struct InFlight(Mutex<HashMap<OrderingKey, (usize, Arc<ChannelQueue>)>>);

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
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            dispatcher,
            hasher: RandomState::new(),
            queues: Mutex::default(),
            in_flight: Arc::default(),
            known: Arc::default(),
            workers: Mutex::default(),
        }
    }

    /// What keeps the messages of this sender in their order.
    pub(crate) fn ordering_key(&self, inbound: &Inbound) -> OrderingKey {
        OrderingKey(self.hasher.hash_one((&inbound.channel, &inbound.raw_sender)))
    }

    /// Whether a message of this sender waits, or is being decided on.
    pub(crate) fn is_in_flight(&self, key: OrderingKey) -> bool {
        lock(&self.in_flight.0).contains_key(&key)
    }

    /// Remembers what was decided on a sender.
    pub(crate) fn remember(&self, key: OrderingKey, result: &Result<Screened, PairingError>) {
        self.known.remember(key, result);
    }

    /// Has a message wait for its turn; says whether there is room for it.
    pub(crate) fn enqueue(
        &self,
        key: OrderingKey,
        inbound: &Inbound,
        envelope: Envelope<'_>,
    ) -> bool {
        // What waits on a queue stays there, also when another one is for its sender or channel now.
        let waits_on = lock(&self.in_flight.0).get(&key).map(|(_, queue)| Arc::clone(queue));
        let queue = waits_on.unwrap_or_else(|| self.queue_of(key, inbound));
        let Some(room) = queue.reserve(envelope.payload.len()) else { return false };
        self.in_flight.add(key, &queue);
        // A copy, without what came with it on the wire: that would be kept for as long.
        let payload = Bytes::copy_from_slice(envelope.payload);
        let job = Job { key, subject: envelope.subject.into(), payload, _room: room };
        let at = usize::try_from(key.0 % WORKERS as u64).unwrap_or_default();
        let has_room = queue.workers[at].try_send(job).is_ok();
        if !has_room {
            self.in_flight.remove(key);
        }
        has_room
    }

    /// Waits until nothing waits any more. Nothing can be queued after it.
    pub(crate) async fn drain(&self) {
        lock(&self.queues).clear();
        let mut workers = std::mem::take(&mut *lock(&self.workers));
        while workers.join_next().await.is_some() {}
    }

    /// The queue of a sender on a channel, whose queues are opened with its first message.
    fn queue_of(&self, key: OrderingKey, inbound: &Inbound) -> Arc<ChannelQueue> {
        let priority = self.known.priority(key, self.dispatcher.listing(inbound));
        let channel = inbound.channel.as_str();
        let name =
            if self.dispatcher.handle().settings().names(channel) { channel } else { OTHERS };
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
            let worker = Worker {
                dispatcher: Arc::clone(&self.dispatcher),
                in_flight: Arc::clone(&self.in_flight),
                known: Arc::clone(&self.known),
            };
            workers.spawn(worker.run(jobs));
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

    /// Room for a message of so many bytes; `None` when there is none.
    fn reserve(&self, bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let message = Arc::clone(&self.messages).try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some([message, bytes])
    }
}

/// Decides on the messages that it gets, one after the other.
struct Worker {
    dispatcher: Arc<Dispatcher>,
    in_flight: Arc<InFlight>,
    known: Arc<KnownSenders>,
}

impl Worker {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(Job { key, subject, payload, _room }) = jobs.recv().await {
            let envelope = Envelope { subject: &subject, payload: &payload };
            // Only now, although it was read before: what was read can take many times the room of the
            // message.
            match event::read(envelope) {
                Ok(Event::Message(inbound)) => {
                    let result = self.dispatcher.decide(&inbound).await;
                    self.known.remember(key, &result);
                    self.dispatcher.apply(&inbound, envelope, result).await;
                }
                Ok(Event::Notice(address, notice)) => {
                    self.dispatcher.screen_notice(address, &notice, envelope).await;
                }
                Err(reason) => self.dispatcher.reject(envelope, &reason).await,
            }
            self.in_flight.remove(key);
        }
    }
}

impl InFlight {
    fn add(&self, key: OrderingKey, queue: &Arc<ChannelQueue>) {
        lock(&self.0).entry(key).or_insert_with(|| (0, Arc::clone(queue))).0 += 1;
    }

    fn remove(&self, key: OrderingKey) {
        let mut senders = lock(&self.0);
        if let Some((count, _)) = senders.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                senders.remove(&key);
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
        assert!(queue.reserve(1).is_some(), "a message that is decided gives its room back");

        drop(taken);
        assert!(queue.reserve(MAX_BYTES + 1).is_none() && queue.reserve(usize::MAX).is_none());
        let all = queue.reserve(MAX_BYTES);
        assert!(all.is_some() && queue.reserve(1).is_none());
        drop(all);
        assert!(queue.reserve(1).is_some());
    }
}
