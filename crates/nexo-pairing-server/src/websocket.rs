//! A WebSocket ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)) for one question and one answer,
//! each a text.
//!
//! It is ours because it carries secrets in both directions: libraries write what they receive and
//! send into their logs.

mod frame;
mod handshake;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::answer::Refusal;
use crate::claim::MAX_CLAIM_BYTES;
pub(crate) use frame::Close;
use frame::{Frame, Opcode};
pub(crate) use handshake::accept;

/// How many frames a question may come in, with pings and the like.
const MAX_FRAMES: usize = 64;

/// How long, and for how many bytes, the other side has to take the answer and close as well. To
/// close the connection at once could lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// Why there is no question.
#[derive(Debug)]
pub(crate) enum Unasked {
    /// The other side is gone, or said goodbye.
    Gone,
    /// What it sent is no question.
    Refused {
        /// How the connection is closed.
        close: Close,
        /// What is told before.
        refusal: Refusal,
    },
}

impl Unasked {
    fn refused(close: Close, what: &'static str) -> Self {
        Self::Refused { close, refusal: Refusal::Malformed(what) }
    }
}

impl From<io::Error> for Unasked {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Reads the question: one text, in one frame or several. Answers pings meanwhile.
pub(crate) async fn question(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Zeroizing<Vec<u8>>, Unasked> {
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_CLAIM_BYTES));
    let mut has_begun = false;
    for _ in 0..MAX_FRAMES {
        let frame = Frame::read(io, MAX_CLAIM_BYTES - text.len()).await?;
        match (frame.opcode, has_begun) {
            (Opcode::Text, false) | (Opcode::Continuation, true) => {
                has_begun = true;
                text.extend_from_slice(&frame.payload);
                if frame.is_last && std::str::from_utf8(&text).is_ok() {
                    return Ok(text);
                } else if frame.is_last {
                    return Err(Unasked::refused(Close::NotUtf8, "a text is UTF-8"));
                }
            }
            (Opcode::Binary, false) => {
                return Err(Unasked::refused(Close::Unsupported, "a claim is a text, not binary"));
            }
            (Opcode::Text | Opcode::Binary | Opcode::Continuation, _) => {
                return Err(Unasked::refused(Close::Protocol, "a frame is out of its turn"));
            }
            (Opcode::Ping, _) => {
                frame::write(io, Opcode::Pong, &frame.payload).await?;
            }
            (Opcode::Pong, _) => {}
            (Opcode::Close, _) => {
                frame::write(io, Opcode::Close, &Close::Normal.payload()).await?;
                return Err(Unasked::Gone);
            }
        }
    }
    Err(Unasked::refused(Close::Policy, "a claim comes in fewer frames"))
}

/// Sends the answer, if there is one, and closes.
pub(crate) async fn answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    text: Option<&str>,
    close: Close,
) -> io::Result<()> {
    if let Some(text) = text {
        frame::write(io, Opcode::Text, text.as_bytes()).await?;
    }
    frame::write(io, Opcode::Close, &close.payload()).await?;
    io.flush().await?;
    let mut rest = io.take(LINGER_BYTES);
    let mut sink = tokio::io::sink();
    // It has the answer, or it does not want it.
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut sink)).await;
    Ok(())
}
