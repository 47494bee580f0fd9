//! The state shared by all connections.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::http::HeaderMap;
use nexo_pairing_core::{Clock, PairingError, Session, SessionBackend, SessionId, WarningLimiter};
use nexo_pairing_setup::SetupCodeIssuer;

use crate::claim_metrics::ClaimMetrics;
use crate::error::ApiError;
use crate::health::Health;
use crate::options::Settings;
use crate::peer::{self, FORWARDED_FOR, Peer};
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::writes::{Credential, WriteLimiter, WritePermit};

/// The number of sessions that may be written as last seen at once.
const MAX_TOUCHING: usize = 256;

/// The state shared by all connections.
pub(crate) struct AppState {
    pub(crate) store: Arc<dyn SessionBackend>,
    pub(crate) issuer: Arc<SetupCodeIssuer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) throttle: Throttle,
    pub(crate) claim_metrics: ClaimMetrics,
    health: Health,
    /// Rejected claims, by reason and peer.
    pub(crate) rejected: WarningLimiter<(&'static str, Peer)>,
    /// Failures of the backend, by operation.
    failed: WarningLimiter<&'static str>,
    pub(crate) tasks: Tasks,
    writes: Arc<WriteLimiter>,
    settings: RwLock<Arc<Settings>>,
    touching: Mutex<HashSet<SessionId>>,
    has_warned_of_proxy: AtomicBool,
}

impl AppState {
    pub(crate) fn new(
        store: Arc<dyn SessionBackend>,
        issuer: Arc<SetupCodeIssuer>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        max_connections: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            throttle: Throttle::new(Arc::clone(&clock)),
            claim_metrics: ClaimMetrics::new(),
            health: Health::new(Arc::clone(&clock)),
            rejected: WarningLimiter::new(Arc::clone(&clock)),
            failed: WarningLimiter::new(Arc::clone(&clock)),
            tasks: Tasks::default(),
            writes: WriteLimiter::new(max_connections),
            settings: RwLock::new(Arc::new(settings)),
            touching: Mutex::default(),
            has_warned_of_proxy: AtomicBool::new(false),
            store,
            issuer,
            clock,
        })
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The address of the client that sent a request.
    pub(crate) fn client(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.settings().trusted_proxies;
        let is_trusted = |address| proxies.iter().any(|network| network.contains(address));
        let client = peer::client_address(connected, headers, is_trusted);
        if headers.contains_key(FORWARDED_FOR) && !is_trusted(connected) {
            self.warn_of_proxy(connected);
        }
        client
    }

    /// Warns once of an untrusted proxy: all its clients count as one, which is easily overlooked.
    fn warn_of_proxy(&self, address: IpAddr) {
        if !self.has_warned_of_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %address,
                "ignored X-Forwarded-For from an address that is not a trusted proxy; \
                 if it is a proxy, add it to trusted_proxies"
            );
        }
    }

    /// Logs a failure of the backend. The reply to the client does not contain it.
    pub(crate) fn unavailable(&self, what: &'static str, error: &PairingError) -> ApiError {
        if let Some(suppressed) = self.failed.allow(what) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, suppressed, "failed to {what}");
        }
        ApiError::Unavailable
    }

    /// Whether the backend can be read and written.
    pub(crate) async fn is_healthy(self: &Arc<Self>) -> bool {
        let state = Arc::clone(self);
        let probe = async move {
            let result = state.store.probe().await;
            result.map_err(|error| state.unavailable("use the store", &error)).is_ok()
        };
        self.health.check(probe).await
    }

    /// A permit for a client to write, unless too many writes are in progress.
    pub(crate) fn begin_write(
        &self,
        client: IpAddr,
        credential: Credential,
    ) -> Result<WritePermit, ApiError> {
        self.writes.acquire(Peer::of(client), credential).ok_or_else(|| {
            if let Some(suppressed) = self.failed.allow("begin a write") {
                tracing::warn!(
                    suppressed,
                    "rejected a write: too many are waiting for the database"
                );
            }
            ApiError::Unavailable
        })
    }

    /// Records in the background when and from where a session was last seen: at most once a minute per
    /// session, regardless of the number of requests.
    pub(crate) fn touch(self: &Arc<Self>, session: &Session, client: IpAddr) {
        if !session.wants_touch(self.clock.now()) {
            return;
        }
        let id = session.id.clone();
        let mut touching = self.touching.lock().unwrap_or_else(PoisonError::into_inner);
        if touching.len() >= MAX_TOUCHING || !touching.insert(id.clone()) {
            return;
        }
        drop(touching);
        let state = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = state.store.touch(&id, Some(client.into())).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "failed to record that a session was seen"
                );
            }
            state.touching.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
}
