//! Accepts connections at an address.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use nexo_pairing_core::{SystemClock, WarningLimiter};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::connection::{self, Connection, Timing};
use crate::connections::Connections;
use crate::error::ServerError;
use crate::peer::Peer;
use crate::tasks::Tasks;
use crate::tls::Tls;

/// The pause after a connection could not be accepted.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// A bound address and its connections.
pub(crate) struct Listener {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    pub(crate) connections: Arc<Connections>,
    timing: Timing,
    tasks: Tasks,
}

impl Listener {
    /// Listens. `tasks` gets the tasks of its connections.
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        router: Router,
        max_connections: usize,
        timing: Timing,
        tasks: &Tasks,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let connections = Connections::new(max_connections);
        let tasks = tasks.clone();
        Ok(Self { listener, address, tls, router, connections, timing, tasks })
    }

    /// Accept loop. Stops listening when dropped.
    pub(crate) async fn accept(self) {
        let warnings = WarningLimiter::new(SystemClock::shared());
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.serve(stream, address),
                // The client is already gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(suppressed) = warnings.allow(error.kind()) {
                        tracing::warn!(%error, suppressed, "failed to accept a connection");
                    }
                    self.connections.make_room();
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let deadline = Instant::now() + self.timing.handshake;
        let peer = address.ip();
        let Some((slot, evicted)) = self.connections.admit(Peer::of(peer), deadline) else {
            return;
        };
        // A response is one small packet, and nothing follows it.
        let _ = stream.set_nodelay(true);
        let shutdown = self.tasks.shutdown.clone();
        let connection = Connection::new(peer, slot, self.timing, shutdown);
        let tls = self.tls.as_ref().map(Tls::acceptor);
        let served = connection::serve(stream, tls, self.router.clone(), connection, evicted);
        self.tasks.tracker.spawn(served);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}
