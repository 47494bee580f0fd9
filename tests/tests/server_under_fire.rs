//! `nexo-pair serve` under attack: many clients for one session, power failures, a flood of bad claims.
//!
//! The attacks are short here; the variables below make them long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nexo_pairing::{SetupCode, SetupCodeIssuer};
use nexo_pairing_tests::{Client, Home, Server, claim_elsewhere, rounds};
use serde_json::{Value, json};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn issuer(home: &Home) -> SetupCodeIssuer {
    SetupCodeIssuer::open_or_create(home.path().join("secret").join("pairing.key")).unwrap()
}

fn issue(issuer: &SetupCodeIssuer, address: SocketAddr) -> SetupCode {
    let (url, ttl) = (format!("ws://{address}/pair"), Duration::from_secs(3600));
    issuer.issue(&url, "companion-v1", ttl, None).unwrap()
}

/// Whether a session token is valid.
fn is_good(address: SocketAddr, token: &str) -> bool {
    let (status, _) = Client::connect(LOCAL, address).unwrap().session(token).unwrap();
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

/// 64 clients present one setup code at once, each with a claim id of its own, through two servers: half
/// by POST, half as `nexo-pair claim` by WebSocket. Returns how many got a session, and how many of these are valid.
fn race(on_replay: &str) -> (usize, usize) {
    let home = Home::configured(&format!("on_replay: {on_replay}"));
    let servers = [Server::start(&home, &[]), Server::start(&home, &[])];
    let issuer = issuer(&home);
    let code = issue(&issuer, servers[0].address());
    // The same token with the address of the other server.
    let elsewhere = SetupCode::new(
        format!("ws://{}/pair", servers[1].address()),
        code.bootstrap_token.clone(),
        code.expires_at,
    );
    let payloads = [code.payload().unwrap(), elsewhere.payload().unwrap()];
    let (start, tokens) = (Barrier::new(64), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for number in 0..32 {
            let (start, tokens, servers, code) = (&start, &tokens, &servers, &code);
            scope.spawn(move || {
                let mut client = Client::connect(LOCAL, servers[number % 2].address()).unwrap();
                let claim_id = format!("{number:0>32}");
                let claim = json!({"bootstrap_token": code.bootstrap_token, "claim_id": claim_id});
                start.wait();
                let (status, reply) = client.claim(&claim).unwrap();
                match status {
                    200 => tokens.lock().unwrap().push(text(&reply, "session_token")),
                    // Ten failures of one address reach the limit.
                    409 | 429 => {}
                    other => panic!("{other}: {reply}"),
                }
            });
            let payload = &payloads[number % 2];
            scope.spawn(move || {
                start.wait();
                let (home, claimed) = claim_elsewhere(payload);
                let sessions = home.path().join("pairing/sessions");
                match claimed.code {
                    0 => {
                        let file = text(&claimed.json(), "session_file");
                        tokens.lock().unwrap().push(std::fs::read_to_string(file).unwrap());
                    }
                    1 => assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 0),
                    other => panic!("{other}: {claimed:?}"),
                }
            });
        }
    });
    let tokens = tokens.into_inner().unwrap();
    let good = tokens.iter().filter(|token| {
        let [here, there] = [0, 1].map(|server: usize| is_good(servers[server].address(), token));
        assert_eq!(here, there);
        here
    });
    let good = good.count();
    let live = home.json(&["devices", "list"])["devices"].as_array().unwrap().len();
    assert_eq!(live, good, "only the sessions that clients got are live");
    (tokens.len(), good)
}

#[test]
fn one_of_64_gets_the_session_and_keeps_it_if_replays_are_rejected() {
    assert_eq!(race("refuse"), (1, 1));
}

#[test]
fn one_of_64_gets_the_session_and_loses_it_if_replays_revoke() {
    assert_eq!(race("revoke"), (1, 0));
}

/// A claim and its session token; `None` if the connection broke before the response.
struct Claim {
    body: Value,
    answered: Option<String>,
}

/// Claims one code after the other until the server is gone.
fn claim_until_the_end(
    issuer: &SetupCodeIssuer,
    server: SocketAddr,
    names: &AtomicU64,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    let Ok(mut client) = Client::connect(LOCAL, server) else { return claims };
    loop {
        let name = names.fetch_add(1, Ordering::Relaxed);
        let token = issue(issuer, server).bootstrap_token;
        let body = json!({"bootstrap_token": token, "claim_id": format!("{name:0>32}")});
        let answer = client.claim(&body);
        let answered = answer.as_ref().ok().map(|(status, reply)| {
            assert_eq!(*status, 200, "{reply}");
            text(reply, "session_token")
        });
        claims.push(Claim { body, answered });
        if answer.is_err() {
            return claims;
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// `NEXO_PAIRING_KILLS` is the number of power failures.
#[test]
fn answered_claims_survive_a_power_failure() {
    let home = Home::new();
    let issuer = issuer(&home);
    let names = AtomicU64::new(0);
    let mut seed: u64 = 0x2545_f491_4f6c_dd1d;
    let (mut answered, mut unanswered) = (0, 0);
    for _ in 0..rounds("NEXO_PAIRING_KILLS", 15) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let server = Server::start(&home, &[]);
        let address = server.address();
        let claims: Vec<Claim> = thread::scope(|scope| {
            let claimants: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| claim_until_the_end(&issuer, address, &names)))
                .collect();
            thread::sleep(Duration::from_micros(5_000 + seed % 60_000));
            server.kill();
            claimants.into_iter().flat_map(|claimant| claimant.join().unwrap()).collect()
        });

        let server = Server::start(&home, &[]);
        let mut client = Client::connect(LOCAL, server.address()).unwrap();
        let mut thieves = 0..;
        for claim in &claims {
            let mut good = claim.answered.clone();
            if let Some(token) = &good {
                assert_eq!(client.session(token).unwrap().0, 200, "an answered session exists");
                answered += 1;
            } else {
                // Whether it was redeemed or not, the same client gets its session now.
                let (status, reply) = client.claim(&claim.body).unwrap();
                assert_eq!(status, 200, "{reply}");
                good = Some(text(&reply, "session_token"));
                unanswered += 1;
            }
            // And no other client does: each from another address, because of the limit of ten failures.
            if claim.answered.is_none() {
                let thief = thieves.next().unwrap();
                let from = Ipv4Addr::new(127, 0, 1 + (thief / 250) as u8, 1 + (thief % 250) as u8);
                let mut other = Client::connect(from.into(), server.address()).unwrap();
                let mut body = claim.body.clone();
                body["claim_id"] = json!("f".repeat(32));
                let (status, reply) = other.claim(&body).unwrap();
                assert_eq!((status, reply["error"].as_str()), (409, Some("replayed")));
                assert_eq!(client.session(&good.unwrap()).unwrap().0, 401, "it was revoked");
            }
        }
        assert_eq!(server.end(), 0);
    }
    println!("{answered} sessions were answered, {unanswered} claims were cut off");
    assert!(answered > 0 && unanswered > 0, "the attack had no effect");
    assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
    let nonces = "SELECT count(*) - count(DISTINCT nonce) FROM pairing_redemptions";
    assert_eq!(home.sqlite(nonces).trim(), "0");
}

/// `NEXO_PAIRING_FLOOD_SECONDS` is how long the flood lasts.
#[test]
fn a_flood_of_bad_claims_delays_no_other_client() {
    let home = Home::new();
    let issuer = issuer(&home);
    let server = Server::start(&home, &[]);
    let address = server.address();
    let length = Duration::from_secs(rounds("NEXO_PAIRING_FLOOD_SECONDS", 3).into());
    let good_claim = |number: u32| {
        let token = issue(&issuer, address).bootstrap_token;
        let body = json!({"bootstrap_token": token, "claim_id": format!("{number:0>32}")});
        let since = Instant::now();
        let other = Ipv4Addr::new(127, 0, 0, 2).into();
        let (status, reply) = Client::connect(other, address).unwrap().claim(&body).unwrap();
        assert_eq!(status, 200, "{reply}");
        since.elapsed()
    };
    good_claim(0);

    let (is_over, refused, looked_at) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let flood = || {
        let mut client = Client::connect(LOCAL, address).unwrap();
        let forged = json!({"bootstrap_token": format!("e30.{}", "A".repeat(43))});
        while !is_over.load(Ordering::Relaxed) {
            // A server may close a connection that sends too many requests.
            let Ok((status, reply)) = client.claim(&forged) else {
                client = Client::connect(LOCAL, address).unwrap();
                continue;
            };
            match status {
                429 => refused.fetch_add(1, Ordering::Relaxed),
                400 | 401 => looked_at.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other}: {reply}"),
            };
            // About 2,000 a second in all: this is not a benchmark.
            thread::sleep(Duration::from_millis(2));
        }
    };
    let (worst, before, after) = thread::scope(|scope| {
        let flooders: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
        let since = Instant::now();
        // The memory of the connections is allocated by now.
        let mut worst = good_claim(1);
        let before = server.memory();
        for number in 2.. {
            worst = worst.max(good_claim(number));
            if since.elapsed() >= length {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Relaxed);
        flooders.into_iter().for_each(|flooder| flooder.join().unwrap());
        (worst, before, server.memory())
    });
    let (refused, looked_at) = (refused.into_inner(), looked_at.into_inner());
    println!(
        "{refused} bad claims were rejected unread, {looked_at} verified; a valid one took at most \
         {worst:?}; memory went from {before} to {after} kB"
    );
    assert!(looked_at <= 10 * (2 + length.as_secs() / 60), "{looked_at} were looked at");
    assert!(refused > 100, "{refused}: there was no flood");
    assert!(after < before + 4096, "memory went from {before} to {after} kB");
    assert_eq!(server.end(), 0);
}
