//! A claim by WebSocket (RFC 6455): a text message and its answer.
//!
//! Both are secret, so the WebSocket library must not log frames; `tokio-websockets` logs nothing. hyper
//! sends the opening request, because the body of a refusal has to be read.

use std::io;

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::{SinkExt, StreamExt};
use hyper::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use nexo_pairing_core::{OsRandom, RandomSource};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{ClientBuilder, CloseCode, Error, Limits, Message, Payload};
use zeroize::Zeroizing;

use crate::gateway::Stream;
use crate::{ClaimedSession, ClientError, Gateway, MAX_ANSWER_BYTES, answer, http};

/// The suffix of the key, which only a WebSocket server appends.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Opens a WebSocket and exchanges a claim for its answer.
pub(crate) async fn exchange(
    stream: Box<dyn Stream>,
    gateway: &Gateway,
    claim: Zeroizing<String>,
) -> Result<ClaimedSession, ClientError> {
    let mut key = [0; 16];
    OsRandom::default().fill(&mut key)?;
    let key = BASE64.encode(&key);
    let headers = [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, &key),
    ];
    let path = gateway.claim_path();
    let request = http::request(gateway, Method::GET, path, &headers, Bytes::new())?;
    let response = http::send(stream, gateway, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        http::read(response, gateway, |_, answer| answer::claimed(answer, gateway)).await?;
        return Err(gateway.bad_answer("it does not open a WebSocket"));
    }
    let accept = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    let accept = BASE64.encode(accept.as_ref());
    if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|given| given != accept.as_str()) {
        return Err(gateway.bad_answer("its WebSocket handshake is invalid"));
    }
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| gateway.lost(io::Error::other(error)))?;
    let answer = send_claim(TokioIo::new(upgraded), gateway, claim).await?;
    answer::claimed(&answer, gateway)
}

/// Sends the claim and waits for the answer.
async fn send_claim(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    gateway: &Gateway,
    claim: Zeroizing<String>,
) -> Result<Payload, ClientError> {
    let failed = |error| match error {
        Error::PayloadTooLong { .. } => gateway.too_long(),
        Error::Protocol(_) => gateway.bad_answer("its WebSocket frames are invalid"),
        Error::Io(error) => gateway.lost(error),
        error => gateway.lost(io::Error::other(error)),
    };
    let limits = Limits::default().max_payload_len(Some(MAX_ANSWER_BYTES));
    let mut socket = ClientBuilder::new().limits(limits).take_over(stream);
    socket.send(Message::text(Bytes::from_owner(claim))).await.map_err(failed)?;
    while let Some(message) = socket.next().await {
        let message = message.map_err(failed)?;
        if message.is_text() {
            // The answer is complete; whether the close frame arrives does not matter.
            let _ = socket.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await;
            return Ok(message.into_payload());
        } else if message.is_binary() {
            return Err(gateway.bad_answer("its answer is binary, not text"));
        }
        // Sends a pong before more is read: pongs that the gateway does not read must not pile up.
        socket.flush().await.map_err(failed)?;
    }
    Err(gateway.lost(io::Error::other("it closed the WebSocket")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pings_are_not_read_while_their_pongs_are_not_taken() {
        let gateway = Gateway::parse("ws://127.0.0.1/pair").unwrap();
        let (here, mut there) = tokio::io::duplex(256);
        let pings = [0x89, 0].repeat(100_000);
        let all_are_read = async {
            tokio::select! {
                _ = send_claim(here, &gateway, "{}".to_owned().into()) => {}
                _ = there.write_all(&pings) => {}
            }
        };
        assert!(timeout(Duration::from_secs(1), all_are_read).await.is_err());
    }
}
