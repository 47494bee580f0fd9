//! The configuration of a running gate, with the modes in force.

use std::sync::Arc;

use nexo_pairing::config::{Config, Sources};
use nexo_pairing::{KeptModes, Mode, ModesInForce, PairingStore, SaidMode};

use super::remarks::Remarks;
use crate::context::Database;
use crate::error::{CliError, chain};
use crate::modes::{check_fresh, kept, lost};

/// What a reload replaces.
pub(super) type Settings = Arc<Config>;

/// Reads the configuration, and finds the modes in force.
pub(super) struct Loader {
    sources: Sources,
    /// What stands where nothing ever said a mode.
    fallback: Option<SaidMode>,
    started_with: Config,
    /// As it was read the last time, without what is remembered.
    config: Config,
    modes: Option<ModesInForce>,
}

impl Loader {
    /// Reads the configuration for the first time; `open` is the flag `--open`.
    pub(super) fn new(sources: Sources, open: bool) -> Result<Self, CliError> {
        let config = sources.load()?;
        if let Some(said) = &config.mode_words().default
            && open
            && said.mode != Mode::Open
        {
            return Err(CliError::Usage(format!(
                "--open contradicts mode {}, which is configured by {}: leave one of them out",
                said.mode, said.origin
            )));
        }
        let fallback = open.then(SaidMode::open_for_one_run);
        Ok(Self { sources, fallback, started_with: config.clone(), config, modes: None })
    }

    /// The configuration as it was read.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Opens the database; a dry run has a copy in memory.
    pub(super) async fn open(
        &self,
        database: &Database,
        dry_run: bool,
    ) -> Result<PairingStore, CliError> {
        if !database.exists() {
            check_fresh(&self.config, self.fallback.clone())?;
        }
        if dry_run { database.rehearsal().await } else { database.open().await }
    }

    /// Puts the configuration in force, as a gate that starts.
    pub(super) async fn start(&mut self, store: &PairingStore) -> Result<Settings, CliError> {
        self.put_in_force(store, self.config.clone()).await
    }

    /// Says what stays in force although the configuration does not say it.
    pub(super) fn say_kept(&self, remarks: &Remarks) {
        let Some(modes) = &self.modes else { return };
        for (what, mend) in kept(modes) {
            remarks.say(&format!("{what}: {mend}"));
        }
        let is_default_kept = |kept: &KeptModes| matches!(kept, KeptModes::Default(_));
        if self.fallback.is_some() && modes.kept().iter().any(is_default_kept) {
            remarks.say("--open counts only where no mode was ever set");
        }
    }

    /// Reads the configuration again; a bad one changes nothing, and one that is lost neither.
    /// `prepare` looks at it first. The database stays: what was decided by one file must not be
    /// continued in another.
    pub(super) async fn reload<T>(
        &mut self,
        store: &PairingStore,
        remarks: &Remarks,
        prepare: impl FnOnce(&Config) -> Result<T, CliError>,
    ) -> Option<(Settings, T)> {
        match self.try_reload(store, prepare).await {
            Ok(reloaded) => {
                remarks.say("the configuration was read again");
                lost(&self.config).for_each(|lost| remarks.say(&lost));
                for key in needs_restart(&self.started_with, &self.config) {
                    remarks.say(&format!("{key} has changed: that needs a restart"));
                }
                self.say_kept(remarks);
                Some(reloaded)
            }
            Err(error) => {
                remarks.stays(&chain(&error));
                None
            }
        }
    }

    async fn try_reload<T>(
        &mut self,
        store: &PairingStore,
        prepare: impl FnOnce(&Config) -> Result<T, CliError>,
    ) -> Result<(Settings, T), CliError> {
        let (sources, old) = (self.sources.clone(), self.config.clone());
        let read = tokio::task::spawn_blocking(move || sources.reload(&old)).await;
        let config = read.map_err(|error| CliError::Io {
            what: "read the configuration".to_owned(),
            source: error.into(),
        })??;
        let prepared = prepare(&config)?;
        Ok((self.put_in_force(store, config).await?, prepared))
    }

    async fn put_in_force(
        &mut self,
        store: &PairingStore,
        config: Config,
    ) -> Result<Settings, CliError> {
        let own = self.modes.as_ref().map(ModesInForce::remembered);
        let fallback = self.fallback.clone();
        let modes = store.put_modes_in_force(config.mode_words(), fallback, own).await??;
        let settings = Arc::new(config.clone().with_modes(&modes));
        (self.config, self.modes) = (config, Some(modes));
        Ok(settings)
    }
}

/// What has changed and is only looked at at the start.
pub(super) fn needs_restart(started_with: &Config, config: &Config) -> Vec<&'static str> {
    let changes = [
        ("storage.path", config.storage_path() != started_with.storage_path()),
        ("audit_days", config.audit_days() != started_with.audit_days()),
        ("nats", config.nats() != started_with.nats()),
    ];
    changes.into_iter().filter(|(_, has_changed)| *has_changed).map(|(key, _)| key).collect()
}
