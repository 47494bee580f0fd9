//! The server, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod certificate;
mod claims;
mod crowd;
mod cut;
mod lifecycle;
mod limits;
mod peers;
mod race;
mod sessions;
mod support;
mod tls;
