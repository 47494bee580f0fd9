//! Version 2, compact: base32 of a binary record. Each code has exactly one encoding.
//!
//! | bytes | |
//! | --- | --- |
//! | 1 | version: 2 |
//! | 1 | flags of the URL: bits 0 and 1 are the scheme, bit 2 is set if it ends in `/pair` |
//! | 4 | expiry, in seconds since 1970, big-endian |
//! | 12 | nonce |
//! | 1 + n | length and text of the profile; length 0 is `companion-v1` |
//! | 1 + n | length and text of the device label; length 0 is no label |
//! | 2 + n | length, big-endian, and text of the rest of the URL |
//! | 16 | the first 16 bytes of the HMAC-SHA256 over all preceding bytes |

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use time::OffsetDateTime;

use super::code::{
    COMPACT_NONCE_BYTES, SCHEMES, TokenClaims, check_label, check_profile, check_url, split_scheme,
};
use super::error::{SetupCodeError, SetupCodePart};

/// The version of this format.
const VERSION: u8 = 2;

/// The length of the signature: a truncated HMAC-SHA256.
const SIGNATURE_BYTES: usize = 16;

/// The bits of the flags that hold the scheme.
const SCHEME: u8 = 0b11;

/// The flag of a URL that ends in [`PATH`].
const HAS_PATH: u8 = 0b100;

/// The default path of a gateway, encoded as a flag.
const PATH: &str = "/pair";

/// The default profile, encoded as an empty text.
const DEFAULT_PROFILE: &str = "companion-v1";

const BASE32: &str =
    "be upper-case base32 without padding, white space and stray bits, unless it is of version 1";
const ONE_RECORD: &str = "be exactly one whole record";
const CANONICAL: &str = "be in its shortest form";
const EXPIRY: &str = "be a whole second between 1970 and 2106-02-07T06:28:15Z";

/// The record without its signature.
pub(super) fn signed_bytes(url: &str, claims: &TokenClaims) -> Result<Vec<u8>, SetupCodeError> {
    let expiry = claims.expires_at;
    let seconds = u32::try_from(expiry.unix_timestamp()).ok();
    let seconds = seconds.filter(|_| expiry.nanosecond() == 0);
    let seconds = seconds.ok_or(SetupCodePart::Expiry.must(EXPIRY))?;
    let nonce = HEXLOWER.decode(claims.nonce.as_bytes());
    let nonce = nonce.map_err(|_| SetupCodePart::Nonce.must("be hexadecimal digits"))?;
    let (scheme, rest) = split_scheme(url).ok_or(SetupCodePart::Url.must("have a scheme"))?;
    let (has_path, rest) = match rest.strip_suffix(PATH) {
        Some(rest) => (HAS_PATH, rest),
        None => (0, rest),
    };
    let profile = if claims.profile == DEFAULT_PROFILE { "" } else { &claims.profile };
    let label = claims.device_label.as_deref().unwrap_or_default();

    let mut record = vec![VERSION, scheme | has_path];
    record.extend(seconds.to_be_bytes());
    record.extend(nonce);
    for (text, part) in [(profile, SetupCodePart::Profile), (label, SetupCodePart::Label)] {
        let length = u8::try_from(text.len()).map_err(|_| part.must("have at most 255 bytes"))?;
        record.push(length);
        record.extend(text.as_bytes());
    }
    let length = u16::try_from(rest.len());
    let length = length.map_err(|_| SetupCodePart::Url.must("have at most 65535 bytes"))?;
    record.extend(length.to_be_bytes());
    record.extend(rest.as_bytes());
    Ok(record)
}

/// The token of a record and the first 16 bytes of its signature.
pub(super) fn token(mut signed: Vec<u8>, hmac: &[u8]) -> String {
    signed.extend(hmac.iter().take(SIGNATURE_BYTES));
    BASE32_NOPAD.encode(&signed)
}

/// The signed bytes and the signature.
pub(super) fn split_token(
    token: &str,
    part: SetupCodePart,
) -> Result<(Vec<u8>, Vec<u8>), SetupCodeError> {
    let mut record = BASE32_NOPAD.decode(token.as_bytes()).map_err(|_| part.must(BASE32))?;
    match record.first() {
        Some(&VERSION) => {}
        Some(&found) => return Err(SetupCodeError::UnknownVersion { found }),
        None => return Err(part.must("not be empty")),
    }
    let signed = record.len().checked_sub(SIGNATURE_BYTES).filter(|&length| length > 0);
    let signature = record.split_off(signed.ok_or(part.must(ONE_RECORD))?);
    Ok((record, signature))
}

/// The URL and the claims of a record without its signature.
pub(super) fn read_record(record: &[u8]) -> Result<(String, TokenClaims), SetupCodeError> {
    let mut rest = Rest(record);
    let [_version, flags] = rest.array()?;
    let seconds = u32::from_be_bytes(rest.array()?);
    let nonce: [u8; COMPACT_NONCE_BYTES] = rest.array()?;
    let [length] = rest.array()?;
    let profile = rest.text(length.into(), SetupCodePart::Profile)?;
    let [length] = rest.array()?;
    let label = rest.text(length.into(), SetupCodePart::Label)?;
    let length = u16::from_be_bytes(rest.array()?);
    let url = rest.text(length.into(), SetupCodePart::Url)?;
    if !rest.0.is_empty() {
        return Err(SetupCodePart::Payload.must(ONE_RECORD));
    }

    let profile = match profile {
        "" => DEFAULT_PROFILE,
        DEFAULT_PROFILE => return Err(SetupCodePart::Profile.must(CANONICAL)),
        _ => profile,
    };
    check_profile(profile)?;
    let label = Some(label).filter(|label| !label.is_empty());
    label.map_or(Ok(()), check_label)?;
    let claims = TokenClaims {
        profile: profile.into(),
        expires_at: OffsetDateTime::from_unix_timestamp(seconds.into())
            .map_err(|_| SetupCodePart::Expiry.must(EXPIRY))?,
        nonce: HEXLOWER.encode(&nonce),
        device_label: label.map(Into::into),
    };
    read_url(flags, url).map(|url| (url, claims))
}

fn read_url(flags: u8, rest: &str) -> Result<String, SetupCodeError> {
    let part = SetupCodePart::Url;
    if flags & !(SCHEME | HAS_PATH) != 0 {
        return Err(part.must("have no unknown bits set"));
    }
    let path = match flags & HAS_PATH {
        0 if rest.ends_with(PATH) => return Err(part.must(CANONICAL)),
        0 => "",
        _ => PATH,
    };
    let url = [SCHEMES[usize::from(flags & SCHEME)], rest, path].concat();
    check_url(&url).map(|()| url)
}

/// The rest of a record.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], SetupCodeError> {
        let (array, rest) =
            self.0.split_first_chunk().ok_or(SetupCodePart::Payload.must(ONE_RECORD))?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self, length: usize, part: SetupCodePart) -> Result<&'a str, SetupCodeError> {
        let (text, rest) =
            self.0.split_at_checked(length).ok_or(SetupCodePart::Payload.must(ONE_RECORD))?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| part.must("be UTF-8"))
    }
}
