//! Why an operation has no value, and which of the reasons are committed.

use nexo_pairing_core::PairingError;

use crate::port::PortError;

/// Why an operation has no value.
pub(crate) enum TxError<R = PairingError> {
    /// A rule refused it. What it wrote before is committed: failed attempts count.
    Refused(R),
    /// The storage failed. Nothing is kept.
    Failed(PortError),
}

impl<R> From<PortError> for TxError<R> {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// A refusal that is an answer of its own, beside what any operation may fail with.
pub(crate) enum Within<E> {
    /// It.
    Error(E),
    /// The storage failed.
    Pairing(PairingError),
}

impl<E> From<PairingError> for Within<E> {
    fn from(error: PairingError) -> Self {
        Self::Pairing(error)
    }
}

impl<E> Within<E> {
    /// The answer, with the refusal within it.
    pub(crate) fn nest<T>(answer: Result<T, Self>) -> Result<Result<T, E>, PairingError> {
        match answer {
            Ok(value) => Ok(Ok(value)),
            Err(Self::Error(error)) => Ok(Err(error)),
            Err(Self::Pairing(error)) => Err(error),
        }
    }
}

/// What an operation gives.
pub(crate) type TxResult<T, R = PairingError> = Result<T, TxError<R>>;
