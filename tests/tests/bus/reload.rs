//! Reloads by SIGHUP, and several subjects.

use std::time::Duration;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;
use rustix::process::Signal;

use crate::support::{Heard, connect, plugin, send_message, start};

const ANA: &str = "5491155556666@c.us";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reload_changes_the_rules_and_the_adapters() {
    let server = NatsServer::start();
    let home = Home::new();
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &["--open"]);
    let bus = connect(&server).await;
    send_message(&bus, "whatsapp.personal", ANA, "one").await;
    admitted.wait_for(1);

    home.configure(
        "gate: { mode: allowlist }\nadapters: [{ channel: signal, prefix: plugin.signal }]",
    );
    home.json(&["seed", "signal", "main", "id-bob", "--raw"]);
    let _signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the configuration was read again", 1);
    send_message(&bus, "whatsapp.personal", ANA, "two").await;
    send_message(&bus, "signal.main", "bob", "three").await;
    assert_eq!(admitted.wait_for_texts(2), ["one", "three"]);

    home.configure("gate: { mode: anything }");
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the old configuration stays in force", 1);
    home.configure("adapters: [{ channel: whatsapp, prefix: plugin.whatsapp }]");
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the old configuration stays in force", 2);
    home.configure("gate: { mode: open }\nnats: { servers: ['nats://127.0.0.1:1'] }\nstorage: { path: other.db }");
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("storage.path has changed: that needs a restart", 1);
    send_message(&bus, "whatsapp.personal", ANA, "four").await;
    assert_eq!(admitted.wait_for_texts(3), ["one", "three", "four"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reload_without_a_configuration_admits_no_stranger() {
    let server = NatsServer::start();
    let home = Home::configured("gate: { mode: allowlist }");
    home.json(&["seed", "whatsapp", "personal", ANA]);
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    let mut texts = Vec::new();
    for text in ["", "# pairing:\n", "pairing:\n", "pairing:\n  gate:\n", "pairing:\n  gate:"] {
        std::fs::write(home.path().join("config").join("pairing.yaml"), text).unwrap();
        gate.signal(Signal::HUP);
        texts.push(text);
        gate.wait_for_stderr("the old configuration stays in force", texts.len());
        send_message(&bus, "whatsapp.personal", "5491155550001@c.us", "let me in").await;
        send_message(&bus, "whatsapp.personal", ANA, text).await;
        assert_eq!(admitted.wait_for_texts(texts.len()), texts);
    }
    std::fs::remove_dir_all(home.path().join("config")).unwrap();
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the old configuration stays in force", texts.len() + 1);
    let again = start(&home, &server, &[]);
    assert!(again.stderr().contains("keeps mode allowlist"), "{}", again.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reload_that_loses_an_adapter_reads_ids_as_before() {
    let server = NatsServer::start();
    let config = "gate: { mode: allowlist, notices: own }\n";
    let adapters = "adapters:\n- channel: pigeon\n  prefix: plugin.pigeon\n- channel: signal\n  \
                    prefix: plugin.signal\n";
    let home = Home::configured(&format!("{config}{adapters}"));
    home.json(&["seed", "signal", "main", "id-bob", "--raw"]);
    let _signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    let cut = &adapters[..adapters.find("- channel: signal").unwrap()];
    let lost = ["".to_owned(), cut.to_owned()];
    for (number, lost) in lost.iter().enumerate() {
        home.configure(&format!("{config}{lost}"));
        gate.signal(Signal::HUP);
        gate.wait_for_stderr("the configuration was read again", number + 1);
        // To the plugin, this sender is `id-id-bob`.
        send_message(&bus, "signal.main", "id-bob", "a stranger").await;
        send_message(&bus, "signal.main", "bob", "bob").await;
        assert_eq!(admitted.wait_for_texts(number + 1), vec!["bob"; number + 1], "{lost}");
        let kept = gate.stderr().matches("`adapters").count();
        assert_eq!(kept, number + 1, "{}", gate.stderr());
    }
    assert!(gate.stderr().contains("`adapters[signal]`"), "{}", gate.stderr());

    home.configure(&format!("{config}adapters: []"));
    gate.signal(Signal::HUP);
    gate.wait_for_stderr("the configuration was read again", 3);
    send_message(&bus, "signal.main", "id-bob", "configured explicitly").await;
    assert_eq!(admitted.wait_for_texts(3), ["bob", "bob", "configured explicitly"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_with_a_lost_adapter_consumes_no_message() {
    let server = NatsServer::start();
    let config = "gate: { mode: allowlist, notices: own }\n";
    let adapters = "adapters: [{ channel: signal, prefix: plugin.signal }]\n";
    let home = Home::configured(&format!("{config}{adapters}"));
    home.json(&["seed", "signal", "main", "id-bob", "--raw"]);
    let _signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let bus = connect(&server).await;
    let first = start(&home, &server, &[]);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, 0);
    for args in [&[][..], &["--dry-run"]] {
        home.configure(config);
        let url = server.url();
        let args = [&["gate", "--nats", &url], args].concat();
        let refused = home.run(&args);
        assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
        assert!(refused.stderr.contains("pairing.adapters no longer lists signal"), "{refused:?}");
        home.configure(&format!(
            "{config}adapters: [{{ channel: pigeon, prefix: plugin.pigeon }}]"
        ));
        assert_eq!(home.run(&args).code, 2);
    }
    home.configure(&format!("{config}{adapters}"));
    let gate = start(&home, &server, &[]);
    send_message(&bus, "signal.main", "id-bob", "a stranger").await;
    send_message(&bus, "signal.main", "bob", "bob").await;
    assert_eq!(admitted.wait_for_texts(1), ["bob"]);
    gate.signal(Signal::TERM);
    assert_eq!(gate.wait().code, 0);
    home.configure(&format!("{config}adapters: []"));
    let _gate = start(&home, &server, &[]);
    send_message(&bus, "signal.main", "id-bob", "configured explicitly").await;
    assert_eq!(admitted.wait_for_texts(2), ["bob", "configured explicitly"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_the_given_subjects_are_subscribed() {
    let server = NatsServer::start();
    let home = Home::new();
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let subjects = ["plugin.inbound.whatsapp.*", "plugin.inbound.telegram", "plugin.inbound.a.>"];
    let mut args = vec!["--open"];
    args.extend(subjects.iter().flat_map(|subject| ["--subject", subject]));
    let _gate = start(&home, &server, &args);
    let bus = connect(&server).await;
    for (to, text) in [("whatsapp", "no"), ("telegram.bot", "no"), ("b.main", "no")] {
        send_message(&bus, to, "1", text).await;
    }
    for (to, text) in [("whatsapp.personal", "yes"), ("telegram", "yes"), ("a.main", "yes")] {
        send_message(&bus, to, "12345678", text).await;
    }
    assert_eq!(admitted.wait_for_texts(3), ["yes"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_can_distribute_accounts_over_gates() {
    let mapping = "mappings: { \"plugin.inbound.*.*\": \
                   \"part.{{partition(2,1,2)}}.plugin.inbound.{{wildcard(1)}}.{{wildcard(2)}}\" }";
    let server = NatsServer::with(|_| mapping.to_owned());
    let home = Home::new();
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gates = [
        start(&home, &server, &["--open", "--subject", "part.0.plugin.inbound.>"]),
        start(&home, &server, &["--open", "--subject", "part.1.plugin.inbound.>"]),
    ];
    let bus = connect(&server).await;
    let (accounts, each) = (20, 10);
    for number in 0..each {
        for account in 0..accounts {
            send_message(&bus, &format!("a.{account}"), "ana", &format!("{account} {number}"))
                .await;
        }
    }
    // All messages of an account went to one gate: their order is kept, and so are their subjects.
    let heard = admitted.wait_for_json(accounts * each);
    for account in 0..accounts {
        let subject = format!("pairing.admitted.a.{account}");
        let texts = heard.iter().filter(|(on, _)| *on == subject);
        let texts = texts.map(|(_, event)| event["payload"]["text"].as_str().unwrap().to_owned());
        assert!(texts.eq((0..each).map(|number| format!("{account} {number}"))), "{account}");
    }
    for gate in gates {
        gate.signal(Signal::TERM);
        let ended = gate.wait();
        assert!(!ended.stderr.contains("total: 0 messages"), "{}", ended.stderr);
    }
}
