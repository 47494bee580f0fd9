//! A signing key, which is wiped on drop and never shown.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use nexo_pairing_core::setup_code::UnverifiedToken;
use ring::{digest, hmac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{KeyError, RandomError, RandomSource};

/// The length of a key, in bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// Hashed before the key for its id, so that the hash has no other use.
const ID_DOMAIN: &[u8] = b"nexo-pairing key id\0";

/// Identifies a key without revealing it: the first 4 bytes of a hash of the key, as 8 lower-case
/// hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Parses an id.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`] when it is not 8 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut id = [0; 4];
        match HEXLOWER.decode_len(text.len()) {
            Ok(4) if HEXLOWER.decode_mut(text.as_bytes(), &mut id).is_ok() => Ok(Self(id)),
            _ => Err(KeyError::Id),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

/// The bytes of a key. They are never moved, and are wiped where they are.
pub(crate) type Secret = Box<Zeroizing<[u8; KEY_BYTES]>>;

/// A key that signs and verifies.
pub(crate) struct Key {
    id: KeyId,
    secret: Secret,
}

impl Key {
    pub(crate) fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut secret = Secret::default();
        random.fill(&mut secret[..])?;
        Ok(Self::new(secret))
    }

    pub(crate) fn new(secret: Secret) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(ID_DOMAIN);
        context.update(&secret[..]);
        let mut id = [0; 4];
        id.copy_from_slice(&context.finish().as_ref()[..4]);
        Self { id: KeyId(id), secret }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn secret(&self) -> &[u8; KEY_BYTES] {
        &self.secret
    }

    /// The HMAC-SHA256 of `bytes`.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut signature = [0; 32];
        signature.copy_from_slice(hmac::sign(&self.hmac_key(), bytes).as_ref());
        signature
    }

    /// Whether this key signed the token. Takes the same time for all wrong signatures.
    pub(crate) fn has_signed(&self, token: &UnverifiedToken) -> bool {
        let signature = token.signature();
        match signature.len() {
            32 => hmac::verify(&self.hmac_key(), token.signed_bytes(), signature).is_ok(),
            16 => self.sign(token.signed_bytes())[..16].ct_eq(signature).into(),
            _ => false,
        }
    }

    /// ring does not wipe its form of a key, so it lives for one operation only.
    fn hmac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret[..])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_eight_digits() {
        assert_eq!(KeyId::parse("0123abcd").unwrap().to_string(), "0123abcd");
        for bad in ["", "0123abc", "0123abcde", "0123ABCD", "0123abcg", "../../etc", "é123abc"] {
            assert!(matches!(KeyId::parse(bad), Err(KeyError::Id)), "{bad}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = Key::new(Box::new(Zeroizing::new([0xa5; KEY_BYTES])));
        let shown = format!("{key:?} {key:#?}");
        assert!(!shown.contains("a5a5") && !shown.contains("165"), "{shown}");
        assert!(shown.contains(&key.id().to_string()), "{shown}");
    }
}
