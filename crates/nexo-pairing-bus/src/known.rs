//! Which senders are known, so that they are served ahead of a flood of strangers.
//!
//! On the channel of a plugin, the lists know a sender only by the id that the plugin resolves, which takes
//! a round trip. So the raw ids of decided messages are remembered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use nexo_pairing_core::{PairingError, Rule};
use nexo_pairing_gate::{Listing, Screened};
use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

/// The most senders that are remembered: of those with a grant, and of all others.
const REMEMBERED: usize = 65_536;

/// A hash of a sender on a channel. Senders whose keys collide share order and priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OrderingKey(pub(crate) u64);

/// The order in which senders are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Senders with a grant, and those whom a grant admitted the last time.
    Allowed,
    /// Senders with a request, and those with an earlier decision.
    Seen,
    /// All others. Ids can be made up in any number.
    New,
}

impl Priority {
    pub(crate) const COUNT: usize = 3;
}

/// The senders with a decision.
#[derive(Debug)]
pub(crate) struct KnownSenders(Mutex<Senders>);

#[derive(Debug)]
struct Senders {
    /// Admitted by a grant the last time. Strangers cannot evict them.
    allowed: SenderSet,
    seen: SenderSet,
}

/// The keys are hashes with a secret seed already, so a fast hasher is safe.
type SenderSet = Cache<OrderingKey, (), UnitWeighter, RandomState>;

impl Default for KnownSenders {
    fn default() -> Self {
        let set = || {
            let (max, hasher) = (REMEMBERED as u64, RandomState::default());
            SenderSet::with(REMEMBERED, max, UnitWeighter, hasher, DefaultLifecycle::default())
        };
        Self(Mutex::new(Senders { allowed: set(), seen: set() }))
    }
}

/// Adds a sender, or marks it as one who came back. A look-up first: it is cheaper than an insertion.
fn touch(senders: &mut SenderSet, key: OrderingKey) {
    if senders.get(&key).is_none() {
        senders.insert(key, ());
    }
}

impl KnownSenders {
    /// Remembers the decision on a sender.
    pub(crate) fn remember(&self, key: OrderingKey, result: &Result<Screened, PairingError>) {
        // Without a decision or an id the sender is still unknown.
        if let Ok(Screened { rule, sender: Some(_), .. }) = result {
            self.remember_rule(key, *rule);
        }
    }

    fn remember_rule(&self, key: OrderingKey, rule: Rule) {
        let mut senders = self.lock();
        if rule == Rule::Allowed {
            touch(&mut senders.allowed, key);
        } else {
            senders.allowed.remove(&key);
            touch(&mut senders.seen, key);
        }
    }

    /// The priority of a sender, from the list that it is on and from the last decision.
    pub(crate) fn priority(&self, key: OrderingKey, listing: Option<Listing>) -> Priority {
        let senders = self.lock();
        if listing == Some(Listing::Allowed) || senders.allowed.contains_key(&key) {
            Priority::Allowed
        } else if listing.is_some() || senders.seen.contains_key(&key) {
            Priority::Seen
        } else {
            Priority::New
        }
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> OrderingKey {
        OrderingKey(u64::try_from(number).unwrap())
    }

    #[test]
    fn the_lists_and_the_last_decision_give_the_priority() {
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
    fn strangers_take_bounded_memory_and_evict_no_allowed_sender() {
        let known = KnownSenders::default();
        known.remember_rule(key(0), Rule::Allowed);
        for stranger in 1..3 * REMEMBERED {
            known.remember_rule(key(stranger), Rule::PendingFull);
        }
        assert_eq!(known.priority(key(0), None), Priority::Allowed);
        let senders = known.lock();
        assert!(senders.seen.len() <= REMEMBERED);
        assert!(senders.seen.contains_key(&key(3 * REMEMBERED - 1)));
        assert!(!senders.seen.contains_key(&key(2 * REMEMBERED)));
    }
}
