//! Draws QR codes: as text for a terminal, and as PNG.
//!
//! * [`render_ansi`] for a terminal, with its own black and white, so that the theme does not matter.
//! * [`render_plain`] for output without colour: a file, a log, `NO_COLOR`.
//! * `render_png` (feature `png`) for a file or a chat.
//! * [`size`] for checking beforehand whether the code fits a terminal.
//!
//! All of them draw the same symbol: the smallest one that holds the text, with the highest error
//! correction that still fits, in a quiet zone of four modules. The crate does no I/O and keeps no
//! state.
//!
//! ```
//! let text = "K7M9PQ2X";
//! let drawn = nexo_pairing_qr::render_ansi(text)?;
//! assert_eq!(drawn.lines().count(), usize::from(nexo_pairing_qr::size(text)?.lines));
//! # Ok::<(), nexo_pairing_qr::QrError>(())
//! ```

mod error;
mod penalty;
#[cfg(feature = "png")]
mod png;
mod symbol;
mod text;

pub use error::QrError;
#[cfg(feature = "png")]
#[cfg_attr(docsrs, doc(cfg(feature = "png")))]
pub use png::render_png;
pub use text::{TextSize, render_ansi, render_plain, size};

/// The longest text that is drawn, in bytes: what the largest QR code holds of arbitrary bytes.
///
/// A QR code holds more digits or upper-case letters, but a single limit is one that a caller can
/// check.
pub const MAX_TEXT_BYTES: usize = 2953;
