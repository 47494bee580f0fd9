//! Counts what became of the messages.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What became of the messages since the start.
#[derive(Debug, Default)]
pub(crate) struct Stats {
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
pub(crate) enum Outcome {
    Admitted,
    Challenged,
    Dropped,
    /// Nothing was decided.
    Rejected,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many were taken from the bus.
    pub taken: u64,
    /// How many were admitted, with the events of plugins themselves that were passed on.
    pub admitted: u64,
    /// How many senders were challenged, or were to be.
    pub challenged: u64,
    /// How many were dropped.
    pub dropped: u64,
    /// On how many nothing was decided: they could not be read, there was no room, or the store failed.
    pub rejected: u64,
}

impl Stats {
    pub(crate) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Admitted => &self.admitted,
            Outcome::Challenged => &self.challenged,
            Outcome::Dropped => &self.dropped,
            Outcome::Rejected => &self.rejected,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message for which there was no room; how many there were.
    pub(crate) fn overloaded(&self) -> u64 {
        self.overloaded.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What became of the messages since this was asked the last time, if there were any.
    pub(crate) fn since_last(&self) -> Option<Counts> {
        let now = self.counts();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *reported, now);
        (now != before).then(|| now.since(before))
    }

    /// What became of the messages since the start.
    pub(crate) fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // What is taken is read last, so that no message ends before it was taken.
        let (admitted, challenged) = (of(&self.admitted), of(&self.challenged));
        let (dropped, rejected) = (of(&self.dropped), of(&self.rejected));
        Counts { taken: of(&self.taken), admitted, challenged, dropped, rejected }
    }
}

impl Counts {
    /// How many were taken and are not finished.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        let Self { taken, admitted, challenged, dropped, rejected } = self;
        taken.saturating_sub(admitted + challenged + dropped + rejected)
    }

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
