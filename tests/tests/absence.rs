//! A missing configuration admits no stranger: lost files, lost keys, a wrong home.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use nexo_pairing_tests::{Gate, Home, Output, WriteLock, message, wait_for};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::Signal;
use serde_json::{Value, json};

const READ: &str = "the configuration was read again";
const KEPT: &str = "the old configuration stays in force";

/// What is lost, and how.
type Loss = (&'static str, fn(&Home));

/// Everything that a configuration can lose.
const LOSSES: &[Loss] = &[
    ("the file", |home| fs::remove_file(file(home)).unwrap()),
    ("its folder", |home| fs::remove_dir_all(home.path().join("config")).unwrap()),
    ("its contents", |home| write(home, "")),
    ("all but comments", |home| write(home, "# pairing:\n#   gate: { mode: allowlist }\n")),
    ("all below `pairing:`", |home| write(home, "pairing:\n")),
    ("`pairing:`", |home| write(home, "schema_version: 11\n")),
    ("what follows `gate:`", |home| write(home, "pairing:\n  gate:\n")),
    ("what follows `gate:`, and the newline", |home| write(home, "pairing:\n  gate:")),
    ("the value of `mode:`", |home| write(home, "pairing:\n  gate:\n    mode: # allowlist\n")),
];

fn file(home: &Home) -> PathBuf {
    home.path().join("config").join("pairing.yaml")
}

fn write(home: &Home, text: &str) {
    fs::write(file(home), text).unwrap();
}

fn stranger() -> Value {
    message("whatsapp", "personal", "5491155550001")
}

/// Makes the gate reload its configuration and returns whether it applied it.
fn reload(gate: &Gate) -> bool {
    let heard = |what: &str| gate.stderr().matches(what).count();
    let (read, kept) = (heard(READ), heard(KEPT));
    gate.signal(Signal::HUP);
    wait_for("a reload", || match (heard(READ) > read, heard(KEPT) > kept) {
        (false, false) => None,
        (read, _) => Some(read),
    })
}

/// The decision of a newly started gate on a stranger.
fn decide(home: &Home, args: &[&str]) -> Output {
    home.run_with(&[&["gate"], args].concat(), format!("{}\n", stranger()))
}

#[test]
fn a_reload_with_a_shrunk_configuration_admits_no_stranger() {
    for (lost, lose) in LOSSES {
        let home = Home::configured("gate:\n  mode: allowlist");
        let mut gate = home.gate(&[]);
        assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
        lose(&home);
        reload(&gate);
        assert_eq!(gate.ask(&stranger())["reason"], "not_allowed", "without {lost}");
        let said = gate.stderr();
        assert!(said.contains(KEPT) || said.contains("keeps mode allowlist"), "{lost}: {said}");
        assert_eq!(gate.end().code, 0, "without {lost}");
    }
}

#[test]
fn a_reload_that_waits_for_its_file_does_not_delay_shutdown() {
    let home = Home::configured("gate:\n  mode: allowlist");
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    fs::remove_file(file(&home)).unwrap();
    mknodat(CWD, file(&home), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    gate.signal(Signal::HUP);
    // A pipe can be opened for writing once the gate reads it, and has no end while it is open.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let _writer = wait_for("a reload", || open(file(&home), flags, Mode::empty()).ok());
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    gate.signal(Signal::TERM);
    assert_eq!(gate.wait().code, 0);
}

#[test]
fn a_start_with_a_shrunk_configuration_admits_no_stranger() {
    for (lost, lose) in LOSSES {
        let home = Home::configured("gate:\n  mode: allowlist");
        assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
        lose(&home);
        let again = decide(&home, &[]);
        if lost.contains("`mode:`") {
            assert_eq!((again.code, &*again.stdout), (2, ""), "without {lost}");
            continue;
        }
        assert_eq!(again.lines()[0]["reason"], "not_allowed", "without {lost}");
        assert!(again.stderr.contains("keeps mode allowlist"), "{lost}: {}", again.stderr);
        assert_eq!(decide(&home, &["--dry-run"]).lines()[0]["reason"], "not_allowed");
    }
}

#[test]
fn a_home_without_any_mode_admits_no_one() {
    for args in [&[][..], &["--dry-run"], &["--nats", "nats://127.0.0.1:1"]] {
        let home = Home::new();
        let output = decide(&home, args);
        assert_eq!((output.code, &*output.stdout), (2, ""), "{args:?}: {output:?}");
        for way in ["gate.mode", "NEXO_PAIRING_GATE__MODE", "--auto-challenge", "--open"] {
            assert!(output.stderr.contains(way), "{way}: {}", output.stderr);
        }
        assert!(!home.database().exists(), "a wrong home is left unchanged");
    }
    let home = Home::new();
    assert_eq!(decide(&home, &["--open"]).lines()[0]["decision"], "admit");
    assert_eq!(decide(&home, &[]).code, 2, "the flag was for one run");
}

#[test]
fn a_mode_without_a_value_is_an_error_with_a_hint() {
    for text in [
        "gate:\n  mode:",
        "gate:\n  mode: ~",
        "gate:\n  mode: # allowlist",
        "gate:\n  auto_challenge:",
        "accounts:\n  - channel: whatsapp\n    account: personal\n    mode:",
    ] {
        let home = Home::configured(text);
        let output = decide(&home, &[]);
        assert_eq!((output.code, &*output.stdout), (2, ""), "{text}");
        assert!(output.stderr.contains("it has to be"), "{text}: {}", output.stderr);
    }
}

#[test]
fn the_open_flag_does_not_override_a_configured_mode() {
    let home = Home::configured("gate:\n  mode: allowlist");
    let output = decide(&home, &["--open"]);
    assert_eq!((output.code, &*output.stdout), (2, ""));
    assert!(output.stderr.contains("--open") && output.stderr.contains("allowlist"), "{output:?}");
    home.configure("gate:\n  mode: open");
    assert_eq!(decide(&home, &["--open"]).lines()[0]["decision"], "admit");
    home.configure("gate:\n  mode: open\naccounts: [{ channel: whatsapp, account: personal, mode: allowlist }]");
    assert_eq!(decide(&home, &["--open"]).lines()[0]["reason"], "not_allowed");
    let output = decide(&home, &["--open", "--auto-challenge"]);
    assert_eq!(output.code, 2, "the flags exclude each other");
}

#[test]
fn a_trial_is_not_remembered_and_replaces_no_remembered_mode() {
    let home = Home::new();
    assert_eq!(decide(&home, &["--open"]).lines()[0]["decision"], "admit");
    for args in [&[][..], &["--dry-run"]] {
        let again = decide(&home, args);
        assert_eq!((again.code, &*again.stdout), (2, ""), "{args:?}: {again:?}");
    }
    // Nor for accounts that are named beside it.
    home.configure("accounts: [{ channel: whatsapp, account: personal }]");
    assert_eq!(decide(&home, &["--open"]).lines()[0]["decision"], "admit");
    assert_eq!(decide(&home, &[]).code, 2);
    fs::remove_file(file(&home)).unwrap();
    assert_eq!(decide(&home, &[]).code, 2);

    home.configure("gate:\n  mode: allowlist");
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
    fs::remove_file(file(&home)).unwrap();
    let trial = decide(&home, &["--open"]);
    assert_eq!(trial.lines()[0]["reason"], "not_allowed");
    assert!(trial.stderr.contains("--open applies only if no mode was ever set"), "{trial:?}");
}

#[test]
fn an_account_missing_from_the_configuration_keeps_its_mode() {
    let with = |mode: &str| {
        format!(
            "gate:\n  mode: open\naccounts:\n  - channel: whatsapp\n    account: personal{mode}"
        )
    };
    let home = Home::configured(&with("\n    mode: allowlist"));
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    home.configure(&with(""));
    assert!(reload(&gate), "the rest of the configuration applies");
    let said = format!("mode allowlist (set by {})", file(&home).display());
    let kept = format!("whatsapp/personal keeps {said}");
    wait_for("what is kept", || gate.stderr().contains(&kept).then_some(()));
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed", "not after a start, either");

    home.configure(&with("\n    mode: open"));
    assert!(reload(&gate));
    assert_eq!(gate.ask(&stranger())["decision"], "admit", "a mode was configured");
}

#[test]
fn accounts_missing_from_the_configuration_stay_known() {
    let home = Home::configured(
        "gate:\n  mode: open\naccounts: [{ channel: whatsapp, account: work, mode: pairing }]",
    );
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "unknown_account");
    home.configure("gate:\n  mode: open");
    assert!(reload(&gate));
    let decision = |gate: &mut Gate| {
        let work = gate.send(&message("whatsapp", "work", "5491155550001"));
        (gate.ask(&stranger())["reason"].clone(), work[0]["decision"].clone())
    };
    assert_eq!(decision(&mut gate), (json!("unknown_account"), json!("challenge")));
    let mut again = home.gate(&[]);
    assert_eq!(decision(&mut again).0, json!("unknown_account"), "not after a start, either");

    home.json(&["forget-mode", "*", "*"]);
    assert!(reload(&gate));
    assert_eq!(gate.ask(&stranger())["decision"], "admit", "`gate.mode` says so in words");
}

#[test]
fn an_account_that_loses_its_limits_keeps_them_until_a_restart() {
    let account = "channel: irc, account: bot";
    let words = "gate: { mode: pairing, max_pending: 9 }\n";
    let rest = "audit_days: 30\n";
    for lost in [format!("{words}accounts: [{{ {account} }}]\n{rest}"), format!("{words}{rest}")] {
        let home = Home::configured(&format!(
            "{words}accounts: [{{ {account}, max_pending: 1, challenge_cooldown_secs: 10 }}]\n{rest}"
        ));
        let mut gate = home.gate(&[]);
        let from = |id: &str| message("irc", "bot", id);
        assert_eq!(gate.ask(&from("5491155550001"))["decision"], "challenge");
        assert_eq!(gate.ask(&from("5491155550002"))["reason"], "pending_full");
        home.configure(&lost);
        // And once more: the second reload keeps it, too.
        for _ in 0..2 {
            assert!(reload(&gate), "{}", gate.stderr());
            assert_eq!(gate.ask(&from("5491155550003"))["reason"], "pending_full");
        }
        let said = gate.stderr();
        let is_told = said.contains("`accounts[irc/bot].max_pending`")
            || said.contains("accounts listed before are accepted");
        assert!(is_told, "{said}");
        home.configure(&format!("{words}accounts: [{{ {account}, max_pending: 2 }}]\n{rest}"));
        assert!(reload(&gate));
        let last = gate.ask(&from("5491155550003"));
        assert_eq!(last["decision"], "challenge", "a new mode applies");
        assert_eq!(gate.end().code, 0);
        home.configure(&lost);
        let again = home.run_with(&["gate"], format!("{}\n", from("5491155550004")));
        assert_eq!(again.lines()[0]["decision"], "challenge", "a start applies the file");
    }
}

#[test]
fn a_reload_that_closes_a_gate_does_not_wait_for_another_writer() {
    let home = Home::configured("gate:\n  mode: open");
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["decision"], "admit");
    let lock = WriteLock::take(&home);
    home.configure("gate:\n  mode: allowlist");
    assert!(reload(&gate), "{}", gate.stderr());
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed", "while the lock is held");
    assert!(gate.stderr().contains("not remembered yet"), "{}", gate.stderr());
    lock.release();
    wait_for("the mode", || gate.stderr().contains("are remembered now").then_some(()));
    let mode = home.sqlite("SELECT mode FROM pairing_accounts");
    assert_eq!(mode, "allowlist\n");
    let audited = home.json(&["log", "--action", "mode"])["events"].as_array().unwrap().len();
    assert_eq!(audited, 2, "open, and allowlist");
}

#[test]
fn a_new_database_beside_a_configuration_is_reported() {
    let home = Home::configured("gate:\n  mode: open");
    let reply = "nobody is allowed or blocked in it";
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("warn  database") && doctor.contains("--db"), "{doctor}");
    let first = decide(&home, &[]).stderr;
    assert!(first.contains(reply) && first.contains(home.database().to_str().unwrap()), "{first}");
    assert_eq!(decide(&home, &[]).stderr, "");
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("ok    database"), "{doctor}");
    // As if `storage.path`, or the right `--db`, were lost.
    let elsewhere = home.beside("other.db");
    let other = decide(&home, &["--db", elsewhere.to_str().unwrap()]).stderr;
    assert!(other.contains(reply) && other.contains("other.db"), "{other}");
    // A trial without a configuration has nothing to lose.
    assert_eq!(decide(&Home::new(), &["--open"]).stderr, "");
}

#[test]
fn doctor_and_explain_report_lost_and_remembered_modes() {
    let warned = |home: &Home| {
        let checks = home.json(&["doctor"])["checks"].clone();
        let checks = checks.as_array().unwrap().iter().filter(|check| check["name"] == "mode");
        let reply = checks.map(|check| {
            assert_eq!(check["status"], "warn", "{check}");
            format!("{} | {}", check["message"], check["mend"])
        });
        reply.collect::<Vec<_>>().join("\n")
    };
    let explain = ["explain", "whatsapp", "personal", "5491155550001@c.us"];
    let home = Home::new();
    let reply = warned(&home);
    assert!(reply.contains("no mode is set") && reply.contains("gate.mode"), "{reply}");
    assert_eq!(home.error(&explain).0, 2, "no rule applies without a mode");

    home.configure("gate:\n  mode: allowlist\naccounts: [{ channel: whatsapp, account: personal, mode: pairing }]");
    assert_eq!(decide(&home, &[]).lines()[0]["decision"], "challenge");
    assert_eq!(warned(&home), "");
    fs::remove_file(file(&home)).unwrap();
    let reply = warned(&home);
    assert!(reply.contains("accounts listed before are accepted"), "{reply}");
    assert!(reply.contains("pairing.accounts") && reply.contains("forget-mode"), "{reply}");
    assert_eq!(home.json(&explain)["rule"], 10, "a code was sent a moment ago");
    let other = ["explain", "whatsapp", "work", "5491155550001@c.us"];
    assert_eq!(home.json(&other)["rule"], 2, "the account is unknown");
}

#[test]
fn forget_mode_returns_an_account_to_the_default() {
    let home = Home::configured(
        "gate:\n  mode: open\naccounts: [{ channel: whatsapp, account: personal, mode: allowlist }]",
    );
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
    home.configure("gate:\n  mode: open\naccounts: [{ channel: whatsapp, account: personal }]");
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
    let forgotten = home.json(&["forget-mode", "whatsapp", "personal"]);
    assert_eq!(forgotten["forgotten"][0]["mode"], "allowlist");
    let (code, error) = home.error(&["forget-mode", "whatsapp", "personal"]);
    assert_eq!((code, &error["kind"]), (1, &json!("nothing_to_forget")));
    assert_eq!(decide(&home, &[]).lines()[0]["decision"], "admit");
}

#[test]
fn each_mode_change_is_audited_once() {
    let log = |home: &Home| {
        let entries = home.json(&["log"])["events"].as_array().unwrap().clone();
        let of_modes = |entry: &&Value| entry["action"].as_str().unwrap().ends_with("mode");
        let reply = entries.iter().filter(of_modes).map(|entry| {
            let account = [&entry["channel"], &entry["account_id"]].map(|id| id.as_str());
            let account = account.map(Option::unwrap_or_default).join("/");
            let of = |key: &str| entry["detail"][key].as_str().unwrap_or("-").to_owned();
            let (actor, action) = (entry["actor"].as_str().unwrap(), entry["action"].as_str());
            format!("{actor} {} {account} {} {}", action.unwrap(), of("before"), of("mode"))
        });
        reply.collect::<Vec<_>>()
    };
    let home = Home::configured("gate:\n  mode: pairing");
    assert_eq!([decide(&home, &[]).code, decide(&home, &[]).code], [0, 0]);
    assert_eq!(log(&home), ["config mode / - pairing"]);

    let mut gate = home.gate(&[]);
    assert!(gate.sync().is_empty(), "it runs");
    home.configure(
        "gate:\n  mode: pairing\naccounts:\n  - { channel: irc, account: a }\n  \
         - { channel: irc, account: b, mode: allowlist }",
    );
    assert!(reload(&gate) && reload(&gate));
    assert_eq!(
        log(&home)[1..],
        ["config mode / pairing unknown_account", "config mode irc/b pairing allowlist",]
    );
    home.configure("gate:\n  mode: allowlist\naccounts:\n  - { channel: irc, account: a }");
    assert!(reload(&gate));
    assert_eq!(
        log(&home)[3..],
        ["config mode irc/a pairing allowlist", "config mode irc/b allowlist unknown_account",]
    );
    home.json(&["forget-mode", "irc", "b"]);
    assert_eq!(log(&home)[5..], ["cli forget_mode irc/b allowlist -"]);
    assert_eq!(decide(&home, &["--dry-run"]).code, 0);
    assert_eq!(log(&home).len(), 6);
}
