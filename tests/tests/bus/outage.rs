//! A server that dies and comes back, again and again, while messages arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;
use rustix::process::Signal;

use crate::support::{Heard, connect, send_message, start};

const ROUNDS: usize = 10;
const SENDERS: usize = 20;

/// How long the gate may take to recover after the server.
const BACK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gate_outlives_its_server() {
    let mut server = NatsServer::start();
    let home = Home::configured("gate: { mode: allowlist }");
    let senders: Vec<String> = (0..SENDERS).map(|n| format!("+5491155550{n:03}")).collect();
    let seed: Vec<&str> = senders.iter().map(String::as_str).collect();
    home.json(&[&["seed", "whatsapp", "personal"], &seed[..]].concat());
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);

    let stop = Arc::new(AtomicBool::new(false));
    let bus = connect(&server).await;
    let load = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let sender = &senders[number as usize % SENDERS];
                send_message(&bus, "whatsapp.personal", sender, &number.to_string()).await;
                // A thousand a second: this test does not measure speed.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });

    admitted.wait_for(500);
    let mut memory = 0;
    for round in 1..=ROUNDS {
        server.kill();
        gate.wait_for_stderr("disconnected from the bus", round);
        if round == 1 {
            // An idle gate uses no CPU, however long the outage lasts.
            let (since, busy) = (Instant::now(), gate.cpu_time());
            tokio::time::sleep(Duration::from_secs(2)).await;
            let (busy, passed) = (gate.cpu_time() - busy, since.elapsed());
            assert!(busy * 4 < passed, "busy for {busy:?} of {passed:?}");
        }
        let since = Instant::now();
        server.start_again();
        gate.wait_for_stderr("reconnected to the bus", round);
        assert!(since.elapsed() < BACK, "round {round}: back after {:?}", since.elapsed());
        let before = admitted.count();
        admitted.wait_for(before + 200);
        if round == 2 {
            memory = gate.memory();
        }
    }
    let grown = gate.memory().saturating_sub(memory);
    assert!(grown < 8 << 10, "it has grown by {grown} kB");
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();

    gate.signal(Signal::TERM);
    let ended = gate.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    // Messages that the bus lost are lost; the others came once, and in order.
    let texts = admitted.wait_for_texts(1);
    let mut last: HashMap<u64, u64> = HashMap::new();
    for text in texts {
        let number: u64 = text.parse().unwrap();
        let before = last.insert(number % SENDERS as u64, number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
    }
}

#[test]
fn an_outage_does_not_delay_shutdown() {
    let (mut server, home) = (NatsServer::start(), Home::new());
    let gate = start(&home, &server, &["--open"]);
    server.kill();
    gate.wait_for_stderr("disconnected from the bus", 1);
    let since = Instant::now();
    gate.signal(Signal::TERM);
    let ended = gate.wait();
    // It is unknown whether all of them were delivered.
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("not connected"), "{}", ended.stderr);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
