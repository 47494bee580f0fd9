//! The configuration of a command that runs for long: read when it starts, and again on SIGHUP.

use nexo_pairing::config::{Config, Process, Sources};

use crate::error::CliError;
use crate::issuer::blocking;

/// The configuration as it was read last, and what it is read from.
pub(crate) struct LiveConfig {
    process: Process,
    sources: Sources,
    started_with: Config,
    current: Config,
}

impl LiveConfig {
    /// Reads it for the first time.
    pub(crate) fn load(process: Process, sources: Sources) -> Result<Self, CliError> {
        let started_with = sources.load()?;
        let current = started_with.clone();
        Ok(Self { process, sources, started_with, current })
    }

    /// As it was read last and taken.
    pub(crate) fn current(&self) -> &Config {
        &self.current
    }

    /// Reads it again; it counts from [`take`](Self::take) on. One that is wrong or lost is an error.
    pub(crate) async fn read_again(&self) -> Result<Config, CliError> {
        let (sources, old) = (self.sources.clone(), self.current.clone());
        Ok(blocking("read the configuration", move || sources.reload(&old)).await??)
    }

    /// Takes what was read again.
    pub(crate) fn take(&mut self, config: Config) {
        self.current = config;
    }

    /// What was changed since the start and only counts from the next one on, a sentence each.
    pub(crate) fn needs_restart(&self) -> impl Iterator<Item = String> {
        let keys = self.current.needs_restart(&self.started_with, self.process);
        keys.into_iter().map(|key| format!("{key} has changed: that needs a restart"))
    }
}

/// The keys that a process looks at only when it starts, as its help lists them: `a, b and c`.
pub(crate) fn start_only(process: Process) -> String {
    let keys = process.start_only();
    match keys.as_slice() {
        [] => "nothing".to_owned(),
        [key] => (*key).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
