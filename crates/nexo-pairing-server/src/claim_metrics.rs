//! Metrics of claims.

use std::time::Duration;

use metrics::Counter;
use nexo_pairing_core::metric;

use crate::error::ApiError;

/// Counts claims: the verified ones by result, those rejected before verification by reason. Each
/// counter exists from the start.
pub(crate) struct ClaimMetrics {
    pub(crate) ok: Counter,
    expired: Counter,
    invalid: Counter,
    replayed: Counter,
    origin: Counter,
    throttled: Counter,
}

impl ClaimMetrics {
    pub(crate) fn new() -> Self {
        use metric::{BOOTSTRAP_TOKENS_REDEEMED_TOTAL, CLAIMS_REFUSED_TOTAL};
        metrics::describe_counter!(
            BOOTSTRAP_TOKENS_REDEEMED_TOTAL,
            "Bootstrap tokens presented, by result."
        );
        metrics::describe_counter!(
            CLAIMS_REFUSED_TOTAL,
            "Claims rejected before their token was verified, by reason."
        );
        let redeemed = |result: &'static str| metrics::counter!(BOOTSTRAP_TOKENS_REDEEMED_TOTAL, "result" => result);
        let refused =
            |error: ApiError| metrics::counter!(CLAIMS_REFUSED_TOTAL, "reason" => error.kind());
        Self {
            ok: redeemed("ok"),
            expired: redeemed("expired"),
            invalid: redeemed("invalid"),
            replayed: redeemed("replayed"),
            origin: refused(ApiError::Origin),
            throttled: refused(ApiError::Throttled(Duration::ZERO)),
        }
    }

    /// The counter of a rejected claim, and whether the rejection counts as a failure of its peer.
    /// `None` if it was not a claim, or not the client's fault.
    pub(crate) fn rejected(&self, error: &ApiError) -> Option<(&Counter, bool)> {
        match error {
            ApiError::Malformed(_)
            | ApiError::TooLarge
            | ApiError::Signature
            | ApiError::Cancelled => Some((&self.invalid, true)),
            ApiError::Expired => Some((&self.expired, true)),
            ApiError::Replayed => Some((&self.replayed, true)),
            ApiError::Origin => Some((&self.origin, false)),
            ApiError::Throttled(_) => Some((&self.throttled, false)),
            ApiError::NotJson
            | ApiError::Timeout
            | ApiError::Session { .. }
            | ApiError::UpgradeRequired
            | ApiError::NotFound
            | ApiError::MethodNotAllowed
            | ApiError::Unavailable => None,
        }
    }
}
