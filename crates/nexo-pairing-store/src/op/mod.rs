//! The operations of the store, each the inside of one transaction.

pub(crate) mod audit;
pub(crate) mod code;
pub(crate) mod grant;
pub(crate) mod list;
pub(crate) mod purge;
pub(crate) mod request;
pub(crate) mod standing;

use nexo_pairing_core::metric;
use rusqlite::Transaction;
use time::OffsetDateTime;

use crate::StoreOptions;

/// For how long a rejected sender is not challenged, and an outcome is remembered, in seconds.
pub(crate) const REJECTED_FOR: i64 = 24 * 3600;

/// A write in progress: its transaction, its moment, and what is counted once it is durable.
pub(crate) struct Write<'a> {
    pub(crate) tx: &'a Transaction<'a>,
    /// UTC seconds.
    pub(crate) now: i64,
    pub(crate) options: &'a StoreOptions,
    pub(crate) counted: Counted,
}

/// What a write adds to the metrics.
#[derive(Default)]
pub(crate) struct Counted {
    /// Requests that ran out.
    pub(crate) expired: u64,
    /// The channel (empty when it is not known) and the result of an approval.
    pub(crate) approval: Option<(String, &'static str)>,
}

impl Counted {
    /// Adds it up, after the commit.
    pub(crate) fn record(self) {
        if self.expired > 0 {
            metrics::counter!(metric::CODES_EXPIRED_TOTAL).increment(self.expired);
        }
        if let Some((channel, result)) = self.approval {
            let labels = [("channel", channel), ("result", result.to_owned())];
            metrics::counter!(metric::APPROVALS_TOTAL, &labels).increment(1);
        }
    }
}

/// The moment of a stored time stamp; one that no calendar has is long ago.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
