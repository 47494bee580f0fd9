//! Which database a command reads, and which it writes to.

use std::sync::Arc;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn senders_seeded_while_the_database_is_created_are_in_it() {
    for command in ["seed whatsapp personal", "block"] {
        let machine = Arc::new(Machine::new("{}"));
        let mut runs = Vec::new();
        for number in 0..20 {
            let person = if command == "block" { "whatsapp:" } else { "" };
            let command = format!("{command} {person}+5491155550{number:03}");
            let machine = machine.clone();
            runs.push(tokio::spawn(async move { machine.run(&command, b"").await }));
        }
        for run in runs {
            let (exit, _, error) = run.await.unwrap();
            assert_eq!(exit, Exit::Done, "{error}");
        }
        let (_, lines, _) = machine.run("list --all", b"").await;
        let stored = if command == "block" { "blocked" } else { "allow" };
        assert_eq!(lines[0][stored].as_array().map(Vec::len), Some(20), "{command}");
    }
}

#[tokio::test]
async fn a_missing_database_is_named_and_not_created() {
    let machine = Machine::new("{}");
    for command in ["approve K7M9-PQ2X", "reject K7M9-PQ2X"] {
        let (exit, _, error) = machine.run(command, b"").await;
        assert_eq!(exit, Exit::Storage);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(machine.database().to_str().unwrap()), "{message}");
        assert!(error["error"]["hint"].as_str().unwrap().contains("nexo-pair config"), "{error}");
    }
    assert_eq!(std::fs::read_dir(machine.0.path()).unwrap().count(), 1, "the configuration");
}

#[tokio::test]
async fn explain_refuses_what_the_adapter_refuses_unless_it_is_stored() {
    for config in ["{}", PAIRING, "pairing: { gate: { mode: allowlist } }"] {
        let machine = Machine::new(config);
        for id in ["12036304@g.us", "nonsense", "+549\u{7}1155556666"] {
            let (exit, lines, error) =
                machine.run(&format!("explain whatsapp personal {id}"), b"").await;
            assert_eq!((exit, lines.len()), (Exit::Refused, 0), "{id}: {error}");
            assert_eq!(error["error"]["kind"], "sender_refused");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains("not a pairable sender"), "{message}");
        }
        assert!(!machine.database().exists());
    }
    let machine = Machine::new(PAIRING);
    machine.seed_as_stored("telegram", "bot", "@User_Name").await;
    let (exit, lines, _) = machine.run("explain telegram bot @User_Name", b"").await;
    assert_eq!((exit, &lines[0]["rule"]), (Exit::Done, &json!(4)));
    // Where there is no adapter, the gate takes ids as they are.
    let (exit, lines, _) = machine.run("explain irc libera Ana[m]", b"").await;
    assert_eq!((exit, &lines[0]["sender_id"]), (Exit::Done, &json!("Ana[m]")));
}
