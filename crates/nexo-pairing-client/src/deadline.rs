//! The time limit of a call.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ClientError, Step};

/// The moment at which a call times out.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: Duration,
    gateway: String,
}

impl Deadline {
    pub(crate) fn after(limit: Duration, gateway: &impl fmt::Display) -> Self {
        // A limit beyond the range of the clock never ends.
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
    use crate::Gateway;

    #[tokio::test(start_paused = true)]
    async fn each_step_times_out() {
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let deadline = Deadline::after(Duration::from_secs(15), &gateway);
        for (step, text) in [
            (Step::Resolve, "failed to find the address of nexo.example.com:443 within 15 s"),
            (Step::Connect, "failed to connect to nexo.example.com:443 within 15 s"),
            (Step::Tls, "failed to agree on TLS with nexo.example.com:443 within 15 s"),
            (Step::Answer, "failed to get an answer from nexo.example.com:443 within 15 s"),
        ] {
            let error = deadline.within::<()>(step, std::future::pending()).await.unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (text, "unreachable"));
        }
    }

    #[tokio::test]
    async fn a_limit_beyond_the_range_of_the_clock_does_not_panic() {
        let gateway = Gateway::parse("wss://nexo.example.com/pair").unwrap();
        let deadline = Deadline::after(Duration::MAX, &gateway);
        deadline.within(Step::Answer, async { Ok(()) }).await.unwrap();
    }
}
