//! Invalid setup codes, and the part that the error names.

use nexo_pairing_core::setup_code::{
    MAX_URL_BYTES, SetupCodePart, UnsignedSetupCode, UnverifiedToken, decode_setup_code,
};
use nexo_pairing_core::{SetupCodeFormat, TokenClaims};
use time::{Duration, OffsetDateTime};

use crate::{FORMATS, base32, base64url, rule, sample};

#[test]
fn parts_out_of_bounds_are_refused_with_the_bounds() {
    let make = |format, url: &str, profile: &str, expiry, nonce: String, label: Option<&str>| {
        let claims = TokenClaims::new(profile.into(), expiry, nonce, label.map(Into::into));
        rule(UnsignedSetupCode::new(format, url, &claims).map(|code| code.sign_with(&[0; 32])))
    };
    let at = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let long = |length| "x".repeat(length);
    for format in FORMATS {
        let nonce = || "0".repeat(2 * format.nonce_bytes());
        for label in ["", "a\nb", "\u{1b}[2J", "\u{85}", &long(129), &long(300)] {
            let (part, expected) = make(format, "wss://h", "p", at, nonce(), Some(label));
            assert_eq!(part, SetupCodePart::Label, "{label:?}");
            assert!(expected.contains("1 to 128 bytes"), "{expected}");
        }
        for profile in ["", "P", "-p", "p q", "é", &long(65)] {
            let (part, expected) = make(format, "wss://h", profile, at, nonce(), None);
            assert_eq!(part, SetupCodePart::Profile, "{profile:?}");
            assert!(expected.contains("[a-z0-9][a-z0-9._-]{0,63}"), "{expected}");
        }
        let too_long = format!("wss://{}", long(MAX_URL_BYTES - 5));
        for url in [
            "",
            "h",
            "//h",
            "ftp://h",
            "WSS://h",
            "wss://",
            "wss:///pair",
            "wss://?q",
            "wss://h/a b",
            "wss://h\n",
            "wss://ñ",
            " wss://h",
            &too_long,
        ] {
            assert_eq!(make(format, url, "p", at, nonce(), None).0, SetupCodePart::Url, "{url:?}");
        }
        for nonce in [long(32), "0".repeat(31), "0".repeat(33), "A".repeat(32), String::new()] {
            assert_eq!(make(format, "wss://h", "p", at, nonce, None).0, SetupCodePart::Nonce);
        }
    }
    let v1 = |at| make(SetupCodeFormat::V1, "wss://h", "p", at, "0".repeat(32), None).0;
    assert_eq!(v1(OffsetDateTime::UNIX_EPOCH - Duration::days(800_000)), SetupCodePart::Expiry);
    let v2 = |at| make(SetupCodeFormat::V2, "wss://h", "p", at, "0".repeat(24), None).0;
    for at in [
        at + Duration::milliseconds(1),
        OffsetDateTime::UNIX_EPOCH - Duration::seconds(1),
        OffsetDateTime::from_unix_timestamp(i64::from(u32::MAX) + 1).unwrap(),
    ] {
        assert_eq!(v2(at), SetupCodePart::Expiry, "{at}");
    }
}

#[test]
fn an_invalid_payload_of_version_1_is_refused_with_its_part() {
    let good = sample(SetupCodeFormat::V1);
    let good = good.payload().unwrap();
    let token = "AAAA.BBBB";
    let time = "2026-11-23T00:10:49Z";
    let json = |text: &str| base64url(text.as_bytes());
    let object = |url: &str, token: &str, time: &str| {
        json(&format!(r#"{{"url":{url},"bootstrap_token":{token},"expires_at":{time}}}"#))
    };
    let text = |text: &str| format!("{text:?}");
    let fields = |url: &str, token: &str, time: &str| object(&text(url), &text(token), &text(time));
    assert!(decode_setup_code(&fields("wss://h", token, time)).is_ok());
    let (payload, token_part) = (SetupCodePart::Payload, SetupCodePart::Token);
    let deep = json(&format!(r#"{{"url":{}"#, "[".repeat(2000)));
    for (bad, part, expected) in [
        (format!("{good}="), payload, "padding"),
        (good.replacen('J', "+", 1), payload, "base64url"),
        (good.replacen('J', "/", 1), payload, "base64url"),
        (format!("{} {}", &good[..8], &good[8..]), payload, "white space"),
        (format!("{good}x"), payload, "base64url"),
        (format!("{good}xxxx"), payload, "JSON object"),
        (json("{\"a\":1}").replace("fQ", "fR"), payload, "stray bits"),
        ("e".into(), payload, "base64url"),
        ("e".repeat(1_000_000), payload, "at most 4096"),
        (" ".repeat(4097), payload, "at most 4096"),
        (deep, payload, "`url`"),
        (json("{"), payload, "JSON object"),
        (json("{}"), payload, "`url`"),
        (json(r#"{"url":"wss://h"}"#), payload, "`bootstrap_token`"),
        (json(r#"{"url":"wss://h","bootstrap_token":"a.b"}"#), payload, "`expires_at`"),
        (json(r#"{"url":"wss://h","url":"wss://h"}"#), payload, "only once"),
        (json(r#"{"url":"wss://h","token":"a.b"}"#), payload, "no fields other"),
        (object("1", &text(token), &text(time)), payload, "`url`"),
        (object(&text("wss://h"), "null", &text(time)), payload, "`bootstrap_token`"),
        (object(&text("wss://h"), &text(token), "1"), payload, "`expires_at`"),
        (fields("", token, time), SetupCodePart::Url, "begin with"),
        (fields("javascript:alert(1)", token, time), SetupCodePart::Url, "begin with"),
        (fields("wss://h", "", time), token_part, "two parts"),
        (fields("wss://h", "a", time), token_part, "two parts"),
        (fields("wss://h", ".", time), token_part, "two parts"),
        (fields("wss://h", "a.", time), token_part, "two parts"),
        (fields("wss://h", "a.b.c", time), token_part, "two parts"),
        (fields("wss://h", "a.b=", time), token_part, "two parts"),
        (fields("wss://h", &format!("a.{}", "b".repeat(2047)), time), token_part, "at most 2048"),
        (fields("wss://h", token, "tomorrow"), SetupCodePart::Expiry, "time"),
        (fields("wss://h", token, "2026-11-23T00:10:49+00:00"), SetupCodePart::Expiry, "UTC"),
    ] {
        let (named, message) = rule(decode_setup_code(&bad));
        assert!(named == part && message.contains(expected), "{message} for {bad:.200}");
    }
    for length in 0..good.len() {
        assert!(decode_setup_code(&good[..length]).is_err(), "{length}");
    }
}

#[test]
fn an_invalid_payload_of_version_2_is_refused_with_its_part() {
    let good = sample(SetupCodeFormat::V2).bootstrap_token;
    let payload = SetupCodePart::Payload;
    for (bad, expected) in [
        (String::new(), "empty"),
        (" \n".into(), "empty"),
        (good.to_lowercase(), "base32"),
        (format!("{good}======"), "padding"),
        (format!("{}+{}", &good[..8], &good[9..]), "base32"),
        (format!("{} {}", &good[..8], &good[8..]), "white space"),
        (format!("{}-{}", &good[..8], &good[8..]), "base32"),
        (format!("{good}A"), "base32"),
        (format!("{good}AA"), "whole record"),
        (format!("{good}AAAAAAAA"), "whole record"),
        (format!("{good}\u{0130}"), "base32"),
        (format!("AM{}", &good[2..]), "not 3"),
        (format!("777{}", &good[3..]), "not 255"),
        ("A".repeat(2049), "at most 2048"),
        ("A".repeat(1_000_000), "at most 4096"),
        ("hello".into(), "base32"),
        ("AI".into(), "whole record"),
    ] {
        let (part, message) = rule(decode_setup_code(&bad));
        assert!(part == payload && message.contains(expected), "{message} for {bad:.200}");
    }
    for length in 0..good.len() {
        assert!(decode_setup_code(&good[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_malformed_token_is_refused_before_its_claims_are_read() {
    let signature = base64url(&[0; 32]);
    let good = format!("e30.{signature}");
    assert!(UnverifiedToken::parse(&good).is_ok_and(|token| token.read_claims().is_err()));
    for (bad, part) in [
        (format!(".{signature}"), SetupCodePart::Token),
        ("e30.".into(), SetupCodePart::Token),
        (".".into(), SetupCodePart::Token),
        (format!("{good}."), SetupCodePart::Token),
        (format!("{good}.{signature}"), SetupCodePart::Token),
        (format!(" {good}"), SetupCodePart::Claims),
        (format!("e30=.{signature}"), SetupCodePart::Claims),
        (format!("{good}="), SetupCodePart::Signature),
        (format!("e30.{}", base64url(&[0; 31])), SetupCodePart::Signature),
        (format!("e30.{}", base64url(&[0; 33])), SetupCodePart::Signature),
        (String::new(), SetupCodePart::Token),
        ("e30".into(), SetupCodePart::Token),
        (base32(&[2; 16]), SetupCodePart::Token),
        (format!("{}.{signature}", "A".repeat(2048)), SetupCodePart::Token),
        ("A".repeat(2056), SetupCodePart::Token),
        (" AI".into(), SetupCodePart::Token),
    ] {
        assert_eq!(UnverifiedToken::parse(&bad).unwrap_err().part(), part, "{bad}");
    }
}

#[test]
fn a_record_in_a_longer_form_or_with_unknown_flags_is_refused() {
    let record = |form: u8, profile: &str, label: &str, url: &str| {
        let mut record = vec![2, form];
        record.extend([0; 16]);
        for text in [profile, label] {
            record.push(text.len() as u8);
            record.extend(text.bytes());
        }
        record.extend((url.len() as u16).to_be_bytes());
        record.extend(url.bytes());
        record.extend([0; 16]);
        decode_setup_code(&base32(&record))
    };
    assert_eq!(record(0b100, "", "", "h").unwrap().url, "wss://h/pair");
    assert_eq!(record(0b111, "", "", "h/x").unwrap().url, "http://h/x/pair");
    assert_eq!(record(0b001, "p", "Ana", "h/").unwrap().url, "https://h/");
    for (bad, part, expected) in [
        (record(0, "companion-v1", "", "h"), SetupCodePart::Profile, "shortest"),
        (record(0, "P", "", "h"), SetupCodePart::Profile, "[a-z0-9]"),
        (record(0, "", "a\nb", "h"), SetupCodePart::Label, "control"),
        (record(0, "", &"x".repeat(129), "h"), SetupCodePart::Label, "128"),
        (record(0, "", "", "h/pair"), SetupCodePart::Url, "shortest"),
        (record(0, "", "", ""), SetupCodePart::Url, "host"),
        (record(0b100, "", "", ""), SetupCodePart::Url, "host"),
        (record(0b1000, "", "", "h"), SetupCodePart::Url, "unknown bits"),
        (record(0b1000_0000, "", "", "h"), SetupCodePart::Url, "unknown bits"),
        (record(0, "", "", &"h".repeat(1019)), SetupCodePart::Url, "1024"),
    ] {
        let (named, message) = rule(bad);
        assert!(named == part && message.contains(expected), "{message}");
    }
}
