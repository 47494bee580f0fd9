//! What the gate does when its store cannot be read, and how it sees changes.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::support::{TestAdapter, World, at_once, channel, key};
use async_trait::async_trait;
use nexo_pairing_core::{
    AccountId, AccountScope, Actor, Clock, Decision, DropReason, GateBackend, Inbound, ManualClock,
    Mode, NewRequest, PairingAdapterRegistry, PairingCode, PairingError, PairingPolicy, Replica,
    Rule, SenderId, SenderKey, SenderState, Target, UpsertOutcome, Validity,
};
use nexo_pairing_gate::{GateOptions, PairingGate};
use time::OffsetDateTime;

/// A store that cannot be read until `works` is set.
#[derive(Default)]
struct Faulty {
    replica: Mutex<Option<Weak<dyn Replica>>>,
    works: AtomicBool,
    hangs: AtomicBool,
    refreshes: AtomicUsize,
    lists: Mutex<Vec<SenderState>>,
    /// The outcome of a request; without one, writing fails.
    outcome: Mutex<Option<UpsertOutcome>>,
}

#[async_trait]
impl GateBackend for Faulty {
    async fn upsert_pending(&self, _: NewRequest) -> Result<UpsertOutcome, PairingError> {
        let outcome = self.outcome.lock().unwrap().clone();
        outcome.ok_or(PairingError::backend("the disk is gone"))
    }
    async fn challenge_undelivered(
        &self,
        _: &SenderKey,
        _: Duration,
        _: Duration,
    ) -> Result<(), PairingError> {
        unreachable!("nothing is ever delivered")
    }
    fn subscribe(&self, replica: Weak<dyn Replica>) {
        *self.replica.lock().unwrap() = Some(replica);
    }
    async fn refresh(&self) -> Result<(), PairingError> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if !self.works.load(Ordering::SeqCst) {
            return Err(PairingError::backend("the disk is gone"));
        }
        let replica = self.replica.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
        let lists = self.lists.lock().unwrap().clone();
        let as_of = replica.now();
        replica.replace(&mut lists.into_iter().map(Ok), 1).unwrap();
        replica.heartbeat(as_of);
        Ok(())
    }
}

fn gate(backend: &Arc<Faulty>) -> (PairingGate, Arc<ManualClock>) {
    let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    let options = GateOptions::default().with_clock(clock.clone());
    (PairingGate::with_options(Arc::clone(backend), options), clock)
}

async fn admit(gate: &PairingGate, mode: Mode) -> Result<Decision, PairingError> {
    gate.should_admit("test", "main", "id:1", &PairingPolicy::new(mode), None).await
}

fn state(scope: AccountScope) -> SenderState {
    SenderState::stranger(channel(), scope, SenderId::parse("id:1").unwrap())
}

fn grant() -> SenderState {
    let mut state = state(AccountScope::One(AccountId::parse("main").unwrap()));
    state.allowed = Some(Validity::Always);
    state
}

#[tokio::test]
async fn rule_1_before_the_first_load_nobody_is_admitted_or_challenged() {
    let backend = Arc::new(Faulty::default());
    let (gate, _) = gate(&backend);
    for mode in [Mode::Allowlist, Mode::Pairing] {
        let error = admit(&gate, mode).await.unwrap_err();
        assert!(matches!(error, PairingError::Stale { source: Some(_), .. }), "{error:?}");
    }
    let error = admit(&gate, Mode::Open).await.unwrap_err();
    assert!(matches!(error, PairingError::Stale { .. }), "blocks are not known yet: {error:?}");
}

#[tokio::test]
async fn rule_1_holds_until_the_first_load_is_complete() {
    let backend = Arc::new(Faulty::default());
    let (gate, _) = gate(&backend);
    let replica = backend.replica.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
    let shut = |modes: &[Mode]| {
        for &mode in modes {
            let policy = PairingPolicy::new(mode);
            for sender in ["id:1", "id:2"] {
                let decided = gate.try_admit("test", "main", sender, &policy, None).unwrap();
                assert_eq!(decided, None, "{mode} {sender}");
            }
            let waited = at_once(pin!(admit(&gate, mode)));
            assert!(matches!(waited, Some(Err(PairingError::Stale { .. }))), "{mode}: {waited:?}");
        }
    };
    let as_of = replica.now();
    // During the load, blocks are not known yet.
    let all = [Mode::Open, Mode::Allowlist, Mode::Pairing];
    replica.replace(&mut [grant()].into_iter().map(Ok).inspect(|_| shut(&all)), 1).unwrap();
    shut(&all[1..]);
    replica.heartbeat(as_of);
    assert_eq!(admit(&gate, Mode::Pairing).await.unwrap(), Decision::Admit);
}

#[tokio::test]
async fn rule_1_lists_older_than_5_s_are_stale_until_a_refresh() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    *backend.lists.lock().unwrap() = vec![grant()];
    let (gate, clock) = gate(&backend);
    assert_eq!(admit(&gate, Mode::Pairing).await.unwrap(), Decision::Admit);
    let refreshes = backend.refreshes.load(Ordering::SeqCst);
    backend.works.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(5));
    assert_eq!(admit(&gate, Mode::Pairing).await.unwrap(), Decision::Admit);
    assert_eq!(backend.refreshes.load(Ordering::SeqCst), refreshes, "decided from memory");
    clock.advance(Duration::from_nanos(1));
    assert!(admit(&gate, Mode::Pairing).await.is_err());
    assert_eq!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit);
    backend.works.store(true, Ordering::SeqCst);
    assert_eq!(admit(&gate, Mode::Pairing).await.unwrap(), Decision::Admit);
}

#[tokio::test]
async fn rule_1_applies_in_mode_open_if_a_block_was_ever_known() {
    for scope in [AccountScope::All, AccountScope::One(AccountId::parse("main").unwrap())] {
        let backend = Arc::new(Faulty::default());
        backend.works.store(true, Ordering::SeqCst);
        let mut block = state(scope);
        block.blocked = Some(true);
        *backend.lists.lock().unwrap() = vec![block];
        let (gate, clock) = gate(&backend);
        let blocked = Decision::Drop(DropReason::Blocked);
        assert_eq!(admit(&gate, Mode::Open).await.unwrap(), blocked);
        backend.works.store(false, Ordering::SeqCst);
        clock.advance(Duration::from_secs(6));
        assert!(matches!(admit(&gate, Mode::Open).await, Err(PairingError::Stale { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_store_that_hangs_delays_a_message_for_5_s_and_then_fails() {
    let backend = Arc::new(Faulty::default());
    backend.hangs.store(true, Ordering::SeqCst);
    let (gate, _) = gate(&backend);
    let started = tokio::time::Instant::now();
    let error = admit(&gate, Mode::Pairing).await.unwrap_err();
    assert!(matches!(error, PairingError::Stale { source: None, .. }), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 5);
    // The messages that follow wait for less long.
    let started = tokio::time::Instant::now();
    assert!(admit(&gate, Mode::Pairing).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(1));
    backend.hangs.store(false, Ordering::SeqCst);
    backend.works.store(true, Ordering::SeqCst);
    assert!(admit(&gate, Mode::Allowlist).await.is_ok(), "it recovers by itself");
}

#[tokio::test]
async fn a_failed_write_admits_nobody() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    let (gate, _) = gate(&backend);
    assert!(matches!(admit(&gate, Mode::Pairing).await, Err(PairingError::Backend(_))));
}

#[tokio::test]
async fn the_stores_answer_overrides_the_lists() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    let (gate, clock) = gate(&backend);
    let (code, expires_at) = (PairingCode::from_random([7; 7]), clock.now());
    let challenge = Decision::Challenge { code: code.clone() };
    for (outcome, rule, decision) in [
        (UpsertOutcome::Allowed, Rule::Allowed, Decision::Admit),
        (UpsertOutcome::Blocked, Rule::Blocked, Decision::Drop(DropReason::Blocked)),
        (UpsertOutcome::Waiting, Rule::Waiting, Decision::Drop(DropReason::Waiting)),
        (
            UpsertOutcome::AlreadyChallenged,
            Rule::AlreadyChallenged,
            Decision::Drop(DropReason::AlreadyChallenged),
        ),
        (UpsertOutcome::PendingFull, Rule::PendingFull, Decision::Drop(DropReason::PendingFull)),
        (
            UpsertOutcome::Repeated { key: key("main", "id:1"), code: code.clone(), expires_at },
            Rule::ChallengeAgain,
            challenge.clone(),
        ),
        (
            UpsertOutcome::Created { key: key("main", "id:1"), code, expires_at },
            Rule::Challenge,
            challenge,
        ),
    ] {
        *backend.outcome.lock().unwrap() = Some(outcome);
        let inbound = Inbound::direct("test", "main", "id:1");
        let policy = PairingPolicy::new(Mode::Pairing);
        let screened = gate.screen(&inbound, &policy, &PairingAdapterRegistry::new()).await;
        let screened = screened.unwrap();
        assert_eq!((screened.rule, screened.decision), (rule, decision));
    }
}

#[tokio::test]
async fn an_invalidated_replica_is_not_used_until_it_is_replaced() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    *backend.lists.lock().unwrap() = vec![grant()];
    let (gate, _) = gate(&backend);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
    let replica = backend.replica.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
    replica.invalidate();
    assert_eq!(replica.position(), None);
    backend.works.store(false, Ordering::SeqCst);
    assert!(admit(&gate, Mode::Allowlist).await.is_err());
    backend.lists.lock().unwrap().clear();
    backend.works.store(true, Ordering::SeqCst);
    let dropped = Decision::Drop(DropReason::NotAllowed);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), dropped);
}

#[tokio::test]
async fn a_load_that_fails_halfway_changes_nothing() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    *backend.lists.lock().unwrap() = vec![grant()];
    let (gate, _) = gate(&backend);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
    let replica = backend.replica.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
    let half = [Err(PairingError::backend("the disk is gone"))];
    assert!(replica.replace(&mut half.into_iter(), 9).is_err());
    assert_eq!(replica.position(), Some(1));
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
}

#[tokio::test]
async fn a_load_is_as_old_as_its_beginning() {
    let backend = Arc::new(Faulty::default());
    let (gate, clock) = gate(&backend);
    let replica = backend.replica.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
    let as_of = replica.now();
    clock.advance(Duration::from_secs(4));
    replica.replace(&mut std::iter::empty(), 1).unwrap();
    replica.heartbeat(as_of);
    assert!(admit(&gate, Mode::Allowlist).await.is_ok());
    clock.advance(Duration::from_secs(2));
    assert!(admit(&gate, Mode::Allowlist).await.is_err());
}

#[tokio::test]
async fn fresh_lists_are_used_without_waiting_for_the_store() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    let (gate, _) = gate(&backend);
    assert_eq!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit);
    backend.hangs.store(true, Ordering::SeqCst);
    let refreshes = backend.refreshes.load(Ordering::SeqCst);
    let stranger = Inbound::direct("test", "main", "id:9");
    let (policy, registry) = (PairingPolicy::new(Mode::Pairing), PairingAdapterRegistry::new());
    let explained = gate.explain(&stranger, &policy, &registry).await.unwrap();
    assert_eq!(explained.rule, Rule::Challenge);
    assert_eq!(backend.refreshes.load(Ordering::SeqCst), refreshes);
}

#[tokio::test]
async fn rule_1_applies_in_mode_open_only_if_there_may_be_blocks() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    let (gate, clock) = gate(&backend);
    assert_eq!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit);
    backend.works.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(6));
    assert_eq!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit, "there was no block");
    let registry = PairingAdapterRegistry::new();
    registry.register(Arc::new(TestAdapter::default()));
    let (status, open) = (Inbound::direct("test", "main", "status"), PairingPolicy::default());
    let unpairable = gate.screen(&status, &open, &registry).await.unwrap();
    assert_eq!((unpairable.decision, unpairable.rule), (Decision::Admit, Rule::NotPairable));
    // A block that was removed was known once.
    let mut block = state(AccountScope::All);
    block.blocked = Some(true);
    *backend.lists.lock().unwrap() = vec![block];
    backend.works.store(true, Ordering::SeqCst);
    gate.flush_cache();
    assert_ne!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit);
    backend.lists.lock().unwrap().clear();
    gate.flush_cache();
    assert_eq!(admit(&gate, Mode::Open).await.unwrap(), Decision::Admit);
    backend.works.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(6));
    assert!(admit(&gate, Mode::Open).await.is_err());
}

#[tokio::test]
async fn flush_cache_forces_one_refresh_before_the_next_decision() {
    let backend = Arc::new(Faulty::default());
    backend.works.store(true, Ordering::SeqCst);
    let (gate, _) = gate(&backend);
    let dropped = Decision::Drop(DropReason::NotAllowed);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), dropped);
    *backend.lists.lock().unwrap() = vec![grant()];
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), dropped);
    gate.flush_cache();
    let before = backend.refreshes.load(Ordering::SeqCst);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
    assert_eq!(backend.refreshes.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn refresh_loads_the_lists_now() {
    let backend = Arc::new(Faulty::default());
    let (gate, _) = gate(&backend);
    assert!(matches!(gate.refresh().await, Err(PairingError::Backend(_))));
    backend.works.store(true, Ordering::SeqCst);
    *backend.lists.lock().unwrap() = vec![grant()];
    gate.refresh().await.unwrap();
    let before = backend.refreshes.load(Ordering::SeqCst);
    assert_eq!(admit(&gate, Mode::Allowlist).await.unwrap(), Decision::Admit);
    assert_eq!(backend.refreshes.load(Ordering::SeqCst), before, "the lists were loaded");
}

#[tokio::test]
async fn a_change_through_the_same_store_is_seen_by_the_next_call() {
    let world = World::new(Mode::Allowlist).await;
    let policy = &world.policy;
    let admit =
        async || world.gate.should_admit("test", "main", "id:1", policy, None).await.unwrap();
    let target = Target::from(key("main", "id:1"));
    for _ in 0..100 {
        world.seed("main", "id:1").await;
        assert_eq!(admit().await, Decision::Admit);
        world.store.revoke(&target, &Actor::cli()).await.unwrap();
        assert_eq!(admit().await, Decision::Drop(DropReason::NotAllowed));
        world.block(AccountScope::All, "id:1").await;
        assert_eq!(admit().await, Decision::Drop(DropReason::Blocked));
        let all = Target::new(channel(), AccountScope::All, SenderId::parse("id:1").unwrap());
        assert!(world.store.unblock(&all, &Actor::cli()).await.unwrap());
        assert_eq!(admit().await, Decision::Drop(DropReason::NotAllowed));
    }
}

#[tokio::test]
async fn invalid_ids_are_errors() {
    let world = World::new(Mode::Open).await;
    for (channel, account) in
        [("", "main"), ("a.b", "main"), ("test", ""), ("test", "*"), ("test", ">")]
    {
        let decided = world.gate.should_admit(channel, account, "id:1", &world.policy, None).await;
        assert!(matches!(decided, Err(PairingError::Id(_))), "{channel}/{account}: {decided:?}");
        let noticed = world.gate.screen_lifecycle_event(channel, account);
        assert!(matches!(noticed, Err(PairingError::Id(_))), "{channel}/{account}: {noticed:?}");
        let inbound = Inbound::direct(channel, account, "id:1");
        let explained = world.gate.explain(&inbound, &world.policy, &world.registry).await;
        assert!(
            matches!(explained, Err(PairingError::Id(_))),
            "{channel}/{account}: {explained:?}"
        );
    }
}
