//! Loads valid and invalid configurations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hostile;
mod layers;
mod refused;

use std::path::PathBuf;

use nexo_pairing_config::{Config, ConfigError, Sources};
use tempfile::TempDir;

/// A home directory of Nexo, and an environment that sets only that.
struct Home {
    dir: TempDir,
    vars: Vec<(String, String)>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        let home = dir.path().to_str().unwrap().to_owned();
        Self { dir, vars: vec![("NEXO_HOME".into(), home)] }
    }

    /// With this file at the default path.
    fn with_file(text: impl AsRef<[u8]>) -> Self {
        let home = Self::new();
        std::fs::write(home.file(), text).unwrap();
        home
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn file(&self) -> PathBuf {
        self.path("config/pairing.yaml")
    }

    fn sources(&self) -> Sources {
        Sources::from_vars(self.vars.clone())
    }

    fn load(&self) -> Result<Config, ConfigError> {
        self.sources().load()
    }

    /// The error with its causes, and with `FILE` for the path of the file.
    fn error(&self) -> String {
        message(&self.load().unwrap_err()).replace(self.file().to_str().unwrap(), "FILE")
    }
}

fn message(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", message(source)),
        None => error.to_string(),
    }
}

/// The origin of `key`.
fn origin(config: &Config, key: &str) -> String {
    let setting = config.provenance().iter().find(|setting| setting.key == key);
    setting.unwrap_or_else(|| panic!("no {key}")).origin.to_string()
}
