//! A greyscale picture, and the texts that an independent decoder reads in it.

use zune_core::{bytestream::ZCursor, options::DecoderOptions};
use zune_png::PngDecoder;

/// Rows of pixels, 0 is black and 255 white.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    pub(crate) fn new(width: usize, height: usize, at: impl Fn(usize, usize) -> u8) -> Self {
        let pixels = (0..width * height).map(|i| at(i % width, i / width)).collect();
        Self { width, height, pixels }
    }

    /// The picture in a PNG file with 8 bits a pixel.
    pub(crate) fn of_png(file: &[u8]) -> Self {
        let options = DecoderOptions::new_safe().png_set_confirm_crc(true);
        let mut decoder = PngDecoder::new_with_options(ZCursor::new(file), options);
        let pixels = decoder.decode_raw().unwrap();
        let info = decoder.info().unwrap();
        // In the header: the bits of a sample, and the colour type, grey.
        assert_eq!(file[24..26], [8, 0]);
        assert_eq!(info.width * info.height, pixels.len());
        Self { width: info.width, height: info.height, pixels }
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> u8 {
        self.pixels[y * self.width + x]
    }

    /// Each pixel as a square of `by` pixels a side.
    pub(crate) fn scaled(&self, by: usize) -> Self {
        Self::new(self.width * by, self.height * by, |x, y| self.at(x / by, y / by))
    }

    /// One pixel of each square of `by` pixels a side.
    pub(crate) fn module_by_module(&self, by: usize) -> Self {
        Self::new(self.width / by, self.height / by, |x, y| self.at(x * by, y * by))
    }

    pub(crate) fn inverted(&self) -> Self {
        Self::new(self.width, self.height, |x, y| 255 - self.at(x, y))
    }

    /// The picture within a frame of one shade.
    pub(crate) fn framed(&self, by: usize, shade: u8) -> Self {
        let inside = |at: usize, end| at.checked_sub(by).filter(|&at| at < end);
        Self::new(self.width + 2 * by, self.height + 2 * by, |x, y| {
            let (x, y) = (inside(x, self.width), inside(y, self.height));
            x.zip(y).map_or(shade, |(x, y)| self.at(x, y))
        })
    }

    /// The texts of all QR codes in the picture.
    pub(crate) fn read(&self) -> Vec<String> {
        let mut prepared =
            rqrr::PreparedImage::prepare_from_greyscale(self.width, self.height, |x, y| {
                self.at(x, y)
            });
        let grids = prepared.detect_grids();
        grids.iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect()
    }
}
