//! Every key that there is, and what it may say.

use std::net::IpAddr;
use std::time::Duration;

use nexo_pairing_core::limits::{self, Bounds};
use nexo_pairing_core::{AccountId, ChannelId, Language, Mode, PairingPolicy, PolicyOptions};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::{ChallengeFormat, Network, Notices, OnReplay, Origin};

/// What the names of our environment variables begin with.
pub(crate) const PREFIX: &str = "NEXO_PAIRING_";

/// The keys, in the order of the reference.
pub(crate) static KEYS: &[Key] = &[
    Key("storage.path", PATH),
    Key("setup_code.secret_path", PATH),
    Key("setup_code.secret_external", Shape::Bool),
    Key("setup_code.default_ttl_secs", Shape::seconds(limits::SETUP_CODE_TTL)),
    Key("session_ttl_secs", Shape::seconds(limits::CONFIGURED_SESSION_TTL)),
    Key("on_replay", Shape::Text(Text("`revoke` or `refuse`", reads::<OnReplay>))),
    Key("public_url", Shape::Text(Text("a URL of 1 to 2048 bytes", is_url))),
    Key("ws_cleartext_allow", Shape::Texts(Text(HOST, is_host))),
    Key("trusted_proxies", Shape::Texts(Text(NETWORK, reads::<Network>))),
    Key("gate.mode", MODE),
    Key("gate.auto_challenge", Shape::Bool),
    Key("gate.max_pending", MAX_PENDING),
    Key("gate.pending_ttl_secs", PENDING_TTL),
    Key("gate.challenge_cooldown_secs", COOLDOWN),
    Key("gate.language", LANGUAGE),
    Key("gate.challenge_text", CHALLENGE_TEXT),
    Key("gate.notices", Shape::Text(Text("`both` or `own`", reads::<Notices>))),
    Key("accounts", Shape::Entries(ACCOUNT)),
    Key("adapters", Shape::Entries(ADAPTER)),
    Key("nats.servers", Shape::Texts(Text(NATS_SERVER, is_nats_server))),
    Key("nats.credentials_file", PATH),
    Key("nats.nkey_file", PATH),
    Key("nats.user", Shape::Text(Text("a name of 1 to 256 bytes", is_nats_user))),
    Key("nats.password_file", PATH),
    Key("nats.token_file", PATH),
    Key("nats.tls_required", Shape::Bool),
    Key("nats.tls_ca_file", PATH),
    Key("nats.tls_cert_file", PATH),
    Key("nats.tls_key_file", PATH),
    Key("audit_days", Shape::number(limits::AUDIT_DAYS)),
];

/// A key, and what it may say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(crate) &'static str, pub(crate) Shape);

/// What a key may say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number from … to ….
    Number(u64, u64),
    /// A text.
    Text(Text),
    /// A text that names a file.
    Path(Text),
    /// A list of texts.
    Texts(Text),
    /// A list of entries with keys of their own.
    Entries(Entry),
}

impl Shape {
    const fn number(bounds: Bounds<u32>) -> Self {
        Self::Number(bounds.min as u64, bounds.max as u64)
    }

    const fn seconds(bounds: Bounds<Duration>) -> Self {
        Self::Number(bounds.min.as_secs(), bounds.max.as_secs())
    }
}

/// What texts are allowed, in words, and whether one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) fn(&str) -> bool);

/// What an entry of a list has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its keys.
    pub(crate) keys: &'static [Key],
    /// The keys that it cannot be without.
    pub(crate) required: &'static [&'static str],
    /// The keys that tell it from the other entries.
    pub(crate) identity: &'static [&'static str],
}

const ACCOUNT: Entry = Entry {
    keys: &[
        Key("channel", CHANNEL),
        Key("account", Shape::Text(Text("an account: [A-Za-z0-9_-]{1,64}", reads::<AccountId>))),
        Key("mode", MODE),
        Key("auto_challenge", Shape::Bool),
        Key("max_pending", MAX_PENDING),
        Key("pending_ttl_secs", PENDING_TTL),
        Key("challenge_cooldown_secs", COOLDOWN),
        Key("language", LANGUAGE),
        Key("challenge_text", CHALLENGE_TEXT),
    ],
    required: &["channel", "account"],
    identity: &["channel", "account"],
};

const ADAPTER: Entry = Entry {
    keys: &[
        Key("channel", CHANNEL),
        Key("prefix", Shape::Text(Text(PLUGIN_PREFIX, is_plugin_prefix))),
        Key("format", Shape::Text(Text("`default` or `broker`", reads::<ChallengeFormat>))),
        Key("cache_ttl_secs", Shape::seconds(limits::ID_CACHE_TTL)),
    ],
    required: &["channel", "prefix"],
    identity: &["channel"],
};

const PATH: Shape = Shape::Path(Text(
    "a path: absolute, relative, or `~/…`; other shorthands and variables are not filled in",
    |text| !text.is_empty() && !text.contains('\0') && is_plain_start(text),
));
const CHANNEL: Shape = Shape::Text(Text("a channel: [a-z0-9][a-z0-9_-]{0,31}", reads::<ChannelId>));
const MODE: Shape = Shape::Text(Text("`open`, `allowlist` or `pairing`", reads::<Mode>));
const MAX_PENDING: Shape = Shape::number(limits::MAX_PENDING);
const PENDING_TTL: Shape = Shape::seconds(limits::PENDING_TTL);
const COOLDOWN: Shape = Shape::seconds(limits::CHALLENGE_COOLDOWN);
const LANGUAGE: Shape = Shape::Text(Text("`en`, `es` or `pt`", reads::<Language>));
const CHALLENGE_TEXT: Shape =
    Shape::Text(Text("1 to 1000 bytes with `{code}` or `{command}` in it", is_challenge));
const HOST: &str = "a host name or an address, without scheme, port and path";
const NATS_SERVER: &str =
    "`nats://HOST:PORT` or `tls://HOST:PORT`, without a user, a password and a path";
const PLUGIN_PREFIX: &str = "a subject such as `plugin.signal`, which is neither below `pairing`, \
                             `plugin.inbound` and `plugin.outbound` nor an inbox";
const NETWORK: &str =
    "a network such as `10.0.0.0/8`, with nothing behind its prefix, or an address";

/// Whether `T` can be read from `text`.
fn reads<T: DeserializeOwned>(text: &str) -> bool {
    T::deserialize(StrDeserializer::<Error>::new(text)).is_ok()
}

/// `~somebody` and `$VARIABLE` are for a shell to fill in; without one they would become odd
/// directories.
fn is_plain_start(text: &str) -> bool {
    match text.strip_prefix('~') {
        Some(rest) => rest.starts_with('/'),
        None => !text.starts_with('$'),
    }
}

fn is_url(text: &str) -> bool {
    limits::PUBLIC_URL_BYTES.contains(&text.len()) && !text.contains(char::is_control)
}

fn is_host(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=limits::MAX_HOST_BYTES).contains(&text.len()) && text.chars().all(is_name)
        || text.parse::<IpAddr>().is_ok()
}

/// Whether a plugin may be asked below this subject. What the gate itself reads and writes is none of
/// a plugin's: a question there would come back as a message.
fn is_plugin_prefix(text: &str) -> bool {
    let mut words = text.split('.');
    let is_ours = match (words.next(), words.next()) {
        (Some("plugin"), Some("inbound" | "outbound")) | (Some("pairing"), _) => true,
        (Some(first), _) => first.eq_ignore_ascii_case("_inbox"),
        (None, _) => true,
    };
    is_subject(text) && !is_ours
}

fn is_subject(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.len() <= 128 && text.split('.').all(|word| !word.is_empty() && word.chars().all(is_inner))
}

fn is_nats_server(text: &str) -> bool {
    let place = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@/?#\\".contains(c);
    place.is_some_and(|place| (1..=300).contains(&place.len()) && !place.contains(is_odd))
}

fn is_nats_user(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

fn is_challenge(text: &str) -> bool {
    let mut options = PolicyOptions::default();
    options.challenge_text = Some(text.to_owned());
    PairingPolicy::default().with(&options).is_ok()
}

/// The key of this name.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.0 == name)
}

/// Whether keys stand below `name`.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| Some(key.0.split_once('.')?.0))
}

/// The environment variable that stands for `key`.
pub(crate) fn variable(key: &str) -> String {
    // What is inside a list has no variable of its own; its name goes on as in a file.
    let end = key.find('[').unwrap_or(key.len());
    let (name, inner) = key.split_at(end);
    format!("{PREFIX}{}{inner}", name.replace('.', "__").to_uppercase())
}

/// The known key that is the most like `key`.
pub(crate) fn nearest(key: &str, origin: &Origin) -> String {
    fn last(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
    // No key has a digit in it, so this turns `accounts[7].moed` into `accounts[].moed`.
    let key: String = key.chars().filter(|c| !c.is_ascii_digit()).take(100).collect();
    let mut known: Vec<String> = KEYS.iter().map(|key| key.0.to_owned()).collect();
    if matches!(origin, Origin::File(_)) {
        known.extend(sections().map(str::to_owned));
    }
    for Key(list, shape) in KEYS {
        if let (Shape::Entries(entry), true) = (shape, key.contains('[')) {
            known.extend(entry.keys.iter().map(|key| format!("{list}[].{}", key.0)));
        }
    }
    let distance = |name: &String| {
        // A right name in the wrong place is nearer than a wrong name in the right one.
        let moved = 1 + strsim::osa_distance(last(&key), last(name));
        strsim::osa_distance(&key, name).min(moved)
    };
    known.into_iter().min_by_key(distance).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sources;

    #[test]
    fn the_reference_has_every_key_with_its_range_and_default() {
        let config = Sources::from_vars([("NEXO_HOME", "/nonexistent")]).load().unwrap();
        let rows = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), KEYS.len());
        for (Key(name, shape), row) in KEYS.iter().zip(rows) {
            assert!(row.starts_with(&format!("{name}` | ")), "{name}: {row}");
            if let Shape::Number(min, max) = shape {
                assert!(row.contains(&format!("| {min} to {max}")), "{name}: {row}");
            }
            let setting = config.provenance().iter().find(|setting| setting.key == *name);
            if let Some(value) = setting.map(|setting| &setting.value).filter(|v| !v.is_null()) {
                let value = value.to_string().replace("/nonexistent", "$NEXO_HOME");
                let shown = row.replace('`', "");
                assert!(shown.ends_with(&format!("| {} |", value.replace('"', ""))), "{row}");
            }
        }
    }
}
