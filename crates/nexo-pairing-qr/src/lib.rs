//! Draws QR codes: as text for a terminal, and as PNG.
//!
//! * [`render_ansi`] for a terminal, with its own black and white, so that the theme does not matter.
//! * [`render_plain`] for where there is no colour: a file, a log, `NO_COLOR`.
//! * `render_png` (feature `png`) for a file or a chat.
//! * [`size`] tells beforehand whether the text fits a terminal.
//!
//! All of them draw the same symbol: the smallest one that holds the text, with as much error
//! correction as still goes in, within a quiet zone of four modules. The crate does no I/O and keeps
//! nothing of what it draws.
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
/// A QR code takes more of digits and upper-case letters, but one limit for all texts is one that a
/// caller can tell beforehand.
pub const MAX_TEXT_BYTES: usize = 2953;
