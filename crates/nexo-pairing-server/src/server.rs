//! The server: its listeners, and what goes on beside the requests.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use nexo_pairing_core::{SystemClock, WarningLimiter};
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::answer::Refusal;
use crate::connection::{self, Complete, Connection, Timing};
use crate::connections::Connections;
use crate::options::{MetricsOptions, ServerOptions, Settings};
use crate::peer::Peer;
use crate::routes;
use crate::state::AppState;
use crate::tls::{TlsError, TlsFiles};
use crate::upkeep;

/// How long what was begun may take after the server was asked to end.
const GRACE: Duration = Duration::from_secs(10);

/// How many connections may ask for metrics at once.
const MAX_METRICS_CONNECTIONS: usize = 16;

/// How many open files are left to everything but connections: the store, keys, listeners.
const OTHER_FILES: u64 = 128;

/// How long nobody is let in when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(10);

/// Lets companions claim setup codes and services check sessions.
///
/// It listens from [`bind`](Self::bind) on and answers while it [runs](Self::run). There may be
/// several on one database, in one process or in many.
#[derive(Debug)]
pub struct Server {
    claims: Listener,
    metrics: Option<Listener>,
    handle: ServerHandle,
}

/// Changes a server while it runs. A clone is for the same one.
#[derive(Clone)]
pub struct ServerHandle {
    state: Arc<AppState>,
    tls: Option<Tls>,
}

/// The certificate, and where it was read.
#[derive(Clone)]
struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It cannot listen there.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Server {
    /// Reads the certificate and listens.
    ///
    /// # Errors
    ///
    /// [`ServerError`], with the address or the file that is wrong.
    pub async fn bind(options: ServerOptions) -> Result<Self, ServerError> {
        let timing = Timing { handshake: options.handshake_timeout, idle: options.idle_timeout };
        let tls = match options.tls {
            Some(files) => Some(Tls::load(files).await?),
            None => None,
        };
        let max = options.max_connections.min(max_files());
        let state =
            AppState::new(options.backend, options.issuer, options.clock, options.settings, max);
        let router = routes::router(Arc::clone(&state));
        let claims = Listener::bind(options.listen, tls.clone(), router, max, timing).await?;
        let metrics = match options.metrics {
            Some(metrics) => {
                let (listen, router) = (metrics.listen, metrics_router(&metrics));
                let max = MAX_METRICS_CONNECTIONS;
                Some(Listener::bind(listen, None, router, max, timing).await?)
            }
            None => None,
        };
        Ok(Self { claims, metrics, handle: ServerHandle { state, tls } })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.claims.address
    }

    /// Where metrics are to be had, if they are.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// What changes it while it runs.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Answers until `shutdown` is there. Then nobody else is let in, and what was begun has 10 s to
    /// be finished.
    ///
    /// Meanwhile the key ring is read again every second, so that another process can change it, and
    /// sessions that are long over are deleted every hour.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { claims, metrics, handle } = self;
        let (stop, stopping) = watch::channel(false);
        let open = [Some(&claims), metrics.as_ref()]
            .map(|listener| listener.map(|listener| Arc::clone(&listener.connections)));
        {
            let metrics = async {
                match metrics {
                    Some(metrics) => metrics.accept(stopping.clone()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown => {}
                () = claims.accept(stopping.clone()) => {}
                () = metrics => {}
                () = upkeep::read_keys(Arc::clone(&handle.state.issuer)) => {}
                () = upkeep::purge(Arc::clone(&handle.state.store)) => {}
            }
        }
        drop(stopping);
        stop.send_replace(true);
        if timeout(GRACE, stop.closed()).await.is_err() {
            tracing::warn!("some connections did not end in time and were closed");
            for connections in open.iter().flatten() {
                connections.close_all();
            }
        }
    }
}

/// Shows metrics, for a process that has no [`Server`].
#[derive(Debug)]
pub struct MetricsServer(Listener);

impl MetricsServer {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`].
    pub async fn bind(options: MetricsOptions) -> Result<Self, ServerError> {
        let (handshake, idle) = (Duration::from_secs(10), Duration::from_secs(120));
        let (router, timing) = (metrics_router(&options), Timing { handshake, idle });
        let max = MAX_METRICS_CONNECTIONS;
        Ok(Self(Listener::bind(options.listen, None, router, max, timing).await?))
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Answers, for as long as it is polled.
    pub async fn run(self) {
        let (_stop, stopping) = watch::channel(false);
        self.0.accept(stopping).await;
    }
}

impl ServerHandle {
    /// Changes the settings, for requests from now on.
    pub fn set(&self, settings: Settings) {
        self.state.set(settings);
    }

    /// Reads certificate and key again, for connections from now on. Without them there is nothing
    /// to do.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; what was read before is then used as it was.
    pub async fn reload_tls(&self) -> Result<(), TlsError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let config = load(tls.files.clone()).await?;
        *tls.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

impl Tls {
    async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = load(files.clone()).await?;
        Ok(Self { files, config: Arc::new(RwLock::new(config)) })
    }

    fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

async fn load(files: TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let path = files.cert.clone();
    let ended = |error| TlsError::Read { path, source: io::Error::other(error) };
    spawn_blocking(move || files.load()).await.map_err(ended)?
}

/// An address at which connections come in.
struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    connections: Arc<Connections>,
    timing: Timing,
}

impl Listener {
    async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        router: Router,
        max_connections: usize,
        timing: Timing,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let connections = Connections::new(max_connections);
        Ok(Self { listener, address, tls, router, connections, timing })
    }

    /// Lets connections in, for ever.
    async fn accept(self, stopping: watch::Receiver<bool>) {
        let warnings = WarningLimiter::new(SystemClock::shared());
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.serve(stream, address, stopping.clone()),
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

    fn serve(&self, stream: TcpStream, address: SocketAddr, stopping: watch::Receiver<bool>) {
        let deadline = Instant::now() + self.timing.handshake;
        let peer = address.ip();
        let Some((place, evicted)) = self.connections.admit(Peer::of(peer), deadline) else {
            return;
        };
        // An answer is one small packet, and nothing comes behind it.
        let _ = stream.set_nodelay(true);
        let connection = Connection::new(peer, place, self.timing, stopping);
        let tls = self.tls.as_ref().map(Tls::acceptor);
        tokio::spawn(connection::serve(stream, tls, self.router.clone(), connection, evicted));
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How many connections the system has files for.
fn max_files() -> usize {
    let max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(max.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}

fn metrics_router(metrics: &MetricsOptions) -> Router {
    let render = Arc::clone(&metrics.render);
    let show = async move |_: Complete| {
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        ([(header::CONTENT_TYPE, kind)], render()).into_response()
    };
    Router::new()
        .route("/metrics", get(show))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
}
