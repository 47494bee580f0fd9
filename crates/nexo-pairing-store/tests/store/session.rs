//! The life of a session: used, renewed, ended, deleted.

use nexo_pairing_core::{Actor, Filter};
use serde_json::json;

use crate::support::{START, World, claims, moment};

const DAY: i64 = 86_400;

/// The last entry of the audit log: actor, action and detail.
async fn last_entry(world: &World) -> (String, String, serde_json::Value) {
    let event = world.store.audit(&Filter::all(), 1).await.unwrap().remove(0);
    (event.actor.to_string(), event.action.to_string(), event.detail)
}

#[tokio::test]
async fn a_revoked_session_is_refused_by_every_handle_at_once() {
    let world = World::new().await;
    let issued = world.device(1).await;
    let other = world.another().await;
    assert!(other.session(&issued.token).await.unwrap().is_some());
    let id = &issued.session.id;
    let revoked = world.store.revoke_session(id, &Actor::cli()).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(moment(START)));
    assert_eq!(other.session(&issued.token).await.unwrap(), None);
    assert_eq!(world.store.session(&issued.token).await.unwrap(), None);
    assert_eq!(world.store.revoke_session(id, &Actor::cli()).await.unwrap(), None, "only once");
    let detail = json!({ "session": id, "profile": "companion-v1", "device_label": "Ana's phone" });
    assert_eq!(last_entry(&world).await, ("cli".into(), "session_revoked".into(), detail));
}

#[tokio::test]
async fn a_session_whose_token_is_not_a_blob_is_listed_and_can_be_revoked() {
    let world = World::new().await;
    let id = world.device(1).await.session.id;
    let damage = "UPDATE pairing_sessions SET token_sha256 = 'damaged'";
    assert_eq!(world.shell().execute(damage, ()), Ok(1));
    assert_eq!(world.store.list_sessions(false).await.unwrap().len(), 1);
    assert!(world.store.revoke_session(&id, &Actor::cli()).await.unwrap().is_some());
}

#[tokio::test]
async fn the_oldest_codes_are_deleted_beyond_the_bound() {
    let world = World::new().await;
    world.device(1).await;
    let many = "WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number
            WHERE n < ?1)
        INSERT INTO pairing_redemptions(nonce, redeemed_at, expires_at)
            SELECT 'nonce-' || n || '-' || ?1, 1800000000, 1800000600 FROM number";
    let count = || {
        let sql = "SELECT count(*) FROM pairing_redemptions";
        world.shell().query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap()
    };
    world.shell().execute(many, [9_999]).unwrap();
    world.clock.set(moment(START + 600 + 2 * DAY));
    world.store.purge_sessions().await.unwrap();
    assert_eq!(count(), 10_000);
    world.shell().execute(many, [1]).unwrap();
    world.clock.set(moment(START + 600 + 2 * DAY - 1));
    world.store.purge_sessions().await.unwrap();
    assert_eq!(count(), 10_001, "two days are not over");
    world.clock.set(moment(START + 600 + 2 * DAY));
    world.store.purge_sessions().await.unwrap();
    assert_eq!(count(), 10_000);
    assert_eq!(world.store.redemption(&claims(1).nonce).await.unwrap(), None);
}
