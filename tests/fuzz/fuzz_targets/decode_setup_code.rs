//! Generated payloads.
#![no_main]

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::SetupCodeFormat;
use nexo_pairing_core::setup_code::{decode_setup_code, token_device_label, token_expires_at};

fuzz_target!(|input: &[u8]| {
    // The first byte selects how the others are used: random text is hardly ever valid base32.
    let Some((kind, bytes)) = input.split_first() else { return };
    let payload = match kind {
        b'1' => BASE64URL_NOPAD.encode(bytes),
        b'2' => BASE32_NOPAD.encode(bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    let _ = (token_expires_at(&payload), token_device_label(&payload));
    let Ok(code) = decode_setup_code(&payload) else { return };
    let again = code.payload().expect("what was read can be written");
    match code.format() {
        SetupCodeFormat::V2 => assert_eq!(again, payload.trim()),
        _ => assert_eq!(decode_setup_code(&again), Ok(code)),
    }
});
