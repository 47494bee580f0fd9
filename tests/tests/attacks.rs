//! Attacks on each promise, against the built program: the lockout, the cap, single use,
//! revocation, and that no one is admitted when the state is unknown.
//!
//! More are in `cap.rs` (the cap, from many processes), `replaced.rs` (a gate without its database),
//! `server_under_fire.rs` (setup codes and the network) and `bad_input.rs` (the lockout and its end).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nexo_pairing::PairingCode;
use nexo_pairing_tests::{
    Client, Gate, Home, Server, claim_elsewhere, files_below, message, wait_for,
};

/// Within what time every gate has to see a change.
const LIMIT: Duration = Duration::from_millis(50);

/// A request, and its code.
fn request(gate: &mut Gate, account: &str, from: &str) -> String {
    let answer = gate.send(&message("telegram", account, from)).remove(0);
    answer["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Runs commands at once, each in a process, and returns `ok` or the kind of error of each, sorted.
fn at_once(home: &Home, commands: &[Vec<&str>]) -> Vec<String> {
    let start = Barrier::new(commands.len());
    let mut kinds = thread::scope(|scope| {
        let run = |args| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let output = home.run(&[args, &["--json"][..]].concat());
                match output.code {
                    0 => "ok".to_owned(),
                    1 => output.error()["kind"].as_str().unwrap().to_owned(),
                    _ => panic!("{output:?}"),
                }
            })
        };
        let running: Vec<_> = commands.iter().map(|args| run(args.as_slice())).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect::<Vec<_>>()
    });
    kinds.sort();
    kinds
}

#[test]
fn guessing_from_many_processes_at_once_gains_no_attempt() {
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    let right = request(&mut gate, "main", "1");
    let guess = |number: u8| PairingCode::from_random([number, 30, 30, 30, 30, 30, 30]);
    let guesses: Vec<PairingCode> = (0..16).map(guess).collect();
    let commands: Vec<Vec<&str>> = guesses
        .iter()
        .enumerate()
        .map(|(number, guess)| {
            vec![if number % 2 == 0 { "approve" } else { "reject" }, guess.as_str()]
        })
        .collect();
    let kinds = at_once(&home, &commands);
    let unknown = kinds.iter().filter(|kind| *kind == "unknown_code").count();
    let locked = kinds.iter().filter(|kind| *kind == "locked_out").count();
    assert_eq!((unknown, locked), (4, 12), "{kinds:?}");
    // Even the right code is not looked up now, and its sender stays a stranger.
    assert_eq!(at_once(&home, &[vec!["approve", &right]]), ["locked_out"]);
    assert_eq!(gate.ask(&message("telegram", "main", "1"))["decision"], "drop");
    let audit = home.json(&["log"]);
    let events = audit["events"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["action"] == "lockout").count(), 1, "{audit}");
}

#[test]
fn a_code_is_used_once_however_many_use_it() {
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    for number in 0..5 {
        let account = format!("account_{number}");
        let code = request(&mut gate, &account, "1");
        let commands: Vec<Vec<&str>> = (0..8)
            .map(|turn| vec![if turn % 2 == 0 { "approve" } else { "reject" }, code.as_str()])
            .collect();
        let kinds = at_once(&home, &commands);
        assert_eq!(kinds.iter().filter(|kind| *kind == "ok").count(), 1, "{kinds:?}");
        let others = kinds.iter().filter(|kind| kind.starts_with("already_"));
        assert_eq!(others.count(), 7, "{kinds:?}");
        let audit = home.sqlite(&format!(
            "SELECT count(*) FROM pairing_audit
                WHERE account_id = '{account}' AND action IN ('approve', 'reject')"
        ));
        assert_eq!(audit.trim(), "1");
    }
}

#[test]
fn a_sender_who_never_stops_writing_is_dropped_once_revoked() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "telegram", "main", "1", "2"]);
    let line = message("telegram", "main", "1");
    let (done, is_over) = (std::sync::OnceLock::new(), AtomicBool::new(false));
    let mut gates: Vec<Gate> = (0..3).map(|_| home.gate(&[])).collect();
    for gate in &mut gates {
        assert_eq!(gate.ask(&line)["decision"], "admit");
    }
    let flood = |gate: &mut Gate| {
        let mut last = None;
        while !is_over.load(Ordering::Relaxed) {
            let said = Instant::now();
            if gate.ask(&line)["decision"] == "admit" {
                last = Some(said);
            }
        }
        last
    };
    let last_admitted: Vec<Option<Instant>> = thread::scope(|scope| {
        let flood = &flood;
        let flooding: Vec<_> =
            gates.iter_mut().map(|gate| scope.spawn(move || flood(gate))).collect();
        thread::sleep(Duration::from_millis(200));
        home.json(&["revoke", "telegram:1"]);
        done.set(Instant::now()).unwrap();
        // Long enough for a gate that forgets to admit the sender again.
        thread::sleep(Duration::from_millis(500));
        is_over.store(true, Ordering::Relaxed);
        flooding.into_iter().map(|flooding| flooding.join().unwrap()).collect()
    });
    let done = *done.get().unwrap();
    for last in last_admitted {
        let late = last.unwrap().saturating_duration_since(done);
        assert!(
            late < 4 * LIMIT,
            "admitted until {late:?} after the revoke, on a machine that is busy"
        );
    }
    for gate in &mut gates {
        assert_eq!(gate.ask(&line)["reason"], "not_allowed");
        assert_eq!(gate.ask(&message("telegram", "main", "2"))["decision"], "admit");
    }
}

/// A companion's session token.
fn claimed(payload: &str) -> String {
    let (_companion, output) = claim_elsewhere(payload);
    assert_eq!(output.code, 0, "{output:?}");
    let file = output.json()["session_file"].as_str().unwrap().to_owned();
    fs::read_to_string(file).unwrap()
}

fn setup_code(home: &Home, server: &Server) -> String {
    let url = server.url("ws");
    let code =
        home.json(&["start", "--public-url", &url, "--ttl-secs", "600", "--for-device", "phone"]);
    code["payload"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_without_its_database_accepts_no_one_until_it_is_back() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let token = claimed(&setup_code(&home, &server));
    let unused = setup_code(&home, &server);
    let is_shut = || {
        for _ in 0..5 {
            let (status, reply) = server.session(&token);
            assert_eq!(status, 503, "{reply}");
        }
    };
    let is_open = || wait_for("a session", || (server.session(&token).0 == 200).then_some(()));
    is_open();

    let (path, away) = (home.database(), home.beside("away.db"));
    fs::rename(&path, &away).unwrap();
    is_shut();
    fs::rename(&away, &path).unwrap();
    is_open();

    let (backup, letter) = (home.beside("backup.db"), home.beside("letter.txt"));
    home.json(&["backup", backup.to_str().unwrap()]);
    fs::write(&letter, "This is a letter to my landlord. ".repeat(1000)).unwrap();
    fs::rename(&letter, &path).unwrap();
    is_shut();
    let (companion, refused) = claim_elsewhere(&unused);
    assert_eq!(refused.code, 3, "{refused:?}");
    let files = files_below(&companion.path());
    assert!(files.keys().all(|path| path.extension().is_none_or(|name| name != "token")));
    fs::rename(&backup, &path).unwrap();
    is_open();
    claimed(&unused);
}

#[test]
fn a_revoked_device_is_rejected_on_its_open_connection() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let token = claimed(&setup_code(&home, &server));
    let mut client = Client::connect(Ipv4Addr::LOCALHOST.into(), server.address()).unwrap();
    assert_eq!(client.session(&token).unwrap().0, 200);
    home.json(&["devices", "revoke", "phone"]);
    for line in ["GET /session", "POST /session/renew", "DELETE /session"] {
        let header = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(client.request(line, &header, "").unwrap().0, 401, "{line}");
    }
}
