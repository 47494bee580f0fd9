//! Purges, and concurrent writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{World, shell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_writes_between_the_transactions_of_a_purge() {
    const OLD: i64 = 40_000;
    let world = World::new().await;
    world
        .shell()
        .execute_batch(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40000)
            INSERT INTO pairing_audit(at, actor, action) SELECT 1000000, 'gate', 'old' FROM n",
        )
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let other = thread::spawn({
        let (path, is_over) = (world.path.clone(), Arc::clone(&is_over));
        move || {
            let other = shell(&path);
            let mut seen = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                other.execute_batch("BEGIN IMMEDIATE").unwrap();
                let left = "SELECT count(*) FROM pairing_audit WHERE action = 'old'";
                seen.push(other.query_row(left, (), |row| row.get::<_, i64>(0)).unwrap());
                other.execute_batch("COMMIT").unwrap();
                thread::yield_now();
            }
            seen
        }
    });
    world.store.purge_expired().await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    let seen = other.join().unwrap();
    let between = seen.iter().filter(|&&left| left > 0 && left < OLD).count();
    assert!(between > 0, "it wrote only before and after, {} times", seen.len());
    let left = "SELECT count(*) FROM pairing_audit WHERE action = 'old'";
    assert_eq!(world.shell().query_row(left, (), |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn requests_end_in_the_order_in_which_they_were_added() {
    let world = World::new().await;
    // The clock was set back between them.
    world
        .shell()
        .execute_batch(
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at)
            VALUES ('whatsapp', 'main', '+1', 'AAAAAAAA', 3), ('whatsapp', 'main', '+3', 'AAAAAAAB', 1),
                ('whatsapp', 'main', '+2', 'AAAAAAAC', 2)",
        )
        .unwrap();
    assert_eq!(world.store.purge_expired().await.unwrap(), 3);
    let log = "SELECT group_concat(sender_id) FROM
        (SELECT sender_id FROM pairing_audit WHERE action = 'expire' ORDER BY seq)";
    let log: String = world.shell().query_row(log, (), |row| row.get(0)).unwrap();
    assert_eq!(log, "+1,+3,+2");
}

#[tokio::test]
async fn a_request_whose_metadata_is_not_text_ends_like_any_other() {
    let world = World::new().await;
    world
        .shell()
        .execute_batch(
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at, meta_json)
            VALUES ('whatsapp', 'main', '+1', 'AAAAAAAA', 1, x'ff')",
        )
        .unwrap();
    // Each operation ends a share of the overdue rows.
    world.code("+2").await;
    assert_eq!(world.pending().await, ["+2"]);
    assert_eq!(world.audit().await, ["gate expire +1", "gate request +2"]);
}
