use std::cell::Cell;
use std::path::Path;

use nexo_pairing_core::{Actor, ChannelId, SenderId, Target};
use rusqlite::Connection;
use time::OffsetDateTime;

use super::*;
use crate::rows::SqliteRows;
use crate::{PairingStore, inspect};

/// How many rows a transaction changes at most, and how many requests it ends.
const STEP: i64 = 1000;
const SHARE: i64 = 50;

fn database(sql: &str) -> Connection {
    let connection = inspect::empty(Path::new(":memory:")).unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
}

/// One transaction of the maintenance; returns whether there is more to do.
fn step(connection: &mut Connection, progress: &mut Progress) -> bool {
    let tx = connection.transaction().unwrap();
    let had_maintenance = Cell::new(false);
    let mut rows = SqliteRows::new(&tx, OffsetDateTime::now_utc(), &had_maintenance);
    let has_more;
    (*progress, has_more) = Maintenance::all(365).step(&mut rows, *progress).unwrap();
    tx.commit().unwrap();
    has_more
}

#[test]
fn each_step_deletes_a_limited_number_of_rows() {
    let mut connection = database(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3500)
        INSERT INTO pairing_audit(at, actor, action) SELECT 1000000 + x, 'gate', 'old' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
        INSERT INTO pairing_attempts SELECT 'cli', 1000000, 'unknown' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 11500)
        INSERT INTO pairing_finished(code, outcome, at, channel, account_id, sender_id)
            SELECT 'AAAAAAAA', 'blocked', 1000000, 'test', 'main', x FROM n;
        INSERT INTO pairing_audit(at, actor, action) VALUES (unixepoch(), 'gate', 'new');
        INSERT INTO pairing_audit(at, actor, action) VALUES (1000000, 'gate', 'after a new one');",
    );
    let tables = ["pairing_audit", "pairing_attempts", "pairing_finished"];
    let mut progress = Progress::default();
    let mut left = [3502, 2500, 11_500];
    let mut transactions = 0;
    loop {
        let has_more = step(&mut connection, &mut progress);
        transactions += 1;
        let before: i64 = left.iter().sum();
        for (left, table) in left.iter_mut().zip(tables) {
            *left = count(&connection, table);
        }
        assert!(before - left.iter().sum::<i64>() <= STEP, "{left:?}");
        if !has_more {
            break;
        }
    }
    // As before: what comes after an entry that is kept is kept.
    assert_eq!(left, [2, 0, 0]);
    assert!(transactions >= 18, "{transactions}");
}

/// Requests of 1000 senders, whose codes end in their numbers, and grants of 2500.
const CROWD: &str = "
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000),
        digits(d) AS (VALUES ('ABCDEFGHJK'))
    INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at)
        SELECT 'test', 'main', x, 'AAAA' || substr(d, x / 1000 + 1, 1)
            || substr(d, x / 100 % 10 + 1, 1) || substr(d, x / 10 % 10 + 1, 1)
            || substr(d, x % 10 + 1, 1), 1000000
        FROM n, digits;
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
    INSERT INTO pairing_allow_from (channel, account_id, sender_id, approved_at, expires_at)
        SELECT 'test', 'main', x, 1000000, 1000001 FROM n;";

/// Requests and grants that are over and were not ended.
fn overdue(connection: &Connection) -> [i64; 2] {
    let requests = count(connection, "pairing_pending");
    [requests, count(connection, "pairing_allow_from WHERE revoked_at IS NULL")]
}

#[tokio::test]
async fn an_operation_ends_a_share_of_overdue_rows_and_all_that_it_decides_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let store = PairingStore::open(&path).await.unwrap();
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch(CROWD).unwrap();
    let (channel, sender) = (ChannelId::parse("test").unwrap(), SenderId::parse("1000").unwrap());
    let target = Target::new(channel, None.into(), sender);
    assert_eq!(store.revoke(&target, &Actor::cli()).await.unwrap(), []);
    assert_eq!(overdue(&shell), [1000 - SHARE - 1, 2500 - SHARE - 1]);
    let of_last = "pairing_finished WHERE sender_id = '1000' AND outcome = 'expired'";
    assert_eq!(count(&shell, of_last), 1);
    let error = store.reject("AAAAAKKK", &Actor::cli()).await.unwrap_err();
    // It was over long ago.
    assert_eq!(error.kind(), "mistyped_code");
    assert_eq!(overdue(&shell), [1000 - 2 * SHARE - 2, 2500 - 2 * SHARE - 1]);
}

#[test]
fn each_step_ends_a_limited_number_of_requests_and_grants() {
    let mut connection = database(CROWD);
    let mut progress = Progress::default();
    let mut before = overdue(&connection);
    loop {
        let has_more = step(&mut connection, &mut progress);
        let after = overdue(&connection);
        assert!(before[0] - after[0] <= SHARE && before[1] - after[1] <= STEP, "{after:?}");
        before = after;
        if !has_more {
            break;
        }
    }
    assert_eq!((before, progress.expired), ([0, 0], 1000));
}

#[test]
fn entries_from_the_future_do_not_keep_older_ones() {
    let mut connection = database(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2500)
        INSERT INTO pairing_audit(at, actor, action)
            SELECT unixepoch() + 86400, 'gate', 'future' FROM n;
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500)
        INSERT INTO pairing_audit(at, actor, action) SELECT 1000000, 'gate', 'old' FROM n;",
    );
    let mut progress = Progress::default();
    while step(&mut connection, &mut progress) {}
    assert_eq!(count(&connection, "pairing_audit WHERE action = 'future'"), 2500);
    assert_eq!(count(&connection, "pairing_audit WHERE action = 'old'"), 0);
}
