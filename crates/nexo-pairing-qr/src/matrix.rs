//! The modules of a QR code as bits, a line of them in three machine words.

use std::ops::{BitAnd, BitXor, Not, Shr};

/// Up to 192 modules side by side: the widest symbol has 177. A set bit is a dark module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Line([u64; 3]);

impl Line {
    /// The first `count` modules dark.
    pub(crate) fn first(count: usize) -> Self {
        Self(std::array::from_fn(|word| match count.saturating_sub(word * 64) {
            0 => 0,
            left @ 1..64 => (1 << left) - 1,
            _ => u64::MAX,
        }))
    }

    /// Makes a light module dark, if it `is_dark`. Modules are as good as random, so it does not
    /// branch on them.
    pub(crate) fn add(&mut self, at: usize, is_dark: bool) {
        self.0[at / 64] |= u64::from(is_dark) << (at % 64);
    }

    pub(crate) fn get(self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    pub(crate) fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

impl BitAnd for Line {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

impl BitXor for Line {
    type Output = Self;
    fn bitxor(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] ^ other.0[word]))
    }
}

impl Not for Line {
    type Output = Self;
    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl Shr<u32> for Line {
    type Output = Self;
    /// Moves module `by` to place 0; `by` is at most 63.
    fn shr(self, by: u32) -> Self {
        if by == 0 {
            return self;
        }
        let [low, middle, high] = self.0;
        let carry = 64 - by;
        Self([low >> by | middle << carry, middle >> by | high << carry, high >> by])
    }
}

/// The modules of a symbol, without its quiet zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub(crate) rows: Vec<Line>,
    pub(crate) columns: Vec<Line>,
}

impl Matrix {
    /// A square of `width` (1 to 192) modules, row by row; true is dark.
    pub(crate) fn new(width: usize, modules: &[bool]) -> Self {
        let mut matrix =
            Self { rows: vec![Line::default(); width], columns: vec![Line::default(); width] };
        for (y, (row, modules)) in matrix.rows.iter_mut().zip(modules.chunks(width)).enumerate() {
            for (x, (column, &is_dark)) in matrix.columns.iter_mut().zip(modules).enumerate() {
                row.add(x, is_dark);
                column.add(y, is_dark);
            }
        }
        matrix
    }

    /// How many modules a side has.
    pub(crate) fn width(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shifted_across_words() {
        let mut line = Line::default();
        for at in [0, 63, 64, 127, 128, 176] {
            line.add(at, true);
        }
        for by in 0..11 {
            for at in 0..192 {
                let expected = at + by < 192 && line.get(at + by);
                assert_eq!((line >> by as u32).get(at), expected, "{by} {at}");
            }
        }
    }

    #[test]
    fn the_first_modules_are_set() {
        for count in [0, 1, 21, 63, 64, 65, 128, 177, 192] {
            assert_eq!(Line::first(count).count() as usize, count);
            assert_eq!(
                (0..192).filter(|&at| Line::first(count).get(at)).max(),
                count.checked_sub(1)
            );
        }
    }
}
