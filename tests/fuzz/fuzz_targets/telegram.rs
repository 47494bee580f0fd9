//! Generated sender ids of Telegram, with user names and without.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::{PairingChannelAdapter, SenderId};
use nexo_pairing_fuzz::Nowhere;
use nexo_pairing_telegram::TelegramPairingAdapter;

static BY_ID: LazyLock<TelegramPairingAdapter> =
    LazyLock::new(|| TelegramPairingAdapter::new(Nowhere::outbound()));
static BY_NAME: LazyLock<TelegramPairingAdapter> =
    LazyLock::new(|| BY_ID.clone().with_usernames(true));

/// Shared accounts, under which others write.
const SHARED: [i64; 3] = [777_000, 136_817_688, 1_087_968_824];

fuzz_target!(|raw: &str| {
    let by_name = BY_NAME.normalize_sender(raw);
    let by_id = BY_ID.normalize_sender(raw);
    if let Some(id) = &by_name {
        assert!(SenderId::check(id).is_ok());
        assert_eq!(BY_NAME.normalize_sender(id).as_ref(), Some(id));
    }
    match by_name.as_deref() {
        Some(name) if name.starts_with('@') => {
            assert_eq!(by_id, None);
            assert_eq!(name, raw.to_ascii_lowercase());
            let name = &name[1..];
            assert!((4..=32).contains(&name.len()));
            assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
        }
        Some(id) => {
            assert_eq!((by_id.as_deref(), id), (Some(raw), raw));
            let number: i64 = id.parse().expect("an id is a number");
            assert_eq!(number.to_string(), id);
            assert!((-4_000_000_000_000..=1_099_511_627_775).contains(&number) && number != 0);
            assert!(!SHARED.contains(&number));
            assert_eq!(BY_ID.is_group(id), number < 0);
        }
        // An id that is invalid with names is invalid without.
        None => assert_eq!(by_id, None),
    }
});
