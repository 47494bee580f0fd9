//! The rules of admission once more, in memory and as plainly as they can be said: what the store
//! is compared with.

use std::collections::{BTreeMap, BTreeSet};

/// Channel, account (or `*`) and sender.
pub(crate) type Key = (String, String, String);

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WINDOW: i64 = 600;

/// Whether an account (or `*`) is among those that are meant.
fn covers(scope: &str, account: &str) -> bool {
    scope == "*" || scope == account
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub(crate) since: i64,
    pub(crate) via: String,
    pub(crate) until: Option<i64>,
    pub(crate) revoked: Option<i64>,
}

impl Grant {
    /// When it ended, as it is known at a moment.
    pub(crate) fn ended(&self, now: i64) -> Option<i64> {
        self.revoked.or(self.until.filter(|&until| until <= now))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) key: Key,
    pub(crate) code: String,
    pub(crate) since: i64,
    pub(crate) until: i64,
    challenged: i64,
}

/// What is held against a sender.
#[derive(Debug, Clone, Default)]
struct Past {
    rejected: Option<i64>,
    /// When his codes ran out, one after the other.
    expiries: Vec<i64>,
}

impl Past {
    fn waits(&self, now: i64) -> bool {
        let after_rejection = self.rejected.is_some_and(|at| now < at + DAY);
        let after_expiry = self.expiries.last().is_some_and(|at| now < at + self.wait());
        after_rejection || after_expiry
    }

    /// How long he waits after the last of his codes that ran out: an hour from the second on, then
    /// twice as long each time, at most a day.
    fn wait(&self) -> i64 {
        [0, 0, 1, 2, 4, 8, 16].get(self.expiries.len()).map_or(DAY, |hours| hours * HOUR)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Created,
    Repeated(Request),
    AlreadyChallenged,
    Waiting,
    PendingFull,
    Allowed,
    Blocked,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Use {
    Approved,
    Rejected,
    Expired,
}

/// What an operator is told about a code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    Mistyped,
    Unknown { left: i64 },
    LockedOut { remaining: i64 },
    Used(Use, Key, i64),
}

/// When an actor gave wrong codes, and was locked out for it.
#[derive(Debug, Default)]
struct Tries {
    wrong: Vec<i64>,
    mistyped: Vec<i64>,
    locked: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) grants: BTreeMap<Key, Grant>,
    /// In the order in which they came.
    requests: Vec<Request>,
    /// Since when, by whom, why.
    pub(crate) blocks: BTreeMap<Key, (i64, String, Option<String>)>,
    past: BTreeMap<Key, Past>,
    codes: BTreeMap<String, (Use, Key, i64)>,
    tries: BTreeMap<String, Tries>,
    /// Actor, action, account and sender; `#` for one who was forgotten.
    pub(crate) log: Vec<(String, String, Key)>,
}

impl Model {
    pub(crate) fn message(&mut self, key: &Key, alt: &[String], limits: (i64, i64)) -> Outcome {
        self.expire();
        let (max, cooldown) = limits;
        let ids = std::iter::once(&key.2).chain(alt);
        let keys: Vec<Key> = ids.map(|id| (key.0.clone(), key.1.clone(), id.clone())).collect();
        let now = self.now;
        if keys.iter().any(|key| self.is_blocked(key)) {
            return Outcome::Blocked;
        }
        if keys.iter().any(|key| self.is_allowed(key)) {
            return Outcome::Allowed;
        }
        if keys.iter().any(|key| self.past.get(key).is_some_and(|past| past.waits(now))) {
            return Outcome::Waiting;
        }
        for key in &keys {
            if let Some(request) = self.requests.iter_mut().find(|request| request.key == *key) {
                if now < request.challenged + cooldown {
                    return Outcome::AlreadyChallenged;
                }
                request.challenged = now;
                return Outcome::Repeated(request.clone());
            }
        }
        let pending = self.pending().filter(|other| other.key.0 == key.0 && other.key.1 == key.1);
        if pending.count() >= usize::try_from(max).unwrap() {
            return Outcome::PendingFull;
        }
        self.note("gate", "request", key);
        Outcome::Created
    }

    /// The request that a message made has this code.
    pub(crate) fn created(&mut self, key: &Key, code: String, ttl: i64) {
        let (since, until) = (self.now, self.now + ttl);
        self.requests.push(Request { key: key.clone(), code, since, until, challenged: since });
    }

    pub(crate) fn undelivered(&mut self, key: &Key, cooldown: i64, retry: i64) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.key == *key) {
            request.challenged = self.now - cooldown + retry;
        }
    }

    pub(crate) fn approve(
        &mut self,
        code: (&str, bool),
        actor: &str,
        limit: Option<i64>,
    ) -> Result<Key, Refusal> {
        let request = self.find(code, actor)?;
        let grant = Grant {
            since: self.now,
            via: actor.to_owned(),
            until: limit.map(|limit| self.now + limit),
            revoked: None,
        };
        self.grants.insert(request.key.clone(), grant);
        self.finish(&request, Use::Approved, self.now);
        self.note(actor, "approve", &request.key);
        Ok(request.key)
    }

    pub(crate) fn reject(&mut self, code: (&str, bool), actor: &str) -> Result<Key, Refusal> {
        let request = self.find(code, actor)?;
        self.finish(&request, Use::Rejected, self.now);
        self.past.entry(request.key.clone()).or_default().rejected = Some(self.now);
        self.note(actor, "reject", &request.key);
        Ok(request.key)
    }

    pub(crate) fn revoke(&mut self, target: &Key, actor: &str) -> BTreeSet<Key> {
        self.expire();
        let ended = self.end_grants(target);
        for key in &ended {
            self.note(actor, "revoke", key);
        }
        ended
    }

    /// The grants that it ended and the requests that it dropped.
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
        let ended = self.end_grants(target);
        let dropped: Vec<Request> =
            self.requests.iter().filter(|request| is_of(target, &request.key)).cloned().collect();
        for request in &dropped {
            self.finish(request, Use::Rejected, self.now);
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

    /// Inserted, reactivated, unchanged; or who is blocked.
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
                    let (since, via) = (self.now, actor.to_owned());
                    let grant = Grant { since, via, until: None, revoked: None };
                    self.grants.insert(key.clone(), grant);
                }
            }
            let request = self.requests.iter().find(|request| request.key == key).cloned();
            if let Some(request) = request {
                self.finish(&request, Use::Approved, self.now);
            }
        }
        let key = (account.0.to_owned(), account.1.to_owned(), String::new());
        self.note(actor, "seed", &key);
        Ok(report)
    }

    /// The keys that were erased.
    pub(crate) fn forget(&mut self, target: &Key, actor: &str) -> BTreeSet<Key> {
        let mut erased = BTreeSet::new();
        let mut stays = |key: &Key| {
            erased.extend(is_of(target, key).then(|| key.clone()));
            !is_of(target, key)
        };
        self.grants.retain(|key, _| stays(key));
        self.blocks.retain(|key, _| stays(key));
        self.requests.retain(|request| stays(&request.key));
        // What became of his codes, for as long as it is known.
        self.codes.retain(|_, (_, key, _)| stays(key));
        self.past.retain(|key, _| !is_of(target, key));
        let mut is_named = false;
        for (_, _, key) in self.log.iter_mut().filter(|(_, _, key)| is_of(target, key)) {
            key.2 = "#".into();
            is_named = true;
        }
        if is_named || !erased.is_empty() {
            let key = (target.0.clone(), target.1.clone(), "#".to_owned());
            self.note(actor, "forget", &key);
        }
        erased
    }

    pub(crate) fn unlock(&mut self, locked: &str, actor: &str) -> bool {
        let now = self.now;
        let Tries { wrong, mistyped, locked } = self.tries.remove(locked).unwrap_or_default();
        let is_anything = wrong.iter().chain(&mistyped).chain(&locked).any(|at| now < at + WINDOW);
        if is_anything {
            self.note(actor, "unlock", &Key::default());
        }
        is_anything
    }

    /// How many requests ran out and were not noticed before.
    pub(crate) fn purge(&mut self) -> u64 {
        let before = self.requests.len();
        self.expire();
        let now = self.now;
        let days = |of: &Use| if *of == Use::Expired { 3 } else { 1 };
        self.codes.retain(|_, (of, _, at)| now < *at + days(of) * DAY);
        u64::try_from(before - self.requests.len()).unwrap()
    }

    pub(crate) fn is_blocked(&self, key: &Key) -> bool {
        let (channel, account, id) = key;
        self.blocks
            .keys()
            .any(|(of, scope, blocked)| of == channel && covers(scope, account) && blocked == id)
    }

    /// Whether a grant holds, blocked or not.
    pub(crate) fn is_allowed(&self, key: &Key) -> bool {
        self.grants.get(key).is_some_and(|grant| grant.ended(self.now).is_none())
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| self.now < request.until)
    }

    fn end_grants(&mut self, target: &Key) -> BTreeSet<Key> {
        let now = self.now;
        let live = self
            .grants
            .iter_mut()
            .filter(|(key, grant)| is_of(target, key) && grant.ended(now).is_none());
        live.map(|(key, grant)| {
            grant.revoked = Some(now);
            key.clone()
        })
        .collect()
    }

    /// Ends what has run out. When is of no importance, but for the log.
    fn expire(&mut self) {
        let now = self.now;
        let due: Vec<Request> =
            self.requests.iter().filter(|request| request.until <= now).cloned().collect();
        for request in due {
            let mut past = self.past.remove(&request.key).unwrap_or_default();
            // Who stays away for a day after his wait begins anew.
            if past.expiries.last().is_some_and(|at| request.since >= at + past.wait() + DAY) {
                past.expiries.clear();
            }
            past.expiries.push(request.until);
            self.finish(&request, Use::Expired, request.until);
            self.past.insert(request.key.clone(), past);
            self.note("gate", "expire", &request.key);
        }
    }

    /// Takes a request away. What was held against its sender is over.
    fn finish(&mut self, request: &Request, of: Use, at: i64) {
        self.requests.retain(|other| other != request);
        self.past.remove(&request.key);
        self.codes.insert(request.code.clone(), (of, request.key.clone(), at));
    }

    fn find(
        &mut self,
        (code, is_consistent): (&str, bool),
        actor: &str,
    ) -> Result<Request, Refusal> {
        let now = self.now;
        let counts = |at: &&i64| now < **at + WINDOW;
        let locked = self.tries.get(actor).and_then(|tries| tries.locked);
        if let Some(at) = locked.as_ref().filter(counts) {
            return Err(Refusal::LockedOut { remaining: at + WINDOW - now });
        }
        self.expire();
        if let Some(request) = self.requests.iter().find(|request| request.code == code) {
            return Ok(request.clone());
        }
        if let Some((of, key, at)) = self.codes.get(code).filter(|(.., at)| now < at + DAY) {
            return Err(Refusal::Used(*of, key.clone(), *at));
        }
        let tries = self.tries.entry(actor.to_owned()).or_default();
        if !is_consistent && tries.mistyped.iter().filter(counts).count() < 30 {
            tries.mistyped.push(now);
            return Err(Refusal::Mistyped);
        }
        tries.wrong.push(now);
        let attempts = i64::try_from(tries.wrong.iter().filter(counts).count()).unwrap();
        if attempts < 5 {
            return Err(Refusal::Unknown { left: 5 - attempts });
        }
        *tries = Tries { locked: Some(now), ..Tries::default() };
        self.note(actor, "lockout", &Key::default());
        Err(Refusal::LockedOut { remaining: WINDOW })
    }

    fn note(&mut self, actor: &str, action: &str, key: &Key) {
        self.log.push((actor.to_owned(), action.to_owned(), key.clone()));
    }
}

/// Whether a key is one of a target's.
fn is_of(target: &Key, key: &Key) -> bool {
    target.0 == key.0 && covers(&target.1, &key.1) && target.2 == key.2
}
