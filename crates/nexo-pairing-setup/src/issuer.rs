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

use crate::key_ring::{self, KeyRing};
use crate::{IssueError, KeyError, KeyId, OsRandom, RandomSource, VerifyError};

/// How long a setup code lives unless something else is asked for.
pub const DEFAULT_TTL: Duration = SETUP_CODE_TTL.default;

/// The shortest life of a setup code.
pub const MIN_TTL: Duration = SETUP_CODE_TTL.min;

/// The longest life of a setup code.
pub const MAX_TTL: Duration = SETUP_CODE_TTL.max;

/// What an issuer may be told besides the path of its key.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct IssuerOptions {
    /// Whether others keep the keys, such as a secret that is mounted into a container: they may
    /// then be symbolic links, belong to another user and be readable for others, and nothing is
    /// ever written. Default: no.
    pub secret_external: bool,
    /// Where the time comes from. Default: the operating system.
    pub clock: Arc<dyn Clock>,
    /// Where keys and nonces come from. Default: the operating system.
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
    /// When its file was written, in whole seconds: when it was made, unless somebody copied it.
    pub modified: OffsetDateTime,
    /// Whether it signs new codes.
    pub is_current: bool,
}

/// Issues setup codes and verifies their tokens, with the keys of one key file and its ring.
///
/// What reads or writes files does so on the caller's thread: opening, [`reload`](Self::reload),
/// [`rotate`](Self::rotate) and [`retire`](Self::retire). On an async worker thread, put those into
/// `spawn_blocking`. Issuing and verifying touch memory only and take about a microsecond.
///
/// Keys are wiped from memory when they are dropped, and `Debug` shows their ids only.
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
    /// Opens the key at `path`; makes one, mode 0600, and its folder, mode 0700, when there is none.
    ///
    /// A key is 32 random bytes. It appears at `path` complete and on disk; of several processes
    /// that make it at once one wins, and all use that one. What is there is never overwritten.
    ///
    /// # Errors
    ///
    /// [`KeyError`], whose [`hint`](KeyError::hint) is the command that mends it.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::open_with(path, IssuerOptions::default())
    }

    /// [`open_or_create`](Self::open_or_create) with options.
    ///
    /// # Errors
    ///
    /// As for [`open_or_create`](Self::open_or_create); [`KeyError::Missing`] when there is no key
    /// and others keep it.
    pub fn open_with(path: impl AsRef<Path>, options: IssuerOptions) -> Result<Self, KeyError> {
        metrics::describe_counter!(
            metric::BOOTSTRAP_TOKENS_ISSUED_TOTAL,
            "Bootstrap tokens that were issued."
        );
        let path = path.as_ref().to_owned();
        let ring = KeyRing::open_or_create(&path, options.secret_external, &*options.random)?;
        let ring = RwLock::new(Arc::new(ring));
        Ok(Self { path, options, ring, reloading: Mutex::new(()) })
    }

    /// Issues a setup code of version 1, which 0.1.8 reads, too.
    ///
    /// `url` is where the companion will connect: take it from
    /// [`url_resolver`](crate::url_resolver), which says whether it is safe. `profile` is
    /// `companion-v1` or another `[a-z0-9][a-z0-9._-]{0,63}`. `ttl` is [`MIN_TTL`] to [`MAX_TTL`];
    /// the expiry is rounded up to a whole second. `device_label` has 1 to
    /// [`MAX_LABEL_BYTES`](nexo_pairing_core::setup_code::MAX_LABEL_BYTES) bytes and no control
    /// characters.
    ///
    /// # Errors
    ///
    /// [`IssueError`], with the range of what was out of it.
    pub fn issue(
        &self,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        self.issue_as(SetupCodeFormat::V1, url, profile, ttl, device_label)
    }

    /// Issues a setup code of version 2, compact, whose QR code is small; otherwise like
    /// [`issue`](Self::issue).
    ///
    /// # Errors
    ///
    /// [`IssueError`], with the range of what was out of it.
    pub fn issue_compact(
        &self,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, IssueError> {
        self.issue_as(SetupCodeFormat::V2, url, profile, ttl, device_label)
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
        let expires_at = whole_second(self.options.clock.now(), ttl);
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

    /// Verifies a token of either version and says what it claims. Its signature comes first, by
    /// any key of the ring, then its claims, then its expiry: a token is good until the moment
    /// before. Whether it was used already is not known here.
    ///
    /// # Errors
    ///
    /// [`VerifyError`], which says whether the token is malformed, not signed by us, or expired.
    pub fn verify(&self, token: &str) -> Result<TokenClaims, VerifyError> {
        let token = UnverifiedToken::parse(token).map_err(VerifyError::Malformed)?;
        if !self.ring().entries().any(|entry| entry.key.has_signed(&token)) {
            return Err(VerifyError::InvalidSignature);
        }
        let claims = token.read_claims().map_err(VerifyError::Malformed)?;
        if self.options.clock.now() < claims.expires_at {
            Ok(claims)
        } else {
            Err(VerifyError::Expired { at: claims.expires_at })
        }
    }

    /// The keys of the ring, as it was read last: the current one first, then the others by their
    /// ids.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        let ring = self.ring();
        let current = ring.current.key.id();
        let info = |entry: &key_ring::Entry| {
            let id = entry.key.id();
            KeyInfo { id, modified: entry.modified, is_current: id == current }
        };
        ring.entries().map(info).collect()
    }

    /// Reads the ring again, and says whether it changed. A server calls it now and then, and when
    /// it is told to: another process may have rotated or retired a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; the ring is then used as it was.
    pub fn reload(&self) -> Result<bool, KeyError> {
        // Of two that read at once, the one that read first must not be the one that stays.
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = KeyRing::load(&self.path, self.options.secret_external)?;
        let mut kept = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = !ring.is_same(&kept);
        *kept = Arc::new(ring);
        Ok(has_changed)
    }

    /// Makes a new key the current one and says its id. What the one before signed still verifies,
    /// until that one is retired. Several processes that rotate at once do so one after the other.
    ///
    /// # Errors
    ///
    /// [`KeyError::External`] when others keep the keys; [`KeyError`] for what is wrong with a file.
    /// There is a current key in any case.
    pub fn rotate(&self) -> Result<KeyId, KeyError> {
        self.check_ours()?;
        let id = key_ring::rotate(&self.path, &*self.options.random)?;
        self.reload()?;
        Ok(id)
    }

    /// Takes an older key out of the ring: what it signed does not verify any more.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unknown`] when the ring has no such key, [`KeyError::Current`] for the current
    /// one, [`KeyError::External`] when others keep the keys; [`KeyError`] for what is wrong with a
    /// file.
    pub fn retire(&self, id: KeyId) -> Result<(), KeyError> {
        self.check_ours()?;
        key_ring::retire(&self.path, id)?;
        self.reload().map(drop)
    }

    fn check_ours(&self) -> Result<(), KeyError> {
        if self.options.secret_external {
            return Err(KeyError::External { path: self.path.clone() });
        }
        Ok(())
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The first whole second at which `ttl` is over, so that both formats tell the same expiry.
fn whole_second(now: OffsetDateTime, ttl: Duration) -> OffsetDateTime {
    let end = now.saturating_add(ttl.try_into().unwrap_or(time::Duration::MAX));
    match end.nanosecond() {
        0 => end,
        nanosecond => {
            end.saturating_add(time::Duration::nanoseconds(1_000_000_000 - i64::from(nanosecond)))
        }
    }
}
