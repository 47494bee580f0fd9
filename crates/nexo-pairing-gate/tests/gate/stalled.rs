//! Known senders are admitted while the store is stalled, as long as the lists are fresh.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, Actor, Clock, Decision, ManualClock, Mode, PairingError, PairingPolicy, Replica,
    SenderId, SenderState,
};
use nexo_pairing_gate::{GateOptions, PairingGate};
use nexo_pairing_store::{PairingStore, StoreOptions};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::support::{at_once, channel};

/// A file with a grant for `id:known`, and its gate.
struct World {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: Arc<PairingStore>,
    gate: PairingGate,
    policy: PairingPolicy,
}

impl World {
    /// The store's clock, which can stop its writer.
    async fn new(stop: &Stop) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let options = StoreOptions::default()
            .with_clock(Arc::new(Stopping { clock: clock.clone(), stop: stop.clone() }));
        let path = folder.path().join("pairing.db");
        let store = Arc::new(PairingStore::open_with(path, options).await.unwrap());
        let options = GateOptions::default().with_clock(clock.clone());
        let gate = PairingGate::with_options(Arc::clone(&store), options);
        let world = Self { folder, clock, store, gate, policy: PairingPolicy::new(Mode::Pairing) };
        world.seed("id:known").await.unwrap();
        world
    }

    async fn seed(&self, sender: &str) -> Result<(), PairingError> {
        let (account, sender) =
            (AccountId::parse("main").unwrap(), SenderId::parse(sender).unwrap());
        self.store.seed(&channel(), &account, &[sender], &Actor::seed()).await.map(drop)
    }

    /// The answer from memory.
    fn known(&self) -> Option<Decision> {
        self.gate.try_admit("test", "main", "id:known", &self.policy, None).unwrap()
    }

    async fn ask(&self, sender: &str) -> Result<Decision, PairingError> {
        self.gate.should_admit("test", "main", sender, &self.policy, None).await
    }
}

/// Once armed, stops the threads that pass it until it is released.
#[derive(Debug, Clone)]
struct Stop(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    is_armed: AtomicBool,
    stopped: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

/// The other end of a [`Stop`].
struct Stopped {
    stop: Stop,
    stopped: Receiver<()>,
    go_on: Sender<()>,
}

impl Stop {
    fn new() -> (Self, Stopped) {
        let (stopped, is_stopped) = mpsc::channel();
        let (go_on, let_go) = mpsc::channel();
        let state = StopState { is_armed: false.into(), stopped, go_on: Mutex::new(let_go) };
        let stop = Self(Arc::new(state));
        (stop.clone(), Stopped { stop, stopped: is_stopped, go_on })
    }

    fn pass(&self) {
        if self.0.is_armed.swap(false, Ordering::SeqCst) {
            self.0.stopped.send(()).unwrap();
            // Also when the test has ended.
            let _ = self.0.go_on.lock().unwrap().recv();
        }
    }
}

impl Stopped {
    fn arm(&self) {
        self.stop.0.is_armed.store(true, Ordering::SeqCst);
    }

    /// Waits until a thread was stopped.
    fn wait(&self) {
        self.stopped.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    fn let_go(&self) {
        self.go_on.send(()).unwrap();
    }
}

/// A clock that is a [`Stop`] as well; the writer asks it for the time in each transaction.
#[derive(Debug)]
struct Stopping {
    clock: Arc<ManualClock>,
    stop: Stop,
}

impl Clock for Stopping {
    fn now(&self) -> OffsetDateTime {
        self.stop.pass();
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// A replica that is a [`Stop`]: the thread that updates it holds what the store's threads need to
/// update any replica.
struct SlowReplica {
    clock: Arc<ManualClock>,
    position: Mutex<Option<i64>>,
    stop: Stop,
}

impl Replica for SlowReplica {
    fn position(&self) -> Option<i64> {
        *self.position.lock().unwrap()
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        *self.position.lock().unwrap() = Some(position);
        for state in states {
            state?;
        }
        Ok(())
    }

    fn update(&self, _: Vec<SenderState>, position: i64) {
        self.stop.pass();
        *self.position.lock().unwrap() = Some(position);
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn heartbeat(&self, _: Duration) {}

    fn invalidate(&self) {
        *self.position.lock().unwrap() = None;
    }
}

/// Another process that holds a write transaction open until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(database: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        command.args(["-init", "/dev/null", "-batch"]).arg(database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sqlite3 is installed");
        let hold = "BEGIN IMMEDIATE; DELETE FROM pairing_attempts; SELECT 'held';\n";
        child.stdin.as_mut().unwrap().write_all(hold.as_bytes()).unwrap();
        let mut output = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut output).unwrap();
        assert_eq!(output, "held\n");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_writer_stalled_in_its_transaction_delays_no_admit() {
    let (stop, stopped) = Stop::new();
    let world = World::new(&stop).await;
    stopped.arm();
    let writing = world.seed("id:new");
    tokio::pin!(writing);
    // The writer takes it, and stalls.
    assert!(at_once(writing.as_mut()).is_none());
    stopped.wait();
    for _ in 0..1000 {
        assert_eq!(world.known(), Some(Decision::Admit));
    }
    // Other threads see that nothing has changed, so that the lists stay fresh.
    for _ in 0..6 {
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.ask("id:known").await.unwrap(), Decision::Admit);
    }
    stopped.let_go();
    writing.await.unwrap();
    assert_eq!(world.ask("id:new").await.unwrap(), Decision::Admit);
}

#[tokio::test(start_paused = true)]
async fn a_store_stalled_after_a_commit_delays_no_admit_for_5_s() {
    let (stop, stopped) = Stop::new();
    let world = World::new(&Stop::new().0).await;
    let slow = Arc::new(SlowReplica {
        clock: world.clock.clone(),
        position: Mutex::default(),
        stop: stop.clone(),
    });
    let replica: Arc<dyn Replica> = slow.clone();
    let replica: Weak<dyn Replica> = Arc::downgrade(&replica);
    world.store.subscribe(replica);
    world.store.refresh().await.unwrap();
    let since = world.clock.elapsed();
    stopped.arm();
    let writing = world.seed("id:new");
    tokio::pin!(writing);
    assert!(at_once(writing.as_mut()).is_none());
    stopped.wait();
    for _ in 0..5 {
        assert_eq!(world.known(), Some(Decision::Admit));
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(world.clock.elapsed() - since, Duration::from_secs(5));
    assert_eq!(world.known(), Some(Decision::Admit));
    world.clock.advance(Duration::from_nanos(1));
    assert_eq!(world.known(), None);
    let refused = world.ask("id:known").await;
    assert!(matches!(refused, Err(PairingError::Stale { .. })), "{refused:?}");
    stopped.let_go();
    writing.await.unwrap();
    world.store.refresh().await.unwrap();
    assert_eq!(world.known(), Some(Decision::Admit));
}

#[tokio::test]
async fn another_process_in_a_transaction_delays_no_admit() {
    let world = World::new(&Stop::new().0).await;
    let holder = Holder::of(&world.folder.path().join("pairing.db"));
    // Only a stranger has to wait for it.
    let stranger = world.ask("id:stranger");
    tokio::pin!(stranger);
    for _ in 0..6 {
        assert!(at_once(stranger.as_mut()).is_none());
        for _ in 0..1000 {
            assert_eq!(world.known(), Some(Decision::Admit));
        }
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.ask("id:known").await.unwrap(), Decision::Admit);
    }
    drop(holder);
    assert!(matches!(stranger.await.unwrap(), Decision::Challenge { .. }));
}
