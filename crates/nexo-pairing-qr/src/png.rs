//! QR codes as PNG.

use std::iter;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::QrError;
use crate::symbol::Symbol;

/// The least width of an image, in pixels.
const MIN_WIDTH: usize = 256;

/// Of 1 to 9. The next level saves 5 % and takes a third longer.
const COMPRESSION: CompressionType = CompressionType::Level(7);

/// Draws a QR code as a black and white PNG image in 8-bit greyscale, with a quiet zone of four
/// modules. A module is a square of as few pixels as make the image at least 256 pixels wide: 4 by 4
/// for a setup code of version 1, 6 by 6 for a compact one.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_png(text: &str) -> Result<Vec<u8>, QrError> {
    let symbol = Symbol::new(text)?;
    let module = MIN_WIDTH.div_ceil(symbol.width());
    let width = u32::try_from(symbol.width() * module).map_err(QrError::encoder)?;
    let mut pixels = Vec::new();
    for y in 0..symbol.width() {
        let shade = |x| if symbol.is_dark(x, y) { 0 } else { u8::MAX };
        let row = (0..symbol.width()).flat_map(|x| iter::repeat_n(shade(x), module));
        pixels.extend(row.collect::<Vec<_>>().repeat(module));
    }
    let mut png = Vec::new();
    // Rows repeat as they are, so any filter makes the image larger.
    PngEncoder::new_with_quality(&mut png, COMPRESSION, FilterType::NoFilter)
        .write_image(&pixels, width, width, ExtendedColorType::L8)
        .map_err(QrError::encoder)?;
    Ok(png)
}
