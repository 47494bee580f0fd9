//! The example of a plugin in another language, with a gate before it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{DEADLINE, Home, python, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Heard, connect, event, publish, send_message, start};

const BUILT_IN: [(&str, &str); 2] =
    [("whatsapp.personal", "5491155556666@c.us"), ("telegram.bot", "123456789")];

/// `docs/examples/pigeon_plugin.py`, running.
struct Pigeons {
    process: Child,
    said: Receiver<Value>,
}

impl Pigeons {
    fn start(server: &NatsServer, shape: &str) -> Self {
        let mut command = python("docs/examples/pigeon_plugin.py");
        command.arg(server.url()).args(["--shape", shape]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let (sender, said) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test has ended, and receives no more.
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let plugin = Self { process, said };
        assert_eq!(plugin.receive(), json!({"ready": "plugin.pigeon"}));
        plugin
    }

    /// A pigeon arrives.
    fn arrives(&mut self, sender: &str, text: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{sender} {text}").unwrap();
    }

    /// The next message that it sends.
    fn receive(&self) -> Value {
        self.said.recv_timeout(DEADLINE).expect("it says something")
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Pigeons {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A gate, and the messages that it admits.
fn home() -> Home {
    let home = Home::configured(
        "gate: { mode: pairing }\nadapters: [{ channel: pigeon, prefix: plugin.pigeon, cache_ttl_secs: 1 }]",
    );
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    home.json(&["seed", "telegram", "bot", "123456789"]);
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn its_senders_are_challenged_approved_and_admitted_in_events() {
    served("event").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn its_senders_are_challenged_approved_and_admitted_by_plain_requests() {
    served("plain").await;
}

async fn served(shape: &str) {
    let (server, home) = (NatsServer::start(), home());
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);
    let mut pigeons = Pigeons::start(&server, shape);
    pigeons.arrives("Pigeon#007", "let me in");
    let reply = pigeons.receive();
    assert_eq!(reply["to"], "7");
    let waiting = &home.json(&["list"])["pending"][0];
    assert_eq!((&waiting["channel"], &waiting["sender_id"]), (&json!("pigeon"), &json!("7")));
    let code = waiting["code"].as_str().unwrap();
    let (head, tail) = code.split_at(4);
    assert!(reply["text"].as_str().unwrap().contains(&format!("{head}-{tail}")), "{reply}");

    home.json(&["approve", code]);
    wait_for("the first message that is let in", || {
        pigeons.arrives("pigeon#7", "it is me");
        (admitted.count() > 0).then_some(())
    });
    let (subject, event) = admitted.wait_for_json(1).remove(0);
    assert_eq!(subject, "pairing.admitted.pigeon.loft");
    assert_eq!(
        (&event["payload"]["text"], &event["source"]),
        (&json!("it is me"), &json!("plugin.pigeon"))
    );
    // A name without a number is not a valid sender.
    pigeons.arrives("hawk", "let me in");
    gate.signal(Signal::TERM);
    assert_eq!(gate.wait().code, 0);
    assert!(pigeons.said.try_recv().is_err(), "one challenge only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plugin_that_dies_affects_only_its_own_channel_and_recovers() {
    let (server, home) = (NatsServer::start(), home());
    home.json(&["seed", "pigeon", "loft", "7", "--raw"]);
    let of_pigeons = Heard::on(&server, "pairing.admitted.pigeon.loft").await;
    let of_others = Heard::on(&server, "pairing.admitted.*.*").await;
    let gate = start(&home, &server, &["--metrics-listen", "127.0.0.1:0"]);
    let mut pigeons = Pigeons::start(&server, "event");
    pigeons.arrives("7", "first");
    of_pigeons.wait_for(1);
    pigeons.kill();

    // The cached ids expire after a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let bus = connect(&server).await;
    let before = of_others.count();
    for number in 0..2000 {
        if number % 10 == 0 {
            send_message(&bus, "pigeon.loft", "7", "lost").await;
        }
        let (to, from) = BUILT_IN[number % 2];
        send_message(&bus, to, from, &number.to_string()).await;
    }
    of_others.wait_for(before + 2000);
    bus.flush().await.unwrap();
    wait_for("the messages of the dead plugin to be dropped", || {
        let dropped = crate::delivery::metrics(&gate);
        let line = "pairing_decisions_total{channel=\"pigeon\",decision=\"drop\",reason=\"not_pairable\"} 200\n";
        dropped.contains(line).then_some(())
    });
    assert_eq!(of_pigeons.count(), 1);
    let warnings = gate.stderr().matches("failed to resolve a sender").count();
    assert_eq!(warnings, 1, "one a minute: {}", gate.stderr());

    let mut pigeons = Pigeons::start(&server, "plain");
    pigeons.arrives("pigeon#7", "back");
    assert_eq!(of_pigeons.wait_for_texts(2), ["first", "back"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn notices_about_unresolved_senders_are_dropped_while_a_block_exists() {
    let server = NatsServer::start();
    let home = Home::configured(
        "gate: { mode: pairing }\nadapters: [{ channel: pigeon, prefix: plugin.pigeon }]",
    );
    home.json(&["block", "pigeon:7", "--raw"]);
    let notices = Heard::on(&server, "pairing.notices.pigeon.loft").await;
    let admitted = Heard::on(&server, "pairing.admitted.pigeon.loft").await;
    let gate = start(&home, &server, &[]);
    let mut pigeons = Pigeons::start(&server, "event");
    let bus = connect(&server).await;
    let topic = "plugin.inbound.pigeon.loft";
    let joined = |by: Value| {
        let payload = json!({"kind": "chat_membership", "new_status": "member", "changed_by": by});
        event(topic, payload)
    };
    // Number 7 by other names, all unknown to the gate, and another sender.
    for by in [json!("pigeon#7"), json!("007"), json!(7), json!("x".repeat(2000)), json!("8")] {
        publish(&bus, topic, &joined(by)).await;
    }
    let connected = event(topic, json!({"kind": "connected"}));
    publish(&bus, topic, &connected).await;
    assert_eq!(notices.wait_for_json(1)[0].1, connected, "it names no sender");
    // Once the plugin has resolved the sender, the notice is published.
    home.json(&["seed", "pigeon", "loft", "8", "--raw"]);
    pigeons.arrives("8", "coo");
    // The notice is there as well.
    assert_eq!(admitted.wait_for_texts(2)[1], "coo");
    publish(&bus, topic, &joined(json!("8"))).await;
    assert_eq!(notices.wait_for_json(2)[1].1, joined(json!("8")));
    gate.signal(Signal::TERM);
    let ended = gate.wait();
    assert!(
        ended.stderr.contains("8 messages taken, 3 admitted, 0 challenged, 5 dropped"),
        "{ended:?}"
    );
}
