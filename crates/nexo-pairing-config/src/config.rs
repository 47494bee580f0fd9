//! The effective configuration: every value present, within range, and with its origin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, AccountKey, ChannelId, ConfiguredAdapters, ConfiguredModes, Mode, ModesInForce,
    Network, OnReplay, PairingPolicy,
};
use serde::Serialize;
use serde_json::Value;

use crate::keys::{Adapter, Notices, Values};
use crate::{Nats, Origin};

/// The effective configuration, from [`Sources::load`](crate::Sources::load).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) home: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) values: Values,
    pub(crate) gate: PairingPolicy,
    pub(crate) accounts: Option<Vec<Account>>,
    /// After a reload without accounts: the last ones that the file named, for those that stay known.
    pub(crate) lost_accounts: Vec<Account>,
    pub(crate) configured_modes: ConfiguredModes,
    /// Whether the file gives any key below `pairing:` a value.
    pub(crate) has_pairing: bool,
    /// The keys that a reload kept.
    pub(crate) kept: Vec<String>,
    pub(crate) nats: Nats,
    pub(crate) provenance: Vec<Setting>,
}

impl Config {
    /// Nexo's home directory: `NEXO_HOME`, or else `~/.nexo`. `None` if neither is known and nothing
    /// needed it.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The configuration file that was read; `None` without one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The modes that the file, the environment and the flags set explicitly, and for which accounts.
    #[must_use]
    pub fn configured_modes(&self) -> &ConfiguredModes {
        &self.configured_modes
    }

    /// This configuration with these modes and accounts in force.
    #[must_use]
    pub fn with_modes(mut self, modes: &ModesInForce) -> Self {
        let known = modes.remembered().accounts();
        // If accounts are named, any other one is refused, even by a process that has not read them yet.
        self.gate.mode = match (known, modes.remembered().default_mode()) {
            (None, Some(default)) => default.mode,
            _ => Mode::Allowlist,
        };
        self.accounts = known.map(|known| {
            let account = |key: &AccountKey| {
                let named = self.accounts.as_ref().unwrap_or(&self.lost_accounts);
                let policy = policy_in(named, key.0.as_str(), key.1.as_str());
                let mut policy = policy.unwrap_or(&self.gate).clone();
                policy.mode = modes.mode(&key.0, &key.1).unwrap_or(policy.mode);
                Account { channel: key.0.clone(), account: key.1.clone(), policy }
            };
            known.keys().map(account).collect()
        });
        self
    }

    /// How this account treats strangers: its entry in `accounts` over `gate` over the defaults.
    /// An account without an entry has the policy of `gate`. Does not allocate.
    #[must_use]
    pub fn policy(&self, channel: &str, account: &str) -> &PairingPolicy {
        let accounts = self.accounts().unwrap_or_default();
        policy_in(accounts, channel, account).unwrap_or(&self.gate)
    }

    /// How accounts without an entry in `accounts` treat strangers: `gate` over the defaults.
    #[must_use]
    pub fn default_policy(&self) -> &PairingPolicy {
        &self.gate
    }

    /// `accounts`, in order of channel and account; any other account is refused. `None` if not
    /// configured: then every account is known.
    #[must_use]
    pub fn accounts(&self) -> Option<&[Account]> {
        self.accounts.as_deref()
    }

    /// The adapters that are set explicitly, without those that a [reload](crate::Sources::reload) kept.
    #[must_use]
    pub fn configured_adapters(&self) -> ConfiguredAdapters {
        let setting = self.provenance.iter().find(|setting| setting.key == "adapters");
        let Some(origin) = setting.map(|it| &it.origin).filter(|it| **it != Origin::Default) else {
            return ConfiguredAdapters::Absent;
        };
        // Entries that the file lost do not concern another layer.
        let is_file = matches!(origin, Origin::File(_));
        let is_kept = |key: &str| is_file && self.kept.iter().any(|kept| kept == key);
        let channels = self.adapters().iter().map(|adapter| adapter.channel.clone());
        match self.adapters() {
            _ if is_kept("adapters") => ConfiguredAdapters::Absent,
            [] => ConfiguredAdapters::Empty(origin.to_string()),
            _ => ConfiguredAdapters::Channels(
                channels.filter(|channel| !is_kept(&format!("adapters[{channel}]"))).collect(),
                origin.to_string(),
            ),
        }
    }

    /// `nats`: the address of the bus, and the login. Default: no server.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// After a [reload](crate::Sources::reload): the keys that the file no longer sets and that keep
    /// their values, such as `session_ttl_secs`, `adapters[signal]` or `accounts[irc/bot].max_pending`.
    #[must_use]
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// Every key with its effective value and its origin, in the order of the reference.
    #[must_use]
    pub fn provenance(&self) -> &[Setting] {
        &self.provenance
    }
}

/// The values of single keys. Their bounds and defaults are in the [reference](crate::reference()).
impl Config {
    methods!();
}

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// The key, such as `gate.mode`.
    pub key: &'static str,
    /// Its effective value; paths are absolute, `null` if not set. `gate.auto_challenge` shows as the
    /// corresponding `gate.mode`.
    pub value: Value,
    /// The origin of the value.
    pub origin: Origin,
}

/// A configured bot account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The channel.
    pub channel: ChannelId,
    /// The account on the channel.
    pub account: AccountId,
    /// How it treats strangers.
    pub policy: PairingPolicy,
}

impl Account {
    pub(crate) fn key(&self) -> (&str, &str) {
        (self.channel.as_str(), self.account.as_str())
    }
}

/// The policy of an account, if it is among `accounts`, which are sorted.
fn policy_in<'a>(
    accounts: &'a [Account],
    channel: &str,
    account: &str,
) -> Option<&'a PairingPolicy> {
    let found = accounts.binary_search_by(|entry| entry.key().cmp(&(channel, account))).ok()?;
    Some(&accounts[found].policy)
}
