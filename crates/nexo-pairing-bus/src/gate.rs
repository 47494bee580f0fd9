//! The gate as a service: subscribes, and runs until it is asked to shut down.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nexo_pairing_core::metric;
use nexo_pairing_core::text::error_chain;
use nexo_pairing_gate::PairingGate;
use nexo_pairing_nats::NatsError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::connections::Connections;
use crate::consumer::consume;
use crate::observer::Observer;
use crate::queue::ChannelQueues;
use crate::settings::Settings;
use crate::stats::{Counts, Stats};
use crate::status::{Status, StatusLog};

/// The default queue group of gates.
pub const DEFAULT_QUEUE_GROUP: &str = "nexo-pairing";

/// The default grace period.
const GRACE: Duration = Duration::from_secs(10);

/// The interval of progress reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

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
    queue_group: String,
    grace: Duration,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) status: StatusLog,
    pub(crate) stats: Stats,
    /// How many lost messages were reported.
    reported_lost: AtomicU64,
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

    /// Takes messages until `shutdown` completes. Then it unsubscribes, finishes the messages it has
    /// taken within the grace period, and closes the connections. Broken connections are re-established.
    ///
    /// When the future is dropped, unfinished messages are lost. It has to be polled for statuses and for
    /// the shutdown; decisions are made in tasks of the runtime, which end with it.
    ///
    /// # Errors
    ///
    /// [`BusGateError::Nats`] when the bus refuses a subscription or does not confirm the last messages,
    /// and when the connection was closed without `shutdown`;
    /// [`BusGateError::Unfinished`] when the grace period was too short;
    /// [`BusGateError::Observer`] when the observer failed.
    pub async fn run(
        self: Arc<Self>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), BusGateError> {
        // So that the lists decide the first message.
        if let Err(error) = self.gate.refresh().await {
            let reason = error_chain(&error);
            self.status.report(Status::Warning(format!("the lists could not be read: {reason}")));
        }
        let (stop, stopping) = watch::channel(false);
        let work = self.subscribe(&stopping).await?;
        let subjects = self.connections.inward.iter().map(|(_, subject)| subject.as_str());
        let group = self.observer.is_none().then_some(self.queue_group.as_str());
        self.status.report(Status::subscribed(subjects, group));

        let (mut work, mut shutdown) = (std::pin::pin!(work), std::pin::pin!(shutdown));
        let mut state = self.connections.first().state();
        let mut report = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
        let mut reported = Counts::default();
        let mut is_stopping = false;
        let mut deadline = None;
        loop {
            tokio::select! {
                finished = work.as_mut() => {
                    self.status.report(Status::Info(format!("total: {}", self.counts())));
                    finished?;
                    break;
                }
                () = shutdown.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    deadline = Instant::now().checked_add(self.grace);
                    stop.send_replace(true);
                }
                Ok(()) = state.changed() => self.status.report_connection(*state.borrow_and_update()),
                _ = report.tick() => {
                    let counts = self.counts();
                    if counts != reported {
                        self.status.report(Status::Info(counts.since(reported).to_string()));
                        reported = counts;
                    }
                    self.report_lost();
                }
                () = self.unobserved() => return Ok(()),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let messages = self.counts().unfinished();
                    return Err(BusGateError::Unfinished { messages });
                }
            }
        }
        self.report_lost();
        self.connections.bus().close().await?;
        if is_stopping { Ok(()) } else { Err(NatsError::Closed.into()) }
    }

    /// Subscribes. The returned future ends when the subscriptions have ended and all messages are
    /// finished.
    async fn subscribe(
        self: &Arc<Self>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<impl Future<Output = Result<(), BusGateError>> + use<>, NatsError> {
        let queues = Arc::new(ChannelQueues::new(Arc::clone(self)));
        let mut consumers = JoinSet::new();
        for (bus, subject) in &self.connections.inward {
            let subscription = match self.observer {
                None => bus.subscribe_queue(subject, &self.queue_group).await?,
                Some(_) => bus.subscribe(subject).await?,
            };
            // Once this returns, the server delivers all messages.
            bus.flush().await?;
            let queues = Arc::clone(&queues);
            consumers.spawn(consume(subscription, bus.state(), queues, stopping.clone()));
        }
        let gate = Arc::clone(self);
        Ok(async move {
            while consumers.join_next().await.is_some() {}
            queues.drain().await;
            match &gate.observer {
                None => Ok(gate.connections.bus().flush().await?),
                Some(observer) => observer.flush().await.map_err(BusGateError::Observer),
            }
        })
    }

    fn report_lost(&self) {
        let total = self.connections.lost();
        if self.reported_lost.swap(total, Ordering::Relaxed) < total {
            self.status.report(Status::Warning(format!(
                "messages arrive faster than they are handled: {total} lost so far"
            )));
        }
    }

    /// Returns when the observer wants no more decisions.
    async fn unobserved(&self) {
        match &self.observer {
            None => std::future::pending().await,
            Some(observer) => observer.closed().await,
        }
    }
}

impl fmt::Debug for BusGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusGate").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
