//! An operation that is run again has one effect; one that fails has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use metrics_util::debugging::DebuggingRecorder;
use nexo_pairing_core::{Actor, Grant, NewRequest};
use nexo_pairing_engine::{PortError, PortResult};

use crate::intercept::{Effect, Hooks};
use crate::prelude::*;
use crate::testing::TestReplica;
use crate::testing::redemption;
use crate::world::{account, channel, everywhere, hours, key, sender, unknown};

/// Records the metrics of post-commit effects.
struct Recorded {
    is_run_again: bool,
    recorder: Arc<DebuggingRecorder>,
}

impl Recorded {
    fn new(is_run_again: bool) -> Arc<Self> {
        Arc::new(Self { is_run_again, recorder: Arc::new(DebuggingRecorder::new()) })
    }

    /// Each metric with its labels and its value.
    fn metrics(&self) -> Vec<String> {
        let metrics = self.recorder.snapshotter().snapshot().into_vec();
        let mut lines: Vec<String> = metrics
            .into_iter()
            .map(|(key, _, _, value)| format!("{} {value:?}", key.key()))
            .collect();
        lines.sort();
        lines
    }
}

impl Hooks for Recorded {
    fn is_run_again(&self) -> bool {
        self.is_run_again
    }

    fn effect(&self, effect: Effect) -> Effect {
        let recorder = Arc::clone(&self.recorder);
        Box::new(move || metrics::with_local_recorder(&*recorder, effect))
    }
}

/// Runs each operation once and returns the results.
async fn story<S: Storage>(world: &World<S>) -> Vec<String> {
    let store = &world.store;
    let cli = Actor::cli();
    let mut told = Vec::new();
    macro_rules! tell {
        ($result:expr) => {
            told.push(match $result.await {
                Ok(answer) => format!("{answer:?}"),
                Err(error) => format!("{} {error}", error.kind()),
            })
        };
    }
    for id in ["+1", "+2", "+3"] {
        tell!(store.upsert_pending(NewRequest::new(key(id))));
    }
    let codes = store.list_pending(&Default::default()).await.unwrap();
    let code = |number: usize| codes[number].code.as_str();
    tell!(store.approve(&unknown(1), &cli, Grant::unlimited()));
    tell!(store.approve(code(0), &cli, Grant::unlimited().with_expires_in(hours(2))));
    tell!(store.approve(code(0), &cli, Grant::unlimited()));
    tell!(store.reject(code(1), &cli));
    tell!(store.block(&everywhere("+3"), &cli, Some("spam")));
    tell!(store.unblock(&everywhere("+3"), &cli));
    tell!(store.seed(&channel(), &account("personal"), &[sender("+4")], &Actor::seed()));
    tell!(store.revoke(&everywhere("+4"), &cli));
    tell!(store.forget(&everywhere("+3"), &cli));
    tell!(store.upsert_pending(NewRequest::new(key("+5"))));
    world.pass(hours(2));
    tell!(store.purge_expired());
    for _ in 0..4 {
        tell!(store.approve(&unknown(2), &cli, Grant::unlimited()));
    }
    tell!(store.unlock(&cli, &cli));
    let mut long = redemption(1, Some(1));
    long.claims.expires_at += hours(3);
    let issued = store.redeem(long.clone()).await.unwrap();
    tell!(store.touch(&issued.session.id, None));
    tell!(store.end_session(&issued.token));
    told.push(store.redeem(long).await.unwrap_err().kind().to_owned());
    told
}

pub async fn an_operation_that_is_run_again_has_one_effect<S: Storage>(suite: &Suite<S>) {
    let (once, again) = (Recorded::new(false), Recorded::new(true));
    let plain = World::hooked(suite, Arc::clone(&once) as Arc<dyn Hooks>).await;
    let repeated = World::hooked(suite, Arc::clone(&again) as Arc<dyn Hooks>).await;
    let copies = [TestReplica::of(&plain.store), TestReplica::of(&repeated.store)];
    assert_eq!(story(&repeated).await, story(&plain).await);
    assert_eq!(repeated.visible_state().await, plain.visible_state().await);
    assert_eq!(copies[1].lines(), copies[0].lines());
    let metrics = once.metrics();
    assert!(metrics.iter().any(|line| line.contains("approvals_total")), "{metrics:?}");
    assert_eq!(again.metrics(), metrics);
}

/// Makes a row operation fail.
#[derive(Default)]
struct Failing {
    /// The number of operations before the failing one; negative if none fails.
    left: AtomicI64,
}

impl Failing {
    fn fail_after(&self, operations: i64) {
        self.left.store(operations, Ordering::SeqCst);
    }
}

impl Hooks for Failing {
    fn before(&self, _: &'static str) -> PortResult<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(PortError::new("injected failure")),
            _ => Ok(()),
        }
    }

    fn effect(&self, effect: Effect) -> Effect {
        effect
    }
}

pub async fn an_operation_that_fails_anywhere_leaves_nothing<S: Storage>(suite: &Suite<S>) {
    for number in 0..7 {
        let failing = Arc::new(Failing::default());
        failing.fail_after(-1);
        let world = World::hooked(suite, Arc::clone(&failing) as Arc<dyn Hooks>).await;
        let copy = TestReplica::of(&world.store);
        let store = &world.store;
        let code = world.code("+1").await;
        world.seed("+2").await;
        world.code("+3").await;
        let cli = Actor::cli();
        let (before, seen) = (world.visible_state().await, copy.lines());
        let mut operations = 0;
        loop {
            failing.fail_after(operations);
            let done = match number {
                0 => store
                    .approve(&code, &cli, Grant::unlimited().with_expires_in(hours(1)))
                    .await
                    .is_ok(),
                1 => store.reject(&code, &cli).await.is_ok(),
                2 => store.block(&everywhere("+2"), &cli, Some("spam")).await.is_ok(),
                3 => store.forget(&everywhere("+3"), &cli).await.is_ok(),
                4 => store.upsert_pending(NewRequest::new(key("+4"))).await.is_ok(),
                5 => store.redeem(redemption(1, None)).await.is_ok(),
                _ => {
                    let ids = [sender("+1"), sender("+2"), sender("+5")];
                    let account = account("personal");
                    store.seed(&channel(), &account, &ids, &Actor::seed()).await.is_ok()
                }
            };
            failing.fail_after(-1);
            if done {
                break;
            }
            operations += 1;
            assert_eq!((world.visible_state().await, copy.lines()), (before.clone(), seen.clone()));
        }
        assert!(operations > 2, "only {operations} row operations ran");
        assert_ne!(world.visible_state().await, before);
    }
}

/// Fails a block after it has revoked grants.
struct NoBlocks;

impl Hooks for NoBlocks {
    fn before(&self, operation: &'static str) -> PortResult<()> {
        match operation {
            "put_block" => Err(PortError::new("injected failure")),
            _ => Ok(()),
        }
    }
}

pub async fn an_operation_that_fails_leaves_its_neighbours<S: Storage>(suite: &Suite<S>) {
    let world = World::hooked(suite, Arc::new(NoBlocks)).await;
    world.seed("+0").await;
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let store = world.store.clone();
            tokio::spawn(async move {
                if number % 3 == 1 {
                    return store.block(&everywhere("+0"), &Actor::cli(), None).await.is_err();
                }
                let ids = [sender(&format!("+{number}"))];
                store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.is_ok()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(world.allowed().await.len(), 40, "`+0` is one of them");
    assert!(world.is_allowed("+0").await);
    assert!(world.audit().await.iter().all(|line| line == "seed seed"));
}
