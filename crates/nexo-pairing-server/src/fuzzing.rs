//! What the fuzz targets reach of the inside. It is there with `--cfg fuzzing` only, and no API.

use tokio::io::{join, sink};

use crate::claim;
use crate::websocket::{self, Unasked};

/// The question that stands at the beginning of what a client sends over its WebSocket; else the code
/// with which the WebSocket is closed, or `None` when the other side is gone.
///
/// # Errors
///
/// That code.
pub async fn question(sent: &[u8]) -> Result<Vec<u8>, Option<u16>> {
    match websocket::question(&mut join(sent, sink())).await {
        Ok(question) => Ok(question.to_vec()),
        Err(Unasked::Refused { close, .. }) => Err(Some(close.into())),
        Err(Unasked::Gone) => Err(None),
    }
}

/// The token in a question, if that is a claim.
#[must_use]
pub fn token(question: &[u8]) -> Option<String> {
    claim::parse(question).ok().map(|claim| claim.bootstrap_token.to_string())
}
