//! How long a sender waits whose request came to an end.

use std::time::Duration;

use time::OffsetDateTime;

use crate::Validity;

/// For how long a rejected sender is not challenged; and for how long after their wait a sender who
/// let codes expire is remembered for it.
pub const REJECTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The first wait of a sender who let codes expire; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(3600);

/// The longest wait of a sender who let codes expire.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How many codes in a row cost nothing when they expire.
const FREE_STRIKES: u32 = 1;

/// How a request came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestEnd {
    /// The operator let the sender in.
    Approved,
    /// The operator refused it.
    Rejected,
    /// The sender was blocked meanwhile.
    Blocked,
    /// Nobody answered while its code lived.
    Expired,
}

names! {
    /// Its name in a storage.
    RequestEnd {
        Approved => "approved",
        Rejected => "rejected",
        Blocked => "blocked",
        Expired => "expired",
    }
}

impl RequestEnd {
    /// The end that has this name; `None` for the name of an unknown one.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == name)
    }
}

/// The newest request of a sender that came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRequest {
    /// How it ended.
    pub end: RequestEnd,
    /// When it ended.
    pub at: OffsetDateTime,
    /// How many codes of the sender had expired in a row by then, this one included.
    pub strikes: u32,
}

impl EndedRequest {
    /// While its sender has to wait for the next code, if they have to.
    #[must_use]
    pub fn wait(&self) -> Option<Validity> {
        let wait = match self.end {
            RequestEnd::Rejected => REJECTED_FOR,
            RequestEnd::Expired => wait_after(self.strikes),
            RequestEnd::Approved | RequestEnd::Blocked => Duration::ZERO,
        };
        (!wait.is_zero()).then(|| Validity::Between(self.at, later(self.at, wait)))
    }

    /// How many codes had expired in a row before a request that was made at `created_at`: the count
    /// goes on for a sender who comes back within [`REJECTED_FOR`] of the end of the wait.
    #[must_use]
    pub fn strikes_before(&self, created_at: OffsetDateTime) -> u32 {
        let until = later(self.at, wait_after(self.strikes) + REJECTED_FOR);
        let counts = self.end == RequestEnd::Expired && created_at < until;
        if counts { self.strikes } else { 0 }
    }
}

/// How long a sender waits whose codes expired so many times in a row.
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
    fn a_wait_is_for_whoever_was_rejected_or_let_codes_expire() {
        let until = |hours: u64| Some(Validity::Between(at(0), at(hours * HOUR)));
        assert_eq!(ended(RequestEnd::Rejected, 0).wait(), until(24));
        assert_eq!(ended(RequestEnd::Expired, 1).wait(), None);
        assert_eq!(ended(RequestEnd::Expired, 3).wait(), until(2));
        assert_eq!(ended(RequestEnd::Approved, 3).wait(), None);
        assert_eq!(ended(RequestEnd::Blocked, 3).wait(), None);
    }

    #[test]
    fn strikes_count_on_within_a_day_of_the_end_of_the_wait() {
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
