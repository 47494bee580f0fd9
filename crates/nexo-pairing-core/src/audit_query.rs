//! Which entries of the audit log to read.

use time::OffsetDateTime;

use crate::Filter;

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
}
