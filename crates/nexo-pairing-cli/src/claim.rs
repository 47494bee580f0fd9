//! The companion's side of a setup code: goes to the gateway and comes back with a session.

mod answer;
mod connect;
mod deadline;
mod error;
mod http;
mod session_file;
#[cfg(test)]
mod tests;
mod websocket;

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use nexo_pairing::{OsRandom, PairingError, RandomSource, SetupCode};
use serde::Serialize;
use time::OffsetDateTime;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

pub(crate) use answer::Session;
use connect::Gateway;
pub(crate) use connect::Roots;
use deadline::{Deadline, Step};
pub(crate) use error::ClaimError;
pub(crate) use session_file::SessionFile;

/// How many bytes of an answer are read.
const MAX_ANSWER_BYTES: usize = 4096;

/// The random bytes of a claim id; 16 is the least that a gateway takes.
const CLAIM_ID_BYTES: usize = 24;

/// How long a claim may take, and how often it is sent again.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// For everything together.
    pub(crate) limit: Duration,
    /// What is waited before each time that a claim whose answer was lost is sent again.
    pub(crate) pauses: Vec<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        let pauses = [200, 500, 1000, 2000].map(Duration::from_millis);
        Self { limit: Duration::from_secs(15), pauses: pauses.to_vec() }
    }
}

/// Claims a setup code. `device_label` is what the device calls itself.
///
/// When the answer is lost, the claim is sent again with the same claim id, for which a gateway gives
/// the session that it has made already.
pub(crate) async fn claim(
    code: &SetupCode,
    device_label: Option<&str>,
    roots: Roots,
    patience: &Patience,
) -> Result<Session, ClaimError> {
    let gateway = Gateway::parse(&code.url)?;
    let tls = if gateway.is_tls { Some(roots.connector(&gateway).await?) } else { None };
    let claim = written(code, device_label)?;
    let deadline = Deadline::after(patience.limit, &gateway.peer);
    let mut pauses = patience.pauses.iter();
    let mut was_sent = false;
    loop {
        let error = match exchange(&gateway, tls.as_ref(), &claim, &deadline).await {
            Ok(session) => return Ok(session),
            Err(error) if was_sent => error.after_sending(),
            Err(error) => error,
        };
        let pause = pauses.next().filter(|_| !code.has_expired(OffsetDateTime::now_utc()));
        let (ClaimError::Lost { .. }, Some(pause)) = (&error, pause) else { return Err(error) };
        was_sent = true;
        let pause = async {
            tokio::time::sleep(*pause).await;
            Ok(())
        };
        deadline.within(Step::Answer, pause).await?;
    }
}

/// Sends the claim once.
async fn exchange(
    gateway: &Gateway,
    tls: Option<&TlsConnector>,
    claim: &str,
    deadline: &Deadline,
) -> Result<Session, ClaimError> {
    let stream = gateway.connect(tls, deadline).await?;
    let answer = async {
        if gateway.is_websocket {
            websocket::exchange(stream, gateway, claim).await
        } else {
            http::exchange(stream, gateway, claim).await
        }
    };
    deadline.within(Step::Answer, answer).await
}

/// The claim as it is sent.
fn written(code: &SetupCode, device_label: Option<&str>) -> Result<Zeroizing<String>, ClaimError> {
    #[derive(Serialize)]
    struct Request<'a> {
        bootstrap_token: &'a str,
        claim_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        device_label: Option<&'a str>,
    }
    let mut claim_id = Zeroizing::new([0; CLAIM_ID_BYTES]);
    OsRandom::default().fill(&mut claim_id[..]).map_err(PairingError::from)?;
    let claim_id = Zeroizing::new(BASE64URL_NOPAD.encode(&claim_id[..]));
    let bootstrap_token = &code.bootstrap_token;
    let request = Request { bootstrap_token, claim_id: &claim_id, device_label };
    let text = serde_json::to_string(&request).map_err(PairingError::backend)?;
    Ok(Zeroizing::new(text))
}
