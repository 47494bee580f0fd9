//! QR codes for terminals and as PNG.

use crate::convert::with_causes;
use crate::types::PairingError;

/// A QR code in half blocks, without escape sequences.
///
/// # Errors
///
/// [`PairingError::Storage`] if `data` is empty or does not fit.
pub fn render_ansi(data: &str) -> Result<String, PairingError> {
    nexo_pairing_qr::render_plain(data).map_err(unencodable)
}

/// A QR code as a PNG image. Without the feature `qr-png`, an error.
///
/// # Errors
///
/// [`PairingError::Storage`] if `data` is empty or does not fit.
#[cfg(feature = "qr-png")]
pub fn render_png(data: &str) -> Result<Vec<u8>, PairingError> {
    nexo_pairing_qr::render_png(data).map_err(unencodable)
}

/// A QR code as a PNG image. Without the feature `qr-png`, an error.
///
/// # Errors
///
/// Always [`PairingError::Invalid`].
#[cfg(not(feature = "qr-png"))]
pub fn render_png(_data: &str) -> Result<Vec<u8>, PairingError> {
    Err(PairingError::Invalid("qr-png feature disabled at compile time"))
}

fn unencodable(error: nexo_pairing_qr::QrError) -> PairingError {
    PairingError::Storage(format!("qr encode: {}", with_causes(&error)))
}
