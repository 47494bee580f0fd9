//! Floods of repeated claims against a running `nexo-pair serve`: they are counted, not logged
//! one by one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use nexo_pairing_tests::{Client, Home, Server};
use serde_json::{Value, json};

/// How many claims each address makes: the server accepts ten.
const OF_EACH: usize = 12;

/// How many lines a flood may add to the audit log and to the server's log.
const BOUND: usize = 20;

struct World {
    home: Home,
    server: Server,
    log: std::path::PathBuf,
    token: Value,
}

impl World {
    fn new() -> Self {
        let home = Home::new();
        let log = home.path().join("serve.log");
        let server = Server::logging_to(&log, &home, &[]);
        let url = server.url("ws");
        let code = home.json(&["start", "--public-url", &url, "--ttl-secs", "86400"]);
        let token = code["bootstrap_token"].clone();
        Self { home, server, log, token }
    }

    /// Claims the code repeatedly from this many addresses and returns how often each status came.
    fn flood(&self, addresses: u8, claim: &Value) -> Vec<(u16, usize)> {
        let mut statuses: Vec<(u16, usize)> = Vec::new();
        for number in 1..=addresses {
            let from = IpAddr::V4(Ipv4Addr::new(127, 9, 9, number));
            let mut client = Client::connect(from, self.server.address()).unwrap();
            for _ in 0..OF_EACH {
                let (status, _) = client.claim(claim).unwrap();
                match statuses.iter_mut().find(|(known, _)| *known == status) {
                    Some((_, count)) => *count += 1,
                    None => statuses.push((status, 1)),
                }
            }
        }
        statuses
    }

    /// The details of the entries of the audit log with this action.
    fn audited(&self, action: &str) -> Vec<Value> {
        let log = self.home.json(&["log", "--limit", "10000"]);
        let events = log["events"].as_array().unwrap().iter();
        let of_action = events.filter(|event| event["action"] == *action);
        of_action.map(|event| event["detail"].clone()).collect()
    }

    fn log_lines(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn replays_of_a_used_code_fill_neither_log() {
    let world = World::new();
    let mut client = Client::connect(Ipv4Addr::LOCALHOST.into(), world.server.address()).unwrap();
    let claim = json!({ "bootstrap_token": world.token });
    assert_eq!(client.claim(&claim).unwrap().0, 200);
    assert_eq!(world.flood(60, &claim), [(409, 600), (429, 120)]);

    let replays = world.audited("replay");
    assert!((2..=BOUND).contains(&replays.len()), "{}: {:?}", replays.len(), replays.first());
    let revoked: Vec<_> = replays.iter().map(|replay| replay["revoked"] == true).collect();
    assert!(revoked[0] && !revoked[1..].contains(&true), "the first one ended it: {revoked:?}");
    // Both addresses are there: that of the session's owner, and that of the client that ended it.
    assert_eq!(world.audited("session_issued")[0]["peer"], "127.0.0.1");
    assert_eq!(replays[0]["peer"], "127.9.9.1");
    let devices = world.home.json(&["devices", "list", "--all"]);
    assert_eq!(devices["devices"][0]["claim_peer"], "127.0.0.1");
    let lines = world.log_lines();
    assert!((1..=BOUND).contains(&lines.len()), "{}: {:?}", lines.len(), lines.first());
    assert!(lines[0].contains("revoked"), "{lines:?}");
}

#[test]
fn a_client_that_repeats_its_claim_fills_neither_log() {
    let world = World::new();
    let claim = json!({ "bootstrap_token": world.token, "claim_id": "a".repeat(22) });
    assert_eq!(world.flood(30, &claim), [(200, 301), (429, 59)]);
    let reissued = world.audited("session_reissued");
    assert!((2..=BOUND).contains(&reissued.len()), "{}: {:?}", reissued.len(), reissued.first());
    let lines = world.log_lines();
    assert!(lines.len() <= BOUND, "{}: {:?}", lines.len(), lines.first());
}
