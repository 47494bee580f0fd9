//! The keys that a process reads only at startup.

use crate::keys::KEYS;
use crate::schema::Key;
use crate::{Config, Process};

impl Process {
    /// The command in Markdown, as the reference names it.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Gate => "`gate`",
            Self::Serve => "`serve`",
        }
    }

    /// The keys that it reads only at startup, in the order of the reference; a section if that holds
    /// for all its keys.
    #[must_use]
    pub fn start_only(self) -> Vec<&'static str> {
        self.start_only_where(|_| true)
    }

    fn start_only_where(self, is_included: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let keys =
            KEYS.iter().filter(|key| key.start_only.contains(&self) && is_included(key.name));
        let name = |key: &Key| key.section().filter(|name| self.is_whole(name)).unwrap_or(key.name);
        let mut names: Vec<_> = keys.map(name).collect();
        names.dedup();
        names
    }

    /// Whether a section has several keys, all of which are read only at startup.
    fn is_whole(self, section: &str) -> bool {
        let mut keys = KEYS.iter().filter(|key| key.section() == Some(section));
        keys.clone().nth(1).is_some() && keys.all(|key| key.start_only.contains(&self))
    }
}

impl Config {
    /// The [keys](Process::start_only) that differ from `started_with`, with which `process` started:
    /// their changes need a restart.
    #[must_use]
    pub fn needs_restart(&self, started_with: &Self, process: Process) -> Vec<&'static str> {
        let value = |config: &Self, key: &str| {
            let setting = config.provenance().iter().find(|setting| setting.key == key);
            setting.map(|setting| setting.value.clone())
        };
        process.start_only_where(|key| value(self, key) != value(started_with, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sources;

    fn config(vars: &[(&str, &str)]) -> Config {
        let home = [("NEXO_HOME", "/nonexistent")];
        Sources::from_vars(home.into_iter().chain(vars.iter().copied())).load().unwrap()
    }

    #[test]
    fn each_process_has_the_keys_that_it_reads_at_startup() {
        assert_eq!(Process::Gate.start_only(), ["storage.path", "nats", "audit_days"]);
        let serve =
            ["storage.path", "setup_code.secret_path", "setup_code.secret_external", "audit_days"];
        assert_eq!(Process::Serve.start_only(), serve);
    }

    #[test]
    fn changed_keys_that_need_a_restart_are_named_for_the_process_that_reads_them() {
        let before = config(&[("NEXO_PAIRING_GATE__MODE", "open")]);
        let after = config(&[
            ("NEXO_PAIRING_NATS__SERVERS", "[nats://h:1]"),
            ("NEXO_PAIRING_NATS__TLS_REQUIRED", "true"),
            ("NEXO_PAIRING_SETUP_CODE__SECRET_PATH", "/k"),
            ("NEXO_PAIRING_SETUP_CODE__DEFAULT_TTL_SECS", "90"),
            ("NEXO_PAIRING_GATE__MODE", "pairing"),
        ]);
        assert_eq!(after.needs_restart(&before, Process::Gate), ["nats"]);
        assert_eq!(after.needs_restart(&before, Process::Serve), ["setup_code.secret_path"]);
        assert_eq!(after.needs_restart(&after, Process::Gate), [""; 0]);
    }
}
