//! `gate` on a pipe while another process holds the write lock: known senders are answered at once, and
//! the lines of one sender keep their order.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nexo_pairing_tests::{Gate, Home, WriteLock, message};
use rustix::process::Signal;
use serde_json::{Value, json};

const FRIEND: &str = "+5491155556666";
const LID: &str = "123456789012345@lid";

/// A gate with a known sender, which has loaded its lists.
fn gate() -> (Home, Gate) {
    let home = Home::configured("gate: { mode: pairing }");
    home.json(&["seed", "whatsapp", "personal", FRIEND]);
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&line(FRIEND))["decision"], "admit");
    // Two lines so far: this one, and the helper's own. The next is the third.
    (home, gate)
}

fn line(from: &str) -> Value {
    message("whatsapp", "personal", from)
}

/// How many lines wait for the store at most.
const ROOM: usize = 16_384;

fn stranger(number: usize) -> String {
    format!("+54911444{number:05}")
}

/// A line's number, its sender, and its decision.
fn outline(answer: &Value) -> Value {
    if let Some(error) = answer.get("error") {
        return json!([error["line"], error["kind"]]);
    }
    let what = answer.get("reason").unwrap_or(&answer["decision"]);
    json!([answer["line"], answer["sender"], what])
}

#[test]
fn a_known_sender_behind_strangers_does_not_wait_for_the_lock() {
    let (home, mut gate) = gate();
    let lock = WriteLock::take(&home);
    let senders = [&stranger(1), &stranger(2), &stranger(3), &stranger(4), FRIEND];
    gate.write(senders.map(|from| format!("{}\n", line(from))).concat());
    assert_eq!(outline(&gate.read()), json!([7, FRIEND, "admit"]));
    assert_eq!(gate.unread(), [] as [Value; 0], "a stranger was answered without the store");

    lock.release();
    for (number, sender) in (3..).zip(&senders[..3]) {
        assert_eq!(outline(&gate.read()), json!([number, sender, "challenge"]));
        let outbound = gate.read();
        assert_eq!(outbound["line"], number);
        assert_eq!(outbound["outbound"]["payload"]["to"], **sender);
    }
    assert_eq!(outline(&gate.read()), json!([6, senders[3], "pending_full"]));
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_line_waits_behind_its_own_sender_by_any_id() {
    let (home, mut gate) = gate();
    let lock = WriteLock::take(&home);
    let stranger = stranger(1);
    let mut with_alt = line(LID);
    with_alt["alt"] = json!([stranger]);
    let bare = stranger.trim_start_matches('+');
    let lines = [
        line(&stranger),
        line(&format!("{bare}@c.us")),
        with_alt,
        line(LID),
        // A group message is decided from memory, but not before its sender's earlier lines.
        json!({"channel": "whatsapp", "account": "personal", "from": LID, "is_group": true}),
        line(FRIEND),
    ];
    gate.write(lines.iter().fold(String::new(), |text, line| format!("{text}{line}\n")));
    assert_eq!(outline(&gate.read()), json!([8, FRIEND, "admit"]));
    lock.release();
    let answers: Vec<Value> = (0..7).map(|_| gate.read()).collect();
    let decisions = answers.iter().filter(|answer| answer.get("outbound").is_none());
    let decisions: Vec<Value> = decisions.map(outline).collect();
    let expected = json!([
        [3, stranger, "challenge"],
        [4, stranger, "already_challenged"],
        [5, "lid:123456789012345", "already_challenged"],
        [6, "lid:123456789012345", "challenge"],
        [7, "lid:123456789012345", "not_direct"],
    ]);
    assert_eq!(json!(decisions), expected);
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_known_sender_in_a_flood_is_answered_before_all_strangers() {
    let (home, mut gate) = gate();
    let lock = WriteLock::take(&home);
    // More than wait.
    let strangers = ROOM + 476;
    let mut text = String::new();
    let mut friends = Vec::new();
    for number in 0..strangers {
        writeln!(text, "{}", line(&stranger(number))).unwrap();
        if number % 843 == 842 {
            writeln!(text, "{}", line(FRIEND)).unwrap();
            friends.push(text.lines().count() + 2);
        }
    }
    gate.write(&text);
    let mut refused = Vec::new();
    let mut admitted = Vec::new();
    while admitted.len() < friends.len() {
        let answer = gate.read();
        match answer.get("error") {
            Some(error) => {
                assert_eq!(error["kind"], "overloaded", "{answer}");
                refused.push(error["line"].as_u64().unwrap());
            }
            None => {
                assert_eq!(outline(&answer), json!([friends[admitted.len()], FRIEND, "admit"]));
                admitted.push(answer);
            }
        }
    }
    lock.release();
    let output = gate.end();
    assert_eq!(output.code, 1, "rejected lines count as errors");
    let (mut challenged, mut dropped) = (0, 0);
    for answer in output.answers().iter().filter(|answer| answer.get("outbound").is_none()) {
        match (answer["decision"].as_str(), answer["reason"].as_str()) {
            (Some("challenge"), None) => challenged += 1,
            (Some("drop"), Some("pending_full")) => dropped += 1,
            _ => {
                assert_eq!(answer["error"]["kind"], "overloaded", "{answer}");
                refused.push(answer["error"]["line"].as_u64().unwrap());
            }
        }
    }
    assert_eq!((challenged, dropped, refused.len()), (3, ROOM - 3, 476));
    assert!(
        refused.is_sorted() && refused[0] > ROOM as u64,
        "only lines that arrive while it is full are rejected"
    );
}

/// Lines of strangers on an account each, so that each needs the store, and one of the known sender.
fn crowd(strangers: usize) -> String {
    let friend = line(FRIEND);
    let strangers =
        (0..strangers).map(|number| message("whatsapp", &format!("a{number}"), &stranger(number)));
    strangers.chain([friend]).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_known_sender_behind_three_thousand_strangers_does_not_wait_and_no_line_is_rejected() {
    const STRANGERS: usize = 3000;
    let (home, mut gate) = gate();
    let lock = WriteLock::take(&home);
    gate.write(crowd(STRANGERS));
    assert_eq!(outline(&gate.read()), json!([STRANGERS + 3, FRIEND, "admit"]));
    assert_eq!(gate.unread(), [] as [Value; 0], "a stranger was answered without the store");
    lock.release();
    let output = gate.end();
    assert_eq!(output.code, 0);
    let answers = output.answers();
    let challenges = answers.iter().filter(|answer| answer["decision"] == "challenge");
    let lines = challenges.map(|answer| answer["line"].as_u64().unwrap());
    assert!(lines.eq(3..3 + STRANGERS as u64), "each is challenged, in order");
}

#[test]
fn a_known_sender_behind_a_full_queue_passes_an_intermittent_lock() {
    const BEYOND: usize = 3600;
    let (home, mut gate) = gate();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // It also ends by itself, so that a failing test does not wait for it.
            for _ in (0..100).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let lock = WriteLock::take(&home);
                // This is only load; its answers are not checked.
                thread::sleep(Duration::from_millis(900));
                lock.release();
            }
        });
        gate.write(crowd(ROOM + BEYOND));
        let mut decided = 0;
        loop {
            let answer = gate.read();
            if answer["sender"] == FRIEND {
                assert_eq!(answer["decision"], "admit");
                break;
            }
            decided += usize::from(answer.get("decision").is_some());
            assert!(decided <= BEYOND + 2000, "it waited behind the strangers");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn shutdown_answers_the_waiting_lines() {
    let (home, mut gate) = gate();
    let lock = WriteLock::take(&home);
    let senders = [&stranger(1), &stranger(2), FRIEND];
    gate.write(senders.map(|from| format!("{}\n", line(from))).concat());
    assert_eq!(outline(&gate.read()), json!([5, FRIEND, "admit"]));
    gate.signal(Signal::TERM);
    lock.release();
    let output = gate.wait();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let answers: Vec<Value> = output.answers().iter().step_by(2).map(outline).collect();
    let expected = [json!([3, senders[0], "challenge"]), json!([4, senders[1], "challenge"])];
    assert_eq!(answers, expected);
    assert_eq!(home.json(&["list"])["pending"].as_array().unwrap().len(), 2);
}
