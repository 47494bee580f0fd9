//! Requests of strangers: every outcome, the limits and the waits.

use nexo_pairing_core::{Filter, UpsertOutcome};

use crate::support::{World, hours};

/// Lets the request of `+1` expire and returns the hours they have to wait.
async fn hours_to_wait_after_an_expiry(world: &World) -> u64 {
    world.code("+1").await;
    world.pass(hours(1));
    let mut waited = 0;
    while world.message("+1").await == UpsertOutcome::Waiting {
        world.pass(hours(1) - std::time::Duration::from_secs(1));
        assert_eq!(world.message("+1").await, UpsertOutcome::Waiting, "a second early");
        world.pass(std::time::Duration::from_secs(1));
        waited += 1;
    }
    // Not their next code yet: the next round asks for it.
    let code = world.store.list_pending(&Filter::all()).await.unwrap()[0].code.clone();
    world.shell().execute("DELETE FROM pairing_pending WHERE code = ?1", [code.as_str()]).unwrap();
    waited
}

#[tokio::test]
async fn each_expired_code_lengthens_the_wait() {
    let world = World::new().await;
    let mut waits = Vec::new();
    for _ in 0..9 {
        waits.push(hours_to_wait_after_an_expiry(&world).await);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 24, 24, 24]);
    // They continue at that wait if they return within a day of its end, and not later.
    world.pass(hours(24) - std::time::Duration::from_secs(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(hours_to_wait_after_an_expiry(&world).await, 24);
    world.pass(hours(24));
    world.store.purge_expired().await.unwrap();
    assert_eq!(hours_to_wait_after_an_expiry(&world).await, 0);
    assert_eq!(hours_to_wait_after_an_expiry(&world).await, 1);
}
