//! Scenarios of the suite that a storage's own tests run too: on options of their own, or on a second
//! handle that is another process to the storage.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::{
    Actor, GateBackend, Grant, IssuedSession, NewRequest, OnReplay, OperatorBackend, PairingError,
    Redemption, SessionBackend, UpsertOutcome,
};

use super::{
    START, TestReplica, World, account, channel, everywhere, hours, key, key_on, minutes, moment,
    redemption, sender,
};

/// Changes a sender in every way through one handle and its clone. Returns the replica, which saw each
/// change.
pub async fn a_change_through_this_handle_is_visible_on_return<B>(
    world: &World<B>,
) -> Arc<TestReplica>
where
    B: GateBackend + OperatorBackend + Clone,
{
    let copy = TestReplica::of(&world.store);
    let clone = world.store.clone();
    let of_one = || copy.lines().join(", ").replace("whatsapp/personal/+1 ", "");

    world.seed("+1").await;
    assert_eq!(of_one(), "allowed");
    clone.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    assert_eq!(of_one(), "");
    let code = world.code("+1").await;
    assert_eq!(of_one(), "pending");
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    assert_eq!(of_one(), "waiting");
    world.pass(hours(24));
    world.code("+1").await;
    assert_eq!(of_one(), "pending waiting", "a wait that has ended");
    let (cooldown, retry) = (minutes(5), Duration::from_secs(10));
    world.store.challenge_undelivered(&key("+1"), cooldown, retry).await.unwrap();
    let stamp = copy.state().of("whatsapp/personal/+1").unwrap().pending.unwrap().1;
    assert_eq!(stamp, moment(START + 86_400 - 290));
    world.pass(retry);
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
    let stamp = copy.state().of("whatsapp/personal/+1").unwrap().pending.unwrap().1;
    assert_eq!(stamp, moment(START + 86_410));
    world.pass(hours(1));
    assert_eq!(world.store.purge_expired().await.unwrap(), 1);
    assert_eq!(of_one(), "", "the first expiry is free");
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(minutes(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    assert_eq!(of_one(), "allowed-for-a-time");
    world.pass(minutes(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(of_one(), "");
    world.code("+1").await;
    world.store.block(&key("+1").into(), &Actor::cli(), None).await.unwrap();
    assert_eq!(of_one(), "blocked");
    world.store.unblock(&key("+1").into(), &Actor::cli()).await.unwrap();
    assert_eq!(of_one(), "");
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    assert_eq!(of_one(), "whatsapp/*/+1 blocked");
    world.store.forget(&everywhere("+1"), &Actor::cli()).await.unwrap();
    assert_eq!(of_one(), "");
    copy
}

/// Fifty senders write at once, through two handles.
pub async fn fifty_strangers_at_once_are_three_requests<B>(world: &World<B>, other: &B)
where
    B: GateBackend + OperatorBackend + Clone + 'static,
{
    let outcomes = in_turn(world, other, 50, |number, store| async move {
        store.upsert_pending(NewRequest::new(key(&format!("+{number}")))).await
    });
    let mut created = 0;
    for outcome in outcomes.await {
        match outcome.unwrap() {
            UpsertOutcome::Created { .. } => created += 1,
            outcome => assert_eq!(outcome, UpsertOutcome::PendingFull),
        }
    }
    assert_eq!((created, world.pending().await.len()), (3, 3));
}

/// Ten callers use each code at once, through two handles.
pub async fn a_code_is_used_once<B>(world: &World<B>, other: &B)
where
    B: GateBackend + OperatorBackend + Clone + 'static,
{
    for round in 0..10 {
        let code = world.code(&format!("+{round}")).await;
        let results = in_turn(world, other, 10, |number, store| {
            let code = code.clone();
            async move {
                if number % 3 == 0 {
                    store.reject(&code, &Actor::cli()).await.map(drop)
                } else {
                    store.approve(&code, &Actor::cli(), Grant::unlimited()).await.map(drop)
                }
            }
        });
        let mut used = 0;
        for result in results.await {
            match result {
                Ok(()) => used += 1,
                Err(error) => assert!(error.kind().starts_with("already_"), "{error:?}"),
            }
        }
        assert_eq!(used, 1);
    }
}

/// Each handle writes 40 grants, all at once.
pub async fn busy_writers_all_make_progress<B>(world: &World<B>, writers: Vec<B>)
where
    B: GateBackend + OperatorBackend + 'static,
{
    let count = writers.len();
    let mut tasks = Vec::new();
    for (writer, store) in writers.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            for number in 0..40 {
                let ids = [sender(&format!("+{writer}-{number}"))];
                store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await?;
                store.is_allowed(&key_on("work", ids[0].as_str())).await?;
            }
            Ok::<_, PairingError>(())
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.allowed().await.len(), 40 * count);
}

/// Ten clients use each of ten codes at once, through two handles.
pub async fn of_many_at_once_one_gets_a_session<B>(world: &World<B>, other: &B, on_replay: OnReplay)
where
    B: SessionBackend + Clone + 'static,
{
    for code in 0..10 {
        let redemption = |number| {
            let mut redemption = redemption(code, Some(number));
            redemption.on_replay = on_replay;
            redemption
        };
        let issued = redeem_at_once(world, other, redemption).await;
        assert_eq!(issued.len(), 1);
        assert_eq!(world.accepts(&issued[0]).await, on_replay == OnReplay::Refuse);
    }
    let live = if on_replay == OnReplay::Refuse { 10 } else { 0 };
    assert_eq!(world.live().await.len(), live);
    assert_eq!(world.store.list_sessions(true).await.unwrap().len(), 10);
}

/// One client presents its code ten times at once, through two handles.
pub async fn a_client_that_asks_many_times_at_once_has_one_session<B>(world: &World<B>, other: &B)
where
    B: SessionBackend + Clone + 'static,
{
    let issued = redeem_at_once(world, other, |_| redemption(1, Some(1))).await;
    assert_eq!((issued.len(), world.live().await.len()), (10, 1));
    let mut accepted = 0;
    for session in &issued {
        accepted += u32::from(world.accepts(session).await);
    }
    assert_eq!(accepted, 1, "the last one only");
}

/// Ten clients on two handles use one code at once; returns the sessions.
async fn redeem_at_once<B>(
    world: &World<B>,
    other: &B,
    redemption: impl Fn(u64) -> Redemption,
) -> Vec<IssuedSession>
where
    B: SessionBackend + Clone + 'static,
{
    let results = in_turn(world, other, 10, |number, store| {
        let redemption = redemption(number);
        async move { store.redeem(redemption).await }
    });
    let mut issued = Vec::new();
    for result in results.await {
        match result {
            Ok(session) => issued.push(session),
            Err(error) => assert_eq!(error.kind(), "replayed"),
        }
    }
    issued
}

/// Runs so many operations at once, in turn on two handles, and returns their results.
async fn in_turn<B, F>(
    world: &World<B>,
    other: &B,
    count: u64,
    operation: impl Fn(u64, B) -> F,
) -> Vec<F::Output>
where
    B: Clone,
    F: Future<Output: Send> + Send + 'static,
{
    let start = |number| {
        let store = if number % 2 == 0 { &world.store } else { other };
        tokio::spawn(operation(number, store.clone()))
    };
    let tasks: Vec<_> = (0..count).map(start).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
