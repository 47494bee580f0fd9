//! `GET /metrics`, at an address of its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::answer::Refusal;
use crate::connection::{Complete, Timing};
use crate::connections::Connections;
use crate::error::ServerError;
use crate::listener::Listener;
use crate::prometheus::{PrometheusRecorder, RecorderError};
use crate::tasks::Tasks;

/// How many connections may ask for metrics at once.
const MAX_CONNECTIONS: usize = 16;

/// Where metrics are to be had.
#[derive(Clone)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// Where it listens, for `GET /metrics`. Anybody who gets there may read them.
    pub listen: SocketAddr,
    /// Writes them down, in Prometheus' text format.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
}

impl MetricsOptions {
    /// Metrics as `render` writes them, at this address.
    pub fn new(listen: SocketAddr, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { listen, render: Arc::new(render) }
    }

    /// Metrics that this process records from now on, at this address. Call it before a gate, a store or
    /// a server is made: these keep the recorder that they find.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Installed`] when the process records its metrics already.
    pub fn prometheus(listen: SocketAddr) -> Result<Self, RecorderError> {
        let recorder = PrometheusRecorder::install()?;
        Ok(Self::new(listen, move || recorder.render()))
    }
}

impl fmt::Debug for MetricsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsOptions").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// Shows metrics, for a process that has no [`Server`](crate::Server).
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
        Self::bind_with(options, Timing { handshake, idle }, &Tasks::default()).await
    }

    /// Listens for a server, whose tasks are `tasks`.
    pub(crate) async fn bind_with(
        options: MetricsOptions,
        timing: Timing,
        tasks: &Tasks,
    ) -> Result<Self, ServerError> {
        let (listen, router) = (options.listen, router(options));
        let listener = Listener::bind(listen, None, router, MAX_CONNECTIONS, timing, tasks).await?;
        Ok(Self { listener, tasks: tasks.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers, for as long as it is polled.
    pub async fn run(self) {
        let _end = self.tasks.shutdown_on_drop();
        self.listener.accept().await;
    }

    /// [`run`](Self::run) for a server, which ends the connections itself.
    pub(crate) async fn accept(self) {
        self.listener.accept().await;
    }

    pub(crate) fn connections(&self) -> Arc<Connections> {
        self.listener.connections()
    }
}

fn router(options: MetricsOptions) -> Router {
    let show = async move |_: Complete| {
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        ([(header::CONTENT_TYPE, kind)], (options.render)()).into_response()
    };
    Router::new()
        .route("/metrics", get(show))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
}
