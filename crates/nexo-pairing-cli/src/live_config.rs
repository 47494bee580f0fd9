//! The configuration of a long-running command: read at the start, and again on SIGHUP.

use nexo_pairing::config::{Config, Process, Sources};

use crate::Result;
use crate::issuer::blocking;

/// The configuration in use, and its sources.
pub(crate) struct LiveConfig {
    process: Process,
    sources: Sources,
    started_with: Config,
    current: Config,
}

impl LiveConfig {
    /// Reads it for the first time.
    pub(crate) fn load(process: Process, sources: Sources) -> Result<Self> {
        let started_with = sources.load()?;
        let current = started_with.clone();
        Ok(Self { process, sources, started_with, current })
    }

    /// The configuration in use.
    pub(crate) fn current(&self) -> &Config {
        &self.current
    }

    /// Reads it again; it is in use from [`take`](Self::take) on. An invalid or missing file is an error.
    pub(crate) async fn read_again(&self) -> Result<Config> {
        let (sources, old) = (self.sources.clone(), self.current.clone());
        Ok(blocking("read the configuration", move || sources.reload(&old)).await??)
    }

    /// Puts a configuration in use that was read again.
    pub(crate) fn take(&mut self, config: Config) {
        self.current = config;
    }

    /// The settings that were changed but need a restart, a sentence each.
    pub(crate) fn needs_restart(&self) -> impl Iterator<Item = String> {
        let keys = self.current.needs_restart(&self.started_with, self.process);
        keys.into_iter().map(|key| format!("{key} has changed: that needs a restart"))
    }
}

/// The keys that a process reads only at its start, for its help: `a, b and c`.
pub(crate) fn start_only(process: Process) -> String {
    let keys = process.start_only();
    match keys.as_slice() {
        [] => "nothing".to_owned(),
        [key] => (*key).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
