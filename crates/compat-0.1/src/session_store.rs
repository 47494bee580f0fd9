//! The sessions of companions, in one SQLite file.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use nexo_pairing_core::{Actor, ImportedSession, SessionToken};
use nexo_pairing_store::{PairingStore, StoreError, StoreErrorKind, read_legacy_sessions};
use time::OffsetDateTime;

use crate::convert::{refusal, utc, with_causes};
use crate::types::PairingError;

/// The sessions of companions, in one SQLite file, which keeps only the hashes of their tokens.
#[derive(Debug)]
pub struct PairingSessionStore {
    inner: PairingStore,
}

/// A live session.
#[derive(Debug)]
pub struct SessionRow {
    /// The kind of device.
    pub profile: String,
    /// The operator's label for the device.
    pub device_label: Option<String>,
    /// When the session expires.
    pub expires_at: DateTime<Utc>,
}

impl PairingSessionStore {
    /// Opens the file at `path`, and creates a missing one. A file of 0.1.8, which has the tokens in clear
    /// text, is replaced by one with the same sessions, and kept beside it with `.0.1.8` appended: delete
    /// it once you do not need it.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] if the file is damaged, unreadable or of another kind;
    /// [`PairingError::Io`] if it cannot be replaced.
    pub async fn open(path: &Path) -> Result<Self, PairingError> {
        match read_legacy_sessions(path).await {
            Ok(sessions) => replace(path, sessions).await?,
            Err(StoreError {
                kind: StoreErrorKind::NoSessions | StoreErrorKind::Missing, ..
            }) => {}
            Err(error) => return Err(storage(error)),
        }
        PairingStore::open(path).await.map(|inner| Self { inner }).map_err(storage)
    }

    /// A store in memory.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when no thread can be started.
    pub async fn open_memory() -> Result<Self, PairingError> {
        PairingStore::open_memory().await.map(|inner| Self { inner }).map_err(storage)
    }

    /// Adds a session with this token, which has 8 to 256 printable ASCII characters.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] if an argument is out of bounds, or the token has or had a session.
    pub async fn insert_session(
        &self,
        token: &str,
        profile: &str,
        device_label: Option<&str>,
        ttl: Duration,
    ) -> Result<(), PairingError> {
        let token =
            SessionToken::parse(token).map_err(|_| PairingError::Invalid("session token"))?;
        let issued_at = OffsetDateTime::now_utc();
        let ttl = time::Duration::try_from(ttl).ok();
        let expires_at = ttl.and_then(|ttl| issued_at.checked_add(ttl));
        let expires_at = expires_at.ok_or(PairingError::Invalid("session ttl out of range"))?;
        let (profile, label) = (profile.to_owned(), device_label.map(str::to_owned));
        let session = ImportedSession::new(token, profile, label, issued_at, expires_at);
        let report = self.inner.import_sessions(vec![session], &Actor::device()).await;
        match report.map_err(refusal)?.unchanged {
            0 => Ok(()),
            _ => Err(PairingError::Invalid("the session token is in use already")),
        }
    }

    /// The live session that has this token.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn lookup_session(&self, token: &str) -> Result<Option<SessionRow>, PairingError> {
        let Ok(token) = SessionToken::parse(token) else { return Ok(None) };
        let session = self.inner.session(&token).await.map_err(refusal)?;
        Ok(session.map(|session| SessionRow {
            profile: session.profile,
            device_label: session.device_label,
            expires_at: utc(session.expires_at),
        }))
    }

    /// Ends the sessions that expired, and returns how many.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn expire_sessions(&self) -> Result<usize, PairingError> {
        let now = OffsetDateTime::now_utc();
        let sessions = self.inner.list_sessions(true).await.map_err(refusal)?.into_iter();
        let expired = sessions.filter(|it| it.revoked_at.is_none() && it.expires_at <= now).count();
        self.inner.purge_sessions().await.map_err(refusal)?;
        Ok(expired)
    }
}

/// Puts a new file with these sessions in place of one of 0.1.8.
async fn replace(path: &Path, sessions: Vec<ImportedSession>) -> Result<(), PairingError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = tempfile::tempdir_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
    let new = folder.path().join("pairing_sessions.db");
    let store = PairingStore::open(&new).await.map_err(storage)?;
    store.import_sessions(sessions, &Actor::config()).await.map_err(refusal)?;
    let mut kept = path.as_os_str().to_owned();
    kept.push(".0.1.8");
    let path = path.to_owned();
    let replace = move || {
        drop(store);
        std::fs::hard_link(&path, kept)?;
        std::fs::rename(new, path)?;
        folder.close()
    };
    tokio::task::spawn_blocking(replace).await.map_err(io)?.map_err(io)
}

fn storage(error: StoreError) -> PairingError {
    PairingError::Storage(with_causes(&error))
}

fn io(error: impl std::error::Error) -> PairingError {
    PairingError::Io(error.to_string())
}
