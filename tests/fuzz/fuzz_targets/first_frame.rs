//! The first bytes of a client on its WebSocket: a claim that the server reads is read by another
//! implementation, too.
#![no_main]

use std::io::{self, Cursor, Read, Write};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_server::fuzzing::{read_claim, token};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// The largest claim in bytes, and the most bytes sent until its end.
const MAX_CLAIM: usize = 4096;
const MAX_SENT: usize = 2 * MAX_CLAIM;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|input: &[u8]| {
    // The first byte selects how the others are used: a claim to frame correctly, or raw bytes.
    let Some((kind, bytes)) = input.split_first() else { return };
    let is_claim = *kind == b'q';
    let sent = if is_claim { framed(bytes) } else { bytes.to_vec() };
    let claim = RUNTIME.block_on(read_claim(&sent));
    if is_claim {
        let is_good = bytes.len() <= MAX_CLAIM && str::from_utf8(bytes).is_ok();
        assert_eq!(claim.as_deref().ok(), is_good.then_some(bytes));
    }
    match claim {
        Ok(claim) => {
            // The other implementation accepts more: lengths in a longer form than necessary.
            assert_eq!(read_by_another(&sent).as_ref(), Some(&claim));
            assert!(claim.len() <= MAX_CLAIM && str::from_utf8(&claim).is_ok());
            check_claim(&claim);
        }
        Err(Some(code)) => assert!([1002, 1003, 1007, 1008, 1009].contains(&code), "{code}"),
        Err(None) => {}
    }
});

/// A claim is an object with a token. One that is too deep for a tree may be a claim, too.
fn check_claim(text: &[u8]) {
    let Some(token) = token(text) else { return };
    if let Ok(claim) = serde_json::from_slice::<Value>(text) {
        assert!(claim.is_object());
        assert_eq!(claim["bootstrap_token"].as_str(), Some(&*token));
    }
}

/// A text in one frame, masked with zeros.
fn framed(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ ..=125), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}

/// The first text message, if only pings and pongs came before it.
fn read_by_another(sent: &[u8]) -> Option<Vec<u8>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_CLAIM))
        .max_frame_size(Some(MAX_CLAIM));
    let stream = Client(Cursor::new(&sent[..sent.len().min(MAX_SENT)]));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    loop {
        match socket.read().ok()? {
            Message::Text(text) => return Some(text.as_bytes().to_vec()),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

/// A client that has sent everything, and accepts any reply.
struct Client<'a>(Cursor<&'a [u8]>);

impl Read for Client<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Client<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
