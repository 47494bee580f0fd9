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
    pub(crate) session: Option<&'a str>,
    pub(crate) device_label: Option<&'a str>,
}

impl<'a> About<'a> {
    /// A sender on an account, or on all (`*`).
    pub(crate) fn sender(channel: &'a str, account: &'a str, sender: &'a str) -> Self {
        let sender = Some(sender);
        Self { channel: Some(channel), account: Some(account), sender, ..Self::default() }
    }

    /// A session, and what its device is called.
    pub(crate) fn session(id: &'a str, device_label: Option<&'a str>) -> Self {
        Self { session: Some(id), device_label, ..Self::default() }
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
                    (at, actor, action, channel, account_id, sender_id, detail_json, session_id,
                        device_label)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.now,
                actor,
                action,
                about.channel,
                about.account,
                about.sender,
                detail.to_string(),
                about.session,
                about.device_label
            ])
            .map(drop)
    }
}
