//! The storage: one transaction after the other, and the mirrors that are told of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::thread;

use nexo_pairing_core::{Clock, Mirror, PairingError, SenderKey};
use nexo_pairing_engine::{
    Caller, PortError, PortResult, Progress, ReadRows, Storage, Upkeep, WriteRows,
};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::state::State;

/// A storage in memory; a clone is the same storage, which ends with the last of them.
///
/// Its operations have to be called within a tokio runtime, on whose threads for blocking work they
/// run. A write takes the time of what it changes, and is taken back by what was there before.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    inner: Arc<Mutex<Inner>>,
    mirrors: Mirrors,
}

/// Apart from the state, so that a mirror is known as soon as it was given.
type Mirrors = Arc<std::sync::Mutex<Vec<Weak<dyn Mirror>>>>;

struct Inner {
    state: State,
    clock: Arc<dyn Clock>,
    mirrors: Mirrors,
    /// How many transactions changed something that mirrors hold.
    position: i64,
}

impl MemoryStorage {
    /// An empty storage on a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (state, mirrors) = (State::default(), Mirrors::default());
        let inner = Inner { state, clock, mirrors: Arc::clone(&mirrors), position: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), mirrors }
    }

    /// Does something with the state when it is its turn. It is done to its end, or not begun.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Inner) -> Result<T, PairingError> + Send + 'static,
    ) -> Result<T, PairingError> {
        let mut inner = Arc::clone(&self.inner).lock_owned().await;
        spawn_blocking(move || job(&mut inner)).await.map_err(PairingError::backend)?
    }

    async fn purge_all(self, upkeep: Upkeep) -> Result<Progress, PairingError> {
        let mut progress = Progress::default();
        loop {
            let piece = move |rows: &mut dyn WriteRows| {
                let mut progress = progress;
                let has_more = upkeep.piece(rows, &mut progress)?;
                Ok((progress, has_more))
            };
            let has_more;
            (progress, has_more) = self.run(move |inner| inner.write(piece)).await?;
            if !has_more {
                return Ok(progress);
            }
        }
    }
}

impl Storage for MemoryStorage {
    async fn write<T, F>(&self, _: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn WriteRows) -> PortResult<T> + Send + Sync + 'static,
    {
        self.run(move |inner| inner.write(operation)).await
    }

    async fn read<T, F>(&self, _: Caller, operation: F) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn ReadRows) -> PortResult<T> + Send + 'static,
    {
        let read = move |inner: &mut Inner| {
            inner.state.begin(inner.clock.now());
            operation(&inner.state).map_err(failed)
        };
        self.run(read).await
    }

    async fn purge(&self, upkeep: Upkeep) -> Result<Progress, PairingError> {
        tokio::spawn(self.clone().purge_all(upkeep)).await.map_err(PairingError::backend)?
    }

    fn subscribe(&self, mirror: Weak<dyn Mirror>) {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner).push(mirror);
        let inner = Arc::clone(&self.inner);
        let load = move || report(inner.blocking_lock().tell(None));
        // Nobody has to be within a runtime for this.
        let started = thread::Builder::new().name("pairing-memory".to_owned()).spawn(load);
        report(started.map(drop).map_err(PairingError::backend));
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.run(|inner| inner.tell(None)).await
    }

    async fn probe(&self) -> Result<(), PairingError> {
        self.run(|_| Ok(())).await
    }
}

impl Inner {
    fn write<T>(
        &mut self,
        operation: impl Fn(&mut dyn WriteRows) -> PortResult<T>,
    ) -> Result<T, PairingError> {
        self.state.begin(self.clock.now());
        let written = operation(&mut self.state).map_err(failed);
        if written.is_err() {
            self.state.roll_back();
            return written;
        }
        let (changed, effects) = self.state.commit();
        self.position += i64::from(!changed.is_empty());
        report(self.tell(Some(&changed).filter(|changed| !changed.is_empty())));
        effects.into_iter().for_each(|effect| effect());
        written
    }

    /// Brings every mirror up to date: those that were before what changed just now, by that, and the
    /// others by a complete load.
    fn tell(&mut self, changed: Option<&BTreeSet<SenderKey>>) -> Result<(), PairingError> {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        mirrors.retain(|mirror| mirror.strong_count() > 0);
        let live: Vec<_> = mirrors.iter().filter_map(Weak::upgrade).collect();
        // Nobody who adds a mirror waits for the loads.
        drop(mirrors);
        let state = |key| self.state.sender_state(key).map_err(failed);
        let mut told = Ok(());
        for mirror in live {
            let as_of = mirror.now();
            let done = match (mirror.position(), changed) {
                (Some(position), _) if position == self.position => Ok(()),
                (Some(position), Some(changed)) if position == self.position - 1 => {
                    let changed = changed.iter().map(state).collect::<Result<_, _>>();
                    changed.map(|changed| mirror.update(changed, self.position))
                }
                _ => mirror.replace(&mut self.state.keys().into_iter().map(state), self.position),
            };
            match done {
                Ok(()) => mirror.confirm(as_of),
                Err(error) => {
                    mirror.invalidate();
                    told = Err(error);
                }
            }
        }
        told
    }
}

/// The writes are done, whatever becomes of this: a mirror that cannot follow knows it.
fn report(told: Result<(), PairingError>) {
    if let Err(error) = told {
        tracing::error!(%error, "a mirror cannot follow the storage");
    }
}

fn failed(error: PortError) -> PairingError {
    PairingError::backend(error.into_cause())
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("position", &self.position).finish_non_exhaustive()
    }
}
