//! How a gate on a bus ends, and how it keeps the order of messages that have to wait.

use std::time::{Duration, Instant};

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Home, wait_for};
use rustix::process::Signal;

use crate::support::{Heard, connect, plugin, send_message, start};

fn home() -> Home {
    Home::configured("gate: { mode: open }\nadapters: [{ channel: signal, prefix: plugin.signal }]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shutdown_finishes_received_messages() {
    let (server, home) = (NatsServer::start(), home());
    let slow = plugin(&server, "plugin.signal", Some(Duration::from_millis(300))).await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    for number in 0..100 {
        send_message(&bus, "signal.main", &format!("sender-{}", number % 40), &number.to_string())
            .await;
    }
    bus.flush().await.unwrap();
    wait_for("the first question", || (slow.asked() > 0).then_some(()));
    gate.signal(Signal::TERM);
    let ended = gate.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("100 messages taken, 100 admitted, "), "{}", ended.stderr);
    let mut texts = admitted.wait_for_texts(100);
    texts.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert!(texts.into_iter().eq((0..100).map(|number| number.to_string())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_signal_ends_it_at_once() {
    let (server, home) = (NatsServer::start(), home());
    let dead = plugin(&server, "plugin.signal", None).await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    for number in 0..100 {
        send_message(&bus, "signal.main", &number.to_string(), "hello").await;
    }
    wait_for("the first question", || (dead.asked() > 0).then_some(()));
    gate.signal(Signal::TERM);
    gate.signal(Signal::INT);
    let since = Instant::now();
    let ended = gate.wait();
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("messages were not finished"), "{}", ended.stderr);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_senders_messages_keep_their_order_while_the_sender_is_resolved() {
    let (server, home) = (NatsServer::start(), home());
    let _slow = plugin(&server, "plugin.signal", Some(Duration::from_millis(20))).await;
    let admitted = Heard::on(&server, "pairing.admitted.signal.main").await;
    let _gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    let (senders, each) = (50, 10);
    // The first ones have to be resolved by the plugin, the last ones are cached.
    for number in 0..each {
        for sender in 0..senders {
            send_message(&bus, "signal.main", &format!("{sender}"), &format!("{sender} {number}"))
                .await;
        }
    }
    let texts = admitted.wait_for_texts(senders * each);
    assert_eq!(texts.len(), senders * each);
    for sender in 0..senders {
        let own = texts.iter().filter_map(|text| text.strip_prefix(&format!("{sender} ")));
        assert!(own.eq((0..each).map(|number| number.to_string())), "{sender}: {texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_plugin_delays_only_its_own_channel_and_only_within_bounds() {
    let (server, home) = (NatsServer::start(), home());
    let dead = plugin(&server, "plugin.signal", None).await;
    let rejected = Heard::on(&server, "pairing.rejected").await;
    let admitted = Heard::on(&server, "pairing.admitted.whatsapp.>").await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    // Far more than fit into a channel's queue.
    for number in 0..3000 {
        send_message(&bus, "signal.main", &format!("sender-{number}"), "hello").await;
    }
    let since = Instant::now();
    for number in 0..1000 {
        send_message(&bus, "whatsapp.personal", "5491155556666@c.us", &number.to_string()).await;
    }
    let texts = admitted.wait_for_texts(1000);
    assert!(texts.into_iter().eq((0..1000).map(|number| number.to_string())));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    let reply = rejected.wait_for_json(1);
    assert_eq!(reply[0].1["reason"], "overloaded");
    assert!(gate.stderr().contains("too many messages are waiting"), "{}", gate.stderr());
    assert!(dead.asked() < 200, "a plugin that is dead is left alone: {}", dead.asked());
}
