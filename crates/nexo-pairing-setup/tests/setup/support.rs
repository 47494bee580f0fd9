//! A folder with a key, a fixed clock and predictable randomness.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nexo_pairing_core::{ManualClock, SetupCode};
use nexo_pairing_setup::{
    IssueError, IssuerOptions, KeyError, RandomError, RandomSource, SetupCodeIssuer,
};
use ring::hmac;
use tempfile::TempDir;
use time::OffsetDateTime;

pub(crate) const URL: &str = "wss://nexo.example.com/pair";
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A distinct key: 0x00, 0x01, … 0x1f, moved on by `first`.
pub(crate) fn key_bytes(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first + index as u8)
}

pub(crate) fn hmac_sha256(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
    tag.as_ref().try_into().unwrap()
}

/// 2026-11-23T00:00:00Z.
pub(crate) fn midnight() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_392_000).unwrap()
}

/// A folder for the keys of one test.
pub(crate) struct Keys {
    folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: ManualClock::new(midnight()) }
    }

    /// With a key file of these bytes.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let keys = Self::new();
        write_key(&keys.path(), bytes);
        keys
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("pairing.key")
    }

    pub(crate) fn ring(&self) -> PathBuf {
        self.folder().join("pairing.key.d")
    }

    pub(crate) fn options(&self) -> IssuerOptions {
        IssuerOptions::default().with_clock(self.clock.clone())
    }

    pub(crate) fn open(&self) -> Result<SetupCodeIssuer, KeyError> {
        SetupCodeIssuer::open_with(self.path(), self.options())
    }

    pub(crate) fn open_external(&self) -> Result<SetupCodeIssuer, KeyError> {
        let mut options = self.options();
        options.secret_external = true;
        SetupCodeIssuer::open_with(self.path(), options)
    }
}

/// Writes a valid key file.
pub(crate) fn write_key(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A code of each format that lives for a minute.
pub(crate) fn both(issuer: &SetupCodeIssuer, label: Option<&str>) -> [SetupCode; 2] {
    let both = [
        issuer.issue(URL, "companion-v1", MINUTE, label),
        issuer.issue_compact(URL, "companion-v1", MINUTE, label),
    ];
    both.map(Result::unwrap)
}

/// The error with which both formats refuse to issue.
pub(crate) fn refused(
    issuer: &SetupCodeIssuer,
    (url, profile, ttl, label): (&str, &str, Duration, Option<&str>),
) -> IssueError {
    let error = issuer.issue(url, profile, ttl, label).unwrap_err();
    assert_eq!(issuer.issue_compact(url, profile, ttl, label).unwrap_err(), error);
    error
}

/// Counts upwards, so that nonces are unique and predictable.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicU8);

impl RandomSource for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill_with(|| self.0.fetch_add(1, Ordering::SeqCst));
        Ok(())
    }
}

/// Always fails.
#[derive(Debug)]
pub(crate) struct Empty;

impl RandomSource for Empty {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError::default())
    }
}
