//! Two processes on one database, with a gate each, and the model of both.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing::{
    AccountId, AccountScope, Actor, ChannelId, Clock, GateOptions, ManualClock,
    PairingAdapterRegistry, PairingChannelAdapter, PairingError, PairingGate, PairingStore,
    SenderId, SenderKey, StoreOptions, Target,
};
use nexo_pairing_conformance::testing::Counting;
use nexo_pairing_core::{GateBackend, OperatorBackend, SessionBackend};
use nexo_pairing_engine::EngineOptions;
use nexo_pairing_memory::open_memory;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::ops::{ACCOUNTS, CHANNELS, SENDERS};
use crate::rules::{Key, MAX_PENDING_TOTAL, Model};

/// When every play begins, in UTC seconds.
pub(crate) const START: i64 = 1_800_000_000;

/// All operations of a store.
pub(crate) trait Store: GateBackend + OperatorBackend + SessionBackend {}

impl<S: GateBackend + OperatorBackend + SessionBackend> Store for S {}

/// The path of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    File,
    /// SQLite, without a file.
    SqliteMemory,
    /// The storage in memory.
    Memory,
}

/// A process: its store and its gate.
pub(crate) struct Process {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) gate: PairingGate,
    /// Whether the other process wrote since this one was updated.
    is_behind: bool,
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: StoreOptions,
    pub(crate) model: Model,
    pub(crate) processes: Vec<Process>,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) registry: PairingAdapterRegistry,
    /// The codes that were sent, in order.
    pub(crate) sent: Vec<String>,
    /// `None` for a store without a file: the two processes are two gates on one store.
    path: Option<PathBuf>,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new(place: Place) -> Self {
        let clock = ManualClock::new(moment(START));
        let mut options = StoreOptions::default();
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        options.random = Arc::new(Counting::default());
        // It polls only on request, and so at the same moments in every run.
        options.poll_interval = Duration::from_secs(3600);
        let folder = folder();
        let adapter = Arc::new(Adapter::default());
        let registry = PairingAdapterRegistry::new();
        registry.register(Arc::clone(&adapter) as _);
        let mut world = Self {
            clock,
            options,
            model: Model::new(START, place != Place::Memory),
            processes: Vec::new(),
            adapter,
            registry,
            sent: Vec::new(),
            path: (place == Place::File).then(|| folder.path().join("pairing.db")),
            _folder: folder,
        };
        let first: Arc<dyn Store> = match place {
            Place::File => world.open().await,
            Place::SqliteMemory => {
                Arc::new(PairingStore::open_memory_with(world.options.clone()).await.unwrap())
            }
            Place::Memory => {
                let options = EngineOptions::default()
                    .with_clock(world.options.clock.clone())
                    .with_random(world.options.random.clone());
                Arc::new(open_memory(options))
            }
        };
        let second = if place == Place::File { world.open().await } else { Arc::clone(&first) };
        for store in [first, second] {
            let process = world.begin(store).await;
            world.processes.push(process);
        }
        world
    }

    /// Ends a process and starts another one in its place.
    pub(crate) async fn restart(&mut self, handle: usize) {
        if self.path.is_none() {
            return;
        }
        let old = self.processes.remove(handle);
        drop(old);
        let store = self.open().await;
        let process = self.begin(store).await;
        self.processes.insert(handle, process);
    }

    /// Opens the file.
    async fn open(&self) -> Arc<dyn Store> {
        let path = self.path.as_ref().unwrap();
        Arc::new(PairingStore::open_with(path, self.options.clone()).await.unwrap())
    }

    async fn begin(&self, store: Arc<dyn Store>) -> Process {
        let mut options = GateOptions::default();
        options.clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let all = CHANNELS.iter().flat_map(|channel| {
            let of =
                |name: &&str| (ChannelId::parse(channel).unwrap(), AccountId::parse(name).unwrap());
            ACCOUNTS.iter().map(of).collect::<Vec<_>>()
        });
        options.accounts = Some(all.collect());
        options.max_pending_total = MAX_PENDING_TOTAL;
        let gate = PairingGate::with_options(Arc::clone(&store) as Arc<dyn GateBackend>, options);
        store.refresh().await.unwrap();
        Process { store, gate, is_behind: false }
    }

    /// The store of a process, for a write that the other process has not seen yet.
    pub(crate) fn store(&mut self, handle: usize) -> Arc<dyn Store> {
        self.processes[1 - handle].is_behind = true;
        Arc::clone(&self.processes[handle].store)
    }

    /// As if 50 ms had passed: a process sees what the other one wrote.
    pub(crate) async fn catch_up(&mut self, handle: usize) {
        let process = &mut self.processes[handle];
        if std::mem::take(&mut process.is_behind) {
            process.store.refresh().await.unwrap();
        }
    }

    pub(crate) fn set_clock(&mut self, now: i64) {
        self.model.now = now;
        self.clock.set(moment(now));
    }
}

/// In memory if possible: the disk is not tested here.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The channel `telegram`. Its ids may end in dots.
#[derive(Debug, Default)]
pub(crate) struct Adapter {
    /// Whether deliveries fail.
    pub(crate) is_broken: AtomicBool,
    /// How many challenges it was given.
    pub(crate) sent: AtomicU64,
}

#[async_trait]
impl PairingChannelAdapter for Adapter {
    fn channel_id(&self) -> &'static str {
        CHANNELS[0]
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        let id = raw.trim_end_matches('.');
        SENDERS.contains(&id).then(|| id.to_owned())
    }

    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        match raw {
            "asked" => Ok(Some(SENDERS[0].to_owned())),
            "down" => Err(PairingError::delivery("no answer")),
            _ => Ok(None),
        }
    }

    fn is_group(&self, canonical: &str) -> bool {
        canonical.starts_with('-')
    }

    async fn send_reply(&self, _: &str, _: &str, _: &str) -> Result<(), PairingError> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        match self.is_broken.load(Ordering::SeqCst) {
            true => Err(PairingError::delivery("the line is down")),
            false => Ok(()),
        }
    }
}

pub(crate) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::parse(name).unwrap()
}

pub(crate) fn real((channel, name, id): &Key) -> SenderKey {
    let (channel, account) = (ChannelId::parse(channel).unwrap(), AccountId::parse(name).unwrap());
    SenderKey::new(channel, account, SenderId::parse(id).unwrap())
}

pub(crate) fn real_target((channel, scope, id): &Key) -> Target {
    let scope = AccountScope::from_stored(scope.clone());
    Target::new(ChannelId::parse(channel).unwrap(), scope, SenderId::parse(id).unwrap())
}

pub(crate) fn named(key: &SenderKey) -> Key {
    (key.channel.to_string(), key.account_id.to_string(), key.sender_id.to_string())
}
