//! A forgotten person: nothing that names them is left.

use std::path::Path;
use std::sync::Arc;

use nexo_pairing_conformance::testing;
use nexo_pairing_core::{Actor, AuditAction, Filter};

use crate::support::{Repeating, World, account, bytes, channel, everywhere, names, sender};

/// An id that cannot occur by chance.
const ANA: &str = "+14155550199";

/// The files of a store that contain a text.
fn found_in(folder: &Path, text: &str) -> Vec<String> {
    let is_in = |name: &String| {
        let bytes = bytes(&folder.join(name));
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    names(folder).into_iter().filter(is_in).collect()
}

#[tokio::test]
async fn a_forgotten_person_leaves_no_trace() {
    let world = World::new().await;
    world.fill_every_table(ANA).await;
    world.seed("+2").await;
    assert!(!found_in(world.folder.path(), ANA).is_empty(), "the search finds what is there");

    let forgotten = world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    let mut accounts: Vec<String> =
        forgotten.iter().map(|key| key.account_id.to_string()).collect();
    accounts.sort();
    assert_eq!(accounts, ["personal", "shop", "work"]);
    assert_eq!(found_in(world.folder.path(), ANA), Vec::<String>::new(), "while it is open");

    let filter = Filter::all().with_sender(sender(ANA));
    assert!(world.store.list_allow(&filter, true).await.unwrap().is_empty());
    assert!(world.store.list_blocked(&filter).await.unwrap().is_empty());
    assert!(world.store.list_pending(&filter).await.unwrap().is_empty());
    assert!(world.store.audit(&filter, 100).await.unwrap().is_empty());
    assert_eq!(world.allowed().await, ["+2"]);

    let World { world: testing::World { store, .. }, folder, .. } = world;
    drop(store);
    assert_eq!(found_in(folder.path(), ANA), Vec::<String>::new(), "and closed");
}

#[tokio::test]
async fn two_forgotten_people_have_different_pseudonyms() {
    // As if chance gave the same salt twice.
    let world = World::with(|options| options.random = Arc::new(Repeating::each(u32::MAX))).await;
    for id in ["+1", "+2"] {
        world.seed(id).await;
        world.store.forget(&everywhere(id), &Actor::cli()).await.unwrap();
    }
    let log = world.store.audit(&Filter::all(), 100).await.unwrap();
    let forgotten: Vec<_> =
        log.iter().filter(|event| event.action == AuditAction::Forget).collect();
    assert_eq!(forgotten.len(), 2);
    assert_ne!(forgotten[0].sender_id, forgotten[1].sender_id);
}

#[tokio::test]
async fn a_person_only_in_the_change_list_is_forgotten() {
    let world = World::new().await;
    world.seed(ANA).await;
    // As the sqlite3 shell deletes rows.
    let shell = world.shell();
    shell.execute_batch("PRAGMA secure_delete = ON; DELETE FROM pairing_allow_from;").unwrap();
    drop(shell);
    world.store.forget(&everywhere(ANA), &Actor::cli()).await.unwrap();
    let World { world: testing::World { store, .. }, folder, .. } = world;
    drop(store);
    assert_eq!(found_in(folder.path(), ANA), Vec::<String>::new());
}

#[tokio::test]
async fn one_of_many_leaves_no_trace_either() {
    // Enough rows, in mixed order, to split and merge pages of the file.
    let world = World::new().await;
    let number = |i: u64| format!("+1{:010}", i.wrapping_mul(7_919_317) % 10_000_000_019);
    let all: Vec<_> = (0..5000).map(|i| sender(&number(i))).collect();
    for some in all.chunks(250) {
        world.store.seed(&channel(), &account("work"), some, &Actor::seed()).await.unwrap();
    }
    for i in (0..5000).step_by(3) {
        world.store.revoke(&everywhere(&number(i)), &Actor::cli()).await.unwrap();
    }
    let gone: Vec<String> = (0..5000).step_by(97).map(number).collect();
    for id in &gone {
        world.store.forget(&everywhere(id), &Actor::cli()).await.unwrap();
    }
    let World { world: testing::World { store, .. }, path, .. } = world;
    drop(store);
    let bytes = bytes(&path);
    let is_there = |id: &String| bytes.windows(id.len()).any(|window| window == id.as_bytes());
    assert!(is_there(&number(1)), "the search finds who is still there");
    let left: Vec<_> = gone.iter().filter(|id| is_there(id)).collect();
    assert!(left.is_empty(), "{} of {} are still in the file", left.len(), gone.len());
}
