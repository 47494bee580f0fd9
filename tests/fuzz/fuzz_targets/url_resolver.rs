//! Generated URLs, from each of their sources.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::setup_code::{MAX_URL_BYTES, UnsignedSetupCode};
use nexo_pairing_core::{SetupCodeFormat, SystemClock, TokenClaims};
use nexo_pairing_setup::url_resolver::{UrlInputs, resolve};
use time::OffsetDateTime;

fuzz_target!(|input: &[u8]| {
    // The first byte selects the source of the URL; hosts after a line end may use cleartext.
    let Some((source, bytes)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let (url, allowed) = text.split_once('\n').unwrap_or((&text, ""));
    let mut inputs = UrlInputs::new(SystemClock::shared());
    inputs.ws_cleartext_allow = allowed.split(',').map(Into::into).collect();
    let place = match source {
        b'f' => &mut inputs.flag,
        b'p' => &mut inputs.public_url,
        _ => &mut inputs.tunnel_url,
    };
    *place = Some(url.into());
    let Ok(resolved) = resolve(&inputs) else { return };

    let is_known = |scheme| resolved.url.starts_with(scheme);
    assert!(["wss://", "https://", "ws://", "http://"].into_iter().any(is_known));
    assert!(!resolved.url.contains('#'));
    if resolved.url.len() <= MAX_URL_BYTES {
        let nonce = "00".repeat(SetupCodeFormat::V2.nonce_bytes());
        let claims = TokenClaims::new("p".into(), OffsetDateTime::UNIX_EPOCH, nonce, None);
        UnsignedSetupCode::new(SetupCodeFormat::V2, &resolved.url, &claims)
            .expect("what the resolver lets pass goes into a setup code");
    }

    inputs.flag = Some(resolved.url.clone());
    let again = resolve(&inputs).expect("what passed passes again");
    assert_eq!(again.url, resolved.url);
});
