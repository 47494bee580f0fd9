//! Issues setup codes, verifies their tokens, manages the keys and resolves the public URL.
//!
//! [`SetupCodeIssuer`] is the gateway's side of a setup code: the operator's command issues one, the
//! server verifies the token that a companion presents. The formats, and how companions read them,
//! are in [`nexo_pairing_core::setup_code`].

mod error;
mod file;
mod issuer;
mod key;
mod key_ring;
mod paths;
pub mod url_resolver;

pub use error::{IssueError, KeyError, VerifyError};
pub use issuer::{DEFAULT_TTL, IssuerOptions, KeyInfo, MAX_TTL, MIN_TTL, SetupCodeIssuer};
pub use key::KeyId;
#[doc(no_inline)]
pub use nexo_pairing_core::{OsRandom, RandomError, RandomSource};
