//! Tests of the public API: rules, freshness, delivery, input.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod at_once;
mod delivery;
mod event;
mod freshness;
mod notice;
mod rules;
mod stalled;
mod support;
