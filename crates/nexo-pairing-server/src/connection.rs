//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::connections::{Evicted, Slot};
use crate::error::ApiError;

/// The largest head of a request, in bytes. A proxy that checks a session forwards what its client
/// sent, with all cookies.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const MAX_HEADERS: usize = 100;

/// How long a response may take once its request is complete: longer than any operation of the
/// backend.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// From its start until its first request is complete; later, from the head of a request to its end.
    pub(crate) handshake: Duration,
    /// From a response until the head of the next request is complete.
    pub(crate) idle: Duration,
}

/// A protocol that takes over from HTTP until the end of a connection.
type Protocol = Box<dyn FnOnce(Arc<Connection>) -> BoxFuture<'static, ()> + Send>;

/// A connection, as the handlers of its requests see it.
pub(crate) struct Connection {
    /// The address that is connected: the client, or a proxy.
    pub(crate) peer: IpAddr,
    /// Takes over after the last response.
    next: Mutex<Option<Protocol>>,
    slot: Slot,
    timing: Timing,
    shutdown: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        peer: IpAddr,
        slot: Slot,
        timing: Timing,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { peer, next: Mutex::default(), slot, timing, shutdown })
    }

    /// The connection of a request.
    pub(crate) fn of(parts: &Parts) -> Result<&Self, ApiError> {
        parts.extensions.get::<Arc<Self>>().map(AsRef::as_ref).ok_or(ApiError::Unavailable)
    }

    /// The time by which the request has to be complete.
    pub(crate) fn deadline(&self) -> Instant {
        self.slot.deadline()
    }

    /// The request is complete: from now on the connection is not evicted. An error if it already was.
    pub(crate) fn begin_response(&self) -> Result<(), ApiError> {
        let is_open = self.slot.begin_response(Instant::now() + RESPONSE_TIMEOUT);
        if is_open { Ok(()) } else { Err(ApiError::Unavailable) }
    }

    /// The response is ready, and the connection is idle for up to `timeout`. It may be evicted.
    pub(crate) fn end_response(&self, timeout: Duration) {
        self.slot.end_response(Instant::now() + timeout);
    }

    /// Runs `protocol` in place of HTTP once the request is answered.
    pub(crate) fn switch_to<F>(&self, protocol: impl FnOnce(Arc<Self>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let next: Protocol = Box::new(|connection| Box::pin(protocol(connection)));
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }
}

/// Serves a connection until it ends, times out or is evicted.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    connection: Arc<Connection>,
    evicted: Evicted,
) {
    let work = async {
        let Some(tls) = tls else { return serve_http(stream, router, &connection).await };
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = connection.shutdown.cancelled() => return,
        };
        match accepted {
            Ok(stream) => serve_http(stream, router, &connection).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    };
    tokio::select! {
        biased;
        _ = evicted => tracing::debug!("a connection was evicted"),
        () = work => {}
        () = connection.slot.expired() => tracing::debug!("a connection timed out"),
    }
}

/// Serves the requests of a connection, and the protocol that the last of them switched to.
async fn serve_http(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    connection: &Arc<Connection>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| respond(&router, request, connection));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Slot` holds the deadline of the whole connection.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut http = std::pin::pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = connection.shutdown.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection failed");
    }
    let next = connection.next.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(next) = next {
        next(Arc::clone(connection)).await;
    }
}

/// Answers a request, and moves the deadline of its connection.
async fn respond(
    router: &TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Infallible> {
    let Connection { slot, timing, .. } = &**connection;
    slot.begin_request(Instant::now() + timing.handshake);
    request.extensions_mut().insert(Arc::clone(connection));
    let mut response = router.call(request).await?;
    // A response is valid at this moment only, and may contain a token.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        connection.end_response(timing.idle);
    }
    Ok(response)
}
