//! Concurrent operations have the result of some sequential order.
//!
//! One of two operations is held, before it has its locks or after, while the other begins. What comes
//! of them, and all that can be seen then, must be what it is when they are done in a row.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nexo_pairing_core::{Actor, Grant, NewRequest, PairingError, RedeemError};
use nexo_pairing_engine::{PairingEngine, PortError, PortResult};

use crate::intercept::{Hooks, Intercepted};
use crate::prelude::*;
use crate::testing::redemption;
use crate::world::{account, channel, everywhere, key, sender, unknown};

/// The time after which a storage counts as hanging.
const DEADLINE: Duration = Duration::from_secs(20);

/// The point at which the first operation is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    BeforeItsLocks,
    WithItsLocks,
}

/// Holds the first operation until the others have reached a point.
struct Barrier {
    held: Held,
    /// Whether the others can reach their locks, or their end, while it is held.
    is_overlapping: bool,
    state: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The number of operations; 0 while none is held.
    expected: u32,
    asked: u32,
    at_locks: u32,
    finished: u32,
    is_held: bool,
}

impl Barrier {
    fn new(held: Held, is_overlapping: bool) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { held, is_overlapping, state, changed })
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits for a condition. Returns whether it was met.
    fn wait(&self, is_so: impl Fn(&Progress) -> bool) -> bool {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, DEADLINE, |state| !is_so(state));
        !waited.unwrap().1.timed_out()
    }

    /// Holds the first operation to arrive.
    fn hold(&self) -> PortResult<()> {
        {
            let mut state = self.state.lock().unwrap();
            if state.expected == 0 || state.is_held {
                return Ok(());
            }
            state.is_held = true;
        }
        self.changed.notify_all();
        let came = self.wait(|state| match (self.is_overlapping, self.held) {
            (false, _) => state.asked == state.expected,
            (true, Held::WithItsLocks) => state.at_locks == state.expected,
            (true, Held::BeforeItsLocks) => state.finished + 1 == state.expected,
        });
        if came { Ok(()) } else { Err(PortError::new("the other operation made no progress")) }
    }
}

impl Hooks for Barrier {
    fn asked(&self) {
        self.change(|state| state.asked += 1);
    }

    fn before(&self, operation: &'static str) -> PortResult<()> {
        if operation != "lock" {
            return Ok(());
        }
        self.change(|state| state.at_locks += 1);
        if self.held == Held::BeforeItsLocks { self.hold() } else { Ok(()) }
    }

    fn locked(&self) -> PortResult<()> {
        if self.held == Held::WithItsLocks { self.hold() } else { Ok(()) }
    }
}

type Store<S> = PairingEngine<Intercepted<S>>;

/// An operation on a store, given the code of the request of `+1`; returns its result.
type Operation<S> = fn(Store<S>, String) -> Pin<Box<dyn Future<Output = String> + Send>>;

macro_rules! operation {
    (|$store:ident, $code:ident| $operation:expr) => {
        |$store, $code| Box::pin(async move { $operation })
    };
}

fn told<T: std::fmt::Debug>(result: Result<T, PairingError>) -> String {
    result.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}"))
}

/// A store with a request of `+1`, and its code.
async fn world<S: Storage>(
    suite: &Suite<S>,
    barrier: &Arc<Barrier>,
) -> (World<Intercepted<S>>, String) {
    let world = World::hooked(suite, Arc::clone(barrier) as Arc<dyn Hooks>).await;
    let code = world.code("+1").await;
    (world, code)
}

/// Has each of two operations come first, held at each of the two points. Whatever their order is, what
/// comes of them `is_right`.
async fn both_orders<S: Storage>(
    suite: &Suite<S>,
    one: Operation<S>,
    other: Operation<S>,
    is_right: fn(&Outcome) -> bool,
) {
    let is_overlapping = suite.capabilities().overlapping_transactions;
    for (first, second) in [(one, other), (other, one)] {
        for held in [Held::BeforeItsLocks, Held::WithItsLocks] {
            let barrier = Barrier::new(held, is_overlapping);
            let found = at_once(suite, &barrier, first, second).await;
            let is_overtaken = is_overlapping && held == Held::BeforeItsLocks;
            let expected = in_a_row(suite, first, second, is_overtaken).await;
            assert_eq!(found, expected, "held {held:?}");
            assert!(is_right(&found), "{found:?}");
        }
    }
}

/// The results of two operations, and the visible state after them.
type Outcome = (String, String, Vec<String>);

/// Whether exactly one of two operations had this result.
fn once((first, second, _): &Outcome, answer: &str) -> bool {
    first.contains(answer) != second.contains(answer)
}

/// Whether a sender has a grant that is not revoked.
fn has_grant(state: &[String], id: &str) -> bool {
    let is_grant = |line: &String| line.starts_with("AllowedSender") && line.contains(id);
    state.iter().any(|line| is_grant(line) && line.contains("revoked_at: None"))
}

async fn at_once<S: Storage>(
    suite: &Suite<S>,
    barrier: &Arc<Barrier>,
    first: Operation<S>,
    second: Operation<S>,
) -> Outcome {
    let (world, code) = world(suite, barrier).await;
    barrier.change(|state| *state = Progress { expected: 2, ..Progress::default() });
    let first = tokio::spawn(first(world.store.clone(), code.clone()));
    let (until_held, hold) = (Arc::clone(barrier), |state: &Progress| state.is_held);
    assert!(tokio::task::spawn_blocking(move || until_held.wait(hold)).await.unwrap());
    let second = second(world.store.clone(), code).await;
    barrier.change(|state| state.finished += 1);
    let first = first.await.unwrap();
    barrier.change(|state| state.expected = 0);
    (first, second, world.visible_state().await)
}

async fn in_a_row<S: Storage>(
    suite: &Suite<S>,
    first: Operation<S>,
    second: Operation<S>,
    is_overtaken: bool,
) -> Outcome {
    let (world, code) = world(suite, &Barrier::new(Held::WithItsLocks, false)).await;
    let (first, second) =
        (first(world.store.clone(), code.clone()), second(world.store.clone(), code));
    let (first, second) = if is_overtaken {
        let second = second.await;
        (first.await, second)
    } else {
        (first.await, second.await)
    };
    (first, second, world.visible_state().await)
}

pub async fn approve_and_block<S: Storage>(suite: &Suite<S>) {
    let approve: Operation<S> = operation!(|store, code| {
        told(store.approve(&code, &Actor::cli(), Grant::unlimited()).await)
    });
    let block: Operation<S> =
        operation!(|store, _code| told(store.block(&everywhere("+1"), &Actor::cli(), None).await));
    both_orders(suite, approve, block, |outcome| !has_grant(&outcome.2, "+1")).await;
}

pub async fn approve_and_reject<S: Storage>(suite: &Suite<S>) {
    let approve: Operation<S> = operation!(|store, code| {
        told(store.approve(&code, &Actor::cli(), Grant::unlimited()).await)
    });
    let reject: Operation<S> =
        operation!(|store, code| told(store.reject(&code, &Actor::cli()).await));
    both_orders(suite, approve, reject, |outcome| once(outcome, "already")).await;
}

pub async fn forget_and_request<S: Storage>(suite: &Suite<S>) {
    let forget: Operation<S> =
        operation!(|store, _code| told(store.forget(&everywhere("+1"), &Actor::cli()).await));
    let request: Operation<S> =
        operation!(|store, _code| told(store.upsert_pending(NewRequest::new(key("+1"))).await));
    both_orders(suite, forget, request, |outcome| {
        outcome.2.iter().any(|line| line.contains(" forget "))
    })
    .await;
}

pub async fn seed_and_block<S: Storage>(suite: &Suite<S>) {
    let seed: Operation<S> = operation!(|store, _code| {
        let (channel, account, ids) = (channel(), account("personal"), ["+1", "+2"].map(sender));
        told(store.seed(&channel, &account, &ids, &Actor::seed()).await)
    });
    let block: Operation<S> =
        operation!(|store, _code| told(store.block(&key("+2").into(), &Actor::cli(), None).await));
    both_orders(suite, seed, block, |outcome| !has_grant(&outcome.2, "+2")).await;
}

pub async fn redeem_and_redeem<S: Storage>(suite: &Suite<S>) {
    async fn redeem<S: Storage>(store: Store<S>, claim: u64) -> String {
        match store.redeem(redemption(1, Some(claim))).await {
            Ok(_) => "issued".to_owned(),
            Err(RedeemError::Replayed { revoked, .. }) => format!("replayed, revoked: {revoked}"),
            Err(error) => error.to_string(),
        }
    }
    let one: Operation<S> = operation!(|store, _code| redeem(store, 1).await);
    let other: Operation<S> = operation!(|store, _code| redeem(store, 2).await);
    both_orders(suite, one, other, |outcome| once(outcome, "issued")).await;
}

pub async fn the_last_place_is_given_once<S: Storage>(suite: &Suite<S>) {
    async fn request<S: Storage>(store: Store<S>, id: &str) -> String {
        // `+1` has the first place.
        let request = NewRequest::new(key(id)).with_max_pending(2);
        told(store.upsert_pending(request).await)
    }
    let one: Operation<S> = operation!(|store, _code| request(store, "+2").await);
    let other: Operation<S> = operation!(|store, _code| request(store, "+3").await);
    both_orders(suite, one, other, |outcome| once(outcome, "Created")).await;
}

pub async fn five_wrong_codes_at_once<S: Storage>(suite: &Suite<S>) {
    let is_overlapping = suite.capabilities().overlapping_transactions;
    let barrier = Barrier::new(Held::WithItsLocks, is_overlapping);
    let (world, code) = world(suite, &barrier).await;
    barrier.change(|state| *state = Progress { expected: 5, ..Progress::default() });
    let guesses: Vec<_> = (0..5)
        .map(|number| {
            let store = world.store.clone();
            let guess = async move {
                store.approve(&unknown(number), &Actor::cli(), Grant::unlimited()).await
            };
            tokio::spawn(guess)
        })
        .collect();
    let mut told = Vec::new();
    for guess in guesses {
        told.push(match guess.await.unwrap().unwrap_err() {
            PairingError::UnknownCode { attempts_left } => attempts_left,
            PairingError::LockedOut { .. } => 0,
            other => panic!("{other:?}"),
        });
    }
    barrier.change(|state| state.expected = 0);
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2, 3, 4]);
    let late = world.approve(&code).await.unwrap_err();
    assert_eq!(late.kind(), "locked_out");
    let lockouts = world.audit().await.into_iter().filter(|line| line.contains("lockout"));
    assert_eq!(lockouts.count(), 1);
}
