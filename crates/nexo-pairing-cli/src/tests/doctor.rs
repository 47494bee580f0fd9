//! The checks, for programs that run them without the command.

use std::sync::Arc;

use nexo_pairing::config::Sources;
use nexo_pairing::telegram::TelegramPairingAdapter;
use nexo_pairing::{ManualClock, PairingAdapterRegistry};
use time::OffsetDateTime;

use super::*;
use crate::channels::Discard;
use crate::doctor::{self, CHECKS, DoctorOptions, Finding, Installation, Status};

impl Machine {
    fn doctor(&self) -> DoctorOptions {
        let (config, database) = (self.0.path().join("pairing.yaml"), self.database());
        let vars = [("NEXO_HOME", self.0.path())];
        DoctorOptions::new(
            Sources::from_vars(vars).with_config(Some(config)).with_db(Some(database)),
        )
    }
}

/// What one check finds.
async fn found(name: &str, options: &DoctorOptions) -> Vec<Finding> {
    let check = CHECKS.iter().find(|check| check.name() == name).unwrap();
    check.run(&Installation::read(options)).await
}

#[tokio::test]
async fn the_command_prints_the_report() {
    let machine = Machine::new(PAIRING);
    machine.seed_as_stored("whatsapp", "personal", "+5491155556666").await;
    // The command finds the key by the environment of this process, and so does the test.
    let (config, database) = (machine.0.path().join("pairing.yaml"), machine.database());
    let sources =
        Sources::from_environment().with_config(Some(config)).with_db(Some(database.clone()));
    for is_damaged in [false, true] {
        if is_damaged {
            std::fs::write(&database, "not a database").unwrap();
        }
        let report = doctor::run(&DoctorOptions::new(sources.clone())).await;
        let (exit, lines, error) = machine.run("doctor", b"").await;
        let [line] = lines.try_into().unwrap();
        let expected = serde_json::to_value(&report).unwrap();
        assert_eq!(without_free_space(line), without_free_space(expected), "{error}");
        assert_eq!(exit, report.exit());
        let contents = report.findings.iter().find(|finding| finding.name == "contents").unwrap();
        let expected =
            if is_damaged { (Status::Fail, Exit::Storage) } else { (Status::Ok, Exit::Done) };
        assert_eq!((contents.status, exit), expected, "{contents:?}");
    }
}

/// A report without the free disk space, which other programs change between two runs.
fn without_free_space(mut report: Value) -> Value {
    let mut findings = report["checks"].as_array_mut().unwrap().iter_mut();
    let disk = findings.find(|finding| finding["name"] == "disk").unwrap();
    let message = disk["message"].as_str().unwrap();
    disk["message"] = message.replace(|c: char| c.is_ascii_digit(), "").into();
    report
}

#[tokio::test]
async fn a_check_can_be_run_alone_and_with_another_clock() {
    let machine = Machine::new(PAIRING);
    assert_eq!(found("clock", &machine.doctor()).await, []);
    machine.seed_as_stored("whatsapp", "personal", "+5491155556666").await;
    let [clock] = &found("clock", &machine.doctor()).await[..] else { panic!("one finding") };
    assert_eq!((clock.name, clock.status, &clock.hint), ("clock", Status::Ok, &None));
    let set_back = machine.doctor().with_clock(ManualClock::new(OffsetDateTime::UNIX_EPOCH));
    let [clock] = &found("clock", &set_back).await[..] else { panic!("one finding") };
    assert_eq!(clock.status, Status::Warn);
    assert!(clock.message.contains("1970-01-01 00:00:00 UTC"), "{clock:?}");
}

#[tokio::test]
async fn the_adapters_are_those_of_the_gate() {
    let machine = Machine::new(
        "pairing: { accounts: [{ channel: telegram, account: bot, mode: pairing }, { channel: whatsapp, \
         account: personal, mode: pairing }] }",
    );
    let without_adapter = async |options| {
        let found = found("accounts", &options).await;
        found.iter().filter(|finding| finding.message.contains("no adapter")).count()
    };
    assert_eq!(without_adapter(machine.doctor()).await, 0);
    let adapters = PairingAdapterRegistry::new();
    adapters.register(Arc::new(TelegramPairingAdapter::new(Arc::new(Discard))));
    assert_eq!(without_adapter(machine.doctor().with_adapters(adapters)).await, 1);
}

#[tokio::test]
async fn without_a_configuration_the_database_is_still_checked() {
    let machine = Machine::new("pairing: { gate: { mode: ajar } }");
    let report = doctor::run(&machine.doctor()).await;
    let names: Vec<_> = report.findings.iter().map(|finding| finding.name).collect();
    assert_eq!(names, ["configuration", "folder", "disk", "database"]);
    assert_eq!(report.exit(), Exit::Usage);
}

#[test]
fn each_check_has_a_name_of_its_own_and_can_be_spawned() {
    fn is_send(_: &impl Send) {}
    let names: std::collections::BTreeSet<_> = CHECKS.iter().map(doctor::Check::name).collect();
    assert_eq!(names.len(), CHECKS.len());
    is_send(&doctor::run(&Machine::new(PAIRING).doctor()));
}
