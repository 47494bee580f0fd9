//! The source of randomness, which tests replace.

use std::fmt;
use std::sync::Arc;

/// A source of unpredictable bytes for codes, keys, nonces and tokens.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if there is no randomness. `bytes` must not be used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// Randomness is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RandomError {
    reason: &'static str,
}

impl RandomError {
    /// An error with this reason.
    #[must_use]
    pub fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl Default for RandomError {
    fn default() -> Self {
        Self::new("no random bytes are available")
    }
}

/// The generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsRandom;

impl OsRandom {
    /// The generator of the operating system, in the form that options take.
    #[must_use]
    pub fn shared() -> Arc<dyn RandomSource> {
        Arc::new(Self)
    }
}

impl RandomSource for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(bytes)
            .map_err(|_| RandomError::new("the operating system gave no random bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_returns_different_bytes_each_time() {
        let draw = || {
            let mut bytes = [0; 32];
            OsRandom::shared().fill(&mut bytes).unwrap();
            bytes
        };
        let (first, second) = (draw(), draw());
        assert!(first != second && first != [0; 32]);
    }
}
