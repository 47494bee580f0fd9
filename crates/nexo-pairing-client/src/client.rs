//! Calls to gateways: presents claims; looks up, renews and ends sessions.

use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use hyper::{Method, StatusCode};
use nexo_pairing_core::{Clock, SessionToken, SystemClock};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::deadline::Deadline;
use crate::error::Step;
use crate::{
    Claim, ClaimedSession, ClientError, Gateway, RootCertificates, SessionInfo, answer, http,
    websocket,
};

/// The default time limit of a call: 15 seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// The default pauses before each retry of a claim whose answer was lost, in milliseconds.
const RETRY_PAUSES: [u64; 4] = [200, 500, 1000, 2000];

/// A companion device's side of pairing.
///
/// Connects only to the gateway it is given; redirects are not followed. Each call opens a connection
/// of its own and needs a Tokio runtime with time and I/O enabled. Dropping the future of a call closes
/// the connection. A claim that was already sent may have created a session then; presenting the
/// same [`Claim`] again returns it.
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
pub struct Client {
    #[setters(
        doc = "The certificate authorities to trust, for `wss` and `https`. Default: those of the system."
    )]
    root_certificates: RootCertificates,
    #[setters(
        doc = "The time limit of a call as a whole, from resolving the host to the last retry. Default: \
               [`DEFAULT_TIMEOUT`]."
    )]
    timeout: Duration,
    #[setters(skip)]
    retry_pauses: Arc<[Duration]>,
    #[setters(
        doc = "The clock that decides whether a setup code is still worth a retry. Default: the system clock."
    )]
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root_certificates: RootCertificates::system(),
            timeout: DEFAULT_TIMEOUT,
            retry_pauses: RETRY_PAUSES.map(Duration::from_millis).into(),
            clock: SystemClock::shared(),
        }
    }

    /// The pauses before each retry of a claim whose answer was lost; an empty list disables retries.
    /// Default: 200 ms, 500 ms, 1 s and 2 s.
    #[must_use]
    pub fn with_retry_pauses(mut self, pauses: impl IntoIterator<Item = Duration>) -> Self {
        self.retry_pauses = pauses.into_iter().collect();
        self
    }

    /// Presents a setup code and returns the session for it. The scheme of the URL in the code selects
    /// WebSocket or HTTP, with or without TLS.
    ///
    /// When the answer is lost, the same claim is presented again, and the gateway returns the session
    /// that it has already created. When all attempts fail, the caller may call this again with the
    /// same claim.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After [`Lost`](ClientError::Lost), and after
    /// [`TimedOut`](ClientError::TimedOut) at [`Step::Answer`], the code may be used up.
    pub async fn claim(&self, claim: &Claim) -> Result<ClaimedSession, ClientError> {
        let gateway = &claim.gateway;
        let tls = self.tls(gateway).await?;
        let body = claim.to_json();
        let deadline = Deadline::after(self.timeout, gateway);
        let mut pauses = self.retry_pauses.iter();
        let mut was_sent = false;
        loop {
            let error = match present(gateway, tls.as_ref(), &body, &deadline).await {
                Ok(session) => return Ok(session),
                Err(error) if was_sent => error.after_sending(),
                Err(error) => error,
            };
            let pause = pauses.next().filter(|_| !claim.code.has_expired(self.clock.now()));
            let (ClientError::Lost { .. }, Some(pause)) = (&error, pause) else {
                return Err(error);
            };
            was_sent = true;
            let pause = async {
                tokio::time::sleep(*pause).await;
                Ok(())
            };
            deadline.within(Step::Answer, pause).await?;
        }
    }

    /// Looks up a session: whether it is live, and until when.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoSession`] when it is not live; any other [`ClientError`] says nothing about the
    /// session.
    pub async fn session(
        &self,
        gateway: &Gateway,
        token: &SessionToken,
    ) -> Result<SessionInfo, ClientError> {
        let read = |_, answer: &[u8]| answer::session(answer, gateway);
        self.ask(gateway, Method::GET, "", token, read).await
    }

    /// Extends a session: from now on by the lifetime of a new one, but not beyond its
    /// [`renew_until`](SessionInfo::renew_until). The token does not change. The call is idempotent and
    /// may be repeated after a lost answer.
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session).
    pub async fn renew(
        &self,
        gateway: &Gateway,
        token: &SessionToken,
    ) -> Result<SessionInfo, ClientError> {
        let read = |_, answer: &[u8]| answer::session(answer, gateway);
        self.ask(gateway, Method::POST, "/renew", token, read).await
    }

    /// Ends a session: its token is refused from now on.
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session); [`ClientError::NoSession`] also when it was already ended, for
    /// example by a call whose answer was lost.
    pub async fn end(&self, gateway: &Gateway, token: &SessionToken) -> Result<(), ClientError> {
        let read = |status, answer: &[u8]| answer::ended(status, answer, gateway);
        self.ask(gateway, Method::DELETE, "", token, read).await
    }

    /// Sends one request about a session.
    async fn ask<T>(
        &self,
        gateway: &Gateway,
        method: Method,
        below: &str,
        token: &SessionToken,
        read: impl FnOnce(StatusCode, &[u8]) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let tls = self.tls(gateway).await?;
        let path = format!("{}{below}", gateway.session_path());
        let deadline = Deadline::after(self.timeout, gateway);
        let stream = gateway.connect(tls.as_ref(), &deadline).await?;
        let answer = async {
            let request = http::bearer(gateway, method, &path, token)?;
            http::read(http::send(stream, gateway, request).await?, gateway, read).await
        };
        deadline.within(Step::Answer, answer).await
    }

    /// The TLS connector for a gateway, if its URL asks for TLS.
    async fn tls(&self, gateway: &Gateway) -> Result<Option<TlsConnector>, ClientError> {
        if !gateway.is_tls {
            return Ok(None);
        }
        let connector = self.root_certificates.connector().await;
        connector.map(Some).map_err(|source| gateway.unreachable(Step::Tls, source))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Presents a claim once.
async fn present(
    gateway: &Gateway,
    tls: Option<&TlsConnector>,
    claim: &Zeroizing<String>,
    deadline: &Deadline,
) -> Result<ClaimedSession, ClientError> {
    let stream = gateway.connect(tls, deadline).await?;
    let answer = async {
        if gateway.is_websocket {
            websocket::exchange(stream, gateway, claim.clone()).await
        } else {
            let request = http::post(gateway, claim.clone())?;
            let response = http::send(stream, gateway, request).await?;
            http::read(response, gateway, |_, answer| answer::claimed(answer, gateway)).await
        }
    };
    deadline.within(Step::Answer, answer).await
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::setup_code::decode_setup_code;

    use super::*;

    #[test]
    fn calls_are_send() {
        fn is_send(_: impl Send) {}
        fn is_shared<T: Send + Sync + 'static>() {}
        is_shared::<Client>();
        is_shared::<Claim>();
        let (client, gateway) = (Client::new(), Gateway::parse("wss://nexo.example.com").unwrap());
        let token = SessionToken::parse("session-token-1").unwrap();
        is_send(client.renew(&gateway, &token));
        is_send(client.end(&gateway, &token));
        is_send(async {
            let claim = Claim::new(&decode_setup_code("").unwrap()).unwrap();
            client.claim(&claim).await
        });
    }
}
