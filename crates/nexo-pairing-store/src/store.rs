//! The store: the engine on a SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{
    AccountId, AccountKey, Actor, AdaptersError, AllowedSender, ApprovedRequest, AuditEvent,
    AuditQuery, BlockOutcome, BlockedSender, Cancellation, ChannelId, ConfiguredModes, Filter,
    GateBackend, Grant, ImportReport, ImportedSession, IssuedSession, ManualClock, ModeSetting,
    ModesError, ModesInForce, NewRequest, OperatorBackend, PairingError, PeerAddress,
    PendingRequest, RedeemError, Redemption, RedemptionState, RejectedRequest, RememberedAdapters,
    RememberedModes, Replica, SeedReport, SenderId, SenderKey, Session, SessionBackend, SessionId,
    SessionToken, SetupEvent, Target, TokenClaims, UpsertOutcome,
};
use nexo_pairing_engine::{EngineOptions, PairingEngine};

use crate::storage::SqliteStorage;
use crate::{StoreError, StoreOptions, inspect};

/// Grants, blocks, requests, sessions and the audit log, in one SQLite file.
///
/// A clone is the same handle. Its operations are those of [`GateBackend`], [`OperatorBackend`] and
/// [`SessionBackend`], as methods of its own; writes run one after the other on one thread, reads on
/// another. Dropping the last handle waits for queued operations.
#[derive(Debug, Clone)]
pub struct PairingStore {
    engine: PairingEngine<SqliteStorage>,
}

impl PairingStore {
    /// Opens the database at `path`. Creates it, mode 0600, and its folder, mode 0700, if they are
    /// missing. Upgrades an older version in place, and may keep a copy of it: see
    /// [`StoreOptions::copy_before_upgrade`].
    ///
    /// # Errors
    ///
    /// [`StoreError`], which says what is wrong with the file and how to fix it. A file that cannot be used
    /// is left unchanged.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, StoreOptions::default()).await
    }

    /// [`open`](Self::open) with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let storage = SqliteStorage::open(path.as_ref(), options.clone()).await?;
        Ok(Self::on(storage, options))
    }

    /// A store in memory, which ends with its last handle.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when no thread can be started.
    pub async fn open_memory() -> Result<Self, StoreError> {
        Self::open_memory_with(StoreOptions::default()).await
    }

    /// [`open_memory`](Self::open_memory) with options.
    ///
    /// # Errors
    ///
    /// As for [`open_memory`](Self::open_memory).
    pub async fn open_memory_with(options: StoreOptions) -> Result<Self, StoreError> {
        Self::detached(PathBuf::from(":memory:"), options, inspect::empty).await
    }

    /// A private copy, in memory, of the database at `path`: changes do not reach the file, and nothing is
    /// created or upgraded on disk. A missing file is an empty store.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn snapshot(
        path: impl AsRef<Path>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Self::detached(path.as_ref().to_owned(), options, inspect::copy).await
    }

    /// A read-only view of the database at `path` as it is now, with a stopped clock; operations that write
    /// fail. Nothing is created or upgraded on disk. It reads the file itself, in one transaction that
    /// lasts as long as the view, in bounded memory. It reads a copy in memory instead if the file has an
    /// older schema, or cannot be locked and may change while it is read. A missing file is an empty store.
    ///
    /// Other processes can write meanwhile. Their writes stay in the WAL until the view is dropped, so drop
    /// it before waiting for a person.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn view(
        path: impl AsRef<Path>,
        mut options: StoreOptions,
    ) -> Result<Self, StoreError> {
        // A row that expired meanwhile would be in one list and not in the next.
        options.clock = ManualClock::new(options.clock.now());
        Self::detached(path.as_ref().to_owned(), options, inspect::view).await
    }

    async fn detached(
        path: PathBuf,
        options: StoreOptions,
        connect: fn(&Path) -> Result<rusqlite::Connection, StoreError>,
    ) -> Result<Self, StoreError> {
        let storage = SqliteStorage::detached(path, options.clone(), connect).await?;
        Ok(Self::on(storage, options))
    }

    fn on(storage: SqliteStorage, options: StoreOptions) -> Self {
        let StoreOptions { clock, random, audit_days, .. } = options;
        let options = EngineOptions::default()
            .with_clock(clock)
            .with_random(random)
            .with_audit_days(audit_days);
        Self { engine: PairingEngine::new(storage, options) }
    }

    /// Writes a complete copy of the database to `destination`, while it is in use. The copy is one
    /// file, mode 0600, and appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Exists`](crate::StoreErrorKind::Exists) if there is a file already, or why it
    /// could not be written.
    pub async fn backup(&self, destination: impl AsRef<Path>) -> Result<(), StoreError> {
        self.engine.storage().backup(destination.as_ref()).await
    }

    /// [`GateBackend::subscribe`].
    pub fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.engine.subscribe(replica);
    }

    /// [`OperatorBackend::list_allow`], one grant after the other, in the order of channel, account and
    /// sender: calls `fold` with the state for each, on the thread that reads, where it must not block.
    /// Returns the state.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_allow<T: Send + 'static>(
        &self,
        filter: &Filter,
        include_revoked: bool,
        state: T,
        fold: impl FnMut(&mut T, AllowedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        self.engine.fold_allow(filter, include_revoked, state, fold).await
    }

    /// [`OperatorBackend::list_blocked`], one block after the other, as [`fold_allow`](Self::fold_allow).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_blocked<T: Send + 'static>(
        &self,
        filter: &Filter,
        state: T,
        fold: impl FnMut(&mut T, BlockedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        self.engine.fold_blocked(filter, state, fold).await
    }
}

/// Implements a contract, and its operations as inherent methods.
macro_rules! operations {
    ($contract:ident {
        $(async fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $answer:ty;)*
    } $($also:item)*) => {
        impl PairingStore {
            $(
                #[doc = concat!("[`", stringify!($contract), "::", stringify!($name), "`].")]
                ///
                /// # Errors
                ///
                /// As there.
                pub async fn $name(&self $(, $arg: $ty)*) -> $answer {
                    $contract::$name(&self.engine $(, $arg)*).await
                }
            )*
        }

        #[async_trait]
        impl $contract for PairingStore {
            $(
                async fn $name(&self $(, $arg: $ty)*) -> $answer {
                    $contract::$name(&self.engine $(, $arg)*).await
                }
            )*
            $($also)*
        }
    };
}

operations! {
    GateBackend {
        async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError>;
        async fn challenge_undelivered(&self, key: &SenderKey, cooldown: Duration, retry_after: Duration) -> Result<(), PairingError>;
        async fn refresh(&self) -> Result<(), PairingError>;
    }

    fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.engine.subscribe(replica);
    }
}

operations! {
    OperatorBackend {
        async fn approve(&self, code: &str, actor: &Actor, grant: Grant) -> Result<ApprovedRequest, PairingError>;
        async fn reject(&self, code: &str, actor: &Actor) -> Result<RejectedRequest, PairingError>;
        async fn revoke(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;
        async fn block(&self, target: &Target, actor: &Actor, reason: Option<&str>) -> Result<BlockOutcome, PairingError>;
        async fn unblock(&self, target: &Target, actor: &Actor) -> Result<bool, PairingError>;
        async fn seed(&self, channel: &ChannelId, account: &AccountId, senders: &[SenderId], actor: &Actor) -> Result<SeedReport, PairingError>;
        async fn forget(&self, target: &Target, actor: &Actor) -> Result<Vec<SenderKey>, PairingError>;
        async fn unlock(&self, locked: &Actor, actor: &Actor) -> Result<bool, PairingError>;
        async fn is_allowed(&self, key: &SenderKey) -> Result<bool, PairingError>;
        async fn list_pending(&self, filter: &Filter) -> Result<Vec<PendingRequest>, PairingError>;
        async fn list_allow(&self, filter: &Filter, include_revoked: bool) -> Result<Vec<AllowedSender>, PairingError>;
        async fn list_blocked(&self, filter: &Filter) -> Result<Vec<BlockedSender>, PairingError>;
        async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<AuditEvent>, PairingError>;
        async fn purge_expired(&self) -> Result<u64, PairingError>;
        async fn visit_allow(&self, filter: &Filter, include_revoked: bool, each: Box<dyn FnMut(AllowedSender) + Send>) -> Result<(), PairingError>;
        async fn visit_blocked(&self, filter: &Filter, each: Box<dyn FnMut(BlockedSender) + Send>) -> Result<(), PairingError>;
        async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, PairingError>;
        async fn remembered_modes(&self) -> Result<RememberedModes, PairingError>;
        async fn put_modes_in_force(&self, configured: &ConfiguredModes, fallback: Option<ModeSetting>, own: Option<&RememberedModes>) -> Result<Result<ModesInForce, ModesError>, PairingError>;
        async fn forget_mode(&self, account: Option<&AccountKey>, actor: &Actor) -> Result<Vec<(Option<AccountKey>, ModeSetting)>, PairingError>;
        async fn remembered_adapters(&self) -> Result<RememberedAdapters, PairingError>;
        async fn remember_adapters(&self, before: &RememberedAdapters, after: &RememberedAdapters) -> Result<Result<(), AdaptersError>, PairingError>;
        async fn forget_adapter(&self, channel: &ChannelId, actor: &Actor) -> Result<bool, PairingError>;
    }
}

operations! {
    SessionBackend {
        async fn redeem(&self, redemption: Redemption) -> Result<IssuedSession, RedeemError>;
        async fn cancel(&self, claims: &TokenClaims, actor: &Actor) -> Result<Cancellation, PairingError>;
        async fn redemption(&self, nonce: &str) -> Result<Option<RedemptionState>, PairingError>;
        async fn session(&self, token: &SessionToken) -> Result<Option<Session>, PairingError>;
        async fn touch(&self, id: &SessionId, peer: Option<PeerAddress>) -> Result<(), PairingError>;
        async fn renew_session(&self, token: &SessionToken, ttl: Duration) -> Result<Option<Session>, PairingError>;
        async fn end_session(&self, token: &SessionToken) -> Result<bool, PairingError>;
        async fn list_sessions(&self, include_ended: bool) -> Result<Vec<Session>, PairingError>;
        async fn revoke_session(&self, id: &SessionId, actor: &Actor) -> Result<Option<Session>, PairingError>;
        async fn import_sessions(&self, sessions: Vec<ImportedSession>, actor: &Actor) -> Result<ImportReport, PairingError>;
        async fn purge_sessions(&self) -> Result<u64, PairingError>;
        async fn record(&self, actor: &Actor, event: SetupEvent) -> Result<(), PairingError>;
        async fn probe(&self) -> Result<(), PairingError>;
    }
}
