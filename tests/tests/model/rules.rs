//! The rules of pairing once more, in memory and as simple as possible, for comparison with store and
//! gate. The clock may jump; what begins more than five seconds from now is not valid.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing::{Mode, Rule};

use crate::codes::Attempt;
use crate::devices::Devices;
use crate::ends::{Finished, Outcome};

/// Channel, account (or `*`) and sender.
pub(crate) type Key = (String, String, String);

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// How far ahead a time stamp may be without being from the future.
pub(crate) const LEEWAY: i64 = 5;

/// Whether something is valid that begins and ends at these moments.
pub(crate) fn holds(now: i64, from: i64, until: i64) -> bool {
    from <= now + LEEWAY && now < until
}

#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) since: i64,
    pub(crate) via: String,
    pub(crate) until: Option<i64>,
    pub(crate) revoked: Option<i64>,
}

impl Grant {
    /// When it ended, as known at a moment.
    pub(crate) fn ended(&self, now: i64) -> Option<i64> {
        let is_future = self.since > now + LEEWAY;
        let over = self.until.and_then(|until| match until <= now {
            true => Some(until),
            false => is_future.then_some(now),
        });
        self.revoked.or(over)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) key: Key,
    pub(crate) code: String,
    pub(crate) since: i64,
    pub(crate) until: i64,
    pub(crate) challenged: i64,
}

/// A message with parsed ids.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its sender.
    pub(crate) key: Key,
    /// The other ids of its sender.
    pub(crate) alt: Vec<String>,
    /// Whether it has another id, which is unreadable.
    pub(crate) has_unreadable_id: bool,
    pub(crate) is_group: bool,
    pub(crate) mode: Mode,
    pub(crate) max_pending: usize,
    pub(crate) cooldown: i64,
}

/// How many live requests there may be over all accounts. Few, so that the cap is reached.
pub(crate) const MAX_PENDING_TOTAL: u32 = 4;

impl Message {
    /// All ids of its sender.
    fn keys(&self) -> Vec<Key> {
        let (channel, account, id) = &self.key;
        let ids = std::iter::once(id).chain(&self.alt);
        ids.map(|id| (channel.clone(), account.clone(), id.clone())).collect()
    }
}

/// An entry of the audit log: time, actor, action and sender (`#` for a forgotten one).
pub(crate) type Entry = (i64, String, String, Key);

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) grants: BTreeMap<Key, Grant>,
    /// In the order of their creation.
    pub(crate) requests: Vec<Request>,
    /// Time, actor, reason.
    pub(crate) blocks: BTreeMap<Key, (i64, String, Option<String>)>,
    /// In the order in which they ended.
    pub(crate) finished: Vec<Finished>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) devices: Devices,
    pub(crate) log: Vec<Entry>,
    /// The keys in the list of changes, if there is one.
    changed: BTreeSet<Key>,
    has_list_of_changes: bool,
}

impl Model {
    pub(crate) fn new(now: i64, has_list_of_changes: bool) -> Self {
        Self { now, has_list_of_changes, ..Self::default() }
    }

    /// Which rule decides on a message, from the second on, without expiring overdue
    /// rows.
    pub(crate) fn evaluate(&self, message: &Message, accounts: &[&str]) -> Rule {
        let (channel, account, _) = &message.key;
        let (now, keys) = (self.now, message.keys());
        if !accounts.contains(&account.as_str()) {
            Rule::UnknownAccount
        } else if keys.iter().any(|key| self.is_blocked(key))
            || message.has_unreadable_id && self.has_blocks(channel)
        {
            Rule::Blocked
        } else if message.mode == Mode::Open {
            Rule::Open
        } else if keys.iter().any(|key| self.is_allowed(key)) {
            Rule::Allowed
        } else if message.mode == Mode::Allowlist {
            Rule::NotAllowed
        } else if message.is_group {
            Rule::NotDirect
        } else if keys.iter().any(|key| self.waits(key)) {
            Rule::Waiting
        } else if let Some(request) = keys.iter().find_map(|key| self.pending_of(key)) {
            match holds(now, request.challenged, request.challenged + message.cooldown) {
                true => Rule::AlreadyChallenged,
                false => Rule::ChallengeAgain,
            }
        } else {
            let others =
                self.pending().filter(|other| (&other.key.0, &other.key.1) == (channel, account));
            let is_full = others.count() >= message.max_pending
                || self.pending().count() >= MAX_PENDING_TOTAL as usize;
            if is_full { Rule::PendingFull } else { Rule::Challenge }
        }
    }

    /// The decision of the gate: from its lists, but for a challenge it asks the store.
    /// Also returns whose request is challenged again.
    pub(crate) fn screen(
        &mut self,
        message: &Message,
        accounts: &[&str],
    ) -> (Rule, Option<Request>) {
        let mut rule = self.evaluate(message, accounts);
        if matches!(rule, Rule::Challenge | Rule::ChallengeAgain) {
            self.expire();
            rule = self.evaluate(message, accounts);
        }
        let again = (rule == Rule::ChallengeAgain).then(|| {
            let keys = message.keys();
            let pending = keys.iter().find_map(|key| self.pending_of(key));
            pending.map(|request| request.key.clone())
        });
        let again = again.flatten().map(|key| self.challenged(&key));
        (rule, again)
    }

    fn challenged(&mut self, key: &Key) -> Request {
        let mut requests = self.requests.iter_mut();
        let request = requests.find(|request| request.key == *key).unwrap();
        request.challenged = self.now;
        request.clone()
    }

    /// Adds a request of a sender, with this code.
    pub(crate) fn created(&mut self, key: &Key, code: String, ttl: i64) {
        let (since, until) = (self.now, self.now + ttl);
        self.requests.push(Request { key: key.clone(), code, since, until, challenged: since });
        self.changed.insert(key.clone());
        self.note("gate", "request", key);
    }

    /// A challenge was not delivered: the next one is due in ten seconds.
    pub(crate) fn undelivered(&mut self, key: &Key, cooldown: i64) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.key == *key) {
            request.challenged = self.now - cooldown + 10;
        }
    }

    pub(crate) fn revoke(&mut self, target: &Key, actor: &str) -> BTreeSet<Key> {
        self.expire();
        let ended = self.end_grants(target);
        for key in &ended {
            self.note(actor, "revoke", key);
        }
        ended
    }

    /// Returns the grants that it ended and the requests that it dropped.
    pub(crate) fn block(
        &mut self,
        target: &Key,
        actor: &str,
        reason: Option<&str>,
    ) -> (BTreeSet<Key>, BTreeSet<Key>) {
        self.expire();
        let block =
            self.blocks.entry(target.clone()).or_insert_with(|| (self.now, actor.to_owned(), None));
        block.2 = reason.map(str::to_owned).or(block.2.take());
        self.changed.insert(target.clone());
        let ended = self.end_grants(target);
        let dropped: Vec<Request> =
            self.requests.iter().filter(|request| is_of(target, &request.key)).cloned().collect();
        for request in &dropped {
            self.finish(request, Outcome::Blocked, self.now, 0);
        }
        self.note(actor, "block", target);
        (ended, dropped.into_iter().map(|request| request.key).collect())
    }

    pub(crate) fn unblock(&mut self, target: &Key, actor: &str) -> bool {
        let was_blocked = self.blocks.remove(target).is_some();
        if was_blocked {
            self.note(actor, "unblock", target);
        }
        was_blocked
    }

    /// Returns inserted, reactivated and unchanged; or who is blocked.
    pub(crate) fn seed(
        &mut self,
        account: (&str, &str),
        ids: &[String],
        actor: &str,
    ) -> Result<(u64, u64, u64), Key> {
        self.expire();
        let key_of = |id: &String| (account.0.to_owned(), account.1.to_owned(), id.clone());
        let keys: Vec<Key> = ids.iter().map(key_of).collect();
        if let Some(blocked) = keys.iter().find(|key| self.is_blocked(key)) {
            return Err(blocked.clone());
        }
        let mut report = (0, 0, 0);
        for key in keys {
            match self.grants.get(&key) {
                Some(Grant { until: None, revoked: None, .. }) => report.2 += 1,
                old => {
                    *if old.is_none() { &mut report.0 } else { &mut report.1 } += 1;
                    self.grant(&key, actor, None);
                }
            }
            let request = self.requests.iter().find(|request| request.key == key).cloned();
            if let Some(request) = request {
                self.finish(&request, Outcome::Approved, self.now, 0);
            }
        }
        let key = (account.0.to_owned(), account.1.to_owned(), String::new());
        self.note(actor, "seed", &key);
        Ok(report)
    }

    /// Returns the keys that were erased.
    pub(crate) fn forget(&mut self, target: &Key, actor: &str) -> BTreeSet<Key> {
        let mut erased = BTreeSet::new();
        let mut stays = |key: &Key| {
            erased.extend(is_of(target, key).then(|| key.clone()));
            !is_of(target, key)
        };
        self.grants.retain(|key, _| stays(key));
        self.blocks.retain(|key, _| stays(key));
        self.requests.retain(|request| stays(&request.key));
        self.finished.retain(|finished| stays(&finished.key));
        let before = self.changed.len();
        self.changed.retain(|key| !is_of(target, key));
        let mut is_named = self.has_list_of_changes && before != self.changed.len();
        for (.., key) in self.log.iter_mut().filter(|(.., key)| is_of(target, key)) {
            key.2 = "#".into();
            is_named = true;
        }
        if is_named || !erased.is_empty() {
            let key = (target.0.clone(), target.1.clone(), "#".to_owned());
            self.note(actor, "forget", &key);
        }
        erased
    }

    pub(crate) fn is_blocked(&self, key: &Key) -> bool {
        self.blocks.keys().any(|block| is_of(block, key))
    }

    /// Whether any sender is blocked on a channel.
    pub(crate) fn has_blocks(&self, channel: &str) -> bool {
        self.blocks.keys().any(|block| block.0 == channel)
    }

    /// Whether a grant is valid, blocked or not.
    pub(crate) fn is_allowed(&self, key: &Key) -> bool {
        self.grants.get(key).is_some_and(|grant| grant.ended(self.now).is_none())
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Request> {
        let now = self.now;
        self.requests.iter().filter(move |request| holds(now, request.since, request.until))
    }

    fn pending_of(&self, key: &Key) -> Option<&Request> {
        self.pending().find(|request| request.key == *key)
    }

    pub(crate) fn grant(&mut self, key: &Key, actor: &str, until: Option<i64>) {
        let grant = Grant { since: self.now, via: actor.to_owned(), until, revoked: None };
        self.grants.insert(key.clone(), grant);
        self.changed.insert(key.clone());
    }

    fn end_grants(&mut self, target: &Key) -> BTreeSet<Key> {
        let now = self.now;
        let live = self.grants.iter_mut();
        let live = live.filter(|(key, grant)| is_of(target, key) && grant.revoked.is_none());
        live.map(|(key, grant)| {
            grant.revoked = Some(now);
            key.clone()
        })
        .collect()
    }

    pub(crate) fn note(&mut self, actor: &str, action: &str, key: &Key) {
        self.log.push((self.now, actor.to_owned(), action.to_owned(), key.clone()));
    }
}

/// Whether a key is one of a target's.
fn is_of(target: &Key, key: &Key) -> bool {
    target.0 == key.0 && (target.1 == "*" || target.1 == key.1) && target.2 == key.2
}
