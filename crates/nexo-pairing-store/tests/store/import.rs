//! The sessions of 0.1.8 are imported, and its file is left unchanged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nexo_pairing_core::{Actor, SessionToken};
use nexo_pairing_store::{PairingStore, StoreError, StoreErrorKind, read_legacy_sessions};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{START, World, bytes, hours, moment, names};

/// When the session of the old file was issued, and when it expires.
const THEN: [i64; 2] = [1_795_392_648, 4_002_912_648];

/// A copy of the file in which 0.1.8 kept its sessions.
fn old_sessions() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing_sessions.db");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pairing_sessions-0.1.8.db");
    fs::copy(fixture, &path).unwrap();
    (folder, path)
}

/// A changed copy.
fn changed(sql: &str) -> (TempDir, PathBuf) {
    let (folder, path) = old_sessions();
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path)
}

fn token(text: &str) -> SessionToken {
    SessionToken::parse(text).unwrap()
}

async fn refused(path: &Path) -> StoreError {
    read_legacy_sessions(path).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn the_token_of_an_old_session_is_accepted() {
    let (folder, path) = old_sessions();
    let before = bytes(&path);
    let world = World::new().await;
    for (imported, unchanged) in [(1, 0), (0, 1), (0, 1)] {
        let sessions = read_legacy_sessions(&path).await.unwrap();
        let report = world.store.import_sessions(sessions, &Actor::cli()).await.unwrap();
        assert_eq!((report.imported, report.unchanged, report.expired), (imported, unchanged, 0));
    }
    let legacy = token("legacy-session-token-1");
    let session = world.store.session(&legacy).await.unwrap().unwrap();
    assert_eq!(session.profile, "companion-v1");
    assert_eq!(session.device_label.as_deref(), Some("Ana's phone"));
    let times = [session.issued_at, session.expires_at].map(|at| at.unix_timestamp());
    assert_eq!((times, session.renew_until), (THEN, session.expires_at));
    assert_eq!(world.store.list_sessions(false).await.unwrap(), [session]);
    assert_eq!(world.audit().await, ["cli sessions_imported"; 3]);

    let renewed = world.store.renew_session(&legacy, hours(1)).await.unwrap().unwrap();
    assert_eq!(renewed.expires_at, moment(THEN[1]), "not less, and not more");
    assert!(bytes(&path) == before);
    assert_eq!(names(folder.path()), ["pairing_sessions.db"]);
}

#[tokio::test]
async fn an_old_session_keeps_its_expiry() {
    let (_folder, path) = old_sessions();
    let world = World::new().await;
    world.clock.set(moment(THEN[1]));
    let sessions = read_legacy_sessions(&path).await.unwrap();
    let report = world.store.import_sessions(sessions, &Actor::cli()).await.unwrap();
    assert_eq!(json!(report), json!({ "imported": 0, "unchanged": 0, "expired": 1 }));
    assert!(world.store.list_sessions(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revoked_session_stays_revoked_after_repeated_imports() {
    let (_folder, path) = old_sessions();
    let world = World::new().await;
    let import = || async {
        let sessions = read_legacy_sessions(&path).await.unwrap();
        world.store.import_sessions(sessions, &Actor::cli()).await.unwrap()
    };
    import().await;
    let id = world.live().await.remove(0).id;
    world.store.revoke_session(&id, &Actor::cli()).await.unwrap().unwrap();
    for days in [0, 31, 10_000] {
        world.clock.set(moment(START + days * 86_400));
        world.store.purge_sessions().await.unwrap();
        assert_eq!(import().await.unchanged, 1);
        assert!(world.live().await.is_empty());
    }
}

#[tokio::test]
async fn labels_of_0_1_8_are_adapted() {
    let long = "ñ".repeat(100);
    let (_folder, path) = changed(&format!(
        "INSERT INTO pairing_sessions VALUES
            ('token-two', 'companion-v1', 'a' || char(27) || '[2Jb', 1, 2),
            ('token-three', 'companion-v1', '', 1, 2),
            ('token-four', 'companion-v1', NULL, 1, 2),
            ('token-five', 'companion-v1', 'x{long}', 1, 2)"
    ));
    let sessions = read_legacy_sessions(&path).await.unwrap();
    let labels: Vec<_> = sessions.iter().map(|session| session.device_label.as_deref()).collect();
    let cut = format!("x{}", "ñ".repeat(63));
    assert_eq!(labels, [Some("a[2Jb"), None, None, Some(cut.as_str()), Some("Ana's phone")]);
    let world = World::new().await;
    world.store.import_sessions(sessions, &Actor::cli()).await.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_imported_is_named_without_its_token() {
    for (row, reason) in [
        ("('short', 'companion-v1', NULL, 1, 2)", "has 5 bytes"),
        ("('secret with spaces', 'companion-v1', NULL, 1, 2)", "printable ASCII"),
        ("('secret-token', 'Companion V1', NULL, 1, 2)", "Companion V1"),
        ("('secret-token', 'companion-v1', NULL, 'soon', 2)", "issued_at"),
        ("(x'736563726574', 'companion-v1', NULL, 1, 2)", "token"),
    ] {
        let (_folder, path) = changed(&format!("INSERT INTO pairing_sessions VALUES {row}"));
        let error = refused(&path).await;
        assert!(
            matches!(error, StoreError { kind: StoreErrorKind::BadSession { row: 2, .. }, .. }),
            "{error:?}"
        );
        let told = error.to_string();
        assert!(told.contains(reason) && !told.contains("secret"), "{told}");
        assert!(error.hint().unwrap().contains("rowid = 2"));
    }
}

#[tokio::test]
async fn a_file_without_sessions_of_0_1_8_is_refused() {
    let (folder, path) = old_sessions();
    let refused_as = |path: PathBuf| async move { refused(&path).await };

    let directory = folder.path().to_owned();
    assert!(matches!(
        refused_as(directory).await,
        StoreError { kind: StoreErrorKind::NotAFile, .. }
    ));
    let missing = folder.path().join("missing.db");
    assert!(matches!(refused_as(missing).await, StoreError { kind: StoreErrorKind::Missing, .. }));
    let text = folder.path().join("text");
    fs::write(&text, "This is no database, but a text that is long enough to be one.").unwrap();
    assert!(matches!(
        refused_as(text).await,
        StoreError { kind: StoreErrorKind::NotADatabase, .. }
    ));
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert!(matches!(refused_as(empty).await, StoreError { kind: StoreErrorKind::NoSessions, .. }));
    let (_old, grants) = crate::legacy::old_file();
    let error = refused_as(grants).await;
    assert!(matches!(error, StoreError { kind: StoreErrorKind::NoSessions, .. }), "{error}");
    assert!(error.hint().unwrap().contains("pairing_sessions.db"));
    // Ours has a table of the same name. It is in use, and stays so.
    let world = World::new().await;
    world.device(1).await;
    assert!(matches!(
        refused_as(world.path.clone()).await,
        StoreError { kind: StoreErrorKind::NoSessions, .. }
    ));
    world.device(2).await;

    assert_eq!(names(folder.path()), ["empty.db", "pairing_sessions.db", "text"]);
    assert_eq!(read_legacy_sessions(&path).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_link_is_followed() {
    let (folder, path) = old_sessions();
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    assert_eq!(read_legacy_sessions(&link).await.unwrap().len(), 1);
}

#[tokio::test]
async fn files_of_a_crashed_0_1_8_are_not_touched() {
    let (_folder, path) = old_sessions();
    let old = Connection::open(&path).unwrap();
    let unfinished = "BEGIN; UPDATE pairing_sessions SET profile = 'other'";
    old.execute_batch(unfinished).unwrap();
    old.cache_flush().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let crashed = folder.path().join("pairing_sessions.db");
    let beside = |path: &Path| PathBuf::from(format!("{}-journal", path.display()));
    for (from, to) in [(path.clone(), crashed.clone()), (beside(&path), beside(&crashed))] {
        fs::write(to, bytes(&from)).unwrap();
    }
    let before = (bytes(&crashed), bytes(&beside(&crashed)));
    let error = refused(&crashed).await;
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Unfinished, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("sqlite3 "));
    assert!((bytes(&crashed), bytes(&beside(&crashed))) == before);
}

#[tokio::test]
async fn the_old_session_file_is_not_a_store() {
    let (_folder, path) = old_sessions();
    let opened = PairingStore::open(&path).await;
    let error = crate::support::store_error(opened.map(drop).unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Migration, .. }), "{error:?}");
    assert_eq!(read_legacy_sessions(&path).await.unwrap().len(), 1, "and is still what it was");
}
