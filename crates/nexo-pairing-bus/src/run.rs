//! Runs a gate: subscribes, reports, and shuts down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nexo_pairing_core::text::error_chain;
use nexo_pairing_nats::NatsError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::consumer::consume;
use crate::gate::{BusGate, BusGateError};
use crate::queue::ChannelQueues;
use crate::stats::Counts;
use crate::status::Status;

/// The interval of progress reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

impl BusGate {
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
