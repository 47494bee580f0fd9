//! A database file that is deleted or replaced while it is open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nexo_pairing_conformance::testing;
use nexo_pairing_core::Actor;
use nexo_pairing_store::{
    Inspection, PairingStore, RandomError, RandomSource, StoreError, StoreErrorKind, StoreOptions,
};

use crate::support::{
    World, account, channel, everywhere, hours, names, options, sender, shell, store_error,
};
use nexo_pairing_conformance::testing::TestReplica;

fn never_polls(options: &mut StoreOptions) {
    options.poll_interval = hours(1);
}

/// Another database, complete in its file, with these senders admitted.
async fn backup_with(world: &World, ids: &[&str]) -> PathBuf {
    let folder = world.folder.path().join("elsewhere");
    let (_, options) = options();
    let store = PairingStore::open_with(folder.join("pairing.db"), options).await.unwrap();
    let ids: Vec<_> = ids.iter().map(|id| sender(id)).collect();
    store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
    let backup = folder.join("backup.db");
    store.backup(&backup).await.unwrap();
    backup
}

async fn assert_sound(path: &Path) {
    assert_eq!(Inspection::of(path).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_replacement_file_is_used() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    for number in 0..50 {
        world.seed(&format!("+1{number}")).await;
    }
    assert!(!world.is_allowed("+2").await);
    let backup = backup_with(&world, &["+2"]).await;
    let before = copy.state().invalidations;
    fs::rename(backup, &world.path).unwrap();

    let state = copy.wait_until("the new one is loaded", |state| {
        state.lines() == ["whatsapp/personal/+2 allowed"] && state.position.is_some()
    });
    assert!(state.invalidations > before, "shut in between");
    assert!(world.is_allowed("+2").await);
    assert!(!world.is_allowed("+10").await);
    world.seed("+3").await;
    assert_eq!(copy.lines(), ["whatsapp/personal/+2 allowed", "whatsapp/personal/+3 allowed"]);
    assert_eq!(world.allowed().await, ["+2", "+3"]);
    assert_sound(&world.path).await;

    // In the file, for the next process that opens it.
    let World { world: testing::World { store, .. }, path, .. } = &world;
    let other = world.another().await;
    let filter = nexo_pairing_core::Filter::all();
    assert_eq!(other.list_allow(&filter, true).await.unwrap().len(), 2);
    drop(other);
    store.refresh().await.unwrap();
    let count = "SELECT count(*) FROM pairing_allow_from";
    let count: i64 = shell(path).query_row(count, (), |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn the_wal_of_the_old_file_is_not_mixed_into_the_new_one() {
    let world = World::new().await;
    let ids: Vec<_> = (0..500).map(|number| sender(&format!("+1{number}"))).collect();
    for some in ids.chunks(50) {
        world.store.seed(&channel(), &account("work"), some, &Actor::seed()).await.unwrap();
    }
    let wal = fs::metadata(world.folder.path().join("pairing.db-wal")).unwrap();
    assert!(wal.len() > 100_000, "there is something to mix in: {}", wal.len());
    let backup = backup_with(&world, &["+2"]).await;
    fs::rename(backup, &world.path).unwrap();
    world.seed("+3").await;
    assert_eq!(world.allowed().await, ["+2", "+3"]);
    assert_sound(&world.path).await;
    let World { world: testing::World { store, .. }, path, folder, options, .. } = world;
    drop(store);
    assert_sound(&path).await;
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let filter = nexo_pairing_core::Filter::all();
    assert_eq!(store.list_allow(&filter, true).await.unwrap().len(), 2);
    assert!(names(folder.path()).iter().any(|name| name.starts_with("pairing.db-wal.replaced-")));
}

#[tokio::test]
async fn the_wal_of_a_crash_is_applied() {
    let world = World::new().await;
    world.seed("+1").await;
    let (_folder, path) = world.crashed();
    let store = PairingStore::open_with(&path, world.options.clone()).await.unwrap();
    let filter = nexo_pairing_core::Filter::all();
    assert_eq!(store.list_allow(&filter, false).await.unwrap().len(), 1);
    assert_sound(&path).await;
}

#[tokio::test]
async fn a_write_updates_replicas_from_the_new_file_only() {
    let world = World::with(never_polls).await;
    let copy = TestReplica::of(&world.store);
    world.seed("+1").await;
    // As many changes as the replica knows of, so that its position fits this file as well.
    let backup = backup_with(&world, &["+2"]).await;
    fs::rename(backup, &world.path).unwrap();
    world.seed("+3").await;
    let lines = copy.lines();
    assert_eq!(lines, ["whatsapp/personal/+2 allowed", "whatsapp/personal/+3 allowed"]);
}

/// Runs a hook once, in the middle of a transaction: when a code is drawn.
#[derive(Default)]
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl RandomSource for Meanwhile {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(7);
        if let Some(happen) = self.0.lock().unwrap().take() {
            happen();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_write_to_the_old_file_is_an_error_and_does_not_bring_it_back() {
    let random = Arc::new(Meanwhile::default());
    let world = World::with(|options| options.random = Arc::clone(&random) as _).await;
    let copy = TestReplica::of(&world.store);
    for number in 0..5 {
        world.seed(&format!("+1{number}")).await;
    }
    let backup = backup_with(&world, &["+2"]).await;
    *random.0.lock().unwrap() = Some(Box::new({
        let (path, copy) = (world.path.clone(), Arc::clone(&copy));
        move || {
            fs::rename(backup, path).unwrap();
            // The replicas follow the new file before this write is done.
            copy.wait_until("the new one is loaded", |state| {
                state.lines() == ["whatsapp/personal/+2 allowed"]
            });
        }
    }));
    let request = nexo_pairing_core::NewRequest::new(crate::support::key("+9"));
    let written = world.store.upsert_pending(request).await.unwrap_err();
    assert!(matches!(store_error(written), StoreError { kind: StoreErrorKind::Replaced, .. }));
    for _ in 0..3 {
        world.store.refresh().await.unwrap();
        assert_eq!(copy.lines(), ["whatsapp/personal/+2 allowed"]);
    }
}

#[tokio::test]
async fn without_its_file_a_store_fails_and_creates_none() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    world.seed("+1").await;
    let aside = world.folder.path().join("aside.db");
    fs::rename(&world.path, &aside).unwrap();

    copy.wait_until("it is shut", |state| state.position.is_none());
    for _ in 0..3 {
        let written = world.store.block(&everywhere("+1"), &Actor::cli(), None).await;
        let read = world.store.list_blocked(&nexo_pairing_core::Filter::all()).await;
        let refreshed = world.store.refresh().await;
        for error in [written.unwrap_err(), read.unwrap_err(), refreshed.unwrap_err()] {
            let error = store_error(error);
            assert!(
                matches!(&error, StoreError { kind: StoreErrorKind::Missing, path, .. } if *path == world.path),
                "{error}"
            );
        }
    }
    assert!(!world.path.exists());
    assert_eq!(copy.state().position, None);

    fs::rename(&aside, &world.path).unwrap();
    let lines = ["whatsapp/personal/+1 allowed"];
    copy.wait_until("it is back", |state| state.position.is_some() && state.lines() == lines);
    world.seed("+2").await;
    assert_eq!(world.allowed().await, ["+1", "+2"]);
    assert_sound(&world.path).await;
}

#[tokio::test]
async fn a_deleted_folder_is_not_created_again() {
    let world = World::new().await;
    let folder = world.folder.path().join("deep/state");
    let (_, options) = options();
    let path = folder.join("pairing.db");
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let copy = TestReplica::of(&store);
    fs::remove_dir_all(&folder).unwrap();
    copy.wait_until("it is shut", |state| state.position.is_none());
    let failed = store_error(store.purge_expired().await.unwrap_err());
    assert!(matches!(failed, StoreError { kind: StoreErrorKind::Missing, .. }), "{failed}");
    assert!(failed.hint().is_some());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_broken_replacement_invalidates_the_replicas() {
    let world = World::new().await;
    let copy = TestReplica::of(&world.store);
    world.seed("+1").await;
    let backup = backup_with(&world, &["+2"]).await;
    let junk = world.folder.path().join("junk");
    fs::write(&junk, "not a database at all, but long enough to be looked at".repeat(100)).unwrap();
    fs::rename(&junk, &world.path).unwrap();
    copy.wait_until("it is shut", |state| state.position.is_none());
    let failed = store_error(world.store.refresh().await.unwrap_err());
    assert!(matches!(failed, StoreError { kind: StoreErrorKind::NotADatabase, .. }), "{failed}");
    assert_eq!(copy.state().position, None);
    fs::rename(backup, &world.path).unwrap();
    copy.wait_until("it is open", |state| state.lines() == ["whatsapp/personal/+2 allowed"]);
    world.seed("+3").await;
    assert_sound(&world.path).await;
}
