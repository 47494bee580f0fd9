//! The ends of the layering: the defaults that it begins with, and the configuration that comes out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use nexo_pairing_core::{
    AccountId, AccountKey, ChannelId, ConfiguredModes, Mode, ModeSetting, PairingPolicy,
    PolicyOptions,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::keys::{KEYS, Values};
use crate::layer::Layer;
use crate::merged::Merged;
use crate::schema::{Key, Unset};
use crate::{Account, Config, ConfigError, Nats};

/// The built-in defaults; the paths among them are in `home`, if there is one.
pub(crate) fn defaults(home: Option<&Path>) -> Layer<'static> {
    Layer::defaults(KEYS.iter().filter_map(|key| Some((key.name, default(key, home)?))))
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

/// The configuration that the merged layers make.
pub(crate) fn config(
    figment: Figment,
    home: Option<PathBuf>,
    file: Option<PathBuf>,
) -> Result<Config, ConfigError> {
    let merged = Merged::new(figment);
    let gate = PairingPolicy::default()
        .with(&merged.get::<Gate>("gate")?.options)
        .map_err(|error| ConfigError::policy(&merged.origin("gate.mode"), "gate", error))?;
    let (accounts, words) = accounts(&merged, &gate)?.unzip();
    let mode_words = ConfiguredModes {
        default: merged
            .get::<Option<Mode>>("gate.mode")?
            .map(|mode| ModeSetting::new(mode, merged.origin("gate.mode").to_string())),
        accounts: words,
    };
    check_home(&merged)?;
    Ok(Config {
        values: Values::read(&merged)?,
        accounts,
        lost_accounts: Vec::new(),
        gate,
        mode_words,
        has_pairing: false,
        kept: Vec::new(),
        nats: nats(&merged)?,
        provenance: KEYS.iter().filter_map(|key| merged.setting(key.name)).collect(),
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
type AccountWords = BTreeMap<AccountKey, Option<ModeSetting>>;

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
        let own = own.map(|mode| ModeSetting::new(mode, origin.to_string()));
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

/// Refuses a path that nobody says and that has no home to be in.
fn check_home(merged: &Merged) -> Result<(), ConfigError> {
    for key in KEYS {
        if let Unset::InHome { what, .. } = key.unset
            && merged.json(key.name).is_none_or(|value| value.is_null())
        {
            return Err(ConfigError::NoHome { needed: what });
        }
    }
    Ok(())
}
