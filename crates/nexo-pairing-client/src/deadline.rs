//! The time limit of a call, and the step at which it ran out.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::{ClientError, Gateway};

/// The steps of a call, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Resolving the gateway's host name.
    Resolve,
    /// Opening a TCP connection.
    Connect,
    /// The TLS handshake, with the check of the certificate.
    Tls,
    /// Sending the request and waiting for the answer, including the pauses before retries.
    Answer,
}

impl fmt::Display for Step {
    /// A phrase between "failed to" and the name of the gateway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "find the address of",
            Self::Connect => "connect to",
            Self::Tls => "agree on TLS with",
            Self::Answer => "get an answer from",
        })
    }
}

/// The moment at which a call times out.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: Duration,
    gateway: String,
}

impl Deadline {
    pub(crate) fn after(limit: Duration, gateway: &Gateway) -> Self {
        // A moment beyond the range of the clock is never reached.
        let at = Instant::now().checked_add(limit);
        Self { at, limit, gateway: gateway.to_string() }
    }

    /// Runs a step within the time that is left.
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
    async fn a_limit_beyond_the_range_of_the_clock_does_not_panic() {
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let deadline = Deadline::after(Duration::MAX, &gateway);
        deadline.within(Step::Answer, async { Ok(()) }).await.unwrap();
    }
}
