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

async fn published(account: &str, to: &str) -> (String, Value) {
    let sent = Arc::new(Sent::default());
    WhatsappPairingAdapter::new(sent.clone()).send_reply(account, to, "hi *you*").await.unwrap();
    let mut sent = sent.0.lock().unwrap();
    assert_eq!(sent.len(), 1);
    sent.remove(0)
}

#[tokio::test]
async fn a_reply_goes_to_the_topic_of_its_account() {
    assert_eq!(published("personal", "+1").await.0, "plugin.outbound.whatsapp.personal");
    assert_eq!(published("default", "+1").await.0, "plugin.outbound.whatsapp");
}

#[tokio::test]
async fn a_reply_to_a_phone_number_is_a_text_to_the_canonical_id() {
    let payload = json!({"kind": "text", "to": "+5491155556666", "text": "hi *you*"});
    assert_eq!(published("personal", "+5491155556666").await.1, payload);
}

#[tokio::test]
async fn a_reply_to_a_linked_id_is_a_text_to_its_jid() {
    let payload = json!({"kind": "text", "to": "123456789012345@lid", "text": "hi *you*"});
    assert_eq!(published("personal", "lid:123456789012345").await.1, payload);
}

#[tokio::test]
async fn a_reply_that_is_not_accepted_fails() {
    let adapter = WhatsappPairingAdapter::new(Arc::new(Broken));
    let result = adapter.send_reply("personal", "+5491155556666", "hi").await;
    assert!(matches!(result, Err(PairingError::Delivery(_))), "{result:?}");
}

#[tokio::test]
async fn an_image_is_unsupported_and_nothing_is_published() {
    let sent = Arc::new(Sent::default());
    let adapter = WhatsappPairingAdapter::new(sent.clone());
    let result = adapter.send_qr_image("personal", "+5491155556666", b"png").await;
    assert!(
        matches!(result, Err(PairingError::Unsupported { channel: "whatsapp", .. })),
        "{result:?}"
    );
    assert!(sent.0.lock().unwrap().is_empty());
}

#[test]
fn a_challenge_has_its_language_its_minutes_and_its_template() {
    let adapter = WhatsappPairingAdapter::new(Arc::new(Broken));
    let code = PairingCode::parse("K7M9-PQ2X").unwrap();
    let spanish = Challenge::new(code, 42).with_language(Language::Es);
    let text = adapter.format_challenge(&spanish);
    assert!(text.contains("operador") && text.contains("42 min"), "{text}");

    let own = spanish.with_template("*{code}* for {minutes}, {command}".to_owned());
    assert_eq!(adapter.format_challenge(&own), "*K7M9-PQ2X* for 42, nexo-pair approve K7M9PQ2X");
}

#[test]
fn the_channel_id_is_valid_and_no_sender_is_a_group() {
    let adapter = WhatsappPairingAdapter::new(Arc::new(Broken));
    assert_eq!(adapter.channel_id(), "whatsapp");
    assert!(ChannelId::check(adapter.channel_id()).is_ok());
    assert_eq!(format!("{adapter:?}"), "WhatsappPairingAdapter { .. }");
    for canonical in ["+5491155556666", "lid:123456789012345"] {
        assert_eq!(adapter.normalize_sender(canonical).as_deref(), Some(canonical));
        assert!(!adapter.is_group(canonical), "{canonical}");
        assert!(!adapter.is_channel_account(canonical), "{canonical}");
    }
    for (raw, is_own) in [("0@c.us", true), ("0@s.whatsapp.net", true), ("0@lid", false)] {
        assert_eq!(adapter.is_channel_account(raw), is_own, "{raw}");
        assert_eq!(adapter.normalize_sender(raw), None);
    }
}
