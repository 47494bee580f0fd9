//! A claim by WebSocket (RFC 6455): one text message there, one back.
//!
//! What a library for WebSockets would do beyond that is not needed, and those that there are write
//! what they send and receive, which is secret here, to the log.

use std::io;

use data_encoding::BASE64;
use hyper::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use nexo_pairing::{OsRandom, RandomSource};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::answer::{self, Session};
use super::connect::{Gateway, Stream};
use super::{ClaimError, MAX_ANSWER_BYTES, http};

/// What a server appends to the key, so that nothing but a WebSocket server gives the right answer.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Opens a WebSocket and sends a claim in it.
pub(super) async fn exchange(
    stream: Box<dyn Stream>,
    gateway: &Gateway,
    claim: &str,
) -> Result<Session, ClaimError> {
    let mut key = [0; 16];
    OsRandom::default().fill(&mut key)?;
    let key = BASE64.encode(&key);
    let headers = [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, &key),
    ];
    let response = http::send(stream, gateway, Method::GET, &headers, "").await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        http::read(response, gateway).await?;
        return Err(gateway.bad_answer("it answers, but not as a WebSocket"));
    }
    let accept = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    let accept = BASE64.encode(accept.as_ref());
    if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|given| given != accept.as_str()) {
        return Err(gateway.bad_answer("it does not know the handshake of WebSockets"));
    }
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| gateway.lost(io::Error::other(error)))?;
    let answer = converse(TokioIo::new(upgraded), gateway, claim).await?;
    answer::read(&answer, gateway)
}

/// Sends the claim, and waits for the message that answers it.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    gateway: &Gateway,
    claim: &str,
) -> Result<Zeroizing<Vec<u8>>, ClaimError> {
    write(&mut stream, gateway, TEXT, claim.as_bytes()).await?;
    // Its whole capacity from the start: growing would leave copies behind.
    let mut message = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
    let mut expected = TEXT;
    loop {
        let frame = read(&mut stream, gateway).await?;
        match frame.opcode {
            PING => write(&mut stream, gateway, PONG, &frame.payload).await?,
            PONG => {}
            CLOSE => return Err(gateway.lost(io::Error::other("it closed the WebSocket"))),
            opcode if opcode == expected => {
                if message.len() + frame.payload.len() > MAX_ANSWER_BYTES {
                    return Err(gateway.too_long());
                }
                message.extend_from_slice(&frame.payload);
                if frame.is_last {
                    // The answer is here; whether the gateway hears the good-bye does not matter.
                    let _ = write(&mut stream, gateway, CLOSE, &1000_u16.to_be_bytes()).await;
                    return Ok(message);
                }
                expected = CONTINUATION;
            }
            BINARY => return Err(gateway.bad_answer("its answer is binary, not text")),
            _ => return Err(gateway.bad_answer("its frames make no message")),
        }
    }
}

struct Frame {
    is_last: bool,
    opcode: u8,
    payload: Zeroizing<Vec<u8>>,
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    gateway: &Gateway,
) -> Result<Frame, ClaimError> {
    let lost = |error| gateway.lost(error);
    let [first, second] = stream.read_u16().await.map_err(lost)?.to_be_bytes();
    let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
    let length = match second {
        126 => u64::from(stream.read_u16().await.map_err(lost)?),
        127 => stream.read_u64().await.map_err(lost)?,
        short => u64::from(short),
    };
    // Reserved bits, the mask that only clients use, and what must be in one piece.
    let is_control = opcode & 8 != 0;
    if first & 0x70 != 0 || second & 0x80 != 0 || is_control && (!is_last || second > 125) {
        return Err(gateway.bad_answer("its frames are not those of a WebSocket"));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ANSWER_BYTES);
    let length = length.ok_or_else(|| gateway.too_long())?;
    let mut payload = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut payload).await.map_err(lost)?;
    Ok(Frame { is_last, opcode, payload })
}

/// Sends a frame, masked as those of a client have to be.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    gateway: &Gateway,
    opcode: u8,
    payload: &[u8],
) -> Result<(), ClaimError> {
    let mut mask = [0; 4];
    OsRandom::default().fill(&mut mask)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(14 + payload.len()));
    frame.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    let sent = async {
        stream.write_all(&frame).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| gateway.lost(error))
}
