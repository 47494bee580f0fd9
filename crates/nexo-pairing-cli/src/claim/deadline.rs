//! The time that a claim may take, and what it was doing when it had none left.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::ClaimError;

/// What a claim does, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Resolve,
    Connect,
    Tls,
    Answer,
}

impl fmt::Display for Step {
    /// What follows "failed to", up to the name of the gateway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "find the address of",
            Self::Connect => "connect to",
            Self::Tls => "agree on TLS with",
            Self::Answer => "get an answer from",
        })
    }
}

/// Until when all steps together have to be done.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
    peer: String,
}

impl Deadline {
    pub(super) fn after(limit: Duration, peer: &str) -> Self {
        Self { at: Instant::now() + limit, limit, peer: peer.to_owned() }
    }

    /// Does a step in the time that is left.
    pub(super) async fn within<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, ClaimError>>,
    ) -> Result<T, ClaimError> {
        let timed_out =
            |_| Err(ClaimError::TimedOut { step, peer: self.peer.clone(), limit: self.limit });
        tokio::time::timeout_at(self.at, work).await.unwrap_or_else(timed_out)
    }
}
