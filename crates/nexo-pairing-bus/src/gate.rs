//! The gate as a service: subscribes, runs until it is asked to end, and ends what it has taken.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_gate::PairingGate;
use nexo_pairing_nats::{BusState, NatsError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::connections::Connections;
use crate::consumer;
use crate::dispatcher::Dispatcher;
use crate::error::BusGateError;
use crate::handle::BusGateHandle;
use crate::observer::Observer;
use crate::queue::ChannelQueues;
use crate::settings::Settings;
use crate::sink::Sink;
use crate::status::{Status, StatusLog};

/// The queue group of a gate that is told no other.
pub const DEFAULT_QUEUE_GROUP: &str = "nexo-pairing";

/// How long an ending gate works on what it has taken, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// How often it reports what it did, if it did anything.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// A gate between the plugins and the agent on a NATS bus.
///
/// It takes the plugins' events from `plugin.inbound.>`, and publishes those that are admitted,
/// unchanged, on `pairing.admitted.<channel>[.<account>]`. Events of plugins themselves are made anew
/// and published on `pairing.notices.<channel>[.<account>]`; on `pairing.rejected` it tells of what
/// could not be decided. Challenges are sent by the adapters.
///
/// Messages that the lists in memory decide wait for nothing. The others wait in queues of their
/// channel: 1,024 messages and 8 MiB for each of known senders, senders that were seen, and strangers;
/// what finds no room is rejected. The messages of one sender keep their order.
#[derive(Debug)]
pub struct BusGate {
    connections: Connections,
    handle: BusGateHandle,
    queue_group: String,
    observer: Option<ObserverHandle>,
    grace: Duration,
    status: StatusLog,
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
        Self {
            connections,
            handle: BusGateHandle::new(gate.into(), settings),
            queue_group: DEFAULT_QUEUE_GROUP.to_owned(),
            observer: None,
            grace: GRACE,
            status: StatusLog::tracing(),
        }
    }

    /// The gates that share the messages: each message goes to one of a group. One word of a subject,
    /// without wildcards; anything else is refused by [`run`](Self::run). Default
    /// [`DEFAULT_QUEUE_GROUP`].
    #[must_use]
    pub fn with_queue_group(mut self, group: impl Into<String>) -> Self {
        self.queue_group = group.into();
        self
    }

    /// How long an ending gate works on what it has taken. Zero ends it at once. Default 10 s.
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
    /// and shows its decisions to `observer`. Default: none.
    ///
    /// What the gate writes to its store and sends by its adapters is not held back: for a dry run,
    /// give it a copy of the store, and adapters that send nothing.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(ObserverHandle(observer));
        self
    }

    /// What changes and watches it while it runs.
    #[must_use]
    pub fn handle(&self) -> BusGateHandle {
        self.handle.clone()
    }

    /// Takes messages until `shutdown` is there. Then it takes no more, and ends what it has taken
    /// within the grace period. Connections that break come back by themselves.
    ///
    /// When the future is dropped, what was taken and is not finished is lost. It has to be polled for
    /// statuses and for the end; deciding goes on in tasks of the runtime, which end with it.
    ///
    /// # Errors
    ///
    /// [`BusGateError::Nats`] when the bus refuses a subscription or does not confirm what was
    /// published last, and when the connection was closed without `shutdown`;
    /// [`BusGateError::Unfinished`] when the grace period was too short;
    /// [`BusGateError::Observer`] when the observer failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), BusGateError> {
        let Self { connections, handle, queue_group, observer, grace, status } = self;
        let (sink, group) = match observer {
            Some(ObserverHandle(observer)) => (Sink::Observe(observer), None),
            None => (Sink::Publish(connections.outward.clone()), Some(queue_group)),
        };
        // So that the first message is decided by the lists.
        if let Err(error) = handle.gate().refresh().await {
            status.report(Status::ListsUnread(error));
        }
        let dispatcher = Arc::new(Dispatcher::new(handle, sink, status));
        let (stop, stopping) = watch::channel(false);
        let work = begin(&connections, &dispatcher, group.as_deref(), &stopping).await?;
        let subjects = connections.inward.iter().map(|(_, subject)| subject.clone()).collect();
        let status = dispatcher.status();
        status.report(Status::Subscribed { subjects, queue_group: group });

        let stats = dispatcher.handle().stats();
        let (mut work, mut shutdown) = (std::pin::pin!(work), std::pin::pin!(shutdown));
        let mut state = connections.first().state();
        let mut report = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
        let mut lost = Lost::default();
        let mut is_stopping = false;
        let mut deadline = None;
        loop {
            tokio::select! {
                finished = work.as_mut() => {
                    status.report(Status::Finished(stats.counts()));
                    finished?;
                    break;
                }
                () = shutdown.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    deadline = Instant::now().checked_add(grace);
                    stop.send_replace(true);
                }
                Ok(()) = state.changed() => match *state.borrow_and_update() {
                    BusState::Connected => status.report(Status::Reconnected),
                    BusState::Disconnected => status.report(Status::Disconnected),
                    _ => {}
                },
                _ = report.tick() => {
                    if let Some(counts) = stats.since_last() {
                        status.report(Status::Progress(counts));
                    }
                    lost.report(&connections, status);
                }
                () = dispatcher.sink().closed() => return Ok(()),
                () = over(deadline) => {
                    let messages = stats.counts().unfinished();
                    return Err(BusGateError::Unfinished { messages });
                }
            }
        }
        lost.report(&connections, status);
        connections.outward.close().await?;
        if is_stopping { Ok(()) } else { Err(NatsError::Closed.into()) }
    }
}

/// Subscribes; what is to be done then ends when everything that was taken is finished.
async fn begin(
    connections: &Connections,
    dispatcher: &Arc<Dispatcher>,
    group: Option<&str>,
    stopping: &watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<(), BusGateError>> + use<>, NatsError> {
    let queues = Arc::new(ChannelQueues::new(Arc::clone(dispatcher)));
    let mut consumers = JoinSet::new();
    for (bus, subject) in &connections.inward {
        let subscription = match group {
            Some(group) => bus.subscribe_queue(subject, group).await?,
            None => bus.subscribe(subject).await?,
        };
        // From here on the server sends everything.
        bus.flush().await?;
        let (dispatcher, queues) = (Arc::clone(dispatcher), Arc::clone(&queues));
        consumers.spawn(consumer::consume(
            subscription,
            bus.state(),
            dispatcher,
            queues,
            stopping.clone(),
        ));
    }
    let dispatcher = Arc::clone(dispatcher);
    Ok(async move {
        while consumers.join_next().await.is_some() {}
        queues.drain().await;
        dispatcher.sink().finish().await
    })
}

/// Returns at the deadline; never, where there is none.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// How many messages were lost, as far as it was reported.
#[derive(Default)]
struct Lost(u64);

impl Lost {
    fn report(&mut self, connections: &Connections, status: &StatusLog) {
        let total = connections.lost();
        if total > self.0 {
            self.0 = total;
            status.report(Status::Lost { total });
        }
    }
}

/// An observer, with a `Debug` that asks it nothing.
struct ObserverHandle(Arc<dyn Observer>);

impl std::fmt::Debug for ObserverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}
