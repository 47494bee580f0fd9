//! QR codes as text: each character shows two modules, one above the other, by half blocks.

use crate::QrError;
use crate::symbol::{Plan, Symbol};

/// Colours 16 and 231 are the black and the white of the 256-colour cube: unlike the first sixteen,
/// no theme changes them.
const BLACK_INK: &str = "\u{1b}[38;5;16m";
const ON_WHITE: &str = "\u{1b}[48;5;231m";
const ON_BLACK: &str = "\u{1b}[48;5;16m";
const RESET: &str = "\u{1b}[0m";

/// The size of a QR code in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextSize {
    /// Its width in characters, 29 to 185.
    pub columns: u16,
    /// Its height in lines, 15 to 93.
    pub lines: u16,
}

/// The size that [`render_ansi`] and [`render_plain`] need for this text. It is computed without
/// drawing, in a fraction of the time.
///
/// # Errors
///
/// [`QrError::Empty`] and [`QrError::TooLong`].
pub fn size(text: &str) -> Result<TextSize, QrError> {
    // The widest symbol has 177 modules.
    let columns = u16::try_from(Plan::new(text)?.width()).map_err(QrError::encoder)?;
    Ok(TextSize { columns, lines: columns.div_ceil(2) })
}

/// Draws a QR code for a terminal, black on white whatever its theme, with SGR sequences of 256
/// colours. Lines are separated by line feeds, with none after the last; each ends with a reset.
///
/// It also reads where a terminal puts space between its lines: a character that is all dark has a
/// black background, any other a white one, so that neither of them shows stripes.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_ansi(text: &str) -> Result<String, QrError> {
    let symbol = Symbol::new(text)?;
    let lines = half_blocks(&symbol).map(|line| {
        let mut drawn = BLACK_INK.to_owned();
        let mut background = "";
        for halves in line {
            let (glyph, wanted) = match halves {
                (true, true) => ('█', ON_BLACK),
                (true, false) => ('▀', ON_WHITE),
                (false, true) => ('▄', ON_WHITE),
                (false, false) => (' ', ON_WHITE),
            };
            if background != wanted {
                drawn.push_str(wanted);
                background = wanted;
            }
            drawn.push(glyph);
        }
        drawn + RESET
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Draws a QR code with block characters alone, for output without colour. Lines are separated by
/// line feeds, with none after the last.
///
/// The **light** modules and the quiet zone are drawn, the dark ones are blank: that is correct on a
/// dark background, which most terminals have. On a light one the code is inverted, which many
/// phones read, but not all.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_plain(text: &str) -> Result<String, QrError> {
    let symbol = Symbol::new(text)?;
    let lines = half_blocks(&symbol).map(|line| {
        let glyphs = line.map(|halves| match halves {
            (true, true) => ' ',
            (true, false) => '▄',
            (false, true) => '▀',
            (false, false) => '█',
        });
        glyphs.collect::<String>()
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// The characters of a symbol, line by line: whether the upper and the lower half are dark. Symbols
/// have an odd number of rows; the last line has a light lower half.
fn half_blocks(symbol: &Symbol) -> impl Iterator<Item = impl Iterator<Item = (bool, bool)>> {
    (0..symbol.width()).step_by(2).map(move |y| {
        (0..symbol.width()).map(move |x| (symbol.is_dark(x, y), symbol.is_dark(x, y + 1)))
    })
}
