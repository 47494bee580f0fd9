//! What callers of 0.1 see of the stores. The tests of 0.1.8 itself run, too: `cargo xtask compat`.

use std::time::Duration;

use nexo_pairing::{
    PairingError, PairingPolicy, PairingSessionStore, PairingStore, PendingRequest, telemetry,
};
use serde_json::{Value, json};
use serial_test::serial;

#[tokio::test]
#[serial(telemetry)]
async fn the_pool_is_one_on_the_same_file() {
    telemetry::reset_for_test();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let store = PairingStore::open(path.to_str().unwrap()).await.unwrap();
    for (channel, sender) in [("wa", "+57"), ("wa", "+58"), ("tg", "1")] {
        store.upsert_pending(channel, "a", sender, Value::Null).await.unwrap();
    }
    let long_ago = "UPDATE pairing_pending
        SET created_at = created_at - 86400, expires_at = expires_at - 86400";
    sqlx::query(long_ago).execute(store.pool_for_test()).await.unwrap();
    assert_eq!(store.purge_expired().await.unwrap(), 3);
    assert_eq!(telemetry::codes_expired_total(), 3);
    assert_eq!((telemetry::requests_pending("wa"), telemetry::requests_pending("tg")), (0, 0));
    assert!(store.list_pending(None).await.unwrap().is_empty());
}

#[tokio::test]
#[serial(telemetry)]
async fn memory_is_not_a_file() {
    let store = PairingStore::open(":memory:").await.unwrap();
    store.seed("wa", "a", &["+57".to_owned()]).await.unwrap();
    assert!(store.is_allowed("wa", "a", "+57").await.unwrap());
    assert!(!std::path::Path::new(":memory:").exists());
}

#[tokio::test]
#[serial(telemetry)]
async fn a_refusal_is_of_a_kind_that_callers_know() {
    let store = PairingStore::open_memory().await.unwrap();
    let upsert = |sender: &'static str| store.upsert_pending("wa", "a", sender, json!({"k": "v"}));
    let code = upsert("+57").await.unwrap().code;
    assert_eq!(store.list_pending(Some("wa")).await.unwrap()[0].meta, json!({"k": "v"}));
    store.approve(&code).await.unwrap();
    assert!(matches!(store.approve(&code).await, Err(PairingError::UnknownCode)));
    assert!(matches!(upsert("+57").await, Err(PairingError::Invalid(_))));
    assert!(matches!(upsert("").await, Err(PairingError::Invalid("sender"))));
    // The fifth wrong code locks out.
    let mut wrong = Vec::new();
    for _ in 0..40 {
        wrong.push(store.approve("AAAAAAAB").await.unwrap_err());
    }
    assert!(matches!(wrong[0], PairingError::UnknownCode));
    assert!(matches!(wrong[39], PairingError::Invalid(_)));
}

#[tokio::test]
async fn a_session_lives_until_it_expires() {
    let store = PairingSessionStore::open_memory().await.unwrap();
    let hour = Duration::from_secs(3600);
    store.insert_session("token-of-a-phone", "companion-v1", Some("phone"), hour).await.unwrap();
    let row = store.lookup_session("token-of-a-phone").await.unwrap().unwrap();
    assert_eq!(
        (row.profile.as_str(), row.device_label.as_deref()),
        ("companion-v1", Some("phone"))
    );
    assert!(store.lookup_session("token-of-another").await.unwrap().is_none());
    assert!(store.lookup_session("").await.unwrap().is_none());
    store.insert_session("token-of-a-guest", "companion-v1", None, Duration::ZERO).await.unwrap();
    assert!(store.lookup_session("token-of-a-guest").await.unwrap().is_none());
    assert_eq!(store.expire_sessions().await.unwrap(), 1);
    assert_eq!(store.expire_sessions().await.unwrap(), 0);
}

#[tokio::test]
async fn sessions_of_0_1_8_stay_and_their_tokens_are_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing_sessions.db");
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(file).await.unwrap();
    let rows = "CREATE TABLE pairing_sessions (token TEXT PRIMARY KEY, profile TEXT NOT NULL,
            device_label TEXT, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL);
        INSERT INTO pairing_sessions VALUES
            ('token-of-a-phone', 'companion-v1', 'phone', unixepoch() - 9, unixepoch() + 3600),
            ('token-of-before', 'companion-v1', NULL, unixepoch() - 9, unixepoch() - 1)";
    sqlx::raw_sql(rows).execute(&pool).await.unwrap();
    pool.close().await;
    for _ in 0..2 {
        let store = PairingSessionStore::open(&path).await.unwrap();
        assert!(store.lookup_session("token-of-a-phone").await.unwrap().is_some());
        assert!(store.lookup_session("token-of-before").await.unwrap().is_none());
    }
    let has_token = |name: &str| {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        bytes.windows(16).any(|window| window == b"token-of-a-phone")
    };
    assert!(has_token("pairing_sessions.db.0.1.8") && !has_token("pairing_sessions.db"));
}

#[test]
fn records_and_policies_are_read_as_they_were() {
    let request = json!({
        "channel": "whatsapp", "account_id": "a", "sender_id": "+57", "code": "ABCDEFGH",
        "created_at": "2026-11-23T00:10:49Z",
    });
    let read: PendingRequest = serde_json::from_value(request).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap()["created_at"], "2026-11-23T00:10:49Z");
    let policy = serde_json::from_str::<PairingPolicy>;
    assert!(!policy("{}").unwrap().auto_challenge);
    assert!(policy(r#"{"auto_challenge":true}"#).unwrap().auto_challenge);
    assert!(policy(r#"{"bogus":true}"#).is_err());
}

#[test]
#[serial(telemetry)]
fn metrics_are_rendered_as_text() {
    telemetry::reset_for_test();
    let rendered = || {
        let mut text = String::new();
        telemetry::render(&mut text);
        text
    };
    let none = rendered();
    for line in [
        "pairing_approvals_total{channel=\"\",result=\"\"} 0\n",
        "pairing_codes_expired_total 0\n",
        "pairing_bootstrap_tokens_issued_total{profile=\"\"} 0\n",
        "# TYPE pairing_requests_pending gauge\npairing_requests_pending{channel=\"\"} 0\n",
    ] {
        assert!(none.contains(line), "{none}");
    }
    telemetry::inc_approvals("whatsapp", "ok");
    telemetry::inc_approvals("whatsapp", "ok");
    telemetry::add_codes_expired(4);
    telemetry::inc_bootstrap_tokens_issued("a\"b\\c\nd");
    telemetry::inc_requests_pending("telegram");
    telemetry::set_requests_pending("whatsapp", 7);
    telemetry::dec_requests_pending("whatsapp");
    let some = rendered();
    for line in [
        "pairing_approvals_total{channel=\"whatsapp\",result=\"ok\"} 2\n",
        "pairing_codes_expired_total 4\n",
        "pairing_bootstrap_tokens_issued_total{profile=\"a\\\"b\\\\c\\nd\"} 1\n",
        "pairing_requests_pending{channel=\"telegram\"} 1\n",
        "pairing_requests_pending{channel=\"whatsapp\"} 6\n",
    ] {
        assert!(some.contains(line), "{some}");
    }
    telemetry::sub_requests_pending("whatsapp", 99);
    telemetry::set_requests_pending("telegram", -3);
    assert_eq!(telemetry::requests_pending("whatsapp"), 0);
    assert_eq!(telemetry::requests_pending("telegram"), 0);
    assert_eq!(telemetry::pending_channels(), ["telegram", "whatsapp"]);
}
