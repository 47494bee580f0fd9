//! The configuration of `nexo-pairing`: built-in defaults, `pairing.yaml`, the environment and
//! flags, in layers, with the origin of every value.
//!
//! [`Sources`] are the places to look, [`Sources::load`] reads and checks them, [`Config`] is the
//! effective configuration. This crate reads one file and writes none.
//!
//! # Layers
//!
//! Later layers override earlier ones: defaults, the file, environment variables `NEXO_PAIRING_*`,
//! flags. The file is the one that `--config` names, which then must exist, or else
//! `$NEXO_HOME/config/pairing.yaml`, if it exists; `NEXO_HOME` is `~/.nexo` by default. Each layer is
//! checked by itself: a mistake in one is an error even if a later layer overrides it. A list is
//! replaced as a whole.
//!
//! # Keys
//!
//! All keys are below `pairing:`. [`reference()`] lists them with their allowed values and defaults,
//! and so does `docs/configuration.md` of the project.
//!
//! A key without a value (`gate:` with everything below it commented out) is not set. Only
//! `accounts`, `adapters`, `mode` and `auto_challenge` need a value: without `accounts`, every account is
//! known, with `accounts: []` none. A `schema_version` beside `pairing:` is ignored.
//!
//! There is no built-in mode. [`Config::configured_modes`] returns the modes that were set explicitly, from
//! which [`RememberedModes`](nexo_pairing_core::RememberedModes) finds those in force; until
//! [`Config::with_modes`] applies them, a policy without a mode has the library's default, `open`.
//!
//! # Reload
//!
//! [`Sources::reload`] never loses settings: a file that is gone, empty or truncated is an error, and
//! the previous configuration stays. A key that the file no longer sets keeps its value, see
//! [`Config::kept`]; so does an entry of `adapters`, by its channel, and a key of an entry. To remove a
//! value without a restart, set another one, or an empty one: `adapters: []`. This does not apply to
//! modes and `accounts`, which the database remembers. The keys of a login on the bus are not kept
//! beside those of another login.
//!
//! # Variables
//!
//! The name of a key in upper case, with `__` for the dot: `NEXO_PAIRING_GATE__MODE=pairing`. Lists
//! are written as in the file: `NEXO_PAIRING_WS_CLEARTEXT_ALLOW=[kitchen-pi.local, 10.1.2.3]`. Texts
//! are taken literally, without quotes. An empty variable is an error.
//!
//! # Paths
//!
//! A relative path in the file starts at the file's directory, so that it does not depend on where
//! the program was started; in a variable or a flag it starts at the working directory. A leading
//! `~/` expands to `$HOME`. `~name`, `$VARIABLE` and `${…}` are not substituted anywhere, and rejected.

// Defines the macro `methods`, for `config`.
#[macro_use]
mod keys;

mod check;
mod config;
mod error;
mod form;
mod layer;
mod load;
mod merge;
mod origin;
mod read;
mod reference;
mod restart;
mod schema;

pub use config::{Account, Config, Setting};
pub use error::ConfigError;
pub use keys::{Adapter, ChallengeFormat, Nats, Notices};
pub use load::Sources;
#[doc(no_inline)]
pub use nexo_pairing_core::OnReplay;
pub use nexo_pairing_core::{Network, NetworkError};
pub use origin::Origin;
pub use reference::reference;
pub use schema::Process;
