//! Sessions that 0.1.8 kept in a file of their own.

use serde::Serialize;
use time::OffsetDateTime;

use crate::SessionToken;

/// A session that another store issued, with its token: the device keeps it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportedSession {
    /// What the device presents.
    pub token: SessionToken,
    /// What the device is.
    pub profile: String,
    /// What the operator calls the device, in the [`LABEL_FORM`](crate::limits::LABEL_FORM).
    pub device_label: Option<String>,
    /// Since when.
    pub issued_at: OffsetDateTime,
    /// Until when. It cannot be renewed.
    pub expires_at: OffsetDateTime,
}

impl ImportedSession {
    /// A session of its five parts. They are checked when it is imported.
    #[must_use]
    pub fn new(
        token: SessionToken,
        profile: String,
        device_label: Option<String>,
        issued_at: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Self {
        Self { token, profile, device_label, issued_at, expires_at }
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// How many are new here.
    pub imported: u64,
    /// How many were here before, live or not, and were left as they are.
    pub unchanged: u64,
    /// How many were left out because they are not live any more.
    pub expired: u64,
}
