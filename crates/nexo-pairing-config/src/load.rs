//! Finds the sources and merges them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use derive_setters::Setters;

use crate::layer::Layer;
use crate::merge::{self, Merged};
use crate::read::{self, ATTEMPTS, FileSystem, System};
use crate::{Config, ConfigError, Origin, schema};

/// The sources of the configuration.
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
#[derive(Debug, Clone, Default, Setters)]
#[setters(prefix = "with_")]
pub struct Sources {
    #[setters(skip)]
    vars: Vec<(OsString, OsString)>,
    /// `--config`: the configuration file, which then must exist. Default:
    /// `$NEXO_HOME/config/pairing.yaml`, if it exists.
    config: Option<PathBuf>,
    /// `--db`: the database; overrides `storage.path` of the other layers.
    db: Option<PathBuf>,
    /// `--public-url`: overrides `public_url` of the other layers.
    public_url: Option<String>,
    /// `--auto-challenge`: mode `pairing` for accounts without another one. It is the one flag *below* the
    /// file and the environment: it replaces the default of `gate.mode`.
    auto_challenge: bool,
    /// `--nats`: the servers; override `nats.servers` of the other layers unless empty.
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
        // The others may be secrets of other programs, and `Sources` is `Debug`.
        let is_ours = |name: &OsStr| {
            name == "NEXO_HOME"
                || name == "HOME"
                || name.to_string_lossy().starts_with(schema::PREFIX)
        };
        let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        let vars = vars.filter(|(name, _)| is_ours(name)).collect();
        Self { vars, ..Self::default() }
    }

    /// The path that [`with_db`](Self::with_db) set: known even if the configuration cannot be read.
    #[must_use]
    pub fn db(&self) -> Option<&Path> {
        self.db.as_deref()
    }

    /// Reads the file and merges defaults, file, environment and flags. A running process calls
    /// [`reload`](Self::reload) instead.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a source cannot be read, or contains anything that is unknown, of the wrong
    /// type, out of range or contradictory, even if a later layer overrides it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_from(&System, None)
    }

    /// Reads everything again, for a process that runs with `old`: on an error, keep that.
    ///
    /// What is absent changes nothing. If the file of `old` set anything below `pairing:`, a file that is
    /// gone, empty or sets nothing there is an error. A key that the file of `old` set keeps its value,
    /// unless the new file sets another one: [`Config::kept`] lists such keys. A file that is being
    /// written, or is incomplete, is tried again for a quarter of a second.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load), and [`ConfigError::Lost`], [`ConfigError::Changing`] and
    /// [`ConfigError::Truncated`].
    pub fn reload(&self, old: &Config) -> Result<Config, ConfigError> {
        self.load_from(&System, Some(old))
    }

    /// Loads until it succeeds, fails permanently, or was tried often enough.
    pub(crate) fn load_from(
        &self,
        files: &dyn FileSystem,
        old: Option<&Config>,
    ) -> Result<Config, ConfigError> {
        for _ in 1..ATTEMPTS {
            match self.layered(files, old) {
                // On a reload, anything wrong may be right as soon as the writer is done.
                Err(error) if old.is_some() || matches!(error, ConfigError::Changing { .. }) => {
                    files.pause();
                }
                result => return result,
            }
        }
        self.layered(files, old)
    }

    /// Loads and merges the layers once. For a reload over `old`, the file is read carefully, and values
    /// that it lost are kept.
    fn layered(&self, files: &dyn FileSystem, old: Option<&Config>) -> Result<Config, ConfigError> {
        let home = self.home()?;
        let user_home = self.var("HOME")?;
        let path = self.path(home.as_deref())?;
        let file = match read::text(files, &path, self.config.is_some(), old.is_some())? {
            Some(text) if old.is_some() && read::is_truncated(&text) => {
                return Err(ConfigError::Truncated { path });
            }
            text => text.map(|text| (path, text)),
        };
        let flag = |name: &str| Origin::Flag(name.to_owned());

        let mut defaults = merge::defaults(home.as_deref());
        if self.auto_challenge {
            defaults.set(&flag("--auto-challenge"), "gate.mode", "pairing".into())?;
        }

        let base = file.as_ref().and_then(|(path, _)| path.parent());
        let mut from_file = Layer::new(base, user_home);
        if let Some((path, text)) = &file {
            from_file.set_file(&Origin::File(path.clone()), text)?;
        }
        let has_pairing = !from_file.values.is_empty();
        let mut kept = Vec::new();
        if let Some(old) = old {
            if let (Some(path), true, false) = (&old.file, old.has_pairing, has_pairing) {
                return Err(ConfigError::Lost { path: path.clone() });
            }
            if file.is_some() {
                kept = from_file.keep(&old.provenance);
            }
        }

        let mut environment = Layer::new(None, user_home);
        for (name, value) in &self.vars {
            let name = name.to_string_lossy();
            if name.starts_with(schema::PREFIX) {
                environment.set_variable(&name, utf8(value, &name)?)?;
            }
        }

        let mut flags = Layer::new(None, user_home);
        if let Some(db) = &self.db {
            let db = utf8(db.as_os_str(), "the path of --db")?;
            flags.set(&flag("--db"), "storage.path", db.into())?;
        }
        if let Some(url) = &self.public_url {
            flags.set(&flag("--public-url"), "public_url", url.as_str().into())?;
        }
        if !self.nats.is_empty() {
            flags.set(&flag("--nats"), "nats.servers", self.nats.clone().into())?;
        }

        let mut layers = [defaults, from_file, environment, flags];
        layers.iter_mut().try_for_each(Layer::resolve_auto_challenge)?;
        let config = Merged::new(layers).config(home, file.map(|(path, _)| path))?;
        let lost_accounts = match (&config.accounts, old) {
            (None, Some(old)) => old.accounts.as_ref().unwrap_or(&old.lost_accounts).clone(),
            _ => Vec::new(),
        };
        Ok(Config { has_pairing, kept, lost_accounts, ..config })
    }

    /// Nexo's home directory, if known.
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

fn utf8<'a>(text: &'a OsStr, what: &str) -> Result<&'a str, ConfigError> {
    text.to_str().ok_or_else(|| ConfigError::NotUtf8 { what: what.to_owned() })
}

fn absolute(path: PathBuf) -> PathBuf {
    // Fails for an empty path or without a working directory; then opening the file reports it.
    std::path::absolute(&path).unwrap_or(path)
}
