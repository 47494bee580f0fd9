//! The configuration of `nexo-pairing`: built-in defaults, `pairing.yaml`, the environment and
//! flags, in layers, with the origin of every value.
//!
//! [`Sources`] says where to look, [`Sources::load`] looks and checks, [`Config`] is what is in force.
//! It reads one file and writes none.
//!
//! # Layers
//!
//! The later wins: defaults, the file, environment variables `NEXO_PAIRING_*`, flags. The file is
//! the one that `--config` names, which then has to exist, else `$NEXO_HOME/config/pairing.yaml`, if
//! there is one; `NEXO_HOME` is `~/.nexo` by default. Each layer is checked on its own: what is wrong
//! in one is an error, also where a later one covers it. A list is replaced as a whole.
//!
//! # Keys
//!
//! All of them stand below `pairing:`.
//!
//! | key | allowed | default |
//! | --- | --- | --- |
//! | `storage.path` | path | `$NEXO_HOME/state/pairing.db` |
//! | `setup_code.secret_path` | path | `$NEXO_HOME/secret/pairing.key` |
//! | `setup_code.secret_external` | `true`, `false` | `false` |
//! | `setup_code.default_ttl_secs` | 1 to 86400 seconds | 60 |
//! | `session_ttl_secs` | 60 to 31536000 seconds | 86400 |
//! | `on_replay` | `revoke`, `refuse` | `revoke` |
//! | `public_url` | 1 to 2048 bytes | |
//! | `ws_cleartext_allow` | list of host names or addresses | `[]` |
//! | `trusted_proxies` | list of [networks](Network) or addresses | `[]` |
//! | `gate.mode` | `open`, `allowlist`, `pairing` | |
//! | `gate.auto_challenge` | `true` (mode `pairing`), `false` (`open`) | |
//! | `gate.max_pending` | 1 to 1000 | 3 |
//! | `gate.pending_ttl_secs` | 60 to 86400 seconds | 3600 |
//! | `gate.challenge_cooldown_secs` | 10 to 86400 seconds | 300 |
//! | `gate.language` | `en`, `es`, `pt` | `en` |
//! | `gate.challenge_text` | 1 to 1000 bytes with `{code}` or `{command}` | built-in texts |
//! | `gate.notices` | `both`, `own` | `both` |
//! | `accounts` | list of `channel`, `account` and any key of `gate` but `notices` | every account is known |
//! | `adapters` | list of `channel`, `prefix`, `format` (`default`, `broker`), `cache_ttl_secs` (1 to 86400 seconds, default 3600) | `[]` |
//! | `nats.servers` | list of `nats://HOST:PORT` or `tls://HOST:PORT` | `[]` |
//! | `nats.credentials_file` | path of a `.creds` file | |
//! | `nats.nkey_file` | path of a file with the seed of an nkey | |
//! | `nats.user` | 1 to 256 bytes | |
//! | `nats.password_file` | path of a file with the password of `nats.user` | |
//! | `nats.token_file` | path of a file with a token | |
//! | `nats.tls_required` | `true`, `false` | `false` |
//! | `nats.tls_ca_file` | path, PEM | the authorities of the system |
//! | `nats.tls_cert_file` | path, PEM | |
//! | `nats.tls_key_file` | path, PEM | |
//! | `audit_days` | 1 to 36500 days | 365 |
//!
//! A key without a value (`gate:` with everything below it commented out) says nothing. Only
//! `accounts`, `adapters`, `mode` and `auto_challenge` need one: without `accounts` everybody's
//! account is known, with `accounts: []` nobody's. A `schema_version` beside `pairing:` is not looked
//! at.
//!
//! No mode is built in. [`Config::mode_words`] says which modes were said, for
//! [`RememberedModes`](nexo_pairing_core::RememberedModes) to find those in force; until
//! [`Config::with_modes`] puts them in, a policy without a mode has the library's default, `open`.
//!
//! # Reload
//!
//! [`Sources::reload`] never makes less of a configuration: one that is gone, empty or cut is an
//! error, and the old one stays. A key that had a value from the file and has none any more keeps it,
//! [`Config::kept`]; so does an entry of `adapters`, by its channel, and a key of an entry. To end that
//! without a restart, another value is written, also an empty one: `adapters: []`. Modes and
//! `accounts` are not among them: they are remembered. The keys of a login on the bus are not kept
//! beside those of another login.
//!
//! # Variables
//!
//! The name of a key in upper case, with `__` for the dot: `NEXO_PAIRING_GATE__MODE=pairing`. Lists
//! are written as in the file: `NEXO_PAIRING_WS_CLEARTEXT_ALLOW=[kitchen-pi.local, 10.1.2.3]`. Texts
//! are taken as they are, without quotes. An empty variable is an error.
//!
//! # Paths
//!
//! A relative path in the file begins at the file's directory, so that it does not depend on where
//! the program was started; in a variable or a flag it begins at the working directory. A leading
//! `~/` stands for `$HOME`. `~name`, `$VARIABLE` and `${…}` are filled in nowhere, and refused.

mod check;
mod config;
mod error;
mod layer;
mod load;
mod merge;
mod origin;
mod read;
mod schema;
mod yaml;

pub use config::{Account, Adapter, ChallengeFormat, Config, Nats, Notices, Setting};
pub use error::ConfigError;
pub use load::Sources;
#[doc(no_inline)]
pub use nexo_pairing_core::OnReplay;
pub use nexo_pairing_core::{Network, NetworkError};
pub use origin::Origin;
