//! An address at which connections come in.

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

/// How long nobody is let in when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(10);

/// An address at which connections come in.
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    connections: Arc<Connections>,
    timing: Timing,
    tasks: Tasks,
}

impl Listener {
    /// Listens. The tasks of its connections are among `tasks`.
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

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The table of its connections.
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Lets connections in, for as long as it is polled. Nobody is let in any more when that ends.
    pub(crate) async fn accept(self) {
        let warnings = WarningLimiter::new(SystemClock::shared());
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.serve(stream, address),
                // Gone before it was let in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(suppressed) = warnings.allow(error.kind()) {
                        tracing::warn!(%error, suppressed, "failed to accept a connection");
                    }
                    self.connections.make_room();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let deadline = Instant::now() + self.timing.handshake;
        let peer = address.ip();
        let Some((place, evicted)) = self.connections.admit(Peer::of(peer), deadline) else {
            return;
        };
        // An answer is one small packet, and nothing comes behind it.
        let _ = stream.set_nodelay(true);
        let connection = Connection::new(peer, place, self.timing, self.tasks.shutdown());
        let tls = self.tls.as_ref().map(Tls::acceptor);
        self.tasks.spawn(connection::serve(stream, tls, self.router.clone(), connection, evicted));
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}
