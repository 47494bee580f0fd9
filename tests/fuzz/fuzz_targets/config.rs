//! Generated configurations, as a file and as a variable.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nexo_pairing_config::{Config, Sources};
use nexo_pairing_core::PairingPolicy;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

fuzz_target!(|input: &[u8]| {
    // The first byte selects the source: a variable and its value, or the file.
    let Some((place, bytes)) = input.split_first() else { return };
    let home = |vars: Vec<(OsString, OsString)>| {
        Sources::from_vars(
            vars.into_iter().chain([(OsString::from("NEXO_HOME"), FOLDER.path().into())]),
        )
    };
    let sources = if *place == b'v' {
        let end = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
        let (name, value) = bytes.split_at(end);
        let name = OsString::from_vec([b"NEXO_PAIRING_", name].concat());
        let value = OsString::from_vec(value.get(1..).unwrap_or_default().to_vec());
        home(vec![(name, value)])
    } else {
        let path: PathBuf = FOLDER.path().join("pairing.yaml");
        std::fs::write(&path, bytes).expect("room for a file");
        home(Vec::new()).with_config(Some(path))
    };
    match sources.load() {
        Ok(config) => check(&config),
        // A message is for a terminal: it does not grow beyond the input, each character of which
        // may have been escaped.
        Err(error) => assert!(error.to_string().len() <= 12 * input.len() + 4096, "{error}"),
    }
});

/// Whatever the input, the values in force are within their limits.
fn check(config: &Config) {
    let within = |value: Duration, from: u64, to: u64| {
        assert!((from..=to).contains(&value.as_secs()) && value.subsec_nanos() == 0);
    };
    let accounts = config.accounts().unwrap_or_default();
    let of = |account: &nexo_pairing_config::Account| account.policy.clone();
    for policy in accounts.iter().map(of).chain([config.policy("any", "any").clone()]) {
        let PairingPolicy { max_pending, pending_ttl, challenge_cooldown, challenge_text, .. } =
            policy;
        assert!((1..=1000).contains(&max_pending));
        within(pending_ttl, 60, 86_400);
        within(challenge_cooldown, 10, 86_400);
        assert!(challenge_text.is_none_or(|text| (1..=1000).contains(&text.len())
            && (text.contains("{code}") || text.contains("{command}"))));
    }
    within(config.setup_code_ttl(), 1, 86_400);
    within(config.session_ttl(), 60, 31_536_000);
    assert!((1..=36_500).contains(&config.audit_days()));
    assert!(config.public_url().is_none_or(|url| (1..=2048).contains(&url.len())));
    assert!(config.storage_path().is_absolute() && config.secret_path().is_absolute());
    for adapter in config.adapters() {
        within(adapter.cache_ttl, 1, 86_400);
    }
}
