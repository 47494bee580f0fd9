//! Repeated claims of one code are counted on its row; few of them are audited.

use std::time::Duration;

use nexo_pairing_core::RedeemError;

use crate::prelude::*;
use crate::world::{START, counted, details, hours, minutes, moment, redemption};

/// The repetitions that are audited one by one.
const FIRST: usize = 5;

pub async fn codes_are_counted_apart_and_a_replay_that_ends_a_session_is_always_audited<
    S: Storage,
>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let refused = |number| {
        let mut redemption = redemption(number, None);
        redemption.on_replay = nexo_pairing_core::OnReplay::Refuse;
        redemption
    };
    for number in 1..=2 {
        world.device(number).await;
        for _ in 0..20 {
            world.store.redeem(refused(number)).await.unwrap_err();
        }
    }
    assert_eq!(details(&world.store, "replay").await.len(), 2 * FIRST);
    // The operator has changed `on_replay`.
    world.store.redeem(redemption(2, None)).await.unwrap_err();
    let entries = details(&world.store, "replay").await;
    assert_eq!(entries.len(), 2 * FIRST + 1);
    let last = entries.last().unwrap();
    assert_eq!(
        (&last["revoked"], &last["count"], &last["total"]),
        (&true.into(), &16.into(), &21.into())
    );
}

pub async fn a_code_whose_session_was_deleted_is_counted<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let day = Duration::from_secs(86_400);
    let long = |number| {
        let mut redemption = redemption(number, None);
        redemption.claims.expires_at = moment(START + 100 * 86_400);
        redemption.session_ttl = hours(1);
        redemption
    };
    world.store.redeem(long(1)).await.unwrap();
    world.pass(40 * day);
    assert_eq!(world.store.purge_sessions().await.unwrap(), 1);
    for _ in 0..100 {
        let told = world.store.redeem(long(1)).await.unwrap_err();
        assert!(matches!(told, RedeemError::Replayed { session: None, .. }), "{told:?}");
    }
    assert_eq!(details(&world.store, "replay").await.len(), FIRST);
    world.pass(minutes(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(counted(&details(&world.store, "replay").await), 100);
}

pub async fn a_clock_that_was_set_back_does_not_stop_the_audit<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.device(1).await;
    for _ in 0..20 {
        world.redeem(None).await.unwrap_err();
    }
    world.clock.set(moment(START - 86_400));
    for _ in 0..20 {
        world.redeem(None).await.unwrap_err();
    }
    assert_eq!(details(&world.store, "replay").await.len(), FIRST + 1);
}
