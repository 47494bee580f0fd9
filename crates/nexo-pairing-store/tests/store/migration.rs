//! Every earlier schema is upgraded, with its rows.

use nexo_pairing_core::{AuditAction, Filter, Mode, RedeemError};
use nexo_pairing_store::{Inspection, PairingStore};
use refinery::Target;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::legacy::old_file;
use crate::old::Old;
use crate::support::redemption;
use crate::support::{START, account, channel, moment, options, shell};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Makes a file of an older schema, with the rows of `sql`, and opens it.
async fn upgrade(version: i32, sql: &str) -> (TempDir, PairingStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let mut connection = Connection::open(&path).unwrap();
    let runner = embedded::migrations::runner().set_target(Target::Version(version));
    runner.run(&mut connection).unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let inspection = Inspection::of(&path).await.unwrap();
    assert_eq!(inspection.schema_version, inspection.newest_schema);
    assert_eq!(inspection.problems, Vec::<String>::new());
    (folder, store)
}

#[tokio::test]
async fn version_1_is_upgraded() {
    let (_folder, store) = upgrade(
        1,
        "INSERT INTO pairing_pending VALUES
            ('whatsapp', 'personal', '+1', 'AAAAAAAA', 1800000000, '{\"push_name\":\"Ana\"}'),
            ('whatsapp', 'personal', '+2', 'AAAAAAAA', 1800000000, '{}'),
            ('whatsapp', 'personal', '+3', 'BBBBBBBB', 1799999000, 'no json');
        INSERT INTO pairing_allow_from VALUES
            ('whatsapp', 'personal', '+4', 1700000000, 'cli', NULL),
            ('whatsapp', 'work', '+4', 1700000000, 'seed', 1700000001);",
    )
    .await;
    let pending = store.list_pending(&Filter::all()).await.unwrap();
    let pending: Vec<_> = pending
        .iter()
        .map(|request| (request.sender_id.as_str(), request.code.as_str(), &request.meta))
        .collect();
    let meta = serde_json::json!({ "push_name": "Ana" });
    let nothing = serde_json::Value::Null;
    assert_eq!(pending, [("+3", "BBBBBBBB", &nothing), ("+1", "AAAAAAAA", &meta)]);
    let grants = store.list_allow(&Filter::all(), true).await.unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!((grants[0].approved_via.as_str(), grants[0].revoked_at), ("cli", None));
    assert_eq!(grants[1].revoked_at, Some(moment(1_700_000_001)));
}

#[tokio::test]
async fn version_2_is_upgraded() {
    let (_folder, store) = upgrade(
        2,
        "INSERT INTO pairing_pending VALUES
            ('whatsapp', 'personal', '+1', 'AAAAAAAA', 1800000000, 'null', 1800000060, 1800000000);
        INSERT INTO pairing_allow_from VALUES
            ('whatsapp', 'personal', '+2', 1700000000, 'cli', NULL, NULL, 1900000000, 'a friend');
        INSERT INTO pairing_blocked VALUES
            ('whatsapp', '*', '+3', 1700000000, 'cli', 'spam');
        INSERT INTO pairing_audit(at, actor, action, detail_json)
            VALUES (1700000000, 'cli', 'unlock', '{\"unlocked\":\"cli\"}');",
    )
    .await;
    let pending = store.list_pending(&Filter::all()).await.unwrap();
    assert_eq!(pending[0].expires_at, moment(START + 60));
    let grants = store.list_allow(&Filter::all(), false).await.unwrap();
    assert_eq!(grants[0].note.as_deref(), Some("a friend"));
    assert_eq!(grants[0].expires_at, Some(moment(1_900_000_000)));
    assert_eq!(
        store.list_blocked(&Filter::all()).await.unwrap()[0].reason.as_deref(),
        Some("spam")
    );
    assert_eq!(store.audit(&Filter::all(), 10).await.unwrap()[0].action, AuditAction::Unlock);
    let issued = store.redeem(redemption(1, None)).await.unwrap();
    assert!(store.session(&issued.token).await.unwrap().is_some());
}

#[tokio::test]
async fn the_file_of_0_1_8_takes_sessions() {
    let (_folder, path) = old_file();
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert_eq!(store.list_allow(&Filter::all(), true).await.unwrap().len(), 7);
    let issued = store.redeem(redemption(1, None)).await.unwrap();
    assert_eq!(store.session(&issued.token).await.unwrap(), Some(issued.session));
    // And 0.1.8 continues with its own tables.
    let old = Old::open(&path, START);
    assert_eq!(old.list_allow().len(), 7);
}

#[tokio::test]
async fn version_3_is_upgraded() {
    let (_folder, store) = upgrade(
        3,
        "INSERT INTO pairing_sessions VALUES
            ('00000000000000a1', x'0102', 'companion-v1', 'kitchen', 1800000000, 1800086400,
                1802592000, 1800000000, NULL, NULL);
        INSERT INTO pairing_redemptions VALUES
            ('00000000000000000000000000000001', '00000000000000a1', x'0304', 1800000000,
                1800000600),
            ('00000000000000000000000000000002', NULL, NULL, 1800000000, 1800000600);",
    )
    .await;
    let sessions = store.list_sessions(false).await.unwrap();
    assert_eq!((sessions.len(), sessions[0].id.as_str()), (1, "00000000000000a1"));
    assert_eq!(sessions[0].renew_until, moment(START + 30 * 86_400));
    let told = store.redeem(redemption(1, Some(1))).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: true, .. }), "{told:?}");
    assert_eq!(store.redeem(redemption(2, None)).await.unwrap_err().kind(), "cancelled");
}

#[tokio::test]
async fn version_3_with_a_flood_of_replays_is_upgraded() {
    let (folder, store) = upgrade(
        3,
        "INSERT INTO pairing_sessions VALUES
            ('00000000000000a1', x'0102', 'companion-v1', 'kitchen', 1800000000, 1800086400,
                1802592000, 1800000000, 1800000030, 'replay');
        INSERT INTO pairing_redemptions VALUES
            ('00000000000000000000000000000001', '00000000000000a1', NULL, 1800000000, 1800000600);
        INSERT INTO pairing_audit(at, actor, action, detail_json) VALUES
            (1800000000, 'device', 'session_issued', '{\"session\":\"00000000000000a1\",
                \"profile\":\"companion-v1\",\"device_label\":\"kitchen\"}'),
            (1800000030, 'device', 'replay', '{\"session\":\"00000000000000a1\",\"revoked\":true}'),
            (1800000031, 'device', 'replay', 'not JSON'),
            (1800000032, 'cli', 'unlock', '{\"session\":\"of something else\"}');",
    )
    .await;
    let session = store.list_sessions(true).await.unwrap().remove(0);
    assert_eq!((session.claim_peer, session.last_peer), (None, None));
    let told = store.redeem(redemption(1, None)).await.unwrap_err();
    assert!(matches!(told, RedeemError::Replayed { revoked: false, .. }), "{told:?}");
    assert_eq!(store.audit(&Filter::all(), 10).await.unwrap().len(), 5);
    let shell = shell(&folder.path().join("pairing.db"));
    let mut rows = shell
        .prepare("SELECT session_id, device_label FROM pairing_audit WHERE seq <= 4 ORDER BY seq")
        .unwrap();
    let rows: Vec<(Option<String>, Option<String>)> =
        rows.query_map((), |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap();
    let id = Some("00000000000000a1".to_owned());
    let kitchen = Some("kitchen".to_owned());
    assert_eq!(rows, [(id.clone(), kitchen), (id, None), (None, None), (None, None)]);
}

#[tokio::test]
async fn version_5_is_upgraded() {
    let (_folder, store) = upgrade(
        5,
        "INSERT INTO pairing_pending VALUES
            ('whatsapp', 'personal', '+1', 'AAAAAAAA', 1799990000, 'null', NULL, NULL),
            ('whatsapp', 'personal', '+2', 'BBBBBBBB', 1800000000, 'null', NULL, NULL),
            ('whatsapp', 'personal', '+3', 'CCCCCCCC', 1799999990, 'null', 1799999999, 1799999990),
            ('whatsapp', 'personal', '+4', 'DDDDDDDD', 1900000000, 'null', NULL, NULL);
        INSERT INTO pairing_sessions
            (id, token_sha256, profile, issued_at, expires_at, renew_until) VALUES
            ('00000000000000a1', x'0102', 'companion-v1', 1799000000, 1799999999, 1799999999),
            ('00000000000000a2', x'0103', 'companion-v1', 1799000000, 1800086400, 1800086400);",
    )
    .await;
    // Those of 0.1.8 that are an hour old, those with an end, and those from the future.
    assert_eq!(store.purge_expired().await.unwrap(), 3);
    let pending = store.list_pending(&Filter::all()).await.unwrap();
    assert_eq!((pending.len(), pending[0].code.as_str()), (1, "BBBBBBBB"));
    let sessions = store.list_sessions(false).await.unwrap();
    assert_eq!((sessions.len(), sessions[0].id.as_str()), (1, "00000000000000a2"));
}

#[tokio::test]
async fn version_6_is_upgraded() {
    let (_folder, store) = upgrade(
        6,
        "INSERT INTO pairing_sessions
                (id, token_sha256, profile, device_label, issued_at, expires_at, renew_until)
            VALUES ('00000000000000a1', x'0102', 'companion-v1', 'kitchen', 1800000000, 1800086400,
                1802592000);",
    )
    .await;
    let session = store.list_sessions(false).await.unwrap().remove(0);
    // Earlier versions did not record who named it: the operator, unless the code had no name.
    assert_eq!(
        (session.device_label.as_deref(), session.named_by_device),
        (Some("kitchen"), false)
    );
}

#[tokio::test]
async fn version_4_remembers_modes_and_adapters() {
    let (_folder, store) = upgrade(
        4,
        "INSERT INTO pairing_accounts VALUES
            ('*', '*', 'pairing', '/etc/nexo/pairing.yaml', 1800000000, 1, 0),
            ('whatsapp', 'personal', 'allowlist', 'environment NEXO_PAIRING_ACCOUNTS', 1800000000, 1, 0),
            ('whatsapp', 'work', NULL, NULL, 1800000000, 1, 0),
            ('whatsapp', 'old', 'pairing', '/etc/nexo/pairing.yaml', 1700000000, 0, 0);
        INSERT INTO pairing_adapters VALUES ('signal', '/etc/nexo/pairing.yaml', 1800000000);",
    )
    .await;
    let adapters = store.remembered_adapters().await.unwrap();
    let adapters: Vec<_> = adapters.channels().keys().map(ToString::to_string).collect();
    assert_eq!(adapters, ["signal"]);
    let modes = store.remembered_modes().await.unwrap();
    let account = |name: &str| (channel(), account(name));
    assert_eq!(modes.mode(Some(&account("personal"))).unwrap().mode, Mode::Allowlist);
    assert_eq!(modes.mode(Some(&account("work"))).unwrap().mode, Mode::Pairing);
    assert_eq!(modes.mode(Some(&account("old"))), None);
    assert_eq!(modes.former()[&account("old")].mode, Mode::Pairing);
    assert_eq!(modes.default_mode().unwrap().origin, "/etc/nexo/pairing.yaml");
}

#[tokio::test]
async fn every_version_has_its_test() {
    let newest = embedded::migrations::runner().get_migrations().len();
    assert_eq!(newest, 7, "a new migration wants a test above that upgrades real old rows");
}

#[tokio::test]
async fn an_incomplete_old_file_is_upgraded() {
    // 0.1.8 creates its tables one after the other.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let sql = "CREATE TABLE pairing_pending (channel TEXT NOT NULL, account_id TEXT NOT NULL,
        sender_id TEXT NOT NULL, code TEXT NOT NULL, created_at INTEGER NOT NULL,
        meta_json TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (channel, account_id, sender_id))";
    Connection::open(&path).unwrap().execute(sql, ()).unwrap();
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options).await.unwrap();
    assert!(store.list_allow(&Filter::all(), true).await.unwrap().is_empty());
}
