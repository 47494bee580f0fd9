//! Eight processes on one database, operators and gates, without a pause: no command fails because the
//! database is locked, no cap is exceeded, and every gate sees the last change within 50 ms.
//!
//! `NEXO_PAIRING_STRESS_SECONDS` sets how long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nexo_pairing_tests::{Gate, Home, message, rounds};
use serde_json::Value;

/// How many of each there are.
const GATES: usize = 4;
const OPERATORS: usize = 4;

/// Within what time a change has to be seen on an idle machine.
const LIMIT: Duration = Duration::from_millis(50);

/// How long the processes work between two checks of the gates.
const ROUND: Duration = Duration::from_secs(1);

const CAP: u64 = 3;

/// Counts of the whole run.
#[derive(Debug, Default)]
struct Counts {
    admitted: AtomicU64,
    challenged: AtomicU64,
    dropped: AtomicU64,
    done: AtomicU64,
    refused: AtomicU64,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Strangers and known senders write on all accounts, without a pause.
fn screen(gate: &mut Gate, number: usize, is_over: &AtomicBool, counts: &Counts) {
    for message_number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let account = format!("account_{}", message_number % 5);
        let id = (1000 + (message_number * 7 + number * 13) % 40).to_string();
        let answer = gate.send(&message("telegram", &account, &id)).remove(0);
        assert!(answer.get("error").is_none(), "{answer}");
        match answer["decision"].as_str().unwrap() {
            "admit" => add(&counts.admitted),
            "challenge" => add(&counts.challenged),
            _ => add(&counts.dropped),
        }
    }
}

/// One command after the other, on the same accounts.
fn operate(home: &Home, number: usize, is_over: &AtomicBool, counts: &Counts) {
    for turn in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let account = format!("account_{}", (turn + number) % 5);
        let person = format!("telegram:{}", 1000 + (turn * 11 + number) % 40);
        let (_, id) = person.split_once(':').unwrap();
        let listed;
        let args = match turn % 6 {
            0 | 3 => {
                listed = home.json(&["list", "--account", &account]);
                let pending = listed["pending"].as_array().unwrap();
                assert!(pending.len() as u64 <= CAP, "the cap is exceeded: {listed}");
                let Some(code) = pending.first().and_then(|it| it["code"].as_str()) else {
                    continue;
                };
                vec![if turn % 6 == 0 { "approve" } else { "reject" }, code]
            }
            1 => vec!["seed", "telegram", &account, id],
            2 => vec!["revoke", &person],
            4 => vec!["block", &person, "--account", &account],
            _ => vec!["unblock", &person, "--account", &account],
        };
        let output = home.run(&[&args[..], &["--json"]].concat());
        match output.code {
            0 => add(&counts.done),
            // Another operator was faster, or there is nothing to revoke.
            1 => add(&counts.refused),
            // A locked database, for example.
            _ => panic!("{args:?}: {output:?}"),
        }
    }
}

/// Seeds or blocks a sender while the machine is idle, and measures until when each gate decides
/// as before.
fn converge(home: &Home, gates: &mut [Gate], number: u32) -> Duration {
    let id = (5000 + number).to_string();
    let line = message("telegram", "allowed", &id);
    let mut worst = Duration::ZERO;
    let steps: [(&[&str], &str); 2] = [
        (&["seed", "telegram", "allowed", &id], "admit"),
        (&["block", &format!("telegram:{id}")], "drop"),
    ];
    for (args, decision) in steps {
        home.json(args);
        let done = Instant::now();
        thread::scope(|scope| {
            let seen = |gate: &mut Gate| loop {
                let said = Instant::now();
                let answer: Value = gate.ask(&line);
                if answer["decision"] == decision {
                    return said.saturating_duration_since(done);
                }
                assert!(said.duration_since(done) < Duration::from_secs(20), "never: {answer}");
            };
            let gates: Vec<_> =
                gates.iter_mut().map(|gate| scope.spawn(move || seen(gate))).collect();
            let times = gates.into_iter().map(|gate| gate.join().unwrap());
            worst = times.fold(worst, Duration::max);
        });
    }
    worst
}

#[test]
fn four_gates_and_four_operators_without_pause() {
    let accounts = (0..5).map(|number| {
        format!("  - {{ channel: telegram, account: account_{number}, mode: pairing }}\n")
    });
    let accounts: String = accounts.collect();
    let home = Home::configured(&format!(
        "accounts:\n{accounts}  - {{ channel: telegram, account: allowed, mode: allowlist }}"
    ));
    // The gate that creates the database reports it; these find it.
    assert_eq!(home.run_with(&["gate"], "").code, 0);
    let mut gates: Vec<Gate> = (0..GATES).map(|_| home.gate(&[])).collect();
    let counts = Counts::default();
    let mut times = Vec::new();
    for number in 0..rounds("NEXO_PAIRING_STRESS_SECONDS", 8) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (home, is_over, counts) = (&home, &is_over, &counts);
            for (number, gate) in gates.iter_mut().enumerate() {
                scope.spawn(move || screen(gate, number, is_over, counts));
            }
            for number in 0..OPERATORS {
                scope.spawn(move || operate(home, number, is_over, counts));
            }
            thread::sleep(ROUND);
            is_over.store(true, Ordering::Relaxed);
        });
        let mut time = converge(&home, &mut gates, 3 * number);
        for again in 1..3 {
            // A busy machine can miss any number of milliseconds.
            if time >= LIMIT {
                time = converge(&home, &mut gates, 3 * number + again);
            }
        }
        times.push(time);
        let most = home.sqlite(
            "SELECT coalesce(max(n), 0) FROM
                (SELECT count(*) AS n FROM pairing_pending GROUP BY channel, account_id)",
        );
        assert!(most.trim().parse::<u64>().unwrap() <= CAP, "the cap is exceeded: {most}");
    }
    for gate in gates {
        let output = gate.end();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    }
    times.sort_unstable();
    let (worst, median) = (times[times.len() - 1], times[times.len() / 2]);
    println!("{counts:?}; a gate decided as before for at most {worst:?} (median {median:?})");
    assert!(counts.challenged.into_inner() > 0 && counts.done.into_inner() > 0, "nothing happened");
    assert!(worst < LIMIT, "{times:?}");
    assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
}
