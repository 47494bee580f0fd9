//! Replicas: a change through this handle is visible on return; changes by others arrive.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::Actor;
use nexo_pairing_store::{PairingStore, StoreOptions};

use crate::support::{World, account, channel, everywhere, hours, scenario, sender};
use nexo_pairing_conformance::testing::TestReplica;

/// Polls the file only on request.
fn never_polls(options: &mut StoreOptions) {
    options.poll_interval = hours(1);
}

#[tokio::test]
async fn a_change_through_this_handle_is_visible_on_return() {
    let world = World::with(never_polls).await;
    let copy = scenario::a_change_through_this_handle_is_visible_on_return(&world).await;
    assert_eq!(copy.state().loads, 2, "once at first, and once after what was forgotten");
}

#[tokio::test]
async fn a_change_through_another_handle_arrives() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    let before = copy.state().invalidations;
    let other = world.another().await;
    let ids = [sender("+1"), sender("+2")];
    other.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
    copy.wait_until("both are let in", |state| state.lines().len() == 2);
    other.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let state = copy.wait_until("one is blocked", |state| state.of("whatsapp/*/+1").is_some());
    assert_eq!(state.lines(), ["whatsapp/*/+1 blocked", "whatsapp/personal/+2 allowed"]);
    assert_eq!((state.loads, state.invalidations), (1, before), "one load, at first");
}

#[tokio::test]
async fn a_change_by_the_shell_arrives() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    let shell = world.shell();
    for (sql, lines) in [
        (
            "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at)
                VALUES('whatsapp', 'personal', '+1', 1)",
            "whatsapp/personal/+1 allowed",
        ),
        ("UPDATE pairing_allow_from SET revoked_at = 2", ""),
        ("UPDATE pairing_allow_from SET revoked_at = NULL", "whatsapp/personal/+1 allowed"),
        (
            "UPDATE pairing_allow_from SET account_id = 'work', sender_id = '+2'",
            "whatsapp/work/+2 allowed",
        ),
        ("UPDATE pairing_allow_from SET channel = 'telegram'", "telegram/work/+2 allowed"),
        (
            "UPDATE pairing_allow_from SET expires_at = 1900000000",
            "telegram/work/+2 allowed-for-a-time",
        ),
        ("DELETE FROM pairing_allow_from", ""),
        (
            "INSERT INTO pairing_blocked VALUES('whatsapp', '*', '+1', 1, 'shell', NULL)",
            "whatsapp/*/+1 blocked",
        ),
        ("UPDATE pairing_blocked SET account_id = 'work'", "whatsapp/work/+1 blocked"),
        ("UPDATE pairing_blocked SET sender_id = '+2'", "whatsapp/work/+2 blocked"),
        ("DELETE FROM pairing_blocked", ""),
        (
            "INSERT INTO pairing_pending(channel, account_id, sender_id, code, created_at)
                VALUES('whatsapp', 'personal', '+1', 'AAAAAAAA', 1800000000)",
            "whatsapp/personal/+1 pending",
        ),
        ("UPDATE pairing_pending SET sender_id = '+2'", "whatsapp/personal/+2 pending"),
        ("DELETE FROM pairing_pending", ""),
        (
            "INSERT INTO pairing_finished(code, outcome, at, channel, account_id, sender_id)
                VALUES('AAAAAAAA', 'rejected', 1800000000, 'whatsapp', 'personal', '+1')",
            "whatsapp/personal/+1 waiting",
        ),
        ("UPDATE pairing_finished SET sender_id = '+2'", "whatsapp/personal/+2 waiting"),
        ("UPDATE pairing_finished SET outcome = 'expired', strikes = 1", ""),
        ("UPDATE pairing_finished SET strikes = 2", "whatsapp/personal/+2 waiting"),
        ("DELETE FROM pairing_finished", ""),
    ] {
        shell.execute(sql, ()).unwrap();
        copy.wait_until(sql, |state| state.lines().join(", ") == lines);
    }
    assert_eq!(copy.state().loads, 1, "all of it as changes");
}

#[tokio::test]
async fn a_refresh_delivers_changes_of_others_at_once() {
    let world = World::with(never_polls).await;
    let copy = TestReplica::of(&world.store);
    let other = world.another().await;
    for number in 1..=3 {
        let ids = [sender(&format!("+{number}"))];
        other.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
        world.store.refresh().await.unwrap();
        assert_eq!(copy.lines().len(), number);
    }
    assert_eq!((copy.state().loads, copy.state().updates), (1, 3));
}

#[tokio::test]
async fn a_gap_in_the_change_list_causes_a_full_load() {
    let world = World::with(never_polls).await;
    let copy = TestReplica::of(&world.store);
    for gap in [
        "DELETE FROM pairing_changes",
        "DELETE FROM pairing_changes WHERE seq = (SELECT max(seq) FROM pairing_changes)",
        "DELETE FROM pairing_changes WHERE seq = (SELECT max(seq) - 1 FROM pairing_changes)",
    ] {
        let loads = copy.state().loads;
        let id = format!("+{loads}");
        let shell = world.shell();
        let insert = "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at)
            VALUES('whatsapp', 'personal', ?1, 1), ('whatsapp', 'work', ?1, 1)";
        shell.execute(insert, [&id]).unwrap();
        shell.execute_batch(gap).unwrap();
        world.store.refresh().await.unwrap();
        let state = copy.state();
        assert!(state.of(&format!("whatsapp/work/{id}")).is_some(), "{gap}");
        assert!(state.of(&format!("whatsapp/personal/{id}")).is_some(), "{gap}");
        assert_eq!(state.loads, loads + 1, "{gap}");
    }
}

#[tokio::test]
async fn a_replica_ahead_of_the_file_is_reloaded() {
    let world = World::with(never_polls).await;
    for number in 0..9 {
        world.seed(&format!("+{number}")).await;
    }
    let copy = TestReplica::of(&world.store);
    // As a restore into the same file leaves it.
    let sql = "DELETE FROM pairing_allow_from WHERE sender_id > '+2';
        DELETE FROM pairing_changes WHERE seq > 3;
        UPDATE sqlite_sequence SET seq = 3 WHERE name = 'pairing_changes';";
    world.shell().execute_batch(sql).unwrap();
    world.store.refresh().await.unwrap();
    let state = copy.state();
    assert_eq!((state.position, state.loads, state.lines().len()), (Some(3), 2, 3));
}

#[tokio::test]
async fn many_changes_at_once_cause_a_full_load() {
    let world = World::with(never_polls).await;
    let copy = TestReplica::of(&world.store);
    let seed = async |from: u32, count: u32| {
        let ids: Vec<_> = (from..from + count).map(|i| sender(&format!("+{i}"))).collect();
        world.store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
    };
    seed(0, 10_000).await;
    assert_eq!((copy.state().loads, copy.state().updates), (2, 0), "as many as there are");
    seed(10_000, 1_000).await;
    assert_eq!((copy.state().loads, copy.state().updates), (2, 1), "a tenth of them");
    seed(11_000, 2_000).await;
    assert_eq!((copy.state().loads, copy.state().updates), (3, 1), "a sixth of them");
    assert_eq!(copy.lines().len(), 13_000);
}

#[tokio::test]
async fn a_failing_replica_affects_no_other() {
    let world = World::with(never_polls).await;
    let broken = Arc::new(TestReplica::default());
    broken.break_loads(true);
    world.store.subscribe(broken.weak());
    broken.wait_until("its load has failed", |state| state.invalidations > 0);
    let sound = Arc::new(TestReplica::default());
    world.store.subscribe(sound.weak());
    sound.wait_until("it is loaded", |state| state.position.is_some());

    world.seed("+1").await;
    assert_eq!(sound.lines(), ["whatsapp/personal/+1 allowed"]);
    assert!(world.store.refresh().await.is_err(), "one of them cannot be updated");
    assert_eq!(broken.state().position, None);

    broken.break_loads(false);
    world.store.refresh().await.unwrap();
    assert_eq!(broken.lines(), sound.lines());
}

#[tokio::test]
async fn an_unchanged_store_sends_heartbeats() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    let before = copy.state();
    let after =
        copy.wait_until("ten polls", |state| state.confirmations > before.confirmations + 10);
    assert_eq!((after.loads, after.updates), (before.loads, before.updates));
}

#[tokio::test]
async fn a_store_in_memory_has_replicas() {
    let store = PairingStore::open_memory().await.unwrap();
    let copy = TestReplica::of(&store);
    let ids = [sender("+1")];
    store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
    assert_eq!(copy.lines(), ["whatsapp/personal/+1 allowed"]);
    store.refresh().await.unwrap();
}

#[tokio::test]
async fn the_poll_interval_is_at_least_a_millisecond() {
    let world = World::with(|options| options.poll_interval = Duration::ZERO).await;
    let copy = TestReplica::of(&world.store);
    let since = std::time::Instant::now();
    let before = copy.state().confirmations;
    copy.wait_until("fifty polls", |state| state.confirmations > before + 50);
    assert!(since.elapsed() > Duration::from_millis(40), "{:?}", since.elapsed());
}
