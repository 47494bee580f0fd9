//! Hostile input is rejected quickly and without a panic.

use crate::Home;

/// Anchors that grow tenfold with every line.
fn bomb(lines: usize) -> String {
    let mut text = "pairing:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for line in 1..lines {
        let below = vec![format!("*a{}", line - 1); 10].join(", ");
        text.push_str(&format!("  a{line}: &a{line} [{below}]\n"));
    }
    text
}

#[test]
fn hostile_yaml_is_rejected() {
    for text in [
        bomb(9),
        bomb(100),
        "[".repeat(100_000),
        "{".repeat(100_000),
        "[".repeat(50_000) + &"]".repeat(50_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        "&a ".repeat(1000),
        "&a [*a]".into(),
        "pairing: &p {gate: *p}".into(),
        "pairing: *nothing".into(),
        "pairing: {<<: [*a, *b]}".into(),
        "pairing: {<<: {<<: {moed: 1}}}".into(),
        (0..500).map(|depth| " ".repeat(depth) + "a:\n").collect(),
        "a".repeat(1 << 20),
        format!("? {}\n: 1", "a".repeat(1 << 19)),
        format!("pairing: {{{}: 1}}", "a".repeat(5000)),
        "pairing: {}\n---\npairing: {}\n".into(),
        "pairing: {}\n...\ngarbage: [".into(),
        "%YAML 9.9\n---\npairing: {}".into(),
        "pairing:\n\tgate:\n\t\tmode: open\n".into(),
        "pairing: {gate: {mode: !open pairing}}".into(),
        "pairing: !!python/object/apply:os.system [ls]".into(),
        "pairing: !!set {gate}".into(),
        "pairing: {audit_days: !!int x}".into(),
        "pairing: {audit_days: .inf}".into(),
        "pairing: {audit_days: .nan}".into(),
        "pairing: {audit_days: 1e999}".into(),
        "pairing: {audit_days: -9223372036854775809}".into(),
        format!("pairing: {{audit_days: {}}}", "9".repeat(10_000)),
        "pairing: {1: 2}".into(),
        "pairing: {~: 2}".into(),
        "pairing: {[a]: 2}".into(),
        "pairing: {{a: b}: 2}".into(),
        "{\"\": 1}".into(),
        "pairing: {\"\": 1, \".\": 2, \"gate.\": 3}".into(),
        "pairing: {___figment_value_id: 1, ___figment_value_value: {}}".into(),
        "pairing: {gate: {___figment_value_id: 1, ___figment_value_value: {mode: open}}}".into(),
        "pairing: {gate: {\"$serde_json::private::Number\": 1}}".into(),
        "pairing: {accounts: [[], {}, null]}".into(),
        "pairing: \"unterminated".into(),
        "pairing: {gate: {challenge_text: |-\n".into(),
        "pairing: \u{1}".into(),
        "pairing\0: 1".into(),
        "\u{feff}\u{feff}pairing: 1".into(),
        "- pairing".into(),
        "pairing".into(),
        "@".into(),
        "\"\\ud800\"".into(),
    ] {
        let shown: String = text.chars().take(60).collect();
        assert!(Home::with_file(&text).load().is_err(), "{shown}");
    }
}

#[test]
fn hostile_variables_are_rejected() {
    for text in ["[".repeat(100_000), "[{".repeat(50_000), bomb(9), "[*a]".into(), "!x [a]".into()]
    {
        let home = Home::new().var("NEXO_PAIRING_ACCOUNTS", &text);
        assert!(home.load().is_err());
    }
    assert!(Home::new().var(&format!("NEXO_PAIRING_{}", "[9".repeat(50_000)), "").load().is_err());
}

#[test]
fn no_bytes_cause_a_panic() {
    // A small generator of its own, so that a failure is the same everywhere.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let home = Home::new();
    let pieces: Vec<&str> =
        "pairing|gate|mode|open|accounts|channel|account|null|~|&a|*a|<<|!x|: |\
        ,|[|]|{|}|\n|  |- |? |'|\"|#|---|...|1|-1|.5|\\|\t|\u{feff}|ñ|${A}|%|@|`||>"
            .split('|')
            .collect();
    for round in 0..600 {
        let bytes: Vec<u8> = if round % 3 == 0 {
            (0..next(200)).map(|_| next(256) as u8).collect()
        } else {
            (0..next(60)).flat_map(|_| pieces[next(pieces.len())].bytes()).collect()
        };
        std::fs::write(home.file(), bytes).unwrap();
        let _ = home.load();
    }
}

#[test]
fn no_mutated_sample_causes_a_panic() {
    let sample: &str = "pairing:\n  storage: {path: /x}\n  gate: {mode: pairing, max_pending: 3}\n  \
        accounts:\n    - {channel: whatsapp, account: personal}\n  audit_days: 365\n";
    let home = Home::new();
    for at in 0..sample.len() {
        for byte in *b"\n:[\"&\xff" {
            let mut bytes = sample.as_bytes().to_vec();
            bytes[at] = byte;
            std::fs::write(home.file(), &bytes).unwrap();
            let _ = home.load();
        }
        std::fs::write(home.file(), &sample[..at]).unwrap();
        let _ = home.load();
    }
}
