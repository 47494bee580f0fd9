//! Server configuration.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use nexo_pairing_core::limits::{SESSION_RENEWAL, SESSION_TTL};
use nexo_pairing_core::{Clock, IntoBackend, Network, OnReplay, SessionBackend, SystemClock};
use nexo_pairing_setup::SetupCodeIssuer;

use crate::metrics_server::MetricsOptions;
use crate::tls::TlsFiles;

/// The default listen address of a server: 127.0.0.1:7780.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);

/// The options of a server, fixed when it starts.
#[derive(Clone, Setters)]
#[setters(prefix = "with_")]
#[non_exhaustive]
pub struct ServerOptions {
    /// Redeems setup codes and stores sessions.
    #[setters(skip)]
    pub backend: Arc<dyn SessionBackend>,
    /// Verifies the tokens of setup codes.
    #[setters(skip)]
    pub issuer: Arc<SetupCodeIssuer>,
    /// The settings that can be changed while it runs.
    pub settings: Settings,
    /// The address for claims and sessions. Port 0 takes a free one. Default [`DEFAULT_LISTEN`].
    pub listen: SocketAddr,
    /// Where and how metrics are served. Default: not at all.
    #[setters(strip_option)]
    pub metrics: Option<MetricsOptions>,
    /// Certificate and key. Default: cleartext.
    #[setters(strip_option)]
    pub tls: Option<TlsFiles>,
    /// The number of connections that may be open at once: at least one, and at most 128 less than the
    /// process's limit of open files. Default 1024.
    pub max_connections: usize,
    /// The time from the start of a connection until its first request is complete, and from the head of
    /// a later request until its end. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may be idle between two requests: longer than proxies keep theirs. Default
    /// 120 s.
    pub idle_timeout: Duration,
    /// The clock of the rate limit and of logged warnings. Default: the operating system's.
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
        let Self { settings, listen, metrics, tls, .. } = self;
        f.debug_struct("ServerOptions")
            .field("settings", settings)
            .field("listen", listen)
            .field("metrics", metrics)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

/// The settings of a server that can be changed while it runs.
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
#[non_exhaustive]
pub struct Settings {
    /// The lifetime of a session, and of one that is renewed, within [`SESSION_TTL`].
    pub session_ttl: Duration,
    /// How long after its start a session can be renewed, within [`SESSION_RENEWAL`].
    pub renew_for: Duration,
    /// What happens when a setup code is presented twice. Default: its session is revoked.
    pub on_replay: OnReplay,
    /// The networks of proxies whose `X-Forwarded-For` is trusted. Default: empty.
    #[setters(into)]
    pub trusted_proxies: Vec<Network>,
    /// The origins of web pages that may claim, such as `https://nexo.example.com`. Default: empty.
    #[setters(into)]
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
