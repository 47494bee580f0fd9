//! The plugin's answers about senders: a bounded number of them, each for a while, and one question at a
//! time for each sender.
//!
//! The cache is scan resistant: made-up ids replace each other, while senders who came back stay.

use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use crate::NatsError;

/// The longest time for which the answer that a sender cannot be paired is kept.
const MAX_UNPAIRABLE_TTL: Duration = Duration::from_secs(60);

/// The part of the entries that is reserved for senders who came back.
const RETURNING_SHARE: f64 = 0.75;

/// The answers of a channel's plugin, by raw sender id.
pub(super) struct SenderCache {
    ttl: Duration,
    answers: Cache<String, Answer>,
}

/// The plugin's answer about a sender.
#[derive(Debug, Clone)]
struct Answer {
    /// `None` when the sender cannot be paired.
    canonical: Option<String>,
    expires_at: Instant,
}

/// The result of a look-up.
pub(super) enum Lookup<'a> {
    /// An answer that has not expired.
    Hit(Option<String>),
    /// The caller has to ask. All other callers for the sender wait until it has, or until it drops
    /// this; then one of them asks.
    Miss(Fetch<'a>),
}

/// The only question to the plugin about a sender at this time.
pub(super) struct Fetch<'a> {
    /// `None` once it is answered.
    slot: Option<Slot<'a>>,
    expired: Option<Answer>,
    ttl: Duration,
}

type Slot<'a> = PlaceholderGuard<
    'a,
    String,
    Answer,
    UnitWeighter,
    DefaultHashBuilder,
    DefaultLifecycle<String, Answer>,
>;

impl SenderCache {
    /// A cache of at most `capacity` answers.
    pub(super) fn new(capacity: usize, ttl: Duration) -> Result<Self, NatsError> {
        let options = OptionsBuilder::new()
            // One is enough: only answers are written, each after a round trip on the bus.
            .shards(1)
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            .hot_allocation(RETURNING_SHARE)
            .build()
            .map_err(|_| NatsError::Options("the cache cannot be built"))?;
        let answers =
            Cache::with_options(options, UnitWeighter, Default::default(), Default::default());
        Ok(Self { ttl, answers })
    }

    /// The canonical id of a sender, without waiting.
    pub(super) fn canonical(&self, raw: &str, now: Instant) -> Option<String> {
        self.answers.get(raw).filter(|answer| now < answer.expires_at)?.canonical
    }

    /// The answer about a sender, or the task to ask for it. Waits while another caller asks.
    pub(super) async fn look_up(&self, raw: &str, now: Instant) -> Lookup<'_> {
        let entry = self.answers.entry_async(raw, |_, answer| {
            if now < answer.expires_at {
                EntryAction::Retain(answer.canonical.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        });
        let (slot, expired) = match entry.await {
            EntryResult::Retained(canonical) => return Lookup::Hit(canonical),
            EntryResult::Replaced(slot, expired) => (Some(slot), Some(expired)),
            EntryResult::Vacant(slot) => (Some(slot), None),
            // Results of an action and of a time limit that are not in use.
            EntryResult::Removed(..) | EntryResult::Timeout => (None, None),
        };
        Lookup::Miss(Fetch { slot, expired, ttl: self.ttl })
    }
}

impl Fetch<'_> {
    /// Whether the cache has no earlier answer that names this sender.
    pub(super) fn is_for_stranger(&self) -> bool {
        self.expired.as_ref().is_none_or(|answer| answer.canonical.is_none())
    }

    /// Caches the plugin's answer, also for the callers that wait.
    pub(super) fn complete(mut self, canonical: Option<String>, now: Instant) {
        let ttl = if canonical.is_some() { self.ttl } else { self.ttl.min(MAX_UNPAIRABLE_TTL) };
        self.fill(Answer { canonical, expires_at: now + ttl });
    }

    fn fill(&mut self, answer: Answer) {
        if let Some(slot) = self.slot.take() {
            // Fails only if the entry was removed, which never happens.
            let _ = slot.insert(answer);
        }
    }
}

/// Without an answer, the expired one stays: the sender is still no stranger.
impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        if let Some(expired) = self.expired.take() {
            self.fill(expired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(100);

    fn cache(capacity: usize) -> SenderCache {
        SenderCache::new(capacity, TTL).unwrap()
    }

    impl SenderCache {
        async fn fetch(&self, raw: &str, now: Instant) -> Fetch<'_> {
            match self.look_up(raw, now).await {
                Lookup::Miss(fetch) => fetch,
                Lookup::Hit(canonical) => panic!("{raw} is {canonical:?}"),
            }
        }

        async fn learn(&self, raw: &str, canonical: Option<&str>, now: Instant) {
            self.fetch(raw, now).await.complete(canonical.map(str::to_owned), now);
        }

        async fn is_unpairable(&self, raw: &str, now: Instant) -> bool {
            matches!(self.look_up(raw, now).await, Lookup::Hit(None))
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_it_expires() {
        let start = Instant::now();
        let cache = cache(100);
        cache.learn("a", Some("A"), start).await;
        for second in [0, 50, 99] {
            let now = start + Duration::from_secs(second);
            assert_eq!(cache.canonical("a", now).as_deref(), Some("A"));
        }
        assert_eq!(cache.canonical("a", start + TTL), None);
        assert!(!cache.fetch("a", start + TTL).await.is_for_stranger());
        assert!(cache.fetch("b", start).await.is_for_stranger());
        cache.learn("a", Some("B"), start + TTL).await;
        assert_eq!(cache.canonical("a", start + TTL).as_deref(), Some("B"));
    }

    #[tokio::test]
    async fn an_unpairable_sender_is_remembered_for_a_minute() {
        let start = Instant::now();
        let cache = cache(100);
        cache.learn("a", Some("A"), start).await;
        let start = start + TTL;
        cache.learn("a", None, start).await;
        assert_eq!(cache.canonical("a", start), None);
        assert!(cache.is_unpairable("a", start + Duration::from_secs(59)).await);
        assert!(!cache.is_unpairable("a", start + MAX_UNPAIRABLE_TTL).await);
        assert!(cache.fetch("a", start + MAX_UNPAIRABLE_TTL).await.is_for_stranger());
    }

    #[tokio::test]
    async fn a_dropped_fetch_passes_to_a_waiter_and_keeps_the_sender_known() {
        let start = Instant::now();
        let cache = cache(100);
        cache.learn("a", Some("A"), start).await;
        let later = start + TTL;
        let first = cache.fetch("a", later).await;
        let second = async {
            let fetch = cache.fetch("a", later).await;
            assert!(!fetch.is_for_stranger());
            fetch.complete(Some("B".to_owned()), later);
        };
        let drop_first = async { drop(first) };
        tokio::join!(second, drop_first);
        assert_eq!(cache.canonical("a", later).as_deref(), Some("B"));
    }

    #[tokio::test]
    async fn a_flood_of_strangers_takes_no_room_and_evicts_no_sender_who_came_back() {
        let now = Instant::now();
        let cache = cache(400);
        for regular in 0..100 {
            cache.learn(&regular.to_string(), Some("known"), now).await;
            assert!(cache.canonical(&regular.to_string(), now).is_some());
        }
        for stranger in 0..100_000 {
            cache.learn(&format!("s{stranger}"), Some("stranger"), now).await;
            cache.learn(&format!("n{stranger}"), None, now).await;
        }
        assert!(cache.answers.len() <= 400, "{}", cache.answers.len());
        for regular in 0..100 {
            assert!(cache.canonical(&regular.to_string(), now).is_some(), "{regular}");
        }
        assert!(cache.canonical("s99999", now).is_some(), "the last stranger was evicted");
        assert!(cache.canonical("s50000", now).is_none());
    }
}
