//! The operator's lists, and the rules that need nothing else.

use std::cell::LazyCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use foldhash::fast::RandomState;
use nexo_pairing_core::{
    AccountId, AccountScope, ChannelId, Mode, PairingPolicy, Rule, Span, Standing,
};
use time::OffsetDateTime;

use crate::gate::Listing;
use crate::ids::{Ids, Sender, Senders};

/// A message as far as the lists decide on it.
pub(crate) struct Question<'a> {
    /// The canonical id of the sender, and the other ids he has.
    pub(crate) senders: &'a Senders<'a>,
    pub(crate) is_direct: bool,
    pub(crate) policy: &'a PairingPolicy,
    /// How many requests may live over all accounts.
    pub(crate) max_pending_total: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Up to where they are the store's; `None` when they are not.
    pub(crate) position: Option<i64>,
    /// Few, and looked through in less time than a hash takes.
    channels: Vec<(Box<str>, Channel)>,
    /// The requests of all accounts.
    requests: Requests,
}

/// Where a message came in, as far as the lists know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    requests: &'a Requests,
    channel: Option<&'a Channel>,
    pub(crate) account: Option<&'a Account>,
}

#[derive(Debug, Default)]
struct Channel {
    accounts: HashMap<Box<str>, Account, RandomState>,
    /// Who is blocked on every account.
    blocked: Ids<()>,
    /// How many blocks there are, those for one account included.
    blocks: usize,
}

/// Grows with the operator's lists, with the requests that are pending (capped) and with the
/// outcomes that the store remembers (capped), never with who writes.
#[derive(Debug, Default)]
pub(crate) struct Account {
    blocked: Ids<()>,
    /// Who is allowed for good. Most are: kept apart, a million of them take 18 MB and not 70.
    allowed: Ids<()>,
    /// Who is allowed for a time.
    visiting: Ids<Span>,
    waiting: Ids<Span>,
    /// When a request lives, and when its sender was last challenged.
    pending: Ids<(Span, OffsetDateTime)>,
}

impl Place<'_> {
    /// Whether anybody is blocked on this channel, on whichever account.
    pub(crate) fn has_blocks(self) -> bool {
        self.channel.is_some_and(|channel| channel.blocks > 0)
    }

    /// Whether one of these is blocked here.
    #[inline]
    pub(crate) fn is_blocked(self, senders: &Senders<'_>) -> bool {
        let Self { channel, account, .. } = self;
        let holds = |ids: &Ids<()>| senders.iter().any(|id| ids.contains(id));
        channel.is_some_and(|channel| holds(&channel.blocked))
            || account.is_some_and(|account| holds(&account.blocked))
    }

    /// Whether one of these holds a live grant on this account.
    #[inline]
    pub(crate) fn is_allowed(
        self,
        senders: &Senders<'_>,
        now: impl Fn() -> OffsetDateTime,
    ) -> bool {
        let is_visiting = |account: &Account, id: &Sender<'_>| {
            account.visiting.get(id).is_some_and(|span| span.holds(now()))
        };
        self.account.is_some_and(|account| {
            senders.iter().any(|id| account.allowed.contains(id) || is_visiting(account, id))
        })
    }

    /// The list of the account that one of the ids is on.
    pub(crate) fn listing(self, senders: &Senders<'_>) -> Option<Listing> {
        let account = self.account?;
        let is_on = |has: &dyn Fn(&Sender<'_>) -> bool| senders.iter().any(has);
        if is_on(&|id| account.allowed.contains(id) || account.visiting.contains(id)) {
            Some(Listing::Allowed)
        } else {
            is_on(&|id| account.pending.contains(id)).then_some(Listing::Pending)
        }
    }

    /// Which of the rules from 4 on decides. [`Rule::ChallengeAgain`] and [`Rule::Challenge`] are
    /// for the store to confirm. The time is asked for only where something has an end.
    #[inline]
    pub(crate) fn decide(
        self,
        question: &Question<'_>,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Rule {
        let now = LazyCell::new(now);
        let Self { requests: all, account, .. } = self;
        let senders = || question.senders.iter();

        if self.is_blocked(question.senders) {
            return Rule::Blocked;
        }
        if question.policy.mode == Mode::Open {
            return Rule::Open;
        }
        if self.is_allowed(question.senders, || *now) {
            return Rule::Allowed;
        }
        let holds = |span: &Span| span.holds(*now);
        if question.policy.mode != Mode::Pairing {
            return Rule::NotAllowed;
        }
        if !question.is_direct {
            return Rule::NotDirect;
        }
        if let Some(account) = account {
            if senders().any(|id| account.waiting.get(id).is_some_and(holds)) {
                return Rule::Waiting;
            }
            let live = |(span, _): &&(Span, OffsetDateTime)| holds(span);
            let mut requests = senders().filter_map(|id| account.pending.get(id));
            if let Some((_, challenged_at)) = requests.find(live) {
                let cooldown = time::Duration::try_from(question.policy.challenge_cooldown);
                let over = challenged_at.saturating_add(cooldown.unwrap_or(time::Duration::MAX));
                let is_recent = Span::Between(*challenged_at, over).holds(*now);
                return if is_recent { Rule::AlreadyChallenged } else { Rule::ChallengeAgain };
            }
            let pending = account.pending.values().filter(live).count();
            if pending >= question.policy.max_pending as usize {
                return Rule::PendingFull;
            }
        }
        let max = question.max_pending_total;
        // Most of the time there are not so many, and the time does not matter.
        if all.count >= max && all.live(*now) >= max { Rule::PendingFull } else { Rule::Challenge }
    }
}

impl Lists {
    /// Where a message came in.
    #[inline]
    pub(crate) fn find(&self, channel: &str, account: &str) -> Place<'_> {
        let channel = self.channel(channel);
        let requests = &self.requests;
        Place {
            requests,
            channel,
            account: channel.and_then(|channel| channel.accounts.get(account)),
        }
    }

    fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|(known, _)| **known == *name).map(|(_, channel)| channel)
    }

    /// How many requests are pending on a channel.
    pub(crate) fn pending(&self, channel: &str) -> usize {
        let accounts = self.channel(channel).into_iter().flat_map(|c| c.accounts.values());
        accounts.map(|account| account.pending.len()).sum()
    }

    pub(crate) fn has_blocks(&self) -> bool {
        self.channels.iter().any(|(_, channel)| channel.blocks > 0)
    }

    /// Adds what a standing says, if messages can come from its place: rows from before today's
    /// rules on names may have others.
    pub(crate) fn merge(&mut self, standing: Standing) {
        let Standing { channel, scope, sender, blocked, allowed, pending, waiting, .. } = standing;
        let blocked = blocked == Some(true);
        if !blocked && allowed.is_none() && pending.is_none() && waiting.is_none() {
            return;
        }
        let known = self.channels.iter().position(|(name, _)| **name == *channel.as_str());
        let index = match known {
            Some(index) => index,
            None if ChannelId::check(channel.as_str()).is_err() => return,
            None => {
                self.channels.push((channel.as_str().into(), Channel::default()));
                self.channels.len() - 1
            }
        };
        let channel = &mut self.channels[index].1;
        let sender = Sender::new(sender.as_str());
        let AccountScope::One(account) = scope else {
            if blocked && channel.blocked.insert(&sender, ()).is_none() {
                channel.blocks += 1;
            }
            return;
        };
        if !channel.accounts.contains_key(account.as_str()) {
            if AccountId::check(account.as_str()).is_err() {
                return;
            }
            channel.accounts.insert(account.as_str().into(), Account::default());
        }
        let Some(account) = channel.accounts.get_mut(account.as_str()) else { return };
        match allowed {
            Some(Span::Always) => drop(account.allowed.insert(&sender, ())),
            Some(span) => drop(account.visiting.insert(&sender, span)),
            None => {}
        }
        if let Some(pending) = pending {
            self.requests.add(pending.0);
            if let Some((replaced, _)) = account.pending.insert(&sender, pending) {
                self.requests.remove(replaced);
            }
        }
        if let Some(waiting) = waiting {
            account.waiting.insert(&sender, waiting);
        }
        if blocked && account.blocked.insert(&sender, ()).is_none() {
            channel.blocks += 1;
        }
    }

    /// Removes everything about a key that an update tells anew, and the account and the channel of
    /// which nothing is left: strangers may name any.
    pub(crate) fn remove(&mut self, standing: &Standing) {
        let name = standing.channel.as_str();
        let Some(index) = self.channels.iter().position(|(known, _)| **known == *name) else {
            return;
        };
        let channel = &mut self.channels[index].1;
        let sender = Sender::new(standing.sender.as_str());
        if let AccountScope::One(id) = &standing.scope {
            if let Some(account) = channel.accounts.get_mut(id.as_str()) {
                if standing.blocked.is_some() {
                    channel.blocks -= usize::from(account.blocked.remove(&sender).is_some());
                }
                if let Some((span, _)) = account.remove(&sender) {
                    self.requests.remove(span);
                }
                if account.is_empty() {
                    channel.accounts.remove(id.as_str());
                }
            }
        } else if standing.blocked.is_some() {
            channel.blocks -= usize::from(channel.blocked.remove(&sender).is_some());
        }
        if channel.accounts.is_empty() && channel.blocked.is_empty() {
            self.channels.swap_remove(index);
        }
    }
}

impl Account {
    /// Removes what is known of a sender besides a block, and returns their request.
    fn remove(&mut self, sender: &Sender<'_>) -> Option<(Span, OffsetDateTime)> {
        self.allowed.remove(sender);
        self.visiting.remove(sender);
        self.waiting.remove(sender);
        self.pending.remove(sender)
    }

    fn is_empty(&self) -> bool {
        self.blocked.is_empty()
            && self.allowed.is_empty()
            && self.visiting.is_empty()
            && self.waiting.is_empty()
            && self.pending.is_empty()
    }
}

/// The requests of all accounts, counted by when they begin and end: how many of them live is known by
/// looking at those that do not, which are few, as the store ends them soon.
#[derive(Debug, Default)]
struct Requests {
    count: usize,
    begin: BTreeMap<OffsetDateTime, usize>,
    end: BTreeMap<OffsetDateTime, usize>,
}

impl Requests {
    fn add(&mut self, span: Span) {
        self.count += 1;
        if let Span::Between(from, until) = span {
            *self.begin.entry(from).or_default() += 1;
            *self.end.entry(until).or_default() += 1;
        }
    }

    fn remove(&mut self, span: Span) {
        self.count -= 1;
        if let Span::Between(from, until) = span {
            for (times, time) in [(&mut self.begin, from), (&mut self.end, until)] {
                if let Entry::Occupied(mut entry) = times.entry(time) {
                    *entry.get_mut() -= 1;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
        }
    }

    /// How many live at a moment, by [`Span::holds`].
    fn live(&self, now: OffsetDateTime) -> usize {
        let ahead = (Bound::Excluded(now.saturating_add(Span::LEEWAY)), Bound::Unbounded);
        let over = self.end.range(..=now).chain(self.begin.range(ahead));
        self.count.saturating_sub(over.map(|(_, count)| count).sum())
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::SenderId;

    use super::*;

    fn standing(channel: &str, scope: &str) -> Standing {
        let (channel, scope) = (channel.to_owned(), scope.to_owned());
        let (channel, scope) = (ChannelId::from_stored(channel), AccountScope::from_stored(scope));
        let mut standing = Standing::stranger(channel, scope, SenderId::from_stored("1".into()));
        standing.blocked = Some(true);
        standing
    }

    #[test]
    fn what_no_message_can_come_from_and_what_says_nothing_is_on_no_list() {
        let mut lists = Lists::default();
        for (channel, scope) in [("Old Channel", "main"), ("Old Channel", "*"), ("test", "a b")] {
            lists.merge(standing(channel, scope));
            assert!(lists.find(channel, scope).account.is_none(), "{channel}/{scope}");
        }
        let mut nothing = standing("test", "main");
        nothing.blocked = None;
        lists.merge(nothing);
        assert!(lists.find("test", "main").account.is_none(), "of whom nothing is known");
        assert!(!lists.has_blocks());
        lists.merge(standing("test", "main"));
        assert!(lists.has_blocks() && lists.find("test", "main").account.is_some());
        lists.remove(&standing("test", "main"));
        assert!(!lists.has_blocks());
        lists.merge(standing("test", "*"));
        assert!(lists.has_blocks());
        for scope in ["*", "main"] {
            lists.merge(standing("test", scope));
            let mut rest = standing("test", scope);
            rest.blocked = None;
            lists.remove(&rest);
            assert!(lists.has_blocks(), "an update that tells of no block ends none");
        }
        lists.remove(&standing("test", "main"));
        lists.remove(&standing("test", "*"));
        assert!(!lists.has_blocks());
    }
    #[test]
    fn accounts_and_channels_that_strangers_named_do_not_stay() {
        let mut lists = Lists::default();
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let names: Vec<_> = (0..100).map(|n| (format!("c{}", n % 10), format!("a{n}"))).collect();
        for (channel, account) in &names {
            let mut request = standing(channel, account);
            request.blocked = Some(false);
            request.pending = Some((Span::Between(at(0), at(60)), at(0)));
            lists.merge(request.clone());
            // The same once more counts once.
            lists.merge(request);
        }
        assert_eq!((lists.requests.count, lists.requests.live(at(59))), (100, 100));
        let before = at(0) - Span::LEEWAY - time::Duration::SECOND;
        assert_eq!((lists.requests.live(at(60)), lists.requests.live(before)), (0, 0));
        for (channel, account) in &names {
            lists.remove(&standing(channel, account));
        }
        assert!(lists.channels.is_empty());
        let Requests { count, begin, end } = &lists.requests;
        assert!(*count == 0 && begin.is_empty() && end.is_empty());
    }
}
