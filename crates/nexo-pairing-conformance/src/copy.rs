//! A mirror that shows what it was told, and can be waited for.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_core::{GateBackend, Mirror, PairingError, Span, Standing};
use nexo_pairing_engine::{PairingEngine, Storage};

/// For how long a test waits for what has to come.
const DEADLINE: Duration = Duration::from_secs(20);

/// A copy as a gate has it, with a record of how it was kept.
pub(crate) struct Copy {
    state: Mutex<State>,
    changed: Condvar,
    began: Instant,
    /// Held while loads have to wait.
    gate: Mutex<()>,
}

impl Default for Copy {
    fn default() -> Self {
        let (state, changed, gate) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { state, changed, began: Instant::now(), gate }
    }
}

/// What a copy holds.
#[derive(Default, Clone)]
pub(crate) struct State {
    pub(crate) position: Option<i64>,
    rows: BTreeMap<String, Standing>,
    pub(crate) loads: u32,
    pub(crate) updates: u32,
    pub(crate) confirmations: u32,
    pub(crate) invalidations: u32,
    /// How many loads were begun.
    pub(crate) begun: u32,
    /// Whether the next loads fail.
    pub(crate) is_broken: bool,
}

impl State {
    /// What is known of everybody, one line each: `whatsapp/personal/+1 allowed`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(key, standing): (&String, &Standing)| {
            let mut line = key.clone();
            let mut add = |is_so: bool, word: &str| {
                if is_so {
                    line.push(' ');
                    line.push_str(word);
                }
            };
            add(standing.blocked == Some(true), "blocked");
            add(standing.allowed == Some(Span::Always), "allowed");
            add(matches!(standing.allowed, Some(Span::Between(..))), "allowed-for-a-time");
            add(standing.pending.is_some(), "pending");
            add(standing.waiting.is_some(), "waiting");
            line
        };
        self.rows.iter().map(line).collect()
    }

    pub(crate) fn of(&self, key: &str) -> Option<&Standing> {
        self.rows.get(key)
    }

    fn put(&mut self, standing: Standing) {
        let key = name(&standing);
        let row = self.rows.entry(key).or_insert_with(|| stranger(&standing));
        row.blocked = row.blocked.or(standing.blocked.filter(|is_blocked| *is_blocked));
        row.allowed = row.allowed.or(standing.allowed);
        row.pending = row.pending.or(standing.pending);
        row.waiting = row.waiting.or(standing.waiting);
    }
}

fn name(standing: &Standing) -> String {
    format!("{}/{}/{}", standing.channel, standing.scope, standing.sender)
}

impl Copy {
    /// A copy that is attached to a store, and loaded.
    pub(crate) fn of<S: Storage>(store: &PairingEngine<S>) -> Arc<Self> {
        let copy = Arc::new(Self::default());
        store.attach(copy.weak());
        copy.wait_until("it is loaded", |state| state.position.is_some());
        copy
    }

    pub(crate) fn weak(self: &Arc<Self>) -> Weak<dyn Mirror> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }

    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines()
    }

    /// Makes loads wait until this is dropped.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    pub(crate) fn break_loads(&self, is_broken: bool) {
        self.lock().is_broken = is_broken;
    }

    /// Waits for a state that has to come.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&State) -> bool) -> State {
        let since = Instant::now();
        let mut state = self.lock();
        while !is_so(&state) {
            let left = DEADLINE.saturating_sub(since.elapsed());
            assert!(!left.is_zero(), "waited in vain until {what}: {:?}", state.lines());
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        state.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Mirror for Copy {
    fn position(&self) -> Option<i64> {
        self.lock().position
    }

    fn replace(
        &self,
        standings: &mut dyn Iterator<Item = Result<Standing, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        self.change(|state| state.begun += 1);
        drop(self.hold());
        if self.lock().is_broken {
            return Err(PairingError::backend("this copy takes nothing in"));
        }
        let mut loaded = State::default();
        for standing in standings {
            loaded.put(standing?);
        }
        loaded.rows.retain(|_, standing| *standing != stranger(standing));
        self.change(|state| {
            (state.rows, state.position) = (loaded.rows, Some(position));
            state.loads += 1;
        });
        Ok(())
    }

    fn update(&self, standings: Vec<Standing>, position: i64) {
        self.change(|state| {
            assert!(state.position.is_some_and(|old| old < position), "a position only grows");
            for mut standing in standings {
                let before = state.rows.remove(&name(&standing)).and_then(|row| row.blocked);
                standing.blocked = standing.blocked.or(before).filter(|is_blocked| *is_blocked);
                if standing != stranger(&standing) {
                    state.put(standing);
                }
            }
            state.position = Some(position);
            state.updates += 1;
        });
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn confirm(&self, as_of: Duration) {
        assert!(as_of <= self.now());
        self.change(|state| {
            assert!(state.position.is_some(), "what is confirmed was loaded");
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

fn stranger(standing: &Standing) -> Standing {
    let Standing { channel, scope, sender, .. } = standing.clone();
    Standing::stranger(channel, scope, sender)
}
