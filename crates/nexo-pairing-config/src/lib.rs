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
//! All of them stand below `pairing:`. [`reference()`] lists them with what they may say and their
//! defaults, and so does `docs/configuration.md` of the project.
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
mod form;
mod keys;
mod layer;
mod load;
mod merge;
mod merged;
mod origin;
mod read;
mod reference;
mod restart;
mod schema;
mod yaml;

pub use config::{Account, Config, Setting};
pub use error::ConfigError;
pub use keys::{Adapter, ChallengeFormat, Nats, Notices};
pub use load::Sources;
#[doc(no_inline)]
pub use nexo_pairing_core::OnReplay;
pub use nexo_pairing_core::{Network, NetworkError};
pub use origin::Origin;
pub use reference::reference;
pub use restart::Process;
