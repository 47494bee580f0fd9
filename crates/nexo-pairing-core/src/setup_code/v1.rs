//! Version 1: base64url of JSON, byte for byte as 0.1.8 writes it.

use data_encoding::BASE64URL_NOPAD;

use super::code::{SetupCode, SetupCodeFormat, TokenClaims, check_url};
use super::error::{SetupCodeError, SetupCodePart};
use super::{MAX_TOKEN_BYTES, object, timestamp};

/// The length of an HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;

const BASE64URL: &str = "be base64url without padding, white space and stray bits";
const TOKEN: &str = "be two parts of base64url with a dot between them";
const EXPIRY: &str = "be a time in UTC, such as 2026-11-23T00:10:49Z";

/// Whether a payload is of this version. Its JSON begins with `{`, so the text begins with `e`;
/// version 2 has no lower-case letters.
pub(super) fn is_payload(payload: &str) -> bool {
    payload.starts_with('e')
}

pub(super) fn encode(code: &SetupCode) -> Result<String, SetupCodeError> {
    check(code)?;
    // Strings always serialize; only a time may have no RFC 3339 form.
    let json = serde_json::to_vec(code).map_err(|_| SetupCodePart::Expiry.must(EXPIRY))?;
    Ok(BASE64URL_NOPAD.encode(&json))
}

pub(super) fn decode(payload: &str) -> Result<SetupCode, SetupCodeError> {
    let part = SetupCodePart::Payload;
    let json = decode_base64(payload, part)?;
    let names = ["url", "bootstrap_token", "expires_at"];
    let [url, token, expires_at] = object::read(part, &json, &names)?;
    let missing = |field| SetupCodeError::Field { part, field, rule: "be present" };
    let code = SetupCode {
        url: url.ok_or(missing(names[0]))?,
        bootstrap_token: token.ok_or(missing(names[1]))?,
        expires_at: read_time(&expires_at.ok_or(missing(names[2]))?)?,
    };
    check(&code).map(|()| code)
}

/// Checks the URL and the form of the token. Only the server reads the token, so its alphabet is
/// enough.
fn check(code: &SetupCode) -> Result<(), SetupCodeError> {
    check_url(&code.url)?;
    SetupCodePart::Token.check_length(&code.bootstrap_token, MAX_TOKEN_BYTES)?;
    let is_part = |part: &str| {
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !part.is_empty() && part.bytes().all(is_letter)
    };
    match code.bootstrap_token.split_once('.') {
        Some((claims, signature)) if is_part(claims) && is_part(signature) => Ok(()),
        _ => Err(SetupCodePart::Token.must(TOKEN)),
    }
}

/// The JSON of the claims, which is signed.
pub(super) fn signed_bytes(claims: &TokenClaims) -> Result<Vec<u8>, SetupCodeError> {
    serde_json::to_vec(claims).map_err(|_| SetupCodePart::Expiry.must(EXPIRY))
}

pub(super) fn token(signed: &[u8], hmac: &[u8; SIGNATURE_BYTES]) -> String {
    let mut token = BASE64URL_NOPAD.encode(signed);
    token.push('.');
    BASE64URL_NOPAD.encode_append(hmac, &mut token);
    token
}

/// The signed bytes and the signature.
pub(super) fn split_token(token: &str) -> Result<(Vec<u8>, Vec<u8>), SetupCodeError> {
    let (claims, signature) = token.split_once('.').ok_or(SetupCodePart::Token.must(TOKEN))?;
    if claims.is_empty() || signature.is_empty() || signature.contains('.') {
        return Err(SetupCodePart::Token.must(TOKEN));
    }
    let claims = decode_base64(claims, SetupCodePart::Claims)?;
    let signature = decode_base64(signature, SetupCodePart::Signature)?;
    if signature.len() != SIGNATURE_BYTES {
        return Err(SetupCodePart::Signature.must("have 32 bytes"));
    }
    Ok((claims, signature))
}

pub(super) fn read_claims(signed: &[u8]) -> Result<TokenClaims, SetupCodeError> {
    let part = SetupCodePart::Claims;
    let names = ["profile", "expires_at", "nonce", "device_label"];
    let [profile, expires_at, nonce, device_label] = object::read(part, signed, &names)?;
    let missing = |field| SetupCodeError::Field { part, field, rule: "be present" };
    let claims = TokenClaims {
        profile: profile.ok_or(missing(names[0]))?,
        expires_at: read_time(&expires_at.ok_or(missing(names[1]))?)?,
        nonce: nonce.ok_or(missing(names[2]))?,
        device_label,
    };
    claims.check(SetupCodeFormat::V1).map(|()| claims)
}

fn read_time(text: &str) -> Result<time::OffsetDateTime, SetupCodeError> {
    timestamp::parse(text).ok_or(SetupCodePart::Expiry.must(EXPIRY))
}

fn decode_base64(text: &str, part: SetupCodePart) -> Result<Vec<u8>, SetupCodeError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| part.must(BASE64URL))
}
