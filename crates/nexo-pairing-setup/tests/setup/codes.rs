//! Issuing and verifying setup codes.

use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use nexo_pairing_core::setup_code::{UnverifiedToken, decode_setup_code, token_expires_at};
use nexo_pairing_core::{SetupCodeFormat, TokenClaims};
use nexo_pairing_setup::{DEFAULT_TTL, IssueError, MAX_TTL, MIN_TTL, SetupCodeIssuer, VerifyError};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{
    Counting, Empty, Keys, MINUTE, URL, both, hmac_sha256, key_bytes, midnight, refused, write_key,
};

fn kind(result: Result<TokenClaims, VerifyError>) -> &'static str {
    result.map_or_else(|error| error.kind(), |_| "ok")
}

#[test]
fn an_issued_code_verifies_until_it_expires() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let codes = both(&issuer, Some("Ana's iPhone"));
    for code in &codes {
        assert_eq!((code.url.as_str(), code.expires_at), (URL, midnight() + MINUTE));
        let claims = issuer.verify(&code.bootstrap_token).unwrap();
        assert_eq!(claims.profile, "companion-v1");
        assert_eq!(claims.device_label.as_deref(), Some("Ana's iPhone"));
        assert_eq!(claims.expires_at, code.expires_at);
        assert_eq!(decode_setup_code(&code.payload().unwrap()).unwrap(), *code);
    }
    assert_eq!(
        codes.each_ref().map(|code| code.format()),
        [SetupCodeFormat::V1, SetupCodeFormat::V2]
    );
    keys.clock.advance(Duration::from_millis(59_999));
    for code in &codes {
        assert_eq!(kind(issuer.verify(&code.bootstrap_token)), "ok");
    }
    keys.clock.advance(Duration::from_millis(1));
    for code in &codes {
        let error = issuer.verify(&code.bootstrap_token).unwrap_err();
        assert_eq!(error, VerifyError::Expired { at: code.expires_at });
    }
}

#[test]
fn an_expiry_is_rounded_up_to_a_whole_second() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    for (now, ttl, expiry) in [(0, 1_000, 1), (1, 1_000, 2), (999, 1_500, 3), (500, 1_500, 2)] {
        keys.clock.set(midnight() + time::Duration::milliseconds(now));
        let code = issuer.issue(URL, "p", Duration::from_millis(ttl), None).unwrap();
        assert_eq!(code.expires_at, midnight() + time::Duration::seconds(expiry), "{now} {ttl}");
    }
}

#[test]
fn a_code_can_expire_at_any_moment_within_a_day() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let until = |expires_at| issuer.issue_until(URL, "p", expires_at, None);
    let soon = midnight() + Duration::from_nanos(1);
    let code = until(soon).unwrap();
    assert_eq!((code.format(), code.expires_at), (SetupCodeFormat::V1, soon));
    assert_eq!(kind(issuer.verify(&code.bootstrap_token)), "ok");
    keys.clock.advance(Duration::from_nanos(1));
    assert_eq!(kind(issuer.verify(&code.bootstrap_token)), "expired");
    assert!(until(midnight()).is_ok() && until(soon + MAX_TTL).is_ok());
    let given = MAX_TTL + Duration::from_nanos(1);
    assert_eq!(until(soon + given).unwrap_err(), IssueError::Ttl { given });
}

#[test]
fn issued_codes_are_counted_by_profile() {
    let keys = Keys::new();
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let issuer = keys.open().unwrap();
        both(&issuer, None);
        refused(&issuer, (URL, "kiosk", Duration::ZERO, None));
    });
    let counted = recorder.snapshotter().snapshot().into_vec();
    let [(key, _, about, DebugValue::Counter(2))] = &counted[..] else { panic!("{counted:?}") };
    assert_eq!(key.key().name(), "pairing_bootstrap_tokens_issued_total");
    assert_eq!(key.key().labels().next().unwrap().value(), "companion-v1");
    assert!(about.is_some());
}

#[test]
fn nonces_are_unique() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let nonces: Vec<String> = (0..50)
        .flat_map(|_| both(&issuer, None))
        .map(|code| issuer.verify(&code.bootstrap_token).unwrap().nonce)
        .collect();
    let mut unique = nonces.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), nonces.len());
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let long = "x".repeat(300);
    let (over, day) = (MAX_TTL + Duration::from_nanos(1), Duration::from_secs(86_400));
    for ttl in [Duration::ZERO, Duration::from_millis(999), over, 25 * day / 24, Duration::MAX] {
        let error = refused(&issuer, (URL, "p", ttl, None));
        assert_eq!(error, IssueError::Ttl { given: ttl });
        assert!(error.to_string().contains("1 to 86400 s"), "{error}");
    }
    for label in ["", "a\nb", "a\0", "\u{1b}[31m", &long] {
        let error = refused(&issuer, (URL, "p", MINUTE, Some(label))).to_string();
        assert!(error.contains("device label") && error.contains("1 to 128 bytes"), "{error}");
    }
    for profile in ["", "Companion", "-p", "a b", &long] {
        let error = refused(&issuer, (URL, profile, MINUTE, None)).to_string();
        assert!(error.contains("[a-z0-9][a-z0-9._-]{0,63}"), "{error}");
    }
    for url in ["", " ", "h", "ftp://h", "wss://", "wss:///pair", "wss://h/a b"] {
        let error = refused(&issuer, (url, "p", MINUTE, None));
        assert!(error.to_string().contains("url") && error.kind() == "invalid", "{error}");
    }
    for ttl in [MIN_TTL, MAX_TTL] {
        assert!(issuer.issue(URL, "p", ttl, None).is_ok());
        assert!(issuer.issue_compact(URL, "p", ttl, Some(&"x".repeat(128))).is_ok());
    }
}

#[test]
fn without_randomness_no_key_or_code_is_created() {
    let keys = Keys::new();
    let mut options = keys.options();
    options.random = Arc::new(Empty);
    let opened = SetupCodeIssuer::open_with(keys.path(), options.clone());
    assert_eq!(opened.unwrap_err().kind(), "random");
    assert!(!keys.path().exists());
    keys.open().unwrap();
    let issuer = SetupCodeIssuer::open_with(keys.path(), options).unwrap();
    assert_eq!(refused(&issuer, (URL, "p", MINUTE, None)).kind(), "random");
}

#[test]
fn a_modified_token_does_not_verify() {
    let (keys, others) = (Keys::new(), Keys::new());
    let (issuer, other) = (keys.open().unwrap(), others.open().unwrap());
    for code in both(&other, None) {
        assert_eq!(kind(issuer.verify(&code.bootstrap_token)), "invalid_signature");
    }
    let [v1, v2] = both(&issuer, Some("phone")).map(|code| code.bootstrap_token);
    let (claims, signature) = v1.split_once('.').unwrap();
    let [other_v1, _] = both(&issuer, Some("other")).map(|code| code.bootstrap_token);
    let (other_claims, _) = other_v1.split_once('.').unwrap();
    let moved = format!("{other_claims}.{signature}");
    assert_eq!(kind(issuer.verify(&moved)), "invalid_signature");
    for bad in [
        String::new(),
        ".".into(),
        claims.into(),
        format!("{claims}."),
        format!(".{signature}"),
        format!("{claims}.{}", &signature[..42]),
        format!("{claims}.{}", &signature[..22]),
        format!("{claims}.{signature}."),
        format!("{claims}.{signature}.{signature}"),
        format!("{v1}="),
        format!(" {v1}"),
        format!("{v1}\n"),
        format!("{v2}\n"),
        v2.to_lowercase(),
        format!("{v2}AAAAAAAA"),
        "x".repeat(1_000_000),
        "A".repeat(1_000_000),
        ".".repeat(1_000_000),
    ] {
        let found = kind(issuer.verify(&bad));
        assert!(["malformed", "invalid_signature"].contains(&found), "{found} for {bad:.100}");
    }
    // Each position of either token, with every other character.
    for token in [v1, v2] {
        for at in 0..token.len() {
            for letter in ["A", "B", "a", "7", "_", "-", ".", "=", "+"] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, letter);
                let found = kind(issuer.verify(&changed));
                assert!((found == "ok") == (changed == token), "{found} for {letter} at {at}");
            }
            let cut = kind(issuer.verify(&token[..at]));
            assert!(["malformed", "invalid_signature"].contains(&cut), "{cut} at {at}");
        }
    }
}

#[test]
fn the_signature_is_checked_before_the_claims_and_the_claims_before_the_expiry() {
    let key = key_bytes(0);
    let issuer_keys = Keys::holding(&key);
    let issuer = issuer_keys.open().unwrap();
    let base64 = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let token = |claims: &str, signature: &[u8]| {
        format!("{}.{}", base64(claims.as_bytes()), base64(signature))
    };
    let expired = r#"{"profile":"p","expires_at":"2020-01-01T00:00:00Z","nonce":"NONCE"}"#;
    let expired = expired.replace("NONCE", &"0".repeat(32));
    for (claims, when_signed) in [
        (expired.as_str(), "expired"),
        (&expired.replace("\"p\"", "\"P\""), "malformed"),
        (&expired.replace("\"p\"", "1"), "malformed"),
        (&expired.replace('0', "g"), "malformed"),
        (&expired.replace(":00Z", ":00+00:00"), "malformed"),
        (&expired.replace('}', ",\"nonce\":\"\"}"), "malformed"),
        (&expired.replace('}', ",\"device_label\":null}"), "malformed"),
        (&expired.replace('}', ",\"device_label\":\"\"}"), "malformed"),
        (&expired.replace('}', ",\"admin\":\"yes\"}"), "malformed"),
        ("[]", "malformed"),
        ("", "malformed"),
    ] {
        let signature = hmac_sha256(&key, claims.as_bytes());
        assert_eq!(kind(issuer.verify(&token(claims, &signature))), when_signed, "{claims}");
        if !claims.is_empty() {
            let found = kind(issuer.verify(&token(claims, &[0; 32])));
            assert_eq!(found, "invalid_signature", "{claims}");
        }
    }
    // A signature of one version is invalid in the other, although the key is the same.
    let [v1, v2] = both(&issuer, None).map(|code| code.bootstrap_token);
    let v2 = UnverifiedToken::parse(&v2).unwrap();
    let as_v1 = format!("{}.{}", base64(v2.signed_bytes()), base64(v2.signature()));
    assert_eq!(kind(issuer.verify(&as_v1)), "malformed");
    let v1 = UnverifiedToken::parse(&v1).unwrap();
    let as_v2 = [v1.signed_bytes(), &v1.signature()[..16]].concat();
    let as_v2 = data_encoding::BASE32_NOPAD.encode(&as_v2);
    assert_eq!(kind(issuer.verify(&as_v2)), "malformed");
}

#[test]
fn codes_of_0_1_8_verify_and_forged_ones_do_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/nexo-pairing-0.1.8");
    let keys = Keys::holding(&std::fs::read(format!("{folder}/pairing.key")).unwrap());
    // After `expired` has expired.
    keys.clock.set(midnight() + time::Duration::days(365));
    let issuer = keys.open().unwrap();
    let codes = std::fs::read_to_string(format!("{folder}/setup_codes.json")).unwrap();
    let codes: Value = serde_json::from_str(&codes).unwrap();
    for (name, expected) in [
        ("valid", "ok"),
        ("valid_no_label", "ok"),
        ("expired", "expired"),
        ("forged_claims", "invalid_signature"),
        ("tampered_signature", "invalid_signature"),
    ] {
        let payload = codes[name]["payload"].as_str().unwrap();
        let code = decode_setup_code(payload).unwrap();
        let parts = &codes[name]["setup_code"];
        assert_eq!(code.url, parts["url"].as_str().unwrap(), "{name}");
        assert_eq!(code.bootstrap_token, parts["bootstrap_token"].as_str().unwrap(), "{name}");
        assert_eq!(token_expires_at(&code.bootstrap_token), Some(code.expires_at), "{name}");
        assert_eq!(kind(issuer.verify(&code.bootstrap_token)), expected, "{name}");
        // Byte for byte what 0.1.8 wrote.
        assert_eq!(code.payload().unwrap(), payload, "{name}");
        let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
        let written = serde_json::to_vec(&token.read_claims().unwrap()).unwrap();
        assert_eq!(written == token.signed_bytes(), name != "forged_claims", "{name}");
    }
    let claims = issuer.verify(codes["valid"]["setup_code"]["bootstrap_token"].as_str().unwrap());
    assert_eq!(claims.unwrap().device_label.as_deref(), Some("Ana's phone"));
}

#[test]
fn the_sample_has_the_size_that_the_documents_state() {
    let protocol = include_str!("../../../../docs/protocol.md");
    let keys = Keys::new();
    let payloads =
        both(&keys.open().unwrap(), Some("Ana's iPhone")).map(|code| code.payload().unwrap());
    let lengths = payloads.each_ref().map(String::len);
    let sizes = payloads.map(|payload| {
        let size = nexo_pairing_qr::size(&payload).unwrap();
        assert!(payload.len() > 200 || (size.columns <= 49 && size.lines <= 25), "{size:?}");
        format!("{}×{}", size.columns, size.lines)
    });
    for row in [
        format!("| characters of the payload | {} | {} |\n", lengths[0], lengths[1]),
        format!("| QR code in a terminal, columns × lines | {} | {} |\n", sizes[0], sizes[1]),
    ] {
        assert!(protocol.contains(&row), "{row}");
    }
}

#[test]
fn the_documents_state_the_lifetime_of_a_code() {
    let (min, max, default) = (MIN_TTL.as_secs(), MAX_TTL.as_secs(), DEFAULT_TTL.as_secs());
    let protocol = include_str!("../../../../docs/protocol.md");
    let issued = format!("A code is issued for {min} to {max} s, {default} s by default;");
    assert!(protocol.contains(&issued), "{issued}");
    let operating = include_str!("../../../../docs/operating.md");
    let configured = format!("({default} seconds by default;");
    assert!(operating.contains(&configured), "{configured}");
}

/// One issuer for all cases of a property.
fn shared() -> &'static SetupCodeIssuer {
    static ISSUER: std::sync::LazyLock<SetupCodeIssuer> = std::sync::LazyLock::new(|| {
        let keys = Keys::new();
        write_key(&keys.path(), &key_bytes(0));
        let mut options = keys.options();
        options.random = Arc::new(Counting::default());
        SetupCodeIssuer::open_with(keys.path(), options).unwrap()
    });
    &ISSUER
}

proptest! {
    #[test]
    fn every_code_verifies_to_what_it_was_issued_for(
        host in "[a-z]{1,20}", profile in "[a-z0-9][a-z0-9._-]{0,63}",
        label in prop::option::of("[^\\p{Cc}]{1,32}"), seconds in 1_u64..=86_400,
    ) {
        let (url, ttl) = (format!("wss://{host}.example.com/pair"), Duration::from_secs(seconds));
        let label = label.as_deref();
        for code in [
            shared().issue(&url, &profile, ttl, label).unwrap(),
            shared().issue_compact(&url, &profile, ttl, label).unwrap(),
        ] {
            let claims = shared().verify(&code.bootstrap_token).unwrap();
            prop_assert_eq!(&claims.profile, &profile);
            prop_assert_eq!(claims.device_label.as_deref(), label);
            prop_assert_eq!(claims.expires_at, midnight() + ttl);
            prop_assert_eq!(decode_setup_code(&code.payload().unwrap()).unwrap(), code);
        }
    }

    #[test]
    fn no_text_verifies_or_panics(text in "\\PC*", bytes: Vec<u8>) {
        let base64 = data_encoding::BASE64URL_NOPAD.encode(&bytes);
        let base32 = data_encoding::BASE32_NOPAD.encode(&bytes);
        let signed = format!("{base64}.{}", data_encoding::BASE64URL_NOPAD.encode(&[0; 32]));
        for token in [text, base64, base32, signed] {
            prop_assert!(shared().verify(&token).is_err());
        }
    }

    #[test]
    fn no_signed_claims_panic(bytes: Vec<u8>, text in "\\PC*") {
        for claims in [bytes, text.into_bytes()] {
            let base64 = data_encoding::BASE64URL_NOPAD.encode(&claims);
            let signature = hmac_sha256(&key_bytes(0), &claims);
            let signature = data_encoding::BASE64URL_NOPAD.encode(&signature);
            let token = format!("{base64}.{signature}");
            prop_assert!(shared().verify(&token).is_err());
        }
    }
}
