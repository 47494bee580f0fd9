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

    /// The same options, with this [`settings`](Self::settings).
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The same options, with this [`listen`](Self::listen).
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// The same options, with this [`metrics`](Self::metrics).
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsOptions) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The same options, with this [`tls`](Self::tls).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsFiles) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same options, with this [`max_connections`](Self::max_connections).
    #[must_use]
    pub fn with_max_connections(mut self, max_connections: usize) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// The same options, with this [`handshake_timeout`](Self::handshake_timeout).
    #[must_use]
    pub fn with_handshake_timeout(mut self, handshake_timeout: Duration) -> Self {
        self.handshake_timeout = handshake_timeout;
        self
    }

    /// The same options, with this [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// The same options, with this [`clock`](Self::clock).
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
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

impl Settings {
    /// The same settings, with this [`session_ttl`](Self::session_ttl).
    #[must_use]
    pub fn with_session_ttl(mut self, session_ttl: Duration) -> Self {
        self.session_ttl = session_ttl;
        self
    }

    /// The same settings, with this [`renew_for`](Self::renew_for).
    #[must_use]
    pub fn with_renew_for(mut self, renew_for: Duration) -> Self {
        self.renew_for = renew_for;
        self
    }

    /// The same settings, with this [`on_replay`](Self::on_replay).
    #[must_use]
    pub fn with_on_replay(mut self, on_replay: OnReplay) -> Self {
        self.on_replay = on_replay;
        self
    }

    /// The same settings, with this [`trusted_proxies`](Self::trusted_proxies).
    #[must_use]
    pub fn with_trusted_proxies(
        mut self,
        trusted_proxies: impl IntoIterator<Item = Network>,
    ) -> Self {
        self.trusted_proxies = trusted_proxies.into_iter().collect();
        self
    }

    /// The same settings, with this [`allowed_origins`](Self::allowed_origins).
    #[must_use]
    pub fn with_allowed_origins(
        mut self,
        allowed_origins: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.allowed_origins = allowed_origins.into_iter().map(Into::into).collect();
        self
    }
}
