//! The crate with a real `nats-server`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod access;
mod bus;
mod hostile;
#[cfg(feature = "nkeys")]
mod keys;
mod outbound;
mod plugin;
mod support;
mod tls;
