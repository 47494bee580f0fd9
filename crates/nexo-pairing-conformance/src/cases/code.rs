//! The result of a code, and the cost of guessing one.

use std::time::Duration;

use nexo_pairing_core::{Actor, Filter, Grant, PairingError};

use crate::prelude::*;
use crate::world::{
    START, World, actor, attempts_left, hours, key, lockout, minutes, mistyped, moment, unknown,
};

const SECOND: Duration = Duration::from_secs(1);

pub async fn an_approved_sender_is_admitted<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    assert!(!world.is_allowed("+1").await);
    world.pass(minutes(1));
    let approved = world.store.approve(&code, &actor("api:bo"), Grant::unlimited()).await.unwrap();
    assert_eq!((approved.approved_at, approved.expires_at), (moment(START + 60), None));
    assert!(world.is_allowed("+1").await);
    assert!(world.pending().await.is_empty());
    let grant = world.store.list_allow(&Filter::all(), false).await.unwrap().remove(0);
    assert_eq!((grant.approved_via.as_str(), grant.note), ("api:bo", None));
}

pub async fn a_code_is_read_in_any_typed_form<S: Storage>(suite: &Suite<S>) {
    let forms: [fn(&str) -> String; 6] = [
        |code| code.to_lowercase(),
        |code| format!("{}-{}", &code[..4], &code[4..]),
        |code| format!("  {} {}\n", &code[..4], &code[4..]),
        |code| code.chars().map(|c| format!("{c}\u{200b}")).collect(),
        |code| code.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xfee0)).collect(),
        |code| format!("`{code}`"),
    ];
    let world = World::new(suite).await;
    for (number, form) in forms.into_iter().enumerate() {
        let sender = format!("+{number}");
        let typed = form(&world.code(&sender).await);
        assert_eq!(world.approve(&typed).await.unwrap(), key(&sender), "{typed:?}");
    }
}

pub async fn invalid_text_is_a_mistyped_code<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let typed = ["", "K7M9", "K7M9PQ2X9", "1OIl0000", "'; DROP TABLE pairing_pending"];
    for _ in 0..6 {
        for typed in typed {
            let refused = world.approve(typed).await.unwrap_err();
            assert_eq!(refused.kind(), "mistyped_code", "{typed}");
        }
    }
    assert_eq!(attempts_left(world.approve("K7M9").await.unwrap_err()), 4, "temporarily");
}

pub async fn a_used_code_has_its_own_error_and_costs_no_attempt<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let approved = world.code("+1").await;
    world.approve(&approved).await.unwrap();
    let rejected = world.code("+2").await;
    world.store.reject(&rejected, &Actor::cli()).await.unwrap();
    let blocked = world.code("+3").await;
    world.store.block(&key("+3").into(), &Actor::cli(), None).await.unwrap();
    let seeded = world.code("+4").await;
    world.seed("+4").await;
    let expired = world.code("+5").await;
    world.pass(hours(1));

    for _ in 0..10 {
        for (code, kind, sender, at) in [
            (&approved, "already_approved", "+1", START),
            (&rejected, "already_rejected", "+2", START),
            (&blocked, "already_rejected", "+3", START),
            (&seeded, "already_approved", "+4", START),
            (&expired, "expired", "+5", START + 3600),
        ] {
            let refused = world.approve(code).await.unwrap_err();
            assert_eq!(refused.kind(), kind);
            let also = world.store.reject(code, &Actor::cli()).await.unwrap_err();
            assert_eq!(
                also.to_string(),
                refused.to_string(),
                "approve and reject give the same error"
            );
            match refused {
                PairingError::AlreadyApproved { key: whose, at: when }
                | PairingError::AlreadyRejected { key: whose, at: when }
                | PairingError::Expired { key: whose, at: when } => {
                    assert_eq!((whose, when), (key(sender), moment(at)), "{kind}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(attempts_left(world.approve(&unknown(0)).await.unwrap_err()), 4);

    // After a day they count as unknown codes.
    world.pass(hours(24));
    assert_eq!(attempts_left(world.approve(&rejected).await.unwrap_err()), 4);
}

pub async fn a_mistyped_code_is_free_thirty_times_in_ten_minutes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..30 {
        let refused = world.approve(&mistyped(number)).await.unwrap_err();
        assert!(matches!(refused, PairingError::MistypedCode), "{number}: {refused:?}");
    }
    assert_eq!(attempts_left(world.approve(&mistyped(30)).await.unwrap_err()), 4);
    world.pass(minutes(10));
    let refused = world.approve(&mistyped(30)).await.unwrap_err();
    assert!(matches!(refused, PairingError::MistypedCode), "{refused:?}");
}

pub async fn an_attempt_is_forgotten_after_ten_minutes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..4 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    world.pass(minutes(10) - SECOND);
    assert_eq!(lockout(world.approve(&unknown(4)).await.unwrap_err()), minutes(10));

    let world = World::new(suite).await;
    for number in 0..4 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    world.pass(minutes(10));
    assert_eq!(attempts_left(world.approve(&unknown(4)).await.unwrap_err()), 4);
}

pub async fn a_wrong_code_to_reject_costs_the_same_attempt<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..4 {
        world.store.reject(&unknown(number), &Actor::cli()).await.unwrap_err();
    }
    assert_eq!(lockout(world.approve(&unknown(4)).await.unwrap_err()), minutes(10));
}

pub async fn a_valid_code_does_not_reset_the_attempts<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..4 {
        let code = world.code(&format!("+{number}")).await;
        world.approve(&unknown(number)).await.unwrap_err();
        world.approve(&code).await.unwrap();
    }
    lockout(world.approve(&unknown(4)).await.unwrap_err());
}

pub async fn a_lockout_can_be_lifted_and_both_are_audited<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (eve, root) = (actor("api:eve"), actor("console:root"));
    assert!(!world.store.unlock(&eve, &root).await.unwrap(), "nothing to unlock");
    for number in 0..5 {
        world.store.reject(&unknown(number), &eve).await.unwrap_err();
    }
    assert!(world.store.unlock(&eve, &root).await.unwrap());
    assert!(!world.store.unlock(&eve, &root).await.unwrap(), "once");
    assert_eq!(attempts_left(world.store.reject(&unknown(9), &eve).await.unwrap_err()), 4);

    let log = world.store.audit(&Filter::all(), 10).await.unwrap();
    let lines: Vec<_> = log.iter().map(|it| (it.actor.as_str(), it.action.as_str())).collect();
    assert_eq!(lines, [("api:eve", "lockout"), ("console:root", "unlock")]);
    assert_eq!(log[1].detail, serde_json::json!({ "unlocked": "api:eve" }));
}

pub async fn expired_attempts_leave_nothing_to_unlock<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for number in 0..5 {
        world.approve(&unknown(number)).await.unwrap_err();
    }
    world.pass(minutes(10));
    assert!(!world.store.unlock(&Actor::cli(), &Actor::cli()).await.unwrap());
    assert_eq!(world.audit().await, ["cli lockout"]);
}

pub async fn guesses_of_one_actor_do_not_lock_out_another<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let code = world.code("+1").await;
    for number in 0..5 {
        let guess = unknown(number);
        world.store.approve(&guess, &actor("api:eve"), Grant::unlimited()).await.unwrap_err();
    }
    assert_eq!(attempts_left(world.approve(&unknown(0)).await.unwrap_err()), 4);
    world.approve(&code).await.unwrap();
}
