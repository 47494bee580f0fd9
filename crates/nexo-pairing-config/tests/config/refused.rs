//! What is rejected, and the errors that the operator sees.

use nexo_pairing_config::{ConfigError, Sources};
use nexo_pairing_core::PairingPolicy;

use crate::{Home, message};

/// The error for a file with this below `pairing:`.
fn file(text: &str) -> String {
    Home::with_file(format!("pairing: {{{text}}}")).error()
}

/// The error for an environment with this variable.
fn variable(name: &str, value: &str) -> String {
    Home::new().var(name, value).error()
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_its_nearest() {
    for (text, key, nearest) in [
        ("storge: {path: /x}", "pairing.storge", "pairing.storage"),
        ("storage: {pth: /x}", "pairing.storage.pth", "pairing.storage.path"),
        ("gate: {moed: open}", "pairing.gate.moed", "pairing.gate.mode"),
        ("mode: open", "pairing.mode", "pairing.gate.mode"),
        (
            "gate: {session_ttl_secs: 9}",
            "pairing.gate.session_ttl_secs",
            "pairing.session_ttl_secs",
        ),
        ("gate: {moed: }", "pairing.gate.moed", "pairing.gate.mode"),
        (
            "accounts: [{channel: a, account: b}, {chanel: a, account: b}]",
            "pairing.accounts[1].chanel",
            "pairing.accounts[].channel",
        ),
        (
            "adapters: [{channel: a, prefx: b}]",
            "pairing.adapters[0].prefx",
            "pairing.adapters[].prefix",
        ),
        ("nats: {server: []}", "pairing.nats.server", "pairing.nats.servers"),
        ("nats: {tls_cafile: a.pem}", "pairing.nats.tls_cafile", "pairing.nats.tls_ca_file"),
        ("nats: {password: a}", "pairing.nats.password", "pairing.nats.password_file"),
        ("gate.mode: open", "pairing.\"gate.mode\"", "pairing.gate.mode"),
        ("audit-days: 3", "pairing.audit-days", "pairing.audit_days"),
    ] {
        let expected = format!("unknown key `{key}` in FILE, did you mean `{nearest}`?");
        assert_eq!(file(text), expected);
    }
}

#[test]
fn a_key_outside_of_pairing_is_named_with_its_place() {
    for (text, key, nearest) in [
        ("paring: {}", "paring", "pairing"),
        ("storage: {path: /x}", "storage", "pairing.storage"),
        ("pairing: {}\naudit_days: 3", "audit_days", "pairing.audit_days"),
    ] {
        let expected = format!("unknown key `{key}` in FILE, did you mean `{nearest}`?");
        assert_eq!(Home::with_file(text).error(), expected);
    }
}

#[test]
fn an_unknown_variable_is_named_with_its_nearest() {
    for (name, nearest) in [
        ("NEXO_PAIRING_GATE__MOED", "NEXO_PAIRING_GATE__MODE"),
        ("NEXO_PAIRING_GATE_MODE", "NEXO_PAIRING_GATE__MODE"),
        ("NEXO_PAIRING_gate__mode", "NEXO_PAIRING_GATE__MODE"),
        ("NEXO_PAIRING_MODE", "NEXO_PAIRING_GATE__MODE"),
        ("NEXO_PAIRING_STORAGE", "NEXO_PAIRING_STORAGE__PATH"),
        ("NEXO_PAIRING_AUDIT_DAY", "NEXO_PAIRING_AUDIT_DAYS"),
    ] {
        let error = variable(name, "1");
        assert!(
            error.ends_with(&format!(" in the environment, did you mean `{nearest}`?")),
            "{error}"
        );
    }
    let error = variable("NEXO_PAIRING_GATE__MOED", "pairing");
    assert!(
        error.starts_with("unknown key `NEXO_PAIRING_GATE__MOED` in the environment"),
        "{error}"
    );
    assert!(variable("NEXO_PAIRING_", "").starts_with("unknown key `NEXO_PAIRING_`"));
    let error = variable("NEXO_PAIRING_ACCOUNTS", "[{chanel: a, account: b}]");
    assert!(error.starts_with("unknown key `NEXO_PAIRING_ACCOUNTS[0].chanel`"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_or_out_of_range_is_named_with_what_is_allowed() {
    for (text, key, value, allowed) in [
        ("storage: /x", "storage", "/x", "keys with their values"),
        ("storage: {path: 7}", "storage.path", "7", "a path: absolute, relative, or `~/…`"),
        ("storage: {path: ''}", "storage.path", "", "a path"),
        ("storage: {path: ~cody/x}", "storage.path", "~cody/x", "a path"),
        ("storage: {path: $NEXO_HOME/x}", "storage.path", "$NEXO_HOME/x", "a path"),
        ("storage: {path: \"a\\0b\"}", "storage.path", "a\\u{0}b", "a path"),
        ("storage: {path: '${A:-/b}/x'}", "storage.path", "${A:-/b}/x", "written out, because"),
        ("storage: {path: ~/x}", "storage.path", "~/x", "a path without `~`, because HOME is"),
        ("setup_code: {secret_external: yes}", "setup_code.secret_external", "yes", "`true` or"),
        ("setup_code: {default_ttl_secs: 0}", "setup_code.default_ttl_secs", "0", "a whole number"),
        ("setup_code: {default_ttl_secs: 86401}", "setup_code.default_ttl_secs", "86401", "a w"),
        ("session_ttl_secs: 59", "session_ttl_secs", "59", "a whole number from 60 to 31536000"),
        ("session_ttl_secs: 1h", "session_ttl_secs", "1h", "a whole number from 60 to 31536000"),
        ("session_ttl_secs: 0600", "session_ttl_secs", "0600", "a whole number"),
        ("session_ttl_secs: 86_400", "session_ttl_secs", "86_400", "a whole number"),
        ("session_ttl_secs: -600", "session_ttl_secs", "-600", "a whole number"),
        ("session_ttl_secs: 600.5", "session_ttl_secs", "600.5", "a whole number"),
        ("session_ttl_secs: 99999999999999999999", "session_ttl_secs", "1e+20", "a whole number"),
        ("on_replay: ignore", "on_replay", "ignore", "`revoke` or `refuse`"),
        ("public_url: ''", "public_url", "", "a URL of 1 to 2048 bytes"),
        ("public_url: [a]", "public_url", "[\"a\"]", "a URL"),
        ("public_url: 'wss://${HOST}'", "public_url", "wss://${HOST}", "written out"),
        ("ws_cleartext_allow: a", "ws_cleartext_allow", "a", "a list, `[]` if it is empty"),
        ("ws_cleartext_allow: ['ws://a']", "ws_cleartext_allow[0]", "ws://a", "a host name or"),
        ("ws_cleartext_allow: [a, 1]", "ws_cleartext_allow[1]", "1", "a host name or an addr"),
        ("ws_cleartext_allow: [null]", "ws_cleartext_allow[0]", "null", "a host name or an"),
        ("trusted_proxies: [10.0.0.1/8]", "trusted_proxies[0]", "10.0.0.1/8", "a network"),
        ("gate: {mode: closed}", "gate.mode", "closed", "`open`, `allowlist` or `pairing`"),
        ("gate: {mode: Open}", "gate.mode", "Open", "`open`, `allowlist` or `pairing`"),
        ("gate: {auto_challenge: on}", "gate.auto_challenge", "on", "`true` or `false`"),
        ("gate: {max_pending: 0}", "gate.max_pending", "0", "a whole number from 1 to 1000"),
        ("gate: {language: no}", "gate.language", "no", "`en`, `es` or `pt`"),
        (
            "gate: {challenge_text: hi}",
            "gate.challenge_text",
            "hi",
            "1 to 1000 bytes with `{code}`",
        ),
        ("accounts: ", "accounts", "null", "a list, `[]` if it is empty"),
        ("accounts: {a: b}", "accounts", "{\"a\":\"b\"}", "a list"),
        ("accounts: [a]", "accounts[0]", "a", "an entry with channel and account"),
        (
            "accounts: [{channel: telegram, account: 12345}]",
            "accounts[0].account",
            "12345",
            "[A-Za-z0-9_-]{1,64}, in quotes",
        ),
        ("accounts: [{channel: Telegram}]", "accounts[0].channel", "Telegram", "[a-z0-9]["),
        ("adapters: [{prefix: 'a.>'}]", "adapters[0].prefix", "a.>", "a subject such as"),
        ("adapters: [{prefix: plugin.inbound}]", "adapters[0].prefix", "plugin.inbound", "a subj"),
        ("adapters: [{prefix: plugin.outbound.a}]", "adapters[0].prefix", "plugin.outbound.a", "a"),
        ("adapters: [{prefix: pairing}]", "adapters[0].prefix", "pairing", "a subject such as"),
        ("adapters: [{prefix: _INBOX.a}]", "adapters[0].prefix", "_INBOX.a", "a subject such as"),
        ("nats: {servers: nats://a}", "nats.servers", "nats://a", "a list, `[]` if it is empty"),
        ("nats: {servers: ['a:4222']}", "nats.servers[0]", "a:4222", "`nats://HOST:PORT` or `tls:"),
        ("nats: {servers: ['nats://']}", "nats.servers[0]", "nats://", "`nats://HOST:PORT` or"),
        ("nats: {servers: ['nats://a/b']}", "nats.servers[0]", "nats://a/b", "`nats://HOST:PORT`"),
        ("nats: {user: ''}", "nats.user", "", "a name of 1 to 256 bytes"),
        ("nats: {tls_required: 1}", "nats.tls_required", "1", "`true` or `false`"),
        ("adapters: [{cache_ttl_secs: 0}]", "adapters[0].cache_ttl_secs", "0", "a whole number"),
        ("audit_days: 36501", "audit_days", "36501", "a whole number from 1 to 36500"),
    ] {
        let error = file(text);
        let expected = format!("`pairing.{key}` in FILE is `{value}`, it has to be {allowed}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    for (name, value, allowed) in [
        ("GATE__MAX_PENDING", "many", "a whole number from 1 to 1000"),
        ("GATE__MODE", "", "`open`, `allowlist` or `pairing`"),
        ("AUDIT_DAYS", "", "a whole number from 1 to 36500"),
        ("PUBLIC_URL", "", "a URL of 1 to 2048 bytes"),
        ("WS_CLEARTEXT_ALLOW", "a.local", "a list, `[]` if it is empty"),
    ] {
        let error = variable(&format!("NEXO_PAIRING_{name}"), value);
        let expected = format!(
            "`NEXO_PAIRING_{name}` in the environment is `{value}`, it has to be {allowed}"
        );
        assert_eq!(error, expected);
    }
    let error = variable("NEXO_PAIRING_WS_CLEARTEXT_ALLOW", "[a");
    let expected = "environment NEXO_PAIRING_WS_CLEARTEXT_ALLOW is not valid YAML: ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_bad_flag_is_named() {
    let sources = Home::new().sources().with_db(Some("".into()));
    let error = message(&sources.load().unwrap_err());
    assert!(error.starts_with("`--db` on the command line is ``, it has to be a path"), "{error}");
}

#[test]
fn a_value_is_rejected_even_if_a_later_layer_overrides_it() {
    let home = Home::with_file("pairing: {audit_days: 0}").var("NEXO_PAIRING_AUDIT_DAYS", "1");
    assert!(home.error().starts_with("`pairing.audit_days` in FILE is `0`"));
}

#[test]
fn an_entry_has_its_required_keys_and_is_unique() {
    assert_eq!(
        file("accounts: [{channel: whatsapp}]"),
        "`pairing.accounts[0].account` in FILE is missing, every entry needs it"
    );
    assert_eq!(
        file(
            "accounts: [{channel: a, account: b}, {channel: a, account: c}, {channel: a, account: b}]"
        ),
        "`pairing.accounts[2]` in FILE duplicates `pairing.accounts[0]`, keep one of them"
    );
    assert_eq!(
        file("adapters: [{channel: a, prefix: b}, {channel: a, prefix: c}]"),
        "`pairing.adapters[1]` in FILE duplicates `pairing.adapters[0]`, keep one of them"
    );
}

#[test]
fn a_password_in_a_url_is_rejected_and_not_repeated() {
    let error = file("nats: {servers: ['nats://me:s3cret@bus.example.com']}");
    assert!(error.contains("`nats://…@bus.example.com`, it has to be"), "{error}");
    let error = variable("NEXO_PAIRING_NATS__SERVERS", "nats://s3cret@bus");
    assert!(error.contains("`nats://…@bus`") && !error.contains("s3cret"), "{error}");
}

#[test]
fn logins_that_contradict_each_other_are_rejected() {
    for (text, key, problem) in [
        ("user: a", "user", "needs `nats.password_file` beside it"),
        ("password_file: /a", "password_file", "needs `nats.user` beside it"),
        ("tls_cert_file: /a", "tls_cert_file", "needs `nats.tls_key_file` beside it"),
        ("tls_key_file: /a", "tls_key_file", "needs `nats.tls_cert_file` beside it"),
        (
            "token_file: /a, credentials_file: /b",
            "token_file",
            "is a second way to log in: keep one of them",
        ),
        (
            "user: a, password_file: /b, nkey_file: /c",
            "user",
            "is a second way to log in: keep one of them",
        ),
    ] {
        let error = file(&format!("nats: {{{text}}}"));
        assert_eq!(error, format!("`pairing.nats.{key}` in FILE {problem}"));
    }
    // Each of them is set by another layer.
    let home = Home::with_file("pairing: {nats: {token_file: /a}}")
        .var("NEXO_PAIRING_NATS__CREDENTIALS_FILE", "/b");
    assert!(home.error().contains("keep one of them"), "{}", home.error());
}

#[test]
fn two_modes_at_once_are_rejected() {
    let error = "mode is allowlist but auto_challenge is true; keep `mode` only";
    assert_eq!(
        file("gate: {mode: allowlist, auto_challenge: true}"),
        format!("`pairing.gate` in FILE is not consistent: {error}")
    );
    assert_eq!(
        file("accounts: [{channel: a, account: b, mode: allowlist, auto_challenge: true}]"),
        format!("`pairing.accounts[0]` in FILE is not consistent: {error}")
    );
    let home = Home::new()
        .var("NEXO_PAIRING_GATE__MODE", "allowlist")
        .var("NEXO_PAIRING_GATE__AUTO_CHALLENGE", "true");
    assert!(home.error().ends_with(error));
}

#[test]
fn a_duplicate_key_is_rejected() {
    for text in [
        "pairing:\n  gate:\n    mode: pairing\n    mode: open\n",
        "pairing:\n  gate:\n    mode: pairing\n    \"mode\": open\n",
        "pairing: {}\npairing: {}\n",
    ] {
        let error = Home::with_file(text).error();
        assert!(error.starts_with("FILE is not valid YAML: "), "{error}");
        assert!(error.contains("duplicate") && error.contains("line "), "{error}");
    }
}

#[test]
fn a_missing_home_is_named_with_what_to_set() {
    let error = message(&Sources::from_vars([("HOME", "")]).load().unwrap_err());
    assert!(error.contains("NEXO_HOME"), "{error}");
    let home = Home::with_file("pairing: {storage: {path: /a}}");
    let sources = Sources::from_vars::<String, String>([]).with_config(Some(home.file()));
    let error = message(&sources.load().unwrap_err());
    assert!(error.contains("no default for the key of setup codes: set NEXO_HOME"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = Home::new();
    let missing = home.path("missing.yaml");
    for path in [&missing, home.dir.path()] {
        let error = home.sources().with_config(Some(path.into())).load().unwrap_err();
        assert!(matches!(error, ConfigError::Read { .. }), "{error:?}");
        assert!(message(&error).contains(path.to_str().unwrap()), "{error}");
    }
    std::fs::create_dir(home.file()).unwrap();
    assert!(home.error().starts_with("cannot read the configuration file FILE: "));
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_not_an_absent_file() {
    let home = Home::new();
    std::os::unix::fs::symlink("nowhere", home.file()).unwrap();
    assert!(matches!(home.load(), Err(ConfigError::Read { .. })));
}

#[test]
fn the_size_and_the_encoding_of_a_file_are_checked() {
    let mut text = "pairing: {}\n#".to_owned();
    text.push_str(&" ".repeat((1 << 20) - text.len()));
    assert!(Home::with_file(&text).load().is_ok());
    text.push(' ');
    let error = Home::with_file(&text).error();
    assert_eq!(error, "the configuration file FILE is larger than 1 MiB");
    assert_eq!(Home::with_file(b"pairing: \xff").error(), "FILE is not UTF-8");
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let bad = || OsString::from_vec(b"/\xff".into());
    let error = |sources: Sources| sources.load().unwrap_err().to_string();
    let home = OsString::from("/nonexistent");
    let name = "NEXO_PAIRING_STORAGE__PATH";
    assert!(error(Sources::from_vars([("NEXO_HOME", bad())])).contains("NEXO_HOME"));
    assert!(error(Sources::from_vars([(name, bad()), ("NEXO_HOME", home.clone())])).contains(name));
    let sources = Sources::from_vars([("NEXO_HOME", home.clone())]).with_db(Some(bad().into()));
    assert!(error(sources).contains("--db"));
    assert!(Sources::from_vars([("OTHER", bad()), ("NEXO_HOME", home)]).load().is_ok());
}

#[test]
fn the_bounds_are_those_of_core() {
    let core = |key: &str, value: u64| {
        let options = serde_json::from_value(serde_json::json!({ key: value })).unwrap();
        PairingPolicy::default().with(&options).is_ok()
    };
    for (key, values) in [
        ("max_pending", [0, 1, 1000, 1001]),
        ("pending_ttl_secs", [59, 60, 86_400, 86_401]),
        ("challenge_cooldown_secs", [9, 10, 86_400, 86_401]),
    ] {
        for value in values {
            let home = Home::with_file(format!("pairing: {{gate: {{{key}: {value}}}}}"));
            assert_eq!(home.load().is_ok(), core(key, value), "{key}: {value}");
        }
    }
}

#[test]
fn a_message_escapes_control_characters_and_is_shortened() {
    let error = file(&format!("on_replay: \"\\e[2J{}\"", "x".repeat(5000)));
    assert!(!error.contains('\u{1b}') && error.len() < 250, "{error}");
    let error = file(&format!("? \"\\e{}\"\n: 1", "k".repeat(500)));
    assert!(!error.contains('\u{1b}') && error.len() < 250, "{error}");
}
