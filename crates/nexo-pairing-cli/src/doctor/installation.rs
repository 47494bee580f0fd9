//! What the checks look at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{
    Clock, Inspection, ModesInForce, PairingAdapterRegistry, PairingStore, StoreOptions,
    SystemClock,
};
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use super::paths::Found;
use crate::channels::adapters_for_names;
use crate::error::CliError;

/// Which installation is looked at.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    sources: Sources,
    adapters: PairingAdapterRegistry,
    clock: Arc<dyn Clock>,
}

impl DoctorOptions {
    /// The installation that these sources configure, with the adapters of `nexo-pair`.
    ///
    /// Where the configuration cannot be read, the database is the one of
    /// [`Sources::with_db`], or none.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources, adapters: adapters_for_names(), clock: SystemClock::shared() }
    }

    /// The installation that this process's environment configures.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(Sources::from_environment())
    }

    /// The adapters of your gate, in place of those of `nexo-pair`.
    #[must_use]
    pub fn with_adapters(mut self, adapters: PairingAdapterRegistry) -> Self {
        self.adapters = adapters;
        self
    }

    /// The clock that is compared with what is stored; by default the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// An installation: its configuration as it was read, and its database, which the first check that
/// needs it reads.
#[derive(Debug)]
pub struct Installation {
    pub(super) config: Result<Config, CliError>,
    pub(super) adapters: PairingAdapterRegistry,
    pub(super) now: OffsetDateTime,
    clock: Arc<dyn Clock>,
    database: Option<PathBuf>,
    inspection: OnceCell<Result<Inspection, CliError>>,
    view: OnceCell<Result<PairingStore, CliError>>,
    modes: OnceCell<Result<ModesInForce, CliError>>,
}

impl Installation {
    /// Reads the configuration.
    #[must_use]
    pub fn read(options: &DoctorOptions) -> Self {
        let config = options.sources.load().map_err(CliError::from);
        let database = match &config {
            Ok(config) => Some(config.storage_path()),
            // There may still be a database to look at.
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

    /// The configuration; `None` where it cannot be read.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok()
    }

    /// Where the database is, or will be; `None` where nothing says it.
    #[must_use]
    pub fn database(&self) -> Option<&Path> {
        self.database.as_deref()
    }

    /// Where the database is, if there is a file.
    pub(super) fn database_file(&self) -> Option<&Path> {
        self.database().filter(|path| Found::at(path) == Found::File)
    }

    /// What can be said of the file of the database; `None` where there is none.
    pub(super) async fn inspection(&self) -> Option<(&Path, &Result<Inspection, CliError>)> {
        let path = self.database_file()?;
        let inspect = || async { Ok(Inspection::of(path).await?) };
        Some((path, self.inspection.get_or_init(inspect).await))
    }

    /// What is in the database, for checks that compare it with the configuration; `None` where that
    /// makes no sense.
    pub(super) async fn view(&self) -> Option<(&Config, &Result<PairingStore, CliError>)> {
        let (config, path) = (self.config()?, self.database()?);
        let is_usable = match self.inspection().await {
            // There is nothing to learn from a database that cannot be read.
            Some((_, Err(_))) => false,
            Some((_, Ok(found))) => {
                found.problems.is_empty() && found.schema_version <= found.newest_schema
            }
            None => Found::at(path) == Found::Nothing,
        };
        if !is_usable {
            return None;
        }
        let view = || async {
            let options = StoreOptions::default().with_clock(self.clock.clone());
            Ok(PairingStore::view(path, options).await?)
        };
        Some((config, self.view.get_or_init(view).await))
    }

    /// The modes that a gate would put in force if it started now; `None` where the database cannot
    /// be read.
    pub(super) async fn modes(&self) -> Option<&Result<ModesInForce, CliError>> {
        let (config, Ok(store)) = self.view().await? else { return None };
        let find =
            || async { Ok(store.remembered_modes().await?.resolve(config.mode_words(), None)?) };
        Some(self.modes.get_or_init(find).await)
    }
}
