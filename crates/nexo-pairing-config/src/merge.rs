//! Merges the layers into a configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::{Dict, Value as FigmentValue};
use nexo_pairing_core::{
    AccountId, AccountKey, ChannelId, ConfiguredModes, Mode, ModeSetting, PairingPolicy,
    PolicyOptions,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::keys::{KEYS, Source, Values};
use crate::layer::Layer;
use crate::schema::{Key, Unset};
use crate::{Account, Config, ConfigError, Nats, Origin, Setting};

/// The lowest layer: the built-in defaults, with paths in `home`. Only here is `null` a value.
pub(crate) fn defaults(home: Option<&Path>) -> Layer<'static> {
    let mut layer = Layer::new(None, None);
    for key in KEYS {
        if let Some(value) = default(key, home) {
            layer.values.insert(key.name, (Origin::Default, value));
        }
    }
    layer
}

fn default(key: &Key, home: Option<&Path>) -> Option<Value> {
    match key.unset {
        Unset::Alias => None,
        Unset::Null => Some(Value::Null),
        Unset::Number(number) => Some(number.into()),
        Unset::Value(value) => Some(value()),
        Unset::InHome { below, .. } => {
            Some(json!(home.and_then(|home| home.join(below).to_str().map(str::to_owned))))
        }
    }
}

/// The merged layers: the values, and the origin of each key.
pub(crate) struct Merged {
    values: FigmentValue,
    origins: BTreeMap<&'static str, Origin>,
}

impl Merged {
    /// Merges the layers; a later one overrides those before.
    pub(crate) fn new<'a>(layers: impl IntoIterator<Item = Layer<'a>>) -> Self {
        let (mut figment, mut origins) = (Figment::new(), BTreeMap::new());
        for (key, (origin, value)) in layers.into_iter().flat_map(|layer| layer.values) {
            figment = figment.merge((key, value));
            origins.insert(key, origin);
        }
        Self { values: figment.find_value("").unwrap_or_else(|_| Dict::new().into()), origins }
    }

    fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    fn json(&self, key: &str) -> Option<Value> {
        serde_json::to_value(self.values.find_ref(key)?).ok()
    }

    fn setting(&self, key: &'static str) -> Option<Setting> {
        Some(Setting { key, value: self.json(key)?, origin: self.origin(key) })
    }

    /// The configuration that the layers make.
    pub(crate) fn config(
        &self,
        home: Option<PathBuf>,
        file: Option<PathBuf>,
    ) -> Result<Config, ConfigError> {
        let gate = PairingPolicy::default()
            .with(&self.get::<Gate>("gate")?.options)
            .map_err(|error| ConfigError::policy(&self.origin("gate.mode"), "gate", error))?;
        let (accounts, modes) = self.accounts(&gate)?.unzip();
        let default = self.get::<Option<Mode>>("gate.mode")?;
        let default =
            default.map(|mode| ModeSetting::new(mode, self.origin("gate.mode").to_string()));
        self.check_home()?;
        Ok(Config {
            values: Values::read(self)?,
            accounts,
            lost_accounts: Vec::new(),
            gate,
            configured_modes: ConfiguredModes { default, accounts: modes },
            has_pairing: false,
            kept: Vec::new(),
            nats: self.nats()?,
            provenance: KEYS.iter().filter_map(|key| self.setting(key.name)).collect(),
            home,
            file,
        })
    }

    /// The configured accounts with their policies, in order, for [`Config::policy`] to search.
    fn accounts(
        &self,
        gate: &PairingPolicy,
    ) -> Result<Option<(Vec<Account>, AccountModes)>, ConfigError> {
        #[derive(Deserialize)]
        struct Entry {
            channel: ChannelId,
            account: AccountId,
            #[serde(flatten)]
            options: PolicyOptions,
        }
        let Some(entries) = self.get::<Option<Vec<Entry>>>("accounts")? else {
            return Ok(None);
        };
        let origin = self.origin("accounts");
        let (mut accounts, mut modes) = (Vec::new(), AccountModes::new());
        for (at, Entry { channel, account, options }) in entries.into_iter().enumerate() {
            let inconsistent =
                |error| ConfigError::policy(&origin, &format!("accounts[{at}]"), error);
            let mode = options.mode().map_err(inconsistent)?;
            let mode = mode.map(|mode| ModeSetting::new(mode, origin.to_string()));
            let policy = gate.clone().with(&options).map_err(inconsistent)?;
            modes.insert((channel.clone(), account.clone()), mode);
            accounts.push(Account { channel, account, policy });
        }
        accounts.sort_by(|a, b| a.key().cmp(&b.key()));
        Ok(Some((accounts, modes)))
    }

    /// The connection to the bus. Each layer was checked by itself, but they may contradict each other.
    fn nats(&self) -> Result<Nats, ConfigError> {
        let is_set = |key: &str| self.json(key).is_some_and(|value| !value.is_null());
        let invalid =
            |key, problem: String| Err(ConfigError::invalid(&self.origin(key), key, problem));
        let logins = ["nats.credentials_file", "nats.nkey_file", "nats.user", "nats.token_file"];
        if let Some(key) = logins.into_iter().filter(|key| is_set(key)).nth(1) {
            return invalid(key, "is a second way to log in: keep one of them".to_owned());
        }
        for (key, other) in [
            ("nats.user", "nats.password_file"),
            ("nats.password_file", "nats.user"),
            ("nats.tls_cert_file", "nats.tls_key_file"),
            ("nats.tls_key_file", "nats.tls_cert_file"),
        ] {
            if is_set(key) && !is_set(other) {
                return invalid(key, format!("needs `{other}` beside it"));
            }
        }
        self.get("nats")
    }

    /// Rejects a path that is not set and has no default without a home directory.
    fn check_home(&self) -> Result<(), ConfigError> {
        for key in KEYS {
            if let Unset::InHome { what, .. } = key.unset
                && self.json(key.name).is_none_or(|value| value.is_null())
            {
                return Err(ConfigError::NoHome { needed: what });
            }
        }
        Ok(())
    }
}

impl Source for Merged {
    type Error = ConfigError;

    /// The value of a key or a section. Whatever passed [`crate::check`] can be read; the error is for a
    /// wrong declaration.
    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        let unset = Dict::new().into();
        self.values.find_ref(key).unwrap_or(&unset).deserialize().map_err(|error| {
            let allowed = format!("something else: {}", error.kind);
            let value = self.json(key).unwrap_or_default();
            ConfigError::not_allowed(&self.origin(key), key, &value, &allowed)
        })
    }
}

/// The policy among the keys of `gate`.
#[derive(Deserialize)]
struct Gate {
    #[serde(flatten)]
    options: PolicyOptions,
}

/// The accounts with the modes that are set for them.
type AccountModes = BTreeMap<AccountKey, Option<ModeSetting>>;
