//! Lines that wait for the store while others are decided from memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use nexo_pairing::{Inbound, PairingAdapterRegistry};
use tokio::sync::{Semaphore, watch};
use tokio::task::unconstrained;

use crate::command::gate::output::Output;

/// The most lines that are decided at once. The store puts them into one transaction.
const MAX_DECIDED_AT_ONCE: usize = 64;

/// The most lines that wait.
const MAX_LINES: usize = 16_384;

/// The most bytes of lines that wait.
const MAX_BYTES: usize = 32 << 20;

/// Lines that wait, within [`MAX_LINES`] and [`MAX_BYTES`]. They are decided concurrently, those of one
/// sender in order.
pub(super) struct Waiting {
    lines: FuturesUnordered<BoxFuture<'static, Decided>>,
    senders: Senders,
    bytes: usize,
    permits: Arc<Semaphore>,
    hasher: RandomState,
}

/// The hash of an id on a channel. A collision only keeps the order of two senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// A line that no longer waits.
pub(super) struct Decided {
    /// Its number.
    pub(super) line: u64,
    pub(super) output: Output,
    keys: Vec<Key>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            lines: FuturesUnordered::new(),
            senders: Senders::default(),
            bytes: 0,
            permits: Arc::new(Semaphore::new(MAX_DECIDED_AT_ONCE)),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The keys of a message's sender: one for each id that the gate considers, in canonical form, so that
    /// all spellings are one sender.
    pub(super) fn keys(&self, inbound: &Inbound, registry: &PairingAdapterRegistry) -> Vec<Key> {
        let adapter = registry.get(&inbound.channel);
        let key = |id: &str| {
            let canonical = adapter.as_ref().and_then(|adapter| adapter.normalize_sender(id));
            Key(self.hasher.hash_one((&inbound.channel, canonical.as_deref().unwrap_or(id))))
        };
        inbound.ids().map(key).collect()
    }

    /// Whether an earlier line of the same sender waits.
    pub(super) fn has_earlier(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.senders.0.contains_key(key))
    }

    /// Whether there is room for a line of this many bytes.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.lines.len() < MAX_LINES && self.bytes + bytes <= MAX_BYTES
    }

    /// Adds a line for which there is room. `decide` starts when the earlier lines of its sender are
    /// decided.
    pub(super) fn push<F>(
        &mut self,
        line: u64,
        bytes: usize,
        keys: Vec<Key>,
        decide: impl FnOnce() -> F + Send + 'static,
    ) where
        F: Future<Output = Output> + Send + 'static,
    {
        self.bytes += bytes;
        let turn = self.senders.join(line, &keys);
        let permits = Arc::clone(&self.permits);
        // Tokio's budget would poll some of them after those behind them.
        self.lines.push(Box::pin(unconstrained(async move {
            // Dropped when this line is decided; the next one of its sender waits for that.
            let _done = turn.done;
            for mut before in turn.before {
                // It carries no value, and fails when the line is decided.
                while before.changed().await.is_ok() {}
            }
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            // Boxed only now: it is many times larger than a waiting line.
            Decided { line, output: Box::pin(decide()).await, keys, bytes }
        })));
    }

    /// The next decided line; `None` if no line waits.
    pub(super) async fn next(&mut self) -> Option<Decided> {
        let decided = self.lines.next().await?;
        self.senders.leave(decided.line, &decided.keys);
        self.bytes -= decided.bytes;
        Some(decided)
    }
}

/// The last waiting line of each sender, by the keys of the sender.
#[derive(Default)]
struct Senders(HashMap<Key, (u64, watch::Receiver<()>)>);

/// The place of a line behind the earlier ones of its sender.
struct Turn {
    before: Vec<watch::Receiver<()>>,
    done: watch::Sender<()>,
}

impl Senders {
    fn join(&mut self, line: u64, keys: &[Key]) -> Turn {
        let (done, is_done) = watch::channel(());
        let earlier = |key: &Key| self.0.insert(*key, (line, is_done.clone()));
        // An event that names its sender twice has the same key twice.
        let earlier = keys.iter().filter_map(earlier).filter(|(other, _)| *other != line);
        let before = earlier.map(|(_, before)| before).collect();
        Turn { before, done }
    }

    fn leave(&mut self, line: u64, keys: &[Key]) {
        for key in keys {
            if self.0.get(key).is_some_and(|(last, _)| *last == line) {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::channels::local_adapters;

    fn keys(waiting: &Waiting, from: &str, alt: &[&str]) -> Vec<Key> {
        let alt = alt.iter().map(|&id| id.to_owned()).collect();
        let inbound = Inbound::direct("whatsapp", "personal", from).with_alt(alt);
        waiting.keys(&inbound, &local_adapters())
    }

    /// Adds a line that is decided on request.
    fn push(waiting: &mut Waiting, line: u64, keys: Vec<Key>) -> oneshot::Sender<()> {
        let (decide, decided) = oneshot::channel();
        assert!(waiting.has_room(1));
        waiting.push(line, 1, keys, || async {
            decided.await.unwrap();
            Output::default()
        });
        decide
    }

    #[tokio::test]
    async fn a_sender_keeps_the_order_of_the_lines_and_others_pass() {
        let mut waiting = Waiting::new();
        let ana = keys(&waiting, "5491155556666@c.us", &[]);
        assert!(!waiting.has_earlier(&ana));
        let first = push(&mut waiting, 1, ana);
        let other_spelling = keys(&waiting, "+54 9 11 5555-6666", &["123456789012345@lid"]);
        assert!(waiting.has_earlier(&other_spelling));
        let second = push(&mut waiting, 2, other_spelling);
        let other_id = keys(&waiting, "123456789012345@lid", &[]);
        let third = push(&mut waiting, 3, other_id.clone());
        let stranger = keys(&waiting, "5491155557777@c.us", &[]);
        assert!(!waiting.has_earlier(&stranger));
        let fourth = push(&mut waiting, 4, stranger);

        for decide in [fourth, third, second, first] {
            decide.send(()).unwrap();
        }
        let mut order = Vec::new();
        while let Some(decided) = waiting.next().await {
            order.push(decided.line);
        }
        order.retain(|line| *line != 4);
        assert_eq!(order, [1, 2, 3]);
        assert!(waiting.is_empty() && !waiting.has_earlier(&other_id));
        assert!(waiting.senders.0.is_empty(), "no sender is left");
    }

    #[tokio::test]
    async fn an_event_that_names_its_sender_twice_does_not_wait_for_itself() {
        let mut waiting = Waiting::new();
        let twice = keys(&waiting, "5491155556666@c.us", &["+5491155556666"]);
        assert_eq!(twice[0], twice[1]);
        push(&mut waiting, 1, twice).send(()).unwrap();
        assert_eq!(waiting.next().await.unwrap().line, 1);
        assert!(waiting.senders.0.is_empty());
    }

    #[tokio::test]
    async fn senders_are_decided_in_the_order_of_their_lines_a_limited_number_at_once() {
        let mut waiting = Waiting::new();
        let decide: Vec<_> = (0..100)
            .map(|number| {
                let keys = keys(&waiting, &format!("54911555{number:05}@c.us"), &[]);
                push(&mut waiting, number, keys)
            })
            .collect();
        assert!(waiting.next().now_or_never().is_none());
        assert_eq!(waiting.permits.available_permits(), 0);
        decide.into_iter().for_each(|decide| decide.send(()).unwrap());
        for number in 0..100 {
            assert_eq!(waiting.next().await.unwrap().line, number);
        }
        assert_eq!(waiting.permits.available_permits(), MAX_DECIDED_AT_ONCE);
    }

    #[tokio::test]
    async fn lines_and_bytes_are_bounded() {
        let mut waiting = Waiting::new();
        let push = |waiting: &mut Waiting, line, bytes| {
            assert!(waiting.has_room(bytes));
            waiting.push(line, bytes, Vec::new(), || async { Output::default() });
        };
        for line in 0..MAX_LINES as u64 {
            push(&mut waiting, line, 1);
        }
        assert!(!waiting.has_room(0), "the lines are bounded");
        while waiting.next().await.is_some() {}

        assert!(!waiting.has_room(MAX_BYTES + 1));
        push(&mut waiting, 0, MAX_BYTES);
        assert!(!waiting.has_room(1) && waiting.has_room(0), "the bytes are bounded");
        assert!(waiting.next().await.is_some());
        assert!(waiting.has_room(MAX_BYTES), "a decided line takes no room");
    }
}
