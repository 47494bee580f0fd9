//! Sessions of companion devices, and how setup codes become sessions.

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
use crate::{AuditAction, ClaimId, OnReplay, SessionId, SessionToken, TokenClaims, Validity};

pub use error::RedeemError;
pub use import::{ImportReport, ImportedSession};
pub use peer::PeerAddress;

/// How often [`touch`](crate::SessionBackend::touch) writes, at most.
const TOUCH_INTERVAL: time::Duration = time::Duration::MINUTE;

/// The session of a companion device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Session {
    /// The id by which operators name it.
    pub id: SessionId,
    /// The kind of device, such as `companion-v1`.
    pub profile: String,
    /// The device's label, chosen by the operator or, if `named_by_device`, by the device.
    pub device_label: Option<String>,
    /// Whether the device chose `device_label` itself: nobody vouches for it.
    pub named_by_device: bool,
    /// When the session began.
    #[serde(with = "rfc3339")]
    pub issued_at: OffsetDateTime,
    /// When its token expires.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The latest `expires_at` that a renewal can set.
    #[serde(with = "rfc3339")]
    pub renew_until: OffsetDateTime,
    /// When the device was last seen, to the minute.
    #[serde(with = "rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// When the session ended, if it has. For an expired session that was cleaned up: `expires_at`.
    #[serde(with = "rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// The address that claimed the setup code, if known.
    pub claim_peer: Option<PeerAddress>,
    /// The address of the device at `last_seen_at`, if known.
    pub last_peer: Option<PeerAddress>,
}

impl Session {
    /// Builds a session that its device has not used yet, for stores.
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

    /// Whether its token is valid at `now`. A session from the future, issued before the clock was set
    /// back, is not.
    #[must_use]
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && Validity::Between(self.issued_at, self.expires_at).holds(now)
    }

    /// Whether [`touch`](crate::SessionBackend::touch) would write at `now`: at most once a minute, so
    /// that not every request is a write.
    #[must_use]
    pub fn wants_touch(&self, now: OffsetDateTime) -> bool {
        self.last_seen_at.is_none_or(|seen| {
            !Validity::Between(seen, seen.saturating_add(TOUCH_INTERVAL)).holds(now)
        })
    }
}

/// A request to redeem a setup code for a session.
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct Redemption {
    /// The claims of the token, after its signature was verified.
    #[setters(skip)]
    pub claims: TokenClaims,
    /// Identifies the client if it repeats the claim after a lost response. Default: none; a repetition
    /// is then a replay.
    pub claim_id: Option<ClaimId>,
    /// The label that the device chose, of the form [`LABEL_FORM`](crate::limits::LABEL_FORM). Used only
    /// if the claims have no label. Default: none.
    #[setters(into)]
    pub device_label: Option<String>,
    /// The lifetime of the session, within [`SESSION_TTL`] and by default its default.
    pub session_ttl: Duration,
    /// How long after its beginning the session can be renewed, within [`SESSION_RENEWAL`] and by
    /// default its default. Less than `session_ttl`, such as 0, disables renewal.
    pub renew_for: Duration,
    /// The client's address, for the audit log and the list of devices. Default: unknown.
    pub peer: Option<PeerAddress>,
    /// How a replay is handled. Default: [`OnReplay::Revoke`].
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
    /// The token that the device presents from now on. Stores keep only its hash.
    pub token: SessionToken,
    /// Whether this repeats an earlier claim: the session existed, and only its token is new. Each
    /// repetition is a write, so limit how often a client may repeat.
    pub is_repeated: bool,
}

impl IssuedSession {
    /// Builds an issued session, for stores.
    #[must_use]
    pub fn new(session: Session, token: SessionToken, is_repeated: bool) -> Self {
        Self { session, token, is_repeated }
    }
}

/// The result of cancelling a setup code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancellation {
    /// It can no longer be used.
    Cancelled,
    /// It was cancelled before.
    AlreadyCancelled,
    /// It was used before. Has its session, unless that was deleted.
    AlreadyUsed(Option<Session>),
}

/// The state of a used or cancelled setup code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedemptionState {
    /// It was cancelled.
    Cancelled,
    /// It was used. Has its session, live or ended.
    Claimed(Session),
    /// It was used long ago, and its session was deleted.
    Forgotten,
}

/// An event outside the store for its audit log. It must not contain secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupEvent {
    /// A setup code was issued.
    CodeIssued {
        /// The profile of the device.
        profile: String,
        /// The operator's label for the device.
        device_label: Option<String>,
        /// When the code expires.
        expires_at: OffsetDateTime,
        /// The URL that the device connects to.
        url: String,
    },
    /// A new key became the signing key.
    KeyRotated {
        /// The id of the new key.
        key_id: String,
    },
    /// Signatures of a key are no longer accepted.
    KeyRetired {
        /// The id of the key.
        key_id: String,
    },
}

impl SetupEvent {
    /// Its action in the audit log.
    #[must_use]
    pub fn action(&self) -> AuditAction {
        match self {
            Self::CodeIssued { .. } => AuditAction::CodeIssued,
            Self::KeyRotated { .. } => AuditAction::KeyRotated,
            Self::KeyRetired { .. } => AuditAction::KeyRetired,
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
