//! A store on a clock that stands still, with codes that count up.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nexo_pairing_conformance::testing;
pub(crate) use nexo_pairing_conformance::testing::{
    Counting, START, account, account_key, actor, attempts_left, channel, claim_id, claims,
    configured, counted, details, everywhere, hours, key, key_on, lockout, minutes, mistyped, mode,
    moment, redemption, scenario, sender, start, unknown,
};
use nexo_pairing_core::{ManualClock, PairingError};
use nexo_pairing_store::{PairingStore, RandomError, RandomSource, StoreError, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;

/// A store in a folder of its own.
pub(crate) struct World {
    pub(crate) world: testing::World<PairingStore>,
    pub(crate) options: StoreOptions,
    pub(crate) path: PathBuf,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let (clock, mut options) = options();
        change(&mut options);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        let store = PairingStore::open_with(&path, options.clone()).await.unwrap();
        Self { world: testing::World { clock, store }, options, path, folder }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.store = PairingStore::open_memory().await.unwrap();
        self.store = self.another().await;
    }

    /// A second handle, like that of another process, on the same clock.
    pub(crate) async fn another(&self) -> PairingStore {
        PairingStore::open_with(&self.path, self.options.clone()).await.unwrap()
    }

    /// Its files after a crash: copied while it is open, by another process (see [`bytes`]).
    pub(crate) fn crashed(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let from = self.folder.path().join(".");
        let copied = Command::new("cp").arg("-r").arg(from).arg(folder.path()).status().unwrap();
        assert!(copied.success());
        let path = folder.path().join("pairing.db");
        (folder, path)
    }

    /// A connection like that of the sqlite3 shell.
    pub(crate) fn shell(&self) -> Connection {
        shell(&self.path)
    }
}

impl Deref for World {
    type Target = testing::World<PairingStore>;

    fn deref(&self) -> &Self::Target {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.world
    }
}

/// Draws each value a number of times.
#[derive(Debug)]
pub(crate) struct Repeating {
    pub(crate) draws: AtomicU32,
    of_each: u32,
}

impl Repeating {
    pub(crate) fn each(of_each: u32) -> Self {
        Self { draws: AtomicU32::new(0), of_each }
    }
}

impl RandomSource for Repeating {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let number = self.draws.fetch_add(1, Ordering::SeqCst) / self.of_each;
        bytes.fill(number as u8);
        Ok(())
    }
}

/// A clock at [`START`], and options with it and with codes that count up.
pub(crate) fn options() -> (Arc<ManualClock>, StoreOptions) {
    let clock = ManualClock::new(moment(START));
    let options = StoreOptions::default()
        .with_clock(clock.clone())
        .with_random(Arc::new(Counting::default()));
    (clock, options)
}

pub(crate) fn shell(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

/// The [`StoreError`] inside an error.
pub(crate) fn store_error(error: impl Into<PairingError>) -> StoreError {
    match error.into() {
        PairingError::Backend(source) => *source.downcast().unwrap(),
        other => panic!("not an error of the file: {other:?}"),
    }
}

/// The contents of a file, read by another process: closing a descriptor of a database in this one
/// would drop the locks of all its connections.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    let cat = Command::new("cat").arg(path).output().unwrap();
    assert!(cat.status.success(), "{}", path.display());
    cat.stdout
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
