//! A full disk, and a program that takes each byte that becomes free: strangers wait, operators do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nexo_pairing_tests::{EARLIER_DATABASE, Gate, Home, message, wait_for};
use serde_json::Value;

/// The variable with the path of the small disk, for the rerun of this test.
const DISK: &str = "NEXO_TEST_DISK";

/// How many senders there are; each is removed in one of three ways.
const PEOPLE: usize = 60;

/// Reruns a test in a process with a disk of 32 MiB of its own.
fn again_on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=32m none \"$NEXO_TEST_DISK\" && exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "sh", "-c", mount]).arg(std::env::current_exe().unwrap());
    unshare.args(["--exact", test, "--nocapture"]);
    let output = unshare.env(DISK, folder.path()).env("TMPDIR", folder.path()).output().unwrap();
    let reply = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && reply.contains("1 passed"), "{reply}{stderr}");
}

/// A program that takes each byte of a disk, including those that become free later.
struct Greedy {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Greedy {
    fn start(disk: &Path) -> Self {
        let (path, stop) = (disk.join("greedy"), Arc::new(AtomicBool::new(false)));
        let mut file = File::create(&path).unwrap();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut length = 1 << 20;
            while !stopped.load(Ordering::SeqCst) {
                if file.write(&vec![1; length]).is_err() {
                    length = (length / 2).max(1);
                    thread::yield_now();
                }
            }
        });
        let greedy = Self { path, stop, thread: Some(thread) };
        wait_for("a full disk", || (free(disk) == 0).then_some(()));
        greedy
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        fs::remove_file(&self.path).unwrap();
    }
}

fn free(disk: &Path) -> u64 {
    rustix::fs::statvfs(disk).unwrap().f_bavail
}

fn person(number: usize) -> String {
    format!("1194{number:06}")
}

/// Waits until the gate gives this answer to a message of a sender.
fn is_told(gate: &mut Gate, sender: &str, is_it: impl Fn(&Value) -> bool) {
    wait_for("the decision", || {
        is_it(&gate.send(&message("telegram", "personal", sender))[0]).then_some(())
    });
}

#[test]
fn operators_revoke_while_a_writer_takes_each_freed_byte() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        let test = "operators_revoke_while_a_writer_takes_each_freed_byte";
        return again_on_a_small_disk(test);
    };
    let home = Home::configured("gate: { mode: pairing }");
    let people: Vec<String> = (0..PEOPLE).map(person).collect();
    let ids: Vec<&str> = people.iter().map(String::as_str).collect();
    home.json(&[&["seed", "telegram", "personal"], &ids[..]].concat());
    let mut gate = home.gate(&[]);
    is_told(&mut gate, &people[0], |answer| answer["decision"] == "admit");
    let greedy = Greedy::start(&disk);

    // Strangers get no place once this is noticed: the space in the WAL is not for them.
    let mut accounts = 0..;
    wait_for("a refusal", || {
        let account = format!("a{}", accounts.next().unwrap_or(0));
        let answer = gate.send(&message("telegram", &account, "1195000001")).remove(0);
        (answer["error"]["kind"] == "overloaded").then_some(())
    });
    for (number, id) in people.iter().enumerate() {
        is_told(&mut gate, id, |answer| answer["decision"] == "admit");
        let target = format!("telegram:{id}");
        let command = match number % 3 {
            0 => home.run(&["revoke", &target, "--json"]),
            1 => home.run(&["block", &target, "--json"]),
            _ => home.run(&["forget", &target, "--json"]),
        };
        assert_eq!(command.code, 0, "{number}: {command:?}");
        is_told(&mut gate, id, |answer| answer["decision"] != "admit");
        wait_for("a full disk", || (free(&disk) == 0).then_some(()));
    }
    // Acknowledged changes persist even if the gate is killed before there is space.
    drop(gate);
    greedy.end();
    let listed = home.json(&["list", "--all"]);
    assert_eq!(listed["allow"].as_array().unwrap().len(), 0, "{listed}");
    assert_eq!(listed["blocked"].as_array().unwrap().len(), PEOPLE / 3, "{listed}");
    let doctor = home.run(&["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    assert!(checks.iter().any(|c| c["name"] == "contents" && c["status"] == "ok"), "{doctor}");
    let mut gate = home.gate(&[]);
    is_told(&mut gate, "1195000002", |answer| answer["decision"] == "challenge");
    assert_eq!(gate.end().code, 0);
}

#[test]
fn operators_revoke_although_a_thousand_requests_expired_on_a_full_disk() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        let test = "operators_revoke_although_a_thousand_requests_expired_on_a_full_disk";
        return again_on_a_small_disk(test);
    };
    let home = Home::configured("gate: { mode: pairing }");
    let people: Vec<String> = (0..20).map(person).collect();
    let ids: Vec<&str> = people.iter().map(String::as_str).collect();
    home.json(&[&["seed", "telegram", "personal"], &ids[..]].concat());
    let mut gate = home.gate(&[]);
    is_told(&mut gate, "1196000001", |answer| answer["decision"] == "challenge");
    let code = home.sqlite("SELECT code FROM pairing_pending");
    home.sqlite("UPDATE pairing_pending SET expires_at = unixepoch() - 10");
    home.sqlite(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
        INSERT INTO pairing_pending
            (channel, account_id, sender_id, code, created_at, meta_json, expires_at)
            SELECT 'telegram', 'a' || x, 1195000000 + x, 'CODE' || x, unixepoch() - 3600,
                json_quote(hex(zeroblob(1900))), unixepoch() - 10 FROM n",
    );
    is_told(&mut gate, &people[0], |answer| answer["decision"] == "admit");
    // Otherwise the rows may still be in the WAL, where they take the space of the commands: a gate that
    // reads them holds up the checkpoint of the shell.
    wait_for("the checkpoint", || {
        let result = home.sqlite("PRAGMA wal_checkpoint(PASSIVE)");
        let frames: Vec<_> = result.trim().split('|').collect();
        (frames[0] == "0" && frames[1] == frames[2]).then_some(())
    });
    let greedy = Greedy::start(&disk);
    for (number, id) in people.iter().enumerate() {
        let target = format!("telegram:{id}");
        let command = if number % 2 == 0 { "revoke" } else { "block" };
        let ended = home.run(&[command, &target, "--json"]);
        assert_eq!(ended.code, 0, "{number}: {ended:?}");
        is_told(&mut gate, id, |answer| answer["decision"] != "admit");
        wait_for("a full disk", || (free(&disk) == 0).then_some(()));
    }
    assert_eq!(home.sqlite("SELECT count(*) FROM pairing_pending"), "1001\n");
    // An overdue code admits no one, although it is not expired yet.
    let (_, refused) = home.error(&["approve", code.trim()]);
    assert_eq!(refused["kind"], "expired", "{refused}");
    assert_eq!(home.sqlite("SELECT count(*) FROM pairing_pending"), "1000\n");
    greedy.end();
    assert_eq!(home.json(&["list"])["allow"].as_array().unwrap().len(), 0);
}

#[test]
fn an_upgrade_waits_for_space_for_a_copy_unless_none_is_wanted() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        let test = "an_upgrade_waits_for_space_for_a_copy_unless_none_is_wanted";
        return again_on_a_small_disk(test);
    };
    let home = Home::new();
    fs::create_dir_all(home.database().parent().unwrap()).unwrap();
    fs::copy(EARLIER_DATABASE, home.database()).unwrap();
    let copy = home.database().with_extension("db.before-v4");
    let room = usize::try_from(rustix::fs::statvfs(&disk).unwrap().f_bavail * 4096).unwrap();
    // The database is smaller than 1 MiB; 16 MiB stay for operators.
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; room - (16 << 20)]).unwrap();
    let (exit, refused) = home.error(&["block", "whatsapp:+5491155550009"]);
    assert_eq!((exit, refused["kind"].as_str()), (3, Some("storage")), "{refused}");
    let reply = refused["message"].as_str().unwrap();
    assert!(
        reply.contains("a copy of the database") && reply.contains("before its upgrade"),
        "{reply}"
    );
    assert!(refused["hint"].as_str().unwrap().contains("--no-copy"), "{refused}");
    // Reading needs no upgrade.
    assert_eq!(home.json(&["list", "--all"])["blocked"].as_array().unwrap().len(), 1);
    let schema = "SELECT max(version) FROM refinery_schema_history";
    assert_eq!(home.sqlite(schema), "3\n");
    assert!(!copy.exists());

    home.json(&["block", "whatsapp:+5491155550009", "--no-copy"]);
    assert!(!copy.exists());
    assert_ne!(home.sqlite(schema), "3\n");
    assert_eq!(home.json(&["list", "--all"])["blocked"].as_array().unwrap().len(), 2);

    // With space, the copy is made.
    fs::remove_file(&ballast).unwrap();
    let earlier = home.database().with_extension("earlier");
    fs::copy(EARLIER_DATABASE, &earlier).unwrap();
    fs::rename(&earlier, home.database()).unwrap();
    home.json(&["block", "whatsapp:+5491155550009"]);
    assert!(copy.exists());
}
