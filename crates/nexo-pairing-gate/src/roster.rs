//! The lists in memory, kept up to date by the store: what the gate decides by without asking anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use nexo_pairing_core::{AccountId, ChannelId, Clock, PairingError, Replica, SenderState};

use crate::lists::Lists;
use crate::telemetry::Telemetry;

/// Never confirmed.
const NEVER: u64 = u64::MAX;

/// The lists, and when they were last known to be the store's.
#[derive(Debug)]
pub(crate) struct Roster {
    state: ShardedLock<State>,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    /// [`Clock::elapsed`] in nanoseconds.
    confirmed_at: AtomicU64,
    /// Whether anybody may be blocked: so it is until a first load says otherwise, and from the
    /// first block on, even if the lists cannot be read any more.
    may_have_blocks: AtomicBool,
    is_loaded: AtomicBool,
    is_damaged: AtomicBool,
    /// What was found damaged in the store.
    damage: Mutex<Option<String>>,
}

/// What a decision is taken from, under one lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) lists: Lists,
    /// The accounts that there are, in order; `None` when all are.
    accounts: Option<Vec<(ChannelId, AccountId)>>,
}

impl State {
    /// Whether there is such an account.
    #[inline]
    pub(crate) fn is_known(&self, channel: &str, account: &str) -> bool {
        let Some(accounts) = &self.accounts else { return true };
        let asked = (channel, account);
        accounts.binary_search_by(|known| (known.0.as_str(), known.1.as_str()).cmp(&asked)).is_ok()
    }
}

impl Roster {
    pub(crate) fn new(clock: Arc<dyn Clock>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            state: ShardedLock::default(),
            clock,
            telemetry,
            confirmed_at: AtomicU64::new(NEVER),
            may_have_blocks: AtomicBool::new(true),
            is_loaded: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            damage: Mutex::default(),
        }
    }

    /// Whether the lists were the store's at most `max_staleness` ago.
    pub(crate) fn is_fresh(&self, max_staleness: Duration) -> bool {
        let confirmed_at = self.confirmed_at.load(Ordering::Acquire);
        confirmed_at != NEVER
            && nanoseconds(self.clock.elapsed()).saturating_sub(confirmed_at)
                <= nanoseconds(max_staleness)
    }

    /// Whether anybody is blocked, was blocked, or may be, as nothing was ever read.
    pub(crate) fn may_have_blocks(&self) -> bool {
        self.may_have_blocks.load(Ordering::Acquire)
    }

    /// Whether something in the store is damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Acquire)
    }

    /// An error when something in the store is damaged.
    pub(crate) fn check_damage(&self) -> Result<(), PairingError> {
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.clone().map_or(Ok(()), |problem| Err(PairingError::Damaged { problem }))
    }

    /// Replaces the accounts that there are; `None` when all are.
    pub(crate) fn set_accounts(&self, mut accounts: Option<Vec<(ChannelId, AccountId)>>) {
        accounts.iter_mut().for_each(|accounts| accounts.sort_unstable());
        self.write().accounts = accounts;
        self.measure_pending();
    }

    /// Sets the gauges of pending requests, of those channels that are known by now.
    fn measure_pending(&self) {
        // Under the lock, so that no gauge is left at what was counted before another change.
        let state = self.read();
        self.telemetry.measure_pending(|channel| state.lists.pending(channel));
    }

    /// Everything as it is at one moment. Whoever changes it has read what he writes before, so that
    /// nobody waits here for a disk.
    pub(crate) fn read(&self) -> ShardedLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> ShardedLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica for Roster {
    fn position(&self) -> Option<i64> {
        self.read().lists.position
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        let mut lists = Lists::default();
        lists.position = Some(position);
        for state in states {
            lists.merge(state?);
        }
        let is_first = !self.is_loaded.swap(true, Ordering::AcqRel);
        if is_first || lists.has_blocks() {
            self.may_have_blocks.store(lists.has_blocks(), Ordering::Release);
        }
        // Kept until the lock is released: freeing a million entries takes a while.
        let _old = std::mem::replace(&mut self.write().lists, lists);
        self.measure_pending();
        Ok(())
    }

    fn update(&self, states: Vec<SenderState>, position: i64) {
        if states.iter().any(|state| state.blocked == Some(true)) {
            self.may_have_blocks.store(true, Ordering::Release);
        }
        let mut state = self.write();
        let lists = &mut state.lists;
        for state in states {
            lists.remove(&state);
            lists.merge(state);
        }
        lists.position = Some(position);
        drop(state);
        self.measure_pending();
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn heartbeat(&self, as_of: Duration) {
        self.confirmed_at.store(nanoseconds(as_of), Ordering::Release);
    }

    fn invalidate(&self) {
        self.write().lists.position = None;
        self.confirmed_at.store(NEVER, Ordering::Release);
    }

    fn set_damage(&self, damage: Option<&str>) {
        let mut known = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        *known = damage.map(str::to_owned);
        self.is_damaged.store(damage.is_some(), Ordering::Release);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    // 584 years of a clock that begins with the process.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::ManualClock;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn it_knows_up_to_where_its_lists_are_the_stores() {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        let roster = Roster::new(clock, Arc::new(Telemetry::new()));
        assert_eq!(roster.position(), None);
        roster.replace(&mut std::iter::empty(), 7).unwrap();
        assert_eq!(roster.position(), Some(7));
        roster.update(Vec::new(), 8);
        assert_eq!(roster.position(), Some(8));
        roster.invalidate();
        assert_eq!(roster.position(), None);
    }
}
