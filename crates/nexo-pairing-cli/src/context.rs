//! What every command starts from: its flags, its streams, the configuration and the database.

use std::path::{Path, PathBuf};

use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{
    AllowedSender, AuditEvent, AuditQuery, BlockedSender, Filter, PairingStore, PendingRequest,
    RememberedAdapters, RememberedModes, Session, StoreOptions,
};

use crate::error::CliError;
use crate::flags::Global;
use crate::io::Io;

/// The flags that every command takes, and its streams.
#[derive(Debug)]
pub(crate) struct Context {
    global: Global,
    pub(crate) io: Io,
}

impl Context {
    pub(crate) fn new(global: Global, io: Io) -> Self {
        Self { global, io }
    }

    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    /// Where the configuration comes from.
    pub(crate) fn sources(&self) -> Sources {
        Sources::from_environment()
            .with_config(self.global.config.clone())
            .with_db(self.global.db.clone())
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        Ok(self.sources().load()?)
    }

    /// The database in force, for commands that need nothing else of the configuration.
    pub(crate) fn database(&self) -> Result<Database, CliError> {
        Ok(self.database_of(&self.config()?))
    }

    /// The database that a configuration names, to be opened as the flags say.
    pub(crate) fn database_of(&self, config: &Config) -> Database {
        let mut database = Database::of(config);
        database.options.copy_before_upgrade = !self.global.no_copy;
        database
    }
}

/// The database, before it is opened.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    options: StoreOptions,
}

impl Database {
    /// The database that a configuration names, to look at.
    pub(crate) fn of(config: &Config) -> Self {
        let options = StoreOptions::default().with_audit_days(config.audit_days());
        Self { path: config.storage_path().to_owned(), options }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last line of what a command that wrote tells people: many an approval went into the
    /// wrong file.
    pub(crate) fn written(&self) -> String {
        format!("written to {}\n", crate::text::escape(&self.path.to_string_lossy()))
    }

    /// Whether there is something at its path; when in doubt, so that opening it says what is
    /// wrong. Only to be told: who acts on it takes [`find`](Self::find), which asks once.
    pub(crate) fn exists(&self) -> bool {
        self.path.try_exists().unwrap_or(true)
    }

    /// Opens it, and creates it where there is none.
    pub(crate) async fn open(&self) -> Result<PairingStore, CliError> {
        Ok(PairingStore::open_with(&self.path, self.options.clone()).await?)
    }

    /// Opens it where there is one, and creates none.
    pub(crate) async fn find(&self) -> Result<Found<'_>, CliError> {
        let store = if self.exists() { Some(self.open().await?) } else { None };
        let view = match &store {
            Some(store) => View::of(store),
            None => View(PairingStore::open_memory_with(self.options.clone()).await?),
        };
        Ok(Found { database: self, store, view })
    }

    /// What is in it now; nothing is created, and nothing is upgraded.
    pub(crate) async fn view(&self) -> Result<View, CliError> {
        Ok(View(PairingStore::view(&self.path, self.options.clone()).await?))
    }

    /// A copy for a gate to decide on; whatever that writes is lost with it.
    pub(crate) async fn rehearsal(&self) -> Result<PairingStore, CliError> {
        let copy = PairingStore::snapshot(&self.path, self.options.clone()).await?;
        // What has run out but was not put away yet decides too: it makes its sender wait.
        copy.purge_expired().await?;
        Ok(copy)
    }
}

/// The database as it was found: open, or not there. It was looked for once, so that a command does
/// not take it for missing first and for present later.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    database: &'a Database,
    store: Option<PairingStore>,
    view: View,
}

impl Found<'_> {
    /// What is in it: nothing, when there is none.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// For what can only change what is there already.
    pub(crate) fn store(&self) -> Option<&PairingStore> {
        self.store.as_ref()
    }

    /// For what makes no sense without one.
    pub(crate) fn required(self) -> Result<PairingStore, CliError> {
        self.store.ok_or_else(|| CliError::NoDatabase(self.database.path.clone()))
    }

    /// Creates it where there was none.
    pub(crate) async fn or_create(self) -> Result<PairingStore, CliError> {
        match self.store {
            Some(store) => Ok(store),
            None => self.database.open().await,
        }
    }
}

/// A store to look at: there is no way to write through it.
#[derive(Debug)]
pub(crate) struct View(PairingStore);

impl View {
    pub(crate) fn of(store: &PairingStore) -> Self {
        Self(store.clone())
    }

    pub(crate) async fn remembered_modes(&self) -> Result<RememberedModes, CliError> {
        Ok(self.0.remembered_modes().await?)
    }

    pub(crate) async fn remembered_adapters(&self) -> Result<RememberedAdapters, CliError> {
        Ok(self.0.remembered_adapters().await?)
    }

    pub(crate) async fn list_pending(
        &self,
        filter: &Filter,
    ) -> Result<Vec<PendingRequest>, CliError> {
        Ok(self.0.list_pending(filter).await?)
    }

    pub(crate) async fn fold_allow<T: Send + 'static>(
        &self,
        filter: &Filter,
        include_revoked: bool,
        state: T,
        fold: impl FnMut(&mut T, AllowedSender) + Send + 'static,
    ) -> Result<T, CliError> {
        Ok(self.0.fold_allow(filter, include_revoked, state, fold).await?)
    }

    pub(crate) async fn fold_blocked<T: Send + 'static>(
        &self,
        filter: &Filter,
        state: T,
        fold: impl FnMut(&mut T, BlockedSender) + Send + 'static,
    ) -> Result<T, CliError> {
        Ok(self.0.fold_blocked(filter, state, fold).await?)
    }

    pub(crate) async fn list_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, CliError> {
        Ok(self.0.list_allow(filter, include_revoked).await?)
    }

    pub(crate) async fn list_blocked(
        &self,
        filter: &Filter,
    ) -> Result<Vec<BlockedSender>, CliError> {
        Ok(self.0.list_blocked(filter).await?)
    }

    pub(crate) async fn audit(
        &self,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, CliError> {
        Ok(self.0.audit(filter, limit).await?)
    }

    pub(crate) async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, CliError> {
        Ok(self.0.audit_log(query).await?)
    }

    pub(crate) async fn list_sessions(
        &self,
        include_ended: bool,
    ) -> Result<Vec<Session>, CliError> {
        Ok(self.0.list_sessions(include_ended).await?)
    }
}
