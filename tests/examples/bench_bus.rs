//! How many messages a gate on a bus decides, and how much latency it adds, beside a relay that forwards
//! everything. `cargo xtask bench-bus` runs it, built for release.
//!
//! The gate, or the relay, has one processor; the server and this program have the other ones.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexo_pairing::nats::{Bus, NatsOptions};
use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{Gate, Home};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::Notify;

/// How many senders are admitted.
const SENDERS: u64 = 10_000;

/// How many messages are sent at full speed.
const MESSAGES: u64 = 400_000;

/// How many of them are in flight at most.
const WINDOW: u64 = 10_000;

/// How many messages a second are sent to measure latency, and for how long.
const RATES: [u64; 2] = [1_000, 10_000];
const SECONDS: u64 = 10;

const TOPIC: &str = "plugin.inbound.whatsapp.personal";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay", url] => relay(url),
        [gate_core, other_cores] => compare(gate_core, other_cores),
        _ => panic!("bench_bus GATE-CORE OTHER-CORES, such as: bench_bus 1 0"),
    }
}

/// Forwards every message unread.
fn relay(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (inward, outward) = (connect(url).await, connect(url).await);
        let mut messages = inward.subscribe_queue("plugin.inbound.>", "relay").await.unwrap();
        inward.flush().await.unwrap();
        eprintln!("subscribed to everything");
        while let Some(message) = messages.next().await {
            let suffix = message.subject().strip_prefix("plugin.inbound.").unwrap();
            let subject = format!("pairing.admitted.{suffix}");
            outward.publish(&subject, message.payload().clone()).await.unwrap();
        }
    });
}

/// Measures both, and prints a table.
fn compare(gate_core: &str, other_cores: &str) {
    let server = NatsServer::start();
    let home = Home::configured("gate: { mode: pairing }");
    let list = home.beside("senders");
    let senders: String = (0..SENDERS).map(|n| format!("+{}\n", number(n))).collect();
    std::fs::write(&list, senders).unwrap();
    home.json(&["seed", "whatsapp", "personal", "--file", list.to_str().unwrap()]);
    // This process and its server; the threads that come after it inherit that.
    taskset(other_cores, std::process::id());
    taskset(other_cores, server.process_id());

    let this = std::env::current_exe().unwrap();
    let measure = |program: &dyn Fn() -> Gate| {
        let gate = program();
        gate.wait_for_stderr("subscribed to ", 1);
        let figures = figures(&server.url(), &gate);
        gate.signal(Signal::TERM);
        figures
    };
    let pinned = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("taskset");
        command.args(["-c", gate_core]).arg(program).args(arguments);
        Gate::start(home.in_home(command, &[]))
    };
    let program = nexo_pairing_tests::program();
    let url = server.url();
    let relay = measure(&|| pinned(&this, &["relay", &url]));
    let gate = measure(&|| pinned(&program, &["gate", "--nats", &url]));
    print(&relay, &gate);
}

struct Figures {
    per_second: f64,
    /// CPU time for each message.
    busy: Duration,
    /// The median and the 99th percentile at each rate.
    late: Vec<(Duration, Duration)>,
}

fn figures(url: &str, gate: &Gate) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let busy = gate.cpu_time();
        let began = Instant::now();
        flood(url, MESSAGES, WINDOW).await;
        let (passed, busy) = (began.elapsed(), gate.cpu_time() - busy);
        let mut late = Vec::new();
        for rate in RATES {
            late.push(lateness(url, rate).await);
        }
        Figures {
            per_second: MESSAGES as f64 / passed.as_secs_f64(),
            busy: busy / u32::try_from(MESSAGES).unwrap(),
            late,
        }
    })
}

/// Sends messages as fast as they come back.
async fn flood(url: &str, messages: u64, window: u64) {
    let came = Arc::new(AtomicU64::new(0));
    let wake = Arc::new(Notify::new());
    let (inward, outward) = (connect(url).await, connect(url).await);
    let mut admitted = inward.subscribe("pairing.admitted.>").await.unwrap();
    inward.flush().await.unwrap();
    let reader = tokio::spawn({
        let (came, wake) = (Arc::clone(&came), Arc::clone(&wake));
        async move {
            while came.load(Ordering::Relaxed) < messages {
                admitted.next().await.unwrap();
                if came.fetch_add(1, Ordering::Relaxed) % 100 == 99 {
                    wake.notify_one();
                }
            }
        }
    });
    for sent in 0..messages {
        while sent - came.load(Ordering::Relaxed) >= window {
            wake.notified().await;
        }
        outward.publish(TOPIC, message(sent, "").into()).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), reader).await.expect("all came").unwrap();
}

/// The latency of messages that are sent at a steady rate.
async fn lateness(url: &str, rate: u64) -> (Duration, Duration) {
    let count = rate * SECONDS;
    let began = Instant::now();
    let (inward, outward) = (connect(url).await, connect(url).await);
    let mut admitted = inward.subscribe("pairing.admitted.>").await.unwrap();
    inward.flush().await.unwrap();
    let reader = tokio::spawn(async move {
        let mut late = Vec::new();
        for _ in 0..count {
            let message = admitted.next().await.unwrap();
            let now = began.elapsed().as_nanos();
            let event: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
            let sent: u128 = event["payload"]["text"].as_str().unwrap().parse().unwrap();
            late.push(now - sent);
        }
        late.sort_unstable();
        late
    });
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for sent in 0..count {
        if sent % (rate / 1000) == 0 {
            tick.tick().await;
        }
        let now = began.elapsed().as_nanos().to_string();
        outward.publish(TOPIC, message(sent, &now).into()).await.unwrap();
    }
    let late = tokio::time::timeout(Duration::from_secs(60), reader).await.expect("all came");
    let late = late.unwrap();
    let at =
        |share: usize| Duration::from_nanos(u64::try_from(late[late.len() * share / 100]).unwrap());
    (at(50), at(99))
}

fn print(relay: &Figures, gate: &Figures) {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let row = |what: &str, relay: Duration, gate: Duration| {
        let (relay, gate) = (micros(relay), micros(gate));
        println!("| {what} | {relay:.1} µs | {gate:.1} µs | {:.1} µs |", gate - relay);
    };
    let per_second = |what: &str, relay: f64, gate: f64| {
        println!("| {what} | {relay:.0} | {gate:.0} | |");
    };
    println!("| | relay | gate | added |\n| --- | --- | --- | --- |");
    per_second("messages per second, received", relay.per_second, gate.per_second);
    let capable = |figures: &Figures| 1.0 / figures.busy.as_secs_f64();
    per_second("messages per second that saturate one core", capable(relay), capable(gate));
    row("processor time per message", relay.busy, gate.busy);
    for (at, rate) in RATES.iter().enumerate() {
        let ((p50, p99), (gate_p50, gate_p99)) = (relay.late[at], gate.late[at]);
        row(&format!("latency at {rate} per second, p50"), p50, gate_p50);
        row(&format!("latency at {rate} per second, p99"), p99, gate_p99);
    }
}

async fn connect(url: &str) -> Bus {
    Bus::connect(NatsOptions::new([url]).unwrap()).await.unwrap()
}

/// A message of one of the senders, in the envelope.
fn message(count: u64, text: &str) -> String {
    // Not simply in turn, so that a sender is not in a cache only because of a neighbour.
    let sender = number(count * 7919 % SENDERS);
    json!({
        "id": "0198c2f4-5f0e-7a41-9d0c-0f4be7a8c001", "timestamp": "2026-03-01T09:15:00Z",
        "topic": TOPIC, "source": "plugin.whatsapp", "session_id": null,
        "payload": {
            "kind": "message", "from": format!("{sender}@c.us"), "text": text, "is_group": false,
        },
    })
    .to_string()
}

fn number(sender: u64) -> u64 {
    5_491_100_000_000 + sender
}

fn taskset(cores: &str, process: u32) {
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", cores, &process.to_string()]).stdout(Stdio::null());
    let mut child: Child = command.spawn().expect("taskset is there");
    assert!(child.wait().unwrap().success());
}
