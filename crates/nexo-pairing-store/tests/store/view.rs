//! A view: the database itself at one moment, with nothing created or changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use nexo_pairing_conformance::testing;
use nexo_pairing_core::{Actor, Filter, RedemptionState};
use nexo_pairing_store::PairingStore;

use crate::backup::{contents, everything_in, furnished};
use crate::legacy::old_file;
use crate::place::obey_permissions;
use crate::support::claims;
use crate::support::{
    World, account, channel, everywhere, hours, names, options, sender, store_error,
};

#[tokio::test]
async fn a_view_of_a_missing_file_is_empty_and_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["pairing.db", "deep/er/pairing.db"] {
        let (_, options) = options();
        let view = PairingStore::view(folder.path().join(path), options).await.unwrap();
        assert!(view.list_allow(&Filter::all(), true).await.unwrap().is_empty());
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_view_shows_one_moment_while_others_write() {
    let world = furnished().await;
    let before = contents(&world.store).await;
    let view = PairingStore::view(&world.path, world.options.clone()).await.unwrap();
    world.seed("+6").await;
    world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    world.store.forget(&everywhere("+4"), &Actor::cli()).await.unwrap();
    assert_eq!(contents(&view).await, before);
    // Grants and requests that expire meanwhile are shown as they were.
    world.pass(hours(2));
    assert_eq!(contents(&view).await, before);
    let view = PairingStore::view(&world.path, world.options.clone()).await.unwrap();
    assert_eq!(contents(&view).await, contents(&world.store).await);
}

#[tokio::test]
async fn a_view_cannot_write_and_leaves_the_files_unchanged() {
    let world = furnished().await;
    let issued = world.device(1).await;
    let before = everything_in(world.folder.path());
    let view = PairingStore::view(&world.path, world.options.clone()).await.unwrap();
    let ids = [sender("+7")];
    let written = view.seed(&channel(), &account("work"), &ids, &Actor::seed()).await;
    store_error(written.map(drop).unwrap_err());
    view.purge_expired().await.unwrap_err();
    view.probe().await.unwrap_err();
    let state = view.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Claimed(issued.session)));
    drop(view);
    assert!(everything_in(world.folder.path()) == before);
}

#[tokio::test]
async fn a_view_of_a_closed_store_leaves_it_closed() {
    let World { world: testing::World { store, .. }, path, folder, options, .. } =
        furnished().await;
    let expected = contents(&store).await;
    drop(store);
    let before = everything_in(folder.path());
    assert_eq!(before.len(), 2, "the file and its lock");
    let view = PairingStore::view(&path, options).await.unwrap();
    assert_eq!(contents(&view).await, expected);
    drop(view);
    assert!(everything_in(folder.path()) == before);
}

#[tokio::test]
async fn a_view_of_an_old_file_does_not_upgrade_it() {
    let (folder, path) = old_file();
    let before = everything_in(folder.path());
    let (_, options) = options();
    let view = PairingStore::view(&path, options).await.unwrap();
    assert_eq!(view.list_allow(&Filter::all(), true).await.unwrap().len(), 7);
    view.purge_expired().await.unwrap_err();
    drop(view);
    assert!(everything_in(folder.path()) == before);
}

#[tokio::test]
async fn a_view_after_a_crash_is_complete() {
    let world = furnished().await;
    let (folder, path) = world.crashed();
    let before = everything_in(folder.path());
    let view = PairingStore::view(&path, world.options.clone()).await.unwrap();
    assert_eq!(contents(&view).await, contents(&world.store).await);
    drop(view);
    assert!(everything_in(folder.path()) == before, "the WAL waits for who may bring it in");
}

#[tokio::test]
async fn a_view_of_a_read_only_file_is_complete() {
    obey_permissions();
    for (is_in_use, of_folder) in [(false, 0o500), (true, 0o500), (true, 0o700)] {
        let World { world: testing::World { store, .. }, path, folder, options, .. } =
            furnished().await;
        let expected = contents(&store).await;
        let store = Some(store).filter(|_| is_in_use);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(of_folder)).unwrap();
        let before = everything_in(folder.path());
        let view = PairingStore::view(&path, options).await.unwrap();
        assert_eq!(contents(&view).await, expected, "{is_in_use} {of_folder:o}");
        drop(view);
        assert!(everything_in(folder.path()) == before, "{is_in_use} {of_folder:o}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        drop(store);
    }
}
