//! No key, token or payload is shown by `Debug` or `Display`.

use std::error::Error;
use std::fmt::Debug;

use data_encoding::{BASE64, HEXLOWER};
use nexo_pairing_core::setup_code::UnverifiedToken;
use nexo_pairing_setup::{KeyError, KeyId, OsRandom, RandomError};

use crate::support::{Keys, MINUTE, URL, both, key_bytes, refused, write_key};

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

#[test]
fn nothing_secret_is_shown() {
    let key = key_bytes(0x40);
    let keys = Keys::holding(&key);
    let issuer = keys.open().unwrap();
    let mut secrets = vec![
        HEXLOWER.encode(&key),
        HEXLOWER.encode(&key[..8]),
        BASE64.encode(&key),
        String::from_utf8_lossy(&key).into_owned(),
        format!("{:?}", &key[..4]).trim_matches(['[', ']']).to_owned(),
    ];
    let mut shown = debug(&issuer) + &debug(&keys.options()) + &debug(&OsRandom::default());
    shown += &debug(&issuer.keys());
    let codes = both(&issuer, Some("phone"));
    for code in &codes {
        let claims = issuer.verify(&code.bootstrap_token).unwrap();
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        shown += &(debug(code) + &debug(&claims) + &debug(&token));
        secrets.push(claims.nonce);
        secrets.push(HEXLOWER.encode(token.signature()));
        secrets.push(code.payload().unwrap());
        // Also not a good part of it.
        secrets.extend(code.bootstrap_token.split('.').map(|part| part[..24].to_owned()));

        let forged = Keys::new().open().unwrap().verify(&code.bootstrap_token).unwrap_err();
        let malformed = issuer.verify(&format!("{}!", code.bootstrap_token)).unwrap_err();
        shown += &(error(&forged) + &error(&malformed));
    }
    keys.clock.advance(time::Duration::hours(1));
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
