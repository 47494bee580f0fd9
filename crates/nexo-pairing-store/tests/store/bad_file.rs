//! Foreign and damaged files: each is named and left unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexo_pairing_core::Filter;
use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreErrorKind, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{World, names, options, store_error};
use nexo_pairing_conformance::testing::TestReplica;

/// The error of opening a store on this file. Inspections and copies give the same error.
async fn refused(path: &Path) -> StoreError {
    let (_, options) = options();
    let opened = PairingStore::open_with(path, options).await;
    let error = store_error(opened.map(drop).unwrap_err());
    let copied = PairingStore::snapshot(path, StoreOptions::default()).await;
    assert_eq!(store_error(copied.map(drop).unwrap_err()).to_string(), error.to_string());
    let viewed = PairingStore::view(path, StoreOptions::default()).await;
    assert_eq!(store_error(viewed.map(drop).unwrap_err()).to_string(), error.to_string());
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text} names the file");
    assert!(error.hint().is_some(), "{text}");
    if let Some(cause) = std::error::Error::source(&error) {
        assert!(!text.contains(&cause.to_string()), "{text}: {cause} is told once");
    }
    error
}

/// The same for a file with these contents, which stay unchanged.
async fn refused_with(contents: &[u8]) -> StoreError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    fs::write(&path, contents).unwrap();
    let before = fs::metadata(&path).unwrap();
    let error = refused(&path).await;
    assert!(fs::read(&path).unwrap() == contents, "changed: {error}");
    let after = fs::metadata(&path).unwrap();
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
    error
}

/// A closed database with rows.
async fn database() -> (TempDir, PathBuf) {
    let world = World::new().await;
    for number in 0..200 {
        world.seed(&format!("+1415555{number:04}")).await;
    }
    let World { folder, path, .. } = world;
    (folder, path)
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_named() {
    let mut random = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as u8
    })
    .take(20_000)
    .collect();
    let text = "Dear diary, ".repeat(1000);
    let half_magic = [b"SQLite format 3\0".as_slice(), &[0; 500]].concat();
    for contents in [
        noise.as_slice(),
        text.as_bytes(),
        &noise[..100],
        b"xy",
        &[0; 5000],
        &[0; 100],
        &half_magic,
    ] {
        let error = refused_with(contents).await;
        assert!(matches!(error, StoreError { kind: StoreErrorKind::NotADatabase, .. }), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("left unchanged"), "{hint}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    fs::write(&path, "").unwrap();
    let inspection = Inspection::of(&path).await.unwrap();
    assert_eq!((inspection.schema_version, inspection.newest_row), (0, None));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "to look at it changes nothing");
    let store = PairingStore::open(&path).await.unwrap();
    assert_eq!(store.purge_expired().await.unwrap(), 0);
}

#[tokio::test]
async fn a_file_that_was_emptied_is_damaged() {
    let (folder, path) = database().await;
    // To SQLite, a file of one byte is also empty.
    for left in [1, 0] {
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
        let opened = PairingStore::open(&path).await;
        let error = store_error(opened.map(drop).unwrap_err());
        let is_right = matches!(&error, StoreError { kind: StoreErrorKind::Damaged, path: named, .. } if *named == path);
        assert!(is_right, "{left}: {error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), left);
    }
    // Deleted and created again on purpose, it is a new file.
    fs::remove_file(&path).unwrap();
    PairingStore::open(&path).await.unwrap();
    drop(folder);
}

#[tokio::test]
async fn a_truncated_file_is_damaged() {
    let (_folder, path) = database().await;
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 20 && whole.len() % 4096 == 0, "{}", whole.len());
    let mut lengths = vec![2, 15, 16, 99, 100, 101, 511, 512, 1000, 4095];
    lengths.extend((1..pages).map(|page| page * 4096));
    lengths.extend((1..pages - 1).step_by(5).map(|page| page * 4096 + 1));
    for length in lengths {
        let error = refused_with(&whole[..length]).await;
        let is_right = matches!(
            error,
            StoreError { kind: StoreErrorKind::Damaged, .. }
                | StoreError { kind: StoreErrorKind::NotADatabase, .. }
        );
        assert!(is_right, "{length}: {error}");
    }
}

#[tokio::test]
async fn a_file_truncated_within_its_last_page_is_found_by_inspection() {
    let (_folder, path) = database().await;
    let whole = fs::read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    for missing in [1, 100, 2000, 4000] {
        fs::write(&path, &whole[..whole.len() - missing]).unwrap();
        // SQLite reads missing bytes as zeros.
        let inspection = Inspection::of(&path).await.unwrap();
        if inspection.problems.is_empty() {
            let copy = PairingStore::snapshot(&path, StoreOptions::default()).await.unwrap();
            let allowed = copy.list_allow(&Filter::all(), false).await.unwrap();
            assert_eq!(allowed.len(), 200, "{missing}");
        }
    }
}

#[tokio::test]
async fn a_damaged_header_is_reported() {
    let (_folder, path) = database().await;
    let whole = fs::read(&path).unwrap();
    for at in 0..100 {
        for byte in [0x00, 0x55, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pairing.db");
            fs::write(&path, &damaged).unwrap();
            let (_, options) = options();
            match PairingStore::open_with(&path, options).await {
                // Most of the header is not needed.
                Ok(store) => drop(store.list_allow(&Filter::all(), true).await),
                Err(error) => {
                    let error = store_error(error);
                    assert!(fs::read(&path).unwrap() == damaged, "byte {at}: {error}");
                    assert!(error.hint().is_some());
                    if at < 16 {
                        assert!(
                            matches!(error, StoreError { kind: StoreErrorKind::NotADatabase, .. }),
                            "{error}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn inner_damage_is_reported_when_it_is_read() {
    let (_folder, path) = database().await;
    let mut damaged = fs::read(&path).unwrap();
    for page in damaged.chunks_mut(4096).skip(1) {
        page[..200].fill(0xa5);
    }
    let error = refused_with(&damaged).await;
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Damaged, .. }), "{error}");
    assert!(error.hint().unwrap().contains("mv BACKUP"));
}

#[tokio::test]
async fn damage_found_by_a_load_is_reported() {
    let (_folder, path) = database().await;
    let whole = fs::read(&path).unwrap();
    let of_a_sender = |page: &[u8]| page.windows(12).any(|at| at == b"+14155550150");
    let mut told = 0;
    for number in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        let page = &mut damaged[number * 4096..][..4096];
        if !of_a_sender(page) {
            continue;
        }
        page[..200].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        let (_, options) = options();
        let store = PairingStore::open_with(&path, options).await.unwrap();
        let copy = Arc::new(TestReplica::default());
        store.subscribe(copy.weak());
        if let Err(error) = store.refresh().await {
            let error = store_error(error);
            assert!(
                matches!(error, StoreError { kind: StoreErrorKind::Damaged, .. }),
                "page {number}: {error}"
            );
            assert_eq!(copy.state().position, None);
            told += 1;
        }
    }
    assert!(told > 0, "no load came upon the damage");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let (folder, path) = database().await;
    let newer = "INSERT INTO refinery_schema_history(version, name, applied_on, checksum)
        VALUES (99, 'future', '2099-01-01T00:00:00Z', '1')";
    Connection::open(&path).unwrap().execute(newer, ()).unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path).await;
    assert!(
        matches!(error, StoreError { kind: StoreErrorKind::Newer { found: 99, known: 7 }, .. }),
        "{error}"
    );
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(folder.path()), ["pairing.db", "pairing.db.lock"]);
    let inspection = Inspection::of(&path).await.unwrap();
    assert_eq!((inspection.schema_version, inspection.newest_schema), (99, 7));
}

#[tokio::test]
async fn files_of_a_crashed_newer_version_are_not_touched() {
    let world = World::new().await;
    let newer = "INSERT INTO refinery_schema_history(version, name, applied_on, checksum)
        VALUES (99, 'future', '2099-01-01T00:00:00Z', '1')";
    world.shell().execute(newer, ()).unwrap();
    let (folder, path) = world.crashed();
    let wal = folder.path().join("pairing.db-wal");
    let before = (fs::read(&path).unwrap(), fs::read(&wal).unwrap());
    assert!(!before.1.is_empty());
    let error = refused(&path).await;
    assert!(
        matches!(error, StoreError { kind: StoreErrorKind::Newer { found: 99, .. }, .. }),
        "{error}"
    );
    assert!((fs::read(&path).unwrap(), fs::read(&wal).unwrap()) == before);
}

#[tokio::test]
async fn a_foreign_table_stops_the_upgrade_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE pairing_allow_from (name TEXT)").unwrap();
    let schema = || {
        let connection = Connection::open(&path).unwrap();
        let mut tables = connection.prepare("SELECT sql FROM sqlite_master").unwrap();
        let tables = tables.query_map((), |row| row.get::<_, String>(0)).unwrap();
        tables.collect::<Result<Vec<_>, _>>().unwrap()
    };
    drop(connection);
    let opened = PairingStore::open(&path).await;
    let error = store_error(opened.map(drop).unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Migration, .. }), "{error:?}");
    assert!(error.hint().is_some());
    assert_eq!(schema(), ["CREATE TABLE pairing_allow_from (name TEXT)"]);
}

#[tokio::test]
async fn a_path_that_is_not_a_file_is_named_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    fs::create_dir(&directory).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&directory, &pipe, Path::new("/dev/null"), Path::new("/")] {
        let error = refused(path).await;
        assert!(
            matches!(&error, StoreError { kind: StoreErrorKind::NotAFile, path: named, .. } if named == path),
            "{error}"
        );
    }
    assert!(refused(&directory).await.hint().unwrap().contains("state/pairing.db"));
    assert_eq!(names(folder.path()), ["pipe", "state"]);
    for path in ["", "..", "."] {
        let opened = PairingStore::open(path).await;
        let error = store_error(opened.map(drop).unwrap_err());
        let is_right = matches!(
            error,
            StoreError { kind: StoreErrorKind::NotAFile, .. }
                | StoreError { kind: StoreErrorKind::Io, .. }
        );
        assert!(is_right, "{path}: {error}");
    }
}
