//! The metrics of a server.

use metrics::Counter;
use nexo_pairing_core::metric;

use crate::answer::Refusal;

/// Counts claims by result: those that were verified, and those that were refused before.
pub(crate) struct ClaimCounters {
    pub(crate) ok: Counter,
    expired: Counter,
    invalid: Counter,
    replayed: Counter,
    origin: Counter,
    throttled: Counter,
}

impl ClaimCounters {
    pub(crate) fn new() -> Self {
        metrics::describe_counter!(
            metric::BOOTSTRAP_TOKENS_REDEEMED_TOTAL,
            "Bootstrap tokens that were presented, by what became of them."
        );
        metrics::describe_counter!(
            metric::CLAIMS_REFUSED_TOTAL,
            "Claims that were refused before their token was verified, by reason."
        );
        let redeemed = |result: &'static str| metrics::counter!(metric::BOOTSTRAP_TOKENS_REDEEMED_TOTAL, "result" => result);
        let refused = |refusal: Refusal| metrics::counter!(metric::CLAIMS_REFUSED_TOTAL, "reason" => refusal.kind());
        Self {
            ok: redeemed("ok"),
            expired: redeemed("expired"),
            invalid: redeemed("invalid"),
            replayed: redeemed("replayed"),
            origin: refused(Refusal::Origin),
            throttled: refused(Refusal::Throttled(std::time::Duration::ZERO)),
        }
    }

    /// Counts a refused claim.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::Malformed(_) | Refusal::TooLarge | Refusal::Signature | Refusal::Cancelled => {
                &self.invalid
            }
            Refusal::Expired => &self.expired,
            Refusal::Replayed => &self.replayed,
            Refusal::Origin => &self.origin,
            Refusal::Throttled(_) => &self.throttled,
            // Nobody's claim, or nobody's fault.
            Refusal::NotJson
            | Refusal::Timeout
            | Refusal::Session { .. }
            | Refusal::UpgradeRequired
            | Refusal::NotFound
            | Refusal::MethodNotAllowed
            | Refusal::Unavailable => return,
        };
        counter.increment(1);
    }
}
