//! A database that was restored while no process, or another one, had it open.

use std::fs;
use std::os::unix::fs::symlink;

use nexo_pairing_core::{Actor, Filter};
use nexo_pairing_store::{Inspection, PairingStore};

use crate::support::{World, account, channel, options, sender};
use nexo_pairing_conformance::testing::TestReplica;

async fn allowed(store: &PairingStore) -> Vec<String> {
    let allowed = store.list_allow(&Filter::all(), false).await.unwrap();
    allowed.into_iter().map(|grant| grant.sender_id.to_string()).collect()
}

#[tokio::test]
async fn a_copy_of_a_restored_file_is_not_mixed_with_the_wal_of_a_crash() {
    let world = World::new().await;
    world.seed("+1").await;
    let backup = world.folder.path().join("backup.db");
    world.store.backup(&backup).await.unwrap();
    world.seed("+2").await;
    let (folder, path) = world.crashed();
    // The record names the files that were copied. Record these instead, as the process
    // that crashed would have done.
    drop(PairingStore::open_with(&path, world.options.clone()).await.unwrap());
    let held = PairingStore::open_with(&path, world.options.clone()).await.unwrap();
    let more = [sender("+3")];
    held.seed(&channel(), &account("personal"), &more, &Actor::seed()).await.unwrap();
    fs::rename(&backup, &path).unwrap();

    let before = crate::support::names(folder.path());
    let copy = PairingStore::snapshot(&path, world.options.clone()).await.unwrap();
    assert_eq!(allowed(&copy).await, ["+1"]);
    let view = PairingStore::view(&path, world.options.clone()).await.unwrap();
    assert_eq!(allowed(&view).await, ["+1"]);
    assert!(Inspection::of(&path).await.unwrap().problems.is_empty());
    assert_eq!(crate::support::names(folder.path()), before, "and nothing was moved");
    drop(held);
}

#[tokio::test]
async fn a_link_in_the_path_is_resolved_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, options) = options();
    for (version, id) in [("v1", "+1"), ("v2", "+2")] {
        let path = folder.path().join(version).join("pairing.db");
        let store = PairingStore::open_with(path, options.clone()).await.unwrap();
        let ids = [sender(id)];
        store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
    }
    let current = folder.path().join("current");
    symlink("v1", &current).unwrap();
    let store = PairingStore::open_with(current.join("pairing.db"), options).await.unwrap();
    let copy = TestReplica::of(&store);
    assert_eq!(allowed(&store).await, ["+1"]);

    let next = folder.path().join("next");
    symlink("v2", &next).unwrap();
    fs::rename(next, &current).unwrap();
    copy.wait_until("the other file is loaded", |state| {
        state.lines() == ["whatsapp/personal/+2 allowed"]
    });
    assert_eq!(allowed(&store).await, ["+2"]);
    assert!(fs::metadata(folder.path().join("v2/pairing.db.lock")).is_ok(), "beside the file");
    assert!(fs::metadata(folder.path().join("current/pairing.db")).is_ok());
}

#[tokio::test]
async fn a_row_of_the_wrong_type_is_named() {
    let world = World::new().await;
    world.seed("+1").await;
    crate::support::shell(&world.path)
        .execute(
            "INSERT INTO pairing_allow_from (channel, account_id, sender_id, approved_at)
                VALUES ('whatsapp', 'work', x'ff00', 1)",
            (),
        )
        .unwrap();
    let problems = Inspection::of(&world.path).await.unwrap().problems;
    assert_eq!(problems, ["row 2 of pairing_allow_from has a value of the wrong type"]);
}
