//! Which rows, and which entries of the audit log, to read.

use time::OffsetDateTime;

use crate::{AccountId, ChannelId, SenderId};

/// Which rows a listing shows; what is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only this channel.
    pub channel: Option<ChannelId>,
    /// Only this account.
    pub account: Option<AccountId>,
    /// Only this sender.
    pub sender: Option<SenderId>,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only this channel.
    #[must_use]
    pub fn with_channel(mut self, channel: ChannelId) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Only this account.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Only this sender.
    #[must_use]
    pub fn with_sender(mut self, sender: SenderId) -> Self {
        self.sender = Some(sender);
        self
    }
}

/// Which entries of the audit log to read: the newest that match all that is given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditQuery {
    /// Of this channel, account and sender. Default: any.
    pub filter: Filter,
    /// With this action, such as `replay`. Default: any.
    pub action: Option<String>,
    /// About this session, by its id, or about all sessions of the devices with this label. Default:
    /// any.
    pub device: Option<String>,
    /// At or after this moment. Default: any.
    pub since: Option<OffsetDateTime>,
    /// Before this moment. Default: any.
    pub until: Option<OffsetDateTime>,
    /// With a smaller `seq`: the `seq` of the oldest entry of a page gives the page before it, whatever
    /// is written meanwhile. Default: any.
    pub before: Option<i64>,
    /// How many entries at most.
    pub limit: u32,
}

impl AuditQuery {
    /// The newest entries of all.
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

    /// The same query, with this [`filter`](Self::filter).
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The same query, with this [`action`](Self::action).
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// The same query, with this [`device`](Self::device).
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// The same query, with this [`since`](Self::since).
    #[must_use]
    pub fn with_since(mut self, since: OffsetDateTime) -> Self {
        self.since = Some(since);
        self
    }

    /// The same query, with this [`until`](Self::until).
    #[must_use]
    pub fn with_until(mut self, until: OffsetDateTime) -> Self {
        self.until = Some(until);
        self
    }

    /// The same query, with this [`before`](Self::before).
    #[must_use]
    pub fn with_before(mut self, before: i64) -> Self {
        self.before = Some(before);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_asks_for_what_it_was_told_and_nothing_else() {
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
