use super::*;
use crate::PairingStore;

/// Long before the clock of any test.
const OLD: i64 = 1_000_000;

async fn store_with(sql: &'static str) -> PairingStore {
    let store = PairingStore::open_memory().await.unwrap();
    store.write(move |write| write.tx.execute_batch(sql)).await.unwrap();
    store
}

async fn count(store: &PairingStore, table: &'static str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    store.read(move |tx, _| tx.query_row(&sql, (), |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn requests_that_are_over_are_found_by_indexes() {
    let store = store_with("").await;
    let plan = store
        .read(|tx, _| {
            let mut plan = tx.prepare(&format!("EXPLAIN QUERY PLAN {DUE}"))?;
            let steps = plan.query_map([OLD, SHARE], |row| row.get::<_, String>("detail"))?;
            steps.collect::<rusqlite::Result<Vec<_>>>()
        })
        .await
        .unwrap()
        .join("; ");
    for index in ["pairing_pending_expiry", "pairing_pending_created"] {
        assert!(plan.contains(index), "{plan}");
    }
    assert!(!plan.contains("SCAN"), "{plan}");
}

/// One transaction of a purge: how far it got, and whether there is more to do.
async fn purge_once(store: &PairingStore, mut progress: Progress) -> (Progress, bool) {
    let piece = move |write: &mut Write<'_>| {
        let has_more = write.purge(&mut progress)?;
        Ok((progress, has_more))
    };
    store.write(piece).await.unwrap()
}

#[tokio::test]
async fn each_transaction_of_a_purge_deletes_so_many_rows_at_most() {
    let store = store_with(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3500)
        INSERT INTO pairing_audit(at, actor, action) SELECT 1000000 + x, 'gate', 'old' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
        INSERT INTO pairing_attempts SELECT 'cli', 1000000, 'unknown' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 11500)
        INSERT INTO pairing_finished(code, outcome, at, channel, account_id, sender_id)
            SELECT 'AAAAAAAA', 'blocked', 1000000, 'test', 'main', x FROM n;
        INSERT INTO pairing_audit(at, actor, action) VALUES (unixepoch(), 'gate', 'new');
        INSERT INTO pairing_audit(at, actor, action) VALUES (1000000, 'gate', 'after a new one');",
    )
    .await;
    let tables = ["pairing_audit", "pairing_attempts", "pairing_finished"];
    let mut progress = Progress::default();
    let mut left = [3502, 2500, 11_500];
    let mut transactions = 0;
    loop {
        let has_more;
        (progress, has_more) = purge_once(&store, progress).await;
        transactions += 1;
        let before: i64 = left.iter().sum();
        for (left, table) in left.iter_mut().zip(tables) {
            *left = count(&store, table).await;
        }
        assert!(before - left.iter().sum::<i64>() <= PIECE, "{left:?}");
        if !has_more {
            break;
        }
    }
    // As before: what comes after an entry that is kept is kept.
    assert_eq!(left, [2, 0, 0]);
    assert!(transactions >= 18, "{transactions}");
}

const CROWD: &str = "
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
    INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at)
        SELECT 'test', 'main', x, 'CODE' || x, 1000000 FROM n;
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
    INSERT INTO pairing_allow_from (channel, account_id, sender_id, approved_at, expires_at)
        SELECT 'test', 'main', x, 1000000, 1000001 FROM n;";

/// Requests and grants that are over and were not ended.
async fn overdue(store: &PairingStore) -> [i64; 2] {
    let requests = count(store, "pairing_pending").await;
    [requests, count(store, "pairing_allow_from WHERE revoked_at IS NULL").await]
}

#[tokio::test]
async fn an_operation_ends_a_share_of_what_is_over_and_all_that_it_decides_on() {
    let store = store_with(CROWD).await;
    let [channel, account, last] = ["test", "main", "1000"];
    let end = |write: &mut Write<'_>| write.expire_of(channel, account, last);
    store.write(end).await.unwrap();
    assert_eq!(overdue(&store).await, [1000 - SHARE - 1, 2500 - SHARE - 1]);
    let of_last = "pairing_finished WHERE sender_id = '1000' AND outcome = 'expired'";
    assert_eq!(count(&store, of_last).await, 1);
    store.write(|write| write.expire_code("CODE999")).await.unwrap();
    assert_eq!(overdue(&store).await, [1000 - 2 * SHARE - 2, 2500 - 2 * SHARE - 1]);
    // On a disk that is nearly full, nothing else.
    let end = |write: &mut Write<'_>| {
        write.expired.set(true);
        write.expire_code("CODE998")
    };
    store.write(end).await.unwrap();
    assert_eq!(overdue(&store).await, [1000 - 2 * SHARE - 3, 2500 - 2 * SHARE - 1]);
}

#[tokio::test]
async fn each_transaction_of_a_purge_ends_so_many_requests_and_grants_at_most() {
    let store = store_with(CROWD).await;
    let mut progress = Progress::default();
    let mut before = overdue(&store).await;
    loop {
        let has_more;
        (progress, has_more) = purge_once(&store, progress).await;
        let after = overdue(&store).await;
        assert!(before[0] - after[0] <= SHARE && before[1] - after[1] <= PIECE, "{after:?}");
        before = after;
        if !has_more {
            break;
        }
    }
    assert_eq!((before, progress.expired), ([0, 0], 1000));
}

#[tokio::test]
async fn entries_from_the_future_do_not_keep_old_ones_behind_them() {
    let store = store_with(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
        INSERT INTO pairing_audit(at, actor, action)
            SELECT unixepoch() + 86400, 'gate', 'future' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500)
        INSERT INTO pairing_audit(at, actor, action) SELECT 1000000, 'gate', 'old' FROM n;",
    )
    .await;
    store.purge(|write, progress| write.purge(progress)).await.unwrap();
    assert_eq!(count(&store, "pairing_audit WHERE action = 'future'").await, 2500);
    assert_eq!(count(&store, "pairing_audit WHERE action = 'old'").await, 0);
}
