//! Generated sender ids of WhatsApp.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::{PairingChannelAdapter, SenderId};
use nexo_pairing_fuzz::Nowhere;
use nexo_pairing_whatsapp::WhatsappPairingAdapter;

static WHATSAPP: LazyLock<WhatsappPairingAdapter> =
    LazyLock::new(|| WhatsappPairingAdapter::new(Nowhere::outbound()));

fuzz_target!(|raw: &str| {
    let Some(id) = WHATSAPP.normalize_sender(raw) else { return };
    assert!(SenderId::check(&id).is_ok());
    assert_eq!(WHATSAPP.normalize_sender(&id).as_ref(), Some(&id));
    assert!(!WHATSAPP.is_group(&id));

    // The rules once more: a linked id stays one, and no other id becomes one.
    let server = raw.split_once('@').map(|(_, server)| server);
    let is_linked = server == Some("lid") || raw.starts_with("lid:");
    let digits = match id.strip_prefix("lid:") {
        Some(digits) => {
            assert!(is_linked && (1..=20).contains(&digits.len()));
            digits
        }
        None => {
            assert!(!is_linked && [None, Some("c.us"), Some("s.whatsapp.net")].contains(&server));
            let digits = id.strip_prefix('+').expect("a phone number");
            assert!((7..=15).contains(&digits.len()));
            digits
        }
    };
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0'));

    // The digits are those of the user, without agent and device.
    let user = raw.split_once('@').map_or(raw, |(user, _)| user);
    let user = if server.is_some() { user.split(['.', '_', ':']).next() } else { Some(user) };
    let written = user.into_iter().flat_map(str::chars).filter(char::is_ascii_digit);
    assert_eq!(written.collect::<String>(), digits);
});
