//! Counts the messages by outcome.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The messages since the start.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    taken: AtomicU64,
    finished: [AtomicU64; 4],
    overloaded: AtomicU64,
}

/// The outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Challenged,
    Dropped,
    /// No decision.
    Rejected,
}

/// Messages by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken from the bus.
    pub taken: u64,
    /// Admitted, including the events of plugins themselves that were passed on.
    pub admitted: u64,
    /// Challenged, whether or not the challenge was delivered.
    pub challenged: u64,
    /// Dropped.
    pub dropped: u64,
    /// Without a decision: invalid, without room, or the store failed.
    pub rejected: u64,
}

impl Stats {
    pub(crate) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self, outcome: Outcome) {
        self.finished[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message for which there was no room. Returns their number.
    pub(crate) fn overloaded(&self) -> u64 {
        self.overloaded.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn counts(&self) -> Counts {
        let finished = self.finished.each_ref().map(|count| count.load(Ordering::Relaxed));
        let [admitted, challenged, dropped, rejected] = finished;
        // Read last, so that no message is finished before it was taken.
        let taken = self.taken.load(Ordering::Relaxed);
        Counts { taken, admitted, challenged, dropped, rejected }
    }
}

impl Counts {
    /// How many were taken and are not finished.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        let Self { taken, admitted, challenged, dropped, rejected } = self;
        taken.saturating_sub(admitted + challenged + dropped + rejected)
    }

    pub(crate) fn since(self, before: Self) -> Self {
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
