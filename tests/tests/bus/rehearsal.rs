//! A dry run on a bus: it listens beside the gates, takes nothing from them, and says nothing to anybody.

use std::time::Duration;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Gate, Home};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Heard, connect, plugin, say, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dry_run_takes_nothing_away_and_publishes_nothing() {
    let server = NatsServer::start();
    let home = Home::configured("adapters: [{ channel: signal, prefix: plugin.signal }]");
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    let signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    let real = start(&home, &server, &["--open"]);
    let args = ["gate", "--nats", &server.url(), "--dry-run", "--auto-challenge"];
    let rehearsal = Gate::start(home.command(&args));
    rehearsal.wait_until_it_says("it listens to plugin.inbound.> and publishes nothing", 1);
    assert!(rehearsal.remarks().contains("dry run: it decides on a copy of"));

    let bus = connect(&server).await;
    for number in 0..20 {
        say(&bus, "whatsapp.personal", "5491155550001@c.us", &number.to_string()).await;
    }
    say(&bus, "signal.main", "ana", "hello").await;
    crate::support::publish(&bus, "plugin.inbound.whatsapp", &json!("nonsense")).await;

    assert_eq!(admitted.wait_for(21).len(), 21, "the gate has them all");
    let told: Vec<_> = (0..22).map(|_| rehearsal.read()).collect();
    let wrong = told.iter().find_map(|line| line.get("error")).expect("what was no event is told");
    assert_eq!(wrong["reason"], "invalid_field", "{wrong}");
    let signal_told = json!({
        "decision": "challenge", "channel": "signal", "account": "main", "sender": "id-ana",
    });
    assert!(told.contains(&signal_told), "{told:?}");
    let whatsapp: Vec<_> = told.iter().filter(|line| line["channel"] == "whatsapp").collect();
    let challenged = |line: &&&serde_json::Value| line["decision"] == "challenge";
    assert_eq!((whatsapp.len(), whatsapp.iter().filter(challenged).count()), (20, 1));

    rehearsal.signal(Signal::TERM);
    assert_eq!(rehearsal.ended().code, 0);
    drop(real);
    assert_eq!((outbound.count(), admitted.count()), (0, 21));
    // Who she is, asked by both; nobody was told anything.
    assert_eq!(signal.asked(), 2);
    assert_eq!(home.json(&["list"])["pending"], json!([]));
}
