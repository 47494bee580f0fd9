//! The error of gates and stores.

use std::error::Error;
use std::time::Duration;

use time::OffsetDateTime;

use crate::timestamp::rfc3339_seconds;
use crate::{CodeError, IdError, RandomError, SenderKey};

/// Why an operation was refused or failed.
///
/// There are three groups: refusals of an operator's code or sender, invalid arguments, and failures
/// of the channel or the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// No request has, or had within 24 hours, this code. It costs an attempt.
    #[error("no pending request has this code; {attempts_left} more wrong codes lock you out")]
    UnknownCode {
        /// How many more wrong codes lock the actor out.
        attempts_left: u32,
    },
    /// The code was mistyped: its check character does not match. It costs nothing.
    #[error("the code was mistyped: its check character does not match")]
    MistypedCode,
    /// The code expired unused.
    #[error("the code of {key} expired at {}", rfc3339_seconds(*at))]
    Expired {
        /// Whose request it was.
        key: SenderKey,
        /// When it expired.
        at: OffsetDateTime,
    },
    /// The code was already approved.
    #[error("the code of {key} was already approved, at {}", rfc3339_seconds(*at))]
    AlreadyApproved {
        /// Whose request it was.
        key: SenderKey,
        /// When it was approved.
        at: OffsetDateTime,
    },
    /// The request was already rejected, or its sender was blocked.
    #[error("the request of {key} was already rejected, at {}", rfc3339_seconds(*at))]
    AlreadyRejected {
        /// Whose request it was.
        key: SenderKey,
        /// When it was rejected.
        at: OffsetDateTime,
    },
    /// The actor is locked out after too many wrong codes.
    #[error("locked out after too many wrong codes, for another {} s", .remaining.as_secs())]
    LockedOut {
        /// The rest of the lockout.
        remaining: Duration,
    },
    /// The sender is blocked and cannot be admitted.
    #[error("{key} is blocked")]
    Blocked {
        /// Who is blocked.
        key: SenderKey,
    },

    /// An id is invalid.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A code is malformed.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A value is out of range.
    #[error("{name} is {value}: {expected}")]
    Invalid {
        /// Which value.
        name: &'static str,
        /// The rejected value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The channel does not support the operation.
    #[error("the channel {channel} cannot send {what}")]
    Unsupported {
        /// The channel.
        channel: &'static str,
        /// What it cannot send.
        what: &'static str,
    },

    /// The channel did not accept a message.
    #[error("the message was not delivered to the channel")]
    Delivery(#[source] Box<dyn Error + Send + Sync>),
    /// The gate's copy of the store is out of date and cannot be refreshed, so nothing can be decided.
    /// Drop the message.
    #[error("the state of the store is older than {} s and cannot be refreshed", .max_staleness.as_secs())]
    Stale {
        /// The maximum age of the copy.
        max_staleness: Duration,
        /// Why it could not be refreshed, if known.
        #[source]
        source: Option<Box<PairingError>>,
    },
    /// The store is damaged, and a block may be missing from it: nobody is admitted merely because they
    /// are not blocked.
    #[error("the store is damaged: {problem}")]
    Damaged {
        /// What the check of the store found.
        problem: String,
    },
    /// The store has no capacity for this kind of work: its queue or the disk is nearly full. Nothing
    /// was changed; the same call may succeed later.
    #[error("the store accepts no more work of this kind at the moment")]
    Overloaded(#[source] Box<dyn Error + Send + Sync>),
    /// The store failed.
    #[error("the store failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

impl PairingError {
    /// A failure of a store, with its cause.
    pub fn backend(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend(cause.into())
    }

    /// A refusal of a store without capacity, with its cause.
    pub fn overloaded(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Overloaded(cause.into())
    }

    /// A failed delivery, with its cause.
    pub fn delivery(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Delivery(cause.into())
    }

    /// The stable name of this kind of error for programs, such as `unknown_code`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownCode { .. } => "unknown_code",
            Self::MistypedCode | Self::Code(_) => "mistyped_code",
            Self::Expired { .. } => "expired",
            Self::AlreadyApproved { .. } => "already_approved",
            Self::AlreadyRejected { .. } => "already_rejected",
            Self::LockedOut { .. } => "locked_out",
            Self::Blocked { .. } => "blocked",
            Self::Id(_) | Self::Invalid { .. } => "invalid",
            Self::Unsupported { .. } => "unsupported",
            Self::Delivery(_) => "delivery",
            Self::Stale { .. } => "stale",
            Self::Damaged { .. } => "damaged",
            Self::Overloaded(_) => "overloaded",
            Self::Backend(_) => "storage",
        }
    }
}

impl From<RandomError> for PairingError {
    fn from(error: RandomError) -> Self {
        Self::backend(error)
    }
}

#[cfg(test)]
mod tests {
    use time::UtcOffset;

    use super::*;
    use crate::{AccountId, ChannelId, SenderId};

    #[test]
    fn every_kind_has_a_name() {
        let key = || {
            SenderKey::new(
                ChannelId::parse("whatsapp").unwrap(),
                AccountId::default_account(),
                SenderId::parse("+14155550100").unwrap(),
            )
        };
        let at = OffsetDateTime::UNIX_EPOCH;
        let id = AccountId::parse("").unwrap_err();
        for (error, kind) in [
            (PairingError::UnknownCode { attempts_left: 1 }, "unknown_code"),
            (PairingError::MistypedCode, "mistyped_code"),
            (CodeError::Form.into(), "mistyped_code"),
            (PairingError::Expired { key: key(), at }, "expired"),
            (PairingError::AlreadyApproved { key: key(), at }, "already_approved"),
            (PairingError::AlreadyRejected { key: key(), at }, "already_rejected"),
            (PairingError::LockedOut { remaining: Duration::ZERO }, "locked_out"),
            (PairingError::Blocked { key: key() }, "blocked"),
            (id.into(), "invalid"),
            (PairingError::Invalid { name: "n", value: "v".into(), expected: "e" }, "invalid"),
            (PairingError::Unsupported { channel: "c", what: "w" }, "unsupported"),
            (PairingError::delivery("down"), "delivery"),
            (PairingError::Stale { max_staleness: Duration::ZERO, source: None }, "stale"),
            (PairingError::Damaged { problem: "p".into() }, "damaged"),
            (PairingError::overloaded("busy"), "overloaded"),
            (PairingError::backend("full"), "storage"),
        ] {
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn times_are_in_utc_and_whole_seconds() {
        let (channel, account) = (ChannelId::parse("whatsapp"), AccountId::parse("work"));
        let sender = SenderId::parse("+14155550100").unwrap();
        let key = SenderKey::new(channel.unwrap(), account.unwrap(), sender);
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_789).unwrap();
        let at = at.to_offset(UtcOffset::from_hms(-3, 0, 0).unwrap());
        assert_eq!(
            PairingError::Expired { key, at }.to_string(),
            "the code of whatsapp/work/+14155550100 expired at 2027-01-15T08:00:00Z"
        );
    }
}
