//! Finds the sources, and lays what they say over each other.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use figment::Figment;

use crate::layer::Layer;
use crate::read::{self, ATTEMPTS, FileSystem, System};
use crate::{Config, ConfigError, Origin, merge, schema};

/// Where the configuration comes from.
///
/// ```
/// use nexo_pairing_config::Sources;
///
/// let config = Sources::from_vars([
///     ("NEXO_HOME", "/nonexistent"),
///     ("NEXO_PAIRING_GATE__MODE", "pairing"),
/// ])
/// .load()?;
/// assert_eq!(config.policy("whatsapp", "personal").mode.as_str(), "pairing");
/// # Ok::<_, nexo_pairing_config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sources {
    vars: Vec<(OsString, OsString)>,
    config: Option<PathBuf>,
    db: Option<PathBuf>,
    public_url: Option<String>,
    auto_challenge: bool,
    nats: Vec<String>,
}

impl Sources {
    /// This process's environment, and no flags.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    /// These variables as the environment, and no flags. Of them, `NEXO_PAIRING_*`, `NEXO_HOME` and
    /// `HOME` are kept.
    #[must_use]
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        // The others may be secrets of other programs, and `Sources` has a `Debug`.
        let is_ours = |name: &OsStr| {
            name == "NEXO_HOME"
                || name == "HOME"
                || name.to_string_lossy().starts_with(schema::PREFIX)
        };
        let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        let vars = vars.filter(|(name, _)| is_ours(name)).collect();
        Self { vars, ..Self::default() }
    }

    /// `--config`: the configuration file, which then has to exist. Without it,
    /// `$NEXO_HOME/config/pairing.yaml`, if there is one.
    #[must_use]
    pub fn with_config(mut self, path: Option<PathBuf>) -> Self {
        self.config = path;
        self
    }

    /// `--db`: the database, whatever the other layers say of `storage.path`.
    #[must_use]
    pub fn with_db(mut self, path: Option<PathBuf>) -> Self {
        self.db = path;
        self
    }

    /// The path that [`with_db`](Self::with_db) gives: known also where the configuration cannot be
    /// read.
    #[must_use]
    pub fn db(&self) -> Option<&Path> {
        self.db.as_deref()
    }

    /// `--public-url`: whatever the other layers say of `public_url`.
    #[must_use]
    pub fn with_public_url(mut self, url: Option<String>) -> Self {
        self.public_url = url;
        self
    }

    /// `--auto-challenge`: mode `pairing` for accounts that say nothing else. It is the one flag
    /// that lies *below* the file and the environment: it replaces the default of `gate.mode`.
    #[must_use]
    pub fn with_auto_challenge(mut self, on: bool) -> Self {
        self.auto_challenge = on;
        self
    }

    /// `--nats`: the servers, whatever the other layers say of `nats.servers`; none says nothing.
    #[must_use]
    pub fn with_nats(mut self, servers: Vec<String>) -> Self {
        self.nats = servers;
        self
    }

    /// Reads the file, and lays defaults, file, environment and flags over each other. A process that
    /// runs with a configuration already calls [`reload`](Self::reload).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a source is not readable, or says anything that is unknown, of the wrong
    /// type, out of range or contradictory, also where a later layer overrides it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_from(&System)
    }

    /// Reads everything again, for a process that runs with `old`: on an error, keep that.
    ///
    /// What is absent changes nothing. Where `old` came of a file that says something below
    /// `pairing:`, one that is gone, empty or without any of it is an error here. A key that the file
    /// of `old` gave a value keeps that value, unless the new file gives it another one:
    /// [`Config::kept`] lists such keys. A file that is being written, or is not complete, is tried
    /// again for a quarter of a second.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load); [`ConfigError::Lost`], [`ConfigError::Changing`] and
    /// [`ConfigError::Cut`] besides.
    pub fn reload(&self, old: &Config) -> Result<Config, ConfigError> {
        self.reload_from(&System, old)
    }

    pub(crate) fn load_from(&self, files: &dyn FileSystem) -> Result<Config, ConfigError> {
        let is_changing = |error: &ConfigError| matches!(error, ConfigError::Changing { .. });
        retry(files, is_changing, || self.layered(files, None))
    }

    pub(crate) fn reload_from(
        &self,
        files: &dyn FileSystem,
        old: &Config,
    ) -> Result<Config, ConfigError> {
        // Whatever is wrong may be right as soon as its writer is done.
        retry(files, |_| true, || self.layered(files, Some(old)))
    }

    /// The layers over each other, as they are now. For a reload over `old`, the file is looked at
    /// twice, and what it has lost is kept.
    fn layered(&self, files: &dyn FileSystem, old: Option<&Config>) -> Result<Config, ConfigError> {
        let home = self.home()?;
        let user_home = self.var("HOME")?;
        let path = self.path(home.as_deref())?;
        let file = match read::text(files, &path, self.config.is_some(), old.is_some())? {
            Some(text) if old.is_some() && read::is_cut(&text) => {
                return Err(ConfigError::Cut { path });
            }
            text => text.map(|text| (path, text)),
        };

        let mut defaults = merge::defaults(home.as_deref());
        if self.auto_challenge {
            let flag = Origin::Flag("--auto-challenge".to_owned());
            defaults.say(&flag, "gate.mode", "pairing".into())?;
        }
        let mut layers = vec![defaults];

        let (mut has_pairing, mut kept) = (false, Vec::new());
        if let Some((path, text)) = &file {
            let mut layer = Layer::new(path.parent(), user_home);
            layer.say_file(&Origin::File(path.clone()), text)?;
            has_pairing = !layer.is_empty();
            kept = old.map(|old| layer.keep(&old.provenance)).unwrap_or_default();
            layers.push(layer);
        }
        if let Some(old) = old
            && let Some(path) = &old.file
            && old.has_pairing
            && !has_pairing
        {
            return Err(ConfigError::Lost { path: path.clone() });
        }

        let mut environment = Layer::new(None, user_home);
        for (name, value) in &self.vars {
            let name = name.to_string_lossy();
            if name.starts_with(schema::PREFIX) {
                environment.say_variable(&name, utf8(value, &name)?)?;
            }
        }
        layers.push(environment);

        let mut flags = Layer::new(None, user_home);
        if let Some(db) = &self.db {
            let db = utf8(db.as_os_str(), "the path of --db")?;
            flags.say(&Origin::Flag("--db".to_owned()), "storage.path", db.into())?;
        }
        if let Some(url) = &self.public_url {
            let flag = Origin::Flag("--public-url".to_owned());
            flags.say(&flag, "public_url", url.as_str().into())?;
        }
        if !self.nats.is_empty() {
            let flag = Origin::Flag("--nats".to_owned());
            flags.say(&flag, "nats.servers", self.nats.clone().into())?;
        }
        layers.push(flags);

        let mut figment = Figment::new();
        for mut layer in layers {
            layer.settle_mode()?;
            figment = layer.over(figment);
        }
        let config = merge::config(figment, home, file.map(|(path, _)| path))?;
        let lost_accounts = match (&config.accounts, old) {
            (None, Some(old)) => old.accounts.as_ref().unwrap_or(&old.lost_accounts).clone(),
            _ => Vec::new(),
        };
        Ok(Config { has_pairing, kept, lost_accounts, ..config })
    }

    /// Nexo's home directory, if anything says where it is.
    fn home(&self) -> Result<Option<PathBuf>, ConfigError> {
        let home = match self.var("NEXO_HOME")? {
            Some(home) => PathBuf::from(home),
            None => match self.var("HOME")? {
                Some(home) => Path::new(home).join(".nexo"),
                None => return Ok(None),
            },
        };
        Ok(Some(absolute(home)))
    }

    /// The configuration file, as an absolute path.
    fn path(&self, home: Option<&Path>) -> Result<PathBuf, ConfigError> {
        match (&self.config, home) {
            (Some(path), _) => Ok(absolute(path.clone())),
            (None, Some(home)) => Ok(home.join("config").join("pairing.yaml")),
            (None, None) => Err(ConfigError::NoHome { needed: "the configuration file" }),
        }
    }

    /// The variable of this name, unless it is empty.
    fn var(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        let found = self.vars.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| utf8(value, name)).transpose()
    }
}

/// Tries until it succeeds, fails for good, or has tried often enough.
fn retry(
    files: &dyn FileSystem,
    is_passing: impl Fn(&ConfigError) -> bool,
    attempt: impl Fn() -> Result<Config, ConfigError>,
) -> Result<Config, ConfigError> {
    let mut result = attempt();
    for _ in 1..ATTEMPTS {
        if !result.as_ref().is_err_and(&is_passing) {
            break;
        }
        files.pause();
        result = attempt();
    }
    result
}

fn utf8<'a>(text: &'a OsStr, what: &str) -> Result<&'a str, ConfigError> {
    text.to_str().ok_or_else(|| ConfigError::NotUtf8 { what: what.to_owned() })
}

fn absolute(path: PathBuf) -> PathBuf {
    // It fails for an empty path and where the working directory is gone; opening will tell.
    std::path::absolute(&path).unwrap_or(path)
}
