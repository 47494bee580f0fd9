//! The names of the metrics, for who records them and for who reads them.

/// Gauge, label `channel`: requests that wait for the operator.
pub const REQUESTS_PENDING: &str = "pairing_requests_pending";

/// Counter, labels `channel` and `result` (`ok`, `expired`, `not_found`, `mistyped`,
/// `locked_out`): codes that were given to `approve`.
pub const APPROVALS_TOTAL: &str = "pairing_approvals_total";

/// Counter: codes that ran out before they were used.
pub const CODES_EXPIRED_TOTAL: &str = "pairing_codes_expired_total";

/// Counter, label `profile`: bootstrap tokens that were issued.
pub const BOOTSTRAP_TOKENS_ISSUED_TOTAL: &str = "pairing_bootstrap_tokens_issued_total";

/// Counter, label `result` (`ok`, `expired`, `invalid`, `replayed`): bootstrap tokens that were
/// presented.
pub const BOOTSTRAP_TOKENS_REDEEMED_TOTAL: &str = "pairing_bootstrap_tokens_redeemed_total";

/// Counter, label `reason` (`origin_not_allowed`, `throttled`): claims that were refused before their
/// token was verified.
pub const CLAIMS_REFUSED_TOTAL: &str = "pairing_claims_refused_total";

/// Counter, labels `channel` and `result` (`delivered_via_adapter`, `delivered_via_broker`,
/// `publish_failed`, `no_adapter_no_broker_topic`): challenges, by what became of them.
pub const INBOUND_CHALLENGED_TOTAL: &str = "pairing_inbound_challenged_total";

/// Counter, labels `channel`, `decision` (`admit`, `challenge`, `drop`, `error`) and `reason`:
/// decisions of the gate.
pub const DECISIONS_TOTAL: &str = "pairing_decisions_total";

/// Counter, label `reason`: messages of a bus on which nothing was decided, because they could not be
/// read, stood on the wrong subject, or were too many.
pub const REJECTED_TOTAL: &str = "pairing_rejected_total";

/// Histogram, in seconds: how long decisions took that had to ask the store.
pub const DECISION_SECONDS: &str = "pairing_decision_seconds";
