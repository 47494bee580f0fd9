//! Issues setup codes and verifies their tokens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::HEXLOWER;
use derive_setters::Setters;
use nexo_pairing_core::limits::SETUP_CODE_TTL;
use nexo_pairing_core::setup_code::{UnsignedSetupCode, UnverifiedToken};
use nexo_pairing_core::{Clock, SetupCode, SetupCodeFormat, SystemClock, TokenClaims, metric};
use time::OffsetDateTime;

use crate::file::StoredKey;
use crate::key_ring::{self, KeyRing};
use crate::{IssueError, KeyError, KeyId, OsRandom, RandomSource, VerifyError};

/// The default lifetime of a setup code.
pub const DEFAULT_TTL: Duration = SETUP_CODE_TTL.default;

/// The shortest lifetime of a setup code.
pub const MIN_TTL: Duration = SETUP_CODE_TTL.min;

/// The longest lifetime of a setup code.
pub const MAX_TTL: Duration = SETUP_CODE_TTL.max;

/// Options of a [`SetupCodeIssuer`].
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct IssuerOptions {
    /// Whether the keys are managed elsewhere, such as a secret that is mounted into a container.
    /// They may then be symbolic links, belong to another user and be readable by others, and are
    /// never written. Default: no.
    pub secret_external: bool,
    /// The source of the time. Default: the operating system.
    pub clock: Arc<dyn Clock>,
    /// The source of keys and nonces. Default: the operating system.
    pub random: Arc<dyn RandomSource>,
}

impl Default for IssuerOptions {
    fn default() -> Self {
        Self { secret_external: false, clock: SystemClock::shared(), random: OsRandom::shared() }
    }
}

/// A key of the ring, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its id.
    pub id: KeyId,
    /// When its file was written, in whole seconds: when it was created, unless the file was copied.
    pub modified: OffsetDateTime,
    /// Whether it signs new codes.
    pub is_current: bool,
}

/// Issues setup codes and verifies their tokens, with the keys of one key file and its ring.
///
/// Opening, [`reload`](Self::reload), [`rotate`](Self::rotate) and [`retire`](Self::retire) block on
/// files: call them in `spawn_blocking` from async code. Issuing and verifying only touch memory and
/// take a few microseconds.
///
/// Keys are wiped from memory on drop, and `Debug` only shows their ids.
///
/// ```
/// use std::time::Duration;
/// use nexo_pairing_setup::SetupCodeIssuer;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pairing.key");
/// let issuer = SetupCodeIssuer::open_or_create(&path)?;
/// let ttl = Duration::from_secs(60);
/// let code = issuer.issue("wss://nexo.example.com/pair", "companion-v1", ttl, Some("phone"))?;
/// println!("for the QR code: {}", code.payload()?);
///
/// let claims = issuer.verify(&code.bootstrap_token)?;
/// assert_eq!(claims.device_label.as_deref(), Some("phone"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SetupCodeIssuer {
    path: PathBuf,
    options: IssuerOptions,
    ring: RwLock<Arc<KeyRing>>,
    reloading: Mutex<()>,
}

impl SetupCodeIssuer {
    /// Opens the key at `path`. A missing key is created, mode 0600, and its folder, mode 0700.
    ///
    /// A key is 32 random bytes. It appears at `path` complete and on disk; if several processes
    /// create it at once, one wins and all use its key. An existing file is never overwritten.
    ///
    /// # Errors
    ///
    /// [`KeyError`], whose [`hint`](KeyError::hint) is the command that fixes it.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::open_with(path, IssuerOptions::default())
    }

    /// [`open_or_create`](Self::open_or_create) with options.
    ///
    /// # Errors
    ///
    /// As for [`open_or_create`](Self::open_or_create); [`KeyError::Missing`] if an external key
    /// does not exist.
    pub fn open_with(path: impl AsRef<Path>, options: IssuerOptions) -> Result<Self, KeyError> {
        metrics::describe_counter!(
            metric::BOOTSTRAP_TOKENS_ISSUED_TOTAL,
            "Issued bootstrap tokens."
        );
        let path = path.as_ref().to_owned();
        let ring = KeyRing::open_or_create(&path, options.secret_external, &*options.random)?;
        let ring = RwLock::new(Arc::new(ring));
        Ok(Self { path, options, ring, reloading: Mutex::new(()) })
    }

    /// Issues a setup code of version 1, which 0.1.8 also reads.
    ///
    /// `url` is where the companion connects: take it from [`url_resolver`](crate::url_resolver),
    /// which checks that it is safe. `profile` is
    /// `companion-v1` or another `[a-z0-9][a-z0-9._-]{0,63}`. `ttl` is [`MIN_TTL`] to [`MAX_TTL`];
    /// the expiry is rounded up to a whole second. `device_label` has 1 to
    /// [`MAX_LABEL_BYTES`](nexo_pairing_core::setup_code::MAX_LABEL_BYTES) bytes and no control
    /// characters.
    ///
    /// # Errors
    ///
    /// [`IssueError`], with the valid range.
    pub fn issue(
        &self,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        self.issue_as(SetupCodeFormat::V1, url, profile, ttl, device_label)
    }

    /// Issues a compact setup code (version 2), whose QR code is smaller; otherwise like
    /// [`issue`](Self::issue).
    ///
    /// # Errors
    ///
    /// [`IssueError`], with the valid range.
    pub fn issue_compact(
        &self,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        self.issue_as(SetupCodeFormat::V2, url, profile, ttl, device_label)
    }

    /// Issues a setup code of version 1 that expires at `expires_at`, which may be less than a second away
    /// or past; otherwise like [`issue`](Self::issue).
    ///
    /// # Errors
    ///
    /// [`IssueError`], with the valid range.
    pub fn issue_until(
        &self,
        url: &str,
        profile: &str,
        expires_at: OffsetDateTime,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        if let Ok(given) = Duration::try_from(expires_at - self.options.clock.now())
            && given > MAX_TTL
        {
            return Err(IssueError::Ttl { given });
        }
        self.sign(SetupCodeFormat::V1, url, profile, expires_at, device_label)
    }

    fn issue_as(
        &self,
        format: SetupCodeFormat,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        if !SETUP_CODE_TTL.contains(&ttl) {
            return Err(IssueError::Ttl { given: ttl });
        }
        self.sign(format, url, profile, expiry(self.options.clock.now(), ttl), device_label)
    }

    fn sign(
        &self,
        format: SetupCodeFormat,
        url: &str,
        profile: &str,
        expires_at: OffsetDateTime,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        let mut nonce = vec![0; format.nonce_bytes()];
        self.options.random.fill(&mut nonce)?;
        let claims = TokenClaims::new(
            profile.into(),
            expires_at,
            HEXLOWER.encode(&nonce),
            device_label.map(Into::into),
        );
        let unsigned = UnsignedSetupCode::new(format, url, &claims)?;
        let hmac = self.ring().current.key.sign(unsigned.signed_bytes());
        let code = unsigned.sign_with(&hmac);
        let profile = claims.profile;
        metrics::counter!(metric::BOOTSTRAP_TOKENS_ISSUED_TOTAL, "profile" => profile).increment(1);
        Ok(code)
    }

    /// Verifies a token of either version and returns its claims. The signature is checked first, by
    /// any key of the ring, then the claims, then the expiry: a token is valid until just before that
    /// moment. Whether it was used already is not checked here.
    ///
    /// # Errors
    ///
    /// [`VerifyError`], which says whether the token is malformed, not signed by us, or expired.
    pub fn verify(&self, token: &str) -> Result<TokenClaims, VerifyError> {
        let token = UnverifiedToken::parse(token).map_err(VerifyError::Malformed)?;
        if !self.ring().keys().any(|stored| stored.key.has_signed(&token)) {
            return Err(VerifyError::InvalidSignature);
        }
        let claims = token.read_claims().map_err(VerifyError::Malformed)?;
        if self.options.clock.now() < claims.expires_at {
            Ok(claims)
        } else {
            Err(VerifyError::Expired { at: claims.expires_at })
        }
    }

    /// The keys of the ring, as last read: the current one first, then the others by their ids.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        let ring = self.ring();
        let current = ring.current.key.id();
        let info = |stored: &StoredKey| {
            let id = stored.key.id();
            KeyInfo { id, modified: stored.modified, is_current: id == current }
        };
        ring.keys().map(info).collect()
    }

    /// Reads the ring again and returns whether it changed. Servers call it periodically and on
    /// request: another process may have rotated or retired a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; the previous ring stays in use.
    pub fn reload(&self) -> Result<bool, KeyError> {
        // Serialized, so that an older reading never replaces a newer one.
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = KeyRing::load(&self.path, self.options.secret_external)?;
        let mut current = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = !ring.has_same_keys(&current);
        *current = Arc::new(ring);
        Ok(has_changed)
    }

    /// Makes a new key the current one and returns its id. Tokens of the previous key verify until
    /// that key is retired. Processes that rotate at once take turns.
    ///
    /// # Errors
    ///
    /// [`KeyError::External`] if the keys are external; otherwise the [`KeyError`] of a file. There is
    /// a current key in any case.
    pub fn rotate(&self) -> Result<KeyId, KeyError> {
        self.check_writable()?;
        let id = key_ring::rotate(&self.path, &*self.options.random)?;
        self.reload()?;
        Ok(id)
    }

    /// Removes an older key from the ring: its tokens no longer verify.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unknown`] if the ring has no such key, [`KeyError::Current`] for the current one,
    /// [`KeyError::External`] if the keys are external; otherwise the [`KeyError`] of a file.
    pub fn retire(&self, id: KeyId) -> Result<(), KeyError> {
        self.check_writable()?;
        key_ring::retire(&self.path, id)?;
        self.reload().map(drop)
    }

    fn check_writable(&self) -> Result<(), KeyError> {
        if self.options.secret_external {
            return Err(KeyError::External { path: self.path.clone() });
        }
        Ok(())
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The expiry: `ttl` from now, rounded up to a whole second, so that both formats have the same one.
fn expiry(now: OffsetDateTime, ttl: Duration) -> OffsetDateTime {
    let end = now.saturating_add(ttl.try_into().unwrap_or(time::Duration::MAX));
    match end.nanosecond() {
        0 => end,
        nanosecond => {
            end.saturating_add(time::Duration::nanoseconds(1_000_000_000 - i64::from(nanosecond)))
        }
    }
}
