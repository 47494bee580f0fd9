//! The layers: what each one sets, what it overrides, and the origin of each value.

use std::path::Path;
use std::time::Duration;

use nexo_pairing_config::{ChallengeFormat, Nats, Notices, OnReplay, Sources};
use nexo_pairing_core::{Language, Mode, PairingPolicy};
use serde_json::{Value, json};

use crate::{Home, origin};

const SAMPLE: &str = "
pairing:
  storage:
    path: /var/lib/nexo/pairing/pairing.db     # default $NEXO_HOME/state/pairing.db
  setup_code:
    secret_path: /var/lib/nexo/pairing/pairing.key   # default $NEXO_HOME/secret/pairing.key
    secret_external: false
    default_ttl_secs: 600                       # default 60
  session_ttl_secs: 86400
  on_replay: revoke                             # or refuse
  public_url: wss://nexo.example.com/pair
  ws_cleartext_allow:
    - kitchen-pi.local
  trusted_proxies: [127.0.0.1/32]
  gate:                                         # defaults for every account
    mode: pairing                               # open (default), allowlist, pairing; auto_challenge: true is pairing
    max_pending: 3
    pending_ttl_secs: 3600
    challenge_cooldown_secs: 300
    language: es
  accounts:                                     # where given, any other account is refused
    - { channel: whatsapp, account: personal }
    - { channel: telegram, account: cody_nexo_bot, mode: allowlist }
  adapters:                                     # channels served by another process
    - { channel: signal, prefix: plugin.signal, format: default, cache_ttl_secs: 3600 }
  nats:                                         # the bus, for `gate --nats` and for these channels
    servers: [nats://127.0.0.1:4222]
    credentials_file: pairing.creds
  audit_days: 365
";

#[test]
fn without_sources_the_defaults_apply() {
    let home = Home::new();
    let config = home.load().unwrap();
    assert_eq!(config.home(), Some(home.dir.path()));
    assert_eq!(config.file(), None);
    assert_eq!(config.storage_path(), home.path("state/pairing.db"));
    assert_eq!(config.secret_path(), home.path("secret/pairing.key"));
    assert!(!config.secret_external());
    assert_eq!(config.setup_code_ttl(), Duration::from_secs(60));
    assert_eq!(config.session_ttl(), Duration::from_secs(86_400));
    assert_eq!(config.on_replay(), OnReplay::Revoke);
    assert_eq!(config.public_url(), None);
    assert!(config.ws_cleartext_allow().is_empty());
    assert!(config.trusted_proxies().is_empty());
    assert_eq!(*config.policy("whatsapp", "personal"), PairingPolicy::default());
    assert_eq!(config.accounts(), None);
    assert!(config.adapters().is_empty());
    assert_eq!(*config.nats(), Nats::default());
    assert_eq!(config.audit_days(), 365);
    assert!(config.provenance().iter().all(|setting| setting.origin.to_string() == "default"));
}

#[test]
fn the_whole_sample_is_read() {
    let home = Home::with_file(SAMPLE);
    let config = home.load().unwrap();
    assert_eq!(config.file(), Some(&*home.file()));
    assert_eq!(config.storage_path(), Path::new("/var/lib/nexo/pairing/pairing.db"));
    assert_eq!(config.secret_path(), Path::new("/var/lib/nexo/pairing/pairing.key"));
    assert_eq!(config.setup_code_ttl(), Duration::from_secs(600));
    assert_eq!(config.public_url(), Some("wss://nexo.example.com/pair"));
    assert_eq!(config.ws_cleartext_allow(), ["kitchen-pi.local"]);
    let is_trusted = |address: &str| {
        let address = address.parse().unwrap();
        config.trusted_proxies().iter().any(|network| network.contains(address))
    };
    assert!(is_trusted("127.0.0.1") && !is_trusted("127.0.0.2"));

    let personal = config.policy("whatsapp", "personal");
    assert_eq!((personal.mode, personal.language), (Mode::Pairing, Language::Es));
    let cody = config.policy("telegram", "cody_nexo_bot");
    assert_eq!((cody.mode, cody.language), (Mode::Allowlist, Language::Es));
    assert_eq!(config.policy("telegram", "personal").mode, Mode::Pairing);
    let accounts = config.accounts().unwrap().iter();
    let accounts: Vec<_> = accounts.map(|a| (a.channel.as_str(), a.account.as_str())).collect();
    assert_eq!(accounts, [("telegram", "cody_nexo_bot"), ("whatsapp", "personal")]);

    let [signal] = config.adapters() else { panic!("one adapter") };
    assert_eq!((signal.channel.as_str(), &*signal.prefix), ("signal", "plugin.signal"));
    assert_eq!(signal.format, ChallengeFormat::Default);
    assert_eq!(signal.cache_ttl, Duration::from_secs(3600));
    assert_eq!(config.nats().servers, ["nats://127.0.0.1:4222"]);
    assert_eq!(config.nats().credentials_file, Some(home.path("config/pairing.creds")));
    assert_eq!((&config.nats().user, config.nats().tls_required), (&None, false));
}

#[test]
fn the_file_of_0_1_8_is_read() {
    let home = Home::with_file(
        "
# config/pairing.yaml
schema_version: 11
pairing:
  storage:
    path: /var/lib/nexo/pairing/pairing.db
  setup_code:
    secret_path: /var/lib/nexo/pairing/pairing.key
    default_ttl_secs: 600
  public_url: wss://nexo.example.com/pair
  ws_cleartext_allow:
    - kitchen-pi.local
    - my.cool.host
",
    );
    let config = home.load().unwrap();
    assert_eq!(config.storage_path(), Path::new("/var/lib/nexo/pairing/pairing.db"));
    assert_eq!(config.ws_cleartext_allow(), ["kitchen-pi.local", "my.cool.host"]);
    assert_eq!(config.policy("whatsapp", "personal").mode, Mode::Open);
}

#[test]
fn a_key_that_is_commented_out_is_not_set() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "{}",
        "pairing:\n",
        "pairing: {}",
        "pairing:\n  storage:\n    # path: /tmp/x\n  gate:\n    language:\n  public_url: ~\n",
        "\u{feff}pairing:\r\n  ws_cleartext_allow:\r\n",
    ] {
        let home = Home::with_file(text);
        let config = home.load().unwrap();
        assert_eq!(config.file(), Some(&*home.file()), "{text:?}");
        assert!(config.provenance().iter().all(|s| s.origin.to_string() == "default"), "{text:?}");
    }
}

#[test]
fn every_layer_overrides_those_below() {
    let home = Home::with_file(
        "pairing: {storage: {path: /file.db}, audit_days: 30, session_ttl_secs: 600}",
    )
    .var("NEXO_PAIRING_STORAGE__PATH", "/environment.db")
    .var("NEXO_PAIRING_SESSION_TTL_SECS", "900");
    let config = home.load().unwrap();
    assert_eq!(config.storage_path(), Path::new("/environment.db"));
    assert_eq!(origin(&config, "storage.path"), "environment NEXO_PAIRING_STORAGE__PATH");
    assert_eq!(config.session_ttl(), Duration::from_secs(900));
    assert_eq!(config.audit_days(), 30);
    assert_eq!(origin(&config, "audit_days"), home.file().to_str().unwrap());
    assert_eq!(origin(&config, "on_replay"), "default");

    let flags = home.sources().with_db(Some("/flag.db".into()));
    let config = flags.with_public_url(Some("wss://flag.example".into())).load().unwrap();
    assert_eq!(config.storage_path(), Path::new("/flag.db"));
    assert_eq!(origin(&config, "storage.path"), "flag --db");
    assert_eq!(config.public_url(), Some("wss://flag.example"));
    assert_eq!(origin(&config, "public_url"), "flag --public-url");

    let home = home.var("NEXO_PAIRING_NATS__SERVERS", "[nats://environment:4222, tls://b]");
    assert_eq!(home.load().unwrap().nats().servers, ["nats://environment:4222", "tls://b"]);
    let config = home.sources().with_nats(vec!["nats://flag".into()]).load().unwrap();
    assert_eq!(config.nats().servers, ["nats://flag"]);
    assert_eq!(origin(&config, "nats.servers"), "flag --nats");
    let config = home.sources().with_nats(Vec::new()).load().unwrap();
    assert_eq!(origin(&config, "nats.servers"), "environment NEXO_PAIRING_NATS__SERVERS");
}

#[test]
fn the_environment_can_set_every_key() {
    let home = Home::new()
        .var("NEXO_PAIRING_SETUP_CODE__SECRET_PATH", "/run/secrets/[pairing], 1.key")
        .var("NEXO_PAIRING_SETUP_CODE__SECRET_EXTERNAL", "true")
        .var("NEXO_PAIRING_ON_REPLAY", "refuse")
        .var("NEXO_PAIRING_WS_CLEARTEXT_ALLOW", "[kitchen-pi.local, \"10.9.8.7\"]")
        .var("NEXO_PAIRING_TRUSTED_PROXIES", "[127.0.0.1/32,::1/128,fd00::/8]")
        .var("NEXO_PAIRING_GATE__CHALLENGE_TEXT", "{code} is your code, [{minutes}] minutes: yes")
        .var("NEXO_PAIRING_ACCOUNTS", "[{channel: whatsapp, account: personal, max_pending: 9}]")
        .var("NEXO_PAIRING_ADAPTERS", "[{channel: signal, prefix: plugin.signal, format: broker}]");
    let config = home.load().unwrap();
    assert_eq!(config.secret_path(), Path::new("/run/secrets/[pairing], 1.key"));
    assert!(config.secret_external());
    assert_eq!(config.on_replay(), OnReplay::Refuse);
    assert_eq!(config.ws_cleartext_allow(), ["kitchen-pi.local", "10.9.8.7"]);
    assert_eq!(config.trusted_proxies().len(), 3);
    let policy = config.policy("whatsapp", "personal");
    assert_eq!(policy.max_pending, 9);
    let text = policy.challenge_text.as_deref();
    assert_eq!(text, Some("{code} is your code, [{minutes}] minutes: yes"));
    assert_eq!(config.adapters()[0].format, ChallengeFormat::Broker);
    assert_eq!(config.adapters()[0].cache_ttl, Duration::from_secs(3600));
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let home = Home::new()
        .var("NEXO_PAIRINGS", "x")
        .var("nexo_pairing_gate__mode", "x")
        .var("NEXO_TUNNEL_URL", "x")
        .var("PAIRING_GATE__MODE", "x");
    assert_eq!(home.load().unwrap().policy("a", "b").mode, Mode::Open);
}

#[test]
fn the_old_spelling_of_a_mode_counts_as_the_mode() {
    let home = Home::with_file("pairing: {gate: {auto_challenge: true}}");
    let config = home.load().unwrap();
    assert_eq!(config.policy("a", "b").mode, Mode::Pairing);
    assert_eq!(origin(&config, "gate.mode"), home.file().to_str().unwrap());

    let config = home.var("NEXO_PAIRING_GATE__MODE", "allowlist").load().unwrap();
    assert_eq!(config.policy("a", "b").mode, Mode::Allowlist);

    let home = Home::with_file("pairing: {gate: {mode: allowlist}}");
    let config = home.var("NEXO_PAIRING_GATE__AUTO_CHALLENGE", "false").load().unwrap();
    assert_eq!(config.policy("a", "b").mode, Mode::Open);
    let name = "environment NEXO_PAIRING_GATE__AUTO_CHALLENGE";
    assert_eq!(origin(&config, "gate.mode"), name);
}

#[test]
fn auto_challenge_applies_to_accounts_without_a_mode() {
    let mode = |text: &str| {
        let config = Home::with_file(text).sources().with_auto_challenge(true).load().unwrap();
        let mode = config.policy("telegram", "bot").mode;
        (mode, origin(&config, "gate.mode") == "flag --auto-challenge")
    };
    let account = "pairing: {accounts: [{channel: telegram, account: bot, mode: allowlist}]}";
    let open = "pairing: {accounts: [{channel: telegram, account: bot, auto_challenge: false}]}";
    let silent = "pairing: {accounts: [{channel: telegram, account: bot}]}";
    assert_eq!(mode(""), (Mode::Pairing, true));
    assert_eq!(mode(silent), (Mode::Pairing, true));
    assert_eq!(mode(account), (Mode::Allowlist, true));
    assert_eq!(mode(open), (Mode::Open, true));
    assert_eq!(mode("pairing: {gate: {mode: open}}"), (Mode::Open, false));
    assert_eq!(mode("pairing: {gate: {auto_challenge: false}}"), (Mode::Open, false));
}

#[test]
fn an_account_inherits_the_keys_of_the_gate() {
    let config = Home::with_file(
        "
pairing:
  gate: { max_pending: 5, language: pt }
  accounts:
    - &bot { channel: telegram, account: bot, mode: pairing, challenge_cooldown_secs: 10 }
    - { <<: *bot, account: bot2, language: en }
",
    )
    .load()
    .unwrap();
    let bot = config.policy("telegram", "bot");
    assert_eq!((bot.mode, bot.max_pending, bot.language), (Mode::Pairing, 5, Language::Pt));
    assert_eq!(bot.challenge_cooldown, Duration::from_secs(10));
    assert_eq!(config.policy("telegram", "bot2").language, Language::En);
    assert_eq!(config.policy("telegram", "bot2").mode, Mode::Pairing);
    assert_eq!(config.policy("telegram", "bot3").mode, Mode::Open);
    assert_eq!(config.policy("whatsapp", "bot").mode, Mode::Open);
}

#[test]
fn an_empty_list_of_accounts_differs_from_no_list() {
    let config = Home::with_file("pairing: {accounts: []}").load().unwrap();
    assert_eq!(config.accounts(), Some(&[][..]));
}

#[test]
fn paths_are_relative_to_their_file() {
    let home = Home::with_file("pairing: {storage: {path: ../data/p.db}}");
    let path = home.load().unwrap().storage_path().to_owned();
    assert_eq!(path, home.path("config/../data/p.db"));

    let home = home.var("NEXO_PAIRING_STORAGE__PATH", "here.db");
    let path = home.load().unwrap().storage_path().to_owned();
    assert_eq!(path, std::path::absolute("here.db").unwrap());

    let config = home.sources().with_db(Some("there.db".into())).load().unwrap();
    assert_eq!(config.storage_path(), std::path::absolute("there.db").unwrap());
}

#[test]
fn a_tilde_is_the_home_directory() {
    let home = Home::with_file("pairing: {storage: {path: ~/p.db}}").var("HOME", "/home/cody");
    assert_eq!(home.load().unwrap().storage_path(), Path::new("/home/cody/p.db"));
}

#[test]
fn the_home_of_nexo_is_found() {
    let load = |vars: &[(&str, &str)]| Sources::from_vars(vars.iter().copied()).load();
    let config = load(&[("HOME", "/nonexistent/cody")]).unwrap();
    assert_eq!(config.home(), Some(Path::new("/nonexistent/cody/.nexo")));
    let config = load(&[("NEXO_HOME", ""), ("HOME", "/nonexistent/cody")]).unwrap();
    assert_eq!(config.storage_path(), Path::new("/nonexistent/cody/.nexo/state/pairing.db"));
    let config = load(&[("NEXO_HOME", "/nonexistent"), ("HOME", "/home/cody")]).unwrap();
    assert_eq!(config.home(), Some(Path::new("/nonexistent")));
}

#[test]
fn no_home_is_needed_if_every_path_is_set() {
    let home = Home::with_file("pairing: {storage: {path: /a}, setup_code: {secret_path: /b}}");
    let sources = Sources::from_vars::<String, String>([]).with_config(Some(home.file()));
    let config = sources.load().unwrap();
    assert_eq!(config.home(), None);
    assert_eq!(config.storage_path(), Path::new("/a"));
}

#[test]
fn the_provenance_has_every_key_with_its_effective_value() {
    let home = Home::with_file(SAMPLE);
    let config = home.load().unwrap();
    let settings: Vec<_> = config.provenance().iter().map(|s| (s.key, &s.value)).collect();
    let accounts = json!([
        {"channel": "whatsapp", "account": "personal"},
        {"channel": "telegram", "account": "cody_nexo_bot", "mode": "allowlist"},
    ]);
    let adapters = json!([
        {"channel": "signal", "prefix": "plugin.signal", "format": "default", "cache_ttl_secs": 3600},
    ]);
    assert_eq!(
        settings,
        [
            ("storage.path", &json!("/var/lib/nexo/pairing/pairing.db")),
            ("setup_code.secret_path", &json!("/var/lib/nexo/pairing/pairing.key")),
            ("setup_code.secret_external", &json!(false)),
            ("setup_code.default_ttl_secs", &json!(600)),
            ("session_ttl_secs", &json!(86_400)),
            ("on_replay", &json!("revoke")),
            ("public_url", &json!("wss://nexo.example.com/pair")),
            ("ws_cleartext_allow", &json!(["kitchen-pi.local"])),
            ("trusted_proxies", &json!(["127.0.0.1/32"])),
            ("gate.mode", &json!("pairing")),
            ("gate.max_pending", &json!(3)),
            ("gate.pending_ttl_secs", &json!(3600)),
            ("gate.challenge_cooldown_secs", &json!(300)),
            ("gate.language", &json!("es")),
            ("gate.challenge_text", &Value::Null),
            ("gate.notices", &json!("both")),
            ("accounts", &accounts),
            ("adapters", &adapters),
            ("nats.servers", &json!(["nats://127.0.0.1:4222"])),
            ("nats.credentials_file", &json!(home.path("config/pairing.creds"))),
            ("nats.nkey_file", &Value::Null),
            ("nats.user", &Value::Null),
            ("nats.password_file", &Value::Null),
            ("nats.token_file", &Value::Null),
            ("nats.tls_required", &json!(false)),
            ("nats.tls_ca_file", &Value::Null),
            ("nats.tls_cert_file", &Value::Null),
            ("nats.tls_key_file", &Value::Null),
            ("audit_days", &json!(365)),
        ]
    );
    let first = serde_json::to_value(&config.provenance()[0]).unwrap();
    assert_eq!(first["origin"], home.file().to_str().unwrap());
}

#[test]
fn notices_are_a_key_of_the_gate_only() {
    for (file, notices) in [
        ("pairing: {}", Notices::Both),
        ("pairing: { gate: { notices: both } }", Notices::Both),
        ("pairing: { gate: { notices: own, mode: pairing } }", Notices::Own),
    ] {
        let config = Home::with_file(file).load().unwrap();
        assert_eq!(config.notices(), notices, "{file}");
    }
    let config = Home::with_file("pairing: { gate: { notices: own, auto_challenge: true } }");
    assert_eq!(config.load().unwrap().policy("irc", "main").mode, Mode::Pairing);
    let of_an_account = "{ channel: irc, account: main, notices: own }";
    for file in ["gate: { notices: none }".to_owned(), format!("accounts: [{of_an_account}]")] {
        assert!(Home::with_file(format!("pairing: {{ {file} }}")).load().is_err(), "{file}");
    }
}
