//! `nexo-pair list` of a large database: without a copy, in bounded memory, as of one moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::process::{Child, Stdio};

use nexo_pairing_tests::{Home, Output, peak_memory_of};
use serde_json::{Value, json};

/// Enough that the list fills any pipe.
const FEW: usize = 2_000;

const MANY: usize = 40_000;

/// How much more memory a command may need for many grants than for few, in kilobytes. The database
/// has 12 MB then.
const BOUND: u64 = 6_000;

fn home(grants: usize) -> Home {
    let home = Home::new();
    let _ = home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    home.sqlite(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {grants})
         INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at, note)
            SELECT 'telegram', 'default', i, 1700000000, 'a note of some length, to fill the file ' || i
            FROM n;
         INSERT INTO pairing_audit(at, actor, action, channel, account_id, sender_id)
            SELECT approved_at, 'cli', 'approve', channel, account_id, sender_id
            FROM pairing_allow_from;
         DELETE FROM pairing_changes;"
    ));
    home
}

/// Starts a command and reads the first byte of its output: by then it has read everything and waits
/// for its reader.
fn stalled(home: &Home, args: &[&str]) -> (Child, String) {
    let mut child = home.command(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    (child, String::from_utf8(first.to_vec()).unwrap())
}

fn finish((mut child, mut text): (Child, String)) -> String {
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    text
}

fn peak(home: &Home, args: &[&str]) -> u64 {
    let running = stalled(home, args);
    let peak = peak_memory_of(&running.0);
    finish(running);
    peak
}

#[test]
fn a_hundred_times_the_rows_need_no_more_memory() {
    let (few, many) = (home(FEW), home(MANY));
    for args in [
        ["list", "--all"].as_slice(),
        &["list", "--all", "--json"],
        &["log", "--json", "--limit", "1000"],
        &["log", "--json", "--limit", "1000", "--action", "approve"],
        &["log", "--json", "--limit", "1000", "--since", "2020-01-01"],
    ] {
        let (few, many) = (peak(&few, args), peak(&many, args));
        assert!(many < few + BOUND, "{args:?}: {many} kB, {few} kB for few rows");
    }
}

#[test]
fn a_list_is_complete_and_holds_no_lock_while_it_is_read() {
    let home = home(FEW);
    for args in [["list", "--all"].as_slice(), &["list", "--all", "--json"]] {
        let running = stalled(&home, args);
        // A list in a pager does not block checkpoints.
        let _ = home.json(&["seed", "whatsapp", "personal", "+5491155557777"]);
        assert_eq!(home.sqlite("PRAGMA wal_checkpoint(TRUNCATE)").trim(), "0|0|0");
        let text = finish(running);
        assert!(!text.contains("+5491155557777"), "it came later");
        let _ = home.json(&["revoke", "whatsapp:+5491155557777"]);
        if args.contains(&"--json") {
            let listed: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(listed["allow"].as_array().unwrap().len(), FEW + 1);
            assert_eq!((&listed["pending"], &listed["blocked"]), (&json!([]), &json!([])));
        } else {
            assert!(text.contains(&format!("allowed: {}\nCHANNEL", FEW + 1)), "{}", &text[..200]);
            let rows = text.lines().filter(|line| line.starts_with("telegram  default  ")).count();
            assert_eq!(rows, FEW);
        }
    }
}

#[test]
fn a_list_that_cannot_be_buffered_names_the_path() {
    let home = home(10_000);
    let mut command = home.command(&["list", "--all", "--json"]);
    command.env("TMPDIR", "/nowhere/at/all");
    let listed = Output::of(command);
    assert_eq!((listed.code, listed.stdout.as_str()), (3, ""));
    assert!(listed.error()["message"].as_str().unwrap().contains("/nowhere/at/all"), "{listed:?}");
    // A short list needs no file.
    let listed = home.command(&["list", "--json"]).env("TMPDIR", "/nowhere/at/all").output();
    assert!(listed.unwrap().status.success());
}
