//! Makes the QR code of a text: the smallest version, the most error correction that fits it, and
//! the mask that reads best.

use qrcode::bits::Bits;
use qrcode::canvas::{Canvas, MaskPattern};
use qrcode::{Color, EcLevel, Version, ec};

use crate::matrix::Matrix;
use crate::penalty::penalty;
use crate::segment::{Mode, Segment, segments};
use crate::{MAX_TEXT_BYTES, QrError};

/// How many light modules there are around a symbol, on each side.
pub(crate) const QUIET_ZONE: usize = 4;

const MASKS: [MaskPattern; 8] = [
    MaskPattern::Checkerboard,
    MaskPattern::HorizontalLines,
    MaskPattern::VerticalLines,
    MaskPattern::DiagonalLines,
    MaskPattern::LargeCheckerboard,
    MaskPattern::Fields,
    MaskPattern::Diamonds,
    MaskPattern::Meadow,
];

/// A QR code with its quiet zone.
pub(crate) struct Symbol {
    matrix: Matrix,
}

impl Symbol {
    /// The symbol of `text`.
    pub(crate) fn new(text: &str) -> Result<Self, QrError> {
        let plan = Plan::new(text)?;
        let level = plan.level()?;
        let data = plan.bytes(level)?;
        let version = plan.version();
        let (data, correction) =
            ec::construct_codewords(&data, version, level).map_err(QrError::encoder)?;
        let mut canvas = Canvas::new(version, level);
        canvas.draw_all_functional_patterns();
        canvas.draw_data(&data, &correction);
        // `Canvas::apply_best_mask` adds penalties up in 16 bits, which some texts overflow.
        let masked = |mask| {
            let mut canvas = canvas.clone();
            canvas.apply_mask(mask);
            let modules: Vec<bool> =
                canvas.into_colors().into_iter().map(|color| color == Color::Dark).collect();
            Matrix::new(plan.width(), &modules)
        };
        let mut best = masked(MASKS[0]);
        let mut least = penalty(&best);
        for mask in &MASKS[1..] {
            let matrix = masked(*mask);
            let penalty = penalty(&matrix);
            if penalty < least {
                (best, least) = (matrix, penalty);
            }
        }
        Ok(Self { matrix: best })
    }

    /// How many modules a side has, with the quiet zone.
    pub(crate) fn width(&self) -> usize {
        self.matrix.width() + 2 * QUIET_ZONE
    }

    /// Whether a module is dark; the quiet zone, and all beyond it, is light.
    pub(crate) fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|&at| at < self.matrix.width());
        inside(x).zip(inside(y)).is_some_and(|(x, y)| self.matrix.rows[y].get(x))
    }
}

/// In which version a text is drawn, and cut how.
pub(crate) struct Plan<'a> {
    version: i16,
    segments: Vec<Segment<'a>>,
    bits: usize,
}

impl<'a> Plan<'a> {
    /// The smallest version that holds `text`.
    pub(crate) fn new(text: &'a str) -> Result<Self, QrError> {
        if text.is_empty() {
            return Err(QrError::Empty);
        }
        let too_long = QrError::TooLong { length: text.len(), max: MAX_TEXT_BYTES };
        if text.len() > MAX_TEXT_BYTES {
            return Err(too_long);
        }
        // Within each of these ranges a text is cut in the same way.
        for versions in [1..=9, 10..=26, 27..=40] {
            let (segments, bits) = segments(text.as_bytes(), *versions.end());
            for version in versions {
                if bits <= capacity(version, EcLevel::L)? {
                    return Ok(Self { version, segments, bits });
                }
            }
        }
        Err(too_long)
    }

    /// How many modules a side has, without the quiet zone.
    pub(crate) fn width(&self) -> usize {
        usize::from(self.version.unsigned_abs()) * 4 + 17
    }

    fn version(&self) -> Version {
        Version::Normal(self.version)
    }

    /// The most error correction that this version has room for.
    fn level(&self) -> Result<EcLevel, QrError> {
        for level in [EcLevel::H, EcLevel::Q, EcLevel::M] {
            if self.bits <= capacity(self.version, level)? {
                return Ok(level);
            }
        }
        Ok(EcLevel::L)
    }

    /// The data, padded to what the version takes.
    fn bytes(&self, level: EcLevel) -> Result<Vec<u8>, QrError> {
        let mut bits = Bits::new(self.version());
        for segment in &self.segments {
            match segment.mode {
                Mode::Byte => bits.push_byte_data(segment.bytes),
                Mode::Alphanumeric => bits.push_alphanumeric_data(segment.bytes),
                Mode::Numeric => bits.push_numeric_data(segment.bytes),
            }
            .map_err(QrError::encoder)?;
        }
        bits.push_terminator(level).map_err(QrError::encoder)?;
        Ok(bits.into_bytes())
    }
}

/// How many bits of data a version holds.
fn capacity(version: i16, level: EcLevel) -> Result<usize, QrError> {
    Bits::new(Version::Normal(version)).max_len(level).map_err(QrError::encoder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(text: &str) -> (i16, EcLevel) {
        let plan = Plan::new(text).unwrap();
        (plan.version, plan.level().unwrap())
    }

    #[test]
    fn the_version_is_the_smallest_and_its_room_goes_to_error_correction() {
        // Of version 1, from the table in ISO/IEC 18004: 25, 20, 16 and 10 of upper case.
        assert_eq!(plan(&"A".repeat(10)), (1, EcLevel::H));
        assert_eq!(plan(&"A".repeat(16)), (1, EcLevel::Q));
        assert_eq!(plan(&"A".repeat(20)), (1, EcLevel::M));
        assert_eq!(plan(&"A".repeat(25)), (1, EcLevel::L));
        assert_eq!(plan(&"A".repeat(26)), (2, EcLevel::Q));
        // Of version 40: 2953 bytes, and of what is denser more than that.
        assert_eq!(plan(&"a".repeat(2953)), (40, EcLevel::L));
        assert_eq!(plan(&"A".repeat(2953)).0, 33);
        assert_eq!(plan(&"0".repeat(2953)).0, 25);
    }

    #[test]
    fn nothing_and_too_much_are_told() {
        assert_eq!(Symbol::new("").err().unwrap().kind(), "empty");
        for length in [MAX_TEXT_BYTES + 1, 1 << 20] {
            let error = Symbol::new(&"0".repeat(length)).err().unwrap();
            assert_eq!(error.kind(), "too_long");
            assert_eq!(
                error.to_string(),
                format!("the text has {length} bytes, a QR code holds at most 2953")
            );
        }
    }

    #[test]
    fn a_text_that_makes_one_mask_all_of_one_colour_is_drawn() {
        // The penalty of that mask is more than 16 bits hold.
        for letter in ["f", "3", "i", "\u{0}"] {
            assert!(Symbol::new(&letter.repeat(MAX_TEXT_BYTES)).is_ok(), "{letter}");
        }
    }

    proptest! {
        #[test]
        fn the_bits_that_are_planned_are_the_bits_that_are_written(text in "[0-9A-Ca-zé]{1,300}") {
            let plan = Plan::new(&text).unwrap();
            let mut bits = Bits::new(plan.version());
            for segment in &plan.segments {
                match segment.mode {
                    Mode::Byte => bits.push_byte_data(segment.bytes),
                    Mode::Alphanumeric => bits.push_alphanumeric_data(segment.bytes),
                    Mode::Numeric => bits.push_numeric_data(segment.bytes),
                }
                .unwrap();
            }
            prop_assert_eq!(bits.len(), plan.bits);
        }
    }
}
