//! Between the types of 0.1 and those of 0.2.

use std::error::Error;

use chrono::{DateTime, Utc};
use nexo_pairing_core as core;
use time::OffsetDateTime;

use crate::types::PairingError;

/// A time of 0.2 as one of 0.1, whose range is wider.
pub(crate) fn utc(at: OffsetDateTime) -> DateTime<Utc> {
    DateTime::from_timestamp(at.unix_timestamp(), at.nanosecond()).unwrap_or_default()
}

/// The key of a sender, from text that a caller gave.
pub(crate) fn key(
    channel: &str,
    account_id: &str,
    sender_id: &str,
) -> Result<core::SenderKey, PairingError> {
    let parse = || {
        let channel = core::ChannelId::parse(channel)?;
        let account = core::AccountId::parse(account_id)?;
        Ok(core::SenderKey::new(channel, account, core::SenderId::parse(sender_id)?))
    };
    parse().map_err(invalid_id)
}

/// The key of rows that may predate today's rules on ids.
pub(crate) fn stored_key(channel: &str, account_id: &str, sender_id: &str) -> core::SenderKey {
    core::SenderKey::new(
        stored_channel(channel),
        core::AccountId::from_stored(account_id.to_owned()),
        core::SenderId::from_stored(sender_id.to_owned()),
    )
}

/// [`stored_key`] of a channel alone.
pub(crate) fn stored_channel(channel: &str) -> core::ChannelId {
    core::ChannelId::from_stored(channel.to_owned())
}

/// The refusal of an id.
pub(crate) fn invalid_id(error: core::IdError) -> PairingError {
    let (core::IdError::Empty { kind }
    | core::IdError::TooLong { kind, .. }
    | core::IdError::Form { kind, .. }) = error
    else {
        return PairingError::Invalid("id");
    };
    PairingError::Invalid(kind)
}

/// The error of 0.1 for one of a store of 0.2. Callers of 0.1 match on the kinds that they know.
pub(crate) fn refusal(error: core::PairingError) -> PairingError {
    use core::PairingError as New;
    match error {
        New::UnknownCode { .. }
        | New::MistypedCode
        | New::Code(_)
        | New::AlreadyApproved { .. }
        | New::AlreadyRejected { .. } => PairingError::UnknownCode,
        New::Expired { .. } => PairingError::Expired,
        New::LockedOut { .. } => PairingError::Invalid(
            "too many wrong codes: wait 10 minutes, or run `nexo-pair unlock`",
        ),
        New::Blocked { .. } => PairingError::Invalid("the sender is blocked"),
        New::Id(error) => invalid_id(error),
        New::Invalid { expected, .. } => PairingError::Invalid(expected),
        error => PairingError::Storage(with_causes(&error)),
    }
}

/// An error with its causes, as one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
