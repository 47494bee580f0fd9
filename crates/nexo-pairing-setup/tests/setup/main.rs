//! Keys on disk, codes that are issued and verified, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod codes;
mod files;
mod key_ring;
mod processes;
mod secrets;
mod support;
mod vectors;
