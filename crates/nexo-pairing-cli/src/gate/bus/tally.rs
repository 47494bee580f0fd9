//! Counts what became of the messages, and says so.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::gate::remarks::{Remarks, Warning};

/// What became of the messages since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    taken: AtomicU64,
    admitted: AtomicU64,
    challenged: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
    overloaded: AtomicU64,
    reported: Mutex<Counts>,
}

/// What a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Admitted,
    Challenged,
    Dropped,
    /// Nothing was decided.
    Rejected,
}

/// What became of the messages until a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    taken: u64,
    admitted: u64,
    challenged: u64,
    dropped: u64,
    rejected: u64,
}

impl Tally {
    pub(super) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, end: End) {
        let count = match end {
            End::Admitted => &self.admitted,
            End::Challenged => &self.challenged,
            End::Dropped => &self.dropped,
            End::Rejected => &self.rejected,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message for which there was no room; says so now and then.
    pub(super) fn overloaded(&self, subject: &str, remarks: &Remarks) {
        let count = self.overloaded.fetch_add(1, Ordering::Relaxed) + 1;
        remarks.warn(Warning::Overloaded, || {
            format!(
                "too many messages wait, the last of them on {subject}: {count} were refused so far"
            )
        });
    }

    /// How many messages are not finished.
    pub(super) fn unfinished(&self) -> u64 {
        let Counts { taken, admitted, challenged, dropped, rejected } = self.counts();
        taken.saturating_sub(admitted + challenged + dropped + rejected)
    }

    /// Says what became of the messages since the last time, if there were any.
    pub(super) fn report(&self, remarks: &Remarks) {
        let now = self.counts();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *reported, now);
        if now != before {
            remarks.say(&now.since(before).to_string());
        }
    }

    /// Says what became of all messages.
    pub(super) fn report_all(&self, remarks: &Remarks) {
        remarks.say(&format!("in all: {}", self.counts()));
    }

    fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // What is taken is read last, so that no message ends before it was taken.
        let (admitted, challenged) = (of(&self.admitted), of(&self.challenged));
        let (dropped, rejected) = (of(&self.dropped), of(&self.rejected));
        Counts { taken: of(&self.taken), admitted, challenged, dropped, rejected }
    }
}

impl Counts {
    fn since(self, before: Self) -> Self {
        Self {
            taken: self.taken - before.taken,
            admitted: self.admitted - before.admitted,
            challenged: self.challenged - before.challenged,
            dropped: self.dropped - before.dropped,
            rejected: self.rejected - before.rejected,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, admitted, challenged, dropped, rejected } = self;
        write!(
            f,
            "{taken} messages taken, {admitted} admitted, {challenged} challenged, \
             {dropped} dropped, {rejected} rejected"
        )
    }
}
