//! The audit log and its retention.

use nexo_pairing_core::{Actor, Filter};

use crate::support::{World, everywhere, hours, unknown};

const DAY: u64 = 24;

#[tokio::test]
async fn the_log_is_kept_for_the_configured_time() {
    let world = World::with(|options| options.audit_days = 2).await;
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    world.pass(hours(DAY));
    world.store.block(&everywhere("+2"), &Actor::cli(), None).await.unwrap();
    world.pass(hours(DAY) - std::time::Duration::from_secs(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(world.audit().await, ["cli block +1", "cli block +2"]);
    world.pass(std::time::Duration::from_secs(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(world.audit().await, ["cli block +2"]);
    assert_eq!(world.store.list_blocked(&Filter::all()).await.unwrap().len(), 2, "only the log");
}

#[tokio::test]
async fn outcomes_and_attempts_are_kept_for_a_day() {
    let world = World::new().await;
    let code = world.code("+1").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.approve(&unknown(0)).await.unwrap_err();
    let rows = || {
        let sql = "SELECT (SELECT count(*) FROM pairing_finished),
            (SELECT count(*) FROM pairing_attempts)";
        world.shell().query_row(sql, (), |row| <(i64, i64)>::try_from(row)).unwrap()
    };
    world.pass(hours(DAY) - std::time::Duration::from_secs(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(rows(), (1, 1));
    world.pass(std::time::Duration::from_secs(1));
    world.store.purge_expired().await.unwrap();
    assert_eq!(rows(), (0, 0));
}

#[tokio::test]
async fn the_lists_of_outcomes_and_changes_do_not_grow_for_ever() {
    let world = World::new().await;
    world
        .shell()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
            INSERT INTO pairing_finished(code, outcome, at, channel, account_id, sender_id)
                SELECT 'C' || i, 'approved', 1800000000, 'whatsapp', 'personal', 'x' || i FROM n",
        )
        .unwrap();
    world.store.purge_expired().await.unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*), max(seq) FROM {table}");
        world.shell().query_row(&sql, (), |row| <(i64, i64)>::try_from(row)).unwrap()
    };
    assert_eq!(count("pairing_finished"), (10_000, 12_000), "the newest stay");
    let (kept, newest) = count("pairing_changes");
    assert_eq!((kept, newest), (10_000, 14_000), "with the 2,000 that were taken away");
}
