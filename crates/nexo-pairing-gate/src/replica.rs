//! The gate's copy of what the store knows of senders, which the store keeps up to date.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use nexo_pairing_core::{AccountKey, Clock, PairingError, Replica, SenderState};

use crate::message::Message;
use crate::snapshot::Snapshot;
use crate::telemetry::{ChannelMetrics, Telemetry};

/// The copy that a gate decides by.
pub(crate) struct GateReplica {
    state: RwLock<State>,
    clock: Arc<dyn Clock>,
}

/// Everything that a decision is made of, under one lock.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) snapshot: Snapshot,
    pub(crate) telemetry: Telemetry,
    /// Up to where the snapshot is the store's; `None` if it is not.
    position: Option<i64>,
    /// When the snapshot was last equal to the store, by [`Clock::elapsed`].
    confirmed_at: Option<Duration>,
    /// Whether a block was ever known; `None` before the first load.
    had_blocks: Option<bool>,
    /// What was found damaged in the store.
    pub(crate) damage: Option<String>,
    /// The configured accounts, in order; `None` if every account is known.
    accounts: Option<Vec<AccountKey>>,
}

impl State {
    pub(crate) fn is_known(&self, channel: &str, account: &str) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| {
            let by_name =
                |(of, name): &AccountKey| (of.as_str(), name.as_str()).cmp(&(channel, account));
            accounts.binary_search_by(by_name).is_ok()
        })
    }

    /// Whether the snapshot was the store's at most `max_staleness` before `now`.
    pub(crate) fn is_fresh(&self, now: Duration, max_staleness: Duration) -> bool {
        self.confirmed_at.is_some_and(|at| now.saturating_sub(at) <= max_staleness)
    }

    fn add_channel(&mut self, name: &str) {
        let channels = &mut self.telemetry.channels;
        channels.entry(name.into()).or_insert_with(|| ChannelMetrics::new(name));
    }

    /// Sets the gauges of pending requests of the configured channels.
    fn measure_pending(&self) {
        for (name, channel) in &self.telemetry.channels {
            channel.pending.set(self.snapshot.pending(name) as f64);
        }
    }

    /// Whether a sender is blocked, was ever blocked, or may be, as nothing was loaded yet.
    pub(crate) fn may_have_blocks(&self) -> bool {
        self.had_blocks.unwrap_or(true)
    }
}

impl GateReplica {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: RwLock::default(), clock }
    }

    /// Everything as of one moment. Writers hold the lock for no I/O.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, where the channel of the message has metrics of its own if it is configured: if it has
    /// an adapter or an account.
    pub(crate) fn read_for(&self, message: &Message<'_>) -> RwLockReadGuard<'_, State> {
        let state = self.read();
        if message.adapter.is_none() || state.telemetry.channels.contains_key(message.channel) {
            return state;
        }
        drop(state);
        self.write().add_channel(message.channel);
        self.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the configured accounts; `None` if every account is known.
    pub(crate) fn set_accounts(&self, mut accounts: Option<Vec<AccountKey>>) {
        accounts.iter_mut().for_each(|accounts| accounts.sort_unstable());
        let mut state = self.write();
        for (channel, _) in accounts.iter().flatten() {
            state.add_channel(channel.as_str());
        }
        state.accounts = accounts;
        state.measure_pending();
    }
}

impl Replica for GateReplica {
    fn position(&self) -> Option<i64> {
        self.read().position
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        let mut snapshot = Snapshot::default();
        for state in states {
            snapshot.add(state?);
        }
        let mut state = self.write();
        state.had_blocks = Some(state.had_blocks == Some(true) || snapshot.has_blocks());
        state.position = Some(position);
        let old = std::mem::replace(&mut state.snapshot, snapshot);
        state.measure_pending();
        drop(state);
        // Freeing a million entries takes a while: not under the lock.
        drop(old);
        Ok(())
    }

    fn update(&self, states: Vec<SenderState>, position: i64) {
        let mut state = self.write();
        if states.iter().any(|state| state.blocked == Some(true)) {
            state.had_blocks = Some(true);
        }
        states.into_iter().for_each(|sender| state.snapshot.update(sender));
        state.position = Some(position);
        state.measure_pending();
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn heartbeat(&self, as_of: Duration) {
        self.write().confirmed_at = Some(as_of);
    }

    fn invalidate(&self) {
        let mut state = self.write();
        (state.position, state.confirmed_at) = (None, None);
    }

    fn set_damage(&self, damage: Option<&str>) {
        self.write().damage = damage.map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::ManualClock;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn the_position_is_that_of_the_last_change() {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        let replica = GateReplica::new(clock);
        assert_eq!(replica.position(), None);
        replica.replace(&mut std::iter::empty(), 7).unwrap();
        assert_eq!(replica.position(), Some(7));
        replica.update(Vec::new(), 8);
        assert_eq!(replica.position(), Some(8));
        replica.invalidate();
        assert_eq!(replica.position(), None);
    }
}
