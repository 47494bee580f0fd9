//! Import of the sessions that 0.1.8 kept in a file.

use serde::Serialize;
use time::OffsetDateTime;

use crate::SessionToken;

/// A session of another store, with its token, which the device keeps.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportedSession {
    /// The token that the device presents.
    pub token: SessionToken,
    /// The kind of device.
    pub profile: String,
    /// The operator's label for the device, of the form [`LABEL_FORM`](crate::limits::LABEL_FORM).
    pub device_label: Option<String>,
    /// When the session began.
    pub issued_at: OffsetDateTime,
    /// When the session expires. It cannot be renewed.
    pub expires_at: OffsetDateTime,
}

impl ImportedSession {
    /// A session from its parts, which are checked at the import.
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

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// How many sessions are new.
    pub imported: u64,
    /// How many were already known, live or ended, and stay as they are.
    pub unchanged: u64,
    /// How many were skipped because they have expired.
    pub expired: u64,
}
