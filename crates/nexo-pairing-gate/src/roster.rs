//! The operator's lists in memory: what the gate decides by without asking anybody.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use nexo_pairing_core::{
    AccountScope, Clock, Mirror, Mode, PairingError, PairingPolicy, Rule, Span, Standing,
};
use time::OffsetDateTime;

use crate::telemetry::Telemetry;

/// Never confirmed.
const NEVER: u64 = u64::MAX;

/// A message as far as the lists decide on it.
pub(crate) struct Question<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    /// The canonical id of the sender, and the other ids he has.
    pub(crate) senders: &'a [&'a str],
    pub(crate) is_direct: bool,
    pub(crate) policy: &'a PairingPolicy,
}

/// The lists, and when they were last known to be the store's.
#[derive(Debug)]
pub(crate) struct Roster {
    lists: RwLock<Lists>,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    /// [`Clock::elapsed`] in nanoseconds.
    confirmed_at: AtomicU64,
    /// Whether anybody may be blocked: so it is until a first load says otherwise, and from the
    /// first block on, even if the lists cannot be read any more.
    may_have_blocks: AtomicBool,
    is_loaded: AtomicBool,
}

#[derive(Debug, Default)]
struct Lists {
    /// `None` when they are not the store's.
    position: Option<i64>,
    channels: HashMap<Box<str>, Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    accounts: HashMap<Box<str>, Account>,
    /// Who is blocked on every account.
    blocked: HashSet<Box<str>>,
}

/// Grows with the operator's lists, with the requests that are pending (capped) and with the
/// outcomes that the store remembers (capped), never with who writes.
#[derive(Debug, Default)]
struct Account {
    blocked: HashSet<Box<str>>,
    allowed: HashMap<Box<str>, Span>,
    waiting: HashMap<Box<str>, Span>,
    /// When a request lives, and when its sender was last challenged.
    pending: HashMap<Box<str>, (Span, OffsetDateTime)>,
}

impl Roster {
    pub(crate) fn new(clock: Arc<dyn Clock>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            lists: RwLock::default(),
            clock,
            telemetry,
            confirmed_at: AtomicU64::new(NEVER),
            may_have_blocks: AtomicBool::new(true),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Whether the lists were the store's at most `max_staleness` ago.
    pub(crate) fn is_fresh(&self, max_staleness: Duration) -> bool {
        let confirmed_at = self.confirmed_at.load(Ordering::Acquire);
        confirmed_at != NEVER
            && nanoseconds(self.clock.elapsed()).saturating_sub(confirmed_at)
                <= nanoseconds(max_staleness)
    }

    /// Whether anybody is blocked, was blocked, or may be, as nothing was ever read.
    pub(crate) fn may_have_blocks(&self) -> bool {
        self.may_have_blocks.load(Ordering::Acquire)
    }

    /// Which of the rules from 4 on decides. [`Rule::ChallengeAgain`] and [`Rule::Challenge`] are
    /// for the store to confirm.
    pub(crate) fn decide(&self, question: &Question<'_>, now: OffsetDateTime) -> Rule {
        let lists = self.read();
        let channel = lists.channels.get(question.channel);
        let account = channel.and_then(|channel| channel.accounts.get(question.account));
        let of_any = |holds: &dyn Fn(&str) -> bool| question.senders.iter().any(|id| holds(id));

        if of_any(&|id| {
            channel.is_some_and(|channel| channel.blocked.contains(id))
                || account.is_some_and(|account| account.blocked.contains(id))
        }) {
            return Rule::Blocked;
        }
        if question.policy.mode == Mode::Open {
            return Rule::Open;
        }
        if let Some(account) = account
            && of_any(&|id| account.allowed.get(id).is_some_and(|span| span.holds(now)))
        {
            return Rule::Allowed;
        }
        if question.policy.mode != Mode::Pairing {
            return Rule::NotAllowed;
        }
        if !question.is_direct {
            return Rule::NotDirect;
        }
        let Some(account) = account else { return Rule::Challenge };
        if of_any(&|id| account.waiting.get(id).is_some_and(|span| span.holds(now))) {
            return Rule::Waiting;
        }
        let live = |(span, _): &&(Span, OffsetDateTime)| span.holds(now);
        let mut requests = question.senders.iter().filter_map(|&id| account.pending.get(id));
        if let Some((_, challenged_at)) = requests.find(live) {
            let cooldown = time::Duration::try_from(question.policy.challenge_cooldown);
            let over = challenged_at.saturating_add(cooldown.unwrap_or(time::Duration::MAX));
            let is_recent = Span::Between(*challenged_at, over).holds(now);
            return if is_recent { Rule::AlreadyChallenged } else { Rule::ChallengeAgain };
        }
        let pending = account.pending.values().filter(live).count();
        if pending >= question.policy.max_pending as usize {
            return Rule::PendingFull;
        }
        Rule::Challenge
    }

    /// Counts the pending requests of each channel for the gauge.
    fn measure(&self, lists: &Lists) {
        self.telemetry.measure_pending(|channel| {
            let accounts =
                lists.channels.get(channel).into_iter().flat_map(|c| c.accounts.values());
            accounts.map(|account| account.pending.len()).sum()
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Lists> {
        self.lists.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lists> {
        self.lists.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirror for Roster {
    fn position(&self) -> Option<i64> {
        self.read().position
    }

    fn replace(
        &self,
        standings: &mut dyn Iterator<Item = Result<Standing, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        let mut lists = Lists { position: Some(position), ..Lists::default() };
        for standing in standings {
            lists.merge(standing?);
        }
        let is_first = !self.is_loaded.swap(true, Ordering::AcqRel);
        if is_first || lists.has_blocks() {
            self.may_have_blocks.store(lists.has_blocks(), Ordering::Release);
        }
        self.measure(&lists);
        let old = std::mem::replace(&mut *self.write(), lists);
        // Freeing a million entries takes a while: not while the others wait.
        drop(old);
        Ok(())
    }

    fn update(&self, standings: Vec<Standing>, position: i64) {
        if standings.iter().any(|standing| standing.blocked) {
            self.may_have_blocks.store(true, Ordering::Release);
        }
        let mut lists = self.write();
        for standing in standings {
            lists.remove(&standing);
            lists.merge(standing);
        }
        lists.position = Some(position);
        drop(lists);
        self.measure(&self.read());
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn confirm(&self, as_of: Duration) {
        self.confirmed_at.store(nanoseconds(as_of), Ordering::Release);
    }

    fn invalidate(&self) {
        self.write().position = None;
        self.confirmed_at.store(NEVER, Ordering::Release);
    }
}

impl Lists {
    /// Adds what a standing says.
    fn merge(&mut self, standing: Standing) {
        let Standing { channel, scope, sender, blocked, allowed, pending, waiting, .. } = standing;
        if !blocked && allowed.is_none() && pending.is_none() && waiting.is_none() {
            return;
        }
        let channel = self.channels.entry(channel.as_str().into()).or_default();
        let sender: Box<str> = sender.as_str().into();
        let AccountScope::One(account) = scope else {
            if blocked {
                channel.blocked.insert(sender);
            }
            return;
        };
        let account = channel.accounts.entry(account.as_str().into()).or_default();
        if let Some(allowed) = allowed {
            account.allowed.insert(sender.clone(), allowed);
        }
        if let Some(pending) = pending {
            account.pending.insert(sender.clone(), pending);
        }
        if let Some(waiting) = waiting {
            account.waiting.insert(sender.clone(), waiting);
        }
        if blocked {
            account.blocked.insert(sender);
        }
    }

    /// Takes away everything about a key.
    fn remove(&mut self, standing: &Standing) {
        let Some(channel) = self.channels.get_mut(standing.channel.as_str()) else { return };
        let sender = standing.sender.as_str();
        let AccountScope::One(account) = &standing.scope else {
            channel.blocked.remove(sender);
            return;
        };
        if let Some(account) = channel.accounts.get_mut(account.as_str()) {
            account.blocked.remove(sender);
            account.allowed.remove(sender);
            account.waiting.remove(sender);
            account.pending.remove(sender);
        }
    }

    fn has_blocks(&self) -> bool {
        self.channels.values().any(|channel| {
            !channel.blocked.is_empty()
                || channel.accounts.values().any(|account| !account.blocked.is_empty())
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    // 584 years of a clock that begins with the process.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}
