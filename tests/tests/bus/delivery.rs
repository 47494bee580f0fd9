//! Challenges over the bus: who gets one, what is counted, and what happens if it is not delivered.

use std::io::{Read, Write};
use std::net::TcpStream;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Gate, Home, wait_for};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Heard, connect, plugin, send_message, start};

const STRANGER: &str = "5491155550001@c.us";

/// A home whose accounts challenge strangers.
fn home() -> Home {
    Home::configured(
        "gate: { mode: pairing }\nadapters: [{ channel: signal, prefix: plugin.signal }]",
    )
}

/// The metrics of the gate, as Prometheus reads them.
pub(crate) fn metrics(gate: &Gate) -> String {
    let reply = gate.stderr();
    let (_, rest) = reply.split_once("metrics: http://").expect("the address");
    let address = rest.split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn counted(channel: &str, result: &str, count: u32) -> String {
    format!("pairing_inbound_challenged_total{{channel=\"{channel}\",result=\"{result}\"}} {count}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stranger_is_challenged_approved_and_admitted() {
    let (server, home) = (NatsServer::start(), home());
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &["--metrics-listen", "127.0.0.1:0"]);
    let bus = connect(&server).await;
    send_message(&bus, "whatsapp.personal", STRANGER, "one").await;
    send_message(&bus, "whatsapp.personal", STRANGER, "two").await;

    let [(subject, event)] = &outbound.wait_for_json(1)[..] else { panic!("one challenge") };
    assert_eq!(
        (subject.as_str(), &event["topic"]),
        ("plugin.outbound.whatsapp.personal", &json!(subject))
    );
    assert_eq!((&event["source"], &event["session_id"]), (&json!("core.pairing"), &json!(null)));
    assert_eq!(event["payload"]["to"], "+5491155550001");
    let pending = &home.json(&["list"])["pending"];
    let code = pending[0]["code"].as_str().unwrap();
    let (head, tail) = code.split_at(4);
    assert!(event["payload"]["text"].as_str().unwrap().contains(&format!("{head}-{tail}")));
    assert!(!gate.stderr().contains(code) && !gate.stderr().contains(&format!("{head}-{tail}")));

    home.json(&["approve", code]);
    // The gate sees it within 50 ms.
    wait_for("the first message that is let in", || {
        futures(send_message(&bus, "whatsapp.personal", STRANGER, "three"));
        (admitted.count() > 0).then_some(())
    });
    assert_eq!(admitted.wait_for_texts(1)[0], "three");
    assert_eq!(outbound.count(), 1);
    let reply = metrics(&gate);
    assert!(reply.contains(&counted("whatsapp", "delivered_via_adapter", 1)), "{reply}");
}

/// Waits for a future within a synchronous function.
fn futures(future: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_undelivered_challenge_starts_no_cooldown() {
    let (server, home) = (NatsServer::start(), home());
    let gate = start(&home, &server, &["--metrics-listen", "127.0.0.1:0"]);
    let bus = connect(&server).await;
    // No plugin listens.
    send_message(&bus, "whatsapp.personal", STRANGER, "one").await;
    gate.wait_for_stderr("no code was sent on whatsapp/personal", 1);
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    // Ten seconds later, according to the database.
    home.sqlite("UPDATE pairing_pending SET last_challenged_at = last_challenged_at - 10");
    wait_for("another challenge", || {
        futures(send_message(&bus, "whatsapp.personal", STRANGER, "two"));
        (outbound.count() > 0).then_some(())
    });
    assert_eq!(home.json(&["list"])["pending"].as_array().unwrap().len(), 1);
    // It is counted once the server confirms the delivery, which comes later.
    for result in ["publish_failed", "delivered_via_adapter"] {
        let line = counted("whatsapp", result, 1);
        wait_for(&line, || metrics(&gate).contains(&line).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plugin_sends_the_challenges_of_its_channel() {
    let (server, home) = (NatsServer::start(), home());
    let signal = plugin(&server, "plugin.signal", Some(std::time::Duration::ZERO)).await;
    let gate = start(&home, &server, &["--metrics-listen", "127.0.0.1:0"]);
    let bus = connect(&server).await;
    for _ in 0..3 {
        send_message(&bus, "signal.main", "ana", "hello").await;
    }
    send_message(&bus, "signal.main", "nobody", "hello").await;
    wait_for("the challenge", || {
        let reply = metrics(&gate);
        reply.contains(&counted("signal", "delivered_via_broker", 1)).then_some(())
    });
    let pending = &home.json(&["list"])["pending"];
    assert_eq!(pending[0]["sender_id"], "id-ana");
    gate.signal(Signal::TERM);
    let ended = gate.wait();
    assert!(ended.stderr.contains("0 admitted, 1 challenged, 3 dropped, 0 rejected"), "{ended:?}");
    assert!(signal.asked() >= 3, "the id of ana, her challenge, and the id of nobody");
}

#[test]
fn commands_ask_the_plugin_for_its_sender_ids() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = NatsServer::start();
    let home = home();
    // Without a configured bus, ids are used as they are, if the operator says so.
    assert_eq!(home.error(&["seed", "signal", "main", "ana"]).1["kind"], "no_adapter");
    home.configure(&format!(
        "gate: {{ mode: pairing }}\nnats: {{ servers: ['{}'] }}\n\
         adapters: [{{ channel: signal, prefix: plugin.signal }}]",
        server.url()
    ));
    let (code, error) = home.error(&["seed", "signal", "main", "ana"]);
    assert_eq!((code, &error["kind"]), (3, &json!("plugin")), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--raw"), "{error}");
    assert_eq!(home.json(&["seed", "signal", "main", "ana", "--raw"])["inserted"], 1);

    let takes = Some(std::time::Duration::ZERO);
    let _signal = runtime.block_on(plugin(&server, "plugin.signal", takes));
    assert_eq!(home.json(&["seed", "signal", "main", "bob"])["inserted"], 1);
    let explained = home.json(&["explain", "signal", "main", "bob"]);
    assert_eq!(explained["sender_id"], "id-bob");
    assert_eq!(home.error(&["seed", "signal", "main", "nobody"]).1["kind"], "sender_refused");
    let revoked = home.json(&["revoke", "signal:bob"]);
    assert_eq!(revoked["revoked"][0]["sender_id"], "id-bob");
    // A stored id matches itself, whatever the plugin makes of it.
    assert_eq!(home.json(&["revoke", "signal:ana"])["revoked"][0]["sender_id"], "ana");
}

#[test]
fn a_channel_that_is_served_here_is_not_served_elsewhere() {
    let server = NatsServer::start();
    let home = Home::configured(
        "gate: { mode: open }\nadapters: [{ channel: telegram, prefix: plugin.telegram }]",
    );
    let (code, error) = home.error(&["gate", "--nats", &server.url()]);
    assert_eq!((code, &error["kind"]), (2, &json!("usage")), "{error}");
}

#[test]
fn without_a_server_it_fails_at_once() {
    let home = Home::new();
    let (code, error) = home.error(&["gate", "--open", "--nats"]);
    assert_eq!((code, &error["kind"]), (2, &json!("no_bus")), "{error}");
    let (code, error) = home.error(&["gate", "--open", "--nats", "nats://127.0.0.1:1"]);
    assert_eq!((code, &error["kind"]), (3, &json!("bus")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("127.0.0.1:1"), "{error}");
    let (code, error) = home.error(&["gate", "--open", "--nats", "nats://a:s3cret@127.0.0.1:1"]);
    assert_eq!(code, 2, "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let args = ["gate", "--open", "--nats", "nats://127.0.0.1:1", "--subject", ">"];
    assert_eq!(home.error(&args).0, 2);
}
