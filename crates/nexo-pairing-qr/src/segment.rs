//! Cuts a text into segments of the three modes of a QR code, so that it takes the fewest bits.

/// How a segment's characters are packed. Kanji mode is left out: it would read the UTF-8 bytes of
/// some texts as Shift JIS, and a phone would show something else than was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Byte,
    Alphanumeric,
    Numeric,
}

/// A run of bytes in one mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) mode: Mode,
    pub(crate) bytes: &'a [u8],
}

const MODES: [Mode; 3] = [Mode::Byte, Mode::Alphanumeric, Mode::Numeric];

/// More than any text costs; far enough from the end of the type to be added to.
const UNREACHABLE: u32 = u32::MAX / 2;

impl Mode {
    /// What a character costs, in sixths of a bit, the unit in which all three are whole: 8 bits,
    /// 11 bits for two, 10 bits for three.
    fn sixths(self) -> u32 {
        match self {
            Self::Byte => 48,
            Self::Alphanumeric => 33,
            Self::Numeric => 20,
        }
    }

    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Byte => true,
            Self::Alphanumeric => {
                matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b' ' | b'$' | b'%' | b'*' | b'+' | b'-' | b'.' | b'/' | b':')
            }
            Self::Numeric => byte.is_ascii_digit(),
        }
    }

    /// The bits that a segment's mode and length take, which depend on the version (1 to 40).
    fn header_bits(self, version: i16) -> u32 {
        let lengths = match self {
            Self::Byte => [8, 16, 16],
            Self::Alphanumeric => [9, 11, 13],
            Self::Numeric => [10, 12, 14],
        };
        4 + match version {
            ..=9 => lengths[0],
            10..=26 => lengths[1],
            _ => lengths[2],
        }
    }
}

/// The segments of `text` that take the fewest bits in this version, and how many these are.
///
/// It goes through the text once and keeps, for each mode, the cheapest way to have come to this
/// character in that mode.
pub(crate) fn segments(text: &[u8], version: i16) -> (Vec<Segment<'_>>, usize) {
    let headers = MODES.map(|mode| mode.header_bits(version) * 6);
    // What it costs to stand before a character with a segment open in each mode, and for each
    // character in which mode it was drawn when the next one's mode is this one.
    let mut costs = headers;
    let mut came_from = Vec::with_capacity(text.len());
    for &byte in text {
        let drawn: [u32; 3] = std::array::from_fn(|mode| {
            if MODES[mode].holds(byte) { costs[mode] + MODES[mode].sixths() } else { UNREACHABLE }
        });
        // A segment ends on a whole bit.
        let ended = drawn.map(|cost| cost.next_multiple_of(6));
        let cheapest = (0..MODES.len()).min_by_key(|&mode| ended[mode]).unwrap_or_default();
        let switched = headers.map(|header| ended[cheapest] + header);
        let from: [usize; 3] =
            std::array::from_fn(|mode| if switched[mode] < drawn[mode] { cheapest } else { mode });
        costs = std::array::from_fn(|mode| switched[mode].min(drawn[mode]));
        came_from.push(from);
    }
    let mut mode = (0..MODES.len()).min_by_key(|&mode| costs[mode]).unwrap_or_default();
    let bits = costs[mode].div_ceil(6) as usize;
    let mut modes: Vec<Mode> = came_from
        .iter()
        .rev()
        .map(|from| {
            mode = from[mode];
            MODES[mode]
        })
        .collect();
    modes.reverse();
    (join(text, &modes), bits)
}

/// The runs of characters that are drawn in the same mode.
fn join<'a>(text: &'a [u8], modes: &[Mode]) -> Vec<Segment<'a>> {
    let mut begin = 0;
    modes
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let end = begin + run.len();
            let segment = Segment { mode: run[0], bytes: &text[begin..end] };
            begin = end;
            segment
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(Mode, &str)> {
        let (segments, _) = segments(text.as_bytes(), 1);
        segments
            .into_iter()
            .map(|segment| (segment.mode, std::str::from_utf8(segment.bytes).unwrap()))
            .collect()
    }

    /// The bits of every way to cut the text, the smallest of them.
    fn by_trying_all(text: &[u8], version: i16) -> usize {
        let mut best = vec![usize::MAX; text.len() + 1];
        best[0] = 0;
        for end in 1..=text.len() {
            for begin in 0..end {
                for mode in MODES {
                    if text[begin..end].iter().all(|&byte| mode.holds(byte)) {
                        let data = ((end - begin) as u32 * mode.sixths()).div_ceil(6);
                        let bits = (mode.header_bits(version) + data) as usize;
                        best[end] = best[end].min(best[begin] + bits);
                    }
                }
            }
        }
        best[text.len()]
    }

    #[test]
    fn a_text_of_one_kind_is_one_segment() {
        assert_eq!(cut("0123456789"), [(Mode::Numeric, "0123456789")]);
        assert_eq!(cut("AEBAGBAF2345"), [(Mode::Alphanumeric, "AEBAGBAF2345")]);
        assert_eq!(cut("eyJ1cmwiOiJ3c3M6"), [(Mode::Byte, "eyJ1cmwiOiJ3c3M6")]);
    }

    #[test]
    fn a_text_of_several_kinds_is_cut_where_it_pays() {
        assert_eq!(
            cut("https://example.com/0123456789012345"),
            [(Mode::Byte, "https://example.com/"), (Mode::Numeric, "0123456789012345")]
        );
        assert_eq!(cut("abc123def"), [(Mode::Byte, "abc123def")]);
    }

    #[test]
    fn bytes_that_look_like_kanji_stay_bytes() {
        // Read as Shift JIS, these are two characters.
        let text = "\u{3042}\u{3001}A";
        assert_eq!(cut(text), [(Mode::Byte, text)]);
    }

    proptest! {
        #[test]
        fn no_way_to_cut_takes_fewer_bits(text in "[0-9A-Ca-c]{1,60}", version in 1i16..=40) {
            let (segments, bits) = segments(text.as_bytes(), version);
            prop_assert_eq!(bits, by_trying_all(text.as_bytes(), version));
            prop_assert_eq!(segments.iter().flat_map(|s| s.bytes).copied().collect::<Vec<_>>(), text.as_bytes());
        }
    }
}
