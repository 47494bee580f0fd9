//! `Debug` and `Display` show no key, token or payload.

use std::error::Error;
use std::fmt::Debug;

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use nexo_pairing_core::setup_code::{UnverifiedToken, decode_setup_code};
use nexo_pairing_setup::{KeyError, KeyId, OsRandom, RandomError};

use crate::support::{Keys, MINUTE, URL, both, refused, write_key};

fn debug(value: &dyn Debug) -> String {
    format!("{value:?} {value:#?} ")
}

fn error(value: &(dyn Error + 'static)) -> String {
    let mut shown = format!("{value} {}", debug(&value));
    let mut source = value.source();
    while let Some(cause) = source {
        shown.push_str(&format!("{cause} {}", debug(&cause)));
        source = cause.source();
    }
    shown
}

/// The beginning of a secret, in every form in which it could be shown. Of 15 bytes neither base64 nor
/// base32 has a remainder.
fn every_form(secret: &[u8]) -> Vec<String> {
    let begin = &secret[..15.min(secret.len())];
    let list = |text: String| text.trim_matches(['[', ']']).to_owned();
    vec![
        String::from_utf8_lossy(begin).into_owned(),
        HEXLOWER.encode(begin),
        HEXUPPER.encode(begin),
        BASE64_NOPAD.encode(begin),
        BASE64URL_NOPAD.encode(begin),
        BASE32_NOPAD.encode(begin),
        list(format!("{begin:?}")),
        list(format!("{begin:02x?}")),
    ]
}

#[test]
fn no_secret_is_shown() {
    // None of its bytes is text, and its base64 differs from its base64url.
    let key: [u8; 32] = std::array::from_fn(|index| 0xff - index as u8);
    let keys = Keys::holding(&key);
    let issuer = keys.open().unwrap();
    let mut secrets = every_form(&key);
    let mut shown = debug(&issuer) + &debug(&keys.options()) + &debug(&OsRandom::default());
    shown += &debug(&issuer.keys());
    let codes = both(&issuer, Some("phone"));
    for code in &codes {
        let claims = issuer.verify(&code.bootstrap_token).unwrap();
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        shown += &(debug(code) + &debug(&claims) + &debug(&token));
        let payload = code.payload().unwrap();
        let nonce = HEXLOWER.decode(claims.nonce.as_bytes()).unwrap();
        for secret in [payload.as_bytes(), token.signed_bytes(), token.signature(), &nonce] {
            secrets.extend(every_form(secret));
        }
        secrets.extend(code.bootstrap_token.split('.').map(|part| part[..15].to_owned()));

        let forged = Keys::new().open().unwrap().verify(&code.bootstrap_token).unwrap_err();
        let malformed = issuer.verify(&format!("{}!", code.bootstrap_token)).unwrap_err();
        let misread = decode_setup_code(&format!("{payload}!")).unwrap_err();
        let undrawn = nexo_pairing_qr::render_ansi(&payload.repeat(99)).unwrap_err();
        shown += &(error(&forged) + &error(&malformed) + &error(&misread) + &error(&undrawn));
    }
    keys.clock.advance(std::time::Duration::from_hours(1));
    for code in &codes {
        shown += &error(&issuer.verify(&code.bootstrap_token).unwrap_err());
    }
    shown += &error(&refused(&issuer, (URL, "p", MINUTE * 60 * 25, None)));
    shown += &error(&refused(&issuer, (URL, "P", MINUTE, None)));
    shown += &error(&RandomError::default());
    shown += &error(&KeyError::Id);
    shown += &error(&issuer.retire(KeyId::parse("00000000").unwrap()).unwrap_err());
    shown += &error(&issuer.retire(issuer.keys()[0].id).unwrap_err());
    issuer.rotate().unwrap();
    shown += &debug(&issuer);
    for bytes in [&key[..31], &key] {
        write_key(&keys.ring().join("00000000"), bytes);
        let refused = issuer.reload().unwrap_err();
        shown += &(error(&refused) + &refused.hint().unwrap());
    }
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret} in {shown}");
    }
}
