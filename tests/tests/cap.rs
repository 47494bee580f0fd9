//! The cap on pending requests holds under concurrency: exactly three, and no error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Barrier};
use std::thread;

use nexo_pairing::{Decision, DropReason, Filter, Mode, PairingGate, PairingPolicy, PairingStore};
use nexo_pairing_tests::{Home, message, wait_for};
use serde_json::Value;

/// How often each race is run.
const ROUNDS: usize = 10;

/// How many requests an account may have pending, by default.
const CAP: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_tasks_of_one_gate_get_three_codes() {
    let home = Home::new();
    let store = Arc::new(PairingStore::open(home.database()).await.unwrap());
    let gate = Arc::new(PairingGate::new(store.clone()));
    for round in 0..ROUNDS {
        let gates = (0..50).map(|_| gate.clone()).collect();
        race(gates, &format!("round_{round}"), &store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_tasks_of_five_gates_with_stores_of_their_own_get_three_codes() {
    let home = Home::new();
    let mut stores = Vec::new();
    for _ in 0..5 {
        stores.push(Arc::new(PairingStore::open(home.database()).await.unwrap()));
    }
    let gates: Vec<_> =
        stores.iter().map(|store| Arc::new(PairingGate::new(store.clone()))).collect();
    for round in 0..ROUNDS {
        let gates = gates.iter().cycle().take(50).cloned().collect();
        race(gates, &format!("round_{round}"), &stores[0]).await;
    }
}

/// Has a stranger write to each gate at once.
async fn race(gates: Vec<Arc<PairingGate>>, account: &str, store: &PairingStore) {
    let (mut tasks, start) = (Vec::new(), Arc::new(tokio::sync::Barrier::new(gates.len())));
    for (number, gate) in gates.into_iter().enumerate() {
        let (account, start) = (account.to_owned(), start.clone());
        tasks.push(tokio::spawn(async move {
            let policy = PairingPolicy::new(Mode::Pairing);
            let sender = format!("+5491155{number:06}");
            start.wait().await;
            gate.should_admit("whatsapp", &account, &sender, &policy, None).await
        }));
    }
    let (mut challenged, mut full) = (0, 0);
    for task in tasks {
        match task.await.unwrap().unwrap() {
            Decision::Challenge { .. } => challenged += 1,
            Decision::Drop(DropReason::PendingFull) => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((challenged, full), (CAP, 50 - CAP));
    let pending = store.list_pending(&Filter::all().with_account(account.parse().unwrap())).await;
    assert_eq!(pending.unwrap().len(), CAP);
}

#[test]
fn eight_processes_get_three_codes() {
    const PROCESSES: usize = 8;
    const STRANGERS: usize = 5;
    let home = Home::new();
    home.json(&["seed", "telegram", "warm", "1194292426"]);
    let start = Barrier::new(PROCESSES);
    let answers: Vec<Vec<Vec<Value>>> = thread::scope(|scope| {
        let process = |number: usize| {
            let mut gate = home.gate(&["--auto-challenge"]);
            let start = &start;
            scope.spawn(move || {
                // A known sender: the gate has loaded its lists and decides from memory.
                let known = gate.ask(&message("telegram", "warm", "1194292426"));
                assert_eq!(known["decision"], "admit", "{known}");
                let mut answers = Vec::new();
                for round in 0..ROUNDS {
                    let strangers = (0..STRANGERS).map(|stranger| {
                        let id = (1_000_000 + number * 1000 + stranger).to_string();
                        format!("{}\n", message("telegram", &format!("round_{round}"), &id))
                    });
                    let lines: String = strangers.collect();
                    start.wait();
                    gate.write(lines);
                    answers.push(gate.sync());
                }
                let output = gate.end();
                assert_eq!((output.code, output.stderr.as_str()), (0, ""));
                answers
            })
        };
        let processes: Vec<_> = (0..PROCESSES).map(process).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    for round in 0..ROUNDS {
        let answers = || answers.iter().flat_map(|process| &process[round]);
        let count = |field: &str, value: &str| answers().filter(|a| a[field] == value).count();
        assert_eq!(count("decision", "challenge"), CAP, "round {round}");
        assert_eq!(count("reason", "pending_full"), PROCESSES * STRANGERS - CAP, "round {round}");
        let sent = answers().filter(|answer| answer.get("outbound").is_some()).count();
        assert_eq!(sent, CAP, "round {round}");
        assert!(answers().all(|answer| answer.get("error").is_none()), "round {round}");
        let account = format!("round_{round}");
        let listed = home.json(&["list", "--account", &account]);
        assert_eq!(listed["pending"].as_array().unwrap().len(), CAP, "{listed}");
    }
}

#[test]
fn invented_accounts_share_one_cap() {
    const TOTAL: usize = 4096;
    const BEYOND: usize = 1000;
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    let strangers = (0..TOTAL + BEYOND)
        .map(|number| format!("{}\n", message("telegram", &format!("a{number}"), "1194292426")));
    gate.write(strangers.collect::<String>());
    let answers = gate.sync();
    let count = |field: &str, value: &str| answers.iter().filter(|a| a[field] == value).count();
    assert_eq!((count("decision", "challenge"), count("reason", "pending_full")), (TOTAL, BEYOND));
    // A freed place is used again.
    home.json(&["block", "telegram:1194292426", "--account", "a7"]);
    let next = || message("telegram", "another", "1194292427");
    wait_for("a free place", || (gate.send(&next())[0]["decision"] == "challenge").then_some(()));
    assert_eq!(gate.ask(&message("telegram", "one_more", "1194292428"))["reason"], "pending_full");
    assert_eq!(home.sqlite("SELECT count(*) FROM pairing_pending"), format!("{TOTAL}\n"));
    // 22,910 of them took 96 MB before.
    assert!(gate.memory() < 64 << 10, "{} kB", gate.memory());
    assert_eq!(gate.end().code, 0);
}
