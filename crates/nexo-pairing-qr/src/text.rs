//! QR codes as text: half blocks, two modules above each other in one character.

use crate::QrError;
use crate::symbol::{Plan, QUIET_ZONE, Symbol};

/// Colours 16 and 231 are the black and the white of the 256-colour cube: unlike the first sixteen,
/// no theme changes them.
const BLACK_INK: &str = "\u{1b}[38;5;16m";
const ON_WHITE: &str = "\u{1b}[48;5;231m";
const ON_BLACK: &str = "\u{1b}[48;5;16m";
const RESET: &str = "\u{1b}[0m";

/// How much of a terminal a QR code takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextSize {
    /// Its width in characters, 29 to 185.
    pub columns: u16,
    /// Its height in lines, 15 to 93.
    pub lines: u16,
}

/// How much of a terminal [`render_ansi`] and [`render_plain`] take for this text. It is told without
/// drawing, in a fraction of the time.
///
/// # Errors
///
/// [`QrError::Empty`] and [`QrError::TooLong`].
pub fn size(text: &str) -> Result<TextSize, QrError> {
    let width = Plan::new(text)?.width() + 2 * QUIET_ZONE;
    // The widest symbol has 177 modules.
    let columns = u16::try_from(width).map_err(QrError::encoder)?;
    Ok(TextSize { columns, lines: columns.div_ceil(2) })
}

/// Draws a QR code for a terminal, black on white whatever its theme, with SGR sequences of 256
/// colours. The lines are separated by line feeds, each ends with a reset, and there is none after
/// the last.
///
/// It reads also where a terminal spaces its lines: a character that is all dark has a black
/// background, any other a white one, so that neither of them shows stripes.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_ansi(text: &str) -> Result<String, QrError> {
    let symbol = Symbol::new(text)?;
    let mut drawn = String::new();
    for (i, line) in cells(&symbol).enumerate() {
        drawn.push_str(if i == 0 { "" } else { "\n" });
        drawn.push_str(BLACK_INK);
        let mut paper = "";
        for (upper_is_dark, lower_is_dark) in line {
            let (glyph, wanted) = match (upper_is_dark, lower_is_dark) {
                (true, true) => ('█', ON_BLACK),
                (true, false) => ('▀', ON_WHITE),
                (false, true) => ('▄', ON_WHITE),
                (false, false) => (' ', ON_WHITE),
            };
            if paper != wanted {
                drawn.push_str(wanted);
                paper = wanted;
            }
            drawn.push(glyph);
        }
        drawn.push_str(RESET);
    }
    Ok(drawn)
}

/// Draws a QR code with block characters alone, for where there is no colour. The lines are
/// separated by line feeds.
///
/// The **light** modules and the quiet zone are the characters, the dark ones are left blank: so it is
/// right on a dark background, as most terminals have. On a light one it is inverted, which many
/// phones read, but not all.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_plain(text: &str) -> Result<String, QrError> {
    let symbol = Symbol::new(text)?;
    let mut drawn = String::new();
    for (i, line) in cells(&symbol).enumerate() {
        drawn.push_str(if i == 0 { "" } else { "\n" });
        drawn.extend(line.map(|(upper_is_dark, lower_is_dark)| {
            match (upper_is_dark, lower_is_dark) {
                (true, true) => ' ',
                (true, false) => '▄',
                (false, true) => '▀',
                (false, false) => '█',
            }
        }));
    }
    Ok(drawn)
}

/// The characters of a symbol, line by line: whether the upper and the lower half are dark. Symbols
/// have an odd number of rows; the half that is missing from the last line is light.
fn cells(symbol: &Symbol) -> impl Iterator<Item = impl Iterator<Item = (bool, bool)>> {
    (0..symbol.width()).step_by(2).map(move |y| {
        (0..symbol.width()).map(move |x| (symbol.is_dark(x, y), symbol.is_dark(x, y + 1)))
    })
}
