//! Events of the connection: its state for the users, and log lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{ConnectOptions, Event, ServerError};
use nexo_pairing_core::{SystemClock, WarningLimiter};
use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::replies::{PendingRequests, Reply, request_id};

/// How many subjects are remembered on which publishing is allowed.
const MAX_ALLOWED_SUBJECTS: usize = 1024;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusState {
    /// Connected to a server.
    Connected,
    /// Not connected at the moment.
    Disconnected,
    /// Closed for good.
    Closed,
}

/// The part of a connection that its users and its readers share.
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<BusState>,
    pub(crate) pending: Arc<PendingRequests>,
    /// The subjects on which publishing was confirmed before. A refusal comes beside the confirmation,
    /// not before it, so the first confirmation of a subject does not count at once.
    pub(crate) allowed: Cache<String, ()>,
    pub(crate) lost: AtomicU64,
    /// Errors of the server, which each message can cause.
    server_errors: WarningLimiter<String>,
    inbox: String,
}

impl Shared {
    pub(crate) fn new(inbox: &str) -> Self {
        Self {
            state: watch::Sender::new(BusState::Disconnected),
            pending: Arc::default(),
            allowed: Cache::new(MAX_ALLOWED_SUBJECTS),
            lost: AtomicU64::new(0),
            server_errors: WarningLimiter::new(SystemClock::shared()),
            inbox: inbox.to_owned(),
        }
    }

    fn handle(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.set_state(BusState::Connected);
                tracing::info!("connected to NATS");
            }
            Event::Disconnected => {
                // Another server, or a new configuration of this one, may allow less.
                self.allowed.clear();
                self.set_state(BusState::Disconnected);
                tracing::warn!("disconnected from NATS; reconnecting");
            }
            Event::Closed => self.set_state(BusState::Closed),
            Event::SlowConsumer(_) => {
                let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
                // The first one, and then at growing intervals.
                if lost.is_power_of_two() {
                    tracing::warn!(lost, "lost messages: they arrive faster than they are handled");
                }
            }
            Event::ServerError(ServerError::Other(text)) => self.handle_error(text),
            Event::ServerError(error) => self.warn(&error.to_string()),
            Event::ClientError(error) => tracing::debug!(%error, "not connected to NATS yet"),
            Event::LameDuckMode => tracing::info!("the NATS server is shutting down"),
            Event::Draining => {}
        }
    }

    fn warn(&self, error: &str) {
        if let Some(suppressed) = self.server_errors.allow(error.to_owned()) {
            tracing::warn!(?error, suppressed, "the NATS server reports an error");
        }
    }

    /// A closed connection stays closed.
    pub(crate) fn set_state(&self, state: BusState) {
        self.state.send_if_modified(|current| {
            let changes = *current != BusState::Closed && *current != state;
            if changes {
                *current = state;
            }
            changes
        });
    }

    /// Handles a refusal to publish: it names the subject, not the message.
    fn handle_error(&self, text: &str) {
        let text: String = text.chars().take(512).collect();
        self.warn(&text);
        let Some(subject) = forbidden(&text) else { return };
        self.allowed.remove(subject);
        match request_id(subject).filter(|_| subject.starts_with(&self.inbox)) {
            Some(id) => self.pending.reply(&id, Reply::Forbidden(subject.into())),
            None => self.pending.forbid(subject),
        }
    }
}

/// Options that report the events of the connection to `shared`.
pub(crate) fn watched(options: ConnectOptions, shared: &Arc<Shared>) -> ConnectOptions {
    let shared = Arc::clone(shared);
    options.event_callback(move |event| {
        shared.handle(&event);
        std::future::ready(())
    })
}

/// The subject of `Permissions Violation for Publish to "subject"`.
fn forbidden(error: &str) -> Option<&str> {
    let (_, quoted) = error.split_once("Permissions Violation for Publish to \"")?;
    quoted.split_once('"').map(|(subject, _)| subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_subject() {
        let error = "Permissions Violation for Publish to \"plugin.outbound.whatsapp\"";
        assert_eq!(forbidden(error), Some("plugin.outbound.whatsapp"));
        assert_eq!(forbidden("Permissions Violation for Subscription to \"x\""), None);
        assert_eq!(forbidden("Permissions Violation for Publish to \"x"), None);
    }

    #[test]
    fn a_closed_connection_stays_closed() {
        let shared = Shared::new("_INBOX.a");
        shared.handle(&Event::Connected);
        assert_eq!(*shared.state.borrow(), BusState::Connected);
        shared.handle(&Event::Closed);
        shared.handle(&Event::Disconnected);
        assert_eq!(*shared.state.borrow(), BusState::Closed);
    }
}
