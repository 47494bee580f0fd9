//! How long a sender has to wait after a request ended.

use std::time::Duration;

use time::OffsetDateTime;

use crate::Validity;

/// How long a rejected sender is not challenged, and how long after a wait earlier expired codes still
/// count.
pub const REJECTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The first wait after expired codes; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(3600);

/// The longest wait after expired codes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How many codes in a row may expire without a wait.
const FREE_STRIKES: u32 = 1;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestEnd {
    /// The operator approved it.
    Approved,
    /// The operator rejected it.
    Rejected,
    /// Its sender was blocked.
    Blocked,
    /// Its code expired.
    Expired,
}

names! {
    /// Its name in a database.
    RequestEnd {
        Approved => "approved",
        Rejected => "rejected",
        Blocked => "blocked",
        Expired => "expired",
    }
}

impl RequestEnd {
    /// The end with this name; `None` for an unknown name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == name)
    }
}

/// A sender's most recently ended request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRequest {
    /// How it ended.
    pub end: RequestEnd,
    /// When it ended.
    pub at: OffsetDateTime,
    /// How many of the sender's codes expired in a row, including this one.
    pub strikes: u32,
}

impl EndedRequest {
    /// The period in which its sender has to wait for the next code.
    #[must_use]
    pub fn wait(&self) -> Option<Validity> {
        let wait = match self.end {
            RequestEnd::Rejected => REJECTED_FOR,
            RequestEnd::Expired => wait_after(self.strikes),
            RequestEnd::Approved | RequestEnd::Blocked => Duration::ZERO,
        };
        (!wait.is_zero()).then(|| Validity::Between(self.at, later(self.at, wait)))
    }

    /// How many codes expired in a row before a request created at `created_at`. The count continues if
    /// the sender comes back within [`REJECTED_FOR`] of the end of the wait.
    #[must_use]
    pub fn strikes_before(&self, created_at: OffsetDateTime) -> u32 {
        let until = later(self.at, wait_after(self.strikes) + REJECTED_FOR);
        let counts = self.end == RequestEnd::Expired && created_at < until;
        if counts { self.strikes } else { 0 }
    }
}

/// The wait after this many expired codes in a row.
#[must_use]
pub fn wait_after(strikes: u32) -> Duration {
    match strikes.saturating_sub(FREE_STRIKES).checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT)
        }
    }
}

fn later(at: OffsetDateTime, by: Duration) -> OffsetDateTime {
    at.saturating_add(time::Duration::try_from(by).unwrap_or(time::Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn ended(end: RequestEnd, strikes: u32) -> EndedRequest {
        EndedRequest { end, at: at(0), strikes }
    }

    #[test]
    fn the_wait_is_an_hour_after_the_second_code_and_doubles_to_a_day() {
        let hours: Vec<u64> = (0..10).map(|strikes| wait_after(strikes).as_secs() / HOUR).collect();
        assert_eq!(hours, [0, 0, 1, 2, 4, 8, 16, 24, 24, 24]);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn rejected_senders_and_those_with_expired_codes_wait() {
        let until = |hours: u64| Some(Validity::Between(at(0), at(hours * HOUR)));
        assert_eq!(ended(RequestEnd::Rejected, 0).wait(), until(24));
        assert_eq!(ended(RequestEnd::Expired, 1).wait(), None);
        assert_eq!(ended(RequestEnd::Expired, 3).wait(), until(2));
        assert_eq!(ended(RequestEnd::Approved, 3).wait(), None);
        assert_eq!(ended(RequestEnd::Blocked, 3).wait(), None);
    }

    #[test]
    fn strikes_continue_within_a_day_of_the_end_of_the_wait() {
        for (strikes, wait) in [(1, 0), (2, 1), (7, 24)] {
            let last = ended(RequestEnd::Expired, strikes);
            let limit = (wait + 24) * HOUR;
            assert_eq!(last.strikes_before(at(limit - 1)), strikes);
            assert_eq!(last.strikes_before(at(limit)), 0);
        }
        assert_eq!(ended(RequestEnd::Rejected, 2).strikes_before(at(1)), 0);
    }

    #[test]
    fn an_end_is_found_by_its_name() {
        for name in ["approved", "rejected", "blocked", "expired"] {
            assert_eq!(RequestEnd::from_stored(name).map(RequestEnd::as_str), Some(name));
        }
        assert_eq!(RequestEnd::from_stored("Expired"), None);
    }
}
