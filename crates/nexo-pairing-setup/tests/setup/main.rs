//! Keys on disk, and setup codes that are issued, verified or refused.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod codes;
mod files;
mod key_ring;
mod processes;
mod secrets;
mod support;
mod vectors;
