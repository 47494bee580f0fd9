//! Which rows, and which entries of the audit log, to read.

use derive_setters::Setters;
use time::OffsetDateTime;

use crate::{AccountId, ChannelId, SenderId};

/// Which rows a listing shows; what is `None` is not asked.
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
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }
}

/// Which entries of the audit log to read: the newest that match all that is given.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct AuditQuery {
    /// Of this channel, account and sender. Default: any.
    pub filter: Filter,
    /// With this action, such as `replay`. Default: any.
    #[setters(into)]
    pub action: Option<String>,
    /// About this session, by its id, or about all sessions of the devices with this label. Default:
    /// any.
    #[setters(into)]
    pub device: Option<String>,
    /// At or after this moment. Default: any.
    pub since: Option<OffsetDateTime>,
    /// Before this moment. Default: any.
    pub until: Option<OffsetDateTime>,
    /// With a smaller `seq`: the `seq` of the oldest entry of a page gives the page before it, whatever
    /// is written meanwhile. Default: any.
    pub before: Option<i64>,
    /// How many entries at most.
    #[setters(skip)]
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
