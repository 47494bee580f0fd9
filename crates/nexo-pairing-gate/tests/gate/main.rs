//! The gate, from outside: its rules, its freshness, its deliveries, its input.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod delivery;
mod event;
mod freshness;
mod rules;
mod support;
