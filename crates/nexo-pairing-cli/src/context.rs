//! What every command starts from: its flags, its streams, the configuration and the database.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{GateBackend, OperatorBackend, PairingStore, SessionBackend, StoreOptions};

use crate::io::Io;
use crate::text::escape;
use crate::{CliError, Result};

/// The flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration file [default: $NEXO_HOME/config/pairing.yaml].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// The database, instead of the configured one.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    db: Option<PathBuf>,
    /// Upgrade the database of an earlier version without keeping a copy of it.
    #[arg(long, global = true, help_heading = "Everywhere")]
    no_copy: bool,
    /// Print JSON, also for errors (these to stderr).
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
}

/// The flags of every command, and its streams.
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
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(self.sources().load()?)
    }

    /// The database in force, for commands that need nothing else of the configuration.
    pub(crate) fn database(&self) -> Result<Database> {
        Ok(self.database_of(&self.config()?))
    }

    /// The database that a configuration names, to be opened as the flags say.
    pub(crate) fn database_of(&self, config: &Config) -> Database {
        let options = StoreOptions::default()
            .with_audit_days(config.audit_days())
            .with_copy_before_upgrade(!self.global.no_copy);
        Database { path: config.storage_path().to_owned(), options }
    }
}

/// All contracts of a store.
pub(crate) trait Backend: GateBackend + OperatorBackend + SessionBackend + Debug {}

impl<T: GateBackend + OperatorBackend + SessionBackend + Debug> Backend for T {}

/// An open database. Commands know only its contracts, so that it may be of any kind.
pub(crate) type Store = Arc<dyn Backend>;

/// The database, before it is opened.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    options: StoreOptions,
}

impl Database {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path, for people.
    pub(crate) fn shown(&self) -> String {
        escape(&self.path.to_string_lossy())
    }

    /// The last line of what a command that wrote prints for people: many an approval went into the
    /// wrong file.
    pub(crate) fn written(&self) -> String {
        format!("written to {}\n", self.shown())
    }

    /// The last line of what a command that read prints for people.
    pub(crate) fn read(&self) -> String {
        let missing = if self.exists() { "" } else { " (not created yet)" };
        format!("database: {}{missing}\n", self.shown())
    }

    /// Whether there is something at its path; when in doubt, so that opening it reports what is
    /// wrong. For messages only: a command that acts on it uses [`find`](Self::find), which looks once.
    pub(crate) fn exists(&self) -> bool {
        self.path.try_exists().unwrap_or(true)
    }

    /// Opens it, and creates it if it is missing.
    pub(crate) async fn open(&self) -> Result<Store> {
        Ok(Arc::new(self.open_file().await?))
    }

    /// Opens it if it exists, and creates nothing.
    pub(crate) async fn find(&self) -> Result<OpenDatabase<'_>> {
        let is_missing = !self.exists();
        let store = if is_missing {
            Arc::new(PairingStore::open_memory_with(self.options.clone()).await?)
        } else {
            self.open().await?
        };
        Ok(OpenDatabase { database: self, store, is_missing })
    }

    /// A read-only view of what is in it now; nothing is created or upgraded.
    pub(crate) async fn view(&self) -> Result<Store> {
        Ok(Arc::new(PairingStore::view(&self.path, self.options.clone()).await?))
    }

    /// A copy in memory for a gate to decide on; what is written to it is lost with it.
    pub(crate) async fn rehearsal(&self) -> Result<Store> {
        let copy = PairingStore::snapshot(&self.path, self.options.clone()).await?;
        // An overdue request that is not closed yet decides too: its sender has to wait.
        copy.purge_expired().await?;
        Ok(Arc::new(copy))
    }

    /// Copies it to a new file while it is in use.
    pub(crate) async fn backup(&self, destination: &Path) -> Result {
        if !self.exists() {
            return Err(CliError::no_database(&self.path));
        }
        Ok(self.open_file().await?.backup(destination).await?)
    }

    async fn open_file(&self) -> Result<PairingStore> {
        Ok(PairingStore::open_with(&self.path, self.options.clone()).await?)
    }
}

/// The database as it was found. It was looked for once, so that a command does not take it for missing
/// first and for present later.
#[derive(Debug)]
pub(crate) struct OpenDatabase<'a> {
    database: &'a Database,
    store: Store,
    is_missing: bool,
}

impl OpenDatabase<'_> {
    /// The database; an empty one in memory if it is missing.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// For commands that make no sense without one.
    pub(crate) fn required(self) -> Result<Store> {
        if self.is_missing {
            return Err(CliError::no_database(&self.database.path));
        }
        Ok(self.store)
    }

    /// Creates it if it was missing.
    pub(crate) async fn or_create(self) -> Result<Store> {
        if self.is_missing { self.database.open().await } else { Ok(self.store) }
    }
}
