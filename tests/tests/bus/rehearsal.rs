//! A dry run on a bus: it listens beside the gates, takes no message from them, and publishes nothing.

use std::time::Duration;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Gate, Home};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Heard, connect, plugin, send_message, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dry_run_consumes_and_publishes_nothing() {
    let server = NatsServer::start();
    let home = Home::configured("adapters: [{ channel: signal, prefix: plugin.signal }]");
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    let signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    let real = start(&home, &server, &["--open"]);
    let args = ["gate", "--nats", &server.url(), "--dry-run", "--auto-challenge"];
    let rehearsal = Gate::start(home.command(&args));
    rehearsal.wait_for_stderr("listening to plugin.inbound.>; nothing is published", 1);
    assert!(rehearsal.stderr().contains("dry run: deciding on a copy of"));

    let bus = connect(&server).await;
    for number in 0..20 {
        send_message(&bus, "whatsapp.personal", "5491155550001@c.us", &number.to_string()).await;
    }
    send_message(&bus, "signal.main", "ana", "hello").await;
    crate::support::publish(&bus, "plugin.inbound.whatsapp", &json!("nonsense")).await;

    assert_eq!(admitted.wait_for(21).len(), 21, "the gate has them all");
    let reply: Vec<_> = (0..22).map(|_| rehearsal.read()).collect();
    let wrong =
        reply.iter().find_map(|line| line.get("error")).expect("the invalid event is reported");
    assert_eq!(wrong["reason"], "invalid_field", "{wrong}");
    let signal_told = json!({
        "decision": "challenge", "channel": "signal", "account": "main", "sender": "id-ana",
    });
    assert!(reply.contains(&signal_told), "{reply:?}");
    let whatsapp: Vec<_> = reply.iter().filter(|line| line["channel"] == "whatsapp").collect();
    let challenged = |line: &&&serde_json::Value| line["decision"] == "challenge";
    assert_eq!((whatsapp.len(), whatsapp.iter().filter(challenged).count()), (20, 1));

    rehearsal.signal(Signal::TERM);
    assert_eq!(rehearsal.wait().code, 0);
    drop(real);
    assert_eq!((outbound.count(), admitted.count()), (0, 21));
    // Both asked the plugin for the id; no challenge was sent.
    assert_eq!(signal.asked(), 2);
    assert_eq!(home.json(&["list"])["pending"], json!([]));
}
