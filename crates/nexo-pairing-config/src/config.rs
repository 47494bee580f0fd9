//! The configuration in force: every value present, within range, and with its origin.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, AccountKey, AdapterWords, ChannelId, Mode, ModeWords, ModesInForce, OnReplay,
    PairingPolicy, limits,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Network, Origin};

/// The configuration in force. [`Sources::load`](crate::Sources::load) makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) home: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) storage_path: PathBuf,
    pub(crate) secret_path: PathBuf,
    pub(crate) secret_external: bool,
    pub(crate) setup_code_ttl: Duration,
    pub(crate) session_ttl: Duration,
    pub(crate) on_replay: OnReplay,
    pub(crate) public_url: Option<String>,
    pub(crate) ws_cleartext_allow: Vec<String>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) gate: PairingPolicy,
    pub(crate) notices: Notices,
    pub(crate) accounts: Option<Vec<Account>>,
    /// After a reload that found no accounts: those that the file named last, for the ones of them that
    /// stay known.
    pub(crate) lost_accounts: Vec<Account>,
    pub(crate) mode_words: ModeWords,
    /// Whether the file gives any key below `pairing:` a value.
    pub(crate) has_pairing: bool,
    /// What a reload kept.
    pub(crate) kept: Vec<String>,
    pub(crate) adapters: Vec<Adapter>,
    pub(crate) nats: Nats,
    pub(crate) audit_days: u32,
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

    /// `storage.path`: the database. Absolute. Default `$NEXO_HOME/state/pairing.db`.
    #[must_use]
    pub fn storage_path(&self) -> &Path {
        &self.storage_path
    }

    /// `setup_code.secret_path`: the key that signs setup codes. Absolute. Default
    /// `$NEXO_HOME/secret/pairing.key`.
    #[must_use]
    pub fn secret_path(&self) -> &Path {
        &self.secret_path
    }

    /// `setup_code.secret_external`: whether the key is mounted by somebody else and never written
    /// by us. Default no.
    #[must_use]
    pub fn secret_external(&self) -> bool {
        self.secret_external
    }

    /// `setup_code.default_ttl_secs`: how long a setup code lives, within
    /// [`SETUP_CODE_TTL`](limits::SETUP_CODE_TTL).
    #[must_use]
    pub fn setup_code_ttl(&self) -> Duration {
        self.setup_code_ttl
    }

    /// `session_ttl_secs`: how long a companion's session lives, within
    /// [`CONFIGURED_SESSION_TTL`](limits::CONFIGURED_SESSION_TTL).
    #[must_use]
    pub fn session_ttl(&self) -> Duration {
        self.session_ttl
    }

    /// `on_replay`: what a setup code that is presented twice does to the session that it gave.
    /// Default [`OnReplay::Revoke`].
    #[must_use]
    pub fn on_replay(&self) -> OnReplay {
        self.on_replay
    }

    /// `public_url`: where companions reach the gateway. As it was written: the URL resolver parses
    /// it. Default none.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// `ws_cleartext_allow`: hosts (names or addresses; case does not matter) that may be reached
    /// without TLS, besides the local ones. Default none.
    #[must_use]
    pub fn ws_cleartext_allow(&self) -> &[String] {
        &self.ws_cleartext_allow
    }

    /// `trusted_proxies`: the networks whose word on a client's address is believed. Default none.
    #[must_use]
    pub fn trusted_proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }

    /// Whether `peer` is one of the [trusted proxies](Self::trusted_proxies).
    #[must_use]
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// Which modes the file, the environment and the flags say in words, and for which accounts.
    #[must_use]
    pub fn mode_words(&self) -> &ModeWords {
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

    /// `gate.notices`: where events of plugins themselves are published. Default [`Notices::Both`].
    #[must_use]
    pub fn notices(&self) -> Notices {
        self.notices
    }

    /// `accounts`, in order of channel and account; any other account is refused. `None` when not
    /// configured: then every account is known.
    #[must_use]
    pub fn accounts(&self) -> Option<&[Account]> {
        self.accounts.as_deref()
    }

    /// `adapters`: the channels that are served by another process. Default none.
    #[must_use]
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// What is said of adapters in words, not what a [reload](crate::Sources::reload) only kept.
    #[must_use]
    pub fn adapter_words(&self) -> AdapterWords {
        let said = self.provenance.iter().find(|said| said.key == "adapters");
        let Some(Setting { origin, .. }) = said.filter(|said| said.origin != Origin::Default)
        else {
            return AdapterWords::Absent;
        };
        // What the file has lost does not concern another layer.
        let is_file = matches!(origin, Origin::File(_));
        let is_kept = |key: &str| is_file && self.kept.iter().any(|kept| kept == key);
        let channels = self.adapters.iter().map(|adapter| adapter.channel.clone());
        match self.adapters.as_slice() {
            _ if is_kept("adapters") => AdapterWords::Absent,
            [] => AdapterWords::Empty(origin.to_string()),
            _ => AdapterWords::Channels(
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

    /// `audit_days`: for how many days the audit log is kept, within
    /// [`AUDIT_DAYS`](limits::AUDIT_DAYS).
    #[must_use]
    pub fn audit_days(&self) -> u32 {
        self.audit_days
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

/// A channel that is served by another process, over the broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Adapter {
    /// The channel.
    pub channel: ChannelId,
    /// The subject that its requests begin with, such as `plugin.signal`: 1 to 128 bytes, words
    /// of `[A-Za-z0-9_-]` with a dot between them. Not below `pairing`, `plugin.inbound` and
    /// `plugin.outbound`, where the gate's own messages are.
    pub prefix: String,
    /// Who writes the challenge text.
    #[serde(default)]
    pub format: ChallengeFormat,
    /// `cache_ttl_secs`: how long a normalised id is remembered, within
    /// [`ID_CACHE_TTL`](limits::ID_CACHE_TTL).
    #[serde(rename = "cache_ttl_secs", default = "cache_ttl", deserialize_with = "seconds")]
    pub cache_ttl: Duration,
}

/// Who writes the challenge text of a channel that is served by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChallengeFormat {
    /// We do, from the built-in or the configured text. The default.
    #[default]
    Default,
    /// The plugin does; it is asked over the broker.
    Broker,
}

/// Where a gate on a bus publishes the events of plugins themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notices {
    /// On `pairing.notices.…` and, as versions before did, among what is admitted. The default.
    #[default]
    Both,
    /// On `pairing.notices.…` only.
    Own,
}

/// The bus: where it is, and how to log in there. Secrets stand in files of their own, never here, so
/// that a configuration can be shown. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct Nats {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, the servers of one cluster. Default none.
    pub servers: Vec<String>,
    /// A file with a JWT and the seed of its key, as `nsc` writes it.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// A user, who has a `password_file`. 1 to 256 bytes.
    pub user: Option<String>,
    /// The file with the password of `user`.
    pub password_file: Option<PathBuf>,
    /// A file with a token.
    pub token_file: Option<PathBuf>,
    /// Whether a server without TLS is refused. Default no.
    pub tls_required: bool,
    /// Who vouches for the servers (PEM). Default: the authorities of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// Our certificate with its chain (PEM), for servers that ask for one.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of our certificate (PEM).
    pub tls_key_file: Option<PathBuf>,
}

fn cache_ttl() -> Duration {
    limits::ID_CACHE_TTL.default
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
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
