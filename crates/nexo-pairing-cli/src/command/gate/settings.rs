//! The configuration of a running gate, with the modes in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing::config::{Config, Process, Sources};
use nexo_pairing::{
    ChannelId, ConfiguredAdapters, Mode, ModeSetting, ModesInForce, PairingError, PairingStore,
    RememberedAdapters, RememberedModes, RetainedModes,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::remarks::Remarks;
use crate::context::Database;
use crate::error::{CliError, chain};
use crate::live_config::LiveConfig;
use crate::modes::{check_fresh, kept, lost};
use crate::remote;
use crate::text::escape;

/// What a reload replaces.
pub(super) type Settings = Arc<Config>;

/// How long a reload waits until its modes are remembered, before it puts them in force all the same.
const REMEMBERED_WITHIN: Duration = Duration::from_secs(1);

/// How long it takes until modes that could not be remembered are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the configuration, and finds the modes in force.
pub(super) struct Loader {
    live: LiveConfig,
    /// What stands where nothing ever said a mode.
    fallback: Option<ModeSetting>,
    modes: Option<ModesInForce>,
    /// The channels that have their adapter in another process, as far as this gate knows.
    adapters: RememberedAdapters,
    /// Remembers modes that are in force already; the next reload ends it.
    remembering: JoinSet<()>,
    /// The database, if this start made it.
    made: Option<PathBuf>,
}

impl Loader {
    /// Reads the configuration for the first time; `open` is the flag `--open`.
    pub(super) fn new(sources: Sources, open: bool) -> Result<Self, CliError> {
        let live = LiveConfig::load(Process::Gate, sources)?;
        if let Some(said) = &live.current().mode_words().default
            && open
            && said.mode != Mode::Open
        {
            return Err(CliError::Usage(format!(
                "--open contradicts mode {}, which is configured by {}: leave one of them out",
                said.mode, said.origin
            )));
        }
        let fallback = open.then(ModeSetting::open_for_one_run);
        Ok(Self {
            live,
            fallback,
            modes: None,
            adapters: RememberedAdapters::default(),
            remembering: JoinSet::new(),
            made: None,
        })
    }

    /// The configuration as it was read.
    pub(super) fn config(&self) -> &Config {
        self.live.current()
    }

    /// Opens the database; a dry run has a copy in memory.
    pub(super) async fn open(
        &mut self,
        database: &Database,
        dry_run: bool,
    ) -> Result<PairingStore, CliError> {
        let is_new = !database.exists();
        if is_new {
            check_fresh(self.live.current(), self.fallback.clone())?;
        }
        if dry_run {
            return database.rehearsal().await;
        }
        let store = database.open().await?;
        // Beside a configuration there may have been a database before, which was found by a path that
        // is lost.
        self.made =
            (is_new && self.live.current().file().is_some()).then(|| database.path().to_owned());
        Ok(store)
    }

    /// Says what an operator may not expect of this start.
    pub(super) fn say_start(&self, remarks: &Remarks) {
        if let Some(path) = &self.made {
            let path = escape(&path.to_string_lossy());
            remarks.say(&format!(
                "a new database was made at {path}: nobody is allowed or blocked in it; if there was one \
                 before, name it with pairing.storage.path or --db"
            ));
        }
        self.say_kept(remarks);
    }

    /// Puts the configuration in force, as a gate that starts.
    pub(super) async fn start(&mut self, store: &PairingStore) -> Result<Settings, CliError> {
        let config = self.live.current().clone();
        let words = config.mode_words();
        let (modes, known) = remembered(store).await?;
        let modes = modes.resolve(words, self.fallback.clone())?;
        let adapters = known.resolve(&remote::words(&config), |channel| {
            remote::is_exposed(&config, &modes, channel)
        })?;
        store.remember_adapters(&known, &adapters).await??;
        self.adapters = adapters;
        let modes = store.put_modes_in_force(words, self.fallback.clone(), None).await??;
        Ok(self.put_in_force(config, modes))
    }

    /// Says what stays in force although the configuration does not say it.
    fn say_kept(&self, remarks: &Remarks) {
        let Some(modes) = &self.modes else { return };
        for (what, mend) in kept(modes) {
            remarks.say(&format!("{what}: {mend}"));
        }
        let is_default_kept = |kept: &RetainedModes| matches!(kept, RetainedModes::Default(_));
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
        match self.try_reload(store, remarks, prepare).await {
            Ok(reloaded) => Some(reloaded),
            Err(error) => {
                remarks.stays(&chain(&error));
                None
            }
        }
    }

    /// Says what a reload did, once its settings are in force.
    pub(super) fn say_reload(&self, remarks: &Remarks) {
        remarks.say("the configuration was read again");
        lost(self.live.current()).for_each(|lost| remarks.say(&lost));
        self.live.needs_restart().for_each(|changed| remarks.say(&changed));
        self.say_kept(remarks);
    }

    async fn try_reload<T>(
        &mut self,
        store: &PairingStore,
        remarks: &Remarks,
        prepare: impl FnOnce(&Config) -> Result<T, CliError>,
    ) -> Result<(Settings, T), CliError> {
        let config = self.live.read_again().await?;
        let prepared = prepare(&config)?;
        let modes = self.find_modes(store, remarks, &config).await?;
        Ok((self.put_in_force(config, modes), prepared))
    }

    /// The modes under a configuration that was read again. A gate that is to be closed does not wait
    /// for a database that is locked or full: the modes are remembered as soon as it takes them.
    async fn find_modes(
        &mut self,
        store: &PairingStore,
        remarks: &Remarks,
        config: &Config,
    ) -> Result<ModesInForce, CliError> {
        let own = self.modes.as_ref().map(ModesInForce::remembered).cloned().unwrap_or_default();
        let (words, fallback) = (config.mode_words().clone(), self.fallback.clone());
        let (known, adapters) = self.find_adapters(store, config, &own).await?;
        self.adapters.clone_from(&adapters);
        // From now on others count.
        self.remembering = JoinSet::new();
        let resolved = own.resolve(&words, fallback.clone());
        let (store, told) = (store.clone(), remarks.clone());
        let (first, remembered) = oneshot::channel();
        self.remembering.spawn(async move {
            let remember = async || {
                let adapters = store.remember_adapters(&known, &adapters).await?;
                let modes = store.put_modes_in_force(&words, fallback.clone(), Some(&own)).await?;
                Ok::<_, PairingError>((adapters, modes))
            };
            let (adapters, modes) = loop {
                match remember().await {
                    Ok(remembered) => break remembered,
                    Err(_) => sleep(AGAIN).await,
                }
            };
            if let Err(error) = adapters {
                told.say(&format!("the adapters cannot be remembered: {error}"));
            }
            // Unless the reload still waits for it.
            match first.send(modes) {
                Ok(()) => {}
                Err(Ok(_)) => told.say("the modes in force are remembered now"),
                Err(Err(error)) => {
                    told.say(&format!("the modes in force cannot be remembered: {error}"));
                }
            }
        });
        if let Ok(Ok(modes)) = timeout(REMEMBERED_WITHIN, remembered).await {
            return Ok(modes?);
        }
        if resolved.is_err() {
            self.remembering.abort_all();
        }
        let modes = resolved?;
        remarks.say(
            "the modes are in force and not remembered yet: the database cannot be written now, and is \
             tried until it can",
        );
        Ok(modes)
    }

    /// The adapters that are remembered, and those that are to be under a configuration that was read
    /// again, where `own` are the modes in force.
    ///
    /// It may not expose a channel that was not exposed before and once had its adapter elsewhere. Where
    /// the database cannot be read, nothing is decided by it, and what this gate knows of it counts.
    async fn find_adapters(
        &mut self,
        store: &PairingStore,
        config: &Config,
        own: &RememberedModes,
    ) -> Result<(RememberedAdapters, RememberedAdapters), CliError> {
        let stored = timeout(REMEMBERED_WITHIN, remembered(store)).await;
        let (modes, known) = match stored {
            Ok(Ok((modes, known))) => (own.less_forgotten(&modes), known),
            _ => (own.clone(), self.adapters.clone()),
        };
        let modes = modes.resolve(config.mode_words(), self.fallback.clone())?;
        while self.remembering.try_join_next().is_some() {}
        let mut wanted = known.clone();
        if !self.remembering.is_empty() {
            // What an earlier reload wanted is not written yet.
            let all = self.adapters.channels().iter().chain(known.channels());
            let all = all.map(|(channel, said_by)| (channel.clone(), said_by.clone()));
            wanted = RememberedAdapters::from_stored(all.collect());
        }
        let words = remote::words(config);
        let was_exposed = |channel: &ChannelId| {
            let modes = self.modes.as_ref();
            modes.is_some_and(|modes| remote::is_exposed(self.live.current(), modes, channel))
        };
        let wanted = wanted.resolve(&words, |channel| {
            remote::is_exposed(config, &modes, channel)
                && (matches!(words, ConfiguredAdapters::Empty(_)) || !was_exposed(channel))
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

/// The modes and the adapters that are remembered.
async fn remembered(
    store: &PairingStore,
) -> Result<(RememberedModes, RememberedAdapters), PairingError> {
    Ok((store.remembered_modes().await?, store.remembered_adapters().await?))
}
