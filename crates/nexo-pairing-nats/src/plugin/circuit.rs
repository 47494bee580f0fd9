//! Spares everybody the wait for a plugin that does not answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nobody asks after a question was not answered.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Whether a plugin answers one kind of question: as long as it does, everybody may ask; after a
/// question that was not answered, one at a time, with a pause before it.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<Option<Instant>>);

impl Circuit {
    /// Whether a question, which may take so long, may be asked now.
    pub(super) fn may_ask(&self, longest: Duration, now: Instant) -> bool {
        let mut closed_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *closed_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // This one tries; the others wait for what becomes of it.
                *closed_until = Some(now + longest);
                true
            }
        }
    }

    /// The plugin answered, or it is known to be away: then the next question costs nothing.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The plugin did not answer in time.
    pub(super) fn timed_out(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_time_out_one_at_a_time_tries_again() {
        let (start, longest) = (Instant::now(), Duration::from_secs(2));
        let circuit = Circuit::default();
        assert!(circuit.may_ask(longest, start) && circuit.may_ask(longest, start));
        circuit.timed_out(start);
        assert!(!circuit.may_ask(longest, start + PAUSE / 2));
        assert!(circuit.may_ask(longest, start + PAUSE));
        assert!(!circuit.may_ask(longest, start + PAUSE), "two try at once");
        // Who tried was dropped, and said nothing.
        assert!(circuit.may_ask(longest, start + PAUSE + longest));
        circuit.answered();
        assert!(circuit.may_ask(longest, start) && circuit.may_ask(longest, start));
    }
}
