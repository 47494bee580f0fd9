//! An independent client: the documentation is sufficient to work with a gate.

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Home, Output, python};
use rustix::process::Signal;

use crate::support::start;

const KNOWN: usize = 60;
const BLOCKED: usize = 20;
const SENDERS: usize = 100;
const EVENTS: usize = 10_000;
const MAX_PENDING: usize = 3;

#[test]
fn ten_thousand_events_of_a_hundred_senders_follow_the_rules_on_the_bus() {
    let server = NatsServer::start();
    let home = Home::configured("gate: { mode: pairing }");
    let sender = |number| format!("+{}", 54_911_000_000_u64 + number as u64);
    let known: Vec<String> = (0..KNOWN).map(sender).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    home.json(&[&["seed", "whatsapp", "personal"], &known[..]].concat());
    for number in KNOWN..KNOWN + BLOCKED {
        home.json(&["block", &format!("whatsapp:{}", sender(number))]);
    }
    let gate = start(&home, &server, &[]);

    let mut client = python("tests/python/bus_client.py");
    client.arg(server.url());
    client.args([KNOWN, BLOCKED, SENDERS, EVENTS, MAX_PENDING].map(|number| number.to_string()));
    let reply = Output::of(client);
    assert_eq!(
        (reply.code, reply.stdout.as_str()),
        (0, "everything is as the rules say\n"),
        "{reply:?}"
    );

    gate.signal(Signal::TERM);
    let ended = gate.wait();
    let admitted = EVENTS / SENDERS * KNOWN;
    let dropped = EVENTS - admitted - MAX_PENDING;
    let sum = format!(
        "total: {} messages taken, {admitted} admitted, {MAX_PENDING} challenged, \
         {dropped} dropped, 1 rejected",
        EVENTS + 1
    );
    assert!(ended.stderr.contains(&sum), "{sum}: {}", ended.stderr);
    assert_eq!(ended.code, 0);
}
