//! Pairing codes: one-time codes that a stranger gives to the operator.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// 32 characters, without the confusable `0`, `1`, `I` and `O`. A character's value is its index.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The number of characters in a code.
const LENGTH: usize = 8;

/// The maximum length of an input: a code with whatever was pasted around it.
const MAX_INPUT_BYTES: usize = 256;

/// A pairing code: 7 random characters and 1 check character of
/// `ABCDEFGHJKLMNPQRSTUVWXYZ23456789`.
///
/// [`Display`](fmt::Display) writes it for people (`K7M9-PQ2X`), [`as_str`](Self::as_str) and
/// `serde` for machines (`K7M9PQ2X`). A code is a secret until it is used, so `Debug` does not show
/// it.
///
/// ```
/// use nexo_pairing_core::PairingCode;
///
/// let code = PairingCode::from_random([0, 1, 2, 3, 4, 5, 6]);
/// assert_eq!(PairingCode::parse(&code.to_string().to_lowercase())?, code);
/// assert_eq!(format!("{code:?}"), "PairingCode(redacted)");
/// # Ok::<(), nexo_pairing_core::CodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PairingCode(Box<str>);

/// Why an input is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// It does not consist of eight characters of the alphabet.
    #[error("a code has 8 characters of ABCDEFGHJKLMNPQRSTUVWXYZ23456789")]
    Form,
}

impl PairingCode {
    /// A code from 7 random bytes, of which 5 bits each are used (35 bits in all).
    #[must_use]
    pub fn from_random(random: [u8; LENGTH - 1]) -> Self {
        let mut values = [0; LENGTH];
        for (value, byte) in values.iter_mut().zip(random) {
            *value = byte & 31;
        }
        // The check value v solves v·α⁷ = Σ vᵢ·αⁱ; one of the 32 does.
        let sum = weighted_sum(&values);
        let check = (0..32).find(|&value| multiply(value, weight(LENGTH - 1)) == sum);
        values[LENGTH - 1] = check.unwrap_or_default();
        Self(values.iter().map(|&value| char::from(ALPHABET[usize::from(value)])).collect())
    }

    /// Parses a code that a person typed or pasted.
    ///
    /// Case, white space, hyphens, brackets, quotes and full-width forms do not matter; zero-width
    /// characters are ignored. The check character is not verified: see
    /// [`is_consistent`](Self::is_consistent).
    ///
    /// # Errors
    ///
    /// [`CodeError::Form`] if the rest is not eight characters of the alphabet.
    pub fn parse(input: &str) -> Result<Self, CodeError> {
        if input.len() > MAX_INPUT_BYTES {
            return Err(CodeError::Form);
        }
        let code: String = input.chars().map(narrow).filter(|&c| !is_decoration(c)).collect();
        let code = code.to_ascii_uppercase();
        if code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte)) {
            Ok(Self(code.into_boxed_str()))
        } else {
            Err(CodeError::Form)
        }
    }

    /// Takes a code from a database unchecked.
    #[must_use]
    pub fn from_stored(code: String) -> Self {
        Self(code.into_boxed_str())
    }

    /// Whether the check character matches. It detects every wrong character and every swap of two.
    /// Codes of 0.1.8 have no check character, so look a code up before you check it.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let mut values = [0; LENGTH];
        if self.0.len() != LENGTH {
            return false;
        }
        for (value, byte) in values.iter_mut().zip(self.0.bytes()) {
            match ALPHABET.iter().position(|&letter| letter == byte) {
                // The index of an array of 32 fits.
                Some(index) => *value = index as u8,
                None => return false,
            }
        }
        weighted_sum(&values) == 0
    }

    /// The code for machines: eight characters, no hyphen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(LENGTH / 2) {
            Some((left, right)) if !right.is_empty() => write!(f, "{left}-{right}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(redacted)")
    }
}

impl<'de> Deserialize<'de> for PairingCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Maps the full-width forms (U+FF01 to U+FF5E) to ASCII.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Characters that people and messengers add in and around a code.
fn is_decoration(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '-' | '_' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '`' | '\'' | '"')
        // Hyphens, dashes and the minus sign.
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}')
        // Zero-width characters, joiners, direction marks, soft hyphen, byte order mark.
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// Σ vᵢ·αⁱ over GF(32).
fn weighted_sum(values: &[u8; LENGTH]) -> u8 {
    values.iter().enumerate().fold(0, |sum, (i, &value)| sum ^ multiply(value, weight(i)))
}

/// αⁱ, for i below 8.
fn weight(i: usize) -> u8 {
    (0..i).fold(1, |power, _| multiply(power, 2))
}

/// The product in GF(32) with the polynomial x⁵+x²+1.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a <<= 1;
        if a & 0b10_0000 != 0 {
            a ^= 0b10_0101;
        }
        b >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_character_is_what_the_document_says() {
        // docs/protocol.md gives these two.
        assert_eq!(PairingCode::from_random([0; 7]).as_str(), "AAAAAAAA");
        assert_eq!(PairingCode::from_random([1, 2, 3, 4, 5, 6, 7]).as_str(), "BCDEFGH4");
    }

    #[test]
    fn what_people_paste_is_read() {
        let code = PairingCode::parse("K7M9PQ2X").unwrap();
        for input in [
            "k7m9-pq2x",
            " K7M9 PQ2X\n",
            "K7M9\u{2013}PQ2X",
            "\u{ff2b}\u{ff17}\u{ff2d}\u{ff19}\u{ff0d}\u{ff30}\u{ff31}\u{ff12}\u{ff38}",
            "K7\u{200b}M9\u{feff}PQ\u{2060}2X",
            "[K7M9-PQ2X]",
            "`K7M9-PQ2X`",
            "\u{202a}K7M9-PQ2X\u{202c}",
        ] {
            assert_eq!(PairingCode::parse(input), Ok(code.clone()), "{input:?}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let long = "K7M9PQ2X".repeat(1000);
        for input in
            ["", "K7M9PQ2", "K7M9PQ2XA", "K7M9PQ20", "K7M9PQI1", "K7M9PQ2é", "ß7M9PQ2X", &long]
        {
            assert_eq!(PairingCode::parse(input), Err(CodeError::Form), "{input:?}");
        }
    }

    #[test]
    fn a_stored_code_of_any_shape_is_shown_and_never_consistent() {
        for stored in ["", "A", "ABCD", "ABCDE", "ñandú-ñandú", "ABCDEFGHJ", "00000000"] {
            let code = PairingCode::from_stored(stored.into());
            assert_eq!(code.to_string().replace('-', ""), stored.replace('-', ""));
            assert!(!code.is_consistent(), "{stored}");
        }
        assert_eq!(PairingCode::from_stored("ABCD".into()).to_string(), "ABCD");
        assert_eq!(PairingCode::from_stored("ABCDE".into()).to_string(), "ABCD-E");
    }

    #[test]
    fn a_code_is_read_from_so_many_bytes_and_no_more() {
        let padded = |bytes: usize| format!("{:bytes$}", "K7M9PQ2X");
        assert!(PairingCode::parse(&padded(MAX_INPUT_BYTES)).is_ok());
        assert!(PairingCode::parse(&padded(MAX_INPUT_BYTES + 1)).is_err());
    }

    #[test]
    fn a_code_is_not_shown_to_who_debugs() {
        let code = PairingCode::from_stored("K7M9PQ2X".into());
        assert_eq!(format!("{code:?}"), "PairingCode(redacted)");
    }

    proptest! {
        #[test]
        fn a_code_survives_being_shown_and_typed(random: [u8; 7]) {
            let code = PairingCode::from_random(random);
            prop_assert!(code.is_consistent());
            prop_assert_eq!(PairingCode::parse(&code.to_string()), Ok(code));
        }

        #[test]
        fn every_wrong_character_and_every_swap_is_caught(random: [u8; 7]) {
            let code = PairingCode::from_random(random);
            for i in 0..LENGTH {
                for &letter in ALPHABET {
                    let mut typed = code.as_str().to_owned().into_bytes();
                    if typed[i] != letter {
                        typed[i] = letter;
                        let typed = PairingCode::parse(&String::from_utf8(typed).unwrap()).unwrap();
                        prop_assert!(!typed.is_consistent());
                    }
                }
                for j in 0..i {
                    let mut typed = code.as_str().to_owned().into_bytes();
                    if typed[i] != typed[j] {
                        typed.swap(i, j);
                        let typed = PairingCode::parse(&String::from_utf8(typed).unwrap()).unwrap();
                        prop_assert!(!typed.is_consistent());
                    }
                }
            }
        }

        #[test]
        fn no_input_panics(input in ".{0,300}") {
            let _ = PairingCode::parse(&input);
        }
    }
}
