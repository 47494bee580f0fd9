//! Where the randomness of codes comes from, so that tests can bring their own.

use std::fmt;
use std::sync::Arc;

use nexo_pairing_core::PairingError;
use ring::rand::{SecureRandom, SystemRandom};

/// A source of unpredictable bytes.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when there is no randomness; nothing is then made of `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PairingError>;
}

/// The generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsRandom;

impl OsRandom {
    /// The generator of the operating system, as a store takes it.
    #[must_use]
    pub fn shared() -> Arc<dyn RandomSource> {
        Arc::new(Self)
    }
}

impl RandomSource for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PairingError> {
        SystemRandom::new()
            .fill(bytes)
            .map_err(|_| PairingError::backend("the operating system gave no random bytes"))
    }
}
