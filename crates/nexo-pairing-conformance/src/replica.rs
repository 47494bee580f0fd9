//! A replica that records its calls and can be waited for.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{GateBackend, PairingError, Replica, SenderState, Validity};

/// The longest that a test waits for a change.
const DEADLINE: Duration = Duration::from_secs(20);

/// A replica as a gate has it, with a record of its calls.
#[derive(Debug)]
pub struct TestReplica {
    state: Mutex<ReplicaState>,
    changed: Condvar,
    began: Instant,
    /// Locked while loads must wait.
    gate: Mutex<()>,
}

impl Default for TestReplica {
    fn default() -> Self {
        let (state, changed, gate) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { state, changed, began: Instant::now(), gate }
    }
}

/// The contents of a [`TestReplica`], and how often each call was made.
#[derive(Debug, Default, Clone)]
pub struct ReplicaState {
    pub position: Option<i64>,
    rows: BTreeMap<String, SenderState>,
    pub loads: u32,
    pub updates: u32,
    pub confirmations: u32,
    pub invalidations: u32,
    /// The number of loads that began.
    pub begun: u32,
    /// Whether the next loads fail.
    pub is_broken: bool,
}

impl ReplicaState {
    /// All senders, one line each: `whatsapp/personal/+1 allowed`.
    pub fn lines(&self) -> Vec<String> {
        let line = |(key, state): (&String, &SenderState)| {
            let mut line = key.clone();
            let mut add = |is_so: bool, word: &str| {
                if is_so {
                    line.push(' ');
                    line.push_str(word);
                }
            };
            add(state.blocked == Some(true), "blocked");
            add(state.allowed == Some(Validity::Always), "allowed");
            add(matches!(state.allowed, Some(Validity::Between(..))), "allowed-for-a-time");
            add(state.pending.is_some(), "pending");
            add(state.waiting.is_some(), "waiting");
            line
        };
        self.rows.iter().map(line).collect()
    }

    pub fn of(&self, key: &str) -> Option<&SenderState> {
        self.rows.get(key)
    }

    fn put(&mut self, state: SenderState) {
        let key = name(&state);
        let row = self.rows.entry(key).or_insert_with(|| stranger(&state));
        row.blocked = row.blocked.or(state.blocked.filter(|is_blocked| *is_blocked));
        row.allowed = row.allowed.or(state.allowed);
        row.pending = row.pending.or(state.pending);
        row.waiting = row.waiting.or(state.waiting);
    }
}

fn name(state: &SenderState) -> String {
    format!("{}/{}/{}", state.channel, state.scope, state.sender)
}

impl TestReplica {
    /// A replica that is subscribed to `store` and loaded.
    pub fn of(store: &dyn GateBackend) -> Arc<Self> {
        let replica = Arc::new(Self::default());
        store.subscribe(replica.weak());
        replica.wait_until("it is loaded", |state| state.position.is_some());
        replica
    }

    /// A handle for a subscription.
    pub fn weak(self: &Arc<Self>) -> Weak<dyn Replica> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }

    /// Its state now.
    pub fn state(&self) -> ReplicaState {
        self.lock().clone()
    }

    /// All senders now, one line each.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines()
    }

    /// Makes loads wait until this is dropped.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// Makes the next loads fail, or succeed again.
    pub fn break_loads(&self, is_broken: bool) {
        self.lock().is_broken = is_broken;
    }

    /// Waits for a state.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&ReplicaState) -> bool) -> ReplicaState {
        let since = Instant::now();
        let mut state = self.lock();
        while !is_so(&state) {
            let left = DEADLINE.saturating_sub(since.elapsed());
            assert!(!left.is_zero(), "timed out waiting until {what}: {:?}", state.lines());
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        state.clone()
    }

    fn lock(&self) -> MutexGuard<'_, ReplicaState> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut ReplicaState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Replica for TestReplica {
    fn position(&self) -> Option<i64> {
        self.lock().position
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        self.change(|state| state.begun += 1);
        drop(self.hold());
        if self.lock().is_broken {
            return Err(PairingError::backend("injected failure of a load"));
        }
        let mut loaded = ReplicaState::default();
        for state in states {
            loaded.put(state?);
        }
        loaded.rows.retain(|_, state| *state != stranger(state));
        self.change(|state| {
            (state.rows, state.position) = (loaded.rows, Some(position));
            state.loads += 1;
        });
        Ok(())
    }

    fn update(&self, states: Vec<SenderState>, position: i64) {
        self.change(|state| {
            assert!(state.position.is_some_and(|old| old < position), "a position only grows");
            for mut sender in states {
                let before = state.rows.remove(&name(&sender)).and_then(|row| row.blocked);
                sender.blocked = sender.blocked.or(before).filter(|is_blocked| *is_blocked);
                if sender != stranger(&sender) {
                    state.put(sender);
                }
            }
            state.position = Some(position);
            state.updates += 1;
        });
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn heartbeat(&self, as_of: Duration) {
        assert!(as_of <= self.now());
        self.change(|state| {
            assert!(state.position.is_some(), "heartbeat before a load");
            state.confirmations += 1;
        });
    }

    fn invalidate(&self) {
        self.change(|state| {
            state.position = None;
            state.invalidations += 1;
        });
    }
}

fn stranger(state: &SenderState) -> SenderState {
    let SenderState { channel, scope, sender, .. } = state.clone();
    SenderState::stranger(channel, scope, sender)
}
