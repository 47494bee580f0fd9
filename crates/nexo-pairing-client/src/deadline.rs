//! The time that a call may take, and what it was doing when it had none left.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::{ClientError, Gateway};

/// What a call does, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Looks up the addresses of the gateway's host.
    Resolve,
    /// Makes a connection to one of them.
    Connect,
    /// Agrees on TLS, and looks whether the certificate is the gateway's.
    Tls,
    /// Sends the request and waits for the answer; also, for a claim, what is waited before it is
    /// presented again.
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
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: Duration,
    gateway: String,
}

impl Deadline {
    pub(crate) fn after(limit: Duration, gateway: &Gateway) -> Self {
        // A time that cannot be told is never reached.
        let at = Instant::now().checked_add(limit);
        Self { at, limit, gateway: gateway.to_string() }
    }

    /// Does a step in the time that is left.
    pub(crate) async fn within<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let Some(at) = self.at else { return work.await };
        let (gateway, limit) = (&self.gateway, self.limit);
        let timed_out = |_| Err(ClientError::TimedOut { step, gateway: gateway.clone(), limit });
        tokio::time::timeout_at(at, work).await.unwrap_or_else(timed_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_has_an_end() {
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let deadline = Deadline::after(Duration::from_secs(15), &gateway);
        for (step, told) in [
            (Step::Resolve, "failed to find the address of nexo.example.com:443 within 15 s"),
            (Step::Connect, "failed to connect to nexo.example.com:443 within 15 s"),
            (Step::Tls, "failed to agree on TLS with nexo.example.com:443 within 15 s"),
            (Step::Answer, "failed to get an answer from nexo.example.com:443 within 15 s"),
        ] {
            let error = deadline.within::<()>(step, std::future::pending()).await.unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (told, "unreachable"));
        }
    }

    #[tokio::test]
    async fn a_limit_beyond_all_times_is_none() {
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let deadline = Deadline::after(Duration::MAX, &gateway);
        deadline.within(Step::Answer, async { Ok(()) }).await.unwrap();
    }
}
