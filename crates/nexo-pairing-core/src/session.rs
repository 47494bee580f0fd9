//! What a companion device gets for a setup code, and what becomes of it.

mod error;
mod import;
mod peer;

use std::time::Duration;

use derive_setters::Setters;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::serde::rfc3339;

use crate::limits::{SESSION_RENEWAL, SESSION_TTL};
use crate::timestamp::rfc3339;
use crate::{ClaimId, OnReplay, SessionId, SessionToken, TokenClaims, Validity};

pub use error::RedeemError;
pub use import::{ImportReport, ImportedSession};
pub use peer::PeerAddress;

/// How often [`touch`](crate::SessionBackend::touch) writes, at most.
const TOUCH_INTERVAL: time::Duration = time::Duration::MINUTE;

/// What a companion device may do, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Session {
    /// By what an operator names it.
    pub id: SessionId,
    /// What the device is: `companion-v1`, or another.
    pub profile: String,
    /// What the operator calls the device, or what it calls itself: see `named_by_device`.
    pub device_label: Option<String>,
    /// Whether `device_label` is the device's own choice: nobody vouches for it.
    pub named_by_device: bool,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub issued_at: OffsetDateTime,
    /// From when on its token is refused.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
    /// As far as a renewal can put `expires_at`.
    #[serde(with = "rfc3339")]
    pub renew_until: OffsetDateTime,
    /// When the device was last heard of, give or take a minute.
    #[serde(with = "rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// When it was ended, if it was; `expires_at` where it ran out and that was noticed.
    #[serde(with = "rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Where the setup code was claimed from, if that is known.
    pub claim_peer: Option<PeerAddress>,
    /// Where the device was last heard of from, when `last_seen_at` was written, if that is known.
    pub last_peer: Option<PeerAddress>,
}

impl Session {
    /// A session that its device has not used yet, for stores to build.
    #[must_use]
    pub fn new(
        id: SessionId,
        profile: String,
        issued_at: OffsetDateTime,
        expires_at: OffsetDateTime,
        renew_until: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            profile,
            device_label: None,
            named_by_device: false,
            issued_at,
            expires_at,
            renew_until,
            last_seen_at: None,
            revoked_at: None,
            claim_peer: None,
            last_peer: None,
        }
    }

    /// Whether its token is accepted at `now`. One that was issued in the future, by a clock that was
    /// set back since, is not.
    #[must_use]
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && Validity::Between(self.issued_at, self.expires_at).holds(now)
    }

    /// Whether [`touch`](crate::SessionBackend::touch) has something to write at `now`: at most once a
    /// minute, so that not every request is a write.
    #[must_use]
    pub fn wants_touch(&self, now: OffsetDateTime) -> bool {
        self.last_seen_at.is_none_or(|seen| {
            !Validity::Between(seen, seen.saturating_add(TOUCH_INTERVAL)).holds(now)
        })
    }
}

/// A setup code that is to be turned into a session.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct Redemption {
    /// What the token claims, once its signature was checked.
    #[setters(skip)]
    pub claims: TokenClaims,
    /// By what the client is known again when it asks once more, after an answer that was lost.
    /// Default: none, then asking again is a replay.
    pub claim_id: Option<ClaimId>,
    /// What the device calls itself, in the
    /// [`LABEL_FORM`](crate::limits::LABEL_FORM). Only used when the claims have no label.
    /// Default: none.
    #[setters(into)]
    pub device_label: Option<String>,
    /// How long the session lives, within [`SESSION_TTL`].
    pub session_ttl: Duration,
    /// How long after its beginning the session can still be renewed, within [`SESSION_RENEWAL`]; less
    /// than `session_ttl`, such as 0, is not at all.
    pub renew_for: Duration,
    /// The address of the client. It goes into the audit log and the list of devices. Default: unknown.
    pub peer: Option<PeerAddress>,
    /// What a setup code that is presented twice does. Default: the session is revoked.
    pub on_replay: OnReplay,
}

impl Redemption {
    /// A redemption with the defaults.
    #[must_use]
    pub fn new(claims: TokenClaims) -> Self {
        Self {
            claims,
            claim_id: None,
            device_label: None,
            session_ttl: SESSION_TTL.default,
            renew_for: SESSION_RENEWAL.default,
            peer: None,
            on_replay: OnReplay::default(),
        }
    }
}

/// A session, and the only copy of its token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuedSession {
    /// The session.
    pub session: Session,
    /// What the device presents from now on. It is stored nowhere.
    pub token: SessionToken,
    /// Whether the same client had it before, and only its token is new. Who asks for that again and
    /// again writes each time: whoever lets strangers ask keeps count of it.
    pub is_repeated: bool,
}

impl IssuedSession {
    /// A session with its token, for stores to build.
    #[must_use]
    pub fn new(session: Session, token: SessionToken, is_repeated: bool) -> Self {
        Self { session, token, is_repeated }
    }
}

/// What cancelling a setup code did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancellation {
    /// It cannot be used any more.
    Cancelled,
    /// It had been cancelled before.
    AlreadyCancelled,
    /// It was used before; this is its session, unless that is no longer kept.
    AlreadyUsed(Option<Session>),
}

/// What became of a setup code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedemptionState {
    /// It was cancelled.
    Cancelled,
    /// It was used; this is its session, live or not.
    Claimed(Session),
    /// It was used long ago; its session is no longer kept.
    Forgotten,
}

/// Something that was done outside of the store and belongs into its audit log. Nothing of it may be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupEvent {
    /// A setup code was issued.
    CodeIssued {
        /// What the device will be.
        profile: String,
        /// What the operator calls the device.
        device_label: Option<String>,
        /// From when on the code is refused.
        expires_at: OffsetDateTime,
        /// Where the device will connect.
        url: String,
    },
    /// A new key signs from now on.
    KeyRotated {
        /// The id of the new key.
        key_id: String,
    },
    /// What a key signed is not accepted any more.
    KeyRetired {
        /// The id of that key.
        key_id: String,
    },
}

impl SetupEvent {
    /// Its action in the audit log.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::CodeIssued { .. } => "code_issued",
            Self::KeyRotated { .. } => "key_rotated",
            Self::KeyRetired { .. } => "key_retired",
        }
    }

    /// Its details in the audit log.
    #[must_use]
    pub fn detail(&self) -> Value {
        match self {
            Self::CodeIssued { profile, device_label, expires_at, url } => json!({
                "profile": profile,
                "device_label": device_label,
                "expires_at": rfc3339(*expires_at),
                "url": url,
            }),
            Self::KeyRotated { key_id } | Self::KeyRetired { key_id } => {
                json!({ "key_id": key_id })
            }
        }
    }
}
