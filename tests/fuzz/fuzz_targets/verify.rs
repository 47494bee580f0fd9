//! Generated tokens, with and without a valid signature.
#![no_main]

use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::setup_code::UnverifiedToken;
use nexo_pairing_setup::{SetupCodeIssuer, VerifyError};
use ring::hmac;

const KEY: [u8; 32] = [7; 32];

static ISSUER: LazyLock<SetupCodeIssuer> = LazyLock::new(|| {
    // A temporary file has mode 0600, as a key should.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), KEY).expect("room for 32 bytes");
    SetupCodeIssuer::open_or_create(file.path()).expect("a good key")
});

fn sign(bytes: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), bytes)
}

fuzz_target!(|input: &[u8]| {
    // The first byte selects how the others are used; a signature cannot be guessed.
    let Some((kind, bytes)) = input.split_first() else { return };
    let signature = sign(bytes);
    let (token, is_signed) = match kind {
        b'1' => {
            let encode = |bytes| BASE64URL_NOPAD.encode(bytes);
            (format!("{}.{}", encode(bytes), encode(signature.as_ref())), true)
        }
        b'2' => (BASE32_NOPAD.encode(&[bytes, &signature.as_ref()[..16]].concat()), true),
        _ => (String::from_utf8_lossy(bytes).into_owned(), false),
    };
    match ISSUER.verify(&token) {
        Ok(claims) => {
            let token = UnverifiedToken::parse(&token).expect("it was verified");
            let expected = sign(token.signed_bytes());
            assert!(expected.as_ref().starts_with(token.signature()));
            assert_eq!(token.read_claims(), Ok(claims));
        }
        Err(VerifyError::InvalidSignature) => assert!(!is_signed),
        Err(VerifyError::Expired { .. }) => {
            let token = UnverifiedToken::parse(&token).expect("its expiry was read");
            assert!(sign(token.signed_bytes()).as_ref().starts_with(token.signature()));
        }
        Err(_) => {}
    }
});
