//! Many callers at once.

use nexo_pairing_core::{Actor, Filter, NewRequest, UpsertOutcome};

use crate::prelude::*;
use crate::world::{account, channel, key, scenario, sender};

pub async fn fifty_strangers_at_once_are_three_requests<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    scenario::fifty_strangers_at_once_are_three_requests(&world, &world.another()).await;
}

pub async fn one_stranger_fifty_times_is_one_challenge<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move { store.upsert_pending(NewRequest::new(key("+1"))).await })
        })
        .collect();
    let mut challenges = 0;
    for task in tasks {
        match task.await.unwrap().unwrap() {
            UpsertOutcome::Created { .. } => challenges += 1,
            outcome => assert_eq!(outcome, UpsertOutcome::AlreadyChallenged),
        }
    }
    assert_eq!(challenges, 1);
}

pub async fn a_code_is_used_once<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    scenario::a_code_is_used_once(&world, &world.another()).await;
}

pub async fn busy_writers_all_make_progress<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let writers = (0..8).map(|_| world.another()).collect();
    scenario::busy_writers_all_make_progress(&world, writers).await;
}

pub async fn a_dropped_operation_is_done_completely_or_not_at_all<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..60 {
        let store = world.store.clone();
        let id = format!("+{number}");
        let task = tokio::spawn(async move {
            let ids = [sender(&id)];
            store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await?;
            store.block(&key(&id).into(), &Actor::cli(), None).await
        });
        for _ in 0..number % 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
        drop(task.await);
    }
    // After the writes in progress.
    world.store.purge_expired().await.unwrap();
    let blocked = world.store.list_blocked(&Filter::all()).await.unwrap();
    let grants = world.store.list_allow(&Filter::all(), true).await.unwrap();
    let audit = world.audit().await;
    assert_eq!(audit.len(), blocked.len() + grants.len(), "each with its audit entry");
    for grant in &grants {
        let is_blocked = blocked.iter().any(|block| block.sender_id == grant.sender_id);
        assert_eq!(grant.revoked_at.is_some(), is_blocked, "{}", grant.sender_id);
    }
}
