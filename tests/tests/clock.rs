//! The wall clock jumps back a day, forward ten years, and back: under a running gate and server, and
//! under every command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use nexo_pairing_tests::{Gate, Home, Output, Server, Shim, message, wait_for};
use serde_json::Value;

const DAY: i64 = 86_400;
const TEN_YEARS: i64 = 3653 * DAY;

/// A home on a clock of its own.
struct World {
    home: Home,
    shim: Shim,
}

impl World {
    fn new() -> Self {
        Self { home: Home::new(), shim: Shim::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        self.shim.under(self.home.command(&[args, &["--json"]].concat()))
    }

    fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
        output.json()
    }

    /// The kind of error of a command.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        output.error()["kind"].as_str().unwrap().to_owned()
    }

    fn server(&self) -> Server {
        Server::of(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    fn setup_code(&self, server: &Server) -> String {
        let url = server.url("ws");
        let code = self.json(&["start", "--public-url", &url, "--ttl-secs", "600"]);
        code["payload"].as_str().unwrap().to_owned()
    }

    /// The session token that a companion gets for a setup code, on the same clock, or the error.
    fn claim(&self, payload: &str) -> Result<String, String> {
        let home = Home::new();
        let claim = self.shim.under(home.command(&["claim", "--json"]));
        let output = Output::of_with(claim, payload).unwrap();
        if output.code != 0 {
            return Err(output.error()["kind"].as_str().unwrap().to_owned());
        }
        let reply = output.json();
        let file = reply["session_file"].as_str().unwrap();
        Ok(std::fs::read_to_string(file).unwrap().trim().to_owned())
    }
}

/// The decision of a gate on a message on the account `main`.
fn decision(gate: &mut Gate, from: &str) -> String {
    let answer = gate.send(&message("telegram", "main", from)).remove(0);
    let reply = answer["reason"].as_str().or_else(|| answer["decision"].as_str());
    reply.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn code(gate: &mut Gate, from: &str) -> String {
    let answer = gate.send(&message("telegram", "main", from)).remove(0);
    answer["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Waits until the gate has seen the change of a command.
fn wait_until_admitted(gate: &mut Gate, from: &str) {
    wait_for("a grant", || (decision(gate, from) == "admit").then_some(()));
}

#[test]
fn clock_jumps_neither_revive_nor_lock_anything() {
    let world = World::new();
    let mut gate = Gate::start(world.command(&["gate", "--auto-challenge"]));
    let server = world.server();
    world.json(&["seed", "telegram", "main", "1"]);
    let visitor = code(&mut gate, "2");
    world.json(&["approve", &visitor, "--for", "7d"]);
    let token = world.claim(&world.setup_code(&server)).unwrap();
    let used = world.setup_code(&server);
    let lost = world.claim(&used).unwrap();
    let codes = ["11", "12", "13"].map(|id| code(&mut gate, id));
    wait_until_admitted(&mut gate, "1");
    wait_until_admitted(&mut gate, "2");
    assert_eq!(decision(&mut gate, "14"), "pending_full");

    // Back a day: rows from the future are not valid and take no place.
    world.shim.set_clock(-DAY);
    assert_eq!(
        decision(&mut gate, "1"),
        "admit",
        "a permanent grant is valid whenever it was given"
    );
    assert_eq!(server.session(&token).0, 401);
    let early = code(&mut gate, "14");
    assert_ne!(decision(&mut gate, "2"), "admit");
    for code in &codes {
        assert_ne!(world.run(&["approve", code]).code, 0, "a code from the future");
    }
    assert_eq!(server.session(&token).0, 401);

    // Forward ten years, where everything has expired and is purged.
    world.shim.set_clock(TEN_YEARS);
    assert_eq!(decision(&mut gate, "1"), "admit");
    assert_ne!(decision(&mut gate, "2"), "admit");
    for code in codes.iter().chain([&early]) {
        assert_ne!(world.run(&["approve", code]).code, 0, "an expired code");
    }
    assert_eq!(server.session(&token).0, 401);
    assert_eq!(world.claim(&used).unwrap_err(), "expired");
    let other = world.server();
    wait_for("the end of the sessions", || {
        let open = "SELECT count(*) FROM pairing_sessions WHERE revoked_at IS NULL";
        (world.home.sqlite(open).trim() == "0").then_some(())
    });
    drop(other);
    let late = code(&mut gate, "15");

    // And back.
    world.shim.set_clock(0);
    assert_eq!(decision(&mut gate, "1"), "admit");
    for code in codes.iter().chain([&early, &late]) {
        assert_ne!(world.run(&["approve", code]).code, 0, "it has expired");
    }
    // Expired grants stay expired: the sender is a stranger.
    let again = code(&mut gate, "2");
    for token in [&token, &lost] {
        assert_eq!(server.session(token).0, 401);
    }
    assert_eq!(world.claim(&used).unwrap_err(), "replayed");

    // Everyone can be paired again once the lockout of this test has ended.
    let _ = world.run(&["unlock", "cli"]);
    world.json(&["approve", &again]);
    wait_until_admitted(&mut gate, "2");
    let token = world.claim(&world.setup_code(&server)).unwrap();
    assert_eq!(server.session(&token).0, 200);
}

#[test]
fn a_clock_that_jumps_forward_and_back_does_not_shorten_a_lockout() {
    let world = World::new();
    let mut gate = Gate::start(world.command(&["gate", "--auto-challenge"]));
    let right = code(&mut gate, "1");
    let unknown = |number: u8| {
        nexo_pairing::PairingCode::from_random([number, 30, 30, 30, 30, 30, 30]).as_str().to_owned()
    };
    for number in 0..4 {
        assert_eq!(world.refused(&["approve", &unknown(number)]), "unknown_code");
    }
    assert_eq!(world.refused(&["approve", &unknown(4)]), "locked_out");
    // Ten minutes on, it is over; back, it is not.
    world.shim.set_clock(601);
    assert_eq!(world.refused(&["approve", &unknown(5)]), "unknown_code");
    world.shim.set_clock(0);
    assert_eq!(world.refused(&["approve", &right]), "locked_out");
}
