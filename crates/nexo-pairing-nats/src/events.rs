//! What the client tells of its connection: kept for those who ask, and logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{ConnectOptions, Event, ServerError};
use nexo_pairing_core::{SystemClock, WarningLimiter};
use tokio::sync::watch;

use crate::answers::{Answer, Answers, Proven};
use crate::inbox::question;

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusState {
    /// There is one.
    Connected,
    /// There is none at the moment.
    Disconnected,
    /// There is none any more.
    Closed,
}

/// What is known of a connection, by its users and by those who read from it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<BusState>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) proven: Proven,
    pub(crate) lost: AtomicU64,
    /// What the server complains of, which each message can cause anew.
    complaints: WarningLimiter<String>,
    inbox: String,
}

impl Shared {
    pub(crate) fn new(inbox: &str) -> Self {
        Self {
            state: watch::Sender::new(BusState::Disconnected),
            answers: Arc::default(),
            proven: Proven::default(),
            lost: AtomicU64::new(0),
            complaints: WarningLimiter::new(SystemClock::shared()),
            inbox: inbox.to_owned(),
        }
    }

    fn take(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.become_state(BusState::Connected);
                tracing::info!("connected to NATS");
            }
            Event::Disconnected => {
                // Another server, or this one with another configuration, may allow less.
                self.proven.clear();
                self.become_state(BusState::Disconnected);
                tracing::warn!("disconnected from NATS; connecting again");
            }
            Event::Closed => {
                self.become_state(BusState::Closed);
            }
            Event::SlowConsumer(_) => {
                let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
                // The first one, and then ever more rarely.
                if lost.is_power_of_two() {
                    tracing::warn!(
                        lost,
                        "messages came faster than they were taken, and were lost"
                    );
                }
            }
            Event::ServerError(ServerError::Other(text)) => self.take_error(text),
            Event::ServerError(error) => self.warn(&error.to_string()),
            Event::ClientError(error) => tracing::debug!(%error, "no connection to NATS yet"),
            Event::LameDuckMode => tracing::info!("the NATS server is about to shut down"),
            Event::Draining => {}
        }
    }

    fn warn(&self, error: &str) {
        if let Some(suppressed) = self.complaints.allow(error.to_owned()) {
            tracing::warn!(?error, suppressed, "the NATS server complains");
        }
    }

    /// Once closed, it stays so.
    pub(crate) fn become_state(&self, state: BusState) {
        self.state.send_if_modified(|current| {
            let changes = *current != BusState::Closed && *current != state;
            if changes {
                *current = state;
            }
            changes
        });
    }

    /// The server says of a subject, and not of a message, that publishing on it is not allowed.
    fn take_error(&self, text: &str) {
        let text: String = text.chars().take(512).collect();
        self.warn(&text);
        let Some(subject) = forbidden(&text) else { return };
        self.proven.remove(subject);
        match question(subject).filter(|_| subject.starts_with(&self.inbox)) {
            Some(id) => self.answers.give(&id, Answer::Forbidden(subject.into())),
            None => self.answers.forbid(subject),
        }
    }
}

/// Options that tell `shared` what happens to the connection.
pub(crate) fn watched(options: ConnectOptions, shared: &Arc<Shared>) -> ConnectOptions {
    let shared = Arc::clone(shared);
    options.event_callback(move |event| {
        shared.take(&event);
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
    fn reads_which_subject_is_forbidden() {
        let error = "Permissions Violation for Publish to \"plugin.outbound.whatsapp\"";
        assert_eq!(forbidden(error), Some("plugin.outbound.whatsapp"));
        assert_eq!(forbidden("Permissions Violation for Subscription to \"x\""), None);
        assert_eq!(forbidden("Permissions Violation for Publish to \"x"), None);
    }

    #[test]
    fn a_closed_connection_does_not_open_again() {
        let shared = Shared::new("_INBOX.a");
        shared.take(&Event::Connected);
        assert_eq!(*shared.state.borrow(), BusState::Connected);
        shared.take(&Event::Closed);
        shared.take(&Event::Disconnected);
        assert_eq!(*shared.state.borrow(), BusState::Closed);
    }
}
