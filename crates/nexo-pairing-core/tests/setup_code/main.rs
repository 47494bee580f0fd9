//! Encoding, decoding and refusing setup codes.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod properties;
mod refusals;

use nexo_pairing_core::setup_code::{
    MAX_LABEL_BYTES, MAX_PAYLOAD_BYTES, MAX_PROFILE_BYTES, MAX_TOKEN_BYTES, MAX_URL_BYTES,
    SetupCodePart, UnsignedSetupCode, UnverifiedToken, decode_setup_code, encode_setup_code,
    encode_setup_code_compact, token_device_label, token_expires_at,
};
use nexo_pairing_core::{SetupCode, SetupCodeError, SetupCodeFormat, TokenClaims};
use time::{Duration, OffsetDateTime};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const FORMATS: [SetupCodeFormat; 2] = [SetupCodeFormat::V1, SetupCodeFormat::V2];

/// The sample of the documents: a URL of 27 bytes and a label of 12.
fn sample(format: SetupCodeFormat) -> SetupCode {
    let nonce = "5a".repeat(format.nonce_bytes());
    let expires_at = OffsetDateTime::from_unix_timestamp(1_800_000_060).unwrap();
    let claims =
        TokenClaims::new("companion-v1".into(), expires_at, nonce, Some("Ana's iPhone".into()));
    let url = "wss://nexo.example.com/pair";
    assert_eq!((url.len(), claims.device_label.as_ref().unwrap().len()), (27, 12));
    UnsignedSetupCode::new(format, url, &claims).unwrap().sign_with(&[0xa5; 32])
}

fn rule(result: Result<SetupCode, SetupCodeError>) -> (SetupCodePart, String) {
    let error = result.unwrap_err();
    (error.part(), error.to_string())
}

#[test]
fn a_code_round_trips_in_its_format() {
    for (format, name) in FORMATS.into_iter().zip(["v1", "v2"]) {
        let code = sample(format);
        assert_eq!(code.format(), format);
        assert_eq!((format.as_str(), format.to_string().as_str()), (name, name));
        assert_eq!(serde_json::to_value(format).unwrap(), name);
        let payload = code.payload().unwrap();
        assert_eq!(decode_setup_code(&payload).unwrap(), code);
        assert_eq!(decode_setup_code(&format!(" \t{payload}\r\n\u{a0}")).unwrap(), code);
        assert_eq!(token_expires_at(&code.bootstrap_token), Some(code.expires_at));
        assert_eq!(token_device_label(&code.bootstrap_token).unwrap(), "Ana's iPhone");
        let shown = format!("{code:?}");
        assert!(shown.contains("wss://nexo.example.com/pair") && shown.contains("redacted"));
        assert!(!shown.contains(&code.bootstrap_token), "{shown}");
    }
    assert_eq!(token_expires_at("x"), None);
    assert_eq!(token_device_label(""), None);
}

#[test]
fn parts_of_the_maximum_length_can_be_decoded() {
    // Quotes take two bytes in JSON.
    let url = format!("wss://h/{}", "\"".repeat(MAX_URL_BYTES - 8));
    let (profile, label) = ("p".repeat(MAX_PROFILE_BYTES), "\"".repeat(MAX_LABEL_BYTES));
    for (format, expiry) in [
        (SetupCodeFormat::V1, 253_402_300_799_999_999_999),
        (SetupCodeFormat::V2, i128::from(u32::MAX) * 1_000_000_000),
    ] {
        let expiry = OffsetDateTime::from_unix_timestamp_nanos(expiry).unwrap();
        let nonce = "f".repeat(2 * format.nonce_bytes());
        let claims = TokenClaims::new(profile.clone(), expiry, nonce, Some(label.clone()));
        let unsigned = UnsignedSetupCode::new(format, &url, &claims).unwrap();
        let code = unsigned.sign_with(&[0xff; 32]);
        let payload = code.payload().unwrap();
        assert!(code.bootstrap_token.len() <= MAX_TOKEN_BYTES);
        assert!(payload.len() <= MAX_PAYLOAD_BYTES);
        assert_eq!(decode_setup_code(&payload).unwrap(), code);
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        assert_eq!(token.read_claims().unwrap(), claims);
    }
}

#[test]
fn a_code_is_only_encoded_in_the_format_of_its_token() {
    let (v1, v2) = (sample(SetupCodeFormat::V1), sample(SetupCodeFormat::V2));
    assert_eq!(rule(encode_setup_code(&v2).map(|_| v2.clone())).0, SetupCodePart::Token);
    assert_eq!(rule(encode_setup_code_compact(&v1).map(|_| v1.clone())).0, SetupCodePart::Token);
    let moved =
        SetupCode::new("wss://evil.example.com/pair".into(), v2.bootstrap_token, v2.expires_at);
    assert_eq!(
        rule(encode_setup_code_compact(&moved).map(|_| moved.clone())).0,
        SetupCodePart::Token
    );
}

#[test]
fn a_companion_allows_its_clock_to_be_half_a_minute_fast() {
    let code = sample(SetupCodeFormat::V2);
    assert!(!code.has_expired(code.expires_at + Duration::milliseconds(29_999)));
    assert!(code.has_expired(code.expires_at + Duration::seconds(30)));
}

#[test]
fn no_token_shows_up_in_debug_or_in_errors() {
    for format in FORMATS {
        let code = sample(format);
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        let claims = token.read_claims().unwrap();
        let nonce = &claims.nonce;
        let unsigned = UnsignedSetupCode::new(format, &code.url, &claims).unwrap();
        let hex: String = token.signature().iter().map(|byte| format!("{byte:02x}")).collect();
        let decimal = format!("{:?}", token.signature());
        let decimal = decimal.trim_matches(['[', ']']);
        let shown = format!(
            "{code:?}{code:#?}{token:?}{token:#?}{claims:?}{claims:#?}{unsigned:?}{unsigned:#?}"
        );
        for known in [&code.url, "companion-v1", "Ana's iPhone", "UnverifiedToken", "UnsignedSetup"]
        {
            assert!(shown.contains(known), "{known} in {shown}");
        }
        let payload = code.payload().unwrap();
        for secret in [&code.bootstrap_token, &payload, nonce, &hex, decimal] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let mut broken = code.clone();
        broken.bootstrap_token.push('!');
        let errors = [
            decode_setup_code(&format!("{payload}!")).unwrap_err(),
            UnverifiedToken::parse(&broken.bootstrap_token).unwrap_err(),
            broken.payload().unwrap_err(),
        ];
        for error in errors {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&payload[8..40]) && !shown.contains(nonce), "{shown}");
        }
    }
}

/// base64url, by hand, as the library is under test.
fn base64url(bytes: &[u8]) -> String {
    digits(bytes, 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}

fn base32(bytes: &[u8]) -> String {
    digits(bytes, 5, BASE32)
}

/// The bits of `bytes`, `width` at a time, as characters of an alphabet.
fn digits(bytes: &[u8], width: usize, alphabet: &[u8]) -> String {
    let mut bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.resize(bits.len().next_multiple_of(width), 0);
    let value = |digit: &[u8]| digit.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
    bits.chunks(width).map(|digit| char::from(alphabet[value(digit)])).collect()
}
