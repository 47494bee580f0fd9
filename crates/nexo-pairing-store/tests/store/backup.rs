//! Copies: the backup of a store in use, and the private snapshot.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nexo_pairing_conformance::testing;
use nexo_pairing_core::{Actor, Filter, Grant};
use nexo_pairing_store::{Inspection, PairingStore, StoreError, StoreErrorKind};
use rusqlite::Connection;

use crate::legacy::old_file;
use crate::support::{
    START, World, account, bytes, channel, everywhere, hours, key, moment, names, options, sender,
    store_error, unknown,
};
use nexo_pairing_conformance::testing::TestReplica;

/// A store with rows in every table.
pub(crate) async fn furnished() -> World {
    let world = World::new().await;
    world.seed("+1").await;
    let code = world.code("+2").await;
    let grant = Grant::unlimited().with_expires_in(hours(1)).with_note("a note");
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    let code = world.code("+3").await;
    world.store.reject(&code, &Actor::cli()).await.unwrap();
    world.store.block(&everywhere("+4"), &Actor::cli(), Some("spam")).await.unwrap();
    world.code("+5").await;
    world.approve(&unknown(1)).await.unwrap_err();
    world
}

/// Everything that a store lists.
pub(crate) async fn contents(store: &PairingStore) -> String {
    let all = Filter::all();
    let parts = (
        store.list_pending(&all).await.unwrap(),
        store.list_allow(&all, true).await.unwrap(),
        store.list_blocked(&all).await.unwrap(),
        store.audit(&all, 1000).await.unwrap(),
    );
    serde_json::to_string(&parts).unwrap()
}

/// The contents of a folder, byte for byte.
pub(crate) fn everything_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let contents = bytes(&folder.join(&name));
        // The WAL index is shared memory that holds the read marks of processes.
        if name.ends_with("-shm") { (name, Vec::new()) } else { (name, contents) }
    };
    names(folder).into_iter().map(read).collect()
}

#[tokio::test]
async fn a_backup_has_everything() {
    let world = furnished().await;
    let backup = world.folder.path().join("backup.db");
    world.store.backup(&backup).await.unwrap();
    assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o7777, 0o600);
    let beside: Vec<_> =
        names(world.folder.path()).into_iter().filter(|name| name.contains("backup")).collect();
    assert_eq!(beside, ["backup.db"], "one file, whole");
    assert_eq!(Inspection::of(&backup).await.unwrap().problems, Vec::<String>::new());

    let copy = PairingStore::open_with(&backup, world.options.clone()).await.unwrap();
    assert_eq!(contents(&copy).await, contents(&world.store).await);
    // Waits, attempts and old codes as well.
    for number in 2..=4 {
        copy.approve(&unknown(number), &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    }
    let fifth = copy.approve(&unknown(5), &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    assert_eq!(fifth.kind(), "locked_out");
    copy.seed(&channel(), &account("personal"), &[sender("+6")], &Actor::seed()).await.unwrap();
    assert!(!world.is_allowed("+6").await, "two files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_of_a_store_in_use_shows_one_moment() {
    let world = World::new().await;
    let other = world.another().await;
    let writing = tokio::spawn({
        let store = world.store.clone();
        async move {
            for number in 0..200 {
                // Always both or none.
                let ids = [sender(&format!("+1{number}")), sender(&format!("+2{number}"))];
                store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
            }
        }
    });
    let mut sizes = Vec::new();
    while !writing.is_finished() {
        let backup = world.folder.path().join(format!("backup-{}.db", sizes.len()));
        let from = if sizes.len() % 2 == 0 { &world.store } else { &other };
        from.backup(&backup).await.unwrap();
        let copy = PairingStore::snapshot(&backup, world.options.clone()).await.unwrap();
        let grants = copy.list_allow(&Filter::all(), false).await.unwrap().len();
        assert_eq!(grants, 2 * copy.audit(&Filter::all(), 1000).await.unwrap().len());
        assert_eq!(Inspection::of(&backup).await.unwrap().problems, Vec::<String>::new());
        sizes.push(grants);
    }
    writing.await.unwrap();
    assert!(sizes.is_sorted() && !sizes.is_empty(), "{sizes:?}");
}

#[tokio::test]
async fn a_backup_overwrites_nothing() {
    let world = furnished().await;
    let folder = world.folder.path();
    let file = folder.join("file");
    fs::write(&file, "precious").unwrap();
    let directory = folder.join("directory");
    fs::create_dir(&directory).unwrap();
    let link = folder.join("link");
    symlink(&file, &link).unwrap();
    for taken in [&file, &directory, &link, &world.path] {
        let error = store_error(world.store.backup(taken).await.unwrap_err());
        assert!(matches!(error, StoreError { kind: StoreErrorKind::Exists, .. }), "{error:?}");
        assert!(error.hint().is_some());
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    let missing = folder.join("missing/backup.db");
    let error = store_error(world.store.backup(&missing).await.unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Io, .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(!folder.join("missing").exists());
    let left = names(folder);
    assert!(!left.iter().any(|name| name.starts_with(".pairing-backup")), "{left:?}");
}

#[tokio::test]
async fn a_backup_of_a_store_in_memory_is_a_file() {
    let (_, options) = options();
    let store = PairingStore::open_memory_with(options.clone()).await.unwrap();
    store.seed(&channel(), &account("work"), &[sender("+1")], &Actor::seed()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    let copy = PairingStore::open_with(&backup, options).await.unwrap();
    assert_eq!(contents(&copy).await, contents(&store).await);
}

#[tokio::test]
async fn a_snapshot_of_a_missing_file_is_empty_and_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["pairing.db", "deep/er/pairing.db"] {
        let (_, options) = options();
        let copy = PairingStore::snapshot(folder.path().join(path), options).await.unwrap();
        assert!(copy.list_allow(&Filter::all(), true).await.unwrap().is_empty());
        let ids = [sender("+1")];
        copy.seed(&channel(), &account("work"), &ids, &Actor::seed()).await.unwrap();
        assert_eq!(copy.list_allow(&Filter::all(), true).await.unwrap().len(), 1);
        let inspected = Inspection::of(folder.path().join(path)).await;
        let error = store_error(inspected.unwrap_err());
        assert!(matches!(error, StoreError { kind: StoreErrorKind::Missing, .. }), "{error:?}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_snapshot_of_a_store_in_use_sees_all_commits() {
    let world = furnished().await;
    let before = everything_in(world.folder.path());
    assert!(before.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()));
    let copy = PairingStore::snapshot(&world.path, world.options.clone()).await.unwrap();
    assert_eq!(contents(&copy).await, contents(&world.store).await);
    let inspection = Inspection::of(&world.path).await.unwrap();
    assert_eq!((inspection.problems, inspection.newest_row), (vec![], Some(moment(START))));

    // It is independent from then on.
    copy.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    let code = copy.list_pending(&Filter::all()).await.unwrap()[0].code.clone();
    copy.approve(code.as_str(), &Actor::cli(), Grant::unlimited()).await.unwrap();
    copy.forget(&everywhere("+4"), &Actor::cli()).await.unwrap();
    drop(copy);
    assert!(everything_in(world.folder.path()) == before);
    assert!(world.is_allowed("+1").await && !world.is_allowed("+5").await);
    world.seed("+6").await;
}

#[tokio::test]
async fn a_snapshot_of_a_closed_store_leaves_it_closed() {
    let World { world: testing::World { store, .. }, path, folder, options, .. } =
        furnished().await;
    let expected = contents(&store).await;
    drop(store);
    let before = everything_in(folder.path());
    assert_eq!(before.len(), 2, "the file and its lock");
    let copy = PairingStore::snapshot(&path, options).await.unwrap();
    assert_eq!(contents(&copy).await, expected);
    Inspection::of(&path).await.unwrap();
    drop(copy);
    assert!(everything_in(folder.path()) == before);
}

#[tokio::test]
async fn a_snapshot_of_an_old_file_does_not_upgrade_it() {
    let (folder, path) = old_file();
    let before = everything_in(folder.path());
    let (_, options) = options();
    let copy = PairingStore::snapshot(&path, options).await.unwrap();
    assert_eq!(copy.list_allow(&Filter::all(), true).await.unwrap().len(), 7);
    assert_eq!(copy.purge_expired().await.unwrap(), 2);
    copy.block(&everywhere("+5491155556666"), &Actor::cli(), None).await.unwrap();
    assert!(!copy.is_allowed(&key("+5491155556666")).await.unwrap());
    let inspection = Inspection::of(&path).await.unwrap();
    assert_eq!(inspection.schema_version, 0);
    assert_eq!(inspection.newest_row, Some(moment(1_795_392_648)));
    drop(copy);
    assert!(everything_in(folder.path()) == before);
}

#[tokio::test]
async fn a_snapshot_after_a_crash_is_complete() {
    let world = furnished().await;
    let (folder, path) = world.crashed();
    let before = everything_in(folder.path());
    let copy = PairingStore::snapshot(&path, world.options.clone()).await.unwrap();
    assert_eq!(contents(&copy).await, contents(&world.store).await);
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
    drop(copy);
    assert!(everything_in(folder.path()) == before, "the WAL waits for who may bring it in");
}

#[tokio::test]
async fn a_snapshot_waits_for_a_writer_of_0_1_8() {
    let (_folder, path) = old_file();
    let old = crate::support::shell(&path);
    // In the middle of a transaction that is already in the file.
    old.execute_batch(
        "PRAGMA cache_size = 1; BEGIN EXCLUSIVE;
        UPDATE pairing_allow_from SET revoked_at = 1;",
    )
    .unwrap();
    let (_, options) = options();
    let copying = tokio::spawn(PairingStore::snapshot(path, options));
    tokio::task::yield_now().await;
    old.execute_batch("ROLLBACK").unwrap();
    let copy = copying.await.unwrap().unwrap();
    assert_eq!(copy.list_allow(&Filter::all(), false).await.unwrap().len(), 6);
}

#[tokio::test]
async fn an_inspection_finds_damage_and_a_clock_that_was_set_back() {
    let World { world: testing::World { store, clock }, path, folder, options } = furnished().await;
    clock.set(moment(START + 1000));
    store.block(&everywhere("+9"), &Actor::cli(), None).await.unwrap();
    drop(store);
    let inspection = Inspection::of(&path).await.unwrap();
    assert_eq!(inspection.newest_row, Some(moment(START + 1000)));
    assert_eq!(inspection.schema_version, inspection.newest_schema);

    // An index that disagrees with its table.
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET rootpage =
                (SELECT rootpage FROM sqlite_master WHERE name = 'pairing_audit')
                WHERE name = 'pairing_finished';",
        )
        .unwrap();
    drop(connection);
    let inspection = Inspection::of(&path).await.unwrap();
    assert!(!inspection.problems.is_empty());
    drop((folder, options));
}

#[tokio::test]
async fn a_copy_of_a_store_has_its_own_replicas() {
    let world = furnished().await;
    let here = TestReplica::of(&world.store);
    let copy = PairingStore::snapshot(&world.path, world.options.clone()).await.unwrap();
    let there = TestReplica::of(&copy);
    assert_eq!(here.lines(), there.lines());
    copy.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    assert_ne!(here.lines(), there.lines());
    let path: PathBuf = world.folder.path().join("backup.db");
    world.store.backup(&path).await.unwrap();
    assert!(there.lines().contains(&"whatsapp/*/+1 blocked".to_owned()));
}
