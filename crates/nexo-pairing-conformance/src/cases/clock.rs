//! A clock that is changed: nothing from the future holds for ever.

use nexo_pairing_core::{Actor, Filter, Grant, PairingError, UpsertOutcome};

use crate::prelude::*;
use crate::world::{START, World, everywhere, hours, key, moment, unknown};

const DAY: i64 = 86_400;

impl<S: Storage> World<S> {
    fn set(&self, seconds_after_start: i64) {
        self.clock.set(moment(START + seconds_after_start));
    }
}

pub async fn a_request_from_the_future_has_expired<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    world.set(-DAY);
    assert!(world.pending().await.is_empty());
    let told = world.approve(&code).await.unwrap_err();
    assert!(
        matches!(&told, PairingError::Expired { key: whose, at } if *whose == key("+1")
            && *at == moment(START - DAY)),
        "{told:?}"
    );
    assert_eq!(world.store.purge_expired().await.unwrap(), 0, "already counted");
    // They get a new one, which lives for an hour of the new time.
    let code = world.code("+1").await;
    world.set(-DAY + 3599);
    world.approve(&code).await.unwrap();
}

pub async fn a_clock_that_is_kept_in_time_may_go_back_five_seconds<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.code("+2").await;
    let rejected = world.code("+3").await;
    world.store.reject(&rejected, &Actor::cli()).await.unwrap();
    for number in 0..5 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    world.set(-5);
    assert_eq!(
        (world.allowed().await, world.pending().await),
        (vec!["+1".into()], vec!["+2".into()])
    );
    assert!(world.is_allowed("+1").await);
    assert_eq!(world.message("+1").await, UpsertOutcome::Allowed);
    assert_eq!(world.message("+2").await, UpsertOutcome::AlreadyChallenged);
    assert_eq!(world.message("+3").await, UpsertOutcome::Waiting);
    assert_eq!(world.approve(&unknown(9)).await.unwrap_err().kind(), "locked_out");
    let other = crate::world::actor("api:bo");
    let told = world.store.reject(&rejected, &other).await.unwrap_err();
    assert_eq!(told.kind(), "already_rejected");
    assert_eq!(world.store.purge_expired().await.unwrap(), 0);

    world.set(-6);
    assert!(world.allowed().await.is_empty() && world.pending().await.is_empty());
    assert!(!world.is_allowed("+1").await);
    let told = world.store.reject(&rejected, &other).await.unwrap_err();
    assert_eq!(told.kind(), "unknown_code");
    assert_eq!(world.approve(&unknown(9)).await.unwrap_err().kind(), "unknown_code");
    world.code("+3").await;
    assert_eq!(world.store.purge_expired().await.unwrap(), 0, "+2 was already counted");
}

pub async fn a_challenge_from_the_future_starts_no_cooldown<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    world.set(1800);
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
    // Back, but to a moment after the request.
    world.set(60);
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
    assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
}

pub async fn a_lockout_from_the_future_does_not_count<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..5 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    assert_eq!(world.approve(&unknown(9)).await.unwrap_err().kind(), "locked_out");
    world.set(-DAY);
    let told = world.approve(&unknown(9)).await.unwrap_err();
    assert!(matches!(told, PairingError::UnknownCode { attempts_left: 4 }), "{told:?}");
    // Attempts from the future do not count either.
    world.set(-2 * DAY);
    let told = world.approve(&unknown(9)).await.unwrap_err();
    assert!(matches!(told, PairingError::UnknownCode { attempts_left: 4 }), "{told:?}");
}

pub async fn a_lockout_replaces_the_attempts_that_caused_it<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..4 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    // So that the attempts are newer.
    world.set(-5);
    assert_eq!(world.approve(&unknown(4)).await.unwrap_err().kind(), "locked_out");
    world.set(-5 + 600);
    let told = world.approve(&unknown(5)).await.unwrap_err();
    assert!(matches!(told, PairingError::UnknownCode { attempts_left: 4 }), "{told:?}");
}

pub async fn a_wait_from_the_future_does_not_count<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.set(-DAY);
    world.code("+1").await;
    let world = World::new(suite).await;
    for _ in 0..2 {
        world.code("+2").await;
        world.pass(hours(1));
    }
    assert_eq!(world.message("+2").await, UpsertOutcome::Waiting);
    world.set(-DAY);
    world.code("+2").await;
}

pub async fn an_outcome_from_the_future_is_not_reported<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.set(-DAY);
    assert_eq!(world.approve(&code).await.unwrap_err().kind(), "unknown_code");
}

pub async fn a_temporary_grant_from_the_future_does_not_hold<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.seed("+2").await;
    world.set(-DAY);
    assert!(!world.is_allowed("+1").await);
    assert!(world.is_allowed("+2").await, "a permanent grant holds whatever its timestamp");
    assert_eq!(world.allowed().await, ["+2"], "the listing agrees with the gate");
    let all = world.store.list_allow(&Filter::all(), true).await.unwrap();
    assert_eq!(all[0].revoked_at, Some(moment(START - DAY)), "the only known end");
    world.code("+1").await;
    // The clock was right before: nothing was deleted.
    world.set(60);
    assert!(world.is_allowed("+1").await);
}

pub async fn a_permanent_grant_replaces_a_temporary_one_from_the_future<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.set(-DAY);
    let code = world.code("+1").await;
    world.approve(&code).await.unwrap();
    world.set(DAY);
    assert!(world.is_allowed("+1").await);
}

pub async fn a_temporary_grant_from_the_future_can_be_revoked<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.set(-DAY);
    let revoked = world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    assert_eq!(revoked, [key("+1")]);
    world.set(60);
    assert!(!world.is_allowed("+1").await);
}

pub async fn a_block_holds_whatever_the_clock_says<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    for seconds in [-400 * DAY, 0, 400 * DAY] {
        world.set(seconds);
        world.store.purge_expired().await.unwrap();
        assert_eq!(world.message("+1").await, UpsertOutcome::Blocked);
    }
}

pub async fn a_clock_set_forward_ends_what_it_passes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.code("+2").await;
    world.seed("+3").await;
    world.set(DAY);
    assert_eq!(world.allowed().await, ["+3"]);
    assert_eq!(world.store.purge_expired().await.unwrap(), 1);
    // And back: expired rows stay expired.
    world.set(60);
    assert_eq!(world.allowed().await, ["+3"]);
    assert!(world.pending().await.is_empty());
}

pub async fn a_grant_expired_at_its_last_second_stays_expired<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(hours(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.set(3600);
    world.store.purge_expired().await.unwrap();
    world.set(3599);
    assert!(!world.is_allowed("+1").await);
}

pub async fn the_log_survives_a_clock_that_is_set_back<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    world.set(-DAY);
    world.seed("+2").await;
    world.store.purge_expired().await.unwrap();
    let log = world.store.audit(&Filter::all(), 10).await.unwrap();
    assert_eq!(log.len(), 2);
    assert!(log[0].at > log[1].at && log[0].seq < log[1].seq, "in the order of the events");
}
