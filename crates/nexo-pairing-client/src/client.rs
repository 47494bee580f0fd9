//! Talks to gateways: presents claims, and asks about the sessions that they gave.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use nexo_pairing_core::{Clock, SessionToken, SystemClock};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::deadline::{Deadline, Step};
use crate::{
    Claim, ClaimedSession, ClientError, Gateway, RootCertificates, SessionInfo, answer, http,
    websocket,
};

/// How long a call may take where nothing else is said: 15 seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// What is waited before each time that a claim whose answer was lost is presented again, in
/// milliseconds.
const RETRY_PAUSES: [u64; 4] = [200, 500, 1000, 2000];

/// A companion device's side of pairing.
///
/// It connects to the gateway that it is given and to nobody else: redirections are not followed. Each
/// call makes a connection of its own and needs a Tokio runtime with time and I/O. A future that is
/// dropped ends its connection; a claim that was sent by then may have made a session, which the same
/// claim gets when it is presented again.
#[derive(Debug, Clone)]
pub struct Client {
    roots: RootCertificates,
    timeout: Duration,
    retry_pauses: Arc<[Duration]>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            roots: RootCertificates::system(),
            timeout: DEFAULT_TIMEOUT,
            retry_pauses: RETRY_PAUSES.map(Duration::from_millis).into(),
            clock: SystemClock::shared(),
        }
    }

    /// Whose certificates are believed, by `wss` and `https`. Default: those of the system's
    /// authorities.
    #[must_use]
    pub fn with_root_certificates(mut self, roots: RootCertificates) -> Self {
        self.roots = roots;
        self
    }

    /// How long a call may take with all that belongs to it, from looking up the host to the last
    /// repetition. Default: [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What is waited before each time that a claim whose answer was lost is presented again; none
    /// means that it is not. Default: 200 ms, 500 ms, 1 s and 2 s.
    #[must_use]
    pub fn with_retry_pauses(mut self, pauses: impl IntoIterator<Item = Duration>) -> Self {
        self.retry_pauses = pauses.into_iter().collect();
        self
    }

    /// The clock that says whether a setup code is still worth presenting again. Default: the
    /// system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Presents a setup code and comes back with a session for it, by WebSocket or over HTTP, as the
    /// code says.
    ///
    /// When the answer is lost, the claim is presented again as the same, for which the gateway gives
    /// the session that it has made already. Where all attempts fail, the caller may go on with the
    /// same claim.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After [`Lost`](ClientError::Lost), and after
    /// [`TimedOut`](ClientError::TimedOut) while waiting for an answer, the code may be used up.
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

    /// Asks whether a session is live, and until when.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoSession`] when it is not live (any more), and whatever else keeps the gateway
    /// from saying so.
    pub async fn session(
        &self,
        gateway: &Gateway,
        token: &SessionToken,
    ) -> Result<SessionInfo, ClientError> {
        self.ask(gateway, Method::GET, "", token, answer::session).await
    }

    /// Lets a session live for as long as a new one from now on, but not beyond its
    /// [`renew_until`](SessionInfo::renew_until). The token stays as it is.
    ///
    /// It does no harm to ask again after an answer that was lost.
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session).
    pub async fn renew(
        &self,
        gateway: &Gateway,
        token: &SessionToken,
    ) -> Result<SessionInfo, ClientError> {
        self.ask(gateway, Method::POST, "/renew", token, answer::session).await
    }

    /// Ends a session: its token is refused from now on.
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session). [`ClientError::NoSession`] is also what comes when it was
    /// ended before, by a call whose answer was lost.
    pub async fn end(&self, gateway: &Gateway, token: &SessionToken) -> Result<(), ClientError> {
        self.ask(gateway, Method::DELETE, "", token, answer::ended).await
    }

    /// Asks the gateway something about a session, once.
    async fn ask<T>(
        &self,
        gateway: &Gateway,
        method: Method,
        below: &str,
        token: &SessionToken,
        read: fn(&[u8], &Gateway) -> Result<T, ClientError>,
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

    /// What makes TLS connections to this gateway, if it wants them.
    async fn tls(&self, gateway: &Gateway) -> Result<Option<TlsConnector>, ClientError> {
        if !gateway.is_tls() {
            return Ok(None);
        }
        let connector = self.roots.connector().await;
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
        if gateway.is_websocket() {
            websocket::exchange(stream, gateway, claim).await
        } else {
            let request = http::post(gateway, claim.clone())?;
            http::read(http::send(stream, gateway, request).await?, gateway, answer::claimed).await
        }
    };
    deadline.within(Step::Answer, answer).await
}
