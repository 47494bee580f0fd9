//! What strangers cost a `nexo-pair serve` that cannot use its database: one log line a minute, and
//! no write that waits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use nexo_pairing::SetupCodeIssuer;
use nexo_pairing_tests::{Client, Home, Server, WriteLock};
use serde_json::{Value, json};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The claim of a new setup code.
fn new_claim(home: &Home, server: &Server) -> Value {
    let key = home.path().join("secret").join("pairing.key");
    let issuer = SetupCodeIssuer::open_or_create(key).unwrap();
    let minute = Duration::from_secs(60);
    let code = issuer.issue(&server.url("ws"), "companion-v1", minute, None).unwrap();
    json!({ "bootstrap_token": code.bootstrap_token })
}

/// The session token and the id of a new session.
fn session(home: &Home, server: &Server) -> (String, String) {
    let claim = new_claim(home, server);
    let (status, reply) = Client::connect(LOCAL, server.address()).unwrap().claim(&claim).unwrap();
    assert_eq!(status, 200, "{reply}");
    let text = |key: &str| reply[key].as_str().unwrap().to_owned();
    (text("session_token"), text("session_id"))
}

#[test]
fn rejected_requests_are_one_log_line_per_kind_and_peer() {
    let home = Home::new();
    let log = home.beside("serve.log");
    let server = Server::logging_to(&log, &home, &[]);
    let request = |client: &mut Client, line: &str, headers: &str, body: &Value| {
        client.request(line, headers, &body.to_string()).unwrap().0
    };
    let mut clients =
        [1, 2].map(|last| Client::connect(Ipv4Addr::new(127, 0, 0, last).into(), server.address()));
    let foreign = "Origin: https://evil.example\r\n";
    for client in &mut clients {
        let client = client.as_mut().unwrap();
        for _ in 0..200 {
            assert_eq!(request(client, "POST /pair", foreign, &json!({})), 403);
        }
        for number in 0..200 {
            let expected = if number < 10 { 400 } else { 429 };
            assert_eq!(request(client, "POST /pair", "", &json!({})), expected);
        }
    }
    // A crowd has one line for all peers beyond the table of peers.
    for last in 1..=100 {
        let client = Client::connect(Ipv4Addr::new(127, 0, 3, last).into(), server.address());
        assert_eq!(request(&mut client.unwrap(), "POST /pair", "", &json!({})), 400);
    }
    for name in ["pairing.db", "pairing.db-wal", "pairing.db-shm"] {
        fs::write(home.path().join("state").join(name), "this is not a database").unwrap();
    }
    let token = format!("Authorization: Bearer {}\r\n", "x".repeat(43));
    let client = clients[0].as_mut().unwrap();
    for _ in 0..200 {
        assert_eq!(request(client, "GET /session", &token, &json!({})), 503);
        assert_eq!(request(client, "POST /session/renew", &token, &json!({})), 503);
        assert_eq!(request(client, "DELETE /session", &token, &json!({})), 503);
    }
    assert_eq!(server.end(), 0);
    let log = fs::read_to_string(log).unwrap();
    let lines = |with: &[&str]| {
        log.lines().filter(|line| with.iter().all(|with| line.contains(with))).count()
    };
    for peer in ["127.0.0.1", "127.0.0.2"] {
        assert_eq!(lines(&["a claim was refused", "malformed", peer]), 1, "{log}");
        assert_eq!(lines(&["a claim was refused", "throttled", peer]), 1, "{log}");
        assert_eq!(lines(&["a claim was refused", "origin_not_allowed", peer]), 1, "{log}");
    }
    for what in ["look up a session", "renew a session", "end a session"] {
        assert_eq!(lines(&["failed to", what]), 1, "{log}");
    }
    assert_eq!(lines(&["a claim was refused"]), 17, "{log}");
    assert_eq!(log.lines().count(), 17 + 3, "{log}");
}

#[test]
fn an_ended_token_waits_for_no_lock_and_takes_no_memory() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (token, id) = session(&home, &server);
    home.json(&["devices", "revoke", &id]);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let mut client = Client::connect(LOCAL, server.address()).unwrap();
    let lock = WriteLock::take(&home);
    let before = server.memory();
    for _ in 0..2000 {
        for line in ["GET /session", "POST /session/renew", "DELETE /session"] {
            assert_eq!(client.request(line, &bearer, "").unwrap().0, 401, "{line}");
        }
    }
    let after = server.memory();
    assert!(after < before + 4096, "memory went from {before} to {after} kB");
    drop(lock);
    assert_eq!(server.end(), 0);
}

#[test]
fn one_peer_cannot_take_all_places_for_waiting_claims() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (seen, good) = (new_claim(&home, &server), new_claim(&home, &server));
    let lock = WriteLock::take(&home);
    for _ in 0..1200 {
        let mut client = Client::connect(LOCAL, server.address()).unwrap();
        client.send("POST /pair", "", &seen.to_string()).unwrap();
    }
    let mut client = Client::connect(Ipv4Addr::new(127, 0, 0, 2).into(), server.address()).unwrap();
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| client.claim(&good).unwrap());
        // One of the others is answered after the ten that wait.
        let refused = Client::connect(LOCAL, server.address()).unwrap().claim(&seen).unwrap();
        assert_eq!(refused.0, 429, "{}", refused.1);
        drop(lock);
        waiting.join().unwrap()
    });
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(server.end(), 0);
}

#[test]
fn health_requests_behind_a_lock_take_no_place_from_other_clients() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let _lock = WriteLock::take(&home);
    // As many as there are places, and no more than eight from one address.
    let mut waiting = Vec::new();
    for number in 0..1024_u16 {
        let [high, low] = (number / 8).to_be_bytes();
        let from = IpAddr::from([127, 3, high, low + 1]);
        let mut client = Client::connect(from, server.address()).unwrap();
        client.send("GET /healthz", "", "").unwrap();
        waiting.push(client);
    }
    for number in 1..=100 {
        let from = IpAddr::from([127, 4, 0, number]);
        let mut client = Client::connect(from, server.address()).unwrap();
        assert_eq!(client.session("x").unwrap().0, 401, "{number}");
        client.send("GET /healthz", "", "").unwrap();
        waiting.push(client);
    }
}

/// More requests than there are places, and no more than eight from one address.
fn crowd(server: &Server, line: &str, headers: &str, body: &str) -> Vec<Client> {
    let ask = |number: u16| {
        let [high, low] = (number / 8).to_be_bytes();
        let from = IpAddr::from([127, 3, high, low + 1]);
        let mut client = Client::connect(from, server.address()).unwrap();
        // Connections without a place are reset.
        let _ = client.send(line, headers, body);
        client
    };
    (0..1200).map(ask).collect()
}

#[test]
fn renewals_of_one_session_behind_a_lock_take_no_place_from_other_clients() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (token, _) = session(&home, &server);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let claim = new_claim(&home, &server);
    let lock = WriteLock::take(&home);
    let mut open = crowd(&server, "POST /session/renew", &bearer, "");
    for number in 1..=100 {
        let from = IpAddr::from([127, 4, 0, number]);
        let mut client = Client::connect(from, server.address()).unwrap();
        assert_eq!(client.session(&token).unwrap().0, 200, "{number}");
        open.push(client);
    }
    let mut client = Client::connect(IpAddr::from([127, 4, 1, 1]), server.address()).unwrap();
    assert_eq!(client.request("GET /healthz", "", "").unwrap().0, 503);
    // A claim waits for the lock, and is not rejected because of the others.
    let mut client = Client::connect(IpAddr::from([127, 4, 1, 2]), server.address()).unwrap();
    client.send("POST /pair", "", &claim.to_string()).unwrap();
    drop(lock);
    assert_eq!(client.answer().unwrap().0, 200);
    assert_eq!(server.end(), 0);
}

#[test]
fn claims_of_one_code_behind_a_lock_take_no_place_from_other_clients() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (seen, good) = (new_claim(&home, &server), new_claim(&home, &server));
    let lock = WriteLock::take(&home);
    let mut open = crowd(&server, "POST /pair", "", &seen.to_string());
    for number in 1..=100 {
        let from = IpAddr::from([127, 4, 0, number]);
        let mut client = Client::connect(from, server.address()).unwrap();
        assert_eq!(client.session("x").unwrap().0, 401, "{number}");
        open.push(client);
    }
    let mut client = Client::connect(IpAddr::from([127, 4, 1, 1]), server.address()).unwrap();
    client.send("POST /pair", "", &good.to_string()).unwrap();
    drop(lock);
    assert_eq!(client.answer().unwrap().0, 200);
    assert_eq!(server.end(), 0);
}
