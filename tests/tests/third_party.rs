//! Third-party adapters, with the real gate and the real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nexo_pairing::{
    Actor, Decision, DropReason, Grant, Inbound, Language, Mode, Outbound, PairingAdapterRegistry,
    PairingChannelAdapter, PairingError, PairingGate, PairingPolicy, PairingStore, Screened,
};
use nexo_pairing_adapter_example::IrcPairingAdapter;
use nexo_pairing_tests::Home;
use serde_json::{Value, json};

/// Keeps the published messages.
#[derive(Default)]
struct Published(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Outbound for Published {
    async fn publish(&self, topic: &str, payload: Value) -> Result<(), PairingError> {
        self.0.lock().unwrap().push((topic.to_owned(), payload));
        Ok(())
    }
}

/// A gate with one adapter before a store in a real file.
struct Bot {
    gate: PairingGate,
    store: PairingStore,
    registry: PairingAdapterRegistry,
    policy: PairingPolicy,
    _home: Home,
}

impl Bot {
    async fn new(adapter: Arc<dyn PairingChannelAdapter>) -> Self {
        let home = Home::new();
        let store = PairingStore::open(home.database()).await.unwrap();
        let registry = PairingAdapterRegistry::new();
        registry.register(adapter);
        let policy = PairingPolicy::new(Mode::Pairing).with_language(Language::Pt);
        Self { gate: PairingGate::new(store.clone()), store, registry, policy, _home: home }
    }

    async fn screen(&self, inbound: Inbound) -> Screened {
        self.gate.screen(&inbound, &self.policy, &self.registry).await.unwrap()
    }

    async fn decide(&self, channel: &str, from: &str) -> Decision {
        self.screen(Inbound::direct(channel, "libera", from)).await.decision
    }

    async fn approve(&self, code: &str) {
        self.store.approve(code, &Actor::cli(), Grant::unlimited()).await.unwrap();
    }
}

#[tokio::test]
async fn an_adapter_for_a_new_channel_challenges_and_admits() {
    let published = Arc::new(Published::default());
    let bot = Bot::new(Arc::new(IrcPairingAdapter::new(published.clone()))).await;

    let Decision::Challenge { code } = bot.decide("irc", "$a:Ana[m]").await else {
        panic!("a stranger is challenged");
    };
    let text = format!(
        "O seu código de pareamento é \u{2}{code}\u{2}. Informe-o ao operador deste bot. \
         É válido por \u{2}60\u{2} min."
    );
    let payload = json!({"kind": "privmsg", "to": "$a:ana{m}", "text": text});
    let expected = [("plugin.outbound.irc.libera".to_owned(), payload)];
    assert_eq!(published.0.lock().unwrap()[..], expected);

    let again = bot.decide("irc", "$a:ANA{M}").await;
    assert_eq!(again, Decision::Drop(DropReason::AlreadyChallenged));

    bot.approve(&code.to_string().to_lowercase()).await;
    for from in ["$a:Ana[m]", "$a:ana{m}", "$a:ANA[M]"] {
        assert_eq!(bot.decide("irc", from).await, Decision::Admit, "{from}");
    }
    // A nick is not a pairable id, and a channel is not challenged.
    let nick = bot.decide("irc", "Ana[m]!ana@host").await;
    assert_eq!(nick, Decision::Drop(DropReason::NotPairable));
    let channel = bot.decide("irc", "#nexo").await;
    assert_eq!(channel, Decision::Drop(DropReason::NotDirect));
    let in_channel = Inbound::direct("irc", "libera", "$a:eva").with_is_group(true);
    assert_eq!(bot.screen(in_channel).await.decision, Decision::Drop(DropReason::NotDirect));
    assert_eq!(published.0.lock().unwrap().len(), 1);
}

/// The adapter of `nexo-pairing-0.1.8/tests/registry.rs` unchanged, except for the type of the
/// error, which was `anyhow::Result<()>`.
struct MockAdapter {
    id: &'static str,
    tag: &'static str,
}

#[async_trait]
impl PairingChannelAdapter for MockAdapter {
    fn channel_id(&self) -> &'static str {
        self.id
    }
    fn normalize_sender(&self, raw: &str) -> Option<String> {
        Some(raw.to_string())
    }
    async fn send_reply(&self, _account: &str, _to: &str, _text: &str) -> Result<(), PairingError> {
        Ok(())
    }
}

impl MockAdapter {
    fn tag(&self) -> &'static str {
        self.tag
    }
}

#[test]
fn an_adapter_of_0_1_8_can_be_registered_unchanged() {
    let reg = PairingAdapterRegistry::new();
    let a = Arc::new(MockAdapter { id: "wa", tag: "first" });
    assert_eq!(a.tag(), "first");
    reg.register(a);
    let got = reg.get("wa").expect("adapter present");
    assert_eq!(got.channel_id(), "wa");
    assert!(reg.get("telegram").is_none());
}

/// An adapter as 0.1.8 documents it, with every method overridden; only the type of the error was
/// changed, in two places.
struct OldAdapter {
    sent: Mutex<Vec<(String, String, String)>>,
}

#[async_trait]
impl PairingChannelAdapter for OldAdapter {
    fn channel_id(&self) -> &'static str {
        "matrix"
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        let raw = raw.trim();
        raw.starts_with('@').then(|| raw.to_lowercase())
    }

    fn format_challenge_text(&self, code: &str) -> String {
        format!("🔐 Pairing required.\nAsk the operator to run:\n  nexo pair approve {code}")
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        self.sent.lock().unwrap().push((account.into(), to.into(), text.into()));
        Ok(())
    }

    async fn send_qr_image(
        &self,
        _account: &str,
        _to: &str,
        _png: &[u8],
    ) -> Result<(), PairingError> {
        Ok(())
    }
}

#[tokio::test]
async fn an_adapter_of_0_1_8_needs_only_its_error_type_changed() {
    let adapter = Arc::new(OldAdapter { sent: Mutex::default() });
    let bot = Bot::new(adapter.clone()).await;
    let Decision::Challenge { code } = bot.decide("matrix", "@Ana:example.org").await else {
        panic!("a stranger is challenged");
    };
    let text =
        format!("🔐 Pairing required.\nAsk the operator to run:\n  nexo pair approve {code}");
    let expected = [("libera".to_owned(), "@ana:example.org".to_owned(), text)];
    assert_eq!(adapter.sent.lock().unwrap()[..], expected);
    bot.approve(code.as_str()).await;
    assert_eq!(bot.decide("matrix", " @ana:EXAMPLE.org").await, Decision::Admit);
    assert!(adapter.send_qr_image("libera", "@ana:example.org", b"").await.is_ok());
}
