//! The keys: each is declared here, once.
//!
//! A declaration is the text of the reference, the name, the shape with the bounds and the default,
//! and the method of [`Config`] by which programs read the value. Everything else follows from it: the
//! check of each layer, the defaults, `nexo-pair config`, what a reload keeps, what needs a restart and
//! the reference in the documents. The values of a section that belong together (a policy, the bus) are
//! read as one struct whose fields have the names of the keys.

use std::path::PathBuf;
use std::time::Duration;

use nexo_pairing_core::limits::{
    AUDIT_DAYS, CHALLENGE_COOLDOWN, CHALLENGE_TEXT_FORM, CONFIGURED_SESSION_TTL, ID_CACHE_TTL,
    MAX_PENDING, PENDING_TTL, PUBLIC_URL_FORM, SETUP_CODE_TTL,
};
use nexo_pairing_core::{AccountId, ChannelId, Language, Mode, Network, OnReplay};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::form::{
    is_challenge, is_host, is_nats_server, is_nats_user, is_plugin_prefix, is_url, reads,
};
use crate::schema::Process::{Gate, Serve};
use crate::schema::{Entry, Key, Shape, last};

/// Defines the table of keys, the values that are read one by one, and their methods:
/// `name = declaration => method: type`, followed by `via conversion -> type` if the method returns
/// another type.
macro_rules! keys {
    ($(
        $(#[doc = $about:literal])+
        $name:literal = $key:expr $(=> $method:ident: $type:ty $(, $via:ident -> $shown:ty)?)?;
    )+) => {
        /// The keys, in the order of the reference.
        pub(crate) static KEYS: &[Key] = &[$($key.named($name, concat!($($about),+))),+];

        /// The values of the keys that have a method of [`Config`].
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Values {
            $($(pub(crate) $method: $type,)?)+
        }

        impl Values {
            pub(crate) fn read<S: Source>(source: &S) -> Result<Self, S::Error> {
                Ok(Self { $($($method: source.get($name)?,)?)+ })
            }
        }

        /// The methods of [`Config`](crate::Config) for these values.
        macro_rules! methods {
            () => { $(method! { $name [$($about)+] $($method: $type $(, $via -> $shown)?)? })+ };
        }
    };
}

macro_rules! method {
    ($name:literal [$($about:literal)+]) => {};
    ($name:literal [$($about:literal)+] $method:ident: $type:ty) => {
        method! { $name [$($about)+] $method: $type, to_owned -> $type }
    };
    ($name:literal [$($about:literal)+] $method:ident: $type:ty, $via:ident -> $shown:ty) => {
        #[doc = concat!("`", $name, "`:")]
        $(#[doc = $about])+
        #[must_use]
        pub fn $method(&self) -> $shown {
            self.values.$method.$via()
        }
    };
}

keys! {
    /// The database.
    "storage.path" = Key::path()
        .or_in_home("state/pairing.db", "the database")
        .start_only(&[Serve, Gate])
        => storage_path: PathBuf, as_path -> &Path;
    /// The key that signs setup codes.
    "setup_code.secret_path" = Key::path()
        .or_in_home("secret/pairing.key", "the key of setup codes")
        .start_only(&[Serve])
        => secret_path: PathBuf, as_path -> &Path;
    /// Whether the key is mounted from outside and never written by `nexo-pair`.
    "setup_code.secret_external" = Key::flag().start_only(&[Serve]) => secret_external: bool;
    /// The lifetime of a setup code, in seconds.
    "setup_code.default_ttl_secs" = Key::seconds(SETUP_CODE_TTL)
        => setup_code_ttl: Seconds, duration -> Duration;
    /// The lifetime of a companion's session, in seconds.
    "session_ttl_secs" = Key::seconds(CONFIGURED_SESSION_TTL) => session_ttl: Seconds, duration -> Duration;
    /// What happens to the session of a setup code that is presented twice.
    "on_replay" = Key::text("`revoke` or `refuse`", reads::<OnReplay>)
        .or(|| json!(OnReplay::default()))
        => on_replay: OnReplay;
    /// The URL where companions reach the gateway, as written.
    "public_url" = Key::text(PUBLIC_URL_FORM, is_url) => public_url: Option<String>, as_deref -> Option<&str>;
    /// Hosts (names or addresses, case-insensitive) that may be reached without TLS, in addition to local
    /// ones.
    "ws_cleartext_allow" = Key::texts(
        "a host name or an address, without scheme, port and path",
        is_host,
    ) => ws_cleartext_allow: Vec<String>, as_slice -> &[String];
    /// The networks of proxies that are trusted to name their clients' addresses.
    "trusted_proxies" = Key::texts(
        "a network such as `10.0.0.0/8`, without bits set after its prefix, or an address",
        reads::<Network>,
    ) => trusted_proxies: Vec<Network>, as_slice -> &[Network];

    /// How an account treats strangers. There is no built-in mode.
    "gate.mode" = Key::text("`open`, `allowlist` or `pairing`", reads::<Mode>)
        .remembered()
        .per_account();
    /// The 0.1.8 spelling of the mode: `true` is `pairing`, `false` is `open`.
    "gate.auto_challenge" = Key::flag().alias().remembered().per_account();
    /// The maximum number of live requests per account.
    "gate.max_pending" = Key::number(MAX_PENDING).per_account();
    /// The lifetime of a pairing code, in seconds.
    "gate.pending_ttl_secs" = Key::seconds(PENDING_TTL).per_account();
    /// The time after a challenge before the same sender is challenged again, in seconds.
    "gate.challenge_cooldown_secs" = Key::seconds(CHALLENGE_COOLDOWN).per_account();
    /// The language of the built-in challenge text.
    "gate.language" = Key::text("`en`, `es` or `pt`", reads::<Language>)
        .or(|| json!(Language::default()))
        .per_account();
    /// A text to send instead of the built-in one; `{minutes}` is replaced by the lifetime of the code.
    "gate.challenge_text" = Key::text(CHALLENGE_TEXT_FORM, is_challenge)
        .or_else("the built-in texts")
        .per_account();
    /// Where lifecycle events of plugins are published: on `pairing.notices.…`, and for `both` also with
    /// the admitted messages.
    "gate.notices" = Key::text("`both` or `own`", reads::<Notices>)
        .or(|| json!(Notices::default()))
        => notices: Notices;
    /// The known bot accounts; messages for any other account are dropped. Each may override keys of
    /// `gate`.
    "accounts" = Key::entries(&ACCOUNT).or_else("every account is known").remembered();
    /// The channels served by plugins over the broker.
    "adapters" = Key::entries(&ADAPTER).or(|| json!([])) => adapters: Vec<Adapter>, as_slice -> &[Adapter];

    /// The servers of one NATS cluster.
    "nats.servers" = Key::texts(
        "`nats://HOST:PORT` or `tls://HOST:PORT`, without a user, a password and a path",
        is_nats_server,
    ).start_only(&[Gate]);
    /// A `.creds` file with a JWT and the seed of its key, as `nsc` writes it.
    "nats.credentials_file" = Key::path().login().start_only(&[Gate]);
    /// A file with the seed of an nkey.
    "nats.nkey_file" = Key::path().login().start_only(&[Gate]);
    /// A user name; needs `password_file`.
    "nats.user" = Key::text("a name of 1 to 256 bytes", is_nats_user).login().start_only(&[Gate]);
    /// The file with the password of `user`.
    "nats.password_file" = Key::path().login().start_only(&[Gate]);
    /// A file with a token.
    "nats.token_file" = Key::path().login().start_only(&[Gate]);
    /// Whether to refuse servers without TLS.
    "nats.tls_required" = Key::flag().start_only(&[Gate]);
    /// The CA certificates for the servers, as PEM.
    "nats.tls_ca_file" = Key::path().or_else("the CA certificates of the system").start_only(&[Gate]);
    /// The client certificate with its chain, as PEM, for servers that require one.
    "nats.tls_cert_file" = Key::path().start_only(&[Gate]);
    /// The private key of the client certificate, as PEM.
    "nats.tls_key_file" = Key::path().start_only(&[Gate]);

    /// The number of days that audit entries are kept.
    "audit_days" = Key::number(AUDIT_DAYS).start_only(&[Serve, Gate]) => audit_days: u32;
}

/// Reads the values of keys.
pub(crate) trait Source {
    type Error;

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, Self::Error>;
}

static ACCOUNT: Entry = Entry {
    keys: &[
        CHANNEL,
        Key::text(AccountId::FORM, reads::<AccountId>)
            .named("account", " The account on the channel."),
    ],
    is_account: true,
    required: &["channel", "account"],
    identity: &["channel", "account"],
};

static ADAPTER: Entry = Entry {
    keys: &[
        CHANNEL,
        Key::text(
            "a subject such as `plugin.signal`, which is neither below `pairing`, `plugin.inbound` \
             and `plugin.outbound` nor an inbox",
            is_plugin_prefix,
        )
        .named("prefix", " The first part of the subjects of its requests."),
        Key::text("`default` or `broker`", reads::<ChallengeFormat>)
            .or(|| json!(ChallengeFormat::default()))
            .named(
                "format",
                " Who writes the challenge text: the gate (`default`) or the plugin (`broker`).",
            ),
        Key::seconds(ID_CACHE_TTL)
            .named("cache_ttl_secs", " How long a normalized id is cached, in seconds."),
    ],
    is_account: false,
    required: &["channel", "prefix"],
    identity: &["channel"],
};

const CHANNEL: Key =
    Key::text(ChannelId::FORM, reads::<ChannelId>).named("channel", " The channel.");

/// A channel served by a plugin over the broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Adapter {
    /// The channel.
    pub channel: ChannelId,
    /// The first part of the subjects of its requests, such as `plugin.signal`: 1 to 128 bytes, tokens of
    /// `[A-Za-z0-9_-]` separated by dots. Not below `pairing`, `plugin.inbound` and `plugin.outbound`,
    /// where the gate's own messages are.
    pub prefix: String,
    /// Who writes the challenge text.
    #[serde(default)]
    pub format: ChallengeFormat,
    /// `cache_ttl_secs`: how long a normalized id is cached, within [`ID_CACHE_TTL`].
    #[serde(rename = "cache_ttl_secs", default = "cache_ttl", deserialize_with = "seconds")]
    pub cache_ttl: Duration,
}

/// Who writes the challenge text of a channel served by a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChallengeFormat {
    /// The gate, from the built-in or the configured text. The default.
    #[default]
    Default,
    /// The plugin; it is asked over the broker.
    Broker,
}

/// Where a gate on a bus publishes the lifecycle events of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notices {
    /// On `pairing.notices.…` and, as earlier versions did, with the admitted messages. The default.
    #[default]
    Both,
    /// On `pairing.notices.…` only.
    Own,
}

/// The bus: its address and the login. Secrets are in files of their own, never here, so that a
/// configuration can be printed. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct Nats {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, the servers of one cluster. Default: empty.
    pub servers: Vec<String>,
    /// A file with a JWT and the seed of its key, as `nsc` writes it.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// A user name of 1 to 256 bytes; needs `password_file`.
    pub user: Option<String>,
    /// The file with the password of `user`.
    pub password_file: Option<PathBuf>,
    /// A file with a token.
    pub token_file: Option<PathBuf>,
    /// Whether to refuse servers without TLS. Default `false`.
    pub tls_required: bool,
    /// The CA certificates for the servers (PEM). Default: those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// The client certificate with its chain (PEM), for servers that require one.
    pub tls_cert_file: Option<PathBuf>,
    /// The private key of the client certificate (PEM).
    pub tls_key_file: Option<PathBuf>,
}

fn cache_ttl() -> Duration {
    ID_CACHE_TTL.default
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

/// A number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Seconds(u64);

impl Seconds {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Entry {
    /// All its keys, with their names in an entry.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = (&'static str, &'static Key)> {
        let shared = KEYS.iter().filter(|key| self.is_account && key.is_per_account);
        let own = self.keys.iter().map(|key| (key.name, key));
        own.chain(shared.map(|key| (key.last_name(), key)))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|(known, _)| *known == name).map(|(_, key)| key)
    }
}

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether `name` is a section.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(Key::section)
}

/// The known key, or, with `sections`, also the known section, that is most similar to `key`.
pub(crate) fn nearest(key: &str, sections: bool) -> String {
    // No key contains a digit, so this turns `accounts[7].moed` into `accounts[].moed`.
    let key: String = key.chars().filter(|c| !c.is_ascii_digit()).take(100).collect();
    let mut known: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    if sections {
        known.extend(self::sections().map(str::to_owned));
    }
    for list in KEYS {
        if let (Shape::Entries(entry), true) = (list.shape, key.contains('[')) {
            known.extend(entry.all_keys().map(|(name, _)| format!("{}[].{name}", list.name)));
        }
    }
    let distance = |name: &String| {
        // A right name in the wrong place is nearer than a wrong name in the right one.
        let moved = 1 + strsim::osa_distance(last(&key), last(name));
        strsim::osa_distance(&key, name).min(moved)
    };
    known.into_iter().min_by_key(distance).unwrap_or_default()
}
