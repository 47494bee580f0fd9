//! A known sender on a plugin's channel, in a crowd of strangers that the plugin has to resolve.

use std::time::Duration;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Gate, Home};
use serde_json::{Value, json};

use crate::support::{Heard, connect, plugin, plugin_of, send_message, start};

/// How many messages the known sender writes.
const FRIENDS_MESSAGES: usize = 20;

/// A home with a known sender, and a plugin whose answers are cached for a second.
fn home() -> Home {
    let home = Home::configured(
        "gate: { mode: pairing }\nadapters: [{ channel: signal, prefix: plugin.signal, cache_ttl_secs: 1 }]",
    );
    home.json(&["seed", "signal", "main", "id-friend", "--raw"]);
    home
}

/// Waits until the cached answer on the known sender has expired.
async fn forget() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_known_sender_is_decided_before_earlier_strangers() {
    let (server, home) = (NatsServer::start(), home());
    // It does not answer about strangers: they are dropped after a time-out of 2 s.
    let takes = |raw: &str| (raw == "friend").then_some(Duration::ZERO);
    let _plugin = plugin_of(&server, "plugin.signal", takes).await;
    // Decisions are printed in the order in which they are made.
    let gate = home.gate(&["--nats", &server.url(), "--dry-run"]);
    gate.wait_for_stderr("listening to ", 1);
    let bus = connect(&server).await;
    send_message(&bus, "signal.main", "friend", "hello").await;
    assert_eq!(decision(&gate), json!(["friend", "admit"]));
    forget().await;
    for number in 0..300 {
        send_message(&bus, "signal.main", &format!("stranger-{number}"), "hello").await;
    }
    for number in 0..FRIENDS_MESSAGES {
        send_message(&bus, "signal.main", "friend", &number.to_string()).await;
    }
    for number in 0..FRIENDS_MESSAGES {
        assert_eq!(decision(&gate), json!(["friend", "admit"]), "message {number}");
    }
    assert_eq!(decision(&gate)[0], "stranger");
}

/// The sender of a decision, and the decision.
fn decision(gate: &Gate) -> Value {
    let answer = gate.read();
    let sender = answer["sender"].as_str().unwrap_or_default();
    let sender = sender.trim_start_matches("id-").split('-').next();
    json!([sender, answer["decision"]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_known_sender_loses_no_message_to_300_strangers_a_second() {
    let (server, home) = (NatsServer::start(), home());
    let _plugin = plugin(&server, "plugin.signal", Some(Duration::from_millis(300))).await;
    let admitted = Heard::on(&server, "pairing.admitted.signal.main").await;
    let rejected = Heard::on(&server, "pairing.rejected").await;
    let _gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    send_message(&bus, "signal.main", "friend", "hello").await;
    admitted.wait_for(1);
    forget().await;

    // A hundred strangers precede every message of the known sender, until far more wait than fit.
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut strangers = 0;
    for number in 0..FRIENDS_MESSAGES {
        if number % 3 == 0 {
            second.tick().await;
        }
        for _ in 0..100 {
            send_message(&bus, "signal.main", &format!("stranger-{strangers}"), "hello").await;
            strangers += 1;
        }
        send_message(&bus, "signal.main", "friend", &number.to_string()).await;
    }
    let mut texts = admitted.wait_for_texts(1 + FRIENDS_MESSAGES);
    assert_eq!(texts.remove(0), "hello");
    assert!(texts.into_iter().eq((0..FRIENDS_MESSAGES).map(|number| number.to_string())));
    // The crowd was large enough: the queue was full.
    assert_eq!(rejected.wait_for_json(1)[0].1["reason"], "overloaded");
}
