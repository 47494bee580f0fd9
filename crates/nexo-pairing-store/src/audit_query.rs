//! Which entries of the audit log to read.

use nexo_pairing_core::{AuditEvent, Filter, PairingError};
use time::OffsetDateTime;

use crate::PairingStore;
use crate::op::log;

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

impl PairingStore {
    /// Reads entries of the audit log, the oldest first. Entries that do not match are not read, except
    /// where only a channel or an account is given: then the log is read backwards until there are
    /// enough.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError> {
        let query = query.clone();
        self.read(move |connection, _| log::search(connection, &query)).await
    }
}
