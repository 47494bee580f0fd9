//! The installation to check.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use derive_setters::Setters;
use nexo_pairing::config::{Config, Sources};
use nexo_pairing::core::ModesInForce;
use nexo_pairing::store::Inspection;
use nexo_pairing::{Clock, PairingAdapterRegistry, PairingStore, StoreOptions, SystemClock};
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::channels::local_adapters;
use crate::modes;
use crate::{CliError, Result, Store};

/// Which installation to check.
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
pub struct DoctorOptions {
    #[setters(skip)]
    sources: Sources,
    /// The adapters of the gate; by default those of `nexo-pair`.
    adapters: PairingAdapterRegistry,
    /// The clock that is compared with stored times; by default the operating system's.
    clock: Arc<dyn Clock>,
}

impl DoctorOptions {
    /// The installation that these sources configure, with the adapters of `nexo-pair`.
    ///
    /// If the configuration cannot be read, only the database of [`Sources::with_db`] is checked.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources, adapters: local_adapters(), clock: SystemClock::shared() }
    }

    /// The installation that this process's environment configures.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(Sources::from_environment())
    }
}

/// An installation: its configuration, and its database, which is read by the first check that needs
/// it.
#[derive(Debug)]
pub struct Installation {
    pub(super) config: Result<Config>,
    pub(super) adapters: PairingAdapterRegistry,
    pub(super) now: OffsetDateTime,
    clock: Arc<dyn Clock>,
    database: Option<PathBuf>,
    inspection: OnceCell<Result<Inspection>>,
    view: OnceCell<Result<Store>>,
    modes: OnceCell<Result<ModesInForce>>,
}

impl Installation {
    /// Reads the configuration.
    #[must_use]
    pub fn read(options: &DoctorOptions) -> Self {
        let config = options.sources.load().map_err(CliError::from);
        let database = match &config {
            Ok(config) => Some(config.storage_path()),
            // There may still be a database to check.
            Err(_) => options.sources.db(),
        };
        Self {
            database: database.map(Path::to_owned),
            config,
            adapters: options.adapters.clone(),
            now: options.clock.now(),
            clock: Arc::clone(&options.clock),
            inspection: OnceCell::new(),
            view: OnceCell::new(),
            modes: OnceCell::new(),
        }
    }

    /// The configuration; `None` if it cannot be read.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok()
    }

    /// The path of the database, which need not exist; `None` if it is unknown.
    #[must_use]
    pub fn database(&self) -> Option<&Path> {
        self.database.as_deref()
    }

    /// The path of the database, if it is a file.
    pub(super) fn database_file(&self) -> Option<&Path> {
        self.database().filter(|path| path.is_file())
    }

    /// The state of the database file; `None` if it is missing.
    pub(super) async fn inspection(&self) -> Option<(&Path, &Result<Inspection>)> {
        let path = self.database_file()?;
        let inspect = || async { Ok(Inspection::of(path).await?) };
        Some((path, self.inspection.get_or_init(inspect).await))
    }

    /// The contents of the database, for checks that compare them with the configuration; `None` if they
    /// cannot be compared.
    pub(super) async fn view(&self) -> Option<(&Config, &Result<Store>)> {
        let (config, path) = (self.config()?, self.database()?);
        let is_usable = match self.inspection().await {
            // Another check reports it.
            Some((_, Err(_))) => false,
            Some((_, Ok(found))) => {
                found.problems.is_empty() && found.schema_version <= found.newest_schema
            }
            None => !path.try_exists().unwrap_or(true),
        };
        if !is_usable {
            return None;
        }
        let view = || async {
            let options = StoreOptions::default().with_clock(self.clock.clone());
            Ok(Arc::new(PairingStore::view(path, options).await?) as Store)
        };
        Some((config, self.view.get_or_init(view).await))
    }

    /// The modes that a gate would put in force if it started now; `None` if the database cannot be
    /// read.
    pub(super) async fn modes(&self) -> Option<&Result<ModesInForce>> {
        let (config, Ok(store)) = self.view().await? else { return None };
        Some(self.modes.get_or_init(|| modes::in_force(config, store)).await)
    }
}
