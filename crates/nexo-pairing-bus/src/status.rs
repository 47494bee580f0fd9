//! What a gate tells its operator while it runs.

use std::fmt;

use nexo_pairing_core::text::{error_chain, escape, truncate};
use nexo_pairing_core::{PairingError, SystemClock, WarningLimiter};
use nexo_pairing_nats::NatsError;

use crate::stats::Counts;

/// What a gate tells its operator while it runs. Its `Display` is one line for people, without a full
/// stop, in which nothing that strangers wrote can do harm.
///
/// What messages can cause is told at most once a minute for each kind; `suppressed` is how many of
/// the kind were left out since the last one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Status {
    /// The lists could not be read before the first message. The gate rejects messages until they can.
    ListsUnread(PairingError),
    /// From now on messages are taken.
    Subscribed {
        /// The subjects, which may have wildcards.
        subjects: Vec<String>,
        /// The group of gates that share the messages; `None` when the gate only listens.
        queue_group: Option<String>,
    },
    /// There is no connection to the bus. It comes back by itself.
    Disconnected,
    /// The connection to the bus is back.
    Reconnected,
    /// What became of the messages since the last time, once a minute if there were any.
    Progress(Counts),
    /// What became of all messages. The gate has ended what it had taken.
    Finished(Counts),
    /// Messages were lost, because they come faster than they are taken.
    Lost {
        /// How many since the start.
        total: u64,
    },
    /// A challenge was not delivered. It is made again with a later message of the sender.
    ChallengeUndelivered {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
        /// Why, for people.
        reason: String,
        /// How many more since the last one.
        suppressed: u64,
    },
    /// A message, or what is told of one, was not published.
    Unpublished {
        /// Why.
        error: NatsError,
        /// How many more since the last one.
        suppressed: u64,
    },
    /// There was no room for a message, which was rejected.
    Overloaded {
        /// The subject on which it came.
        subject: String,
        /// How many since the start.
        total: u64,
        /// How many more since the last one.
        suppressed: u64,
    },
}

impl Status {
    /// Whether somebody should look at it.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Subscribed { .. } | Self::Reconnected | Self::Progress(_) | Self::Finished(_) => {
                false
            }
            Self::ListsUnread(_)
            | Self::Disconnected
            | Self::Lost { .. }
            | Self::ChallengeUndelivered { .. }
            | Self::Unpublished { .. }
            | Self::Overloaded { .. } => true,
        }
    }

    fn suppressed(&self) -> u64 {
        match self {
            Self::ChallengeUndelivered { suppressed, .. }
            | Self::Unpublished { suppressed, .. }
            | Self::Overloaded { suppressed, .. } => *suppressed,
            _ => 0,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListsUnread(error) => {
                write!(f, "the lists could not be read: {}", error_chain(error))
            }
            Self::Subscribed { subjects, queue_group } => {
                let subjects = escape(&subjects.join(", "));
                match queue_group {
                    Some(group) => {
                        write!(f, "it takes {subjects} as one of the group {}", escape(group))
                    }
                    None => write!(f, "it listens to {subjects} and publishes nothing"),
                }
            }
            Self::Disconnected => f.write_str("the bus is away: what is sent there now is lost"),
            Self::Reconnected => f.write_str("the bus is back"),
            Self::Progress(counts) => counts.fmt(f),
            Self::Finished(counts) => write!(f, "in all: {counts}"),
            Self::Lost { total } => {
                write!(f, "messages come faster than they are taken: {total} were lost so far")
            }
            Self::ChallengeUndelivered { channel, account, reason, .. } => {
                let (channel, account) = (truncate(channel, 32), truncate(account, 64));
                write!(f, "no code was sent on {channel}/{account}: {reason}")
            }
            Self::Unpublished { error, .. } => {
                write!(f, "a message was not passed on: {}", error_chain(error))
            }
            Self::Overloaded { subject, total, .. } => {
                let subject = truncate(subject, 200);
                write!(
                    f,
                    "too many messages wait, the last of them on {subject}: {total} were refused so far"
                )
            }
        }?;
        match self.suppressed() {
            0 => Ok(()),
            more => write!(f, " ({more} more since the last warning)"),
        }
    }
}

/// Where statuses are reported.
pub(crate) struct StatusLog {
    report: Box<dyn Fn(Status) + Send + Sync>,
    warnings: WarningLimiter<Warning>,
}

/// What messages can cause to be reported, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Warning {
    ChallengeUndelivered,
    Unpublished,
    Overloaded,
}

impl StatusLog {
    pub(crate) fn new(report: impl Fn(Status) + Send + Sync + 'static) -> Self {
        let warnings = WarningLimiter::new(SystemClock::shared());
        Self { report: Box::new(report), warnings }
    }

    /// Reports with `tracing`.
    pub(crate) fn tracing() -> Self {
        Self::new(|status| {
            if status.is_warning() {
                tracing::warn!("{status}");
            } else {
                tracing::info!("{status}");
            }
        })
    }

    pub(crate) fn report(&self, status: Status) {
        (self.report)(status);
    }

    /// Reports what messages can cause: once a minute for each kind, with the number of those left out.
    pub(crate) fn warn(&self, kind: Warning, status: impl FnOnce(u64) -> Status) {
        if let Some(suppressed) = self.warnings.allow(kind) {
            self.report(status(suppressed));
        }
    }
}

impl fmt::Debug for StatusLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusLog")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_status_is_one_line_whatever_strangers_wrote() {
        let hostile = "a\u{1b}[2J\nb".to_owned();
        let overloaded = Status::Overloaded { subject: hostile, total: 7, suppressed: 2 };
        let line = "too many messages wait, the last of them on a\\u{1b}[2J\\nb: 7 were refused so far \
                    (2 more since the last warning)";
        assert_eq!(overloaded.to_string(), line);
        let group = Some("nexo-pairing".to_owned());
        let subjects = ["plugin.inbound.a", "plugin.inbound.b"].map(str::to_owned).to_vec();
        let line = "it takes plugin.inbound.a, plugin.inbound.b as one of the group nexo-pairing";
        assert_eq!(Status::Subscribed { subjects, queue_group: group }.to_string(), line);
    }

    #[test]
    fn warnings_of_one_kind_are_reported_once_a_minute() {
        let told = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&told);
        let log = StatusLog::new(move |_| *counted.lock().unwrap() += 1);
        for _ in 0..10 {
            log.warn(Warning::Overloaded, |suppressed| Status::Overloaded {
                subject: String::new(),
                total: 0,
                suppressed,
            });
        }
        log.warn(Warning::Unpublished, |suppressed| Status::Unpublished {
            error: NatsError::Disconnected,
            suppressed,
        });
        log.report(Status::Disconnected);
        log.report(Status::Disconnected);
        assert_eq!(*told.lock().unwrap(), 4);
    }
}
