//! The names of the metrics.

/// Gauge, label `channel`: pending requests.
pub const REQUESTS_PENDING: &str = "pairing_requests_pending";

/// Counter, labels `channel` and `result` (`ok`, `expired`, `not_found`, `mistyped`,
/// `locked_out`): codes passed to `approve`.
pub const APPROVALS_TOTAL: &str = "pairing_approvals_total";

/// Counter: codes that expired unused.
pub const CODES_EXPIRED_TOTAL: &str = "pairing_codes_expired_total";

/// Counter, label `profile`: issued bootstrap tokens.
pub const BOOTSTRAP_TOKENS_ISSUED_TOTAL: &str = "pairing_bootstrap_tokens_issued_total";

/// Counter, label `result` (`ok`, `expired`, `invalid`, `replayed`): presented bootstrap
/// tokens.
pub const BOOTSTRAP_TOKENS_REDEEMED_TOTAL: &str = "pairing_bootstrap_tokens_redeemed_total";

/// Counter, label `reason` (`origin_not_allowed`, `throttled`): claims refused before their token was
/// verified.
pub const CLAIMS_REFUSED_TOTAL: &str = "pairing_claims_refused_total";

/// Counter, labels `channel` and `result` (`delivered_via_adapter`, `delivered_via_broker`,
/// `publish_failed`, `no_adapter_no_broker_topic`): challenges by outcome.
pub const INBOUND_CHALLENGED_TOTAL: &str = "pairing_inbound_challenged_total";

/// Counter, labels `channel`, `decision` (`admit`, `challenge`, `drop`, `error`) and `reason`:
/// decisions of the gate.
pub const DECISIONS_TOTAL: &str = "pairing_decisions_total";

/// Counter, label `reason`: messages on a bus that were rejected without a decision, because they were
/// malformed, on the wrong subject, or too many.
pub const REJECTED_TOTAL: &str = "pairing_rejected_total";

/// Histogram, in seconds: the duration of decisions that asked the store.
pub const DECISION_SECONDS: &str = "pairing_decision_seconds";
