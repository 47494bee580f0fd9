//! QR codes as PNG.

use std::iter;

use miniz_oxide::deflate::compress_to_vec_zlib;

use crate::QrError;
use crate::symbol::Symbol;

/// The least width of an image, in pixels.
const MIN_WIDTH: usize = 256;

/// The pixels of a byte, of one bit each. A module is one byte wide, or several, which makes rows
/// quick to write; eight pixels survive being scaled and compressed by a chat.
const BYTE: usize = 8;

/// Of 0 to 10; more takes longer, and makes an image of so few patterns no smaller.
const COMPRESSION: u8 = 5;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Draws a QR code as a PNG image in black and white, of one bit a pixel. It is at least 256 pixels
/// wide; a module is 8 by 8 pixels, or 16 by 16 in the smallest version, and the quiet zone has four
/// modules.
///
/// # Errors
///
/// [`QrError::Empty`], and [`QrError::TooLong`] for more than
/// [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
pub fn render_png(text: &str) -> Result<Vec<u8>, QrError> {
    let symbol = Symbol::new(text)?;
    let bytes = MIN_WIDTH.div_ceil(symbol.width() * BYTE);
    let width = symbol.width() * bytes * BYTE;
    let mut rows = Vec::with_capacity((1 + width / BYTE) * width);
    for y in 0..symbol.width() {
        let row = row(&symbol, y, bytes);
        for _ in 0..bytes * BYTE {
            rows.extend_from_slice(&row);
        }
    }
    Ok(image(u32::try_from(width).map_err(QrError::encoder)?, &rows))
}

/// A row of modules as a row of pixels, each module so many bytes wide; a set bit is white. The first
/// byte says that the row is not filtered: rows repeat as they are, so any filter makes the image
/// larger.
fn row(symbol: &Symbol, y: usize, bytes: usize) -> Vec<u8> {
    let mut row = vec![0];
    for x in 0..symbol.width() {
        let pixels = if symbol.is_dark(x, y) { 0x00 } else { 0xff };
        row.extend(iter::repeat_n(pixels, bytes));
    }
    row
}

/// A square image of these rows.
fn image(width: u32, rows: &[u8]) -> Vec<u8> {
    let mut header = [0; 13];
    header[..4].copy_from_slice(&width.to_be_bytes());
    header[4..8].copy_from_slice(&width.to_be_bytes());
    // One bit a pixel; the zeros after it are: grey, deflate, filters by row, not interlaced.
    header[8] = 1;
    let mut image = SIGNATURE.to_vec();
    push_chunk(&mut image, b"IHDR", &header);
    push_chunk(&mut image, b"IDAT", &compress_to_vec_zlib(rows, COMPRESSION));
    push_chunk(&mut image, b"IEND", &[]);
    image
}

fn push_chunk(image: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    // At most 185 modules a side: far below 4 GiB.
    image.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let begin = image.len();
    image.extend_from_slice(kind);
    image.extend_from_slice(data);
    let checksum = crc32(&image[begin..]);
    image.extend_from_slice(&checksum.to_be_bytes());
}

/// The CRC-32 of PNG and zip. Bit by bit, since an image has a few hundred bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_png() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // The end chunk of every PNG file.
        let mut image = Vec::new();
        push_chunk(&mut image, b"IEND", &[]);
        assert_eq!(image, b"\0\0\0\0IEND\xae\x42\x60\x82");
    }
}
