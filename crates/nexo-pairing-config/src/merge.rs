//! The ends of the layering: the defaults that it begins with, and the configuration that comes out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value as FigmentValue};
use nexo_pairing_core::{
    AccountId, AccountKey, ChannelId, Mode, ModeWords, PairingPolicy, PolicyOptions, SaidMode,
    limits,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::layer::{self, Layer};
use crate::schema::{KEYS, Key};
use crate::{Account, Config, ConfigError, Nats, Notices, OnReplay, Origin, Setting};

/// The built-in defaults; the paths among them are in `home`, if there is one.
pub(crate) fn defaults(home: Option<&Path>) -> Layer<'static> {
    let path =
        |below: &str| json!(home.and_then(|home| home.join(below).to_str().map(str::to_owned)));
    let gate = PairingPolicy::default();
    Layer::defaults([
        ("storage.path", path("state/pairing.db")),
        ("setup_code.secret_path", path("secret/pairing.key")),
        ("setup_code.secret_external", json!(false)),
        ("setup_code.default_ttl_secs", json!(limits::SETUP_CODE_TTL.default.as_secs())),
        ("session_ttl_secs", json!(limits::CONFIGURED_SESSION_TTL.default.as_secs())),
        ("on_replay", json!(OnReplay::default())),
        ("public_url", Value::Null),
        ("ws_cleartext_allow", json!([])),
        ("trusted_proxies", json!([])),
        ("gate.mode", Value::Null),
        ("gate.max_pending", json!(gate.max_pending)),
        ("gate.pending_ttl_secs", json!(gate.pending_ttl.as_secs())),
        ("gate.challenge_cooldown_secs", json!(gate.challenge_cooldown.as_secs())),
        ("gate.language", json!(gate.language)),
        ("gate.challenge_text", json!(gate.challenge_text)),
        ("gate.notices", json!(Notices::default())),
        ("accounts", Value::Null),
        ("adapters", json!([])),
        ("nats.servers", json!([])),
        ("nats.credentials_file", Value::Null),
        ("nats.nkey_file", Value::Null),
        ("nats.user", Value::Null),
        ("nats.password_file", Value::Null),
        ("nats.token_file", Value::Null),
        ("nats.tls_required", json!(false)),
        ("nats.tls_ca_file", Value::Null),
        ("nats.tls_cert_file", Value::Null),
        ("nats.tls_key_file", Value::Null),
        ("audit_days", json!(limits::AUDIT_DAYS.default)),
    ])
}

/// The configuration that the merged layers make.
pub(crate) fn config(
    figment: Figment,
    home: Option<PathBuf>,
    file: Option<PathBuf>,
) -> Result<Config, ConfigError> {
    let merged = Merged::new(figment);
    let path = |key, needed| -> Result<PathBuf, ConfigError> {
        merged.get::<Option<PathBuf>>(key)?.ok_or(ConfigError::NoHome { needed })
    };
    let gate = PairingPolicy::default()
        .with(&merged.get::<Gate>("gate")?.options)
        .map_err(|error| ConfigError::policy(&merged.origin("gate.mode"), "gate", error))?;
    let (accounts, words) = accounts(&merged, &gate)?.unzip();
    let mode_words = ModeWords {
        default: merged
            .get::<Option<Mode>>("gate.mode")?
            .map(|mode| SaidMode::new(mode, merged.origin("gate.mode").to_string())),
        accounts: words,
    };
    Ok(Config {
        storage_path: path("storage.path", "the database")?,
        secret_path: path("setup_code.secret_path", "the key of setup codes")?,
        secret_external: merged.get("setup_code.secret_external")?,
        setup_code_ttl: Duration::from_secs(merged.get("setup_code.default_ttl_secs")?),
        session_ttl: Duration::from_secs(merged.get("session_ttl_secs")?),
        on_replay: merged.get("on_replay")?,
        public_url: merged.get("public_url")?,
        ws_cleartext_allow: merged.get("ws_cleartext_allow")?,
        trusted_proxies: merged.get("trusted_proxies")?,
        accounts,
        lost_accounts: Vec::new(),
        gate,
        notices: merged.get("gate.notices")?,
        mode_words,
        has_pairing: false,
        kept: Vec::new(),
        adapters: merged.get("adapters")?,
        nats: nats(&merged)?,
        audit_days: merged.get("audit_days")?,
        provenance: KEYS.iter().filter_map(|Key(key, _)| merged.setting(key)).collect(),
        home,
        file,
    })
}

/// The policy among the keys of `gate`.
#[derive(Deserialize)]
struct Gate {
    #[serde(flatten)]
    options: PolicyOptions,
}

/// The accounts with their own words on their modes.
type AccountWords = BTreeMap<AccountKey, Option<SaidMode>>;

/// The configured accounts with their policies, in order, for [`Config::policy`] to search.
fn accounts(
    merged: &Merged,
    gate: &PairingPolicy,
) -> Result<Option<(Vec<Account>, AccountWords)>, ConfigError> {
    #[derive(Deserialize)]
    struct Entry {
        channel: ChannelId,
        account: AccountId,
        #[serde(flatten)]
        options: PolicyOptions,
    }
    let Some(entries) = merged.get::<Option<Vec<Entry>>>("accounts")? else {
        return Ok(None);
    };
    let origin = merged.origin("accounts");
    let account = |(at, entry): (usize, Entry)| {
        let own =
            entry.options.mode().and_then(|own| Ok((gate.clone().with(&entry.options)?, own)));
        let (policy, own) =
            own.map_err(|error| ConfigError::policy(&origin, &format!("accounts[{at}]"), error))?;
        let key = (entry.channel.clone(), entry.account.clone());
        let own = own.map(|mode| SaidMode::new(mode, origin.to_string()));
        Ok((Account { channel: entry.channel, account: entry.account, policy }, (key, own)))
    };
    let (mut accounts, words): (Vec<_>, AccountWords) = entries
        .into_iter()
        .enumerate()
        .map(account)
        .collect::<Result<Vec<_>, ConfigError>>()?
        .into_iter()
        .unzip();
    accounts.sort_by(|a, b| a.key().cmp(&b.key()));
    Ok(Some((accounts, words)))
}

/// The connection to the bus. The layers are checked one by one before, and may contradict each other.
fn nats(merged: &Merged) -> Result<Nats, ConfigError> {
    let nats: Nats = merged.get("nats")?;
    let unfit = |key: &str, problem| Err(ConfigError::unfit(&merged.origin(key), key, problem));
    let ways = [
        ("nats.credentials_file", nats.credentials_file.is_some()),
        ("nats.nkey_file", nats.nkey_file.is_some()),
        ("nats.user", nats.user.is_some()),
        ("nats.token_file", nats.token_file.is_some()),
    ];
    if let Some((key, _)) = ways.iter().filter(|(_, is_set)| *is_set).nth(1) {
        return unfit(key, "is one way to log in beside another: keep one of them");
    }
    let (user, password) = (nats.user.is_some(), nats.password_file.is_some());
    let (cert, tls_key) = (nats.tls_cert_file.is_some(), nats.tls_key_file.is_some());
    for (key, is_alone, problem) in [
        ("nats.user", user && !password, "needs `nats.password_file` beside it"),
        ("nats.password_file", password && !user, "needs `nats.user` beside it"),
        ("nats.tls_cert_file", cert && !tls_key, "needs `nats.tls_key_file` beside it"),
        ("nats.tls_key_file", tls_key && !cert, "needs `nats.tls_cert_file` beside it"),
    ] {
        if is_alone {
            return unfit(key, problem);
        }
    }
    Ok(nats)
}

/// The layers, merged once, and what [`figment`] knows of where their values came from.
struct Merged {
    figment: Figment,
    values: FigmentValue,
}

impl Merged {
    fn new(figment: Figment) -> Self {
        let values = figment.find_value("").unwrap_or_else(|_| Dict::new().into());
        Self { figment, values }
    }

    /// What [`crate::check`] let pass can be read; should it not, the message says so all the same.
    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        let unset = Dict::new().into();
        self.values.find_ref(key).unwrap_or(&unset).deserialize().map_err(|error| {
            let value = self.json(key).unwrap_or_default();
            let allowed = format!("something else: {}", error.kind);
            ConfigError::invalid(&self.origin(key), key, &value, allowed)
        })
    }

    fn origin(&self, key: &str) -> Origin {
        let tag = self.values.find_ref(key).map(FigmentValue::tag).unwrap_or_default();
        layer::origin(self.figment.get_metadata(tag))
    }

    fn setting(&self, key: &'static str) -> Option<Setting> {
        Some(Setting { key, value: self.json(key)?, origin: self.origin(key) })
    }

    fn json(&self, key: &str) -> Option<Value> {
        serde_json::to_value(self.values.find_ref(key)?).ok()
    }
}
