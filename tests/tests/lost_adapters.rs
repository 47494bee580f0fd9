//! A channel with a plugin: a configuration that lost its adapter admits no one by a raw
//! id, at a start as at a reload.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use nexo_pairing_tests::{Gate, Home, Output, WriteLock, message, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

const RULES: &str = "gate: { mode: allowlist }\n";
const ADAPTERS: &str = "adapters:\n- channel: pigeon\n  prefix: plugin.pigeon\n- channel: signal\n  prefix: plugin.signal\n";

/// A home whose gate ran with adapters for `pigeon` and `signal`. The plugin of `signal` makes `id-bob` of
/// `bob`, who is allowed; a stranger may call themselves `id-bob`, of which it makes `id-id-bob`.
fn served() -> Home {
    let home = Home::configured(&format!("{RULES}{ADAPTERS}"));
    home.json(&["seed", "signal", "main", "id-bob", "--raw"]);
    let answer = decide(&home, &[]);
    assert_eq!(answer.lines()[0]["error"]["kind"], "adapter_unreachable");
    home
}

fn stranger() -> Value {
    message("signal", "main", "id-bob")
}

/// The decision of a newly started gate on the stranger.
fn decide(home: &Home, args: &[&str]) -> Output {
    home.run_with(&[&["gate"], args].concat(), format!("{}\n", stranger()))
}

/// The audit entries about adapters.
fn audited(home: &Home) -> Vec<String> {
    let log = home.json(&["log"])["events"].as_array().unwrap().clone();
    let of_adapters = |entry: &&Value| entry["action"].as_str().unwrap().ends_with("adapter");
    let reply = log.iter().filter(of_adapters).map(|entry| {
        let of = |key: &str| entry[key].as_str().unwrap().to_owned();
        format!("{} {} {} {}", of("actor"), of("action"), of("channel"), entry["detail"]["remote"])
    });
    reply.collect()
}

fn reload(gate: &Gate) -> bool {
    let heard = |what: &str| gate.stderr().matches(what).count();
    let words = ["the configuration was read again", "the old configuration stays in force"];
    let [read, kept] = words.map(heard);
    gate.signal(Signal::HUP);
    wait_for("a reload", || match (heard(words[0]) > read, heard(words[1]) > kept) {
        (false, false) => None,
        (read, _) => Some(read),
    })
}

#[test]
fn a_start_with_a_lost_adapter_fails() {
    let cut = &ADAPTERS[..ADAPTERS.find("- channel: signal").unwrap()];
    for lost in [RULES.to_owned(), format!("{RULES}{cut}"), format!("{RULES}audit_days: 30\n")] {
        let home = served();
        home.configure(&lost);
        for args in [&[][..], &["--dry-run"], &["--nats", "nats://127.0.0.1:1"]] {
            let output = decide(&home, args);
            assert_eq!((output.code, &*output.stdout), (2, ""), "{args:?} {lost}: {output:?}");
            for reply in ["signal", "pairing.adapters", "forget-adapter", "adapters: []"] {
                assert!(output.stderr.contains(reply), "{reply}: {}", output.stderr);
            }
        }
        // The adapter is configured again.
        home.configure(&format!("{RULES}{ADAPTERS}"));
        assert_eq!(decide(&home, &[]).lines()[0]["error"]["kind"], "adapter_unreachable");
    }
    // Modes are remembered, so a file that is gone altogether would start.
    let home = served();
    fs::remove_dir_all(home.path().join("config")).unwrap();
    let output = decide(&home, &[]);
    assert_eq!((output.code, &*output.stdout), (2, ""), "{output:?}");
    assert!(output.stderr.contains("pigeon") && output.stderr.contains("signal"), "{output:?}");
}

#[test]
fn a_start_accepts_an_explicit_statement_that_a_channel_has_no_plugin() {
    let home = served();
    let remembered = ["config adapter pigeon true", "config adapter signal true"];
    assert_eq!(audited(&home), remembered);
    assert_eq!(decide(&home, &[]).code, 1);
    assert_eq!(audited(&home), remembered, "nothing has changed");

    home.configure(&format!("{RULES}adapters: []"));
    assert_eq!(decide(&home, &["--dry-run"]).lines()[0]["decision"], "admit");
    assert_eq!(audited(&home), remembered, "a dry run writes nothing");
    assert_eq!(decide(&home, &[]).lines()[0]["decision"], "admit");
    let ended = ["config adapter pigeon false", "config adapter signal false"];
    assert_eq!(audited(&home)[2..], ended);
    home.configure(RULES);
    assert_eq!(decide(&home, &[]).lines()[0]["decision"], "admit", "no adapter is remembered");
    assert_eq!(audited(&home).len(), 4);
}

#[test]
fn a_single_adapter_can_be_forgotten() {
    let home = served();
    let cut = &ADAPTERS[..ADAPTERS.find("- channel: signal").unwrap()];
    home.configure(&format!("{RULES}{cut}"));
    assert_eq!(decide(&home, &[]).code, 2);
    let forgotten = home.json(&["forget-adapter", "signal"]);
    assert_eq!(forgotten, json!({ "forgotten": "signal" }));
    let (code, error) = home.error(&["forget-adapter", "signal"]);
    assert_eq!((code, &error["kind"]), (1, &json!("nothing_to_forget")));
    assert_eq!(home.error(&["forget-adapter", "Sig nal"]).0, 2);
    assert_eq!(decide(&home, &[]).lines()[0]["decision"], "admit");
    assert_eq!(audited(&home).last().unwrap(), "cli forget_adapter signal false");
    // The other adapter is not forgotten.
    home.configure(RULES);
    assert_eq!(decide(&home, &[]).code, 2);
    assert_eq!(home.error(&["--db", "/nonexistent/pairing.db", "forget-adapter", "signal"]).0, 1);
}

#[test]
fn a_gate_needs_no_adapter_for_a_channel_it_does_not_decide() {
    let home = served();
    let others = "accounts: [{ channel: whatsapp, account: personal }]\n";
    for words in ["", "adapters: []\n"] {
        home.configure(&format!("{RULES}{others}{words}"));
        assert_eq!(decide(&home, &[]).lines()[0]["reason"], "unknown_account");
    }
    assert_eq!(audited(&home).len(), 2, "it does not decide on that channel");

    // An account that is named later needs the adapter, at a reload and at a start.
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "unknown_account");
    let both = "accounts: [{ channel: whatsapp, account: personal }, { channel: signal, account: main }]\n";
    home.configure(&format!("{RULES}{both}"));
    assert!(!reload(&gate), "{}", gate.stderr());
    assert!(gate.stderr().contains("pairing.adapters no longer lists signal"), "{}", gate.stderr());
    assert_eq!(gate.ask(&stranger())["reason"], "unknown_account");
    assert_eq!(decide(&home, &[]).code, 2);
    home.configure(&format!("{RULES}{both}adapters: []\n"));
    assert!(reload(&gate), "{}", gate.stderr());
    assert_eq!(gate.ask(&stranger())["decision"], "admit", "configured explicitly");
    assert_eq!(audited(&home).last().unwrap(), "config adapter signal false");
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_reload_remembers_and_forgets_adapters() {
    let home = Home::configured(RULES);
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    home.configure(&format!("{RULES}{ADAPTERS}"));
    assert!(reload(&gate));
    assert_eq!(audited(&home).len(), 2);
    home.configure(RULES);
    assert!(reload(&gate), "a reload keeps the adapters");
    assert_eq!(decide(&home, &[]).code, 2, "a start requires them");
    // A remembered adapter is no statement: another process may forget it.
    home.json(&["forget-adapter", "pigeon"]);
    assert!(reload(&gate));
    assert_eq!(audited(&home)[2..], ["cli forget_adapter pigeon false"]);
    home.configure(&format!("{RULES}adapters: []"));
    assert!(reload(&gate));
    assert_eq!(audited(&home)[3..], ["config adapter signal false"]);
    home.configure(RULES);
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
    assert_eq!(gate.end().code, 0);
}

#[test]
fn a_channel_with_a_built_in_adapter_has_no_plugin() {
    let home = Home::configured(&format!(
        "{RULES}adapters: [{{ channel: whatsapp, prefix: plugin.whatsapp }}]"
    ));
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
    assert_eq!(audited(&home), [""; 0]);
    home.configure(RULES);
    assert_eq!(decide(&home, &[]).lines()[0]["reason"], "not_allowed");
}

#[test]
fn commands_reject_raw_ids_while_an_adapter_is_lost() {
    let home = served();
    home.configure(RULES);
    for command in [
        &["explain", "signal", "main", "id-bob"][..],
        &["seed", "signal", "main", "bob"],
        &["block", "signal:bob"],
        &["revoke", "signal:bob"],
    ] {
        let (code, error) = home.error(command);
        assert_eq!((code, &error["kind"]), (2, &json!("adapters")), "{command:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains("pairing.adapters"), "{error}");
    }
    // A grant that is stored exactly like this can be revoked, and --raw is mentioned.
    for command in
        [&["seed", "signal", "main", "eve", "--raw"][..], &["block", "signal:mallory", "--raw"]]
    {
        let output = home.run(command);
        assert_eq!(output.code, 0, "{command:?}: {output:?}");
        assert!(output.stderr.contains("was not asked"), "{command:?}: {output:?}");
    }
    for stored in [&["revoke", "signal:id-bob"][..], &["revoke", "signal:eve", "--raw"]] {
        let output = home.run(stored);
        assert_eq!(output.code, 0, "{output:?}");
    }
    let doctor = home.json(&["doctor"])["checks"].clone();
    let lost = |check: &&Value| check["name"] == "adapters" && check["status"] == "warn";
    let check = doctor.as_array().unwrap().iter().find(lost).unwrap().to_string();
    assert!(check.contains("signal") && check.contains("does not start"), "{check}");
}

#[test]
fn adapters_are_remembered_as_soon_as_the_lock_is_free() {
    let home = Home::configured(RULES);
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&stranger())["reason"], "not_allowed");
    let lock = WriteLock::take(&home);
    home.configure(&format!("{RULES}{ADAPTERS}"));
    assert!(reload(&gate));
    gate.wait_for_stderr("not remembered yet", 1);
    assert_eq!(gate.ask(&stranger())["error"]["kind"], "adapter_unreachable");
    // The adapters are lost before they could be written.
    home.configure(RULES);
    assert!(reload(&gate));
    assert_eq!(audited(&home), [""; 0]);
    lock.release();
    gate.wait_for_stderr("are remembered now", 1);
    assert_eq!(audited(&home).len(), 2);
    assert_eq!(gate.end().code, 1);
    assert_eq!(decide(&home, &[]).code, 2);
}
