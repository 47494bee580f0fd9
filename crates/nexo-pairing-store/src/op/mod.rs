//! The operations of the store, each the inside of one transaction.

pub(crate) mod account;
pub(crate) mod adapter;
pub(crate) mod audit;
pub(crate) mod code;
pub(crate) mod grant;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod purge;
pub(crate) mod redemption;
pub(crate) mod repeat;
pub(crate) mod request;
pub(crate) mod session;
pub(crate) mod standing;

use std::cell::Cell;
use std::ops::RangeInclusive;

use nexo_pairing_core::{Span, WarningLimiter, metric, rules};
use ring::digest::{Digest, SHA256, digest};
use rusqlite::Transaction;
use time::OffsetDateTime;

use crate::StoreOptions;

/// For how long an outcome is remembered, in seconds: as long as a rejected sender is not challenged.
pub(crate) const REJECTED_FOR: i64 = rules::REJECTED_FOR.as_secs().cast_signed();

/// A write in progress: its transaction, its moment, and what follows once it is durable.
pub(crate) struct Write<'a> {
    pub(crate) tx: &'a Transaction<'a>,
    /// UTC seconds.
    pub(crate) now: i64,
    pub(crate) options: &'a StoreOptions,
    /// Whether one of those that share the transaction has ended its share of what is over; from the
    /// beginning on a disk that is nearly full.
    pub(crate) expired: &'a Cell<bool>,
    pub(crate) after: After,
}

/// What follows a write once it is durable.
#[derive(Default)]
pub(crate) struct After {
    /// Requests that ran out, for the metrics.
    pub(crate) expired: u64,
    /// The channel (empty when it is not known) and the result of an approval, for the metrics.
    pub(crate) approval: Option<(String, &'static str)>,
    /// The session of a setup code that was presented twice, and whether that ended it.
    pub(crate) replay: Option<(String, bool)>,
    /// Whether nothing of what was there before may be left in the WAL.
    pub(crate) wipe: bool,
}

impl After {
    /// Adds to the metrics and to the log what belongs there.
    pub(crate) fn tell(self, replays: &WarningLimiter<(String, bool)>) {
        if self.expired > 0 {
            metrics::counter!(metric::CODES_EXPIRED_TOTAL).increment(self.expired);
        }
        if let Some((channel, result)) = self.approval {
            let labels = [("channel", channel), ("result", result.to_owned())];
            metrics::counter!(metric::APPROVALS_TOTAL, &labels).increment(1);
        }
        if let Some((session, revoked)) = self.replay {
            // Apart, so that the end of a session is not suppressed by what came before.
            if let Some(suppressed) = replays.allow((session.clone(), revoked)) {
                tracing::warn!(
                    session,
                    revoked,
                    suppressed,
                    "a setup code was presented a second time"
                );
            }
        }
    }
}

/// How far ahead a time stamp may be without being from the future, in seconds; the statements have
/// it as a number.
pub(crate) const LEEWAY: i64 = Span::LEEWAY.whole_seconds();
const _: () = assert!(LEEWAY == 5);

/// The moment of a stored time stamp; one that no calendar has is the first or the last there is.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    const YEARS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let seconds = seconds.clamp(*YEARS.start(), *YEARS.end());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// All that is ever stored of a token or a claim id.
pub(crate) fn sha256(secret: &str) -> Digest {
    digest(&SHA256, secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::timestamp::rfc3339;
    use time::UtcOffset;

    use super::*;

    #[test]
    fn a_time_stamp_that_no_calendar_has_is_the_nearest_that_it_has() {
        assert_eq!(rfc3339(at(1_800_000_000)), "2027-01-15T08:00:00Z");
        let elsewhere = UtcOffset::from_hms(-3, 0, 0).unwrap();
        assert_eq!(rfc3339(at(0).to_offset(elsewhere)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(at(i64::MAX)), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(at(i64::MIN)), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(at(-62_135_596_801)), "0001-01-01T00:00:00Z");
    }
}
