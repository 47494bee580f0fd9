//! The error type of this crate.

use std::error::Error;

/// Why a text cannot be drawn. It never contains the text, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QrError {
    /// The text is empty.
    #[error("there is no text to draw as a QR code")]
    Empty,
    /// The text is longer than a QR code holds.
    #[error("the text has {length} bytes, a QR code holds at most {max}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit, in bytes: [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
        max: usize,
    },
    /// The QR or PNG encoder failed. No text within the limit causes this.
    #[error("the encoder failed")]
    Encoder(#[source] Box<dyn Error + Send + Sync>),
}

impl QrError {
    pub(crate) fn encoder(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Encoder(cause.into())
    }

    /// The stable name of this kind of error, for programs: `empty`, `too_long`, `encoder`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
            Self::Encoder(_) => "encoder",
        }
    }
}
