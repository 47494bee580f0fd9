//! Requests of strangers: every outcome, the limits and the waits.

use nexo_pairing_core::{Actor, Filter, Grant, NewRequest, PairingError, SenderKey, UpsertOutcome};
use serde_json::json;

use crate::prelude::*;
use crate::world::{START, unknown};
use crate::world::{World, account, everywhere, hours, key, key_on, minutes, moment, sender};

pub async fn a_stranger_gets_a_code_and_keeps_it<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let request = NewRequest::new(key("+1")).with_meta(json!({ "push_name": "Ana" }));
    let created = world.store.upsert_pending(request.clone()).await.unwrap();
    let UpsertOutcome::Created { key: whose, code, expires_at } = created else {
        panic!("{created:?}")
    };
    assert!(whose == key("+1") && code.is_consistent());
    assert_eq!(expires_at, moment(START + 3600));

    world.pass(minutes(5));
    let again = world.store.upsert_pending(request).await.unwrap();
    let repeated = UpsertOutcome::Repeated { key: whose, code: code.clone(), expires_at };
    assert_eq!(again, repeated);

    let pending = world.store.list_pending(&Filter::all()).await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((&pending[0].code, pending[0].created_at), (&code, moment(START)));
    assert_eq!(pending[0].expires_at, expires_at);
    assert_eq!(pending[0].meta, json!({ "push_name": "Ana" }));
}

pub async fn the_cooldown_runs_from_the_last_challenge<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    for _ in 0..3 {
        world.pass(minutes(5) - std::time::Duration::from_secs(1));
        assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
        world.pass(std::time::Duration::from_secs(1));
        assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
        assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
    }
}

pub async fn an_account_has_three_requests_and_another_account_three_of_its_own<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    for number in 1..=3 {
        world.code(&format!("+{number}")).await;
    }
    assert_eq!(world.message("+4").await, UpsertOutcome::PendingFull);
    let elsewhere = NewRequest::new(key_on("work", "+4"));
    let elsewhere = world.store.upsert_pending(elsewhere).await.unwrap();
    assert!(matches!(elsewhere, UpsertOutcome::Created { .. }));
    // A sender with a request does not count against themselves.
    world.pass(minutes(5));
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
    // A place is free again after an approval, a rejection, and the end of an hour.
    let pending = world.store.list_pending(&Filter::all()).await.unwrap();
    world.approve(pending[0].code.as_str()).await.unwrap();
    world.code("+4").await;
    world.store.reject(pending[1].code.as_str(), &Actor::cli()).await.unwrap();
    world.code("+5").await;
    assert_eq!(world.message("+6").await, UpsertOutcome::PendingFull);
    world.pass(hours(1));
    world.code("+6").await;
}

pub async fn the_limits_of_a_request_are_the_callers<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let request = |id: &str| {
        let mut request = NewRequest::new(key(id));
        (request.max_pending, request.ttl, request.cooldown) = (1, minutes(2), minutes(1));
        request
    };
    let created = world.store.upsert_pending(request("+1")).await.unwrap();
    let UpsertOutcome::Created { expires_at, .. } = created else { panic!("{created:?}") };
    assert_eq!(expires_at, moment(START + 120));
    let full = world.store.upsert_pending(request("+2")).await.unwrap();
    assert_eq!(full, UpsertOutcome::PendingFull);
    world.pass(minutes(1));
    let again = world.store.upsert_pending(request("+1")).await.unwrap();
    assert!(matches!(again, UpsertOutcome::Repeated { .. }));
    world.pass(minutes(1));
    let next = world.store.upsert_pending(request("+2")).await.unwrap();
    assert!(matches!(next, UpsertOutcome::Created { .. }));
    assert_eq!(world.pending().await, ["+2"]);
}

pub async fn all_accounts_together_have_a_cap<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let on = |account: &str| {
        let request = NewRequest::new(key_on(account, "+1")).with_max_pending_total(3);
        world.store.upsert_pending(request)
    };
    for account in ["a", "b", "c"] {
        assert!(matches!(on(account).await.unwrap(), UpsertOutcome::Created { .. }));
    }
    assert_eq!(on("d").await.unwrap(), UpsertOutcome::PendingFull);
    assert_eq!(on("c").await.unwrap(), UpsertOutcome::AlreadyChallenged);
    world.pass(hours(1));
    assert!(matches!(on("d").await.unwrap(), UpsertOutcome::Created { .. }));
}

pub async fn a_sender_admitted_or_blocked_meanwhile_gets_no_code<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.seed("+1").await;
    assert_eq!(world.message("+1").await, UpsertOutcome::Allowed);
    world.store.block(&key("+2").into(), &Actor::cli(), None).await.unwrap();
    assert_eq!(world.message("+2").await, UpsertOutcome::Blocked);
    world.store.block(&everywhere("+3"), &Actor::cli(), None).await.unwrap();
    assert_eq!(world.message("+3").await, UpsertOutcome::Blocked);
    assert!(world.pending().await.is_empty());
}

pub async fn another_id_of_the_same_sender_counts<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let with_alt = |id: &str, alt: &str| {
        let request = NewRequest::new(key(id)).with_alt(vec![sender(alt)]);
        world.store.upsert_pending(request)
    };
    world.seed("+1").await;
    assert_eq!(with_alt("lid:1", "+1").await.unwrap(), UpsertOutcome::Allowed);
    world.store.block(&key("+2").into(), &Actor::cli(), None).await.unwrap();
    assert_eq!(with_alt("lid:2", "+2").await.unwrap(), UpsertOutcome::Blocked);
    // A block wins over a grant, on any of the ids.
    assert_eq!(with_alt("+1", "+2").await.unwrap(), UpsertOutcome::Blocked);

    let code = world.code("+3").await;
    assert_eq!(with_alt("lid:3", "+3").await.unwrap(), UpsertOutcome::AlreadyChallenged);
    world.pass(minutes(5));
    let again = with_alt("lid:3", "+3").await.unwrap();
    let UpsertOutcome::Repeated { key: whose, code: same, .. } = again else { panic!("{again:?}") };
    assert_eq!((whose, same.as_str()), (key("+3"), code.as_str()), "the request belongs to +3");
    assert_eq!(
        world.message("+3").await,
        UpsertOutcome::AlreadyChallenged,
        "one sender, one timestamp"
    );
    assert_eq!(world.pending().await, ["+3"]);

    world.store.reject(&code, &Actor::cli()).await.unwrap();
    assert_eq!(with_alt("lid:3", "+3").await.unwrap(), UpsertOutcome::Waiting);
    assert!(matches!(world.message("lid:3").await, UpsertOutcome::Created { .. }));
}

pub async fn a_challenge_that_was_not_delivered_is_tried_again_after_ten_seconds<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    world.code("+1").await;
    let (cooldown, retry) = (minutes(5), std::time::Duration::from_secs(10));
    world.store.challenge_undelivered(&key("+1"), cooldown, retry).await.unwrap();
    assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
    world.pass(retry - std::time::Duration::from_secs(1));
    assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
    world.pass(std::time::Duration::from_secs(1));
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
    // Without a request, nothing is written.
    world.store.challenge_undelivered(&key("+2"), cooldown, retry).await.unwrap();
    assert_eq!(world.pending().await, ["+1"]);
}

pub async fn a_rejected_sender_waits_a_day<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let rejected = world.store.reject(&code, &Actor::cli()).await.unwrap();
    assert_eq!(
        SenderKey::new(rejected.channel, rejected.account_id, rejected.sender_id),
        key("+1")
    );
    assert_eq!(rejected.rejected_at, moment(START));
    world.pass(hours(24) - std::time::Duration::from_secs(1));
    assert_eq!(world.message("+1").await, UpsertOutcome::Waiting);
    world.pass(std::time::Duration::from_secs(1));
    world.code("+1").await;
}

pub async fn expiries_count_by_their_own_time<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    world.pass(hours(1));
    // The second request expires 23 hours after the first, and is noticed an hour later.
    world.pass(hours(22));
    world.code("+1").await;
    world.pass(hours(2) + minutes(30));
    // The third expires two and a half hours after the second: a wait of two hours, not one.
    world.code("+1").await;
    world.pass(hours(1));
    world.pass(hours(1));
    assert_eq!(world.message("+1").await, UpsertOutcome::Waiting);
    world.pass(hours(1));
    world.code("+1").await;
}

pub async fn an_approval_resets_the_expiry_count<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for _ in 0..2 {
        world.code("+1").await;
        world.pass(hours(1));
    }
    world.store.purge_expired().await.unwrap();
    assert_eq!(world.message("+1").await, UpsertOutcome::Waiting);
    world.pass(hours(1));
    let code = world.code("+1").await;
    world.approve(&code).await.unwrap();
    world.store.revoke(&key("+1").into(), &Actor::cli()).await.unwrap();
    world.code("+1").await;
    world.pass(hours(1));
    world.code("+1").await;
}

pub async fn requests_are_listed_oldest_first_and_by_filter<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for (name, id) in [("work", "+3"), ("personal", "+2"), ("personal", "+1")] {
        world.store.upsert_pending(NewRequest::new(key_on(name, id))).await.unwrap();
        world.pass(minutes(1));
    }
    assert_eq!(world.pending().await, ["+3", "+2", "+1"]);
    let of = async |filter: Filter| {
        let pending = world.store.list_pending(&filter).await.unwrap();
        pending.into_iter().map(|request| request.sender_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(Filter::all().with_account(account("work"))).await, ["+3"]);
    assert_eq!(of(Filter::all().with_sender(sender("+1"))).await, ["+1"]);
    assert!(of(Filter::all().with_channel("telegram".parse().unwrap())).await.is_empty());
}

pub async fn a_purge_returns_the_number_of_expired_requests<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    world.pass(minutes(30));
    world.code("+2").await;
    world.pass(minutes(30));
    assert_eq!(world.pending().await, ["+2"], "an expired request is not listed, purged or not");
    assert_eq!(world.store.purge_expired().await.unwrap(), 1);
    assert_eq!(world.store.purge_expired().await.unwrap(), 0);
    assert_eq!(world.pending().await, ["+2"]);
}

pub async fn values_out_of_range_are_refused_before_any_write<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    let too_long = "n".repeat(501);
    for grant in [
        Grant::unlimited().with_expires_in(std::time::Duration::ZERO),
        Grant::unlimited().with_expires_in(std::time::Duration::from_millis(999)),
        Grant::unlimited()
            .with_expires_in(Grant::MAX_EXPIRES_IN + std::time::Duration::from_secs(1)),
        Grant::unlimited().with_expires_in(std::time::Duration::MAX),
        Grant::unlimited().with_note("a\nb"),
        Grant::unlimited().with_note("\u{1b}[2J"),
        Grant::unlimited().with_note(too_long.clone()),
    ] {
        let refused = world.store.approve(&code, &Actor::cli(), grant.clone()).await;
        assert!(matches!(refused, Err(PairingError::Invalid { .. })), "{grant:?}: {refused:?}");
    }
    let refused = world.store.block(&key("+1").into(), &Actor::cli(), Some(&too_long)).await;
    assert!(matches!(refused, Err(PairingError::Invalid { name: "reason", .. })), "{refused:?}");
    assert_eq!(world.pending().await, ["+1"]);
    // None of these counted as an attempt.
    let first = world.approve(&unknown(0)).await;
    assert!(matches!(first, Err(PairingError::UnknownCode { attempts_left: 4 })), "{first:?}");
}
