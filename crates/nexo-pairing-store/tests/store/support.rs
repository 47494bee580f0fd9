//! A store on a clock that stands still, with codes that count up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, ChannelId, Filter, Grant, ManualClock, NewRequest, PairingCode,
    PairingError, SenderId, SenderKey, Target, UpsertOutcome,
};
use nexo_pairing_store::{PairingStore, RandomError, RandomSource, StoreError, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;
use time::OffsetDateTime;

/// When the tests begin, in UTC seconds: 2027-01-15, after everything in the old file.
pub(crate) const START: i64 = 1_800_000_000;

/// Random bytes that are none: a number that counts up, so that every code is another one.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicU64);

impl RandomSource for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut number = self.0.fetch_add(1, Ordering::SeqCst);
        for byte in bytes {
            *byte = (number % 32) as u8;
            number /= 32;
        }
        Ok(())
    }
}

/// A store in a folder of its own.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: StoreOptions,
    pub(crate) store: PairingStore,
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
        Self { clock, options, store, path, folder }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.store = PairingStore::open_memory().await.unwrap();
        self.store = self.another().await;
    }

    /// A second handle, as another process has it, on the same clock.
    pub(crate) async fn another(&self) -> PairingStore {
        PairingStore::open_with(&self.path, self.options.clone()).await.unwrap()
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// What a message of this sender does.
    pub(crate) async fn message(&self, sender: &str) -> UpsertOutcome {
        self.store.upsert_pending(NewRequest::new(key(sender))).await.unwrap()
    }

    /// The code of a new request of this sender.
    pub(crate) async fn code(&self, sender: &str) -> String {
        match self.message(sender).await {
            UpsertOutcome::Created { code, .. } => code.as_str().to_owned(),
            other => panic!("{sender} got no new code but {other:?}"),
        }
    }

    pub(crate) async fn approve(&self, code: &str) -> Result<SenderKey, PairingError> {
        let approved = self.store.approve(code, &Actor::cli(), Grant::unlimited()).await?;
        Ok(SenderKey::new(approved.channel, approved.account_id, approved.sender_id))
    }

    pub(crate) async fn seed(&self, sender: &str) {
        let key = key(sender);
        let senders = [key.sender_id];
        self.store.seed(&key.channel, &key.account_id, &senders, &Actor::seed()).await.unwrap();
    }

    pub(crate) async fn is_allowed(&self, sender: &str) -> bool {
        self.store.is_allowed(&key(sender)).await.unwrap()
    }

    /// The senders that the listing shows as let in.
    pub(crate) async fn allowed(&self) -> Vec<String> {
        let allowed = self.store.list_allow(&Filter::all(), false).await.unwrap();
        allowed.into_iter().map(|grant| grant.sender_id.to_string()).collect()
    }

    /// The senders that wait for the operator.
    pub(crate) async fn pending(&self) -> Vec<String> {
        let pending = self.store.list_pending(&Filter::all()).await.unwrap();
        pending.into_iter().map(|request| request.sender_id.to_string()).collect()
    }

    /// The audit log as `actor action sender`.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let events = self.store.audit(&Filter::all(), 1000).await.unwrap();
        let line = |event: nexo_pairing_core::AuditEvent| {
            let sender = event.sender_id.unwrap_or_default();
            format!("{} {} {sender}", event.actor, event.action).trim_end().to_owned()
        };
        events.into_iter().map(line).collect()
    }

    /// Its files as a crash leaves them: copied while it is open, by another process (see [`bytes`]).
    pub(crate) fn crashed(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let from = self.folder.path().join(".");
        let copied = Command::new("cp").arg("-r").arg(from).arg(folder.path()).status().unwrap();
        assert!(copied.success());
        let path = folder.path().join("pairing.db");
        (folder, path)
    }

    /// A connection as the sqlite3 shell has it.
    pub(crate) fn shell(&self) -> Connection {
        shell(&self.path)
    }
}

/// Draws the same bytes a number of times before others come.
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

pub(crate) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::parse("whatsapp").unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub(crate) fn sender(id: &str) -> SenderId {
    SenderId::parse(id).unwrap()
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::parse(name).unwrap()
}

/// A sender on the account `personal`.
pub(crate) fn key(id: &str) -> SenderKey {
    key_on("personal", id)
}

pub(crate) fn key_on(name: &str, id: &str) -> SenderKey {
    SenderKey::new(channel(), account(name), sender(id))
}

/// A sender on all accounts.
pub(crate) fn everywhere(id: &str) -> Target {
    Target::new(channel(), AccountScope::All, sender(id))
}

/// A code that nobody has and whose check character fits; another one for each number.
pub(crate) fn unknown(number: u8) -> String {
    PairingCode::from_random([31, 31, 31, 31, 31, 31, number]).as_str().to_owned()
}

/// The same, but for its check character.
pub(crate) fn mistyped(number: u8) -> String {
    let mut code = unknown(number);
    let last = if code.ends_with('A') { "B" } else { "A" };
    code.replace_range(7.., last);
    code
}

/// The store's own error behind an error.
pub(crate) fn store_error(error: impl Into<PairingError>) -> StoreError {
    match error.into() {
        PairingError::Backend(source) => *source.downcast().unwrap(),
        other => panic!("not an error of the file: {other:?}"),
    }
}

/// What is in a file, read by another process: to close a descriptor of a database in this one
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
