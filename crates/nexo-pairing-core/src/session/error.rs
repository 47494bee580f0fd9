//! The error of redemptions.

use time::OffsetDateTime;

use super::Session;
use crate::PairingError;
use crate::timestamp::rfc3339;

/// Why a setup code was not redeemed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// It has expired, used or not.
    #[error("the setup code expired at {}", rfc3339(*at))]
    Expired {
        /// When it expired.
        at: OffsetDateTime,
    },
    /// It was used before, as far as known by another client.
    #[error("the setup code was already used{}", if *.revoked {
        "; its session is revoked"
    } else {
        ""
    })]
    Replayed {
        /// The session it was redeemed for, as it is now; `None` if that was deleted.
        session: Option<Box<Session>>,
        /// Whether this replay revoked the session.
        revoked: bool,
    },
    /// It was cancelled before it was used.
    #[error("the setup code was cancelled")]
    Cancelled,
    /// The redemption is out of bounds, or the store failed.
    #[error(transparent)]
    Store(#[from] PairingError),
}

impl RedeemError {
    /// The stable name of this kind of error, for programs: `expired`, `replayed`, `cancelled`, or
    /// that of [`PairingError::kind`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::Replayed { .. } => "replayed",
            Self::Cancelled => "cancelled",
            Self::Store(error) => error.kind(),
        }
    }
}
