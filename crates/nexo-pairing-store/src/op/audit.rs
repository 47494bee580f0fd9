//! Writes the audit log, in the transaction of what it records.

use rusqlite::params;
use serde_json::Value;

use super::Write;

/// Whom or what an entry concerns.
#[derive(Default, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) channel: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    pub(crate) sender: Option<&'a str>,
}

impl<'a> About<'a> {
    /// A sender on an account, or on all (`*`).
    pub(crate) fn sender(channel: &'a str, account: &'a str, sender: &'a str) -> Self {
        Self { channel: Some(channel), account: Some(account), sender: Some(sender) }
    }
}

impl Write<'_> {
    /// Adds an entry. `detail` never holds a code.
    pub(crate) fn audit(
        &self,
        actor: &str,
        action: &str,
        about: About<'_>,
        detail: &Value,
    ) -> rusqlite::Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO pairing_audit
                    (at, actor, action, channel, account_id, sender_id, detail_json)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.now,
                actor,
                action,
                about.channel,
                about.account,
                about.sender,
                detail.to_string()
            ])
            .map(drop)
    }
}
