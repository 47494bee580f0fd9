//! What every command starts from: its flags, its streams, the configuration and the database.

use std::path::{Path, PathBuf};

use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{PairingStore, StoreOptions};

use crate::cli::Global;
use crate::error::CliError;
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

    /// The path that `--db` gives.
    pub(crate) fn db_flag(&self) -> Option<&Path> {
        self.global.db.as_deref()
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
        Ok(Database::of(&self.config()?))
    }
}

/// The database, before it is opened.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    options: StoreOptions,
}

impl Database {
    pub(crate) fn of(config: &Config) -> Self {
        let mut options = StoreOptions::default();
        options.audit_days = config.audit_days();
        Self { path: config.storage_path().to_owned(), options }
    }

    /// The database at a path, for when there is no configuration.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), options: StoreOptions::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last line of what a command that wrote tells people: many an approval went into the
    /// wrong file.
    pub(crate) fn written(&self) -> String {
        format!("written to {}\n", crate::text::escaped(&self.path.to_string_lossy()))
    }

    /// Whether there is something at its path; when in doubt, so that opening it says what is
    /// wrong.
    pub(crate) fn exists(&self) -> bool {
        self.path.try_exists().unwrap_or(true)
    }

    /// Opens it, and creates it where there is none.
    pub(crate) async fn open(&self) -> Result<PairingStore, CliError> {
        Ok(PairingStore::open_with(&self.path, self.options.clone()).await?)
    }

    /// A private copy: nothing reaches the file, and nothing is created.
    pub(crate) async fn snapshot(&self) -> Result<PairingStore, CliError> {
        Ok(PairingStore::snapshot(&self.path, self.options.clone()).await?)
    }

    /// The database where there is one, else an empty store in memory: for what can only change
    /// what is there already.
    pub(crate) async fn open_if_there(&self) -> Result<PairingStore, CliError> {
        if self.exists() { self.open().await } else { self.snapshot().await }
    }
}
