//! Claims at the real server, over a connection that breaks after each byte once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nexo_pairing_core::ManualClock;
use nexo_pairing_server::{Server, ServerOptions};
use nexo_pairing_setup::SetupCodeIssuer;
use nexo_pairing_store::PairingStore;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The direction in which bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    There,
    Back,
}

/// A proxy; its first connection breaks after so many bytes in this direction.
struct Line {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Line {
    async fn new(to: SocketAddr, way: Way, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
                let limit = |this| if is_first && way == this { bytes } else { u64::MAX };
                tokio::spawn(pass(client, to, limit(Way::There), limit(Way::Back)));
            }
        });
        Self { address, connections }
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr, there: u64, back: u64) {
    let mut server = TcpStream::connect(to).await.unwrap();
    let (client_reads, mut client_writes) = client.split();
    let (server_reads, mut server_writes) = server.split();
    let (mut client_reads, mut server_reads) = (client_reads.take(there), server_reads.take(back));
    // When one direction ends, both connections are closed.
    tokio::select! {
        _ = copy(&mut client_reads, &mut server_writes) => {}
        _ = copy(&mut server_reads, &mut client_writes) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_cut_off_anywhere_gives_one_session_and_the_client_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = PairingStore::open_memory().await.unwrap();
    let issuer = SetupCodeIssuer::open_or_create(folder.path().join("pairing.key")).unwrap();
    let issuer = Arc::new(issuer);
    let mut options = ServerOptions::new(store.clone(), Arc::clone(&issuer));
    options.listen = "127.0.0.1:0".parse().unwrap();
    let clock = ManualClock::new(OffsetDateTime::now_utc());
    options.clock = clock.clone();
    let server = Server::bind(options).await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));

    let mut sessions = 0;
    for scheme in ["ws", "http"] {
        for way in [Way::There, Way::Back] {
            for bytes in 0.. {
                // More than ten claims a minute would be throttled.
                clock.advance(std::time::Duration::from_secs(10));
                let line = Line::new(address, way, bytes).await;
                let url = format!("{scheme}://{}/pair", line.address);
                let ttl = Duration::from_secs(3600);
                let code = issuer.issue_compact(&url, "companion-v1", ttl, None).unwrap();
                let place = format!("{scheme}, {way:?}, {bytes} bytes");
                let session = claim_at_once(&code).await;
                let session = session.unwrap_or_else(|error| panic!("{place}: {error:?}"));
                assert!(store.session(&session.token).await.unwrap().is_some(), "{place}");
                sessions += 1;
                if line.connections.load(Ordering::SeqCst) == 1 {
                    assert!(bytes > 100, "{place}: the connection did not break");
                    break;
                }
            }
        }
    }
    assert_eq!(store.list_sessions(true).await.unwrap().len(), sessions);
}
