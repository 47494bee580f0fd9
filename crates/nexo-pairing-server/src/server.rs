//! The server, from start to shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::background;
use crate::connection::Timing;
use crate::error::ServerError;
use crate::listener::Listener;
use crate::options::{ServerOptions, Settings};
use crate::routes;
use crate::state::AppState;
use crate::tls::{Tls, TlsError};

/// How long requests in progress may take after the server was asked to shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The number of open files reserved for everything but connections: the store, keys, listeners.
const OTHER_FILES: u64 = 128;

/// Lets companions claim setup codes and services check sessions.
///
/// It listens from [`bind`](Self::bind) on and answers while it [runs](Self::run). Several servers, in one
/// process or in many, can share a database.
#[derive(Debug)]
pub struct Server {
    claims: Listener,
    metrics: Option<Listener>,
    handle: ServerHandle,
}

/// Changes a server while it runs. Clones control the same server.
#[derive(Clone)]
pub struct ServerHandle {
    state: Arc<AppState>,
    tls: Option<Tls>,
}

impl Server {
    /// Reads the certificate and listens.
    ///
    /// # Errors
    ///
    /// [`ServerError`], with the invalid address or file.
    pub async fn bind(options: ServerOptions) -> Result<Self, ServerError> {
        let timing = Timing { handshake: options.handshake_timeout, idle: options.idle_timeout };
        let tls = match options.tls {
            Some(files) => Some(Tls::load(files).await?),
            None => None,
        };
        let max = options.max_connections.min(max_files());
        let state =
            AppState::new(options.backend, options.issuer, options.clock, options.settings, max);
        let (router, tasks) = (routes::router(Arc::clone(&state)), &state.tasks);
        let claims =
            Listener::bind(options.listen, tls.clone(), router, max, timing, tasks).await?;
        let metrics = match options.metrics {
            Some(metrics) => Some(metrics.bind(timing, tasks).await?),
            None => None,
        };
        Ok(Self { claims, metrics, handle: ServerHandle { state, tls } })
    }

    /// The address it listens on for claims and sessions.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.claims.address
    }

    /// The address it serves metrics on, if it does.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// A handle to change it while it runs.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Answers requests until `shutdown` resolves. Then it stops listening, and requests in progress have
    /// 10 s to finish.
    ///
    /// Meanwhile it reloads the key ring every second, so that another process can change it, and expires
    /// and deletes old sessions every minute.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { claims, metrics, handle: ServerHandle { state, .. } } = self;
        let AppState { issuer, store, tasks, .. } = &*state;
        // If this future is dropped, the tasks end as well, but nothing waits for them.
        let _shutdown = tasks.shutdown.clone().drop_guard();
        let listeners = [Some(&claims), metrics.as_ref()];
        let tables = listeners.map(|listener| listener.map(|it| Arc::clone(&it.connections)));
        let serve_metrics = async {
            match metrics {
                Some(metrics) => metrics.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = claims.accept() => {}
            () = serve_metrics => {}
            () = background::reload_keys(Arc::clone(issuer)) => {}
            () = background::purge_sessions(Arc::clone(store)) => {}
        }
        if !tasks.shut_down(SHUTDOWN_GRACE).await {
            tracing::warn!("some connections did not end in time and were closed");
            tables.iter().flatten().for_each(|connections| connections.close_all());
        }
    }
}

impl ServerHandle {
    /// Changes the settings for later requests.
    pub fn set(&self, settings: Settings) {
        self.state.set_settings(settings);
    }

    /// Reloads certificate and key for later connections. Does nothing without TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the previous certificate and key then stay in use.
    pub async fn reload_tls(&self) -> Result<(), TlsError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        tls.reload().await
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

/// The number of connections within the process's limit of open files.
fn max_files() -> usize {
    let max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(max.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}
