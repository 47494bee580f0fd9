//! How a store closes: after the operations in progress, on any thread, without blocking callers.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use nexo_pairing_conformance::testing;
use nexo_pairing_core::{Actor, Clock, PairingError, Replica, SenderState};
use nexo_pairing_store::{PairingStore, StoreError, StoreErrorKind, StoreOptions};
use time::OffsetDateTime;

use crate::support::{
    START, World, account, channel, everywhere, hours, moment, options, sender, store_error,
};
use nexo_pairing_conformance::testing::TestReplica;

/// The longest that a test waits.
const DEADLINE: Duration = Duration::from_secs(20);

/// A replica that keeps its store open, as a gate may, and can be stopped
/// in the middle of an update.
struct Owner {
    copy: Arc<TestReplica>,
    stop: Mutex<Option<Stop>>,
    _store: PairingStore,
    // Dropped after the store.
    _ended: Ended,
}

/// A stopping point: reports its arrival and waits to continue.
struct Stop {
    at_update: bool,
    reached: Sender<()>,
    go_on: Receiver<()>,
}

struct Ended(Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

impl Owner {
    fn stop(&self, is_update: bool) {
        let mut stop = self.stop.lock().unwrap();
        if let Some(stop) = stop.take_if(|stop| stop.at_update == is_update) {
            stop.reached.send(()).unwrap();
            stop.go_on.recv_timeout(DEADLINE).unwrap();
        }
    }
}

impl Replica for Owner {
    fn position(&self) -> Option<i64> {
        self.copy.position()
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        self.copy.replace(states, position)
    }

    fn update(&self, states: Vec<SenderState>, position: i64) {
        self.copy.update(states, position);
        self.stop(true);
    }

    fn now(&self) -> Duration {
        self.copy.now()
    }

    fn heartbeat(&self, as_of: Duration) {
        self.copy.heartbeat(as_of);
        self.stop(false);
    }

    fn invalidate(&self) {
        self.copy.invalidate();
    }
}

#[tokio::test]
async fn a_store_may_end_on_one_of_its_own_threads() {
    for at_update in [false, true] {
        let World { world: testing::World { store, .. }, folder, .. } = World::new().await;
        let copy = Arc::new(TestReplica::default());
        let (ended, has_ended) = mpsc::channel();
        let owner = Arc::new(Owner {
            copy: Arc::clone(&copy),
            stop: Mutex::default(),
            _store: store.clone(),
            _ended: Ended(ended),
        });
        let weak: Weak<dyn Replica> = Arc::<Owner>::downgrade(&owner);
        store.subscribe(weak);
        copy.wait_until("it is loaded", |state| state.position.is_some());

        let (reached, is_there) = mpsc::channel();
        let (go, go_on) = mpsc::channel();
        *owner.stop.lock().unwrap() = Some(Stop { at_update, reached, go_on });
        let writing = at_update.then(|| {
            let store = store.clone();
            tokio::spawn(async move {
                let ids = [sender("+1")];
                store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await
            })
        });
        tokio::task::yield_now().await;
        is_there.recv_timeout(DEADLINE).unwrap();
        if let Some(writing) = writing {
            // The task held a handle. It is gone, but its write is not.
            writing.abort();
            assert!(writing.await.unwrap_err().is_cancelled());
        }
        drop(store);
        drop(owner);
        // The thread inside the replica now holds the last handle.
        go.send(()).unwrap();
        has_ended.recv_timeout(DEADLINE).unwrap();
        drop(folder);
    }
}

/// A clock that stops its next reader, reports their arrival and makes them wait.
#[derive(Debug)]
struct StoppingClock {
    stop: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Clock for StoppingClock {
    fn now(&self) -> OffsetDateTime {
        if let Some((reached, go_on)) = self.stop.lock().unwrap().take() {
            reached.send(()).unwrap();
            go_on.recv_timeout(DEADLINE).unwrap();
        }
        moment(START)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test]
async fn dropping_a_store_waits_for_operations_in_progress() {
    let clock = Arc::new(StoppingClock { stop: Mutex::default() });
    let World { world: testing::World { store, .. }, path, folder, options, .. } =
        World::with(|options| options.clock = Arc::clone(&clock) as Arc<dyn Clock>).await;
    let ((reached, begun), (go, go_on)) = (mpsc::channel(), mpsc::channel());
    *clock.stop.lock().unwrap() = Some((reached, go_on));
    let ids: Vec<_> = (0..5000).map(|number| sender(&format!("+{number}"))).collect();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.seed(&channel(), &account("work"), &ids, &Actor::seed()).await }
    });
    tokio::task::yield_now().await;
    // The transaction has read its time, so it has begun; one that has not would be skipped.
    begun.recv_timeout(DEADLINE).unwrap();
    writing.abort();
    drop(writing.await);
    go.send(()).unwrap();
    drop(store);
    let left = crate::support::names(folder.path());
    assert_eq!(left, ["pairing.db", "pairing.db.lock"], "closed, so that SQLite tidied up");
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let filter = nexo_pairing_core::Filter::all();
    assert_eq!(store.list_allow(&filter, false).await.unwrap().len(), 5000);
}

#[tokio::test]
async fn a_cancelled_open_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    let lock = std::fs::File::create(folder.path().join("pairing.db.lock")).unwrap();
    lock.lock().unwrap();
    let since = Instant::now();
    let open = PairingStore::open(&path);
    let gave_up = tokio::time::timeout(Duration::from_millis(50), open).await;
    assert!(gave_up.is_err(), "somebody else is opening it");
    assert!(since.elapsed() < Duration::from_secs(10), "not until that one is done");
    lock.unlock().unwrap();
    PairingStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_panicking_replica_closes_the_store_rather_than_going_stale() {
    struct Panicking(Arc<TestReplica>);
    impl Replica for Panicking {
        fn position(&self) -> Option<i64> {
            self.0.position()
        }
        fn replace(
            &self,
            states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
            position: i64,
        ) -> Result<(), PairingError> {
            self.0.replace(states, position)
        }
        fn update(&self, _: Vec<SenderState>, _: i64) {
            panic!("a replica of somebody else's");
        }
        fn now(&self) -> Duration {
            self.0.now()
        }
        fn heartbeat(&self, as_of: Duration) {
            self.0.heartbeat(as_of);
        }
        fn invalidate(&self) {
            self.0.invalidate();
        }
    }
    let never_polls = |options: &mut StoreOptions| options.poll_interval = hours(1);
    let world = World::with(never_polls).await;
    let copy = Arc::new(TestReplica::default());
    let panicking = Arc::new(Panicking(Arc::clone(&copy)));
    let weak: Weak<dyn Replica> = Arc::<Panicking>::downgrade(&panicking);
    world.store.subscribe(weak);
    copy.wait_until("it is loaded", |state| state.position.is_some());

    let blocked = world.store.block(&everywhere("+1"), &Actor::cli(), None).await;
    assert!(matches!(
        store_error(blocked.unwrap_err()),
        StoreError { kind: StoreErrorKind::Closed, .. }
    ));
    let (_, options) = options();
    let store = PairingStore::open_with(&world.path, options).await.unwrap();
    let filter = nexo_pairing_core::Filter::all();
    assert_eq!(store.list_blocked(&filter).await.unwrap().len(), 1, "it was done all the same");
}
