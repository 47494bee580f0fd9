//! What callers of 0.1 see of the gate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing::{
    Decision, PairingChannelAdapter, PairingGate, PairingPolicy, PairingStore, code,
};

const CHALLENGE: PairingPolicy = PairingPolicy { auto_challenge: true };

async fn gate() -> (Arc<PairingStore>, PairingGate) {
    let store = Arc::new(PairingStore::open_memory().await.unwrap());
    (Arc::clone(&store), PairingGate::new(store))
}

async fn decide(gate: &PairingGate, account: &str, sender: &str) -> Decision {
    gate.should_admit("whatsapp", account, sender, &CHALLENGE, None).await.unwrap()
}

fn code_of(decision: Decision) -> String {
    let Decision::Challenge { code } = decision else { panic!("{decision:?}") };
    code
}

#[tokio::test]
async fn everybody_is_admitted_without_auto_challenge() {
    let (_, gate) = gate().await;
    for account in ["personal", "no such > account"] {
        let open = PairingPolicy::default();
        let decision = gate.should_admit("whatsapp", account, "+57", &open, None).await.unwrap();
        assert_eq!(decision, Decision::Admit, "{account}");
    }
}

#[tokio::test]
async fn a_stranger_is_sent_the_same_code_until_they_are_approved() {
    let (store, gate) = gate().await;
    let gate = gate.with_cache_ttl(Duration::from_secs(3600));
    let first = decide(&gate, "personal", "+57").await;
    assert_eq!(decide(&gate, "personal", "+57").await, first);
    let code = code_of(first);
    assert_eq!(code.len(), code::LENGTH);
    store.approve(&code).await.unwrap();
    assert_eq!(decide(&gate, "personal", "+57").await, Decision::Admit);
}

#[tokio::test]
async fn a_revocation_is_seen_at_once() {
    let (store, gate) = gate().await;
    store.seed("whatsapp", "personal", &["+57".to_owned()]).await.unwrap();
    assert_eq!(decide(&gate, "personal", "+57").await, Decision::Admit);
    assert!(store.revoke("whatsapp", "+57").await.unwrap());
    assert!(matches!(decide(&gate, "personal", "+57").await, Decision::Challenge { .. }));
}

#[tokio::test]
async fn a_fourth_stranger_is_dropped() {
    let (_, gate) = gate().await;
    for sender in ["+571", "+572", "+573"] {
        code_of(decide(&gate, "personal", sender).await);
    }
    assert_eq!(decide(&gate, "personal", "+574").await, Decision::Drop);
}

#[tokio::test]
async fn no_id_is_an_error() {
    let (_, gate) = gate().await;
    for (channel, account, sender) in
        [("No Channel", "a", "+57"), ("whatsapp", "a>b", "+57"), ("whatsapp", "a", "")]
    {
        let decision = gate.should_admit(channel, account, sender, &CHALLENGE, None).await.unwrap();
        assert_eq!(decision, Decision::Drop, "{channel} {account} {sender}");
    }
    assert_eq!(decide(&gate, "a", &"x".repeat(100_000)).await, Decision::Drop);
}

/// Accepts what ends in `@c.us`.
struct Adapter;

#[async_trait]
impl PairingChannelAdapter for Adapter {
    fn channel_id(&self) -> &'static str {
        "whatsapp"
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        raw.strip_suffix("@c.us").map(|number| format!("+{number}"))
    }

    async fn send_reply(&self, _: &str, _: &str, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_sender_has_the_id_of_the_adapter_or_else_the_raw_one() {
    let (store, gate) = gate().await;
    store.seed("whatsapp", "a", &["+57".to_owned(), "raw".to_owned()]).await.unwrap();
    for (raw, is_admitted) in [("57@c.us", true), ("raw", true), ("58@c.us", false)] {
        let decided = gate.should_admit("whatsapp", "a", raw, &CHALLENGE, Some(&Adapter)).await;
        assert_eq!(decided.unwrap() == Decision::Admit, is_admitted, "{raw}");
    }
}

#[tokio::test]
async fn an_adapter_has_a_text_and_sends_no_images_by_default() {
    assert!(Adapter.format_challenge_text("K7M9PQ2X").ends_with("nexo pair approve K7M9PQ2X"));
    let error = Adapter.send_qr_image("a", "+57", b"png").await.unwrap_err();
    assert!(error.to_string().contains("not supported"), "{error}");
}
