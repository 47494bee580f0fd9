//! Messages of adapters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nexo_pairing_core::{Outbound, PairingError};
use nexo_pairing_nats::{Bus, BusState, NatsError, NatsOutbound};
use nexo_pairing_nats_server::NatsServer;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::support::{LIMIT, bus, listener, next_json, options, wait_for, within};

const TOPIC: &str = "plugin.outbound.whatsapp.personal";

/// The bus's own reason in a failed delivery.
fn reason(result: Result<(), PairingError>) -> NatsError {
    match result {
        Err(PairingError::Delivery(cause)) => *cause.downcast().expect("the bus's error"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_payload_travels_in_nexos_envelope() {
    let server = NatsServer::start();
    let mut messages = listener(&server, "plugin.outbound.>").await;
    let before = OffsetDateTime::now_utc();
    let payload = json!({"kind": "text", "to": "+5491155556666", "text": "K7M9-PQ2X"});
    NatsOutbound::new(bus(&server).await).publish(TOPIC, payload.clone()).await.unwrap();

    let Value::Object(mut event) = next_json(&mut messages).await else { panic!("no object") };
    let id = event.remove("id").unwrap();
    assert_eq!(Uuid::try_parse(id.as_str().unwrap()).unwrap().get_version_num(), 4);
    let timestamp = event.remove("timestamp").unwrap();
    let timestamp = OffsetDateTime::parse(timestamp.as_str().unwrap(), &Rfc3339).unwrap();
    assert!((before..=OffsetDateTime::now_utc()).contains(&timestamp), "{timestamp}");
    let rest = json!({
        "topic": TOPIC, "source": "core.pairing", "session_id": null, "payload": payload,
    });
    assert_eq!(Value::Object(event), rest);
}

#[tokio::test]
async fn a_message_without_a_listener_is_a_failure() {
    let server = NatsServer::start();
    let outbound = NatsOutbound::new(bus(&server).await);
    let error = reason(outbound.publish(TOPIC, json!({})).await);
    assert!(matches!(&error, NatsError::NoListener(topic) if topic == TOPIC), "{error:?}");

    let mut messages = listener(&server, TOPIC).await;
    outbound.publish(TOPIC, json!({"number": 2})).await.unwrap();
    assert_eq!(next_json(&mut messages).await["payload"], json!({"number": 2}));
}

#[tokio::test]
async fn a_message_that_failed_while_disconnected_does_not_arrive_later() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let outbound = NatsOutbound::new(bus.clone());
    let mut messages = listener(&server, TOPIC).await;
    server.kill();
    wait_for(&bus, BusState::Disconnected).await;
    for number in 0..100 {
        let error = reason(outbound.publish(TOPIC, json!({"lost": number})).await);
        assert!(matches!(error, NatsError::Disconnected), "{error:?}");
    }
    server.start_again();
    wait_for(&bus, BusState::Connected).await;
    // The listener has to reconnect, too.
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = outbound.publish(TOPIC, json!({"arrives": true})).await {
        assert!(Instant::now() < deadline, "{error:?}");
    }
    assert_eq!(next_json(&mut messages).await["payload"], json!({"arrives": true}));
}

#[tokio::test]
async fn a_server_that_dies_during_delivery_fails_it_at_once() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let outbound = NatsOutbound::new(bus);
    server.freeze();
    let started = Instant::now();
    let delivery = tokio::spawn(async move { outbound.publish(TOPIC, json!({})).await });
    tokio::task::yield_now().await;
    server.kill();
    let error = reason(within(delivery).await.unwrap());
    assert!(matches!(error, NatsError::Unconfirmed(_) | NatsError::Disconnected), "{error:?}");
    // The server would have had 5 s to confirm.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_long() {
    let server = NatsServer::start();
    let mut options = options(&server);
    options.confirm_timeout = Duration::from_millis(300);
    let outbound = NatsOutbound::new(Bus::connect(options).await.unwrap());
    server.freeze();
    let started = Instant::now();
    let error = reason(outbound.publish(TOPIC, json!({})).await);
    assert!(matches!(error, NatsError::Unconfirmed(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    server.thaw();
}

#[tokio::test]
async fn an_invalid_topic_is_refused() {
    let server = NatsServer::start();
    let outbound = NatsOutbound::new(bus(&server).await);
    let mut everything = listener(&server, ">").await;
    for account in
        ["*", ">", "a.>", "", ".", "a b", "a\t", "a\r\nPUB plugin.evil 0\r\n\r\n", "\u{7f}"]
    {
        let topic = format!("plugin.outbound.whatsapp.{account}");
        let error = reason(outbound.publish(&topic, json!({})).await);
        assert!(matches!(error, NatsError::Subject { .. }), "{topic:?}: {error:?}");
    }
    outbound.publish(TOPIC, json!({})).await.unwrap();
    let mut subjects = Vec::new();
    while subjects.last().is_none_or(|last| last != TOPIC) {
        let message = within(everything.next()).await.unwrap();
        // A listener to everything gets our own echo.
        if !message.subject.starts_with("_INBOX.") {
            subjects.push(message.subject.to_string());
        }
    }
    assert_eq!(subjects, [TOPIC]);
}

#[tokio::test]
async fn a_message_that_the_server_does_not_accept_is_a_failure() {
    let server = NatsServer::with(|_| "max_payload: 4096".to_owned());
    let outbound = NatsOutbound::new(bus(&server).await);
    let _listener = listener(&server, TOPIC).await;
    let error = reason(outbound.publish(TOPIC, json!({"text": "x".repeat(5000)})).await);
    assert!(matches!(error, NatsError::TooLong { bytes: 5000.., max: 4096 }), "{error:?}");
    outbound.publish(TOPIC, json!({"text": "x".repeat(3000)})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_at_once_wait_and_all_arrive() {
    let server = NatsServer::start();
    let outbound = Arc::new(NatsOutbound::new(bus(&server).await).with_max_in_flight(2));
    let mut messages = listener(&server, "plugin.outbound.>").await;
    let deliveries: Vec<_> = (0..200)
        .map(|number| {
            let outbound = Arc::clone(&outbound);
            tokio::spawn(async move { outbound.publish(TOPIC, json!(number)).await })
        })
        .collect();
    for delivery in deliveries {
        within(delivery).await.unwrap().unwrap();
    }
    let mut arrived = Vec::new();
    for _ in 0..200 {
        arrived.push(next_json(&mut messages).await["payload"].as_u64().unwrap());
    }
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..200));
}
