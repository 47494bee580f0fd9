//! The copy of a store's lists that a gate decides by.

use std::time::Duration;

use time::OffsetDateTime;

use crate::limits;
use crate::{AccountScope, ChannelId, PairingError, SenderId};

/// A copy, in memory, of what a backend knows about senders: the gate's roster.
///
/// The backend calls these one at a time. A position only grows, except through
/// [`replace`](Self::replace).
pub trait Replica: Send + Sync {
    /// Up to where this copy is complete; `None` until the first load and after
    /// [`invalidate`](Self::invalidate).
    fn position(&self) -> Option<i64>;

    /// Puts `states` in place of everything; a key that is not among them is a stranger's. When
    /// the iterator yields an error the copy keeps what it had.
    ///
    /// # Errors
    ///
    /// The iterator's.
    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError>;

    /// Puts `states` in place of what was known of their keys, besides blocks of which they do not
    /// tell.
    fn update(&self, states: Vec<SenderState>, position: i64);

    /// The copy's own time. It is taken before the store is read, and goes back with
    /// [`heartbeat`](Self::heartbeat).
    fn now(&self) -> Duration;

    /// The copy was equal to the store at `as_of`. Called at every poll, changed or not.
    fn heartbeat(&self, as_of: Duration);

    /// What this copy holds is not the store's any more: it must not be used until it is replaced.
    fn invalidate(&self);

    /// What a check of the store found damaged; `None` when it found nothing. Somebody who is blocked
    /// may be missing, so whoever is not on a list must not be let in for that alone. By default
    /// nothing is done: a copy whose blocks are damaged is invalidated as well.
    fn set_damage(&self, _damage: Option<&str>) {}
}

/// Everything a backend knows about one key that a gate decides by.
///
/// In a complete load the same key may come in several, each with a part; in an update it comes
/// once, whole, except that it need not tell of a block that has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderState {
    /// The channel.
    pub channel: ChannelId,
    /// The account; `All` for a block that is for all accounts.
    pub scope: AccountScope,
    /// The sender.
    pub sender: SenderId,
    /// Whether they are blocked. `None` in an update: as before. A backend says `Some(false)` only of
    /// a block that was lifted, after it has made sure that nothing keeps it from finding one.
    pub blocked: Option<bool>,
    /// When his grant holds, if he has one that was not revoked.
    pub allowed: Option<Validity>,
    /// When his request lives, if he has one, and when he was last challenged.
    pub pending: Option<(Validity, OffsetDateTime)>,
    /// When he has to wait for his next code, if he does.
    pub waiting: Option<Validity>,
}

impl SenderState {
    /// A key of which nothing is known.
    #[must_use]
    pub fn stranger(channel: ChannelId, scope: AccountScope, sender: SenderId) -> Self {
        let (allowed, pending, waiting) = (None, None, None);
        Self { channel, scope, sender, blocked: None, allowed, pending, waiting }
    }
}

/// From when to when something holds. A beginning in the future means that the clock was set back:
/// then nothing holds, rather than for ever. Up to [`LEEWAY`](Self::LEEWAY) is no more than a clock
/// that is kept in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validity {
    /// Always.
    Always,
    /// From the first moment, up to but not including the second.
    Between(OffsetDateTime, OffsetDateTime),
}

impl Validity {
    /// How far ahead a time stamp may be without being from the future.
    pub const LEEWAY: Duration = limits::TIMESTAMP_LEEWAY;

    /// Whether it holds at `now`.
    ///
    /// ```
    /// use nexo_pairing_core::Validity;
    /// use time::{Duration, OffsetDateTime};
    ///
    /// let start = OffsetDateTime::UNIX_EPOCH;
    /// let span = Validity::Between(start, start + Duration::hours(1));
    /// assert!(span.holds(start));
    /// assert!(!span.holds(start + Duration::hours(1)));
    /// assert!(!span.holds(start - Duration::minutes(1)), "the clock was set back");
    /// ```
    #[must_use]
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        match self {
            Self::Always => true,
            Self::Between(from, until) => {
                let ahead = time::Duration::try_from(Self::LEEWAY).unwrap_or(time::Duration::MAX);
                from.saturating_sub(ahead) <= now && now < *until
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_span_ends_before_its_end_and_may_begin_a_little_ahead() {
        let from = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let until = from + Duration::HOUR;
        let holds = |now| Validity::Between(from, until).holds(now);
        let moment = Duration::NANOSECOND;
        assert!(holds(from) && holds(until - moment));
        assert!(!holds(until) && !holds(until + moment));
        assert!(holds(from - Validity::LEEWAY) && !holds(from - Validity::LEEWAY - moment));
        assert!(Validity::Always.holds(OffsetDateTime::UNIX_EPOCH));
    }
}
