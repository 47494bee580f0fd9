//! Where the randomness of keys and nonces comes from, so that tests can bring their own.

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

/// A source of unpredictable bytes.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when there is no randomness; nothing is then made of `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// There is no randomness to be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, thiserror::Error)]
#[error("there are no random bytes to be had")]
#[non_exhaustive]
pub struct RandomError;

/// The generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsRandom;

impl OsRandom {
    /// The generator of the operating system, as an issuer takes it.
    #[must_use]
    pub fn shared() -> Arc<dyn RandomSource> {
        Arc::new(Self)
    }
}

impl RandomSource for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SystemRandom::new().fill(bytes).map_err(|_| RandomError)
    }
}
