//! Several gates on one database and in one group: each message is decided once, and the challenges of
//! strangers stay within the same bounds as with one gate.

use std::collections::{HashMap, HashSet};

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Heard, connect, send_message, start};

const EVENTS: usize = 50_000;
const STRANGERS: usize = 40;
const MAX_PENDING: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_gates_share_the_work_and_the_rules() {
    let server = NatsServer::start();
    let home = Home::configured(&format!("gate: {{ mode: pairing, max_pending: {MAX_PENDING} }}"));
    let known: Vec<String> = (0..160).map(|n| format!("+5491155550{n:03}")).collect();
    let seed: Vec<&str> = known.iter().map(String::as_str).collect();
    home.json(&[&["seed", "whatsapp", "personal"], &seed[..]].concat());
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gates: Vec<_> = (0..3).map(|_| start(&home, &server, &[])).collect();

    let bus = connect(&server).await;
    let strangers: Vec<String> = (0..STRANGERS).map(|n| format!("+5491166660{n:03}")).collect();
    let senders: Vec<&String> = known.iter().chain(&strangers).collect();
    for number in 0..EVENTS {
        let sender = senders[number % senders.len()];
        send_message(&bus, "whatsapp.personal", sender, &number.to_string()).await;
    }
    let expected: HashSet<String> = (0..EVENTS)
        .filter(|number| number % senders.len() < known.len())
        .map(|number| number.to_string())
        .collect();
    admitted.wait_for(expected.len());
    bus.flush().await.unwrap();

    let mut sums: HashMap<String, usize> = HashMap::new();
    for gate in gates {
        gate.signal(Signal::TERM);
        let ended = gate.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
        let (_, reply) = ended.stderr.split_once("total: ").unwrap();
        for part in reply.lines().next().unwrap().split(", ") {
            let (count, what) = part.split_once(' ').unwrap();
            *sums.entry(what.to_owned()).or_default() += count.parse::<usize>().unwrap();
        }
    }
    let sum = |what: &str| sums[what];
    assert_eq!(sum("messages taken"), EVENTS);
    assert_eq!((sum("admitted"), sum("rejected")), (expected.len(), 0), "{sums:?}");
    assert_eq!(sum("challenged"), MAX_PENDING, "{sums:?}");
    assert_eq!(sum("dropped"), EVENTS - expected.len() - MAX_PENDING, "{sums:?}");

    let texts = admitted.wait_for_texts(expected.len());
    assert_eq!(texts.len(), expected.len(), "each of them once");
    assert_eq!(texts.into_iter().collect::<HashSet<_>>(), expected);
    let reply: Vec<Value> =
        outbound.wait_for_json(MAX_PENDING).into_iter().map(|it| it.1).collect();
    let recipients: HashSet<&str> =
        reply.iter().map(|event| event["payload"]["to"].as_str().unwrap()).collect();
    assert_eq!(
        (reply.len(), recipients.len()),
        (MAX_PENDING, MAX_PENDING),
        "one challenge for each"
    );
    assert_eq!(home.json(&["list"])["pending"].as_array().unwrap().len(), MAX_PENDING);
}
