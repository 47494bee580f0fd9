//! A running gate decides by the changes of another process within 50 ms.
//!
//! A message is sent repeatedly, each a millisecond after the answer to the one before it, while
//! the other process runs. The measurement begins when that process reports that it is done, so that its
//! change is committed. These tests run alone: a busy machine delays every process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nexo_pairing_tests::{Gate, Home, message};
use serde_json::Value;

/// Within what time a change has to be seen.
const LIMIT: Duration = Duration::from_millis(50);

/// The pause after an answer, so that the other process gets a processor.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a test waits for a change.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// How often each change is measured.
const TIMES: usize = 20;

/// Under `cargo test` the tests of a file would run beside each other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn freshness_of_what_nexo_pair_changes() {
    let _alone = alone();
    // Without challenges, a decision after a revocation comes from memory like the others.
    let home = Home::configured(
        "accounts:
  - { channel: whatsapp, account: open_door, mode: pairing }
  - { channel: whatsapp, account: closed_door, mode: allowlist }",
    );
    let mut gate = home.gate(&[]);
    let [mut approved, mut seeded, mut revoked, mut blocked] =
        ["approve", "seed", "revoke", "block"].map(|what| Times::of(&format!("nexo-pair {what}")));
    for number in 0..TIMES {
        let id = format!("+54911555500{number:02}");
        let person = format!("whatsapp:{id}");
        let open = message("whatsapp", "open_door", &id);
        let code = gate.send(&open)[0]["code"].as_str().unwrap().to_owned();
        approved.add(&mut gate, &open, "admit", home.command(&["approve", &code]));
        let closed = message("whatsapp", "closed_door", &id);
        let seed = home.command(&["seed", "whatsapp", "closed_door", &id]);
        seeded.add(&mut gate, &closed, "admit", seed);
        let revoke = home.command(&["revoke", &person, "--account", "closed_door"]);
        revoked.add(&mut gate, &closed, "drop not_allowed", revoke);
        blocked.add(&mut gate, &open, "drop blocked", home.command(&["block", &person]));
    }
    for times in [approved, seeded, revoked, blocked] {
        times.check();
    }
}

#[test]
fn freshness_of_what_the_sqlite3_program_changes() {
    let _alone = alone();
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    let [mut granted, mut revoked, mut blocked] =
        ["a grant", "a revocation", "a block"].map(|what| Times::of(&format!("sqlite3, {what}")));
    for number in 0..TIMES {
        let id = format!("+54911555700{number:02}");
        let line = message("whatsapp", "personal", &id);
        gate.send(&line);
        let grant = format!(
            "INSERT INTO pairing_allow_from (channel, account_id, sender_id, approved_at)
                VALUES ('whatsapp', 'personal', '{id}', strftime('%s', 'now'))"
        );
        granted.add(&mut gate, &line, "admit", sqlite3(&home, &grant));
        // The request still exists: the sender gets no new code.
        let revoke = format!(
            "UPDATE pairing_allow_from SET revoked_at = strftime('%s', 'now')
                WHERE sender_id = '{id}'"
        );
        revoked.add(&mut gate, &line, "drop already_challenged", sqlite3(&home, &revoke));
        let block = format!(
            "INSERT INTO pairing_blocked (channel, account_id, sender_id, blocked_at, blocked_via)
                VALUES ('whatsapp', '*', '{id}', strftime('%s', 'now'), 'sqlite3')"
        );
        blocked.add(&mut gate, &line, "drop blocked", sqlite3(&home, &block));
        home.sqlite("DELETE FROM pairing_pending");
        // The next stranger finds a free place.
        let next = message("whatsapp", "personal", &format!("+54911555800{number:02}"));
        gate.send_until_not(&answer("drop pending_full"), &next);
        home.sqlite("DELETE FROM pairing_pending");
    }
    for times in [granted, revoked, blocked] {
        times.check();
    }
}

fn sqlite3(home: &Home, sql: &str) -> Command {
    let database = home.database();
    let sql = format!("{sql}; SELECT 'done';");
    let args = ["-batch", "-bail", "-init", "/dev/null", "-cmd", ".timeout 10000"];
    let args = [&args[..], &[database.to_str().unwrap(), &sql]].concat();
    home.in_home(Command::new("sqlite3"), &args)
}

/// The decision and the reason of an answer.
fn answer(kind: &str) -> Value {
    let (decision, reason) = kind.split_once(' ').unwrap_or((kind, ""));
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    serde_json::json!({"decision": decision, "reason": reason})
}

fn is(answered: &Value, kind: &str) -> bool {
    let expected = answer(kind);
    answered["decision"] == expected["decision"] && answered["reason"] == expected["reason"]
}

/// How long each change took to be seen.
struct Times {
    what: String,
    /// From the report of the other process that it is done to the last message that was still decided
    /// as before.
    stale: Vec<Duration>,
    /// From that report to the first different answer, including the time that an answer takes.
    answered: Vec<Duration>,
    /// From the start of the other process to that answer.
    in_all: Vec<Duration>,
}

impl Times {
    fn of(what: &str) -> Self {
        let [stale, answered, in_all] = [const { Vec::new() }; 3];
        Self { what: what.to_owned(), stale, answered, in_all }
    }

    /// Runs the change while the sender writes, until the answer differs.
    fn add(&mut self, gate: &mut Gate, message: &Value, new: &str, change: Command) {
        let line = format!("{message}\n");
        let first = ask(gate, &line).1;
        assert!(!is(&first, new), "{}: nothing would change: {first}", self.what);
        let begun = Instant::now();
        thread::scope(|scope| {
            let changer = scope.spawn(move || run(change));
            let mut last_old = begun;
            let seen = loop {
                thread::sleep(PAUSE);
                let said = Instant::now();
                let (at, answered) = ask(gate, &line);
                // If it never comes, the reason is in the other process, which is checked below.
                if is(&answered, new) || at.duration_since(begun) > GIVEN_UP {
                    break at;
                }
                assert!(is_same(&answered, &first), "{}: {answered}", self.what);
                last_old = said;
            };
            let done = changer.join().unwrap();
            self.stale.push(last_old.saturating_duration_since(done));
            self.answered.push(seen.saturating_duration_since(done));
            self.in_all.push(seen - begun);
        });
    }

    /// No message that is sent after the limit is decided as before. How long its answer takes depends
    /// on the load of the machine; half of the answers are within the limit, too.
    fn check(mut self) {
        for times in [&mut self.stale, &mut self.answered, &mut self.in_all] {
            assert_eq!(times.len(), TIMES);
            times.sort_unstable();
        }
        let (worst, median) = (TIMES - 1, TIMES / 2);
        println!(
            "{}, {TIMES} times: at worst decided as before until {:?} after it was done, answered \
             anew after {:?} (median {:?}), {:?} after its process was started",
            self.what,
            self.stale[worst],
            self.answered[worst],
            self.answered[median],
            self.in_all[worst],
        );
        assert!(self.stale[worst] < LIMIT, "{}: {:?}", self.what, self.stale);
        assert!(self.answered[median] < LIMIT, "{}: {:?}", self.what, self.answered);
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["decision"] == other["decision"] && one["reason"] == other["reason"]
}

/// Sends a line and returns the first answer, and when it came.
fn ask(gate: &mut Gate, line: &str) -> (Instant, Value) {
    gate.write(line);
    gate.read_timed()
}

/// Runs a change and returns when it reported that it was done.
fn run(mut change: Command) -> Instant {
    let mut child = change.spawn().unwrap();
    let mut said = [0; 1];
    let answered = child.stdout.take().unwrap().read_exact(&mut said);
    let done = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(answered.is_ok() && output.status.success(), "{output:?}");
    done
}
