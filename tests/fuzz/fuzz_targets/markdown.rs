//! Generated templates and codes: Telegram accepts the result and shows the
//! intended text.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_core::{Challenge, PairingChannelAdapter, PairingCode};
use nexo_pairing_fuzz::Nowhere;
use nexo_pairing_telegram::TelegramPairingAdapter;

static TELEGRAM: LazyLock<TelegramPairingAdapter> =
    LazyLock::new(|| TelegramPairingAdapter::new(Nowhere::outbound()));

fuzz_target!(|text: &str| {
    let code = PairingCode::from_random([1, 2, 3, 4, 5, 6, 7]);
    let challenge = Challenge::new(code, 60).with_template(text.to_owned());
    let markdown = TELEGRAM.format_challenge(&challenge);
    assert_eq!(shown(&markdown), Ok(challenge.plain_text()), "{markdown}");

    let markdown = TELEGRAM.format_challenge_text(text);
    let expected = format!("Your pairing code is {text}. Give it to the operator of this bot.");
    assert_eq!(shown(&markdown), Ok(expected), "{markdown}");
});

/// What Telegram shows of a text in MarkdownV2, or why it rejects it, by the rules of the Bot API
/// (<https://core.telegram.org/bots/api#markdownv2-style>). Of all markup, a challenge has code spans only.
fn shown(markdown: &str) -> Result<String, String> {
    let mut shown = String::new();
    let mut is_code = false;
    let mut rest = markdown.chars();
    while let Some(c) = rest.next() {
        match c {
            // "Any character with code between 1 and 126 inclusively can be escaped anywhere".
            '\\' => match rest.clone().next() {
                Some(escaped @ '\u{1}'..='\u{7e}') => {
                    shown.push(escaped);
                    rest.next();
                }
                _ => shown.push(c),
            },
            '`' if !is_code && rest.as_str().starts_with("``") => {
                return Err("a block of code begins".to_owned());
            }
            '`' => is_code = !is_code,
            '_' | '*' | '[' | ']' | '(' | ')' | '~' | '>' | '#' | '+' | '-' | '=' | '|' | '{'
            | '}' | '.' | '!'
                if !is_code =>
            {
                return Err(format!("character '{c}' is reserved and must be escaped"));
            }
            _ => shown.push(c),
        }
    }
    if is_code { Err("a code span has no end".to_owned()) } else { Ok(shown) }
}
