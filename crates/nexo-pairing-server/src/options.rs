//! What a server may be told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::limits::{SESSION_RENEWAL, SESSION_TTL};
use nexo_pairing_core::{Clock, IntoBackend, Network, OnReplay, SessionBackend, SystemClock};
use nexo_pairing_setup::SetupCodeIssuer;

use crate::metrics_server::MetricsOptions;
use crate::tls::TlsFiles;

/// Where a server listens unless it is told otherwise: 127.0.0.1:7780.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);

/// What a server may be told when it starts.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Where setup codes are used up and sessions are kept.
    pub backend: Arc<dyn SessionBackend>,
    /// Who verifies the tokens of setup codes.
    pub issuer: Arc<SetupCodeIssuer>,
    /// What can be changed while it runs.
    pub settings: Settings,
    /// Where it listens. Port 0 takes a free one. Default [`DEFAULT_LISTEN`].
    pub listen: SocketAddr,
    /// Where metrics are to be had. Default: nowhere.
    pub metrics: Option<MetricsOptions>,
    /// Certificate and key. Default: none, then it speaks cleartext.
    pub tls: Option<TlsFiles>,
    /// How many connections may be open at once: at least one, and 128 less than the process may have
    /// open files. Default 1024.
    pub max_connections: usize,
    /// How long a connection has until its first request is complete, and a later request from its
    /// head on. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may be idle between two requests; longer than proxies keep theirs. Default
    /// 120 s.
    pub idle_timeout: Duration,
    /// Where the time comes from, for who fails too often. Default: the operating system.
    pub clock: Arc<dyn Clock>,
}

impl ServerOptions {
    /// The defaults, with this backend and this issuer.
    #[must_use]
    pub fn new(
        backend: impl IntoBackend<dyn SessionBackend>,
        issuer: impl Into<Arc<SetupCodeIssuer>>,
    ) -> Self {
        Self {
            backend: backend.into_backend(),
            issuer: issuer.into(),
            settings: Settings::default(),
            listen: DEFAULT_LISTEN,
            metrics: None,
            tls: None,
            max_connections: 1024,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            clock: SystemClock::shared(),
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend: _, issuer: _, settings, listen, metrics, tls, .. } = self;
        f.debug_struct("ServerOptions")
            .field("settings", settings)
            .field("listen", listen)
            .field("metrics", metrics)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

/// What can be changed while a server runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How long a session lives, also from a renewal on, within [`SESSION_TTL`].
    pub session_ttl: Duration,
    /// For how long a session can be renewed, from its beginning on, within [`SESSION_RENEWAL`].
    pub renew_for: Duration,
    /// What a setup code that is presented twice does. Default: its session is revoked.
    pub on_replay: OnReplay,
    /// The networks of the proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The origins of web pages that may claim, such as `https://nexo.example.com`. Default: none.
    pub allowed_origins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_ttl: SESSION_TTL.default,
            renew_for: SESSION_RENEWAL.default,
            on_replay: OnReplay::default(),
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }
}
