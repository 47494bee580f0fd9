//! The metrics of 0.1.8, as text for a host that writes its own page for Prometheus.
//!
//! The crates below also report to the facade `metrics`, under the same names. A host that installs a
//! recorder there gets them from it, and leaves [`render`] out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nexo_pairing_core::metric;

static COUNTS: Mutex<Counts> = Mutex::new(Counts::new());

#[derive(Debug)]
struct Counts {
    /// By channel and result.
    approvals: BTreeMap<(String, String), u64>,
    codes_expired: u64,
    /// By profile.
    tokens_issued: BTreeMap<String, u64>,
    /// By channel.
    pending: BTreeMap<String, i64>,
}

impl Counts {
    const fn new() -> Self {
        Self {
            approvals: BTreeMap::new(),
            codes_expired: 0,
            tokens_issued: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }
}

fn counts() -> MutexGuard<'static, Counts> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts an approval; `result` is `ok`, `expired` or `not_found`.
pub fn inc_approvals(channel: &str, result: &str) {
    *counts().approvals.entry((channel.to_owned(), result.to_owned())).or_default() += 1;
}

/// Counts codes that expired.
pub fn add_codes_expired(n: u64) {
    counts().codes_expired += n;
}

/// Counts an issued bootstrap token.
pub fn inc_bootstrap_tokens_issued(profile: &str) {
    *counts().tokens_issued.entry(profile.to_owned()).or_default() += 1;
}

/// Adds a pending request of a channel.
pub fn inc_requests_pending(channel: &str) {
    change_pending(channel, |pending| pending.saturating_add(1));
}

/// Removes a pending request of a channel; the gauge is never negative.
pub fn dec_requests_pending(channel: &str) {
    sub_requests_pending(channel, 1);
}

/// Removes pending requests of a channel; the gauge is never negative.
pub fn sub_requests_pending(channel: &str, n: i64) {
    if n > 0 {
        change_pending(channel, |pending| pending.saturating_sub(n));
    }
}

/// Sets the number of pending requests of a channel; the gauge is never negative.
pub fn set_requests_pending(channel: &str, value: i64) {
    change_pending(channel, |_| value);
}

fn change_pending(channel: &str, change: impl FnOnce(i64) -> i64) {
    let mut counts = counts();
    let pending = counts.pending.entry(channel.to_owned()).or_default();
    *pending = change(*pending).max(0);
}

/// The channels that have a gauge of pending requests.
#[must_use]
pub fn pending_channels() -> Vec<String> {
    counts().pending.keys().cloned().collect()
}

/// How many approvals of this channel had this result.
#[must_use]
pub fn approvals_total(channel: &str, result: &str) -> u64 {
    let key = (channel.to_owned(), result.to_owned());
    counts().approvals.get(&key).copied().unwrap_or_default()
}

/// How many codes expired.
#[must_use]
pub fn codes_expired_total() -> u64 {
    counts().codes_expired
}

/// How many bootstrap tokens were issued with this profile.
#[must_use]
pub fn bootstrap_tokens_issued_total(profile: &str) -> u64 {
    counts().tokens_issued.get(profile).copied().unwrap_or_default()
}

/// How many requests of this channel are pending.
#[must_use]
pub fn requests_pending(channel: &str) -> i64 {
    counts().pending.get(channel).copied().unwrap_or_default()
}

/// Sets all metrics to zero, for tests.
pub fn reset_for_test() {
    *counts() = Counts::new();
}

/// Appends the metrics to a page for Prometheus. A metric without a value yet is shown with empty labels.
pub fn render(out: &mut String) {
    let counts = counts();
    let approvals = counts.approvals.iter().map(|((channel, result), n)| {
        (format!("channel=\"{}\",result=\"{}\"", escaped(channel), escaped(result)), *n)
    });
    let expired = [(String::new(), counts.codes_expired)];
    let tokens = counts.tokens_issued.iter().map(|(profile, n)| (labelled("profile", profile), *n));
    let pending = counts.pending.iter().map(|(channel, n)| (labelled("channel", channel), *n));
    let none = |label| labelled(label, "");

    family(out, metric::APPROVALS_TOTAL, "counter", "Approvals, by channel and result.");
    samples(
        out,
        metric::APPROVALS_TOTAL,
        approvals,
        &format!("{},{}", none("channel"), none("result")),
    );
    family(out, metric::CODES_EXPIRED_TOTAL, "counter", "Codes that expired unused.");
    samples(out, metric::CODES_EXPIRED_TOTAL, expired.into_iter(), "");
    family(out, metric::BOOTSTRAP_TOKENS_ISSUED_TOTAL, "counter", "Issued bootstrap tokens.");
    samples(out, metric::BOOTSTRAP_TOKENS_ISSUED_TOTAL, tokens, &none("profile"));
    family(out, metric::REQUESTS_PENDING, "gauge", "Pending requests, by channel.");
    samples(out, metric::REQUESTS_PENDING, pending, &none("channel"));
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

/// The values of a family by their labels, or a zero with `none` if there are no values.
fn samples<N: Default + fmt::Display>(
    out: &mut String,
    name: &str,
    values: impl Iterator<Item = (String, N)>,
    none: &str,
) {
    let mut values = values.peekable();
    let zero = values.peek().is_none().then(|| (none.to_owned(), N::default()));
    for (labels, value) in values.chain(zero) {
        match labels.as_str() {
            "" => out.push_str(&format!("{name} {value}\n")),
            labels => out.push_str(&format!("{name}{{{labels}}} {value}\n")),
        }
    }
}

fn labelled(label: &str, value: &str) -> String {
    format!("{label}=\"{}\"", escaped(value))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
