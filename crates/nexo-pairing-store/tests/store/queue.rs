//! A crowd behind a locked database: the queue is bounded, and operators go first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nexo_pairing_core::{Actor, NewRequest, PairingError};
use nexo_pairing_store::{StoreError, StoreErrorKind};
use tokio::task::yield_now;

use crate::support::{World, everywhere, key, key_on};

/// The bound, plus the size of one transaction.
const BOUND: std::ops::RangeInclusive<usize> = 1024..=1024 + 256;

#[tokio::test]
async fn a_crowd_behind_a_lock_is_bounded_and_an_operator_goes_first() {
    let world = World::new().await;
    let lock = world.shell();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();

    let asked = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..3000)
        .map(|number| {
            let (store, asked) = (world.store.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                asked.fetch_add(1, Ordering::SeqCst);
                // One account each, so that each of them would get a place.
                let request = NewRequest::new(key_on(&format!("a{number}"), "+1"));
                store.upsert_pending(request).await
            })
        })
        .collect();
    while asked.load(Ordering::SeqCst) < crowd.len() {
        yield_now().await;
    }
    let store = world.store.clone();
    let operator =
        tokio::spawn(async move { store.block(&everywhere("+2"), &Actor::cli(), None).await });
    yield_now().await;
    lock.execute_batch("COMMIT").unwrap();

    operator.await.unwrap().unwrap();
    let mut accepted = 0;
    for request in crowd {
        match request.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => is_overloaded(error),
        }
    }
    assert!(BOUND.contains(&accepted), "{accepted}");
    let before: i64 = world
        .shell()
        .query_row(
            "SELECT count(*) FROM pairing_audit WHERE action = 'request'
                AND seq < (SELECT seq FROM pairing_audit WHERE action = 'block')",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert!(before <= 256, "{before} strangers went before the operator");
    // Afterwards, strangers are served again.
    world.store.upsert_pending(NewRequest::new(key("+3"))).await.unwrap();
}

/// The refusal has a stable kind and a hint; it is not a failure of the file.
fn is_overloaded(error: PairingError) {
    assert_eq!(error.kind(), "overloaded");
    let PairingError::Overloaded(source) = error else { panic!("{error:?}") };
    let source: Box<StoreError> = source.downcast().unwrap();
    assert!(
        matches!(*source, StoreError { kind: StoreErrorKind::QueueFull { .. }, .. }),
        "{source:?}"
    );
    assert!(source.hint().unwrap().contains("try again"));
}
