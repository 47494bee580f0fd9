#![doc = include_str!("../README.md")]

mod answer;
mod claim;
mod client;
mod deadline;
mod error;
mod gateway;
mod http;
mod session_file;
mod tls;
mod websocket;

pub use answer::{ClaimedSession, SessionInfo};
pub use claim::Claim;
pub use client::{Client, DEFAULT_TIMEOUT};
pub use error::{ClientError, Refusal, Step};
pub use gateway::Gateway;
pub use session_file::{ReservedSessionFile, SessionFile, SessionFileError};
pub use tls::{RootCertificates, RootCertificatesError};

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;
