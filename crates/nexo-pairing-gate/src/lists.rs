//! The operator's lists, and the rules that need nothing else.

use std::cell::LazyCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use nexo_pairing_core::{
    AccountId, AccountScope, ChannelId, Mode, PairingPolicy, Rule, Span, Standing,
};
use time::OffsetDateTime;

use crate::ids::{Ids, Sender, Senders};

/// A message as far as the lists decide on it.
pub(crate) struct Question<'a> {
    /// The canonical id of the sender, and the other ids he has.
    pub(crate) senders: &'a Senders<'a>,
    pub(crate) is_direct: bool,
    pub(crate) policy: &'a PairingPolicy,
}

#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Up to where they are the store's; `None` when they are not.
    pub(crate) position: Option<i64>,
    /// Few, and looked through in less time than a hash takes.
    channels: Vec<(Box<str>, Channel)>,
}

/// Where a message came in, as far as the lists know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
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

    /// Which of the rules from 4 on decides. [`Rule::ChallengeAgain`] and [`Rule::Challenge`] are
    /// for the store to confirm. The time is asked for only where something has an end.
    #[inline]
    pub(crate) fn decide(
        self,
        question: &Question<'_>,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Rule {
        let now = LazyCell::new(now);
        let Self { channel, account } = self;
        let senders = || question.senders.iter();

        if channel.is_some_and(|channel| senders().any(|id| channel.blocked.contains(id)))
            || account.is_some_and(|account| senders().any(|id| account.blocked.contains(id)))
        {
            return Rule::Blocked;
        }
        if question.policy.mode == Mode::Open {
            return Rule::Open;
        }
        let holds = |span: &Span| span.holds(*now);
        if let Some(account) = account
            && senders().any(|id| {
                account.allowed.contains(id) || account.visiting.get(id).is_some_and(holds)
            })
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
        Rule::Challenge
    }
}

impl Lists {
    /// Where a message came in.
    #[inline]
    pub(crate) fn find(&self, channel: &str, account: &str) -> Place<'_> {
        let channel = self.channel(channel);
        Place { channel, account: channel.and_then(|channel| channel.accounts.get(account)) }
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
            account.pending.insert(&sender, pending);
        }
        if let Some(waiting) = waiting {
            account.waiting.insert(&sender, waiting);
        }
        if blocked && account.blocked.insert(&sender, ()).is_none() {
            channel.blocks += 1;
        }
    }

    /// Takes away everything about a key.
    pub(crate) fn remove(&mut self, standing: &Standing) {
        let name = standing.channel.as_str();
        let channel = self.channels.iter_mut().find(|(known, _)| **known == *name);
        let Some((_, channel)) = channel else { return };
        let sender = Sender::new(standing.sender.as_str());
        let AccountScope::One(account) = &standing.scope else {
            channel.blocks -= usize::from(channel.blocked.remove(&sender).is_some());
            return;
        };
        if let Some(account) = channel.accounts.get_mut(account.as_str()) {
            channel.blocks -= usize::from(account.blocked.remove(&sender).is_some());
            account.allowed.remove(&sender);
            account.visiting.remove(&sender);
            account.waiting.remove(&sender);
            account.pending.remove(&sender);
        }
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
        standing.blocked = true;
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
        nothing.blocked = false;
        lists.merge(nothing);
        assert!(lists.find("test", "main").account.is_none(), "of whom nothing is known");
        assert!(!lists.has_blocks());
        lists.merge(standing("test", "main"));
        assert!(lists.has_blocks() && lists.find("test", "main").account.is_some());
        lists.remove(&standing("test", "main"));
        assert!(!lists.has_blocks());
        lists.merge(standing("test", "*"));
        assert!(lists.has_blocks());
        lists.remove(&standing("test", "*"));
        assert!(!lists.has_blocks());
    }

    #[test]
    fn a_block_counts_once_for_its_channel_however_often_it_is_said() {
        let mut lists = Lists::default();
        let has_blocks = |lists: &Lists, channel| lists.find(channel, "other").has_blocks();
        for _ in 0..2 {
            lists.merge(standing("test", "main"));
            lists.merge(standing("test", "*"));
        }
        assert!(has_blocks(&lists, "test") && !has_blocks(&lists, "else"));
        for _ in 0..2 {
            lists.remove(&standing("test", "main"));
        }
        assert!(has_blocks(&lists, "test"), "the one for all accounts is left");
        lists.remove(&standing("test", "*"));
        assert!(!has_blocks(&lists, "test"));
    }
}
