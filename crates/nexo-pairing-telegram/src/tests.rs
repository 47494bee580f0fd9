//! What the adapter formats and publishes.

use std::sync::Mutex;

use nexo_pairing_core::{ChannelId, Language, PairingCode};
use serde_json::Value;

use super::*;

#[derive(Default)]
struct Sent(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Outbound for Sent {
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        self.0.lock().unwrap().push((topic.to_owned(), payload));
        Ok(())
    }
}

struct Broken;

#[async_trait]
impl Outbound for Broken {
    async fn publish(&self, _: &str, _: Value) -> Result<(), PairingError> {
        Err(PairingError::delivery("the broker is gone"))
    }
}

fn adapter() -> TelegramPairingAdapter {
    TelegramPairingAdapter::new(Arc::new(Broken))
}

/// The text that carries `code`, for the tests of the markup.
pub(crate) fn short_text(code: &str) -> String {
    adapter().format_challenge_text(code)
}

async fn published(account: &str, to: &str) -> (String, Value) {
    let sent = Arc::new(Sent::default());
    TelegramPairingAdapter::new(sent.clone()).send_reply(account, to, r"hi\!").await.unwrap();
    let mut sent = sent.0.lock().unwrap();
    assert_eq!(sent.len(), 1);
    sent.remove(0)
}

#[tokio::test]
async fn a_reply_goes_to_the_topic_of_its_account() {
    assert_eq!(published("cody_nexo_bot", "1").await.0, "plugin.outbound.telegram.cody_nexo_bot");
    assert_eq!(published("default", "1").await.0, "plugin.outbound.telegram");
}

#[tokio::test]
async fn a_reply_is_a_text_in_markdown_to_the_canonical_id() {
    let payload = json!({
        "kind": "text",
        "to": "-1001234567890",
        "text": r"hi\!",
        "parse_mode": "MarkdownV2",
    });
    assert_eq!(published("cody_nexo_bot", "-1001234567890").await.1, payload);
}

#[tokio::test]
async fn a_reply_that_is_not_accepted_fails() {
    let result = adapter().send_reply("cody_nexo_bot", "123456789", "hi").await;
    assert!(matches!(result, Err(PairingError::Delivery(_))), "{result:?}");
}

#[tokio::test]
async fn an_image_is_unsupported_and_nothing_is_published() {
    let sent = Arc::new(Sent::default());
    let adapter = TelegramPairingAdapter::new(sent.clone());
    let result = adapter.send_qr_image("cody_nexo_bot", "123456789", b"png").await;
    assert!(
        matches!(result, Err(PairingError::Unsupported { channel: "telegram", .. })),
        "{result:?}"
    );
    assert!(sent.0.lock().unwrap().is_empty());
}

#[test]
fn the_code_of_a_text_is_in_a_code_span_and_the_rest_is_escaped() {
    assert_eq!(
        adapter().format_challenge_text("K7M9-PQ2X"),
        r"Your pairing code is `K7M9-PQ2X`\. Give it to the operator of this bot\."
    );
}

#[test]
fn verbatim_text_is_in_a_code_span() {
    assert_eq!(adapter().format_verbatim("nexo*`1"), r"`nexo*\`1`");
}

#[test]
fn a_challenge_has_its_language_its_minutes_and_its_template() {
    let code = PairingCode::parse("K7M9-PQ2X").unwrap();
    let spanish = Challenge::new(code, 42).with_language(Language::Es);
    assert_eq!(
        adapter().format_challenge(&spanish),
        "Tu código de emparejamiento es `K7M9-PQ2X`\\. Dáselo al operador de este bot\\. \
         Es válido durante `42` min\\."
    );

    let own = spanish.with_template("*{code}* ({minutes}): {command}".to_owned());
    assert_eq!(
        adapter().format_challenge(&own),
        r"\*`K7M9-PQ2X`\* \(`42`\): `nexo-pair approve K7M9PQ2X`"
    );
}

#[test]
fn a_negative_id_is_a_group() {
    for group in ["-1", "-4000000000000", "-1001234567890"] {
        assert!(adapter().is_group(group), "{group}");
    }
    for person in ["1", "1099511627775", "@user_name"] {
        assert!(!adapter().is_group(person), "{person}");
    }
}

#[test]
fn user_names_are_refused_by_default() {
    assert_eq!(adapter().normalize_sender("@User_Name"), None);
    let named = adapter().with_usernames(true);
    assert_eq!(named.normalize_sender("@User_Name").as_deref(), Some("@user_name"));
    assert_eq!(named.normalize_sender("123456789").as_deref(), Some("123456789"));
    assert_eq!(format!("{named:?}"), "TelegramPairingAdapter { usernames: true, .. }");
}

#[test]
fn the_channel_id_is_valid() {
    assert_eq!(adapter().channel_id(), "telegram");
    assert!(ChannelId::check(adapter().channel_id()).is_ok());
}

#[test]
fn telegrams_own_accounts_are_recognized_in_one_form_only() {
    for own in ["777000", "1087968824", "136817688"] {
        assert!(adapter().is_channel_account(own), "{own}");
    }
    for other in ["0777000", "+777000", "777001", "-1087968824", "@GroupAnonymousBot", ""] {
        assert!(!adapter().is_channel_account(other), "{other}");
    }
}
