//! Concurrency: in one process, over several handles, and with cancelled operations.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use nexo_pairing_core::{Actor, Filter, NewRequest, PairingError, UpsertOutcome};
use nexo_pairing_store::{
    Inspection, PairingStore, RandomError, RandomSource, StoreError, StoreErrorKind,
};

use crate::legacy::old_file;
use crate::support::{
    Repeating, World, account, channel, everywhere, key, minutes, options, scenario, sender,
    store_error,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_strangers_at_once_are_three_requests() {
    let world = World::new().await;
    let other = world.another().await;
    scenario::fifty_strangers_at_once_are_three_requests(&world, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_is_used_once() {
    let world = World::new().await;
    let other = world.another().await;
    scenario::a_code_is_used_once(&world, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn busy_writers_all_make_progress() {
    let world = World::new().await;
    let mut writers = Vec::new();
    for _ in 0..8 {
        writers.push(world.another().await);
    }
    scenario::busy_writers_all_make_progress(&world, writers).await;
}

/// Opens a file from many threads at the same moment.
fn open_at_once(path: &std::path::Path, count: usize) {
    let barrier = Barrier::new(count);
    let failed = AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 0..count {
            let (barrier, failed) = (&barrier, &failed);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let (_, options) = options();
                barrier.wait();
                let opened = runtime.block_on(async {
                    let store = PairingStore::open_with(path, options).await?;
                    let ids = [sender(&format!("+{number}"))];
                    store.seed(&channel(), &account("new"), &ids, &Actor::seed()).await?;
                    store.list_allow(&Filter::all(), true).await
                });
                if let Err(error) = opened {
                    eprintln!("{number}: {:?}", store_error(error));
                    failed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0);
}

#[test]
fn a_new_file_is_opened_by_many_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/pairing.db");
        open_at_once(&path, 20);
        let count = "SELECT count(*) FROM pairing_allow_from";
        let connection = crate::support::shell(&path);
        assert_eq!(connection.query_row(count, (), |row| row.get::<_, i64>(0)).unwrap(), 20);
    }
}

#[test]
fn an_old_file_is_opened_by_many_at_once() {
    for _ in 0..10 {
        let (_folder, path) = old_file();
        open_at_once(&path, 20);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let inspection = runtime.block_on(Inspection::of(&path)).unwrap();
        assert_eq!(inspection.problems, Vec::<String>::new());
        let count = "SELECT count(*) FROM pairing_allow_from";
        let connection = crate::support::shell(&path);
        assert_eq!(connection.query_row(count, (), |row| row.get::<_, i64>(0)).unwrap(), 27);
    }
}

#[tokio::test]
async fn waiting_too_long_for_the_file_is_an_error() {
    let world = World::new().await;
    let shell = world.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!world.is_allowed("+1").await, "who reads does not wait");
    let written = world.store.block(&everywhere("+1"), &Actor::cli(), None).await;
    let error = store_error(written.unwrap_err());
    assert!(matches!(error, StoreError { kind: StoreErrorKind::Busy, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("fuser"));
    shell.execute_batch("ROLLBACK").unwrap();
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    assert_eq!(world.audit().await, ["cli block +1"], "once");
}

#[tokio::test]
async fn a_code_that_is_taken_is_drawn_again() {
    let random = Arc::new(Repeating::each(4));
    let world = World::with(|options| options.random = Arc::clone(&random) as _).await;
    let mut codes = Vec::new();
    for number in 0..3 {
        codes.push(world.code(&format!("+{number}")).await);
    }
    assert_eq!(random.draws.load(Ordering::SeqCst), 9, "1, then 4 and 4");
    // A recently used code is not drawn either.
    world.approve(&codes[2]).await.unwrap();
    codes.push(world.code("+3").await);
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 4);
}

#[tokio::test]
async fn random_numbers_that_always_repeat_are_an_error() {
    let random = Arc::new(Repeating::each(u32::MAX));
    let world = World::with(|options| options.random = random).await;
    world.code("+1").await;
    let refused = world.store.upsert_pending(NewRequest::new(key("+2"))).await.unwrap_err();
    assert_eq!(refused.kind(), "storage");
    assert_eq!(world.pending().await, ["+1"]);
    world.pass(minutes(5));
    assert!(matches!(world.message("+1").await, UpsertOutcome::Repeated { .. }));
}

/// A random source that fails.
#[derive(Debug)]
struct Broken;

impl RandomSource for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError::new("no entropy"))
    }
}

#[tokio::test]
async fn without_randomness_there_are_no_codes_and_no_pseudonyms() {
    let world = World::with(|options| options.random = Arc::new(Broken)).await;
    let refused = world.store.upsert_pending(NewRequest::new(key("+1"))).await.unwrap_err();
    assert!(matches!(&refused, PairingError::Backend(cause) if cause.to_string() == "no entropy"));
    assert!(world.pending().await.is_empty() && world.audit().await.is_empty());
    world.seed("+1").await;
    world.store.forget(&everywhere("+1"), &Actor::cli()).await.unwrap_err();
    assert!(world.is_allowed("+1").await, "all of it or nothing");
}
