//! The copy made before an upgrade to a schema that earlier versions cannot read.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nexo_pairing_core::{Actor, Filter};
use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::legacy::old_file;
use crate::support::{bytes, everywhere, names, options, shell, store_error};

const COPY: &str = "pairing.db.before-v4";

/// A file with schema 3, as an earlier 0.2.0 wrote it.
fn earlier_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pairing-schema-3.db");
    fs::copy(fixture, &path).unwrap();
    (folder, path)
}

async fn open(path: &Path) -> PairingStore {
    PairingStore::open_with(path, options().1).await.unwrap()
}

/// The row counts of the tables of schema 3.
fn rows(connection: &Connection) -> Vec<i64> {
    ["pending", "allow_from", "blocked", "finished", "audit", "redemptions", "sessions"]
        .map(|table| {
            let count = format!("SELECT count(*) FROM pairing_{table}");
            connection.query_row(&count, (), |row| row.get(0)).unwrap()
        })
        .to_vec()
}

#[tokio::test]
async fn a_file_of_an_earlier_schema_is_copied_before_the_upgrade() {
    let (folder, path) = earlier_file();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let owner = 12_345;
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(owner), Some(owner)).unwrap();
    }
    let expected = rows(&shell(&path));
    assert_eq!(expected, [1, 3, 1, 1, 6, 1, 1]);
    let store = open(&path).await;
    assert_eq!(store.list_sessions(true).await.unwrap().len(), 1);
    store.unblock(&everywhere("+1"), &Actor::cli()).await.unwrap();
    drop(store);

    assert_eq!(names(folder.path()), ["pairing.db", COPY, "pairing.db.lock"]);
    let copy = folder.path().join(COPY);
    let metadata = fs::metadata(&copy).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(metadata.uid(), fs::metadata(&path).unwrap().uid());
    let inspection = Inspection::of(&copy).await.unwrap();
    assert_eq!((inspection.schema_version, inspection.problems), (3, Vec::new()));
    assert_eq!(rows(&shell(&copy)), expected);

    // Only the upgrade makes a copy.
    fs::remove_file(&copy).unwrap();
    drop(open(&path).await);
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
}

#[tokio::test]
async fn there_is_no_copy_of_a_file_that_0_1_8_can_still_read_nor_of_a_new_one() {
    let (folder, path) = old_file();
    drop(open(&path).await);
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder.path().join("pairing.db")).await);
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
}

#[tokio::test]
async fn no_copy_is_made_on_request() {
    let (folder, path) = earlier_file();
    let mut options = options().1;
    options.copy_before_upgrade = false;
    drop(PairingStore::open_with(&path, options).await.unwrap());
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
}

#[tokio::test]
async fn an_interrupted_upgrade_starts_again_with_a_new_copy() {
    let (folder, path) = earlier_file();
    let copy = folder.path().join(COPY);
    // This blocks the migration, so that only the copy is made.
    shell(&path).execute("CREATE TABLE pairing_accounts (x)", ()).unwrap();
    let failed = PairingStore::open_with(&path, options().1).await.unwrap_err();
    assert!(matches!(store_error(failed), StoreError { kind: StoreErrorKind::Migration, .. }));
    assert_eq!(Inspection::of(&path).await.unwrap().schema_version, 3);
    assert_eq!(rows(&shell(&copy))[2], 1);

    // The earlier version was used again in between.
    let block = "INSERT INTO pairing_blocked VALUES ('whatsapp', '*', '+1', 0, 'cli', NULL)";
    shell(&path).execute_batch(&format!("DROP TABLE pairing_accounts; {block}")).unwrap();
    drop(open(&path).await);
    assert_eq!(rows(&shell(&copy))[2], 2);
}

#[tokio::test]
async fn an_interrupted_copy_is_neither_used_nor_kept() {
    let (folder, path) = earlier_file();
    let partial = folder.path().join(format!("{COPY}.partial"));
    // A part of the file, and a journal that SQLite would apply to the next file.
    fs::write(&partial, &bytes(&path)[..8192]).unwrap();
    let journal = folder.path().join(format!("{COPY}.partial-journal"));
    let mut hot = vec![0; 512];
    hot[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    fs::write(&journal, hot).unwrap();
    drop(open(&path).await);
    assert_eq!(names(folder.path()), ["pairing.db", COPY, "pairing.db.lock"]);
    let inspection = Inspection::of(folder.path().join(COPY)).await.unwrap();
    assert_eq!((inspection.schema_version, inspection.problems), (3, Vec::new()));
}

#[tokio::test]
async fn a_link_in_place_of_the_copy_is_replaced_and_not_followed() {
    let (folder, path) = earlier_file();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, "somebody else's").unwrap();
    for name in [COPY.to_owned(), format!("{COPY}.partial")] {
        symlink(&target, folder.path().join(name)).unwrap();
    }
    drop(open(&path).await);
    assert_eq!(fs::read_to_string(&target).unwrap(), "somebody else's");
    assert!(fs::symlink_metadata(folder.path().join(COPY)).unwrap().is_file());
}

#[tokio::test]
async fn forgetting_a_person_deletes_the_copy() {
    let (folder, path) = earlier_file();
    let store = open(&path).await;
    assert!(folder.path().join(COPY).exists());
    let person = everywhere("+5491155550003");
    store.forget(&person, &Actor::cli()).await.unwrap();
    assert_eq!(store.list_allow(&Filter::all(), true).await.unwrap().len(), 2);
    assert!(!folder.path().join(COPY).exists());
}
