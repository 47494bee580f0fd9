//! What all connections share.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::http::HeaderMap;
use nexo_pairing_core::{Clock, PairingError, Session, SessionBackend, SessionId, WarningLimiter};
use nexo_pairing_setup::SetupCodeIssuer;

use crate::answer::Refusal;
use crate::counters::ClaimCounters;
use crate::health::Health;
use crate::options::Settings;
use crate::peer::{self, FORWARDED_FOR, Peer};
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::writes::{InFlight, Secret, Writes};

/// How many sessions may be waiting at once for being noted as seen.
const MAX_TOUCHING: usize = 256;

/// What all connections share.
pub(crate) struct AppState {
    pub(crate) store: Arc<dyn SessionBackend>,
    pub(crate) issuer: Arc<SetupCodeIssuer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) throttle: Throttle,
    pub(crate) counters: ClaimCounters,
    health: Health,
    /// Claims that were refused, by reason and peer.
    pub(crate) refused: WarningLimiter<(&'static str, Peer)>,
    /// What failed for want of the store.
    failed: WarningLimiter<&'static str>,
    /// What the server waits for at its end: connections, and what they began.
    pub(crate) tasks: Tasks,
    writes: Arc<Writes>,
    settings: RwLock<Arc<Settings>>,
    touching: Mutex<HashSet<SessionId>>,
    told_of_a_proxy: AtomicBool,
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
            counters: ClaimCounters::new(),
            health: Health::new(Arc::clone(&clock)),
            refused: WarningLimiter::new(Arc::clone(&clock)),
            failed: WarningLimiter::new(Arc::clone(&clock)),
            tasks: Tasks::default(),
            writes: Writes::of(max_connections),
            settings: RwLock::new(Arc::new(settings)),
            touching: Mutex::default(),
            told_of_a_proxy: AtomicBool::new(false),
            store,
            issuer,
            clock,
        })
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The address that sent a request.
    pub(crate) fn client(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.settings().trusted_proxies;
        let is_trusted = |address| proxies.iter().any(|network| network.contains(address));
        let client = peer::client(connected, headers, is_trusted);
        if headers.contains_key(FORWARDED_FOR) && !is_trusted(connected) {
            self.tell_once_of_a_proxy(connected);
        }
        client
    }

    /// All clients of a proxy that is not trusted are one. That is easily overlooked.
    fn tell_once_of_a_proxy(&self, address: IpAddr) {
        if !self.told_of_a_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %address,
                "requests have an X-Forwarded-For and come from an address that is no trusted proxy; \
                 if it is one, add it to trusted_proxies"
            );
        }
    }

    /// Refuses a request because the store failed. The log tells the operator why, the answer does not.
    pub(crate) fn unavailable(&self, what: &'static str, error: &PairingError) -> Refusal {
        if let Some(suppressed) = self.failed.allow(what) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, suppressed, "failed to {what}");
        }
        Refusal::Unavailable
    }

    /// Whether the store can be read and written.
    pub(crate) async fn is_well(self: &Arc<Self>) -> bool {
        let state = Arc::clone(self);
        let look = async move {
            let probe = state.store.probe().await;
            probe.map_err(|error| state.unavailable("use the store", &error)).is_ok()
        };
        self.health.check(look).await
    }

    /// Begins a write of a client, who is refused when too many are in flight.
    pub(crate) fn begin_write(&self, client: IpAddr, secret: Secret) -> Result<InFlight, Refusal> {
        self.writes.begin(Peer::of(client), secret).ok_or_else(|| {
            if let Some(suppressed) = self.failed.allow("begin a write") {
                tracing::warn!(suppressed, "refused a write: too many wait for the database");
            }
            Refusal::Unavailable
        })
    }

    /// Records, without the caller waiting for it, that a device was heard of and from where. A session
    /// is written at most once a minute, however many requests come in the meantime.
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
                    "a session was not noted as seen"
                );
            }
            state.touching.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
}
