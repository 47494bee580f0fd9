//! The copy of a store's lists that a gate decides from.

use std::time::Duration;

use time::OffsetDateTime;

use crate::limits;
use crate::{AccountScope, ChannelId, PairingError, SenderId};

/// An in-memory copy of what a store knows about senders, as a gate keeps it.
///
/// The store calls these methods one at a time. Positions only grow, except through
/// [`replace`](Self::replace).
pub trait Replica: Send + Sync {
    /// The position in the change feed up to which this copy is complete; `None` before the first load
    /// and after [`invalidate`](Self::invalidate).
    fn position(&self) -> Option<i64>;

    /// Replaces everything by `states`; keys that are not among them are strangers. If the iterator
    /// yields an error, the copy keeps its contents.
    ///
    /// # Errors
    ///
    /// The iterator's.
    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError>;

    /// Replaces the states of these keys, except for a block whose [`blocked`](SenderState::blocked) is
    /// `None`.
    fn update(&self, states: Vec<SenderState>, position: i64);

    /// The time on the copy's clock. The store reads it before it reads its data, and hands it back
    /// in [`heartbeat`](Self::heartbeat).
    fn now(&self) -> Duration;

    /// The copy equalled the store at `as_of`. Called at every poll, with or without changes.
    fn heartbeat(&self, as_of: Duration);

    /// The copy no longer reflects the store: it must not be used until it is replaced.
    fn invalidate(&self);

    /// The damage that a check of the store found, or `None`. A block may be missing, so a sender must
    /// not be admitted merely for not being on a list. Does nothing by default: a copy whose blocks
    /// are damaged is invalidated as well.
    fn set_damage(&self, _damage: Option<&str>) {}
}

/// What a store knows about one key, as far as a gate needs it.
///
/// In a complete load a key may come in several parts. In an update it comes once and whole, except
/// that an unchanged block may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderState {
    /// The channel.
    pub channel: ChannelId,
    /// The account; `All` for a block on all accounts.
    pub scope: AccountScope,
    /// The sender.
    pub sender: SenderId,
    /// Whether the sender is blocked. `None` in an update: unchanged. `Some(false)` only for a block that
    /// was removed, after the store made sure that no damage hides it.
    pub blocked: Option<bool>,
    /// The validity of the grant, if there is one that was not revoked.
    pub allowed: Option<Validity>,
    /// The validity of the request, if there is one, and when its sender was last challenged.
    pub pending: Option<(Validity, OffsetDateTime)>,
    /// While the sender has to wait for the next code.
    pub waiting: Option<Validity>,
}

impl SenderState {
    /// A key about which nothing is known.
    #[must_use]
    pub fn stranger(channel: ChannelId, scope: AccountScope, sender: SenderId) -> Self {
        let (allowed, pending, waiting) = (None, None, None);
        Self { channel, scope, sender, blocked: None, allowed, pending, waiting }
    }
}

/// The period in which something is valid. A start in the future means that the clock was set back:
/// it then counts as over, rather than valid for too long. A start up to [`LEEWAY`](Self::LEEWAY) ahead
/// is accepted, as synchronized clocks differ by that much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validity {
    /// Always.
    Always,
    /// From the first time up to, but not including, the second.
    Between(OffsetDateTime, OffsetDateTime),
}

impl Validity {
    /// How far ahead of the clock a start may be.
    pub const LEEWAY: Duration = limits::TIMESTAMP_LEEWAY;

    /// Whether `now` is within the period.
    ///
    /// ```
    /// use nexo_pairing_core::Validity;
    /// use time::{Duration, OffsetDateTime};
    ///
    /// let start = OffsetDateTime::UNIX_EPOCH;
    /// let hour = Validity::Between(start, start + Duration::hours(1));
    /// assert!(hour.holds(start));
    /// assert!(!hour.holds(start + Duration::hours(1)));
    /// assert!(!hour.holds(start - Duration::minutes(1)), "the clock was set back");
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
    fn a_period_excludes_its_end_and_may_start_a_little_ahead() {
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
