//! Which senders are known, so that they are served ahead of a crowd of strangers.
//!
//! On the channel of a plugin, the raw id of a message has to be resolved before the lists say anything
//! about its sender, and to resolve it takes a question to the plugin. So it is remembered which raw ids
//! were decided on.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nexo_pairing_core::{PairingError, Rule};
use nexo_pairing_gate::{Listing, Screened};

/// How many senders are remembered at most, of those admitted by a grant and of the others each.
const REMEMBERED: usize = 65_536;

/// Stands for a sender on a channel. Two that have the same one keep their order among each other too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OrderingKey(pub(crate) u64);

/// Whose message is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Has a grant, or was admitted by one the last time.
    Allowed,
    /// Has a request, or was decided on before.
    Seen,
    /// Everybody else. Anybody can make up any number of ids.
    New,
}

impl Priority {
    pub(crate) const COUNT: usize = 3;
}

/// The senders that were decided on.
#[derive(Debug, Default)]
pub(crate) struct KnownSenders(Mutex<Senders>);

#[derive(Debug, Default)]
struct Senders {
    /// Admitted by a grant the last time. A stranger gets nobody out of here.
    allowed: RecentSet,
    seen: RecentSet,
}

impl KnownSenders {
    /// Remembers what was decided on a sender.
    pub(crate) fn remember(&self, key: OrderingKey, result: &Result<Screened, PairingError>) {
        // Without a decision, or without an id, nothing is known of the sender.
        if let Ok(Screened { rule, sender: Some(_), .. }) = result {
            self.remember_rule(key, *rule);
        }
    }

    fn remember_rule(&self, key: OrderingKey, rule: Rule) {
        let mut senders = self.lock();
        if rule == Rule::Allowed {
            senders.allowed.insert(key);
        } else {
            senders.allowed.remove(key);
            senders.seen.insert(key);
        }
    }

    /// Whose message it is; the list that the sender is on may say more than what is remembered.
    pub(crate) fn priority(&self, key: OrderingKey, listing: Option<Listing>) -> Priority {
        let senders = self.lock();
        if listing == Some(Listing::Allowed) || senders.allowed.contains(key) {
            Priority::Allowed
        } else if listing.is_some() || senders.seen.contains(key) {
            Priority::Seen
        } else {
            Priority::New
        }
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The senders that came last: at least half of [`REMEMBERED`], and never more.
#[derive(Debug, Default)]
struct RecentSet {
    young: HashSet<OrderingKey>,
    old: HashSet<OrderingKey>,
}

impl RecentSet {
    fn insert(&mut self, key: OrderingKey) {
        if self.young.contains(&key) {
            return;
        }
        if self.young.len() >= REMEMBERED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }

    fn remove(&mut self, key: OrderingKey) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    fn contains(&self, key: OrderingKey) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> OrderingKey {
        OrderingKey(u64::try_from(number).unwrap())
    }

    #[test]
    fn the_lists_and_the_last_decision_say_who_is_known() {
        let known = KnownSenders::default();
        let friend = key(1);
        assert_eq!(known.priority(friend, None), Priority::New);
        assert_eq!(known.priority(friend, Some(Listing::Pending)), Priority::Seen);
        assert_eq!(known.priority(friend, Some(Listing::Allowed)), Priority::Allowed);
        known.remember_rule(friend, Rule::Challenge);
        assert_eq!(known.priority(friend, None), Priority::Seen);
        known.remember_rule(friend, Rule::Allowed);
        assert_eq!(known.priority(friend, None), Priority::Allowed);
        // The grant was revoked.
        known.remember_rule(friend, Rule::AlreadyChallenged);
        assert_eq!(known.priority(friend, None), Priority::Seen);
    }

    #[test]
    fn strangers_take_bounded_memory_and_push_out_nobody_who_is_allowed() {
        let known = KnownSenders::default();
        known.remember_rule(key(0), Rule::Allowed);
        for stranger in 1..3 * REMEMBERED {
            known.remember_rule(key(stranger), Rule::PendingFull);
        }
        assert_eq!(known.priority(key(0), None), Priority::Allowed);
        let senders = known.lock();
        assert!(senders.seen.young.len() + senders.seen.old.len() <= REMEMBERED);
        assert!(senders.seen.contains(key(3 * REMEMBERED - 1)));
        assert!(!senders.seen.contains(key(1)));
    }
}
