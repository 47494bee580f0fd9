//! Reports to the operator while a gate runs.

use std::fmt;

use nexo_pairing_core::text::{escape, truncate};
use nexo_pairing_core::{SystemClock, WarningLimiter};
use nexo_pairing_nats::BusState;

/// A report to the operator while a gate runs: one line, without a full stop, that is safe to print.
///
/// Warnings that messages can cause are reported at most once a minute for each kind, with the number of
/// those that were suppressed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The gate takes messages from now on: its subjects.
    Subscribed(String),
    /// Anything else that is no problem: the counts of the last minute, if there were messages; the counts
    /// in total, at the end; the bus is reachable again.
    Info(String),
    /// Something to look at: the lists could not be read, the bus cannot be reached, messages were lost or
    /// rejected for want of room, a challenge was not delivered, a message was not published.
    Warning(String),
}

impl Status {
    /// Without a queue group, the gate only listens.
    pub(crate) fn subscribed<'a>(
        subjects: impl Iterator<Item = &'a str>,
        queue_group: Option<&str>,
    ) -> Self {
        let subjects = escape(&subjects.collect::<Vec<_>>().join(", "));
        Self::Subscribed(match queue_group {
            Some(group) => format!("subscribed to {subjects} (queue group {})", escape(group)),
            None => format!("listening to {subjects}; nothing is published"),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Subscribed(line) | Self::Info(line) | Self::Warning(line)) = self;
        f.write_str(line)
    }
}

/// Where statuses are reported.
pub(crate) struct StatusLog {
    report: Box<dyn Fn(Status) + Send + Sync>,
    warnings: WarningLimiter<Warning>,
}

/// The warnings that messages can cause.
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
        Self::new(|status| match status {
            Status::Warning(line) => tracing::warn!("{line}"),
            other => tracing::info!("{other}"),
        })
    }

    pub(crate) fn report(&self, status: Status) {
        (self.report)(status);
    }

    pub(crate) fn report_connection(&self, state: BusState) {
        match state {
            BusState::Connected => self.report(Status::Info("reconnected to the bus".to_owned())),
            BusState::Disconnected => self.report(Status::Warning(
                "disconnected from the bus: messages published now are lost".to_owned(),
            )),
            _ => {}
        }
    }

    /// Warns that there was no room for a message; `total` is how many there were.
    pub(crate) fn warn_overloaded(&self, subject: &str, total: u64) {
        self.warn(Warning::Overloaded, || {
            let subject = truncate(subject, 200);
            format!(
                "too many messages are waiting, the last one on {subject}: {total} rejected so far"
            )
        });
    }

    /// Reports a warning that messages can cause: once a minute for each kind, with the number of those
    /// that were suppressed.
    pub(crate) fn warn(&self, kind: Warning, line: impl FnOnce() -> String) {
        match self.warnings.allow(kind) {
            None => {}
            Some(0) => self.report(Status::Warning(line())),
            Some(more) => {
                let line = format!("{} ({more} more since the last warning)", line());
                self.report(Status::Warning(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn log() -> (StatusLog, Arc<Mutex<Vec<String>>>) {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&reported);
        (StatusLog::new(move |status| lines.lock().unwrap().push(status.to_string())), reported)
    }

    #[test]
    fn a_status_is_one_line_whatever_strangers_wrote() {
        let (log, reported) = log();
        log.warn_overloaded("a\u{1b}[2J\nb", 7);
        let line =
            "too many messages are waiting, the last one on a\\u{1b}[2J\\nb: 7 rejected so far";
        assert_eq!(*reported.lock().unwrap(), [line]);

        let subjects = || ["plugin.inbound.a", "plugin.inbound.b"].into_iter();
        let line = "subscribed to plugin.inbound.a, plugin.inbound.b (queue group nexo\\npairing)";
        assert_eq!(Status::subscribed(subjects(), Some("nexo\npairing")).to_string(), line);
        let line = "listening to plugin.inbound.a, plugin.inbound.b; nothing is published";
        assert_eq!(Status::subscribed(subjects(), None).to_string(), line);
    }

    #[test]
    fn warnings_of_one_kind_are_reported_once_a_minute() {
        let (log, reported) = log();
        for number in 0..10 {
            log.warn(Warning::ChallengeUndelivered, || number.to_string());
        }
        log.warn(Warning::Unpublished, || "unpublished".to_owned());
        log.report_connection(BusState::Disconnected);
        log.report_connection(BusState::Disconnected);
        let disconnected = "disconnected from the bus: messages published now are lost";
        assert_eq!(*reported.lock().unwrap(), ["0", "unpublished", disconnected, disconnected]);
    }
}
