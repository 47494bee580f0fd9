//! A forgotten person: nothing that names them is left.

use nexo_pairing_core::{Actor, Filter, SenderKey};

use crate::prelude::*;
use crate::testing::TestReplica;
use crate::world::{World, account, channel, everywhere, key, key_on, sender};

/// An id that cannot occur by chance.
const ANA: &str = "+14155550199";

pub async fn a_forgotten_person_is_in_no_list<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.fill_every_table(ANA).await;
    world.seed("+1").await;
    let copy = TestReplica::of(&world.store);
    let seen = async || {
        let log = world.store.audit(&Filter::all(), 1000).await.unwrap();
        let log = serde_json::to_string(&log).unwrap();
        format!("{log} {:?} {:?}", world.visible_state().await, copy.lines())
    };
    assert!(seen().await.contains(ANA));
    world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    let seen = seen().await;
    assert!(!seen.contains(ANA), "{seen}");
    assert!(world.is_allowed("+1").await);
}

pub async fn the_log_keeps_what_happened_under_one_pseudonym<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code(ANA).await;
    world.approve(&code).await.unwrap();
    world.store.block(&everywhere(ANA), &Actor::cli(), Some("spam")).await.unwrap();
    world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    let log = world.store.audit(&Filter::all(), 100).await.unwrap();
    let actions: Vec<_> = log.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["request", "approve", "block", "forget"]);
    let pseudonym = log[0].sender_id.clone().unwrap();
    let text = pseudonym.as_str();
    assert!(text.starts_with("sha256:") && text.len() == 71, "{text}");
    assert!(log.iter().all(|event| event.sender_id.as_ref() == Some(&pseudonym)));
    assert!(log.iter().all(|event| event.detail.is_null()), "details are gone: {log:?}");

    // The next time, they get another pseudonym.
    world.seed(ANA).await;
    world.store.revoke(&everywhere(ANA), &Actor::cli()).await.unwrap();
    world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    let log = world.store.audit(&Filter::all(), 100).await.unwrap();
    assert_ne!(log.last().unwrap().sender_id, Some(pseudonym));
}

pub async fn forgetting_on_one_account_leaves_the_others<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for name in ["personal", "work"] {
        let ids = [sender(ANA)];
        world.store.seed(&channel(), &account(name), &ids, &Actor::seed()).await.unwrap();
    }
    world.store.block(&everywhere("+2"), &Actor::cli(), None).await.unwrap();
    let forgotten = world.store.forget(&key(ANA).into(), &Actor::cli()).await.unwrap();
    assert_eq!(forgotten, [key(ANA)]);
    assert!(!world.is_allowed(ANA).await);
    assert!(world.store.is_allowed(&key_on("work", ANA)).await.unwrap());
    // A block on all accounts does not belong to this account.
    let forgotten = world.store.forget(&key("+2").into(), &Actor::cli()).await.unwrap();
    assert_eq!(forgotten, Vec::<SenderKey>::new());
    assert_eq!(world.store.list_blocked(&Filter::all()).await.unwrap().len(), 1);
}

pub async fn forgetting_nobody_is_not_in_the_log<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    let forgotten = world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    assert!(forgotten.is_empty());
    assert_eq!(world.audit().await, ["seed seed"]);
}

pub async fn a_forgotten_person_can_make_a_new_request<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code(ANA).await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    world.code(ANA).await;
    // The old code no longer belongs to anybody.
    assert_eq!(world.approve(&code).await.unwrap_err().kind(), "unknown_code");
}
