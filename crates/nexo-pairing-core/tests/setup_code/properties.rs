//! Properties of every setup code, and of every text that is not one.

use nexo_pairing_core::setup_code::{
    MAX_LABEL_BYTES, UnsignedSetupCode, UnverifiedToken, decode_setup_code, token_device_label,
    token_expires_at,
};
use nexo_pairing_core::{SetupCode, SetupCodeFormat, TokenClaims};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

use crate::{BASE32, base32, base64url};

fn urls() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec!["wss://", "https://", "ws://", "http://"]);
    let path =
        prop::sample::select(vec!["", "/", "/pair", "/pair/pair", "/pair/", "/x?y#z", "pair"]);
    (scheme, "[!-~&&[^/?#]][!-~]{0,80}", path)
        .prop_map(|(scheme, rest, path)| [scheme, &rest, path].concat())
}

fn profiles() -> impl Strategy<Value = String> {
    prop_oneof![Just("companion-v1".to_owned()), "[a-z0-9][a-z0-9._-]{0,63}"]
}

fn labels() -> impl Strategy<Value = Option<String>> {
    prop::option::of("\\PC{1,128}".prop_filter("too long or with controls", |label| {
        label.len() <= MAX_LABEL_BYTES && !label.chars().any(char::is_control)
    }))
}

/// A setup code of either version, with its claims.
fn codes() -> impl Strategy<Value = (SetupCode, TokenClaims)> {
    let v1 = (-62_135_596_800_i64..253_402_300_800, 0_i64..1_000_000_000, any::<[u8; 16]>());
    let v1 = v1.prop_map(|(seconds, nanoseconds, nonce)| {
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        (SetupCodeFormat::V1, at + Duration::nanoseconds(nanoseconds), nonce.to_vec())
    });
    let v2 = (any::<u32>(), any::<[u8; 12]>()).prop_map(|(seconds, nonce)| {
        let at = OffsetDateTime::from_unix_timestamp(seconds.into()).unwrap();
        (SetupCodeFormat::V2, at, nonce.to_vec())
    });
    let heads = prop_oneof![v1, v2];
    (heads, urls(), profiles(), labels(), any::<[u8; 32]>()).prop_map(
        |((format, at, nonce), url, profile, label, hmac)| {
            let nonce = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
            let claims = TokenClaims::new(profile, at, nonce, label);
            let unsigned = UnsignedSetupCode::new(format, &url, &claims).unwrap();
            (unsigned.sign_with(&hmac), claims)
        },
    )
}

/// Encodes the contents of a decoded compact payload again.
fn rebuilt(code: &SetupCode) -> String {
    let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
    let claims = token.read_claims().unwrap();
    let mut hmac = [0; 32];
    hmac[..16].copy_from_slice(token.signature());
    let unsigned = UnsignedSetupCode::new(SetupCodeFormat::V2, &code.url, &claims).unwrap();
    assert_eq!(unsigned.signed_bytes(), token.signed_bytes());
    unsigned.sign_with(&hmac).bootstrap_token
}

/// Bytes that resemble a record of version 2, so that they pass the first check.
fn nearly_records() -> impl Strategy<Value = Vec<u8>> {
    let text = |texts: Vec<&'static str>| prop_oneof![prop::sample::select(texts), Just("x")];
    let profile = text(vec!["", "companion-v1", "p", "P"]);
    let label = text(vec!["", "Ana", "a\u{0}", "\u{e9}"]);
    let url = text(vec!["", "h", "h/pair", "/pair", "h/x", "\u{e9}", "h /"]);
    // Mostly correct, or nothing would ever be decoded.
    let off = || prop::sample::select(vec![0_i8, 0, 0, 0, 0, 0, -1, 1]);
    let signature = prop::sample::select(vec![16_usize, 16, 16, 16, 15, 17]);
    let numbers = (0_u8..10, off(), off(), off(), signature);
    (profile, label, url, numbers, any::<[u8; 16]>()).prop_map(
        |(profile, label, url, (form, p, l, u, signature), random)| {
            let mut record = vec![2, form];
            record.extend(random);
            record.push((profile.len() as u8).wrapping_add_signed(p));
            record.extend(profile.bytes());
            record.push((label.len() as u8).wrapping_add_signed(l));
            record.extend(label.bytes());
            record.extend((url.len() as u16).wrapping_add_signed(u.into()).to_be_bytes());
            record.extend(url.bytes());
            record.extend([0x5a; 17].iter().take(signature));
            record
        },
    )
}

proptest! {
    #[test]
    fn every_code_is_read_as_it_was_written((code, claims) in codes()) {
        let payload = code.payload().unwrap();
        prop_assert_eq!(&decode_setup_code(&payload).unwrap(), &code);
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        prop_assert_eq!(token.format(), code.format());
        prop_assert_eq!(&token.read_claims().unwrap(), &claims);
        prop_assert_eq!(token_expires_at(&code.bootstrap_token), Some(claims.expires_at));
        prop_assert_eq!(token_device_label(&code.bootstrap_token), claims.device_label);
        if code.format() == SetupCodeFormat::V2 {
            prop_assert_eq!(rebuilt(&code), payload);
        }
    }

    #[test]
    fn no_truncation_of_a_compact_payload_is_read((code, _) in codes()) {
        prop_assume!(code.format() == SetupCodeFormat::V2);
        let payload = code.payload().unwrap();
        for length in 0..payload.len() {
            prop_assert!(decode_setup_code(&payload[..length]).is_err());
        }
    }

    #[test]
    fn a_compact_payload_with_one_other_character_is_another_code(
        (code, _) in codes(), at: prop::sample::Index,
    ) {
        prop_assume!(code.format() == SetupCodeFormat::V2);
        let payload = code.payload().unwrap();
        let at = at.index(payload.len());
        for &letter in BASE32 {
            let mut other = payload.clone().into_bytes();
            other[at] = letter;
            let other = String::from_utf8(other).unwrap();
            if let Ok(read) = decode_setup_code(&other) {
                prop_assert_eq!(&rebuilt(&read), &other);
                prop_assert_eq!(read == code, other == payload);
            }
        }
    }

    #[test]
    fn whatever_is_read_as_compact_is_what_would_be_written(record in nearly_records()) {
        let text = base32(&record);
        if let Ok(code) = decode_setup_code(&text) {
            prop_assert_eq!(rebuilt(&code), text);
        }
    }

    #[test]
    fn no_bytes_and_no_text_make_it_panic(bytes: Vec<u8>, text in "\\PC*", mut record: Vec<u8>) {
        record.insert(0, 2);
        let mut json = b"{".to_vec();
        json.extend(&bytes);
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        let encoded = [base32(&bytes), base32(&record), base64url(&bytes), base64url(&json)];
        for text in [lossy, text].into_iter().chain(encoded) {
            let _ = decode_setup_code(&text);
            let token = format!("{text}.{}", base64url(&[0; 32]));
            for token in [text, token] {
                let _ = token_expires_at(&token);
                let _ = token_device_label(&token);
            }
        }
    }
}
