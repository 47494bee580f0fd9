//! A server on a manual clock, and a client that sends raw requests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::{ManualClock, SetupCode};
use nexo_pairing_server::{Server, ServerHandle, ServerOptions};
use nexo_pairing_setup::{IssuerOptions, SetupCodeIssuer};
use nexo_pairing_store::{PairingStore, StoreOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A claim id as a client generates it.
pub(crate) const CLAIM_ID: &str = "c1a1m-1d-of-128-random-bits";

/// A database, a key and a clock, shared by servers.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: PairingStore,
    pub(crate) issuer: Arc<SetupCodeIssuer>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("pairing.db"), &clock).await;
        let issuer = Arc::new(issuer(&folder.path().join("pairing.key"), &clock));
        Self { clock, store, issuer, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another handle of the database, as in another process.
    pub(crate) async fn another_store(&self) -> PairingStore {
        open(&self.path("pairing.db"), &self.clock).await
    }

    /// Another handle of the key ring.
    pub(crate) fn another_issuer(&self) -> SetupCodeIssuer {
        issuer(&self.path("pairing.key"), &self.clock)
    }

    pub(crate) fn code(&self) -> SetupCode {
        self.code_for(Some("Ana's phone"))
    }

    pub(crate) fn code_for(&self, label: Option<&str>) -> SetupCode {
        let minute = Duration::from_secs(60);
        self.issuer.issue("wss://nexo.example.com/pair", "companion-v1", minute, label).unwrap()
    }

    pub(crate) fn options(&self) -> ServerOptions {
        ServerOptions::new(self.store.clone(), Arc::clone(&self.issuer))
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_clock(self.clock.clone())
    }

    pub(crate) async fn serve(&self) -> Running {
        Running::start(self.options()).await
    }

    pub(crate) async fn live_sessions(&self) -> usize {
        self.store.list_sessions(false).await.unwrap().len()
    }
}

async fn open(path: &std::path::Path, clock: &Arc<ManualClock>) -> PairingStore {
    let options = StoreOptions::default().with_clock(clock.clone());
    PairingStore::open_with(path, options).await.unwrap()
}

fn issuer(path: &std::path::Path, clock: &Arc<ManualClock>) -> SetupCodeIssuer {
    let options = IssuerOptions::default().with_clock(clock.clone());
    SetupCodeIssuer::open_with(path, options).unwrap()
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    end: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(options: ServerOptions) -> Self {
        Self::run(Server::bind(options).await.unwrap())
    }

    pub(crate) fn run(server: Server) -> Self {
        let (address, handle) = (server.local_addr(), server.handle());
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(server.run(async { drop(ended.await) }));
        Self { address, handle, end: Some(end), task }
    }

    /// Shuts it down.
    pub(crate) fn end(&mut self) {
        drop(self.end.take());
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        exchange(self.connect().await, request).await
    }

    /// Presents a claim in a `POST`.
    pub(crate) async fn post(&self, claim: &str) -> Answer {
        self.send(&post(claim)).await
    }

    /// Checks a session.
    pub(crate) async fn session(&self, token: &str) -> Answer {
        self.send(&bearer("GET", "/session", token)).await
    }

    /// Presents a claim over a WebSocket, and returns the reply and the close code.
    pub(crate) async fn websocket(&self, claim: &str) -> (Option<Value>, Option<u16>) {
        let mut stream = self.connect().await;
        let mut sent = upgrade().into_bytes();
        sent.extend(frame(0x81, claim.as_bytes()));
        stream.write_all(&sent).await.unwrap();
        websocket_answer(&mut stream).await
    }
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("{field}: {self:?}")).to_owned()
    }

    /// Status and kind of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.text("error"))
    }
}

/// A claim as JSON.
pub(crate) fn claim(code: &SetupCode) -> String {
    serde_json::json!({ "bootstrap_token": code.bootstrap_token }).to_string()
}

pub(crate) fn claim_with_id(code: &SetupCode) -> String {
    let token = &code.bootstrap_token;
    serde_json::json!({ "bootstrap_token": token, "claim_id": CLAIM_ID }).to_string()
}

pub(crate) fn post(body: &str) -> String {
    request("POST", "/pair", &[("Content-Type", "application/json")], body)
}

pub(crate) fn bearer(method: &str, path: &str, token: &str) -> String {
    request(method, path, &[("Authorization", &format!("Bearer {token}"))], "")
}

/// A request with `Connection: close`.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

/// The request that opens a WebSocket.
pub(crate) fn upgrade() -> String {
    upgrade_with("")
}

pub(crate) fn upgrade_with(headers: &str) -> String {
    format!(
        "GET /pair HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A frame as a client sends it, masked with zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub(crate) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(&mut stream).await
}

/// Reads a response up to the end of the connection.
pub(crate) async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Reads the reply over a WebSocket, if there is one, and the close code.
pub(crate) async fn websocket_answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> (Option<Value>, Option<u16>) {
    let head = read_head(stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    websocket_frames(stream).await
}

/// Reads only the head of a response.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads frames until the WebSocket is closed.
pub(crate) async fn websocket_frames(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> (Option<Value>, Option<u16>) {
    let mut text = None;
    loop {
        let Ok(first) = stream.read_u8().await else { return (text, None) };
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            length @ 0..126 => usize::from(length),
            length => panic!("a mask, or too long: {length}"),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        match first {
            0x81 => text = Some(serde_json::from_slice(&payload).unwrap()),
            0x88 => {
                // Closes as well, so that the server need not wait.
                let _ = stream.write_all(&frame(0x88, &payload)).await;
                return (text, Some(u16::from_be_bytes([payload[0], payload[1]])));
            }
            0x8a => {}
            first => panic!("a frame of kind {first:#x}"),
        }
    }
}

/// A connection from another address of this machine.
pub(crate) async fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Raises this process's limit of open files as far as it may.
pub(crate) fn take_all_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// Whether the other side closes the connection; waits for it.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // An error is a connection that was reset.
    stream.read_to_end(&mut rest).await.is_err() || rest.is_empty()
}
