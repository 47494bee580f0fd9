//! Encodes a text as a QR code: the smallest version, the highest error correction that fits, and
//! the mask with the least penalty.

use std::iter;

use qrcode::bits::Bits;
use qrcode::canvas::{Canvas, MaskPattern};
use qrcode::optimize::Segment;
use qrcode::types::Mode;
use qrcode::{Color, EcLevel, Version, ec};

use crate::penalty::penalty;
use crate::{MAX_TEXT_BYTES, QrError};

/// The width of the light border, in modules.
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
    /// How many modules a side has, without the quiet zone.
    width: usize,
    /// Row by row; true is dark.
    modules: Vec<bool>,
}

impl Symbol {
    pub(crate) fn new(text: &str) -> Result<Self, QrError> {
        let Plan { version, level, segment } = Plan::new(text)?;
        let mut bits = Bits::new(version);
        bits.push_segments(text.as_bytes(), iter::once(segment)).map_err(QrError::encoder)?;
        bits.push_terminator(level).map_err(QrError::encoder)?;
        let (data, correction) = ec::construct_codewords(&bits.into_bytes(), version, level)
            .map_err(QrError::encoder)?;
        let mut canvas = Canvas::new(version, level);
        canvas.draw_all_functional_patterns();
        canvas.draw_data(&data, &correction);

        let width = version.width().unsigned_abs().into();
        let masked = MASKS.map(|mask| {
            let mut canvas = canvas.clone();
            canvas.apply_mask(mask);
            let is_dark = |color| color == Color::Dark;
            canvas.into_colors().into_iter().map(is_dark).collect::<Vec<_>>()
        });
        let best = masked.into_iter().min_by_key(|modules| penalty(width, modules));
        Ok(Self { width, modules: best.unwrap_or_default() })
    }

    /// How many modules a side has, with the quiet zone.
    pub(crate) fn width(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// Whether a module is dark. The quiet zone, and everything outside it, is light.
    pub(crate) fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|&at| at < self.width);
        inside(x).zip(inside(y)).is_some_and(|(x, y)| self.modules[y * self.width + x])
    }
}

/// The version, error correction and mode of a symbol.
pub(crate) struct Plan {
    version: Version,
    level: EcLevel,
    segment: Segment,
}

impl Plan {
    /// The smallest version that holds `text` in one segment, and the highest level of error
    /// correction for which it has room.
    pub(crate) fn new(text: &str) -> Result<Self, QrError> {
        if text.is_empty() {
            return Err(QrError::Empty);
        }
        let too_long = QrError::TooLong { length: text.len(), max: MAX_TEXT_BYTES };
        if text.len() > MAX_TEXT_BYTES {
            return Err(too_long);
        }
        let segment = Segment { mode: mode_of(text), begin: 0, end: text.len() };
        let fits = |version, level| {
            let capacity = Bits::new(version).max_len(level);
            capacity.is_ok_and(|capacity| segment.encoded_len(version) <= capacity)
        };
        let mut versions = (1..=40).map(Version::Normal);
        let version = versions.find(|&version| fits(version, EcLevel::L)).ok_or(too_long)?;
        let levels = [EcLevel::H, EcLevel::Q, EcLevel::M];
        let level = levels.into_iter().find(|&level| fits(version, level)).unwrap_or(EcLevel::L);
        Ok(Self { version, level, segment })
    }

    /// How many modules a side has, with the quiet zone.
    pub(crate) fn width(&self) -> usize {
        usize::from(self.version.width().unsigned_abs()) + 2 * QUIET_ZONE
    }
}

/// The densest mode that encodes all characters of a text. Kanji mode is left out: it would take the
/// UTF-8 bytes of some texts for Shift JIS, and a phone would show other characters.
fn mode_of(text: &str) -> Mode {
    let is_alphanumeric =
        |byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z') || b" $%*+-./:".contains(&byte);
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Mode::Numeric
    } else if text.bytes().all(is_alphanumeric) {
        Mode::Alphanumeric
    } else {
        Mode::Byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> (Version, EcLevel) {
        let plan = Plan::new(text).unwrap();
        (plan.version, plan.level)
    }

    #[test]
    fn the_version_is_the_smallest_and_spare_capacity_goes_to_error_correction() {
        // Of version 1, from the table in ISO/IEC 18004: 25, 20, 16 and 10 of upper case.
        let of = |version, level| (Version::Normal(version), level);
        assert_eq!(plan(&"A".repeat(10)), of(1, EcLevel::H));
        assert_eq!(plan(&"A".repeat(16)), of(1, EcLevel::Q));
        assert_eq!(plan(&"A".repeat(20)), of(1, EcLevel::M));
        assert_eq!(plan(&"A".repeat(25)), of(1, EcLevel::L));
        assert_eq!(plan(&"A".repeat(26)), of(2, EcLevel::Q));
        // Version 40 holds 2953 bytes, and more in the denser modes.
        assert_eq!(plan(&"a".repeat(2953)), of(40, EcLevel::L));
        assert_eq!(plan(&"A".repeat(2953)).0, Version::Normal(33));
        assert_eq!(plan(&"0".repeat(2953)).0, Version::Normal(25));
    }

    #[test]
    fn the_mode_is_the_densest_that_encodes_all_characters() {
        assert_eq!(mode_of("0123456789"), Mode::Numeric);
        assert_eq!(mode_of("0123456789ABYZ $%*+-./:"), Mode::Alphanumeric);
        for text in ["eyJ1cmwiOiJ3c3M6", "A_", "0;", "A\u{e9}"] {
            assert_eq!(mode_of(text), Mode::Byte, "{text}");
        }
        // Read as Shift JIS, these bytes are two characters.
        assert_eq!(mode_of("\u{3042}\u{3001}A"), Mode::Byte);
    }

    #[test]
    fn the_modules_are_the_same_as_those_of_qrcode() {
        // Its penalty includes the quiet zone, which makes no difference for these.
        for text in ["K7M9PQ2X", "0123456789", &"a1B-".repeat(99)] {
            let (version, level) = plan(text);
            let theirs = qrcode::QrCode::with_version(text, version, level).unwrap();
            let theirs: Vec<bool> =
                theirs.into_colors().into_iter().map(|color| color == Color::Dark).collect();
            assert!(Symbol::new(text).unwrap().modules == theirs, "{text}");
        }
    }

    #[test]
    fn empty_and_long_texts_are_refused() {
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
    fn a_text_that_gives_a_mask_of_a_single_colour_is_drawn() {
        // The penalty of that mask exceeds 16 bits.
        for letter in ["f", "3", "i", "\u{0}"] {
            assert!(Symbol::new(&letter.repeat(MAX_TEXT_BYTES)).is_ok(), "{letter}");
        }
    }
}
