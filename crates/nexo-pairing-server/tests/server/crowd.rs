//! Attackers that take all slots, and distant clients that must still be answered.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::certificate::Certificate;
use crate::support::{
    Running, World, bearer, claim, connect_from, frame, read_head, request, take_all_files,
    upgrade, websocket_frames,
};

/// The round trip times of the honest clients.
const ROUND_TRIPS: [Duration; 3] =
    [Duration::from_millis(30), Duration::from_millis(100), Duration::from_millis(200)];

/// Requests of each honest client.
const REQUESTS: usize = 10;

/// Slots of the server, all of which the attackers try to hold.
const PLACES: usize = 1024;

/// New connections per second, of all attackers together.
const CONNECTS: u32 = 20;

/// What attackers do with a connection.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Send one request and keep the connection.
    Idle,
    /// Never send anything; over TLS, never begin the handshake.
    Silent,
    /// Send a request head, one byte per second.
    Slow,
}

/// What an honest client does, each time in a new connection.
#[derive(Debug, Clone, Copy)]
enum Client {
    /// Claims a setup code over a WebSocket: one round trip before the claim.
    Claim,
    /// Asks about a session over TLS: one or two round trips before the request.
    SessionOverTls,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_answered_despite_two_addresses_with_idle_connections() {
    assert_answered(2, Attack::Idle, Client::Claim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_clients_are_answered_despite_twenty_addresses_with_idle_connections() {
    assert_answered(20, Attack::Idle, Client::SessionOverTls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_answered_despite_twenty_addresses_with_silent_connections() {
    assert_answered(20, Attack::Silent, Client::Claim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_are_answered_despite_more_addresses_than_slots() {
    assert_answered(2000, Attack::Slow, Client::Claim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_many_connections_loses_its_own_idle_ones_and_is_answered() {
    take_all_files();
    let world = World::new().await;
    let certificate = Certificate::new(&world, "tls");
    let server = world.serve().await;
    let _attackers =
        Attackers::take_all_places(&server, &certificate, false, 20, Attack::Idle).await;
    let connect = async || idle(connect_from("127.0.1.1", server.address).await).await;
    let mut pool = Vec::new();
    for _ in 0..100 {
        pool.push(connect().await);
    }
    for stream in &mut pool {
        if !is_open(stream).await {
            *stream = connect().await;
            assert!(is_open(stream).await);
        }
    }
}

/// At least 95 of 100 requests of honest clients are answered.
async fn assert_answered(addresses: usize, attack: Attack, client: Client) {
    take_all_files();
    let world = World::new().await;
    let certificate = Certificate::new(&world, "tls");
    let mut options = world.options();
    options.max_connections = PLACES;
    let is_tls = matches!(client, Client::SessionOverTls);
    options.tls = is_tls.then(|| certificate.files.clone());
    let server = Running::start(options).await;
    let issued = {
        let code = world.code();
        let claims = world.issuer.verify(&code.bootstrap_token).unwrap();
        world.store.redeem(nexo_pairing_core::Redemption::new(claims)).await.unwrap()
    };
    let attackers =
        Attackers::take_all_places(&server, &certificate, is_tls, addresses, attack).await;
    let mut clients = JoinSet::new();
    for (number, round_trip) in ROUND_TRIPS.into_iter().enumerate() {
        let proxy = distant(&format!("127.0.1.{}", number + 1), server.address, round_trip).await;
        let codes: Vec<_> = (0..REQUESTS).map(|_| claim(&world.code())).collect();
        let (certificate, token) = (certificate.clone(), issued.token.as_str().to_owned());
        clients.spawn(async move {
            let mut answered = 0;
            for code in codes {
                let stream = TcpStream::connect(proxy).await.unwrap();
                let is_answered = match client {
                    Client::Claim => is_claim_answered(stream, &code).await,
                    Client::SessionOverTls => {
                        is_session_answered(&certificate, stream, &token).await
                    }
                };
                answered += usize::from(is_answered.unwrap_or(false));
            }
            (round_trip, answered)
        });
    }
    let mut answered = clients.join_all().await;
    answered.sort_unstable();
    println!("{addresses} addresses, {attack:?}, {client:?}, of {REQUESTS}: {answered:?}");
    drop(attackers);
    for (round_trip, answered) in answered {
        assert!(answered * 100 >= REQUESTS * 95, "{answered} of {REQUESTS} at {round_trip:?}");
    }
}

async fn is_claim_answered(mut stream: TcpStream, claim: &str) -> std::io::Result<bool> {
    stream.write_all(upgrade().as_bytes()).await?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(false);
    }
    read_head(&mut stream).await;
    stream.write_all(&frame(0x81, claim.as_bytes())).await?;
    let (answer, _) = websocket_frames(&mut stream).await;
    Ok(answer.is_some_and(|answer| answer["session_token"].is_string()))
}

async fn is_session_answered(
    certificate: &Certificate,
    stream: TcpStream,
    token: &str,
) -> std::io::Result<bool> {
    let mut stream = certificate.handshake(stream).await?;
    stream.write_all(bearer("GET", "/session", token).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

/// Attackers that hold as many slots as they get, and go on connecting until this is dropped.
struct Attackers {
    _open: Vec<Box<dyn Send>>,
    _connecting: JoinSet<()>,
}

impl Attackers {
    async fn take_all_places(
        server: &Running,
        certificate: &Certificate,
        is_tls: bool,
        addresses: usize,
        attack: Attack,
    ) -> Self {
        let address = server.address;
        let source = |n| format!("127.2.{}.{}", n / 250, n % 250 + 1);
        let sources: Vec<_> = (0..addresses).map(source).collect();
        let mut open = Vec::new();
        let mut connecting = JoinSet::new();
        for number in 0..PLACES.max(addresses) {
            let stream = connect_from(&sources[number % addresses], address).await;
            match (attack, is_tls) {
                (Attack::Silent, _) => open.push(Box::new(stream) as Box<dyn Send>),
                (Attack::Idle, false) => open.push(Box::new(idle(stream).await)),
                (Attack::Idle, true) => {
                    let stream = certificate.handshake(stream).await.unwrap();
                    open.push(Box::new(idle(stream).await));
                }
                (Attack::Slow, _) => drop(connecting.spawn(drip(stream))),
            }
        }
        connecting.spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / CONNECTS);
            let mut open = Vec::new();
            for source in sources.iter().cycle() {
                ticks.tick().await;
                open.push(connect_from(source, address).await);
            }
        });
        Self { _open: open, _connecting: connecting }
    }
}

/// Sends another request; whether it is answered.
async fn is_open(stream: &mut TcpStream) -> bool {
    let missing = request("GET", "/missing", &[], "").replace("Connection: close\r\n", "");
    let mut answer = [0; 1024];
    stream.write_all(missing.as_bytes()).await.is_ok()
        && stream.read(&mut answer).await.is_ok_and(|_| answer.starts_with(b"HTTP/1.1 404 "))
}

/// Sends one request, reads its answer and keeps the connection.
async fn idle<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    let missing = request("GET", "/missing", &[], "").replace("Connection: close\r\n", "");
    // A connection may be evicted at once.
    if stream.write_all(missing.as_bytes()).await.is_ok() {
        let _ = stream.read(&mut [0; 1024]).await;
    }
    stream
}

/// Sends the head of a request, one byte per second, until the connection is closed.
async fn drip(mut stream: TcpStream) {
    let mut ticks = interval(Duration::from_secs(1));
    for byte in b"GET /session HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        ticks.tick().await;
        if stream.write_u8(*byte).await.is_err() {
            return;
        }
    }
}

/// A proxy that adds a round trip time: each direction is delayed by half of it. Its connections to the server come from `source`.
async fn distant(source: &str, server: SocketAddr, round_trip: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, source) = (listener.local_addr().unwrap(), source.to_owned());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = connect_from(&source, server).await;
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(delay(from_client, to_server, round_trip / 2));
            tokio::spawn(delay(from_server, to_client, round_trip / 2));
        }
    });
    address
}

/// Forwards the data of `from`, and its end, with a delay.
async fn delay(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    by: Duration,
) {
    let (queue, mut queued) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if queue.send((Instant::now() + by, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
        let _ = queue.send((Instant::now() + by, Vec::new()));
    });
    while let Some((at, bytes)) = queued.recv().await {
        sleep_until(at).await;
        if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
