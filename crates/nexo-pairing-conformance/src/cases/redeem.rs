//! A setup code gives one session, once.

use std::time::Duration;

use nexo_pairing_core::{
    Actor, Cancellation, IssuedSession, OnReplay, PairingError, RedeemError, Redemption,
    RedemptionState,
};

use crate::prelude::*;
use crate::world::{START, World, claims, hours, minutes, moment, redemption, scenario};

impl<S: Storage> World<S> {
    async fn redeem_or_refuse(&self, claim: Option<u64>) -> Result<IssuedSession, RedeemError> {
        let mut redemption = redemption(1, claim);
        redemption.on_replay = OnReplay::Refuse;
        self.store.redeem(redemption).await
    }
}

pub async fn a_setup_code_gives_a_session<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.redeem(Some(1)).await.unwrap();
    assert_eq!(issued.token.as_str().len(), 43);
    let session = issued.session.clone();
    assert_eq!(session.profile, "companion-v1");
    assert_eq!(session.device_label.as_deref(), Some("Ana's phone"));
    assert_eq!(session.issued_at, moment(START));
    assert_eq!(session.expires_at, moment(START + 86_400));
    assert_eq!(session.renew_until, moment(START + 30 * 86_400));
    assert_eq!((session.last_seen_at, session.revoked_at), (None, None));
    assert_eq!(world.store.session(&issued.token).await.unwrap(), Some(session.clone()));
    assert_eq!(world.live().await, std::slice::from_ref(&session));
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Claimed(session)));
    assert_eq!(world.store.redemption(&claims(2).nonce).await.unwrap(), None);
    assert_eq!(world.audit().await, ["device session_issued"]);
    world.pass(hours(24) - Duration::from_secs(1));
    assert!(world.accepts(&issued).await);
    world.pass(Duration::from_secs(1));
    assert!(!world.accepts(&issued).await);
}

pub async fn the_client_that_asks_again_gets_a_new_token_for_its_session<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let first = world.redeem(Some(1)).await.unwrap();
    world.pass(minutes(5));
    let again = world.redeem(Some(1)).await.unwrap();
    assert_eq!(again.session, first.session, "its expiry does not change");
    assert!(world.accepts(&again).await && !world.accepts(&first).await);
    assert_eq!(world.live().await.len(), 1);
    assert_eq!(world.audit().await, ["device session_issued", "device session_reissued"]);
}

pub async fn another_client_with_the_same_code_ends_the_session<S: Storage>(suite: &Suite<S>) {
    for second in [None, Some(2)] {
        let world = World::new(suite).await;
        let first = world.redeem(Some(1)).await.unwrap();
        let told = world.redeem(second).await.unwrap_err();
        assert_eq!(told.kind(), "replayed");
        let words = "the setup code was already used; its session is revoked";
        assert_eq!(told.to_string(), words);
        let RedeemError::Replayed { session: Some(session), revoked: true } = told else {
            panic!("{told:?}")
        };
        assert_eq!(
            (session.id, session.revoked_at),
            (first.session.id.clone(), Some(moment(START)))
        );
        assert!(!world.accepts(&first).await);
        assert_eq!(world.audit().await, ["device session_issued", "device replay"]);
        let told = world.redeem(Some(1)).await.unwrap_err();
        assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "never revived");
        assert!(world.live().await.is_empty());
    }
}

pub async fn the_session_survives_replays_that_are_only_refused<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let first = world.redeem_or_refuse(None).await.unwrap();
    let told = world.redeem_or_refuse(None).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "{told:?}");
    assert!(world.accepts(&first).await);
}

pub async fn a_cancelled_code_gives_nothing<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let cancel = || async { world.store.cancel(&claims(1), &Actor::cli()).await.unwrap() };
    assert_eq!(cancel().await, Cancellation::Cancelled);
    assert_eq!(cancel().await, Cancellation::AlreadyCancelled);
    assert_eq!(world.redeem(Some(1)).await.unwrap_err().kind(), "cancelled");
    assert_eq!(world.audit().await, ["cli code_cancelled"]);
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Cancelled));
}

pub async fn a_code_that_expired_meanwhile_changes_nothing<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.redeem(Some(1)).await.unwrap();
    world.pass(minutes(10));
    for claim in [Some(1), Some(2), None] {
        let told = world.redeem(claim).await.unwrap_err();
        assert_eq!(told.kind(), "expired");
        assert_eq!(told.to_string(), "the setup code expired at 2027-01-15T08:10:00Z");
    }
    assert!(world.accepts(&issued).await);
}

pub async fn a_code_that_was_used_cannot_be_cancelled<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.redeem(None).await.unwrap();
    let cancelled = world.store.cancel(&claims(1), &Actor::cli()).await.unwrap();
    assert_eq!(cancelled, Cancellation::AlreadyUsed(Some(issued.session.clone())));
    assert!(world.accepts(&issued).await);
    assert_eq!(world.audit().await, ["device session_issued"]);
}

pub async fn a_session_that_was_revoked_or_ended_is_never_revived<S: Storage>(suite: &Suite<S>) {
    for by_device in [true, false] {
        let world = World::new(suite).await;
        let issued = world.redeem(Some(1)).await.unwrap();
        if by_device {
            assert!(world.store.end_session(&issued.token).await.unwrap());
        } else {
            let id = &issued.session.id;
            world.store.revoke_session(id, &Actor::cli()).await.unwrap().unwrap();
        }
        for claim in [Some(1), Some(2)] {
            let told = world.redeem(claim).await.unwrap_err();
            let RedeemError::Replayed { session: Some(session), revoked: false } = told else {
                panic!("{told:?}")
            };
            assert_eq!(session.revoked_at, Some(moment(START)));
        }
        assert!(world.live().await.is_empty());
    }
}

pub async fn a_session_from_the_future_gives_no_other_token_and_a_thief_still_ends_it<
    S: Storage,
>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let issued = world.redeem(Some(1)).await.unwrap();
    world.clock.set(moment(START - 3600));
    assert!(!world.accepts(&issued).await);
    // The same client may ask again.
    let told = world.redeem(Some(1)).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "{told:?}");
    world.clock.set(moment(START));
    assert!(world.accepts(&issued).await);
    world.clock.set(moment(START - 3600));
    let told = world.redeem(Some(2)).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: true, .. }), "{told:?}");
    world.clock.set(moment(START));
    assert!(!world.accepts(&issued).await);
}

pub async fn a_clock_that_is_kept_in_time_may_go_back_five_seconds_after_a_claim<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let first = world.redeem(Some(1)).await.unwrap();
    world.clock.set(moment(START - 5));
    assert!(world.accepts(&first).await);
    let again = world.redeem(Some(1)).await.unwrap();
    assert_eq!(again.session, first.session);
}

pub async fn a_code_is_valid_up_to_its_expiry<S: Storage>(suite: &Suite<S>) {
    for (before, is_good) in [(1, true), (0, false)] {
        let world = World::new(suite).await;
        let mut redemption = redemption(1, None);
        let late = moment(START + 600) + time::Duration::milliseconds(500);
        redemption.claims.expires_at = late;
        world.clock.set(late - time::Duration::nanoseconds(before));
        assert_eq!(world.store.redeem(redemption).await.is_ok(), is_good, "{before} ns before");
    }
}

pub async fn the_operator_names_a_device_before_it_names_itself<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for (code, of_claims, own, kept) in [
        (1, Some("kitchen"), Some("Pixel 9"), Some("kitchen")),
        (2, None, Some("Pixel 9"), Some("Pixel 9")),
        (3, None, None, None),
    ] {
        let mut redemption = redemption(code, None);
        redemption.claims.device_label = of_claims.map(str::to_owned);
        redemption.device_label = own.map(str::to_owned);
        let issued = world.store.redeem(redemption).await.unwrap();
        assert_eq!(issued.session.device_label.as_deref(), kept);
        let found = world.store.session(&issued.token).await.unwrap().unwrap();
        assert_eq!(found.device_label.as_deref(), kept);
    }
}

pub async fn a_redemption_out_of_bounds_does_not_use_the_code<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    type Change = fn(&mut Redemption);
    let changes: [(&str, Change); 10] = [
        ("session_ttl", |to| to.session_ttl = Duration::ZERO),
        ("session_ttl", |to| to.session_ttl = Duration::from_millis(999)),
        ("session_ttl", |to| to.session_ttl = hours(365 * 24) + Duration::from_nanos(1)),
        ("session_ttl", |to| to.session_ttl = Duration::MAX),
        ("renew_for", |to| to.renew_for = hours(366 * 24)),
        ("device_label", |to| to.device_label = Some(String::new())),
        ("device_label", |to| to.device_label = Some("a\u{1b}[2J".into())),
        ("device_label", |to| to.device_label = Some("x".repeat(129))),
        ("device_label", |to| to.claims.device_label = Some("a\nb".into())),
        ("profile", |to| to.claims.profile = "Companion V1".into()),
    ];
    for (name, change) in changes {
        let mut redemption = redemption(1, None);
        change(&mut redemption);
        let told = world.store.redeem(redemption).await.unwrap_err();
        assert_eq!(told.kind(), "invalid");
        let RedeemError::Store(PairingError::Invalid { name: told, value, .. }) = told else {
            panic!("{told:?}")
        };
        assert_eq!(told, name);
        assert!(value.len() < 200 && !value.contains(char::is_control), "{value:?}");
    }
    let mut longest = redemption(1, None);
    longest.session_ttl = hours(365 * 24);
    longest.renew_for = Duration::ZERO;
    longest.device_label = Some("x".repeat(128));
    let session = world.store.redeem(longest).await.unwrap().session;
    assert_eq!(session.expires_at, moment(START + 365 * 86_400));
    assert_eq!(session.renew_until, session.expires_at);
}

pub async fn of_many_at_once_one_gets_a_session_and_a_replay_ends_it<S: Storage>(suite: &Suite<S>) {
    for on_replay in [OnReplay::Refuse, OnReplay::Revoke] {
        let world = World::new(suite).await;
        scenario::of_many_at_once_one_gets_a_session(&world, &world.another(), on_replay).await;
    }
}

pub async fn a_client_that_asks_many_times_at_once_has_one_session_and_one_token<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    scenario::a_client_that_asks_many_times_at_once_has_one_session(&world, &world.another()).await;
}
