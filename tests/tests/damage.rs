//! A database with a flipped bit admits no blocked sender.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nexo_pairing::{
    Decision, DropReason, Mode, PairingError, PairingGate, PairingPolicy, PairingStore,
    StoreOptions,
};
use nexo_pairing_tests::{DEADLINE, Gate, Home, message, wait_for};

const PAGE: usize = 4096;
const BLOCKED: &str = "+5491155550002";
const BLOCKED_ON_ONE: &str = "+5491155559992";

/// A database that was used and closed: blocks, grants, and no file beside it.
fn used_home() -> Home {
    let home = Home::new();
    for number in 0..12 {
        let reason = format!("reason {number}");
        home.json(&["block", &format!("whatsapp:+549115555{number:04}"), "--reason", &reason]);
    }
    home.json(&["block", &format!("whatsapp:{BLOCKED_ON_ONE}"), "--account", "personal"]);
    home.json(&["block", "telegram:1194292426", "--account", "personal"]);
    home.json(&["seed", "whatsapp", "personal", "+5491155560001", "+5491155560002"]);
    home
}

/// The pages of a table and of its indexes, as a range of bytes each.
fn pages(home: &Home, table: &str) -> Vec<std::ops::Range<usize>> {
    let roots =
        format!("SELECT rootpage FROM sqlite_schema WHERE tbl_name = '{table}' AND rootpage > 0");
    let roots = home.sqlite(&roots);
    let page = |line: &str| (line.parse::<usize>().unwrap() - 1) * PAGE;
    roots.lines().map(|line| page(line)..page(line) + PAGE).collect()
}

/// Pseudo-random numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The decision of a gate on a sender, with the database at `path`.
async fn decide(path: &Path, sender: &str, mode: Mode) -> Result<Decision, PairingError> {
    let store = PairingStore::open(path).await?;
    let gate = PairingGate::new(store);
    gate.should_admit("whatsapp", "personal", sender, &PairingPolicy::new(mode), None).await
}

#[tokio::test]
async fn one_flipped_bit_admits_no_blocked_sender() {
    const FLIPS: usize = 600;
    let home = used_home();
    let sound = fs::read(home.database()).unwrap();
    // Bits of the used part of a page, its header included: the rest is zero.
    let used: Vec<usize> = pages(&home, "pairing_blocked")
        .into_iter()
        .flat_map(|page| page.clone().filter(move |&at| at < page.start + 40).chain(page))
        .filter(|&at| sound[at] != 0 || at % PAGE < 40)
        .collect();
    let mut numbers = Numbers(1);
    let folder = tempfile::tempdir().unwrap();
    let (mut dropped, mut refused) = (0, 0);
    for flip in 0..FLIPS {
        let (at, bit) = (used[numbers.below(used.len())], numbers.below(8));
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << bit;
        let path = folder.path().join(format!("{flip}.db"));
        fs::write(&path, bytes).unwrap();
        match decide(&path, BLOCKED, Mode::Open).await {
            Ok(Decision::Drop(DropReason::Blocked)) => dropped += 1,
            Ok(decision) => panic!("bit {bit} of byte {at}: {decision:?}"),
            Err(_) => refused += 1,
        }
    }
    assert!(dropped > 0 && refused > 0, "{dropped} dropped, {refused} refused");
    let path = folder.path().join("sound.db");
    fs::write(&path, sound).unwrap();
    assert_eq!(decide(&path, "+1", Mode::Open).await.unwrap(), Decision::Admit);
}

#[test]
fn a_gate_with_damaged_blocks_decides_nothing_and_reports_the_fix() {
    let home = used_home();
    // Only in the index: the table alone would still block.
    flip_in_the_index(&home, BLOCKED);
    for (mode, sender) in [("open", BLOCKED), ("pairing", "+5491155560001")] {
        home.configure(&format!("gate: {{ mode: {mode} }}"));
        let mut gate = home.gate(&[]);
        let answer = gate.ask(&message("whatsapp", "personal", sender));
        assert!(answer["decision"].as_str() != Some("admit"), "{answer}");
        let reply = answer["error"]["message"].as_str().unwrap();
        assert!(reply.contains("damaged") && reply.contains("pairing_blocked"), "{answer}");
    }
    let doctor = home.run(&["doctor", "--json"]);
    let checks = doctor.json();
    let checks = checks["checks"].as_array().unwrap();
    let contents = checks.iter().find(|check| check["name"] == "contents").unwrap();
    assert_eq!(contents["status"], "fail", "{contents}");
    assert!(contents["message"].as_str().unwrap().contains("pairing_blocked"), "{contents}");
    assert!(contents["mend"].as_str().unwrap().contains("backup"), "{contents}");
}

/// Flips a bit of a blocked sender in the index of the blocks, bypassing SQLite, as a disk would.
fn flip_in_the_index(home: &Home, blocked: &str) {
    let bytes = fs::read(home.database()).unwrap();
    let index = pages(home, "pairing_blocked").pop().unwrap();
    let id = blocked.as_bytes();
    let at = bytes[index.clone()].windows(id.len()).position(|window| window == id).unwrap();
    let at = index.start + at + 3;
    let file = fs::OpenOptions::new().write(true).open(home.database()).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

#[test]
fn a_running_gate_loads_nothing_from_damaged_blocks() {
    let message = message("whatsapp", "personal", BLOCKED);
    // More changes than are looked up one by one, so that everything is loaded anew.
    let ids: Vec<String> = (0..1000).map(|number| format!("+54911555{number:05}")).collect();
    let seed: Vec<&str> =
        ["seed", "whatsapp", "other"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let moved = |home: &Home| home.database().with_extension("away");
    let seeds = |home: &Home, _: &mut Gate| drop(home.json(&seed));
    let moves = |home: &Home, gate: &mut Gate| {
        fs::rename(home.database(), moved(home)).unwrap();
        wait_for("a missing file", || gate.ask(&message).get("error").map(drop));
        fs::rename(moved(home), home.database()).unwrap();
    };
    for has_it_loaded in [&seeds as &dyn Fn(&Home, &mut Gate), &moves] {
        let home = used_home();
        home.configure("gate: { mode: open }");
        let mut gate = home.gate(&[]);
        assert_eq!(gate.ask(&message)["reason"], "blocked");
        flip_in_the_index(&home, BLOCKED);
        has_it_loaded(&home, &mut gate);
        wait_for("the damage to be found", || {
            let answer = gate.ask(&message);
            assert_ne!(answer["decision"], "admit", "{answer}");
            answer["error"]["message"].as_str()?.contains("pairing_blocked").then_some(())
        });
    }
}

#[test]
fn an_unrelated_change_does_not_end_a_block_missing_from_the_index() {
    let home = used_home();
    home.configure("gate: { mode: open }");
    let mut gate = home.gate(&[]);
    let victim = message("whatsapp", "personal", BLOCKED_ON_ONE);
    assert_eq!(gate.ask(&victim)["reason"], "blocked");
    flip_in_the_index(&home, BLOCKED_ON_ONE);
    // Each of them writes the victim's key to the list of changes, and then blocks another sender, which
    // shows that the gate has read that far.
    let key = format!("'whatsapp', 'personal', '{BLOCKED_ON_ONE}'");
    let changes = [
        format!("INSERT INTO pairing_allow_from VALUES ({key}, 0, 'cli', NULL, NULL, NULL, NULL)"),
        format!(
            "INSERT INTO pairing_pending (channel, account_id, sender_id, code, created_at)
                VALUES ({key}, 'AAAAAAAA', 0)"
        ),
        format!(
            "INSERT INTO pairing_finished (channel, account_id, sender_id, code, outcome, at)
                VALUES ({key}, 'AAAAAAAA', 'expired', 0)"
        ),
    ];
    for (number, change) in changes.iter().enumerate() {
        home.sqlite(&format!(
            "BEGIN; {change}; INSERT INTO pairing_blocked (channel, account_id, sender_id, \
             blocked_at, blocked_via) VALUES ('telegram', '*', '{}', 0, 'cli'); COMMIT",
            number + 1
        ));
        let mark = message("telegram", "personal", &(number + 1).to_string());
        wait_for("the change to be seen", || {
            (gate.ask(&mark)["reason"] == "blocked").then_some(())
        });
        assert_eq!(gate.ask(&victim)["reason"], "blocked", "{change}");
    }
}

#[test]
fn a_changed_block_missing_from_the_index_is_read_from_the_table() {
    let home = used_home();
    home.configure("gate: { mode: open }");
    let mut gate = home.gate(&[]);
    let victim = message("whatsapp", "personal", BLOCKED_ON_ONE);
    assert_eq!(gate.ask(&victim)["reason"], "blocked");
    flip_in_the_index(&home, BLOCKED_ON_ONE);
    // By its rowid, and in a column without an index.
    home.sqlite(&format!(
        "UPDATE pairing_blocked SET reason = 'again' WHERE rowid =
            (SELECT rowid FROM pairing_blocked NOT INDEXED WHERE sender_id = '{BLOCKED_ON_ONE}')"
    ));
    wait_for("the damage to be found", || {
        let answer = gate.ask(&victim);
        assert_ne!(answer["decision"], "admit", "{answer}");
        answer["error"]["message"].as_str()?.contains("pairing_blocked").then_some(())
    });
}

#[tokio::test]
async fn later_damage_is_detected_and_stops_mode_open_but_not_pairing() {
    let home = used_home();
    let options = StoreOptions::default().with_check_interval(Duration::from_millis(20));
    let store = PairingStore::open_with(home.database(), options).await.unwrap();
    let gate = PairingGate::new(store);
    let decide = |mode, sender: &'static str| {
        let policy = PairingPolicy::new(mode);
        let gate = &gate;
        async move { gate.should_admit("whatsapp", "personal", sender, &policy, None).await }
    };
    assert_eq!(decide(Mode::Open, "+1").await.unwrap(), Decision::Admit);

    // Bypassing SQLite, as a disk would, and by another process: closing the file would drop its locks.
    let grants = pages(&home, "pairing_allow_from").pop().unwrap();
    let damage = |range: std::ops::Range<usize>| {
        let mut dd = std::process::Command::new("dd");
        dd.args(["if=/dev/urandom", "conv=notrunc", "bs=1", "status=none"]);
        dd.arg(format!("seek={}", range.start + 8)).arg(format!("count={}", range.len() - 8));
        let of = format!("of={}", home.database().display());
        let status = dd.arg(of).status().unwrap();
        assert!(status.success());
    };
    damage(grants);
    let since = std::time::Instant::now();
    let refused = loop {
        match decide(Mode::Open, "+1").await {
            Err(error) => break error,
            Ok(_) => assert!(since.elapsed() < DEADLINE, "the damage is not found"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.kind(), "damaged");
    // Senders on the list are known, and strangers are challenged: neither depends on the damaged rows.
    assert_eq!(decide(Mode::Pairing, "+5491155560001").await.unwrap(), Decision::Admit);

    damage(pages(&home, "pairing_blocked").pop().unwrap());
    let since = std::time::Instant::now();
    loop {
        match decide(Mode::Pairing, "+5491155560001").await {
            Err(_) => break,
            Ok(_) => assert!(since.elapsed() < DEADLINE, "the damage is not found"),
        }
        tokio::task::yield_now().await;
    }
}
