//! Internals for the fuzz targets. Exists with `--cfg fuzzing` only; not API.

use tokio::io::{join, sink};

use crate::claim;
use crate::websocket::{self, ReadError};

/// The claim at the start of what a client sends over its WebSocket.
///
/// # Errors
///
/// The code with which the WebSocket is closed; `None` if the client disconnected.
pub async fn read_claim(sent: &[u8]) -> Result<Vec<u8>, Option<u16>> {
    match websocket::read_claim(&mut join(sent, sink())).await {
        Ok(claim) => claim.map(|claim| claim.to_vec()).ok_or(None),
        Err(ReadError { close, .. }) => Err(Some(close.into())),
    }
}

/// The token in a claim, if it is valid.
#[must_use]
pub fn token(claim: &[u8]) -> Option<String> {
    claim::parse(claim).ok().map(|claim| claim.bootstrap_token.to_string())
}
