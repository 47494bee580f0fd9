//! `docs/setup-code-vectors.json` is up to date, and a decoder in another language agrees with it.
//!
//! `UPDATE_VECTORS=1` rewrites the file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use nexo_pairing_core::setup_code::{UnsignedSetupCode, UnverifiedToken, decode_setup_code};
use nexo_pairing_core::{SetupCode, SetupCodeFormat, TokenClaims};
use nexo_pairing_setup::{SetupCodeIssuer, VerifyError};
use serde_json::{Value, json};
use time::Duration;

use crate::support::{Counting, Keys, URL, both, hmac_sha256, key_bytes, midnight, write_key};

const ABOUT: &str = "Test vectors of the section Setup codes in protocol.md. `keys` are the keys of \
the ring in hexadecimal digits, the current one first; a valid code says which of them signed it. \
Tokens are verified at the time `now`. `part` is what our own errors name; other decoders need not.";

/// An issuer with a current and an older key, and a fixed clock.
fn issuer() -> SetupCodeIssuer {
    let keys = Keys::holding(&key_bytes(0x20));
    keys.open().unwrap().rotate().unwrap();
    issuer_with(&keys, 0)
}

/// With another current key and predictable nonces.
fn issuer_with(keys: &Keys, first: u8) -> SetupCodeIssuer {
    write_key(&keys.path(), &key_bytes(first));
    let mut options = keys.options();
    options.random = Arc::new(Counting::default());
    SetupCodeIssuer::open_with(keys.path(), options).unwrap()
}

fn vectors_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/setup-code-vectors.json")
}

#[test]
fn the_vectors_are_up_to_date() {
    let issuer = issuer();
    let vectors = json!({
        "about": ABOUT,
        "now": "2026-11-23T00:00:00Z",
        "keys": [HEXLOWER.encode(&key_bytes(0)), HEXLOWER.encode(&key_bytes(0x20))],
        "valid": valid(&issuer),
        "invalid_payloads": invalid_payloads(&issuer),
        "invalid_tokens": invalid_tokens(&issuer),
    });
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
        std::fs::write(vectors_file(), text).unwrap();
    }
    let written = std::fs::read_to_string(vectors_file()).unwrap_or_default();
    assert!(
        serde_json::from_str(&written).ok() == Some(vectors),
        "docs/setup-code-vectors.json is out of date: run this test with UPDATE_VECTORS=1"
    );
}

#[test]
fn the_decoder_in_python_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = root.join("tests/fixtures/nexo-pairing-0.1.8");
    let mut command = Command::new("python3");
    // -B writes no bytecode.
    command.arg("-B").arg(root.join("../../tests/python/setup_code.py")).arg(vectors_file());
    command.args([fixtures.join("setup_codes.json"), fixtures.join("pairing.key")]);
    let ran = command.output().expect("this test needs `python3` on PATH");
    let (printed, failed) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && printed.contains("are as they should be"), "{printed}{failed}");
}

fn valid(issuer: &SetupCodeIssuer) -> Vec<Value> {
    let ttl = |seconds| std::time::Duration::from_secs(seconds);
    let mut codes = vec![];
    let [v1, v2] = both(issuer, Some("Ana's iPhone"));
    codes.push(("the sample, version 1", v1.payload().unwrap(), 0));
    codes.push(("white space around it", format!(" {}\r\n\u{a0}", v1.payload().unwrap()), 0));
    codes.push(("the sample, version 2", v2.payload().unwrap(), 0));
    codes.push(("white space around it", format!("\t{}\n", v2.payload().unwrap()), 0));
    for (name, url, profile, seconds, label) in [
        ("no label, and a day", "ws://192.168.1.10:7780/pair", "companion-v1", 86_400, None),
        ("another profile", "https://h", "kiosk.v2_x-y", 1, Some("\u{1f4f1} \"caf\u{e9}\" \\")),
        ("/pair comes twice", "http://[::1]:9000/pair/pair", "c", 3_600, Some("x")),
        ("a path and a query", "wss://h.example/a/pair?x=%20#y", "companion-v10", 60, None),
        ("a URL that ends in pair", "wss://repair", "companion-v1", 60, None),
    ] {
        let v1 = issuer.issue(url, profile, ttl(seconds), label).unwrap();
        let v2 = issuer.issue_compact(url, profile, ttl(seconds), label).unwrap();
        codes.push((name, v1.payload().unwrap(), 0));
        codes.push((name, v2.payload().unwrap(), 0));
    }
    let long = "x".repeat(128);
    let url = format!("wss://{}", "h".repeat(1018));
    let profile = "p".repeat(64);
    for issue in [SetupCodeIssuer::issue, SetupCodeIssuer::issue_compact] {
        let code = issue(issuer, &url, &profile, ttl(60), Some(&long)).unwrap();
        codes.push(("as long as can be", code.payload().unwrap(), 0));
    }
    for (name, nanoseconds) in
        [("3 digits", 129_000_000), ("6 digits", 129_613_000), ("9 digits", 129_613_444)]
    {
        let at = midnight() + Duration::seconds(60) + Duration::nanoseconds(nanoseconds);
        let claims = TokenClaims::new("companion-v1".into(), at, "5a".repeat(16), None);
        let code = sign(SetupCodeFormat::V1, &claims, &key_bytes(0));
        codes.push((name, code.payload().unwrap(), 0));
    }
    let last = time::OffsetDateTime::from_unix_timestamp(u32::MAX.into()).unwrap();
    let claims = TokenClaims::new("companion-v1".into(), last, "ff".repeat(12), None);
    let code = sign(SetupCodeFormat::V2, &claims, &key_bytes(0));
    codes.push(("the last second of version 2", code.payload().unwrap(), 0));
    for format in [SetupCodeFormat::V1, SetupCodeFormat::V2] {
        let nonce = "a5".repeat(format.nonce_bytes());
        let claims =
            TokenClaims::new("companion-v1".into(), midnight() + Duration::SECOND, nonce, None);
        let code = sign(format, &claims, &key_bytes(0x20));
        codes.push(("an older key", code.payload().unwrap(), 1));
    }
    let spaced = br#" { "device_label":"\u0041na","nonce" : "00000000000000000000000000000000",
        "expires_at":"2026-11-23T00:01:00.5Z","profile":"companion-v1"} "#;
    let token = v1_token(spaced, &hmac_sha256(&key_bytes(0), spaced));
    let payload = v1_payload(
        &json!({"expires_at": "2026-11-23T00:01:00.5Z",
        "bootstrap_token": token, "url": URL})
        .to_string(),
    );
    codes.push(("another order, white space and an escape", payload, 0));

    let described = codes.into_iter().map(|(name, payload, key)| {
        let code = decode_setup_code(&payload).unwrap();
        let claims = issuer.verify(&code.bootstrap_token).unwrap();
        // As in the JSON of version 1, which may have other digits than we write.
        json!({"name": name, "format": code.format(), "key": key, "payload": payload,
            "setup_code": decoded(&code), "claims": decoded_claims(&code, claims)})
    });
    described.collect()
}

/// The setup code as a decoder prints it: for version 1, the strings of the payload.
fn decoded(code: &SetupCode) -> Value {
    let mut decoded = serde_json::to_value(code).unwrap();
    keep_fraction(&mut decoded);
    decoded
}

fn decoded_claims(code: &SetupCode, claims: TokenClaims) -> Value {
    let token = UnverifiedToken::parse(&code.bootstrap_token).unwrap();
    match code.format() {
        SetupCodeFormat::V1 => serde_json::from_slice(token.signed_bytes()).unwrap(),
        _ => serde_json::to_value(claims).unwrap(),
    }
}

/// The one code above whose fraction differs from how we would write it.
fn keep_fraction(decoded: &mut Value) {
    if decoded["expires_at"] == "2026-11-23T00:01:00.500Z" {
        decoded["expires_at"] = "2026-11-23T00:01:00.5Z".into();
    }
}

fn invalid_payloads(issuer: &SetupCodeIssuer) -> Vec<Value> {
    let [v1, v2] = both(issuer, Some("phone")).map(|code| code.payload().unwrap());
    let fields = |url: &str, token: &str, time: &str| {
        v1_payload(&json!({"url": url, "bootstrap_token": token, "expires_at": time}).to_string())
    };
    let (token, time) = ("QQ.QQ", "2026-11-23T00:01:00Z");
    let object = |inside: &str| v1_payload(&format!("{{{inside}}}"));
    let good = format!(r#""url":"wss://h","bootstrap_token":"{token}","expires_at":"{time}""#);
    // JSON may have white space after it, which gives a case the length that it needs.
    let with_rest = |rest| {
        let mut json = format!("{{{good}}}");
        json.push_str(&" ".repeat((3 + rest - json.len() % 3) % 3));
        let payload = v1_payload(&json);
        assert!(decode_setup_code(&payload).is_ok() && json.len() % 3 == rest);
        payload
    };
    let record = |form: u8, profile: &str, label: &str, url: &str| {
        BASE32_NOPAD.encode(&v2_record(form, profile, label, url))
    };
    assert!(decode_setup_code(&record(4, "", "", "h")).is_ok());
    let (half, quarter) = (v1.len() / 2, v2.len() / 4);
    let cases = [
        ("nothing", String::new()),
        ("white space", " \n".into()),
        ("too long", " ".repeat(4097)),
        ("v1: padding", format!("{}==", with_rest(1))),
        ("v1: plus", format!("{}+{}", &v1[..half], &v1[half + 1..])),
        ("v1: slash", format!("{}/{}", &v1[..half], &v1[half + 1..])),
        ("v1: white space inside", format!("{} {}", &v1[..half], &v1[half..])),
        ("v1: stray bits", next_last(&with_rest(1))),
        ("v1: stray bits of a longer rest", next_last(&with_rest(2))),
        ("v1: a length that no bytes have", with_rest(0) + "A"),
        ("v1: cut in the middle", v1[..half / 4 * 4].into()),
        ("v1: something behind it", v1_payload(&format!("{{{good}}}x"))),
        ("v1: no JSON", v1_payload("{")),
        ("v1: no UTF-8", BASE64URL_NOPAD.encode(b"{\"url\":\"\xff\"}")),
        ("v1: half a surrogate pair", object(&good.replace("//h", r"//h\ud800"))),
        ("v1: deeply nested", object(&format!("\"url\":{}", "[".repeat(2000)))),
        ("v1: a field comes twice", object(&format!("{good},\"url\":\"wss://h\""))),
        ("v1: an unknown field", object(&format!("{good},\"more\":\"x\""))),
        ("v1: a field is missing", object(&good.replace("\"url\":\"wss://h\",", ""))),
        ("v1: a number", object(&good.replace("\"wss://h\"", "1"))),
        ("v1: null", object(&good.replace("\"wss://h\"", "null"))),
        ("v1: no scheme", fields("h", token, time)),
        ("v1: another scheme", fields("javascript://h", token, time)),
        ("v1: upper case", fields("WSS://h", token, time)),
        ("v1: no host", fields("wss:///pair", token, time)),
        ("v1: a space in the URL", fields("wss://h/a b", token, time)),
        ("v1: a URL that is no ASCII", fields("wss://\u{f1}", token, time)),
        ("v1: the URL is too long", fields(&format!("wss://{}", "h".repeat(1019)), token, time)),
        ("v1: a token without a dot", fields("wss://h", "QQ", time)),
        ("v1: a token with two dots", fields("wss://h", "QQ.QQ.QQ", time)),
        ("v1: a token with an empty part", fields("wss://h", "QQ.", time)),
        ("v1: a token with padding", fields("wss://h", "QQ.QQ==", time)),
        ("v1: the token is too long", fields("wss://h", &format!("Q.{}", "Q".repeat(2047)), time)),
        ("v1: a time without Z", fields("wss://h", token, "2026-11-23T00:01:00")),
        ("v1: a time with an offset", fields("wss://h", token, "2026-11-23T00:01:00+00:00")),
        ("v1: a time with a space", fields("wss://h", token, "2026-11-23 00:01:00Z")),
        ("v1: a time in lower case", fields("wss://h", token, "2026-11-23t00:01:00z")),
        ("v1: a time with ten digits", fields("wss://h", token, "2026-11-23T00:01:00.1234567890Z")),
        ("v1: a leap second", fields("wss://h", token, "2016-12-31T23:59:60Z")),
        ("v1: the year 0", fields("wss://h", token, "0000-12-31T23:59:59Z")),
        ("v1: no such day", fields("wss://h", token, "2026-02-29T00:01:00Z")),
        ("v2: lower case", v2.to_lowercase()),
        ("v2: padding", record(4, "", "", "h") + "="),
        ("v2: white space inside", format!("{} {}", &v2[..quarter], &v2[quarter..])),
        ("v2: another alphabet", format!("{}0{}", &v2[..quarter], &v2[quarter + 1..])),
        ("v2: stray bits", next_last(&record(4, "", "", "h"))),
        ("v2: a length that no bytes have", record(4, "", "", "hh") + "A"),
        ("v2: version 1", v2.replacen("AI", "AE", 1)),
        ("v2: version 3", v2.replacen("AI", "AM", 1)),
        ("v2: version 255", format!("77{}", &v2[2..])),
        ("v2: nothing but a version", "AI".into()),
        ("v2: cut in the middle", v2[..half / 8].into()),
        ("v2: a byte too few", v2_cut(&record(4, "", "", "h"))),
        (
            "v2: a byte too many",
            BASE32_NOPAD.encode(&[v2_record(4, "", "", "h"), vec![0]].concat()),
        ),
        ("v2: the usual profile written out", record(4, "companion-v1", "", "h")),
        ("v2: a profile in upper case", record(4, "P", "", "h")),
        ("v2: the profile is too long", record(4, &"p".repeat(65), "", "h")),
        ("v2: a control character in the label", record(4, "", "a\u{7f}", "h")),
        ("v2: the label is too long", record(4, "", &"x".repeat(129), "h")),
        ("v2: /pair written out", record(0, "", "", "h/pair")),
        ("v2: an unknown bit", record(12, "", "", "h")),
        ("v2: no host", record(4, "", "", "")),
        ("v2: a host that is a path", record(0, "", "", "/x")),
        ("v2: a space in the URL", record(0, "", "", "h/a b")),
        ("v2: the URL is too long", record(0, "", "", &"h".repeat(1019))),
    ];
    let described = cases.map(|(name, payload)| {
        let error = decode_setup_code(&payload).expect_err(name);
        json!({"name": name, "payload": payload, "part": error.part().as_str()})
    });
    described.into()
}

fn invalid_tokens(issuer: &SetupCodeIssuer) -> Vec<Value> {
    let other = issuer_with(&Keys::new(), 0x40);
    let [other_v1, other_v2] = both(&other, None).map(|code| code.bootstrap_token);
    let [v1, v2] = both(issuer, Some("phone")).map(|code| code.bootstrap_token);
    let (claims, signature) = v1.split_once('.').unwrap();
    let flipped = |token: &str, at: usize| {
        let letter = if &token[at..=at] == "A" { "B" } else { "A" };
        format!("{}{letter}{}", &token[..at], &token[at + 1..])
    };
    // Signed with the current key, so that the claims are checked.
    let signed =
        |claims: &str| v1_token(claims.as_bytes(), &hmac_sha256(&key_bytes(0), claims.as_bytes()));
    let good = r#""profile":"p","expires_at":"2026-11-23T00:01:00Z","nonce":"00000000000000000000000000000000""#;
    let object = |inside: &str| signed(&format!("{{{inside}}}"));
    assert!(issuer.verify(&object(good)).is_ok());
    let signed_v2 = |profile: &str| {
        let mut record = v2_record(4, profile, "", "h");
        record.truncate(record.len() - 16);
        let signature = hmac_sha256(&key_bytes(0), &record);
        record.extend(&signature[..16]);
        BASE32_NOPAD.encode(&record)
    };
    let expired = |format| {
        let nonce = "00".repeat(SetupCodeFormat::nonce_bytes(format));
        let claims = TokenClaims::new("companion-v1".into(), midnight(), nonce, None);
        sign(format, &claims, &key_bytes(0)).bootstrap_token
    };
    let cases = [
        ("nothing", String::new()),
        ("too long", "A".repeat(2049)),
        ("v1: another key", other_v1),
        ("v1: other claims", format!("{}.{signature}", BASE64URL_NOPAD.encode(b"{}"))),
        ("v1: another signature", flipped(&v1, claims.len() + 1)),
        ("v1: one signature bit", flipped(&v1, v1.len() - 3)),
        ("v1: the signature is cut", format!("{claims}.{}", &signature[..40])),
        ("v1: half the signature", format!("{claims}.{}", BASE64URL_NOPAD.encode(&[0; 16]))),
        ("v1: no signature", format!("{claims}.")),
        ("v1: no claims", format!(".{signature}")),
        ("v1: no parts", ".".into()),
        ("v1: three parts", format!("{v1}.{signature}")),
        ("v1: white space before it", format!(" {v1}")),
        ("v1: white space behind it", format!("{v1}\n")),
        ("v1: padding", format!("{v1}=")),
        ("v1: claims are a list", signed("[]")),
        ("v1: a claim is missing", object(&good.replace("\"profile\":\"p\",", ""))),
        ("v1: a claim comes twice", object(&format!("{good},\"profile\":\"p\""))),
        ("v1: an unknown claim", object(&format!("{good},\"admin\":\"yes\""))),
        ("v1: a claim is a number", object(&good.replace("\"p\"", "1"))),
        ("v1: a label that is null", object(&format!("{good},\"device_label\":null"))),
        ("v1: an empty label", object(&format!("{good},\"device_label\":\"\""))),
        ("v1: a line end in the label", object(&format!(r#"{good},"device_label":"a\nb""#))),
        ("v1: a profile in upper case", object(&good.replace("\"p\"", "\"P\""))),
        ("v1: a nonce in upper case", object(&good.replace("\"000", "\"ABC"))),
        ("v1: a short nonce", object(&good.replace("\"000", "\""))),
        ("v1: no time", object(&good.replace("2026", "soon"))),
        ("v1: expired", expired(SetupCodeFormat::V1)),
        ("v2: another key", other_v2),
        ("v2: another expiry", flipped(&v2, 6)),
        ("v2: another nonce", flipped(&v2, 20)),
        ("v2: another URL", flipped(&v2, 50)),
        ("v2: another signature", flipped(&v2, v2.len() - 5)),
        ("v2: white space before it", format!(" {v2}")),
        ("v2: white space behind it", format!("{v2}\n")),
        ("v2: cut in the middle", v2[..v2.len() / 16 * 8].into()),
        ("v2: the usual profile written out", signed_v2("companion-v1")),
        ("v2: a profile in upper case", signed_v2("P")),
        ("v2: expired", expired(SetupCodeFormat::V2)),
    ];
    let described = cases.map(|(name, token)| {
        let error = issuer.verify(&token).expect_err(name);
        let mut vector = json!({"name": name, "token": token, "error": error.kind()});
        if let VerifyError::Malformed(error) = error {
            vector["part"] = error.part().as_str().into();
        }
        vector
    });
    described.into()
}

fn sign(format: SetupCodeFormat, claims: &TokenClaims, key: &[u8; 32]) -> SetupCode {
    let unsigned = UnsignedSetupCode::new(format, URL, claims).unwrap();
    let hmac = hmac_sha256(key, unsigned.signed_bytes());
    unsigned.sign_with(&hmac)
}

fn v1_payload(json: &str) -> String {
    BASE64URL_NOPAD.encode(json.as_bytes())
}

fn v1_token(claims: &[u8], signature: &[u8]) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(claims), BASE64URL_NOPAD.encode(signature))
}

/// A record with a signature of zeros.
fn v2_record(form: u8, profile: &str, label: &str, url: &str) -> Vec<u8> {
    let mut record = vec![2, form];
    record.extend(u32::try_from(midnight().unix_timestamp() + 60).unwrap().to_be_bytes());
    record.extend([0; 12]);
    for text in [profile, label] {
        record.push(u8::try_from(text.len()).unwrap());
        record.extend(text.bytes());
    }
    record.extend(u16::try_from(url.len()).unwrap().to_be_bytes());
    record.extend(url.bytes());
    record.extend([0; 16]);
    record
}

/// A text whose last character, an `A` to `Y` or a digit, is the next one.
fn next_last(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", char::from(last.as_bytes()[0] + 1))
}

/// A payload without its last byte.
fn v2_cut(payload: &str) -> String {
    let record = BASE32_NOPAD.decode(payload.as_bytes()).unwrap();
    BASE32_NOPAD.encode(&record[..record.len() - 1])
}
