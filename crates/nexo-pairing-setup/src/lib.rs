//! Issues setup codes, verifies their tokens, keeps the keys and finds the URL to put into them.
//!
//! [`SetupCodeIssuer`] is both sides of a setup code at the gateway: the operator's command issues
//! one, the server verifies what a companion presents. What a code is made of, and how companions
//! read it, is in [`nexo_pairing_core::setup_code`].

mod error;
mod file;
mod folder;
mod issuer;
mod key;
mod key_ring;
pub mod url_resolver;

pub use error::{IssueError, KeyError, VerifyError};
pub use issuer::{DEFAULT_TTL, IssuerOptions, KeyInfo, MAX_TTL, MIN_TTL, SetupCodeIssuer};
pub use key::KeyId;
#[doc(no_inline)]
pub use nexo_pairing_core::{OsRandom, RandomError, RandomSource};
