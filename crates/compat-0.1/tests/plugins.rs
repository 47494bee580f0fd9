//! Plugins in other processes, over the broker of the host.

use std::time::Duration;

use nexo_broker::{AnyBroker, BrokerHandle as _, Event, Message};
use nexo_pairing::PairingChannelAdapter as _;
use nexo_pairing::generic_adapter::GenericBrokerPairingAdapter;
use nexo_pairing::plugin_admin::{
    AdminRouteRegistrationError, PluginAdminForwardError, PluginAdminRouter,
    RESERVED_ADMIN_PREFIXES, forward_request, method_to_broker_suffix,
};
use nexo_plugin_manifest::pairing::PairingAdapterSection;
use serde_json::{Value, json};

/// A plugin that answers each request on `subject` with what `answer` makes of it.
async fn plugin(broker: &AnyBroker, subject: &str, answer: fn(Value) -> Value) {
    let mut requests = broker.subscribe(subject).await.unwrap();
    let broker = broker.clone();
    tokio::spawn(async move {
        while let Some(event) = requests.next().await {
            let request: Message = serde_json::from_value(event.payload).unwrap();
            let inbox = request.reply_to.unwrap();
            let reply = Message::new(inbox.as_str(), answer(request.payload));
            let reply = serde_json::to_value(reply).unwrap();
            broker.publish(&inbox, Event::new(inbox.as_str(), "plugin", reply)).await.unwrap();
        }
    });
}

fn adapter(broker: &AnyBroker) -> GenericBrokerPairingAdapter {
    let section = PairingAdapterSection {
        channel_id: "signal".to_owned(),
        broker_topic_prefix: "plugin.signal".to_owned(),
        format_challenge_text_kind: Some("broker".to_owned()),
        normalize_cache_ttl_seconds: None,
    };
    GenericBrokerPairingAdapter::from_manifest(broker.clone(), &section)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_asks_its_plugin() {
    let broker = AnyBroker::local();
    plugin(
        &broker,
        "plugin.signal.pairing.normalize_sender",
        |request| json!({ "normalized": request["raw"].as_str().unwrap().strip_prefix("raw:") }),
    )
    .await;
    plugin(
        &broker,
        "plugin.signal.pairing.format_challenge_text",
        |request| json!({ "text": format!("*{}*", request["code"].as_str().unwrap()) }),
    )
    .await;
    plugin(&broker, "plugin.signal.pairing.send_reply", |request| {
        let expected = json!({ "account": "work", "to": "ana", "text": "hello" });
        json!({ "ok": request == expected, "error": "not as expected" })
    })
    .await;
    plugin(
        &broker,
        "plugin.signal.pairing.send_qr_image",
        |request| json!({ "ok": false, "error": request["png_base64"] }),
    )
    .await;
    let adapter = adapter(&broker);
    assert_eq!(adapter.channel_id(), "signal");
    assert_eq!(adapter.normalize_sender("raw:ana").as_deref(), Some("ana"));
    assert_eq!(adapter.normalize_sender("ana"), None);
    assert_eq!(adapter.format_challenge_text("K7M9PQ2X"), "*K7M9PQ2X*");
    adapter.send_reply("work", "ana", "hello").await.unwrap();
    assert!(adapter.send_reply("work", "ana", "bye").await.is_err());
    let error = adapter.send_qr_image("work", "ana", b"png").await.unwrap_err();
    assert_eq!(error.to_string(), "pairing.send_qr_image: cG5n");
}

#[tokio::test]
async fn a_runtime_with_one_thread_gets_no_answer_and_does_not_panic() {
    let adapter = adapter(&AnyBroker::local());
    assert_eq!(adapter.normalize_sender("raw:ana"), None);
    assert!(adapter.format_challenge_text("K7M9PQ2X").contains("K7M9PQ2X"));
}

fn router() -> PluginAdminRouter {
    let router = PluginAdminRouter::new();
    assert!(router.is_empty());
    let timeout = Some(Duration::from_millis(100));
    router.register("wa", "nexo/admin/whatsapp/", "plugin.whatsapp.admin", timeout).unwrap();
    router.register("bot", "nexo/admin/whatsapp/bot/", "plugin.whatsapp.bot", None).unwrap();
    router
}

#[test]
fn the_longest_prefix_of_a_method_counts() {
    let router = router();
    let plugin = |method| router.match_method(method).map(|info| info.plugin_id);
    assert_eq!(plugin("nexo/admin/whatsapp/bot/list").as_deref(), Some("bot"));
    assert_eq!(plugin("nexo/admin/whatsapp/session/qr").as_deref(), Some("wa"));
    assert_eq!(plugin("nexo/admin/agents/list"), None);
    router.register("bot", "nexo/admin/bots/", "plugin.whatsapp.bot", None).unwrap();
    assert_eq!(plugin("nexo/admin/whatsapp/bot/list").as_deref(), Some("wa"));
    assert!(!router.is_empty());
}

#[test]
fn the_methods_of_the_host_are_reserved() {
    let router = PluginAdminRouter::new();
    let others = ["nexo/admin/", "", "nexo/admin/agents/sneaky/"];
    for prefix in RESERVED_ADMIN_PREFIXES.iter().copied().chain(others) {
        let refused = router.register("evil", prefix, "plugin.evil", None);
        let Err(AdminRouteRegistrationError::Reserved { requested, .. }) = refused else {
            panic!("{prefix} was registered")
        };
        assert_eq!(requested, prefix);
    }
}

#[test]
fn a_method_is_a_subject_with_dots() {
    let method = "nexo/admin/whatsapp/bot/list";
    assert_eq!(method_to_broker_suffix(method, "nexo/admin/whatsapp/"), "bot.list");
    let whole = "nexo.admin.whatsapp.bot.list";
    assert_eq!(method_to_broker_suffix(method, "nexo/admin/telegram/"), whole);
}

#[tokio::test]
async fn a_method_is_passed_on_to_its_plugin() {
    let (broker, router) = (AnyBroker::local(), router());
    let call = async |method: &str| {
        let info = router.match_method("nexo/admin/whatsapp/session/qr").unwrap();
        forward_request(&broker, info, method, json!({ "a": 1 })).await
    };
    let method = "nexo/admin/whatsapp/session/qr";
    assert!(matches!(call(method).await, Err(PluginAdminForwardError::Broker(_))));
    plugin(
        &broker,
        "plugin.whatsapp.admin.session.qr",
        |request| json!({ "ok": true, "result": request }),
    )
    .await;
    plugin(&broker, "plugin.whatsapp.admin.broken", |_| json!("no reply")).await;
    let reply = call(method).await.unwrap();
    assert!(reply.ok && reply.error.is_empty());
    assert_eq!(reply.result, json!({ "method": method, "params": { "a": 1 } }));
    let broken = call("nexo/admin/whatsapp/broken").await;
    assert!(matches!(broken, Err(PluginAdminForwardError::ParseReply(_))));
    for method in ["nexo/admin/whatsapp/a b", "nexo/admin/whatsapp/*", "nexo/admin/whatsapp/a//b"] {
        let refused = call(method).await;
        assert!(matches!(refused, Err(PluginAdminForwardError::Broker(_))), "{method}");
    }
}
