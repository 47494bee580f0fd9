//! Filters for lists and the audit log.

use derive_setters::Setters;
use time::OffsetDateTime;

use crate::{
    AccountId, AccountScope, AuditAction, AuditEvent, BlockedSender, ChannelId, SenderId,
    SenderKey, Target,
};

/// A filter for lists. `None` matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct Filter {
    /// Only this channel.
    pub channel: Option<ChannelId>,
    /// Only this account.
    pub account: Option<AccountId>,
    /// Only this sender.
    pub sender: Option<SenderId>,
}

impl Filter {
    /// Matches everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether a row with this key matches.
    #[must_use]
    pub fn matches(&self, key: &SenderKey) -> bool {
        self.channel.as_ref().is_none_or(|channel| *channel == key.channel)
            && self.account.as_ref().is_none_or(|account| *account == key.account_id)
            && self.sender.as_ref().is_none_or(|sender| *sender == key.sender_id)
    }

    /// Whether a block matches: one on all accounts concerns each.
    #[must_use]
    pub fn matches_block(&self, block: &BlockedSender) -> bool {
        self.channel.as_ref().is_none_or(|channel| *channel == block.channel)
            && self.account.as_ref().is_none_or(|account| block.account_id.covers(account))
            && self.sender.as_ref().is_none_or(|sender| *sender == block.sender_id)
    }
}

impl From<&SenderKey> for Filter {
    fn from(key: &SenderKey) -> Self {
        let SenderKey { channel, account_id, sender_id } = key.clone();
        Self { channel: Some(channel), account: Some(account_id), sender: Some(sender_id) }
    }
}

/// All accounts of the channel for a target of all accounts.
impl From<&Target> for Filter {
    fn from(target: &Target) -> Self {
        let Target { channel, scope, sender } = target.clone();
        let account = match scope {
            AccountScope::One(account) => Some(account),
            AccountScope::All => None,
        };
        Self { channel: Some(channel), account, sender: Some(sender) }
    }
}

/// A query of the audit log: the newest entries that match all conditions.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct AuditQuery {
    /// With this channel, account and sender. Default: any.
    pub filter: Filter,
    /// With this action. Default: any.
    #[setters(into)]
    pub action: Option<AuditAction>,
    /// About the session with this id, or all sessions of devices with this label. Default: any.
    #[setters(into)]
    pub device: Option<String>,
    /// At or after this time. Default: any.
    pub since: Option<OffsetDateTime>,
    /// Before this time. Default: any.
    pub until: Option<OffsetDateTime>,
    /// With a smaller `seq`. The `seq` of a page's oldest entry yields the page before it, regardless of
    /// entries written meanwhile. Default: any.
    pub before: Option<i64>,
    /// The maximum number of entries.
    #[setters(skip)]
    pub limit: u32,
}

impl AuditQuery {
    /// The newest entries.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self {
            filter: Filter::all(),
            action: None,
            device: None,
            since: None,
            until: None,
            before: None,
            limit,
        }
    }

    /// Whether an entry matches, apart from [`device`](Self::device) and [`limit`](Self::limit), which
    /// the entry alone does not tell.
    #[must_use]
    pub fn matches(&self, event: &AuditEvent) -> bool {
        let Filter { channel, account, sender } = &self.filter;
        let account = account.clone().map(AccountScope::One);
        (channel.is_none() || *channel == event.channel)
            && (account.is_none() || account == event.account_id)
            && (sender.is_none() || *sender == event.sender_id)
            && self.action.as_ref().is_none_or(|action| *action == event.action)
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
            && self.before.is_none_or(|before| event.seq < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_only_the_conditions_that_were_set() {
        let channel = ChannelId::parse("telegram").unwrap();
        let (account, sender) = (AccountId::default_account(), SenderId::parse("1").unwrap());
        let filter = Filter::all().with_channel(channel.clone()).with_sender(sender.clone());
        assert_eq!(
            (filter.channel, filter.account, filter.sender),
            (Some(channel), None, Some(sender))
        );
        assert_eq!(Filter::all().with_account(account.clone()).account, Some(account));
    }
}
