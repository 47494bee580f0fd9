//! `gate` as a process: when it answers, in which order, what it needs, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use nexo_pairing_tests::{DEADLINE, Gate, Home, line_of, message, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

fn line(from: &str) -> Value {
    message("whatsapp", "personal", from)
}

#[test]
fn each_line_is_answered_before_the_next_is_written() {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let mut gate = home.gate(&["--auto-challenge"]);
    for _ in 0..50 {
        gate.write(format!("{}\n", line("5491155556666@c.us")));
        assert_eq!(gate.read()["decision"], "admit");
    }
    gate.write(format!("{}\n", line("5491155557777@c.us")));
    assert_eq!(gate.read()["decision"], "challenge");
    assert!(gate.read().get("outbound").is_some());
    // Half a line waits for the rest; a blank one has no answer.
    let text = line("5491155556666@c.us").to_string();
    let (begin, end) = text.split_at(20);
    gate.write(begin);
    gate.write(format!("{end}\r\n\n  \n"));
    assert_eq!(gate.read()["decision"], "admit");
    gate.write("nonsense\n");
    assert_eq!(gate.read()["error"]["line"], 55);
    assert_eq!(gate.end().code, 1);
}

#[test]
fn the_last_line_needs_no_newline() {
    let home = Home::new();
    let output = home.run_with(&["gate", "--open"], line("5491155556666@c.us").to_string());
    assert_eq!(output.code, 0);
    assert_eq!(output.json()["decision"], "admit");
    let output = home.run_with(&["gate", "--open"], "");
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));
}

#[test]
fn bad_lines_are_reported_by_number_and_the_rest_is_answered() {
    let home = Home::new();
    let good = line("5491155556666@c.us").to_string();
    let lines = [
        good.as_bytes(),
        b"{",
        good.as_bytes(),
        b"\xff\xfe",
        br#"{"channel":"whatsapp"}"#,
        b"",
        br#"{"topic":"elsewhere","payload":{}}"#,
        br#"{"channel":"whatsapp","from":"5491155556666","is_group":"no"}"#,
        good.as_bytes(),
    ];
    let output = home.run_with(&["gate", "--open"], lines.join(&b'\n'));
    assert_eq!((output.code, output.stderr.as_str()), (1, ""));
    let reply: Vec<Value> = output.answers().iter().map(outline).collect();
    let expected = json!([
        "admit",
        [2, "invalid_json"],
        "admit",
        [4, "invalid_json"],
        [5, "no_sender"],
        [7, "invalid_topic"],
        [8, "invalid_field"],
        "admit",
    ]);
    assert_eq!(reply, *expected.as_array().unwrap());
}

/// An answer in short: its decision, or the line and the kind of its error.
fn outline(answer: &Value) -> Value {
    match answer.get("error") {
        Some(error) => json!([error["line"], error["kind"]]),
        None => answer["decision"].clone(),
    }
}

#[test]
fn nexo_events_are_read_and_plugin_notices_pass() {
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    let event = |topic: &str, payload: Value| {
        json!({
            "id": "0198c2f4-5f0e-7a41-9d0c-0f4be7a8c001", "timestamp": "2026-03-01T09:15:00Z",
            "topic": topic, "source": "plugin", "session_id": null, "payload": payload,
        })
    };
    let connected = json!({"kind": "connected"});
    let connected = event("plugin.inbound.whatsapp.personal", connected);
    assert_eq!(
        gate.ask(&connected),
        json!({
            "decision": "admit", "reason": "notice", "channel": "whatsapp", "account": "personal",
            "sender": null, "event": connected, "line": 1,
        })
    );
    let from = json!({"kind": "message", "from": "5491155556666@c.us", "text": "hi"});
    let answers = gate.send(&event("plugin.inbound.whatsapp", from));
    assert_eq!(answers[0]["account"], "default");
    assert_eq!(answers[1]["outbound"]["topic"], "plugin.outbound.whatsapp");
    // An event with text and without a sender is not a notice.
    let text = json!({"kind": "connected", "text": "let me in"});
    let answer = gate.ask(&event("plugin.inbound.whatsapp", text));
    assert_eq!(answer["error"]["kind"], "no_sender");
    assert_eq!(gate.end().code, 1);
}

#[test]
fn answers_name_their_lines_and_keep_the_order_of_each_sender() {
    let home = Home::new();
    let known: Vec<String> = (0..100).map(|n| format!("+5491155550{n:03}")).collect();
    let mut seed = vec!["seed", "whatsapp", "personal"];
    seed.extend(known.iter().step_by(2).map(String::as_str));
    home.json(&seed);
    let mut input = String::new();
    let senders = known.iter().cycle().take(1000);
    for sender in senders.clone() {
        writeln!(input, "{}", line(sender)).unwrap();
    }
    let output = home.run_with(&["gate", "--auto-challenge"], input);
    let by_line = output.answers();
    let decisions = by_line.iter().filter(|answer| !is_outbound(answer));
    let numbers = decisions.clone().map(|answer| answer["line"].as_u64().unwrap());
    assert!(numbers.eq(1..=1000));
    let answered = decisions.map(|answer| answer["sender"].as_str().unwrap());
    assert!(answered.eq(senders.map(String::as_str)));
    let as_written = output.lines();
    for sender in &known {
        let own = as_written.iter().filter(|answer| answer["sender"] == sender.as_str());
        assert!(own.map(line_of).is_sorted(), "{sender}");
    }
    // The text of a challenge comes right after it.
    for (index, answer) in as_written.iter().enumerate() {
        let is_challenge = answer["decision"] == "challenge";
        let next = as_written.get(index + 1).filter(|next| is_outbound(next));
        assert_eq!(next.is_some(), is_challenge, "{answer}");
        assert!(next.is_none_or(|next| line_of(next) == line_of(answer)), "{answer}");
    }
}

fn is_outbound(answer: &Value) -> bool {
    answer.get("outbound").is_some()
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut gate = home.gate(&["--auto-challenge"]);
        assert_eq!(gate.send(&line("5491155556666@c.us"))[0]["decision"], "challenge");
        gate.signal(signal);
        // Its input stays open: the signal ends it.
        let output = gate.wait();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{signal:?}");
        assert_eq!(home.json(&["list"])["pending"].as_array().unwrap().len(), 1);
        assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
    }
}

#[test]
fn a_signal_during_a_flood_ends_it_after_a_whole_line() {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let mut command = home.command(&["gate", "--auto-challenge"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let text = format!("{}\n", line("5491155556666@c.us")).repeat(100);
    // It ends once its output is closed.
    let writer = thread::spawn(move || while stdin.write_all(text.as_bytes()).is_ok() {});
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 4096];
    std::io::Read::read_exact(&mut stdout, &mut first).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let answers = [&first[..], &rest].concat();
    assert!(answers.ends_with(b"\n"));
    for answer in String::from_utf8(answers).unwrap().lines() {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["decision"], "admit");
    }
}

#[test]
fn a_reload_applies_a_valid_configuration_and_keeps_the_old_one_otherwise() {
    let home = Home::configured("gate:\n  mode: open");
    let mut gate = home.gate(&[]);
    let stranger = line("5491155556666@c.us");
    assert_eq!(gate.ask(&stranger)["decision"], "admit");
    let heard = |gate: &Gate, what: &str| {
        gate.signal(Signal::HUP);
        wait_for(what, || gate.stderr().contains(what).then_some(()));
    };

    home.configure("gate:\n  mode: allowlist");
    assert_eq!(gate.ask(&stranger)["decision"], "admit", "no reload was requested yet");
    heard(&gate, "the configuration was read again");
    assert_eq!(gate.ask(&stranger)["reason"], "not_allowed");

    home.configure("gate:\n  mod: open");
    heard(&gate, "the old configuration stays in force: unknown key `pairing.gate.mod`");
    assert_eq!(gate.ask(&stranger)["reason"], "not_allowed");

    home.configure("accounts:\n  - { channel: whatsapp, account: work, mode: allowlist }");
    gate.signal(Signal::HUP);
    let answers =
        gate.send_until_not(&json!({"decision": "drop", "reason": "not_allowed"}), &stranger);
    assert_eq!(answers[0]["reason"], "unknown_account");
    home.json(&["seed", "whatsapp", "work", "+5491155556666"]);
    let old = json!({"decision": "drop", "reason": "not_allowed"});
    let answers = gate.send_until_not(&old, &message("whatsapp", "work", "5491155556666"));
    assert_eq!(answers[0]["decision"], "admit", "{answers:?}");
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_closed_output_ends_it_silently() {
    let home = Home::new();
    let mut command = home.command(&["gate", "--open"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let text = format!("{}\n", line("5491155556666@c.us"));
    let since = Instant::now();
    // Until the other end of the pipe is closed.
    while stdin.write_all(text.as_bytes()).is_ok() {
        assert!(since.elapsed() < DEADLINE, "it goes on without a reader");
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn strangers_cause_one_warning_a_minute() {
    let home = Home::new();
    let lines = (0..100).map(|n| format!("{}\n", message("irc", &format!("network_{n}"), "ana")));
    let output = home.run_with(&["gate", "--auto-challenge"], lines.collect::<String>());
    assert_eq!((output.code, output.answers().len()), (0, 100), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("no code was sent on irc/network_0: "), "{}", output.stderr);
}

#[test]
fn a_channel_of_a_plugin_is_not_decided_on_a_pipe() {
    let home = Home::configured("gate: { mode: open }");
    // For the plugin, `evil` is 6.
    home.json(&["block", "pigeon:6", "--raw"]);
    let mut gate = home.gate(&[]);
    let evil = message("pigeon", "loft", "evil");
    assert_eq!(gate.ask(&evil)["decision"], "admit", "nothing says that evil has another name");
    let adapters = "gate: { mode: open }\nadapters: [{ channel: pigeon, prefix: plugin.pigeon }]";
    home.configure(adapters);
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the configuration was read again", 1);
    // New settings are applied between two batches.
    assert_eq!(gate.ask(&line("5491155556666@c.us"))["decision"], "admit");
    for mut gate in [gate, home.gate(&[]), home.gate(&["--dry-run"])] {
        let membership = json!({"kind": "chat_membership", "chat": "1", "changed_by": "evil"});
        let notice = json!({"topic": "plugin.inbound.pigeon.loft", "payload": membership});
        for event in [&evil, &message("pigeon", "loft", "6"), &notice] {
            let error = &gate.ask(event)["error"];
            assert_eq!(error["kind"], "adapter_unreachable", "{event}: {error}");
            let said = error["message"].as_str().unwrap();
            assert!(said.contains("pigeon is in pairing.adapters"), "{said}");
        }
        assert_eq!(gate.ask(&line("5491155556666@c.us"))["decision"], "admit", "others go on");
        assert_eq!(gate.end().code, 1);
    }
}

/// How many lines a gate gets before its memory is measured.
const MANY: usize = 100_000;

/// By how much its memory may vary, in kilobytes.
const PLAY: u64 = 4096;

#[test]
fn a_hundred_thousand_lines_are_answered_in_order_in_constant_memory() {
    let home = Home::new();
    let known: Vec<String> = (0..100).map(|n| (1_000_000 + n).to_string()).collect();
    let mut seed = vec!["seed", "telegram", "bot"];
    seed.extend(known.iter().map(String::as_str));
    home.json(&seed);
    let mut gate = home.gate(&["--auto-challenge"]);
    let warm = pass(&mut gate, "admit", known.iter().cycle().take(MANY / 10).cloned());
    let since = Instant::now();
    let after = pass(&mut gate, "admit", known.iter().cycle().take(MANY).cloned());
    println!("{MANY} lines in {:.1?}; {warm} kB before, {after} kB after", since.elapsed());
    assert!(after < warm + PLAY, "{warm} kB before, {after} kB after");
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_hundred_thousand_strangers_cost_no_memory() {
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    for stranger in ["7", "8", "9"] {
        let answers = gate.send(&message("telegram", "bot", stranger));
        assert_eq!(answers[0]["decision"], "challenge");
    }
    let strangers = |from: usize, to: usize| (from..to).map(|id| (1_000_000 + id).to_string());
    let warm = pass(&mut gate, "drop", strangers(0, MANY / 10));
    let after = pass(&mut gate, "drop", strangers(MANY / 10, MANY));
    println!("{MANY} strangers; {warm} kB before, {after} kB after");
    assert!(after < warm + PLAY, "{warm} kB before, {after} kB after");
}

/// Passes a line of each sender, all at once, and returns the gate's memory after that, in kilobytes.
fn pass(gate: &mut Gate, decision: &str, senders: impl Iterator<Item = String> + Clone) -> u64 {
    let mut text = String::new();
    for id in senders.clone() {
        writeln!(text, r#"{{"channel":"telegram","account":"bot","from":"{id}"}}"#).unwrap();
    }
    // The answers are read at the same time.
    gate.write(text);
    for id in senders {
        let answer = gate.read();
        assert_eq!((&answer["decision"], &answer["sender"]), (&json!(decision), &json!(id)));
    }
    gate.memory()
}
