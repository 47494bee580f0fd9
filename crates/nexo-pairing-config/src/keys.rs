//! The keys: each is declared here, once, with all that there is to say of it.
//!
//! A declaration is the text of the reference, the name, the shape with the bounds and the default,
//! and the method of [`Config`] by which programs read the value. What is checked, what the lowest
//! layer says, what `nexo-pair config` shows, what a reload keeps, what needs a restart and the
//! reference in the documents follow from it. The values of a section that belong together (a policy,
//! the bus) are read as one struct, of which the fields have the names of the keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nexo_pairing_core::limits::{
    AUDIT_DAYS, CHALLENGE_COOLDOWN, CHALLENGE_TEXT_FORM, CONFIGURED_SESSION_TTL, ID_CACHE_TTL,
    MAX_PENDING, PENDING_TTL, PUBLIC_URL_FORM, SETUP_CODE_TTL,
};
use nexo_pairing_core::{AccountId, ChannelId, Language, Mode, OnReplay};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::Process::{Gate, Serve};
use crate::form::{
    is_challenge, is_host, is_nats_server, is_nats_user, is_plugin_prefix, is_url, reads,
};
use crate::merged::Merged;
use crate::schema::{Entry, Key};
use crate::{Config, ConfigError, Network};

/// Makes the table of keys, the values that are read one by one, and the methods that show them:
/// `name = declaration => method: type as shown`.
macro_rules! keys {
    ($(
        $(#[doc = $about:literal])+
        $name:literal = $key:expr $(=> $method:ident: $type:ty as $shown:ty)?;
    )+) => {
        /// The keys, in the order of the reference.
        pub(crate) static KEYS: &[Key] = &[$($key.named($name, concat!($($about),+))),+];

        /// The values of the keys that have a method of [`Config`].
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Values {
            $($($method: $type,)?)+
        }

        impl Values {
            pub(crate) fn read(merged: &Merged) -> Result<Self, ConfigError> {
                Ok(Self { $($($method: merged.get($name)?,)?)+ })
            }
        }

        /// The values of single keys. Their bounds and defaults are in the [reference](crate::reference()).
        impl Config {
            $(method! { $name [$($about)+] $($method: $shown)? })+
        }
    };
}

macro_rules! method {
    ($name:literal [$($about:literal)+]) => {};
    ($name:literal [$($about:literal)+] $method:ident: $shown:ty) => {
        #[doc = concat!("`", $name, "`:")]
        $(#[doc = $about])+
        #[must_use]
        pub fn $method(&self) -> $shown {
            self.values.$method.show()
        }
    };
}

keys! {
    /// The database.
    "storage.path" = Key::path()
        .or_in_home("state/pairing.db", "the database")
        .start_only(&[Serve, Gate])
        => storage_path: PathBuf as &Path;
    /// The key that signs setup codes.
    "setup_code.secret_path" = Key::path()
        .or_in_home("secret/pairing.key", "the key of setup codes")
        .start_only(&[Serve])
        => secret_path: PathBuf as &Path;
    /// Whether the key is mounted by somebody else, and never written by us.
    "setup_code.secret_external" = Key::flag().start_only(&[Serve]) => secret_external: bool as bool;
    /// How long a setup code lives, in seconds.
    "setup_code.default_ttl_secs" = Key::seconds(SETUP_CODE_TTL)
        => setup_code_ttl: Seconds as Duration;
    /// How long a companion's session lives, in seconds.
    "session_ttl_secs" = Key::seconds(CONFIGURED_SESSION_TTL) => session_ttl: Seconds as Duration;
    /// What a setup code that is presented twice does to the session that it gave.
    "on_replay" = Key::text("`revoke` or `refuse`", reads::<OnReplay>)
        .or(|| json!(OnReplay::default()))
        => on_replay: OnReplay as OnReplay;
    /// Where companions reach the gateway, as it was written: the URL resolver parses it.
    "public_url" = Key::text(PUBLIC_URL_FORM, is_url) => public_url: Option<String> as Option<&str>;
    /// Hosts (names or addresses; case does not matter) that may be reached without TLS, besides the
    /// local ones.
    "ws_cleartext_allow" = Key::texts(
        "a host name or an address, without scheme, port and path",
        is_host,
    ) => ws_cleartext_allow: Vec<String> as &[String];
    /// The networks whose word on a client's address is believed.
    "trusted_proxies" = Key::texts(
        "a network such as `10.0.0.0/8`, with nothing behind its prefix, or an address",
        reads::<Network>,
    ) => trusted_proxies: Vec<Network> as &[Network];

    /// What an account does with strangers. No mode is built in.
    "gate.mode" = Key::text("`open`, `allowlist` or `pairing`", reads::<Mode>)
        .remembered()
        .per_account();
    /// The name that 0.1.8 had for mode `pairing` (`true`) and `open` (`false`).
    "gate.auto_challenge" = Key::flag().alias().remembered().per_account();
    /// How many live requests an account may have.
    "gate.max_pending" = Key::number(MAX_PENDING).per_account();
    /// How long a pairing code lives, in seconds.
    "gate.pending_ttl_secs" = Key::seconds(PENDING_TTL).per_account();
    /// How long after a challenge the same sender is not challenged again, in seconds.
    "gate.challenge_cooldown_secs" = Key::seconds(CHALLENGE_COOLDOWN).per_account();
    /// The language of the built-in challenge text.
    "gate.language" = Key::text("`en`, `es` or `pt`", reads::<Language>)
        .or(|| json!(Language::default()))
        .per_account();
    /// A text to send instead of the built-in one; `{minutes}` stands for how long the code lives.
    "gate.challenge_text" = Key::text(CHALLENGE_TEXT_FORM, is_challenge)
        .or_else("the built-in texts")
        .per_account();
    /// Where events of plugins themselves are published: on `pairing.notices.…`, and for `both` also
    /// among what is admitted.
    "gate.notices" = Key::text("`both` or `own`", reads::<Notices>)
        .or(|| json!(Notices::default()))
        => notices: Notices as Notices;
    /// The bot accounts that there are; any other account is refused. Each has the keys of `gate` that
    /// differ for it.
    "accounts" = Key::entries(&ACCOUNT).or_else("every account is known").remembered();
    /// The channels that are served by another process, over the broker.
    "adapters" = Key::entries(&ADAPTER).or(|| json!([])) => adapters: Vec<Adapter> as &[Adapter];

    /// The servers of one cluster.
    "nats.servers" = Key::texts(
        "`nats://HOST:PORT` or `tls://HOST:PORT`, without a user, a password and a path",
        is_nats_server,
    ).start_only(&[Gate]);
    /// A `.creds` file: a JWT and the seed of its key, as `nsc` writes it.
    "nats.credentials_file" = Key::path().login().start_only(&[Gate]);
    /// A file with the seed of an nkey.
    "nats.nkey_file" = Key::path().login().start_only(&[Gate]);
    /// A user, who has a `password_file`.
    "nats.user" = Key::text("a name of 1 to 256 bytes", is_nats_user).login().start_only(&[Gate]);
    /// The file with the password of `user`.
    "nats.password_file" = Key::path().login().start_only(&[Gate]);
    /// A file with a token.
    "nats.token_file" = Key::path().login().start_only(&[Gate]);
    /// Whether a server without TLS is refused.
    "nats.tls_required" = Key::flag().start_only(&[Gate]);
    /// Who vouches for the servers, as PEM.
    "nats.tls_ca_file" = Key::path().or_else("the authorities of the system").start_only(&[Gate]);
    /// Our certificate with its chain, as PEM, for servers that ask for one.
    "nats.tls_cert_file" = Key::path().start_only(&[Gate]);
    /// The key of our certificate, as PEM.
    "nats.tls_key_file" = Key::path().start_only(&[Gate]);

    /// For how many days the audit log is kept.
    "audit_days" = Key::number(AUDIT_DAYS).start_only(&[Serve, Gate]) => audit_days: u32 as u32;
}

static ACCOUNT: Entry = Entry {
    keys: &[
        CHANNEL,
        Key::text("an account: [A-Za-z0-9_-]{1,64}", reads::<AccountId>)
            .named("account", " The account on it."),
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
        .named("prefix", " The subject that its requests begin with."),
        Key::text("`default` or `broker`", reads::<ChallengeFormat>)
            .or(|| json!(ChallengeFormat::default()))
            .named("format", " Who writes the challenge text: we do, or the plugin."),
        Key::seconds(ID_CACHE_TTL)
            .named("cache_ttl_secs", " How long a normalised id is remembered, in seconds."),
    ],
    is_account: false,
    required: &["channel", "prefix"],
    identity: &["channel"],
};

const CHANNEL: Key = Key::text("a channel: [a-z0-9][a-z0-9_-]{0,31}", reads::<ChannelId>)
    .named("channel", " The channel.");

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
    /// [`ID_CACHE_TTL`].
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
    ID_CACHE_TTL.default
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

/// A number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Seconds(u64);

/// How a method shows a value.
trait Show<'a, T> {
    fn show(&'a self) -> T;
}

impl<T: Copy> Show<'_, T> for T {
    fn show(&self) -> T {
        *self
    }
}

impl Show<'_, Duration> for Seconds {
    fn show(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<'a> Show<'a, &'a Path> for PathBuf {
    fn show(&'a self) -> &'a Path {
        self
    }
}

impl<'a> Show<'a, Option<&'a str>> for Option<String> {
    fn show(&'a self) -> Option<&'a str> {
        self.as_deref()
    }
}

impl<'a, T> Show<'a, &'a [T]> for Vec<T> {
    fn show(&'a self) -> &'a [T] {
        self
    }
}
