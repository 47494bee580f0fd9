//! A WebSocket ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)) for one claim and one reply, each
//! a text message.
//!
//! Both are secret, so the library that reads and writes the frames must not log them.
//! `tokio-websockets` logs nothing at all; `tungstenite`, for example, logs each frame.

mod handshake;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
pub(crate) use tokio_websockets::CloseCode;
use tokio_websockets::proto::ProtocolError;
use tokio_websockets::{Error, Limits, Message, Payload, ServerBuilder};

use crate::claim::MAX_CLAIM_BYTES;
use crate::error::ApiError;
pub(crate) use handshake::accept;

/// How many bytes are read for a claim at most, with frame heads and control frames. This bounds the
/// number of frames.
const MAX_RAW_BYTES: u64 = 2 * MAX_CLAIM_BYTES as u64;

/// How long, and for how many bytes, the client may take to read the reply and to close in turn.
/// Closing the connection at once could lose the reply.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// The client sent something that is not a claim.
#[derive(Debug)]
pub(crate) struct ReadError {
    /// How the connection is closed.
    pub(crate) close: CloseCode,
    /// The reply before that.
    pub(crate) error: ApiError,
}

impl ReadError {
    fn malformed(close: CloseCode, what: &'static str) -> Self {
        Self { close, error: ApiError::Malformed(what) }
    }

    /// `None` if the client disconnected.
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::PayloadTooLong { .. } => {
                Some(Self { close: CloseCode::MESSAGE_TOO_BIG, error: ApiError::TooLarge })
            }
            Error::Protocol(ProtocolError::InvalidUtf8) => Some(Self::invalid_utf8()),
            Error::Protocol(_) => {
                Some(Self::malformed(CloseCode::PROTOCOL_ERROR, "not a frame of a client"))
            }
            _ => None,
        }
    }

    fn invalid_utf8() -> Self {
        Self::malformed(CloseCode::INVALID_FRAME_PAYLOAD_DATA, "a text must be UTF-8")
    }
}

/// Reads the claim: one text message, in one frame or several; `None` if the client disconnects or
/// closes. Pings and close frames are answered meanwhile. Anything after the claim is ignored.
pub(crate) async fn read_claim(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Option<Payload>, ReadError> {
    let (read, write) = io::split(io);
    let limits = Limits::default().max_payload_len(Some(MAX_CLAIM_BYTES));
    let mut socket =
        ServerBuilder::new().limits(limits).serve(io::join(read.take(MAX_RAW_BYTES), write));
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) if message.is_text() => {
                let claim = message.into_payload();
                // The library accepts a text that ends within a character if an empty frame ends it.
                return match str::from_utf8(&claim) {
                    Ok(_) => Ok(Some(claim)),
                    Err(_) => Err(ReadError::invalid_utf8()),
                };
            }
            Ok(message) if message.is_binary() => {
                let what = "a claim is a text message, not binary";
                return Err(ReadError::malformed(CloseCode::UNSUPPORTED_DATA, what));
            }
            Ok(_) => {}
            Err(error) => match ReadError::of(&error) {
                Some(error) => return Err(error),
                None => break,
            },
        }
    }
    if socket.get_ref().reader().limit() == 0 {
        let what = "a claim comes in fewer frames";
        return Err(ReadError::malformed(CloseCode::POLICY_VIOLATION, what));
    }
    Ok(None)
}

/// Sends the reply, if there is one, and closes.
pub(crate) async fn write_reply(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    reply: Option<String>,
    close: CloseCode,
) -> Result<(), Error> {
    // Not the socket that read the claim: after an error it sends nothing but a close frame.
    let mut socket = ServerBuilder::new().serve(&mut *io);
    if let Some(reply) = reply {
        socket.feed(Message::text(reply)).await?;
    }
    socket.send(Message::close(Some(close), "")).await?;
    // A client that closed as well may wait for the end of the stream.
    io.shutdown().await?;
    let mut rest = io.take(LINGER_BYTES);
    let mut sink = io::sink();
    // Ignored: the client has the reply, or does not want it.
    let _ = timeout(LINGER, io::copy(&mut rest, &mut sink)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// What is sent for a reply, and how long that takes; `disconnects`: the client goes away once it has
    /// read everything.
    async fn sent(disconnects: bool) -> (Vec<u8>, Duration) {
        let (mut here, mut there) = io::duplex(1024);
        let began = Instant::now();
        let write = async move {
            write_reply(&mut here, Some("{}".to_owned()), CloseCode::NORMAL_CLOSURE).await
        };
        let read = async {
            let mut sent = Vec::new();
            there.read_to_end(&mut sent).await.unwrap();
            (sent, (!disconnects).then_some(there))
        };
        let (written, (sent, _there)) = tokio::join!(write, read);
        written.unwrap();
        (sent, began.elapsed())
    }

    #[tokio::test]
    async fn a_text_that_ends_within_a_character_is_rejected_in_any_number_of_frames() {
        for frames in [
            &b"\x81\x81\0\0\0\0\xcc"[..],
            b"\x01\x81\0\0\0\0\xcc\x80\x80\0\0\0\0",
            b"\x01\x81\0\0\0\0\xcc\x80\x81\0\0\0\0a",
        ] {
            let ReadError { close, .. } =
                read_claim(&mut io::join(frames, io::sink())).await.unwrap_err();
            assert_eq!(close, CloseCode::INVALID_FRAME_PAYLOAD_DATA, "{frames:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_waits_for_the_client_to_close_but_not_for_long() {
        let frames = b"\x81\x02{}\x88\x02\x03\xe8".to_vec();
        assert_eq!(sent(true).await, (frames.clone(), Duration::ZERO));
        assert_eq!(sent(false).await, (frames, LINGER));
    }
}
