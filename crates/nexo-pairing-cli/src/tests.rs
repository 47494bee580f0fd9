//! Commands from their arguments to their output, within this process.

mod devices;
mod doctor;
mod gate;
mod setup_code;
mod storage;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Parser;
use nexo_pairing::{AccountId, Actor, ChannelId, PairingStore, SenderId};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Cli, Exit, Io, Store};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A folder with a configuration and, perhaps, a database.
struct Machine(TempDir);

impl Machine {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pairing.yaml"), config).unwrap();
        Self(folder)
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("pairing.db")
    }

    /// Runs a command with `--json`: how it ended, the lines of its output, and its error.
    async fn run(&self, command: &str, stdin: &'static [u8]) -> (Exit, Vec<Value>, Value) {
        let (exit, stdout, stderr) = self.run_raw(command, stdin).await;
        let lines = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (exit, lines, serde_json::from_str(&stderr).unwrap_or_default())
    }

    /// Runs a command with `--json`: how it ended, and all it wrote.
    async fn run_raw(&self, command: &str, stdin: &'static [u8]) -> (Exit, String, String) {
        self.run_text(&format!("--json {command}"), stdin).await
    }

    /// Runs a command: how it ended, and all it wrote.
    async fn run_text(&self, command: &str, stdin: &'static [u8]) -> (Exit, String, String) {
        let (stdout, stderr) = (Written::default(), Written::default());
        let (config, database) = (self.0.path().join("pairing.yaml"), self.database());
        let mut args = vec!["nexo-pair", "--config", config.to_str().unwrap()];
        args.extend(["--db", database.to_str().unwrap()]);
        args.extend(command.split_whitespace());
        let cli = Cli::try_parse_from(args).unwrap();
        let exit = crate::run(cli, Io::new(stdin, stdout.clone(), stderr.clone())).await;
        let text = |written: Written| String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        (exit, text(stdout), text(stderr))
    }

    async fn store(&self) -> Store {
        Arc::new(PairingStore::open(self.database()).await.unwrap())
    }

    async fn seed_as_stored(&self, channel: &str, account: &str, sender: &str) {
        let store = self.store().await;
        let (channel, account) = (
            ChannelId::from_stored(channel.to_owned()),
            AccountId::from_stored(account.to_owned()),
        );
        let sender = SenderId::from_stored(sender.to_owned());
        store.seed(&channel, &account, &[sender], &Actor::seed()).await.unwrap();
    }
}

const PAIRING: &str = "pairing: { gate: { mode: pairing } }";

const ANA: &[u8] = br#"{"channel":"whatsapp","account":"personal","from":"5491155556666@c.us"}"#;

#[tokio::test]
async fn a_stranger_is_challenged_approved_and_admitted() {
    let machine = Machine::new(PAIRING);
    let (exit, lines, _) = machine.run("gate", ANA).await;
    assert_eq!((exit, lines.len()), (Exit::Done, 2));
    assert_eq!(lines[0]["decision"], "challenge");
    assert_eq!(lines[1]["outbound"]["topic"], "plugin.outbound.whatsapp.personal");
    let code = lines[0]["code"].as_str().unwrap();
    let (exit, lines, _) = machine.run(&format!("approve {code} --for 7d"), b"").await;
    assert_eq!((exit, lines[0]["sender_id"].as_str()), (Exit::Done, Some("+5491155556666")));
    let (_, lines, _) = machine.run("gate", ANA).await;
    let admitted = json!({
        "decision": "admit", "channel": "whatsapp", "account": "personal",
        "sender": "+5491155556666", "line": 1,
    });
    assert_eq!(lines, [admitted]);
}

#[tokio::test]
async fn each_line_is_answered_in_order_and_a_bad_one_costs_the_exit_status() {
    let machine = Machine::new("{}");
    let input = b"nonsense\n\n{\"channel\":\"telegram\",\"from\":\"777000\"}\n\xff\n\
        {\"topic\":\"plugin.inbound.whatsapp\",\"payload\":{\"kind\":\"connected\"}}\r\n";
    let (exit, lines, _) = machine.run("gate --open", input).await;
    assert_eq!(exit, Exit::Refused);
    assert_eq!(lines[0]["error"]["line"], 1);
    assert_eq!(lines[1]["sender"], "777000", "the raw id, where there is no canonical one");
    assert_eq!(lines[2]["error"]["line"], 4);
    assert_eq!(lines[3]["reason"], "notice");
    assert_eq!(lines[3]["sender"], Value::Null);
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn a_dry_run_creates_no_file_and_reveals_no_code() {
    let machine = Machine::new("{}");
    let (exit, lines, _) = machine.run("gate --dry-run --auto-challenge", ANA).await;
    assert_eq!((exit, lines.len()), (Exit::Done, 1));
    assert_eq!(lines[0]["decision"], "challenge");
    assert_eq!(lines[0].get("code"), None);
    assert!(!machine.database().exists());
}

#[tokio::test]
async fn commands_that_only_remove_create_no_database() {
    let machine = Machine::new("{}");
    for (command, exit, kind) in [
        ("revoke whatsapp:+5491155556666", Exit::Refused, "nothing_to_revoke"),
        ("unblock whatsapp:+5491155556666", Exit::Refused, "nothing_to_unblock"),
        ("forget whatsapp:+5491155556666", Exit::Refused, "nothing_to_forget"),
        ("unlock cli", Exit::Refused, "nothing_to_unlock"),
        ("backup copy.db", Exit::Storage, "storage"),
        ("approve K7M9-PQ2X", Exit::Storage, "storage"),
        ("reject K7M9-PQ2X", Exit::Storage, "storage"),
        ("seed whatsapp personal +5491155556666 nobody", Exit::Refused, "sender_refused"),
        ("seed signal personal somebody", Exit::Refused, "no_adapter"),
        ("block whatsapp:nobody", Exit::Refused, "sender_refused"),
    ] {
        let (ended, lines, error) = machine.run(command, b"").await;
        assert_eq!((ended, error["error"]["kind"].as_str()), (exit, Some(kind)), "{command}");
        assert!(lines.is_empty(), "{command}: an error is reported once");
        assert!(!machine.database().exists(), "{command}");
    }
}

#[tokio::test]
async fn one_sender_has_many_spellings() {
    let machine = Machine::new(PAIRING);
    let seeded = machine.run("seed whatsapp personal +5491155556666 5491155556666@c.us", b"").await;
    assert_eq!(seeded.1, [json!({"inserted": 1, "reactivated": 0, "unchanged": 1})]);
    // An old row with another spelling is revoked with the canonical one.
    machine.seed_as_stored("whatsapp", "work", "5491155556666").await;
    let (exit, lines, _) = machine.run("revoke whatsapp:5491155556666", b"").await;
    assert_eq!((exit, lines[0]["revoked"].as_array().map(Vec::len)), (Exit::Done, Some(2)));
}

#[tokio::test]
async fn an_id_that_is_stored_exactly_can_be_revoked() {
    let machine = Machine::new(PAIRING);
    for (channel, account, sender, option) in [
        ("telegram", "bot", "@User_Name", ""),
        ("signal", "bot", "somebody", ""),
        ("Old.Channel", "an.account", "somebody", "--account an.account"),
    ] {
        machine.seed_as_stored(channel, account, sender).await;
        let command = format!("revoke {channel}:{sender} {option}");
        let (exit, lines, error) = machine.run(&command, b"").await;
        assert_eq!(exit, Exit::Done, "{command}: {error}");
        assert_eq!(lines[0]["revoked"][0]["account_id"], account);
    }
    let (exit, _, error) = machine.run("revoke Other.Channel:somebody", b"").await;
    assert_eq!((exit, error["error"]["kind"].as_str()), (Exit::Usage, Some("invalid")));
}

#[tokio::test]
async fn a_revoke_warns_if_the_mode_in_force_still_admits_the_sender() {
    let open = "pairing: { gate: { mode: open } }";
    for (config, gate, warns) in [(open, "gate", true), ("{}", "gate --auto-challenge", false)] {
        let machine = Machine::new(config);
        assert_eq!(machine.run(gate, ANA).await.0, Exit::Done);
        machine.seed_as_stored("whatsapp", "personal", "+5491155556666").await;
        let (exit, _, stderr) = machine.run_text("revoke whatsapp:+5491155556666", b"").await;
        assert_eq!((exit, stderr.contains("mode open")), (Exit::Done, warns), "{gate}: {stderr}");
    }
}

#[tokio::test]
async fn without_an_account_every_block_is_removed() {
    let machine = Machine::new("{}");
    for command in ["block telegram:123456789", "block telegram:123456789 --account bot"] {
        assert_eq!(machine.run(command, b"").await.0, Exit::Done);
    }
    let (exit, _, error) = machine.run("unblock telegram:123456789 --account other", b"").await;
    assert_eq!(exit, Exit::Refused);
    assert!(error["error"]["hint"].as_str().unwrap().contains("all accounts"), "{error}");
    let (exit, lines, _) = machine.run("unblock telegram:123456789", b"").await;
    assert_eq!((exit, lines[0]["unblocked"].as_array().map(Vec::len)), (Exit::Done, Some(2)));
}

#[tokio::test]
async fn a_seed_with_one_refused_id_seeds_nobody() {
    let machine = Machine::new(PAIRING);
    let list = b"# friends\n+5491155556666\n\nnobody\n";
    let (exit, _, error) = machine.run("seed whatsapp personal --file -", list).await;
    assert_eq!(exit, Exit::Refused);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("line 4 of standard input") && message.contains("`nobody`"));
    let (_, lines, _) = machine.run("list --all", b"").await;
    assert_eq!(lines, [json!({"pending": [], "allow": [], "blocked": []})]);
}

#[tokio::test]
async fn explain_shows_the_rule_and_writes_nothing() {
    let machine = Machine::new(PAIRING);
    let (exit, lines, _) = machine.run("explain whatsapp personal 5491155556666@c.us", b"").await;
    assert_eq!((exit, &lines[0]["rule"]), (Exit::Done, &json!(13)));
    assert_eq!(lines[0]["sender_id"], "+5491155556666");
    assert!(!machine.database().exists());
}

#[tokio::test]
async fn doctor_distinguishes_configuration_and_storage() {
    let bad = Machine::new("pairing: { gat: {} }");
    assert_eq!(bad.run("doctor", b"").await.0, Exit::Usage);
    let machine = Machine::new("{}");
    assert_eq!(machine.run("doctor", b"").await.0, Exit::Done);
    assert!(!machine.database().exists());
    std::fs::create_dir(machine.database()).unwrap();
    assert_eq!(machine.run("doctor", b"").await.0, Exit::Storage);
}
