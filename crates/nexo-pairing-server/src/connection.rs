//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
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

use crate::answer::Refusal;
use crate::connections::{Evicted, Place};

/// How much the line and the headers of a request may take together, in bytes. A proxy that asks
/// about a session sends on what its client sent, with all cookies.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const MAX_HEADERS: usize = 100;

/// How long an answer may take once its request is complete: longer than the store ever does.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a connection has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// From its beginning until its first request is complete; later, from the head of a request on.
    pub(crate) handshake: Duration,
    /// From an answer until the head of the next request is complete.
    pub(crate) idle: Duration,
}

/// Another protocol than HTTP, spoken to the end of a connection.
type Next = Box<dyn FnOnce(Arc<Connection>) -> BoxFuture<'static, ()> + Send>;

/// A connection, as its requests see it.
pub(crate) struct Connection {
    /// The address that is connected: the client, or a proxy.
    pub(crate) peer: IpAddr,
    /// What follows the answer to its last request.
    next: Mutex<Option<Next>>,
    place: Place,
    timing: Timing,
    shutdown: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        peer: IpAddr,
        place: Place,
        timing: Timing,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { peer, next: Mutex::default(), place, timing, shutdown })
    }

    /// Until when the request has to be complete.
    pub(crate) fn deadline(&self) -> Instant {
        self.place.deadline()
    }

    /// The request is complete: from now on the connection is not given up for another one.
    pub(crate) fn answer_begins(&self) -> Result<(), Refusal> {
        let is_open = self.place.answer_begins(Instant::now() + ANSWER);
        if is_open { Ok(()) } else { Err(Refusal::Unavailable) }
    }

    /// The answer is there, and the other side has `time` to take it. Meanwhile the connection may be
    /// evicted, as one that is idle.
    pub(crate) fn answered_for(&self, time: Duration) {
        self.place.answered(Instant::now() + time);
    }

    /// Has `protocol` run once the request is answered, and HTTP is over with it.
    pub(crate) fn switch_to<F>(&self, protocol: impl FnOnce(Arc<Self>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let next: Next = Box::new(|connection| Box::pin(protocol(connection)));
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }
}

/// That a request is complete, for those that have no body.
pub(crate) struct Complete;

impl<S: Sync> FromRequestParts<S> for Complete {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let connection = parts.extensions.get::<Arc<Connection>>();
        connection.ok_or(Refusal::Unavailable)?.answer_begins().map(|()| Self)
    }
}

/// Serves a connection until it ends, is late or has to make room for another.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    connection: Arc<Connection>,
    evicted: Evicted,
) {
    let work = async {
        let Some(tls) = tls else { return exchange(stream, router, &connection).await };
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = connection.shutdown.cancelled() => return,
        };
        match accepted {
            Ok(stream) => exchange(stream, router, &connection).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    };
    tokio::select! {
        biased;
        _ = evicted => tracing::debug!("a connection made room for another"),
        () = work => {}
        () = connection.place.expired() => tracing::debug!("a connection was late"),
    }
}

/// Serves its requests, one after the other, and what the last of them switched to.
async fn exchange(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    connection: &Arc<Connection>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| answer(&router, request, connection));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        // The time of a connection is kept for it as a whole.
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

/// Answers a request, and keeps the connection's time meanwhile.
async fn answer(
    router: &TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Infallible> {
    let Connection { place, timing, .. } = &**connection;
    place.request_begins(Instant::now() + timing.handshake);
    request.extensions_mut().insert(Arc::clone(connection));
    let mut response = router.call(request).await?;
    // An answer tells of this moment only, and may hold a token.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        connection.answered_for(timing.idle);
    }
    Ok(response)
}
