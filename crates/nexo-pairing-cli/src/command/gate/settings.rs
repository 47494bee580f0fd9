//! The configuration of a running gate, with the modes in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing::config::{Config, Process, Sources};
use nexo_pairing::core::{
    ConfiguredAdapters, ModeSetting, ModesInForce, RememberedAdapters, RememberedModes,
    RetainedModes,
};
use nexo_pairing::{AccountKey, ChannelId, GateOptions, Mode, PairingError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::status_log::StatusLog;
use crate::context::Database;
use crate::error::chain;
use crate::live_config::LiveConfig;
use crate::modes::{kept, lost};
use crate::remote;
use crate::text::escape;
use crate::{CliError, Result, Store};

/// The configuration that a reload replaces.
pub(super) type Settings = Arc<Config>;

/// How long a reload waits for its modes to be stored before it puts them in force anyway.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval between attempts to store the modes.
const RETRY: Duration = Duration::from_secs(1);

/// Loads the configuration, and resolves the modes in force.
pub(super) struct Loader {
    live: LiveConfig,
    /// The mode if none was ever set.
    fallback: Option<ModeSetting>,
    modes: Option<ModesInForce>,
    /// The channels whose adapter is in another process, as last seen by this gate.
    adapters: RememberedAdapters,
    /// Stores modes that are already in force; the next reload cancels it.
    storing: JoinSet<()>,
    /// The database, if this start created it.
    created: Option<PathBuf>,
}

impl Loader {
    /// Reads the configuration for the first time; `open` is the flag `--open`.
    pub(super) fn new(sources: Sources, open: bool) -> Result<Self> {
        let live = LiveConfig::load(Process::Gate, sources)?;
        if let Some(mode) = &live.current().configured_modes().default
            && open
            && mode.mode != Mode::Open
        {
            return Err(CliError::usage(format!(
                "--open contradicts mode {}, configured by {}: remove one of them",
                mode.mode, mode.origin
            )));
        }
        let fallback = open.then(ModeSetting::open_for_one_run);
        Ok(Self {
            live,
            fallback,
            modes: None,
            adapters: RememberedAdapters::default(),
            storing: JoinSet::new(),
            created: None,
        })
    }

    /// The configuration as it was read.
    pub(super) fn config(&self) -> &Config {
        self.live.current()
    }

    /// Opens the database, or a copy in memory for a dry run.
    pub(super) async fn open(&mut self, database: &Database, dry_run: bool) -> Result<Store> {
        let is_new = !database.exists();
        if is_new {
            // Without a mode, a wrong `NEXO_HOME` must get no database.
            let configured = self.live.current().configured_modes();
            RememberedModes::default().resolve(configured, self.fallback.clone())?;
        }
        if dry_run {
            return database.rehearsal().await;
        }
        let store = database.open().await?;
        // Next to an existing configuration, there may be a database whose path was lost.
        self.created =
            (is_new && self.live.current().file().is_some()).then(|| database.path().to_owned());
        Ok(store)
    }

    /// Logs what may surprise the operator about this start.
    pub(super) fn log_start(&self, log: &StatusLog) {
        if let Some(path) = &self.created {
            let path = escape(&path.to_string_lossy());
            log.log(&format!(
                "a new database was created at {path}: nobody is allowed or blocked in it; if there was \
                 one before, set its path with pairing.storage.path or --db"
            ));
        }
        self.log_kept(log);
    }

    /// Puts the configuration in force at the start of a gate.
    pub(super) async fn start(&mut self, store: &Store) -> Result<Settings> {
        let config = self.live.current().clone();
        let configured = config.configured_modes();
        let (modes, known) = remembered(store).await?;
        let modes = modes.resolve(configured, self.fallback.clone())?;
        let adapters = known.resolve(&remote::configured(&config), |channel| {
            remote::is_exposed(&config, &modes, channel)
        })?;
        store.remember_adapters(&known, &adapters).await??;
        self.adapters = adapters;
        let modes = store.put_modes_in_force(configured, self.fallback.clone(), None).await??;
        Ok(self.put_in_force(config, modes))
    }

    /// Logs the modes that are in force but no longer configured.
    fn log_kept(&self, log: &StatusLog) {
        let Some(modes) = &self.modes else { return };
        for (what, hint) in kept(modes) {
            log.log(&format!("{what}: {hint}"));
        }
        let is_default_kept = |kept: &RetainedModes| matches!(kept, RetainedModes::Default(_));
        if self.fallback.is_some() && modes.kept().iter().any(is_default_kept) {
            log.log("--open applies only if no mode was ever set");
        }
    }

    /// Reloads the configuration after `prepare` has accepted it; an invalid or missing file changes
    /// nothing. The database stays the same: decisions based on one file must not continue in another.
    pub(super) async fn reload<T>(
        &mut self,
        store: &Store,
        log: &StatusLog,
        prepare: impl FnOnce(&Config) -> Result<T>,
    ) -> Option<(Settings, T)> {
        let reload = async {
            let config = self.live.read_again().await?;
            let prepared = prepare(&config)?;
            let modes = self.resolve_modes(store, log, &config).await?;
            Ok((self.put_in_force(config, modes), prepared))
        };
        let log_error = |error: &CliError| {
            log.log(&format!("the old configuration stays in force: {}", chain(error)));
        };
        reload.await.inspect_err(log_error).ok()
    }

    /// Logs the changes of a reload, once its settings are in force.
    pub(super) fn log_reload(&self, log: &StatusLog) {
        log.log("the configuration was read again");
        lost(self.live.current()).for_each(|lost| log.log(&lost));
        self.live.needs_restart().for_each(|changed| log.log(&changed));
        self.log_kept(log);
    }

    /// The modes of a reloaded configuration. Restricting a gate must not wait for a database that is
    /// locked or full: the modes are stored as soon as that is possible.
    async fn resolve_modes(
        &mut self,
        store: &Store,
        log: &StatusLog,
        config: &Config,
    ) -> Result<ModesInForce> {
        let own = self.modes.as_ref().map(ModesInForce::remembered).cloned().unwrap_or_default();
        let (configured, fallback) = (config.configured_modes().clone(), self.fallback.clone());
        let (known, adapters) = self.resolve_adapters(store, config, &own).await?;
        self.adapters.clone_from(&adapters);
        // Cancels the storing of the previous modes.
        self.storing = JoinSet::new();
        let resolved = own.resolve(&configured, fallback.clone());
        let (store, status) = (store.clone(), log.clone());
        let (first, stored) = oneshot::channel();
        self.storing.spawn(async move {
            let store_all = async || {
                let adapters = store.remember_adapters(&known, &adapters).await?;
                let modes =
                    store.put_modes_in_force(&configured, fallback.clone(), Some(&own)).await?;
                Ok::<_, PairingError>((adapters, modes))
            };
            let (adapters, modes) = loop {
                match store_all().await {
                    Ok(stored) => break stored,
                    Err(_) => sleep(RETRY).await,
                }
            };
            if let Err(error) = adapters {
                status.log(&format!("the adapters cannot be remembered: {error}"));
            }
            // The reload logs this itself while it still waits.
            match first.send(modes) {
                Ok(()) => {}
                Err(Ok(_)) => status.log("the modes in force are remembered now"),
                Err(Err(error)) => {
                    status.log(&format!("the modes in force cannot be remembered: {error}"));
                }
            }
        });
        if let Ok(Ok(modes)) = timeout(STORE_TIMEOUT, stored).await {
            return Ok(modes?);
        }
        if resolved.is_err() {
            self.storing.abort_all();
        }
        let modes = resolved?;
        log.log(
            "the modes are in force but not remembered yet: writing to the database fails and is retried",
        );
        Ok(modes)
    }

    /// The stored adapters, and those to store for a reloaded configuration; `own` are the modes in force.
    ///
    /// A reload must not newly expose a channel whose adapter was in another process. If the database
    /// cannot be read, the adapters that this gate last saw are used.
    async fn resolve_adapters(
        &mut self,
        store: &Store,
        config: &Config,
        own: &RememberedModes,
    ) -> Result<(RememberedAdapters, RememberedAdapters)> {
        let stored = timeout(STORE_TIMEOUT, remembered(store)).await;
        let (modes, known) = match stored {
            Ok(Ok((modes, known))) => (own.less_forgotten(&modes), known),
            _ => (own.clone(), self.adapters.clone()),
        };
        let modes = modes.resolve(config.configured_modes(), self.fallback.clone())?;
        while self.storing.try_join_next().is_some() {}
        let mut wanted = known.clone();
        if !self.storing.is_empty() {
            // An earlier reload is not stored yet.
            let all = self.adapters.channels().iter().chain(known.channels());
            let all = all.map(|(channel, origin)| (channel.clone(), origin.clone()));
            wanted = RememberedAdapters::from_stored(all.collect());
        }
        let configured = remote::configured(config);
        let was_exposed = |channel: &ChannelId| {
            let modes = self.modes.as_ref();
            modes.is_some_and(|modes| remote::is_exposed(self.live.current(), modes, channel))
        };
        let wanted = wanted.resolve(&configured, |channel| {
            remote::is_exposed(config, &modes, channel)
                && (matches!(configured, ConfiguredAdapters::Empty(_)) || !was_exposed(channel))
        })?;
        Ok((known, wanted))
    }

    fn put_in_force(&mut self, config: Config, modes: ModesInForce) -> Settings {
        let settings = Arc::new(config.clone().with_modes(&modes));
        self.live.take(config);
        self.modes = Some(modes);
        settings
    }
}

/// The remembered modes and adapters.
async fn remembered(store: &Store) -> Result<(RememberedModes, RememberedAdapters), PairingError> {
    Ok((store.remembered_modes().await?, store.remembered_adapters().await?))
}

/// The gate's options in the configuration.
pub(in crate::command) fn options(config: &Config) -> GateOptions {
    let mut options = GateOptions::default();
    options.accounts = accounts(config);
    options
}

/// The known accounts; `None` for all.
pub(super) fn accounts(config: &Config) -> Option<Vec<AccountKey>> {
    let accounts = config.accounts()?.iter();
    Some(accounts.map(|known| (known.channel.clone(), known.account.clone())).collect())
}
