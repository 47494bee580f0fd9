//! Why a setup code gave no session.

use time::OffsetDateTime;

use super::Session;
use crate::PairingError;
use crate::timestamp::rfc3339;

/// Why a setup code gave no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// It ran out. Whether it was used before does not matter any more.
    #[error("the setup code expired at {}", rfc3339(*at))]
    Expired {
        /// When it ran out.
        at: OffsetDateTime,
    },
    /// It was used before, by somebody else for all we know.
    #[error("the setup code was used already{}", if *.revoked {
        "; the session that it gave is revoked"
    } else {
        ""
    })]
    Replayed {
        /// The session that it gave, as it is now; `None` when that is no longer kept.
        session: Option<Box<Session>>,
        /// Whether the session was revoked because of this.
        revoked: bool,
    },
    /// It was cancelled before it was used.
    #[error("the setup code was cancelled")]
    Cancelled,
    /// The redemption is out of its bounds, or the store failed.
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
