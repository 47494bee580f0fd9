//! The storage: runs one transaction after the other, and updates the replicas.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::thread;

use nexo_pairing_core::{Clock, PairingError, Replica, SenderKey};
use nexo_pairing_engine::{Caller, Maintenance, PortResult, Progress, Rows, Storage};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::state::State;

/// A storage in memory; a clone is the same storage, which is dropped with the last of them.
///
/// Its operations must be called within a tokio runtime, and run on its threads for blocking work. A
/// write that fails is reverted from an undo log.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    inner: Arc<Mutex<Inner>>,
    replicas: Replicas,
}

/// Apart from the state, so that subscribing does not wait for it.
type Replicas = Arc<std::sync::Mutex<Vec<Weak<dyn Replica>>>>;

struct Inner {
    state: State,
    clock: Arc<dyn Clock>,
    replicas: Replicas,
    /// How many transactions changed the state of replicas.
    position: i64,
}

impl MemoryStorage {
    /// An empty storage on a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (state, replicas) = (State::default(), Replicas::default());
        let inner = Inner { state, clock, replicas: Arc::clone(&replicas), position: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), replicas }
    }

    /// Runs a job on the state when it is its turn. A dropped future leaves it done or not started.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Inner) -> Result<T, PairingError> + Send + 'static,
    ) -> Result<T, PairingError> {
        let mut inner = Arc::clone(&self.inner).lock_owned().await;
        spawn_blocking(move || job(&mut inner)).await.map_err(PairingError::backend)?
    }

    async fn run_maintenance(self, maintenance: Maintenance) -> Result<Progress, PairingError> {
        let (mut progress, mut has_more) = (Progress::default(), true);
        while has_more {
            let step = move |rows: &mut dyn Rows| maintenance.step(rows, progress);
            (progress, has_more) = self.run(move |inner| inner.write(step)).await?;
        }
        Ok(progress)
    }
}

impl Storage for MemoryStorage {
    async fn write<T, F>(&self, _: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Rows) -> PortResult<T> + Send + Sync + 'static,
    {
        self.run(move |inner| inner.write(operation)).await
    }

    async fn read<T, F>(&self, _: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Rows) -> PortResult<T> + Send + 'static,
    {
        self.run(move |inner| {
            inner.state.begin(inner.clock.now());
            Ok(operation(&inner.state)?)
        })
        .await
    }

    async fn maintain(&self, maintenance: Maintenance) -> Result<Progress, PairingError> {
        let done = tokio::spawn(self.clone().run_maintenance(maintenance));
        done.await.map_err(PairingError::backend)?
    }

    fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner).push(replica);
        let inner = Arc::clone(&self.inner);
        let load = move || report(inner.blocking_lock().tell(&BTreeSet::new()));
        // Subscribing needs no runtime.
        let started = thread::Builder::new().name("pairing-memory".to_owned()).spawn(load);
        report(started.map(drop).map_err(PairingError::backend));
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.run(|inner| inner.tell(&BTreeSet::new())).await
    }

    async fn probe(&self) -> Result<(), PairingError> {
        self.run(|_| Ok(())).await
    }
}

impl Inner {
    fn write<T>(
        &mut self,
        operation: impl Fn(&mut dyn Rows) -> PortResult<T>,
    ) -> Result<T, PairingError> {
        self.state.begin(self.clock.now());
        let written = operation(&mut self.state)?;
        let (changed, effects) = self.state.commit();
        self.position += i64::from(!changed.is_empty());
        report(self.tell(&changed));
        effects.into_iter().for_each(|effect| effect());
        Ok(written)
    }

    /// Brings every replica up to date: by `changed` if it was before that change, otherwise by a complete
    /// load.
    fn tell(&mut self, changed: &BTreeSet<SenderKey>) -> Result<(), PairingError> {
        // A transaction that failed, or panicked, is not reverted yet.
        self.state.roll_back();
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.retain(|replica| replica.strong_count() > 0);
        let live: Vec<_> = replicas.iter().filter_map(Weak::upgrade).collect();
        // Subscribers do not wait for the loads.
        drop(replicas);
        let state = |key| Ok(self.state.sender_state(key)?);
        let mut updated = Ok(());
        for replica in live {
            let as_of = replica.now();
            let done = match replica.position() {
                Some(position) if position == self.position => Ok(()),
                Some(position) if position == self.position - 1 && !changed.is_empty() => {
                    let changed = changed.iter().map(state).collect::<Result<_, _>>();
                    changed.map(|changed| replica.update(changed, self.position))
                }
                _ => replica.replace(&mut self.state.keys().into_iter().map(state), self.position),
            };
            match done {
                Ok(()) => replica.heartbeat(as_of),
                Err(error) => {
                    replica.invalidate();
                    updated = Err(error);
                }
            }
        }
        updated
    }
}

/// Logs a failure. The writes are done in any case: a replica that cannot follow is invalidated.
fn report(updated: Result<(), PairingError>) {
    if let Err(error) = updated {
        tracing::error!(%error, "a replica cannot follow the storage");
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("position", &self.position).finish_non_exhaustive()
    }
}
