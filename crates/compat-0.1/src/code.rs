//! Pairing codes as text.

use std::collections::HashSet;

use nexo_pairing_core::{OsRandom, PairingCode, RandomSource as _};

/// The characters of a code.
pub const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The number of characters in a code.
pub const LENGTH: usize = 8;

/// How often a code is drawn before giving up.
const DRAWS: usize = 500;

/// A random code.
///
/// # Panics
///
/// If the operating system has no random numbers.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0; 7];
    OsRandom::default().fill(&mut bytes).expect("the operating system has random numbers");
    PairingCode::from_random(bytes).as_str().to_owned()
}

/// A random code that is not in `existing`.
///
/// # Errors
///
/// If 500 random codes were all in `existing`, which means that the random numbers are not random.
pub fn generate_unique(existing: &HashSet<String>) -> Result<String, &'static str> {
    let mut codes = std::iter::repeat_with(random).take(DRAWS);
    codes.find(|code| !existing.contains(code)).ok_or("no unused code was found in 500 draws")
}
