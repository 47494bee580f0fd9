//! The operator's lists, and what they say of a sender.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use foldhash::fast::RandomState;
use nexo_pairing_core::rules::SenderFacts;
use nexo_pairing_core::{AccountId, AccountScope, ChannelId, SenderState, Validity};
use time::OffsetDateTime;

use crate::ids::{Ids, Sender, Senders};

#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Up to where they are the store's; `None` when they are not.
    pub(crate) position: Option<i64>,
    /// Few, and looked through in less time than a hash takes.
    channels: Vec<(Box<str>, Channel)>,
    /// The requests of all accounts.
    requests: Requests,
}

/// The list of an account that a sender is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listing {
    /// The sender was granted access, which may have ended meanwhile.
    Allowed,
    /// The sender has a request, which may have expired meanwhile.
    Pending,
}

/// Where a message came in, as far as the lists know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    requests: &'a Requests,
    channel: Option<&'a Channel>,
    pub(crate) account: Option<&'a Account>,
}

/// What the lists say of somebody in a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    place: Place<'a>,
    senders: &'a Senders<'a>,
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
    visiting: Ids<Validity>,
    waiting: Ids<Validity>,
    /// When a request lives, and when its sender was last challenged.
    pending: Ids<(Validity, OffsetDateTime)>,
}

impl<'a> Place<'a> {
    /// What the lists say here of whoever has these ids.
    #[inline]
    pub(crate) fn known(self, senders: &'a Senders<'a>) -> Known<'a> {
        Known { place: self, senders }
    }
}

impl<'a> Known<'a> {
    /// The list of the account that one of the ids is on.
    pub(crate) fn listing(self) -> Option<Listing> {
        if self.grants().next().is_some() {
            Some(Listing::Allowed)
        } else {
            self.requests().next().map(|_| Listing::Pending)
        }
    }

    /// What is found on the account for each id.
    #[inline]
    fn on_account<V>(
        self,
        find: impl Fn(&'a Account, &Sender<'a>) -> Option<V>,
    ) -> impl Iterator<Item = V> {
        self.senders.iter().filter_map(move |id| find(self.place.account?, id))
    }
}

impl SenderFacts for Known<'_> {
    #[inline]
    fn has_blocks(&self) -> bool {
        self.place.channel.is_some_and(|channel| channel.blocks > 0)
    }

    #[inline]
    fn is_blocked(&self) -> bool {
        let Place { channel, account, .. } = self.place;
        let holds = |ids: &Ids<()>| self.senders.iter().any(|id| ids.contains(id));
        channel.is_some_and(|channel| holds(&channel.blocked))
            || account.is_some_and(|account| holds(&account.blocked))
    }

    #[inline]
    fn grants(&self) -> impl Iterator<Item = Validity> {
        self.on_account(Account::grant)
    }

    #[inline]
    fn waits(&self) -> impl Iterator<Item = Validity> {
        self.on_account(|account, id| account.waiting.get(id).copied())
    }

    #[inline]
    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)> {
        self.on_account(|account, id| account.pending.get(id).copied())
    }

    #[inline]
    fn live_requests(&self, now: OffsetDateTime) -> usize {
        let pending = self.place.account.into_iter().flat_map(|account| account.pending.values());
        pending.filter(|(life, _)| life.holds(now)).count()
    }

    fn live_requests_in_all(&self, now: OffsetDateTime) -> usize {
        self.place.requests.live(now)
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

    /// Adds what a state says, if messages can come from its place: rows from before today's
    /// rules on names may have others.
    pub(crate) fn merge(&mut self, state: SenderState) {
        let SenderState { channel, scope, sender, blocked, allowed, pending, waiting, .. } = state;
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
            Some(Validity::Always) => drop(account.allowed.insert(&sender, ())),
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
    pub(crate) fn remove(&mut self, state: &SenderState) {
        let name = state.channel.as_str();
        let Some(index) = self.channels.iter().position(|(known, _)| **known == *name) else {
            return;
        };
        let channel = &mut self.channels[index].1;
        let sender = Sender::new(state.sender.as_str());
        if let AccountScope::One(id) = &state.scope {
            if let Some(account) = channel.accounts.get_mut(id.as_str()) {
                if state.blocked.is_some() {
                    channel.blocks -= usize::from(account.blocked.remove(&sender).is_some());
                }
                if let Some((span, _)) = account.remove(&sender) {
                    self.requests.remove(span);
                }
                if account.is_empty() {
                    channel.accounts.remove(id.as_str());
                }
            }
        } else if state.blocked.is_some() {
            channel.blocks -= usize::from(channel.blocked.remove(&sender).is_some());
        }
        if channel.accounts.is_empty() && channel.blocked.is_empty() {
            self.channels.swap_remove(index);
        }
    }
}

impl Account {
    /// When the grant of a sender holds.
    #[inline]
    fn grant(&self, id: &Sender<'_>) -> Option<Validity> {
        let is_for_good = self.allowed.contains(id);
        if is_for_good { Some(Validity::Always) } else { self.visiting.get(id).copied() }
    }

    /// Removes what is known of a sender besides a block, and returns their request.
    fn remove(&mut self, sender: &Sender<'_>) -> Option<(Validity, OffsetDateTime)> {
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
    fn add(&mut self, span: Validity) {
        self.count += 1;
        if let Validity::Between(from, until) = span {
            *self.begin.entry(from).or_default() += 1;
            *self.end.entry(until).or_default() += 1;
        }
    }

    fn remove(&mut self, span: Validity) {
        self.count -= 1;
        if let Validity::Between(from, until) = span {
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

    /// How many live at a moment, by [`Validity::holds`].
    fn live(&self, now: OffsetDateTime) -> usize {
        let leeway = time::Duration::try_from(Validity::LEEWAY).unwrap_or(time::Duration::MAX);
        let ahead = (Bound::Excluded(now.saturating_add(leeway)), Bound::Unbounded);
        let over = self.end.range(..=now).chain(self.begin.range(ahead));
        self.count.saturating_sub(over.map(|(_, count)| count).sum())
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::SenderId;

    use super::*;

    fn state(channel: &str, scope: &str) -> SenderState {
        let (channel, scope) = (channel.to_owned(), scope.to_owned());
        let (channel, scope) = (ChannelId::from_stored(channel), AccountScope::from_stored(scope));
        let mut state = SenderState::stranger(channel, scope, SenderId::from_stored("1".into()));
        state.blocked = Some(true);
        state
    }

    #[test]
    fn what_no_message_can_come_from_and_what_says_nothing_is_on_no_list() {
        let mut lists = Lists::default();
        for (channel, scope) in [("Old Channel", "main"), ("Old Channel", "*"), ("test", "a b")] {
            lists.merge(state(channel, scope));
            assert!(lists.find(channel, scope).account.is_none(), "{channel}/{scope}");
        }
        let mut nothing = state("test", "main");
        nothing.blocked = None;
        lists.merge(nothing);
        assert!(lists.find("test", "main").account.is_none(), "of whom nothing is known");
        assert!(!lists.has_blocks());
        lists.merge(state("test", "main"));
        assert!(lists.has_blocks() && lists.find("test", "main").account.is_some());
        lists.remove(&state("test", "main"));
        assert!(!lists.has_blocks());
        lists.merge(state("test", "*"));
        assert!(lists.has_blocks());
        for scope in ["*", "main"] {
            lists.merge(state("test", scope));
            let mut rest = state("test", scope);
            rest.blocked = None;
            lists.remove(&rest);
            assert!(lists.has_blocks(), "an update that tells of no block ends none");
        }
        lists.remove(&state("test", "main"));
        lists.remove(&state("test", "*"));
        assert!(!lists.has_blocks());
    }
    #[test]
    fn accounts_and_channels_that_strangers_named_do_not_stay() {
        let mut lists = Lists::default();
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let names: Vec<_> = (0..100).map(|n| (format!("c{}", n % 10), format!("a{n}"))).collect();
        for (channel, account) in &names {
            let mut request = state(channel, account);
            request.blocked = Some(false);
            request.pending = Some((Validity::Between(at(0), at(60)), at(0)));
            lists.merge(request.clone());
            // The same once more counts once.
            lists.merge(request);
        }
        assert_eq!((lists.requests.count, lists.requests.live(at(59))), (100, 100));
        let before = at(0) - Validity::LEEWAY - time::Duration::SECOND;
        assert_eq!((lists.requests.live(at(60)), lists.requests.live(before)), (0, 0));
        for (channel, account) in &names {
            lists.remove(&state(channel, account));
        }
        assert!(lists.channels.is_empty());
        let Requests { count, begin, end } = &lists.requests;
        assert!(*count == 0 && begin.is_empty() && end.is_empty());
    }
}
