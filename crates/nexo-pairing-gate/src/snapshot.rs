//! What the store knows of senders, as of one moment.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use foldhash::fast::RandomState;
use nexo_pairing_core::rules::SenderFacts;
use nexo_pairing_core::{AccountId, AccountScope, ChannelId, SenderState, Validity};
use smol_str::SmolStr;
use time::OffsetDateTime;

/// Grows with the operator's lists, the requests that are pending (capped) and the outcomes that the
/// store remembers (capped), never with what strangers send.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    channels: BTreeMap<ChannelId, Channel>,
    requests: RequestCounts,
}

/// A sender's id. Up to 23 bytes, which most have, are in the table itself: a look-up among a million
/// takes one cache miss less than with a `Box<str>`.
type Id = SmolStr;

/// The hash is keyed at random. It is not a cryptographic one, which takes twice the time of a look-up:
/// operators choose the ids that are stored, or they are capped, so that strangers cannot collide.
type Ids = HashSet<Id, RandomState>;
type ById<V> = HashMap<Id, V, RandomState>;

#[derive(Debug, Default)]
struct Channel {
    accounts: BTreeMap<AccountId, Account>,
    /// Senders who are blocked on every account.
    blocked: Ids,
}

/// The senders of an account.
#[derive(Debug, Default)]
struct Account {
    blocked: Ids,
    /// Grants without an end. Most are, and an id alone takes a third of the memory.
    allowed: Ids,
    temporary_grants: ById<Validity>,
    waiting: ById<Validity>,
    /// When each request lives, and when its sender was last challenged.
    pending: ById<(Validity, OffsetDateTime)>,
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

/// What a snapshot says of one sender on one account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderView<'a> {
    snapshot: &'a Snapshot,
    channel: Option<&'a Channel>,
    account: Option<&'a Account>,
    ids: &'a [Cow<'a, str>],
}

impl Snapshot {
    /// What is known of the sender with these ids.
    #[inline]
    pub(crate) fn view<'a>(
        &'a self,
        channel: &str,
        account: &str,
        ids: &'a [Cow<'a, str>],
    ) -> SenderView<'a> {
        let channel = self.channels.get(channel);
        let account = channel.and_then(|channel| channel.accounts.get(account));
        SenderView { snapshot: self, channel, account, ids }
    }

    /// How many requests are pending on a channel.
    pub(crate) fn pending(&self, channel: &str) -> usize {
        let accounts = self.channels.get(channel).into_iter().flat_map(|of| of.accounts.values());
        accounts.map(|account| account.pending.len()).sum()
    }

    pub(crate) fn has_blocks(&self) -> bool {
        self.channels.values().any(Channel::has_blocks)
    }

    /// Adds what a state says. Rows from before today's rules on names are left out: no message can
    /// come from there.
    pub(crate) fn add(&mut self, state: SenderState) {
        let SenderState { channel, scope, sender, blocked, allowed, pending, waiting, .. } = state;
        let is_blocked = blocked == Some(true);
        if !is_blocked && allowed.is_none() && pending.is_none() && waiting.is_none() {
            return;
        }
        if ChannelId::check(channel.as_str()).is_err() {
            return;
        }
        let sender = Id::from(sender.as_str());
        let AccountScope::One(account) = scope else {
            if is_blocked {
                self.channels.entry(channel).or_default().blocked.insert(sender);
            }
            return;
        };
        if AccountId::check(account.as_str()).is_err() {
            return;
        }
        let account =
            self.channels.entry(channel).or_default().accounts.entry(account).or_default();
        if is_blocked {
            account.blocked.insert(sender.clone());
        }
        if let Some(validity) = waiting {
            account.waiting.insert(sender.clone(), validity);
        }
        if let Some(request) = pending {
            self.requests.add(request.0);
            if let Some((replaced, _)) = account.pending.insert(sender.clone(), request) {
                self.requests.remove(replaced);
            }
        }
        match allowed {
            Some(Validity::Always) => drop(account.allowed.insert(sender)),
            Some(validity) => drop(account.temporary_grants.insert(sender, validity)),
            None => {}
        }
    }

    /// Puts a state in place of what was known of its key. Accounts and channels of which nothing is
    /// left go too: strangers may have named them.
    pub(crate) fn update(&mut self, state: SenderState) {
        if let Entry::Occupied(mut channel) = self.channels.entry(state.channel.clone()) {
            if let Some((validity, _)) = channel.get_mut().remove(&state) {
                self.requests.remove(validity);
            }
            if channel.get().accounts.is_empty() && channel.get().blocked.is_empty() {
                channel.remove();
            }
        }
        self.add(state);
    }
}

impl Channel {
    fn has_blocks(&self) -> bool {
        let blocked = self.accounts.values().map(|account| &account.blocked);
        blocked.chain([&self.blocked]).any(|blocked| !blocked.is_empty())
    }

    /// Removes what is known of a sender, a block only if the state tells of one; returns the request.
    fn remove(&mut self, state: &SenderState) -> Option<(Validity, OffsetDateTime)> {
        let AccountScope::One(id) = &state.scope else {
            if state.blocked.is_some() {
                self.blocked.remove(state.sender.as_str());
            }
            return None;
        };
        let account = self.accounts.get_mut(id)?;
        let request = account.remove(state);
        if account.is_empty() {
            self.accounts.remove(id);
        }
        request
    }
}

impl Account {
    fn grant(&self, id: &str) -> Option<Validity> {
        let is_unlimited = self.allowed.contains(id);
        if is_unlimited { Some(Validity::Always) } else { self.temporary_grants.get(id).copied() }
    }

    fn remove(&mut self, state: &SenderState) -> Option<(Validity, OffsetDateTime)> {
        let sender = state.sender.as_str();
        if state.blocked.is_some() {
            self.blocked.remove(sender);
        }
        self.allowed.remove(sender);
        self.temporary_grants.remove(sender);
        self.waiting.remove(sender);
        self.pending.remove(sender)
    }

    fn is_empty(&self) -> bool {
        self.blocked.is_empty()
            && self.allowed.is_empty()
            && self.temporary_grants.is_empty()
            && self.waiting.is_empty()
            && self.pending.is_empty()
    }
}

impl<'a> SenderView<'a> {
    /// Whether the channel and the account are in the snapshot; their names are then valid.
    pub(crate) fn has_account(self) -> bool {
        self.account.is_some()
    }

    /// The list of the account that one of the ids is on.
    pub(crate) fn listing(self) -> Option<Listing> {
        if self.grants().next().is_some() {
            Some(Listing::Allowed)
        } else {
            self.requests().next().map(|_| Listing::Pending)
        }
    }

    fn on_account<V>(
        self,
        find: impl Fn(&'a Account, &'a str) -> Option<V>,
    ) -> impl Iterator<Item = V> {
        self.ids.iter().filter_map(move |id| find(self.account?, id))
    }
}

impl SenderFacts for SenderView<'_> {
    fn has_blocks(&self) -> bool {
        self.channel.is_some_and(Channel::has_blocks)
    }

    fn is_blocked(&self) -> bool {
        let on_all = self.channel.map(|channel| &channel.blocked);
        let here = self.account.map(|account| &account.blocked);
        let mut lists = on_all.into_iter().chain(here);
        lists.any(|blocked| self.ids.iter().any(|id| blocked.contains(&**id)))
    }

    fn grants(&self) -> impl Iterator<Item = Validity> {
        self.on_account(Account::grant)
    }

    fn waits(&self) -> impl Iterator<Item = Validity> {
        self.on_account(|account, id| account.waiting.get(id).copied())
    }

    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)> {
        self.on_account(|account, id| account.pending.get(id).copied())
    }

    fn live_requests(&self, now: OffsetDateTime) -> usize {
        let requests = self.account.into_iter().flat_map(|account| account.pending.values());
        requests.filter(|(life, _)| life.holds(now)).count()
    }

    fn live_requests_in_all(&self, now: OffsetDateTime) -> usize {
        self.snapshot.requests.live(now)
    }
}

/// The requests of all accounts, counted by when they begin and end. Those that live are all but the
/// others, which are few, as the store ends them soon: a flood of strangers counts a few requests each
/// time, and not thousands.
#[derive(Debug, Default)]
struct RequestCounts {
    count: usize,
    begin: BTreeMap<OffsetDateTime, usize>,
    end: BTreeMap<OffsetDateTime, usize>,
}

impl RequestCounts {
    fn add(&mut self, validity: Validity) {
        self.count += 1;
        if let Validity::Between(from, until) = validity {
            *self.begin.entry(from).or_default() += 1;
            *self.end.entry(until).or_default() += 1;
        }
    }

    fn remove(&mut self, validity: Validity) {
        self.count -= 1;
        if let Validity::Between(from, until) = validity {
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

    fn view<'a>(snapshot: &'a Snapshot, channel: &str, account: &str) -> SenderView<'a> {
        snapshot.view(channel, account, &[])
    }

    #[test]
    fn rows_that_no_message_can_match_and_empty_states_are_left_out() {
        let mut snapshot = Snapshot::default();
        for (channel, scope) in [("Old Channel", "main"), ("Old Channel", "*"), ("test", "a b")] {
            snapshot.add(state(channel, scope));
            assert!(view(&snapshot, channel, scope).account.is_none(), "{channel}/{scope}");
        }
        let mut nothing = state("test", "main");
        nothing.blocked = None;
        snapshot.add(nothing);
        assert!(
            view(&snapshot, "test", "main").account.is_none(),
            "nothing is known of the sender"
        );
        assert!(!snapshot.has_blocks());
    }

    #[test]
    fn an_update_removes_only_a_block_that_it_mentions() {
        let mut snapshot = Snapshot::default();
        let unblock = |scope| {
            let mut unblocked = state("test", scope);
            unblocked.blocked = Some(false);
            unblocked
        };
        snapshot.add(state("test", "main"));
        assert!(snapshot.has_blocks() && view(&snapshot, "test", "main").account.is_some());
        snapshot.update(unblock("main"));
        assert!(!snapshot.has_blocks());
        snapshot.add(state("test", "*"));
        assert!(snapshot.has_blocks());
        for scope in ["*", "main"] {
            snapshot.add(state("test", scope));
            let mut rest = state("test", scope);
            rest.blocked = None;
            snapshot.update(rest);
            assert!(snapshot.has_blocks(), "an update that mentions no block removes none");
        }
        snapshot.update(unblock("main"));
        snapshot.update(unblock("*"));
        assert!(!snapshot.has_blocks());
    }

    #[test]
    fn accounts_and_channels_named_by_strangers_are_removed() {
        let mut snapshot = Snapshot::default();
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let names: Vec<_> = (0..100).map(|n| (format!("c{}", n % 10), format!("a{n}"))).collect();
        for (channel, account) in &names {
            let mut request = state(channel, account);
            request.blocked = Some(false);
            request.pending = Some((Validity::Between(at(0), at(60)), at(0)));
            snapshot.add(request.clone());
            // The same once more counts once.
            snapshot.add(request);
        }
        assert_eq!((snapshot.requests.count, snapshot.requests.live(at(59))), (100, 100));
        let before = at(0) - Validity::LEEWAY - time::Duration::SECOND;
        assert_eq!((snapshot.requests.live(at(60)), snapshot.requests.live(before)), (0, 0));
        for (channel, account) in &names {
            let mut nothing = state(channel, account);
            nothing.blocked = Some(false);
            snapshot.update(nothing);
        }
        assert!(snapshot.channels.is_empty());
        let RequestCounts { count, begin, end } = &snapshot.requests;
        assert!(*count == 0 && begin.is_empty() && end.is_empty());
    }
}
