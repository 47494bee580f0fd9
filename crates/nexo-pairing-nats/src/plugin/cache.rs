//! What a plugin said of senders, for a while and for a bounded number of them.
//!
//! Strangers can make up as many ids as they like. Only an id that is asked for again gets among those
//! that are kept; new ones push out each other.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long it is kept that somebody is nobody.
const NOBODY_TTL: Duration = Duration::from_secs(60);

/// The senders of a channel, by their raw ids.
#[derive(Debug)]
pub(super) struct Cache {
    ttl: Duration,
    /// Who wrote once.
    new: Generations<Known>,
    /// Who wrote again.
    regular: Generations<Known>,
    /// Who is nobody, until when.
    nobody: Generations<Instant>,
}

#[derive(Debug, Clone)]
struct Known {
    canonical: Box<str>,
    until: Instant,
}

impl Cache {
    /// A cache for `capacity` senders.
    pub(super) fn new(capacity: usize, ttl: Duration) -> Self {
        let quarter = capacity / 4;
        Self {
            ttl,
            new: Generations::new(quarter),
            regular: Generations::new(capacity - 2 * quarter),
            nobody: Generations::new(quarter),
        }
    }

    /// The canonical id that belongs to a raw one.
    pub(super) fn canonical(&mut self, raw: &str, now: Instant) -> Option<String> {
        if let Some(known) = self.regular.get(raw) {
            return (now < known.until).then(|| known.canonical.to_string());
        }
        let known = self.new.get(raw).filter(|known| now < known.until)?.clone();
        let canonical = known.canonical.to_string();
        self.regular.insert(raw, known);
        Some(canonical)
    }

    /// Whether the plugin has named this sender, however long ago.
    pub(super) fn is_known(&mut self, raw: &str) -> bool {
        self.regular.get(raw).is_some() || self.new.get(raw).is_some()
    }

    /// Whether the plugin said that this is nobody.
    pub(super) fn is_nobody(&mut self, raw: &str, now: Instant) -> bool {
        self.nobody.get(raw).is_some_and(|until| now < *until)
    }

    /// Keeps what the plugin said.
    pub(super) fn learn(&mut self, raw: &str, canonical: Option<&str>, now: Instant) {
        let Some(canonical) = canonical else {
            self.regular.remove(raw);
            self.new.remove(raw);
            return self.nobody.insert(raw, now + self.ttl.min(NOBODY_TTL));
        };
        let known = Known { canonical: canonical.into(), until: now + self.ttl };
        let place = if self.regular.remove(raw) { &mut self.regular } else { &mut self.new };
        place.insert(raw, known);
    }
}

/// The entries that were used last: at least half of `capacity`, and never more.
#[derive(Debug)]
struct Generations<V> {
    half: usize,
    young: HashMap<Box<str>, V>,
    old: HashMap<Box<str>, V>,
}

impl<V> Generations<V> {
    fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, key: &str) -> Option<&V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.put(key, value);
        }
        self.young.get(key)
    }

    fn insert(&mut self, key: &str, value: V) {
        self.old.remove(key);
        self.put(key.into(), value);
    }

    fn put(&mut self, key: Box<str>, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &str) -> bool {
        self.old.remove(key).is_some() | self.young.remove(key).is_some()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(100);

    #[test]
    fn what_was_learnt_is_known_until_it_is_too_old() {
        let start = Instant::now();
        let mut cache = Cache::new(100, TTL);
        cache.learn("a", Some("A"), start);
        for second in [0, 50, 99] {
            let now = start + Duration::from_secs(second);
            assert_eq!(cache.canonical("a", now).as_deref(), Some("A"));
        }
        assert_eq!(cache.canonical("a", start + TTL), None);
        assert!(cache.is_known("a") && !cache.is_known("b"));
        cache.learn("a", Some("B"), start + TTL);
        assert_eq!(cache.canonical("a", start + TTL).as_deref(), Some("B"));
    }

    #[test]
    fn nobody_stays_nobody_for_a_minute() {
        let start = Instant::now();
        let mut cache = Cache::new(100, TTL);
        cache.learn("a", Some("A"), start);
        cache.learn("a", None, start);
        assert_eq!(cache.canonical("a", start), None);
        assert!(!cache.is_known("a"));
        assert!(cache.is_nobody("a", start + Duration::from_secs(59)));
        assert!(!cache.is_nobody("a", start + NOBODY_TTL));
    }

    #[test]
    fn a_flood_of_strangers_takes_no_room_and_pushes_out_nobody_who_came_back() {
        let now = Instant::now();
        let mut cache = Cache::new(400, TTL);
        for regular in 0..100 {
            cache.learn(&regular.to_string(), Some("known"), now);
            assert!(cache.canonical(&regular.to_string(), now).is_some());
        }
        for stranger in 0..100_000 {
            cache.learn(&format!("s{stranger}"), Some("stranger"), now);
            cache.learn(&format!("n{stranger}"), None, now);
        }
        let size = cache.new.len() + cache.regular.len() + cache.nobody.len();
        assert!(size <= 400, "{size}");
        for regular in 0..100 {
            assert!(cache.canonical(&regular.to_string(), now).is_some(), "{regular}");
        }
        assert!(cache.canonical("s99999", now).is_some(), "the last stranger was forgotten");
        assert!(cache.canonical("s0", now).is_none());
    }
}
