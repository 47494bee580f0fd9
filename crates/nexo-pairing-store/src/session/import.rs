//! Sessions that 0.1.8 kept in a file of their own.

use nexo_pairing_core::SessionToken;
use nexo_pairing_core::limits::{MAX_LABEL_BYTES, PROFILE_FORM};
use nexo_pairing_core::setup_code::is_profile;
use rusqlite::Row;
use serde::Serialize;
use time::OffsetDateTime;

use crate::op::at;

/// A session that another store issued, with its token: the device keeps it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportedSession {
    /// What the device presents.
    pub token: SessionToken,
    /// What the device is.
    pub profile: String,
    /// What the operator calls the device, in the
    /// [`LABEL_FORM`](nexo_pairing_core::limits::LABEL_FORM).
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

/// A row of 0.1.8's: token, profile, device label, issued at, expires at. Otherwise what is wrong with
/// it, without the token.
pub(crate) fn read_row(row: &Row<'_>) -> rusqlite::Result<Result<ImportedSession, String>> {
    let text: String = row.get(0)?;
    let token = match SessionToken::parse(&zeroize::Zeroizing::new(text)) {
        Ok(token) => token,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let profile: String = row.get(1)?;
    if !is_profile(&profile) {
        let shown: String = profile.chars().take(40).flat_map(char::escape_debug).collect();
        return Ok(Err(format!("the profile is {shown}, not of the form {PROFILE_FORM}")));
    }
    let label = row.get::<_, Option<String>>(2)?.and_then(fitting_label);
    let (issued_at, expires_at) = (at(row.get(3)?), at(row.get(4)?));
    Ok(Ok(ImportedSession::new(token, profile, label, issued_at, expires_at)))
}

/// A label within today's bounds: 0.1.8 had none, and it is only there to be read.
fn fitting_label(label: String) -> Option<String> {
    let mut label: String = label.chars().filter(|char| !char.is_control()).collect();
    label.truncate(label.floor_char_boundary(MAX_LABEL_BYTES));
    Some(label).filter(|label| !label.is_empty())
}
