//! A server, from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::connection::Timing;
use crate::error::ServerError;
use crate::listener::Listener;
use crate::metrics_server::MetricsServer;
use crate::options::{ServerOptions, Settings};
use crate::routes;
use crate::state::AppState;
use crate::tls::{Tls, TlsError};
use crate::upkeep;

/// How long what was begun may take after the server was asked to end.
const GRACE: Duration = Duration::from_secs(10);

/// How many open files are left to everything but connections: the store, keys, listeners.
const OTHER_FILES: u64 = 128;

/// Lets companions claim setup codes and services check sessions.
///
/// It listens from [`bind`](Self::bind) on and answers while it [runs](Self::run). There may be
/// several on one database, in one process or in many.
#[derive(Debug)]
pub struct Server {
    claims: Listener,
    metrics: Option<MetricsServer>,
    handle: ServerHandle,
}

/// Changes a server while it runs. A clone is for the same one.
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
        let (router, tasks) = (routes::router(Arc::clone(&state)), &state.tasks);
        let claims =
            Listener::bind(options.listen, tls.clone(), router, max, timing, tasks).await?;
        let metrics = match options.metrics {
            Some(metrics) => Some(MetricsServer::bind_with(metrics, timing, tasks).await?),
            None => None,
        };
        Ok(Self { claims, metrics, handle: ServerHandle { state, tls } })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.claims.address()
    }

    /// Where metrics are to be had, if they are.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(MetricsServer::local_addr)
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
    /// sessions that are long over are deleted every minute.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { claims, metrics, handle: ServerHandle { state, .. } } = self;
        let AppState { issuer, store, tasks, .. } = &*state;
        // When this future is dropped they end as well, without being waited for.
        let _end = tasks.shutdown_on_drop();
        let tables = [Some(claims.connections()), metrics.as_ref().map(MetricsServer::connections)];
        let show_metrics = async {
            match metrics {
                Some(metrics) => metrics.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = claims.accept() => {}
            () = show_metrics => {}
            () = upkeep::read_keys(Arc::clone(issuer)) => {}
            () = upkeep::purge(Arc::clone(store)) => {}
        }
        if !tasks.shut_down(GRACE).await {
            tracing::warn!("some connections did not end in time and were closed");
            tables.iter().flatten().for_each(|connections| connections.close_all());
        }
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
        tls.reload().await
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

/// How many connections the system has files for.
fn max_files() -> usize {
    let max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(max.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}
