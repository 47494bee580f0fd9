//! What a client might send first over its WebSocket: what is read as its question, another's
//! implementation reads, too.
#![no_main]

use std::io::{self, Cursor, Read, Write};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_server::fuzzing::{question, token};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// How many bytes a question may have, and all that is sent before its end.
const MAX_QUESTION: usize = 4096;
const MAX_SENT: usize = 2 * MAX_QUESTION;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|input: &[u8]| {
    // The first byte says what the others are: a question that is sent as it should be, or all that is
    // sent.
    let Some((kind, bytes)) = input.split_first() else { return };
    let is_question = *kind == b'q';
    let sent = if is_question { framed(bytes) } else { bytes.to_vec() };
    let question = RUNTIME.block_on(question(&sent));
    if is_question {
        let is_good = bytes.len() <= MAX_QUESTION && str::from_utf8(bytes).is_ok();
        assert_eq!(question.as_deref().ok(), is_good.then_some(bytes));
    }
    match question {
        Ok(question) => {
            // The other one takes more: lengths that are written longer than they have to be.
            assert_eq!(told_by_another(&sent).as_ref(), Some(&question));
            assert!(question.len() <= MAX_QUESTION && str::from_utf8(&question).is_ok());
            check_claim(&question);
        }
        Err(Some(code)) => assert!([1002, 1003, 1007, 1008, 1009].contains(&code), "{code}"),
        Err(None) => {}
    }
});

/// A claim is an object with a token. One that is too deep for a tree may be a claim, too.
fn check_claim(question: &[u8]) {
    let Some(token) = token(question) else { return };
    if let Ok(claim) = serde_json::from_slice::<Value>(question) {
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

/// The first text, when nothing but pings and the like came before.
fn told_by_another(sent: &[u8]) -> Option<Vec<u8>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_QUESTION))
        .max_frame_size(Some(MAX_QUESTION));
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

/// A client that has sent all it will, and takes whatever it is told.
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
