//! Why an operation failed, and which failures are committed.

use nexo_pairing_core::PairingError;

use crate::port::PortError;

/// Why an operation failed.
pub(crate) enum TxError<R = PairingError> {
    /// A rule refused it. Its earlier writes are committed: failed attempts count.
    Refused(R),
    /// The storage failed. Nothing is kept.
    Failed(PortError),
}

impl<R> From<PortError> for TxError<R> {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// A refusal with an error type of its own, beside the errors of any operation.
pub(crate) enum Specific<E> {
    /// The refusal.
    Refusal(E),
    /// The storage failed.
    Pairing(PairingError),
}

impl<E> From<PairingError> for Specific<E> {
    fn from(error: PairingError) -> Self {
        Self::Pairing(error)
    }
}

impl<E> Specific<E> {
    /// Separates the refusal from other errors.
    pub(crate) fn split<T>(answer: Result<T, Self>) -> Result<Result<T, E>, PairingError> {
        match answer {
            Ok(value) => Ok(Ok(value)),
            Err(Self::Refusal(error)) => Ok(Err(error)),
            Err(Self::Pairing(error)) => Err(error),
        }
    }
}

/// Refuses an argument that is not valid.
pub(crate) fn check(
    is_valid: bool,
    name: &'static str,
    value: impl FnOnce() -> String,
    expected: &'static str,
) -> Result<(), PairingError> {
    if is_valid {
        return Ok(());
    }
    Err(PairingError::Invalid { name, value: value(), expected })
}

/// The result of an operation.
pub(crate) type TxResult<T, R = PairingError> = Result<T, TxError<R>>;
