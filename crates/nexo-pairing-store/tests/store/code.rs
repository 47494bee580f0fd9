//! The result of a code, and the cost of guessing one.

use std::time::Duration;

use nexo_pairing_core::{Actor, Grant, PairingCode, PairingError, UpsertOutcome};

use crate::support::{START, World, attempts_left, key, lockout, minutes, mistyped, unknown};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_code_without_a_check_character_is_found_before_it_is_called_mistyped() {
    let world = World::new().await;
    let code = world.code("+1").await;
    let old = mistyped(7);
    assert!(!PairingCode::parse(&old).unwrap().is_consistent());
    let sql = "UPDATE pairing_pending SET code = ?1 WHERE code = ?2";
    world.shell().execute(sql, [&old, &code]).unwrap();
    assert_eq!(world.approve(&old).await.unwrap(), key("+1"));
}

#[tokio::test]
async fn the_fifth_wrong_code_locks_its_actor_out_for_ten_minutes() {
    let mut world = World::new().await;
    let code = world.code("+1").await;
    for left in (1..=4).rev() {
        assert_eq!(
            attempts_left(world.approve(&unknown(left)).await.unwrap_err()),
            u32::from(left)
        );
        world.pass(minutes(1));
    }
    assert_eq!(lockout(world.approve(&unknown(0)).await.unwrap_err()), minutes(10));
    world.pass(minutes(3));
    assert_eq!(lockout(world.approve(&code).await.unwrap_err()), minutes(7), "the right code too");
    let rejecting = world.store.reject(&code, &Actor::cli()).await.unwrap_err();
    assert_eq!(lockout(rejecting), minutes(7));

    let other = world.another().await;
    let elsewhere = other.approve(&code, &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    assert_eq!(lockout(elsewhere), minutes(7), "another process knows it");
    drop(other);
    world.reopen().await;
    world.pass(minutes(7) - SECOND);
    assert_eq!(lockout(world.approve(&code).await.unwrap_err()), SECOND, "a restart keeps it");
    world.pass(SECOND);
    assert_eq!(attempts_left(world.approve(&unknown(0)).await.unwrap_err()), 4, "a clean slate");
    world.approve(&code).await.unwrap();
}

#[tokio::test]
async fn a_blocked_senders_request_is_not_approved() {
    let world = World::new().await;
    world.store.block(&key("+1").into(), &Actor::cli(), None).await.unwrap();
    // 0.1.8 knows no blocks.
    let sql = "INSERT INTO pairing_pending(channel, account_id, sender_id, code, created_at,
        meta_json) VALUES('whatsapp', 'personal', '+1', ?1, ?2, 'null')";
    world.shell().execute(sql, rusqlite::params![unknown(1), START]).unwrap();
    let refused = world.approve(&unknown(1)).await.unwrap_err();
    assert!(matches!(&refused, PairingError::Blocked { key: whose } if *whose == key("+1")));
    assert!(!world.is_allowed("+1").await);
    world.store.reject(&unknown(1), &Actor::cli()).await.unwrap();
    assert_eq!(world.message("+1").await, UpsertOutcome::Blocked);
}
