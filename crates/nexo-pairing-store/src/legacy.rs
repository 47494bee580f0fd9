//! Reads the file in which 0.1.8 kept its sessions.

use std::path::Path;

use nexo_pairing_core::limits::{MAX_LABEL_BYTES, PROFILE_FORM};
use nexo_pairing_core::setup_code::is_profile;
use nexo_pairing_core::text::excerpt;
use nexo_pairing_core::{ImportedSession, SessionToken};
use nexo_pairing_engine::at;
use rusqlite::{Connection, Row};

use crate::{StoreError, StoreErrorKind, inspect, worker};

/// The sessions in the file that 0.1.8 kept them in, `pairing_sessions.db`, oldest first, live or not.
/// The file is only read.
///
/// A label that is too long is truncated; control characters are removed.
///
/// # Errors
///
/// [`StoreError`]: [`NoSessions`](StoreErrorKind::NoSessions) when the file is another database,
/// [`BadSession`](StoreErrorKind::BadSession) when a row cannot be imported, or what is wrong with the
/// file.
pub async fn read_legacy_sessions(
    path: impl AsRef<Path>,
) -> Result<Vec<ImportedSession>, StoreError> {
    let path = path.as_ref().to_owned();
    worker::once("pairing-legacy", move || read(&path)).await
}

fn read(path: &Path) -> Result<Vec<ImportedSession>, StoreError> {
    let connection = inspect::connect_to_read_only(path)?;
    let sqlite = |error| StoreError::sqlite(path, error);
    if !has_schema(&connection).map_err(sqlite)? {
        return Err(StoreError::new(StoreErrorKind::NoSessions, path));
    }
    let mut statement = connection
        .prepare(
            "SELECT token, profile, device_label, issued_at, expires_at, rowid
                FROM pairing_sessions ORDER BY issued_at, rowid",
        )
        .map_err(sqlite)?;
    let mut rows = statement.query(()).map_err(sqlite)?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let read = read_row(row).unwrap_or_else(|error| Err(error.to_string()));
        let id = row.get(5).map_err(sqlite)?;
        let bad = |reason| StoreError::new(StoreErrorKind::BadSession { row: id, reason }, path);
        sessions.push(read.map_err(bad)?);
    }
    Ok(sessions)
}

/// Whether the table is the one of 0.1.8. Ours has the same name, and no plain tokens.
fn has_schema(connection: &Connection) -> rusqlite::Result<bool> {
    let found: i64 = connection.query_row(
        "SELECT count(*) FROM pragma_table_info('pairing_sessions')
            WHERE name IN ('token', 'profile', 'device_label', 'issued_at', 'expires_at')",
        (),
        |row| row.get(0),
    )?;
    Ok(found == 5)
}

/// A row of 0.1.8: token, profile, device label, issued at, expires at. Otherwise what is wrong with it,
/// without the token.
fn read_row(row: &Row<'_>) -> rusqlite::Result<Result<ImportedSession, String>> {
    let text: String = row.get(0)?;
    let token = match SessionToken::parse(&zeroize::Zeroizing::new(text)) {
        Ok(token) => token,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let profile: String = row.get(1)?;
    if !is_profile(&profile) {
        let shown = excerpt(&profile);
        return Ok(Err(format!("the profile is {shown}, not of the form {PROFILE_FORM}")));
    }
    let label = row.get::<_, Option<String>>(2)?.and_then(fitting_label);
    let (issued_at, expires_at) = (at(row.get(3)?), at(row.get(4)?));
    Ok(Ok(ImportedSession::new(token, profile, label, issued_at, expires_at)))
}

/// A label within today's bounds: 0.1.8 had no bounds, and labels are only for display.
fn fitting_label(label: String) -> Option<String> {
    let mut label: String = label.chars().filter(|char| !char.is_control()).collect();
    label.truncate(label.floor_char_boundary(MAX_LABEL_BYTES));
    Some(label).filter(|label| !label.is_empty())
}
