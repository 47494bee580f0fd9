//! The wall clock jumps back a day, forward ten years, and back: under a gate and a server that run, and
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

    /// The kind of the error that a command ends with.
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

    /// What a companion gets for a setup code, on the same clock: its session token, or what it is told.
    fn claim(&self, payload: &str) -> Result<String, String> {
        let home = Home::new();
        let claim = self.shim.under(home.command(&["claim", "--json"]));
        let output = Output::of_with(claim, payload).unwrap();
        if output.code != 0 {
            return Err(output.error()["kind"].as_str().unwrap().to_owned());
        }
        let told = output.json();
        let file = told["session_file"].as_str().unwrap();
        Ok(std::fs::read_to_string(file).unwrap().trim().to_owned())
    }
}

/// What a gate says to a message on the account `main`.
fn said(gate: &mut Gate, from: &str) -> String {
    let answer = gate.say(&message("telegram", "main", from)).remove(0);
    let told = answer["reason"].as_str().or_else(|| answer["decision"].as_str());
    told.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn code(gate: &mut Gate, from: &str) -> String {
    let answer = gate.say(&message("telegram", "main", from)).remove(0);
    answer["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Waits until the gate knows what a command did.
fn is_let_in(gate: &mut Gate, from: &str) {
    wait_for("a grant", || (said(gate, from) == "admit").then_some(()));
}

#[test]
fn nothing_is_revived_and_nothing_is_stuck_when_the_clock_jumps() {
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
    is_let_in(&mut gate, "1");
    is_let_in(&mut gate, "2");
    assert_eq!(said(&mut gate, "14"), "pending_full");

    // Back a day: what begins in the future does not hold, and takes nobody's place.
    world.shim.set_clock(-DAY);
    assert_eq!(said(&mut gate, "1"), "admit", "a grant for good holds whenever it was given");
    assert_eq!(server.session(&token).0, 401);
    let early = code(&mut gate, "14");
    assert_ne!(said(&mut gate, "2"), "admit");
    for code in &codes {
        assert_ne!(world.run(&["approve", code]).code, 0, "a code from the future");
    }
    assert_eq!(server.session(&token).0, 401);

    // Forward ten years, where everything is put away that has run out.
    world.shim.set_clock(TEN_YEARS);
    assert_eq!(said(&mut gate, "1"), "admit");
    assert_ne!(said(&mut gate, "2"), "admit");
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
    assert_eq!(said(&mut gate, "1"), "admit");
    for code in codes.iter().chain([&early, &late]) {
        assert_ne!(world.run(&["approve", code]).code, 0, "it is over");
    }
    // What has ended stays so: he is a stranger.
    let again = code(&mut gate, "2");
    for token in [&token, &lost] {
        assert_eq!(server.session(token).0, 401);
    }
    assert_eq!(world.claim(&used).unwrap_err(), "replayed");

    // Everybody can be paired anew, once what was tried here is forgiven.
    let _ = world.run(&["unlock", "cli"]);
    world.json(&["approve", &again]);
    is_let_in(&mut gate, "2");
    let token = world.claim(&world.setup_code(&server)).unwrap();
    assert_eq!(server.session(&token).0, 200);
}

#[test]
fn a_lockout_is_not_shortened_by_a_clock_that_goes_on_and_comes_back() {
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
