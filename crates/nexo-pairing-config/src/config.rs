//! The configuration in force: every value present, within range, and with its origin.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nexo_pairing_core::{
    AccountId, AccountKey, ChannelId, ConfiguredAdapters, ConfiguredModes, Mode, ModesInForce,
    PairingPolicy,
};
use serde::Serialize;
use serde_json::Value;

use crate::keys::Values;
use crate::{Nats, Origin};

/// The configuration in force. [`Sources::load`](crate::Sources::load) makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) home: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) values: Values,
    pub(crate) gate: PairingPolicy,
    pub(crate) accounts: Option<Vec<Account>>,
    /// After a reload that found no accounts: those that the file named last, for the ones of them that
    /// stay known.
    pub(crate) lost_accounts: Vec<Account>,
    pub(crate) mode_words: ConfiguredModes,
    /// Whether the file gives any key below `pairing:` a value.
    pub(crate) has_pairing: bool,
    /// What a reload kept.
    pub(crate) kept: Vec<String>,
    pub(crate) nats: Nats,
    pub(crate) provenance: Vec<Setting>,
}

impl Config {
    /// Nexo's home directory: `NEXO_HOME`, else `~/.nexo`. `None` when neither is known and
    /// nothing needed it.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The configuration file that was read; `None` when there is none.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether `peer` is one of the [trusted proxies](Self::trusted_proxies).
    #[must_use]
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies().iter().any(|network| network.contains(peer))
    }

    /// Which modes the file, the environment and the flags say in words, and for which accounts.
    #[must_use]
    pub fn mode_words(&self) -> &ConfiguredModes {
        &self.mode_words
    }

    /// This configuration, with the modes and the accounts that are in force.
    #[must_use]
    pub fn with_modes(mut self, modes: &ModesInForce) -> Self {
        let known = modes.remembered().accounts();
        // Where accounts are named, every other one is refused, also by whoever did not hear of it yet.
        self.gate.mode = match (known, modes.remembered().default_mode()) {
            (None, Some(said)) => said.mode,
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
    /// An account without an entry has `gate`'s policy. Allocates nothing.
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

    /// `accounts`, in order of channel and account; any other account is refused. `None` when not
    /// configured: then every account is known.
    #[must_use]
    pub fn accounts(&self) -> Option<&[Account]> {
        self.accounts.as_deref()
    }

    /// What is said of adapters in words, not what a [reload](crate::Sources::reload) only kept.
    #[must_use]
    pub fn adapter_words(&self) -> ConfiguredAdapters {
        let said = self.provenance.iter().find(|said| said.key == "adapters");
        let Some(Setting { origin, .. }) = said.filter(|said| said.origin != Origin::Default)
        else {
            return ConfiguredAdapters::Absent;
        };
        // What the file has lost does not concern another layer.
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

    /// `nats`: where the bus is, and how to log in there. Default: nowhere.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// After a [reload](crate::Sources::reload): the keys that the file does not say any more and that
    /// keep their values, such as `session_ttl_secs`, `adapters[signal]` or `accounts[irc/bot].max_pending`.
    #[must_use]
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// Every key with its value in force and where that came from, in the order of the reference.
    #[must_use]
    pub fn provenance(&self) -> &[Setting] {
        &self.provenance
    }
}

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// The key, such as `gate.mode`.
    pub key: &'static str,
    /// Its value in force; paths are absolute, what is not set is `null`. `gate.auto_challenge`
    /// shows as the `gate.mode` that it stands for.
    pub value: Value,
    /// Where the value came from.
    pub origin: Origin,
}

/// A bot account that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The channel.
    pub channel: ChannelId,
    /// The account on it.
    pub account: AccountId,
    /// How it treats strangers.
    pub policy: PairingPolicy,
}

impl Account {
    pub(crate) fn key(&self) -> (&str, &str) {
        (self.channel.as_str(), self.account.as_str())
    }
}

/// The policy of an account, if it is among `accounts`, which are in order.
fn policy_in<'a>(
    accounts: &'a [Account],
    channel: &str,
    account: &str,
) -> Option<&'a PairingPolicy> {
    let found = accounts.binary_search_by(|entry| entry.key().cmp(&(channel, account))).ok()?;
    Some(&accounts[found].policy)
}
