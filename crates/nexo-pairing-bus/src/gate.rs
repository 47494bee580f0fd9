//! The gate as a service: its options, and what its tasks share.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nexo_pairing_core::metric;
use nexo_pairing_gate::PairingGate;
use nexo_pairing_nats::NatsError;

use crate::connections::Connections;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::stats::{Counts, Stats};
use crate::status::{Status, StatusLog};

/// The default queue group of gates.
pub const DEFAULT_QUEUE_GROUP: &str = "nexo-pairing";

/// The default grace period.
const GRACE: Duration = Duration::from_secs(10);

/// Why a gate on a bus ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusGateError {
    /// The bus refused a subscription, or the connection was closed for good.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The grace period was over before all messages were finished.
    #[error("{messages} messages were not finished")]
    Unfinished {
        /// How many messages were taken and not finished. The bus does not deliver them again.
        messages: u64,
    },
    /// [`Observer::flush`] failed.
    #[error("the decisions could not be observed")]
    Observer(#[source] io::Error),
}

/// A gate between the plugins and the agent on a NATS bus.
///
/// It subscribes to `plugin.inbound.>`, and publishes admitted events, unchanged, on
/// `pairing.admitted.<channel>[.<account>]`. Events of plugins themselves are rebuilt and published on
/// `pairing.notices.<channel>[.<account>]`. Messages without a decision are reported on
/// `pairing.rejected`. Challenges are sent by the adapters.
///
/// Messages that the lists in memory decide wait for nothing. The others wait in queues of their
/// channel: 1,024 messages and 8 MiB for each of known senders, senders that were seen, and strangers.
/// Messages without room are rejected. The messages of one sender keep their order.
pub struct BusGate {
    pub(crate) connections: Connections,
    pub(crate) gate: Arc<PairingGate>,
    settings: RwLock<Arc<Settings>>,
    pub(crate) queue_group: String,
    pub(crate) grace: Duration,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) status: StatusLog,
    pub(crate) stats: Stats,
    /// How many lost messages were reported.
    pub(crate) reported_lost: AtomicU64,
}

impl BusGate {
    /// A gate that takes messages from these connections once it [runs](Self::run). The accounts of
    /// `settings` replace those of `gate`.
    #[must_use]
    pub fn new(
        connections: Connections,
        gate: impl Into<Arc<PairingGate>>,
        settings: Settings,
    ) -> Self {
        metrics::describe_counter!(
            metric::REJECTED_TOTAL,
            "Messages rejected without a decision, by reason."
        );
        let gate = gate.into();
        gate.set_accounts(settings.accounts());
        Self {
            connections,
            gate,
            settings: RwLock::new(Arc::new(settings)),
            queue_group: DEFAULT_QUEUE_GROUP.to_owned(),
            grace: GRACE,
            observer: None,
            status: StatusLog::tracing(),
            stats: Stats::default(),
            reported_lost: AtomicU64::default(),
        }
    }

    /// The queue group, whose members share the messages: each message goes to one of them. One token of
    /// a subject without wildcards; otherwise [`run`](Self::run) fails. Default [`DEFAULT_QUEUE_GROUP`].
    #[must_use]
    pub fn with_queue_group(mut self, group: impl Into<String>) -> Self {
        self.queue_group = group.into();
        self
    }

    /// How long a gate works on the messages it has taken after the shutdown began. Zero ends it at once.
    /// Default 10 s.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Reports to `report` instead of `tracing`. It is called by the tasks that decide, so it should
    /// not block.
    #[must_use]
    pub fn with_status(mut self, report: impl Fn(Status) + Send + Sync + 'static) -> Self {
        self.status = StatusLog::new(report);
        self
    }

    /// Only listens: the gate gets a copy of each message beside the queue group, publishes nothing,
    /// and passes its decisions to `observer`. Default: no observer.
    ///
    /// Writes to the store and challenges of the adapters are not suppressed: for a dry run, give the gate
    /// a copy of the store, and adapters that send nothing.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Replaces the settings, also while the gate runs, for each decision that begins from now on.
    pub fn set(&self, settings: Settings) {
        self.gate.set_accounts(settings.accounts());
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The messages since the start, by outcome.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stats.counts()
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for BusGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusGate").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
