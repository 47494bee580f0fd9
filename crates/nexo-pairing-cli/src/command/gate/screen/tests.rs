//! The effects of a reload.

use std::path::Path;

use nexo_pairing::config::{Process, Sources};
use nexo_pairing::{AccountScope, Actor, ChannelId, PairingStore, SenderId, Target};
use serde_json::Value;

use super::*;

fn settings(folder: &Path, yaml: &str) -> Settings {
    let file = folder.join("pairing.yaml");
    std::fs::write(&file, yaml).unwrap();
    let sources = Sources::from_environment().with_config(Some(file));
    Arc::new(sources.with_db(Some(folder.join("pairing.db"))).load().unwrap())
}

async fn ask(screener: &mut Screener, line: &str) -> Value {
    screener.take_settings();
    let settings = screener.decider.settings().clone();
    assert!(screener.decide(line.as_bytes(), &settings).await.is_ok());
    while let Some(decided) = screener.waiting.next().await {
        screener.take(decided);
    }
    let answer = serde_json::from_slice(&screener.output.bytes).unwrap();
    screener.output.bytes.clear();
    answer
}

const ANA: &str = r#"{"channel":"whatsapp","account":"personal","from":"5491155556666@c.us"}"#;

/// The decision of a gate in mode `open` whose accounts change while its store cannot be read.
async fn reloaded_without_a_store(is_blocked: bool) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("pairing.db");
    let store: Store = Arc::new(PairingStore::open(&database).await.unwrap());
    if is_blocked {
        let channel = ChannelId::parse("whatsapp").unwrap();
        let sender = SenderId::parse("+5491155556666").unwrap();
        let target = Target::new(channel, AccountScope::All, sender);
        store.block(&target, &Actor::cli(), None).await.unwrap();
    }
    let (reload, next) = watch::channel(settings(folder.path(), "{}"));
    let log = StatusLog::new(Box::new(io::sink()));
    let mut screener = Screener::new(store, next, Box::new(io::sink()), log, false);
    screener.load().await;
    let expected = if is_blocked { "drop" } else { "admit" };
    assert_eq!(ask(&mut screener, ANA).await["decision"], expected);

    std::fs::remove_file(&database).unwrap();
    std::fs::create_dir(&database).unwrap();
    let accounts = "pairing: { accounts: [{ channel: whatsapp, account: personal }] }";
    reload.send_replace(settings(folder.path(), accounts));
    ask(&mut screener, ANA).await
}

#[tokio::test]
async fn known_blocks_outlive_a_change_of_the_accounts() {
    let answer = reloaded_without_a_store(true).await;
    assert_ne!(answer["decision"], "admit", "{answer}");
    // A gate that had started over would not know that nobody is blocked.
    let answer = reloaded_without_a_store(false).await;
    assert_eq!(answer["decision"], "admit", "{answer}");
}

#[tokio::test]
async fn a_reload_replaces_the_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let store: Store = Arc::new(PairingStore::open_memory().await.unwrap());
    let accounts = "pairing: { accounts: [{ channel: whatsapp, account: personal }] }";
    let (reload, next) = watch::channel(settings(folder.path(), accounts));
    let log = StatusLog::new(Box::new(io::sink()));
    let mut screener = Screener::new(store, next, Box::new(io::sink()), log, false);
    screener.load().await;
    let other = ANA.replace("personal", "work");
    assert_eq!(ask(&mut screener, &other).await["reason"], "unknown_account");
    reload.send_replace(settings(folder.path(), "{}"));
    assert_eq!(ask(&mut screener, &other).await["decision"], "admit");
    reload.send_replace(settings(folder.path(), accounts));
    assert_eq!(ask(&mut screener, &other).await["reason"], "unknown_account");
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let before = settings(folder.path(), "{}");
    let after = settings(folder.path(), "pairing: { audit_days: 30, gate: { mode: pairing } }");
    assert_eq!(before.needs_restart(&before, Process::Gate), [""; 0]);
    assert_eq!(after.needs_restart(&before, Process::Gate), ["audit_days"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let after = settings(elsewhere.path(), "{}");
    assert_eq!(after.needs_restart(&before, Process::Gate), ["storage.path"]);
}
