//! `GET /metrics`, at an address of its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderValue, header};
use axum::routing::get;

use crate::connection::{Connection, Timing};
use crate::error::{ApiError, ServerError};
use crate::listener::Listener;
use crate::prometheus::{PrometheusRecorder, RecorderError};
use crate::tasks::Tasks;

/// The number of connections that may ask for metrics at once.
const MAX_CONNECTIONS: usize = 16;

/// Where and how metrics are served.
#[derive(Clone)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// The address for `GET /metrics`. There is no access control.
    pub listen: SocketAddr,
    /// Renders the metrics in Prometheus' text format.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
}

impl MetricsOptions {
    /// Serves what `render` returns at this address.
    pub fn new(listen: SocketAddr, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { listen, render: Arc::new(render) }
    }

    /// Serves the metrics that this process records from now on. Call it before creating a gate, a store
    /// or a server: they keep the recorder that is installed at that time.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Installed`] if the process already has a recorder.
    pub fn prometheus(listen: SocketAddr) -> Result<Self, RecorderError> {
        let recorder = PrometheusRecorder::install()?;
        Ok(Self::new(listen, move || recorder.render()))
    }

    /// Listens for a server with these tasks.
    pub(crate) async fn bind(self, timing: Timing, tasks: &Tasks) -> Result<Listener, ServerError> {
        let metrics = async move |Extension(connection): Extension<Arc<Connection>>| {
            connection.begin_response()?;
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            Ok::<_, ApiError>(([(header::CONTENT_TYPE, kind)], (self.render)()))
        };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .fallback(async || ApiError::NotFound)
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
        Listener::bind(self.listen, None, router, MAX_CONNECTIONS, timing, tasks).await
    }
}

impl fmt::Debug for MetricsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsOptions").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// Serves metrics, for a process that has no [`Server`](crate::Server).
#[derive(Debug)]
pub struct MetricsServer {
    listener: Listener,
    tasks: Tasks,
}

impl MetricsServer {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`].
    pub async fn bind(options: MetricsOptions) -> Result<Self, ServerError> {
        let (handshake, idle) = (Duration::from_secs(10), Duration::from_secs(120));
        let tasks = Tasks::default();
        let listener = options.bind(Timing { handshake, idle }, &tasks).await?;
        Ok(Self { listener, tasks })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address
    }

    /// Answers requests until the future is dropped.
    pub async fn run(self) {
        let _shutdown = self.tasks.shutdown.drop_guard();
        self.listener.accept().await;
    }
}
