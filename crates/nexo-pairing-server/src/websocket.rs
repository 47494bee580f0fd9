//! A WebSocket ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)) for one question and one answer,
//! each a text.
//!
//! Both are secret, so the library that makes and reads the frames must log none of them.
//! `tokio-websockets` logs nothing at all; `tungstenite`, say, logs each frame.

mod handshake;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
pub(crate) use tokio_websockets::CloseCode;
use tokio_websockets::proto::ProtocolError;
use tokio_websockets::{Error, Limits, Message, Payload, ServerBuilder};

use crate::answer::Refusal;
use crate::claim::MAX_CLAIM_BYTES;
pub(crate) use handshake::accept;

/// How many bytes a question may come to with the heads of its frames, and with pings and the like. It
/// is what bounds how many frames there are.
const MAX_QUESTION_BYTES: u64 = 2 * MAX_CLAIM_BYTES as u64;

/// How long, and for how many bytes, the other side has to take the answer and close as well. To
/// close the connection at once could lose the answer.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// Why there is no question.
#[derive(Debug)]
pub(crate) enum Unasked {
    /// The other side is gone, or said goodbye.
    Gone,
    /// What it sent is no question.
    Refused {
        /// How the connection is closed.
        close: CloseCode,
        /// What is told before.
        refusal: Refusal,
    },
}

impl Unasked {
    fn refused(close: CloseCode, what: &'static str) -> Self {
        Self::Refused { close, refusal: Refusal::Malformed(what) }
    }
}

impl From<Error> for Unasked {
    fn from(error: Error) -> Self {
        match error {
            Error::PayloadTooLong { .. } => {
                Self::Refused { close: CloseCode::MESSAGE_TOO_BIG, refusal: Refusal::TooLarge }
            }
            Error::Protocol(ProtocolError::InvalidUtf8) => {
                Self::refused(CloseCode::INVALID_FRAME_PAYLOAD_DATA, "a text is UTF-8")
            }
            Error::Protocol(_) => {
                Self::refused(CloseCode::PROTOCOL_ERROR, "a frame is not one of a client")
            }
            _ => Self::Gone,
        }
    }
}

/// Reads the question: one text, in one frame or several. Pings, and goodbye, are answered meanwhile.
/// What comes behind the question is not looked at.
pub(crate) async fn question(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Payload, Unasked> {
    let (read, write) = io::split(io);
    let limits = Limits::default().max_payload_len(Some(MAX_CLAIM_BYTES));
    let mut socket =
        ServerBuilder::new().limits(limits).serve(io::join(read.take(MAX_QUESTION_BYTES), write));
    let asked = async {
        while let Some(message) = socket.next().await.transpose()? {
            if message.is_text() {
                let question = message.into_payload();
                // The library takes a text that ends amid a character when an empty frame ends it.
                let is_text = str::from_utf8(&question).is_ok();
                let cut_off = || Error::Protocol(ProtocolError::InvalidUtf8).into();
                return is_text.then_some(question).ok_or_else(cut_off);
            } else if message.is_binary() {
                let what = "a claim is a text, not binary";
                return Err(Unasked::refused(CloseCode::UNSUPPORTED_DATA, what));
            }
        }
        Err(Unasked::Gone)
    };
    match asked.await {
        Err(Unasked::Gone) if socket.get_ref().reader().limit() == 0 => {
            let what = "a claim comes in fewer frames";
            Err(Unasked::refused(CloseCode::POLICY_VIOLATION, what))
        }
        asked => asked,
    }
}

/// Sends the answer, if there is one, and closes.
pub(crate) async fn answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    text: Option<String>,
    close: CloseCode,
) -> Result<(), Error> {
    // Not the one that the question came by: after an error it would send nothing but goodbye.
    let mut socket = ServerBuilder::new().serve(&mut *io);
    if let Some(text) = text {
        socket.feed(Message::text(text)).await?;
    }
    socket.send(Message::close(Some(close), "")).await?;
    // Who has said goodbye as well may wait for this end.
    io.shutdown().await?;
    let mut rest = io.take(LINGER_BYTES);
    let mut sink = io::sink();
    // It has the answer, or it does not want it.
    let _ = timeout(LINGER, io::copy(&mut rest, &mut sink)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// What is said with an answer, and how long that takes; the other side goes away, or does not,
    /// once it has read everything.
    async fn said(goes: bool) -> (Vec<u8>, Duration) {
        let (mut here, mut there) = io::duplex(1024);
        let began = Instant::now();
        let answer = async move {
            answer(&mut here, Some("{}".to_owned()), CloseCode::NORMAL_CLOSURE).await
        };
        let read = async {
            let mut said = Vec::new();
            there.read_to_end(&mut said).await.unwrap();
            (said, (!goes).then_some(there))
        };
        let (answered, (said, _there)) = tokio::join!(answer, read);
        answered.unwrap();
        (said, began.elapsed())
    }

    #[tokio::test]
    async fn a_text_that_ends_amid_a_character_is_refused_in_however_many_frames() {
        for frames in [
            &b"\x81\x81\0\0\0\0\xcc"[..],
            b"\x01\x81\0\0\0\0\xcc\x80\x80\0\0\0\0",
            b"\x01\x81\0\0\0\0\xcc\x80\x81\0\0\0\0a",
        ] {
            let asked = question(&mut io::join(frames, io::sink())).await;
            let Err(Unasked::Refused { close, .. }) = asked else { panic!("{asked:?}") };
            assert_eq!(close, CloseCode::INVALID_FRAME_PAYLOAD_DATA, "{frames:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_an_end_and_whoever_takes_it_is_not_waited_for_any_longer() {
        let frames = b"\x81\x02{}\x88\x02\x03\xe8".to_vec();
        assert_eq!(said(true).await, (frames.clone(), Duration::ZERO));
        assert_eq!(said(false).await, (frames, LINGER));
    }
}
