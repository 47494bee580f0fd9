//! A code is for the operator and the stranger: it is on standard output if requested, and
//! never on standard error or in an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Command, Stdio};

use nexo_pairing::PairingCode;
use nexo_pairing_tests::{Home, Output, message};

/// A home with codes in every state, and the codes.
struct Codes {
    home: Home,
    codes: Vec<String>,
}

impl Codes {
    fn new() -> Self {
        let home = Home::new();
        let request = |account: &str, from: &str| {
            let line = message("whatsapp", account, from).to_string();
            let output = home.run_with(&["gate", "--auto-challenge"], line);
            output.lines()[0]["code"].as_str().unwrap().to_owned()
        };
        let approved = request("personal", "+5491155550001");
        home.json(&["approve", &approved]);
        let rejected = request("personal", "+5491155550002");
        home.json(&["reject", &rejected]);
        let expired = request("personal", "+5491155550003");
        home.sqlite("UPDATE pairing_pending SET created_at = 1, expires_at = created_at - 60");
        let pending = request("personal", "+5491155550004");
        let unknown = PairingCode::from_random([1, 30, 30, 30, 30, 30, 30]).as_str().to_owned();
        let mut mistyped = pending.clone().into_bytes();
        mistyped[0] = if mistyped[0] == b'A' { b'B' } else { b'A' };
        let mistyped = String::from_utf8(mistyped).unwrap();
        Self { home, codes: vec![approved, rejected, expired, pending, unknown, mistyped] }
    }

    /// Fails if a code is in a text, in any spelling.
    fn are_not_in(&self, text: &str, what: &[&str]) {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let plain = plain.to_uppercase();
        for code in &self.codes {
            assert!(!plain.contains(code.as_str()), "{what:?}: {text}");
        }
    }

    /// The program at its highest log level.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        for (name, value) in
            [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full"), ("RUST_LIB_BACKTRACE", "1")]
        {
            command.env(name, value);
        }
        command
    }

    fn check(&self, args: &[&str]) {
        for json in [&[][..], &["--json"]] {
            let args = [args, json].concat();
            let output = Output::of(self.command(&args));
            self.are_not_in(&output.stderr, &args);
            if output.code != 0 {
                self.are_not_in(&output.stdout, &args);
            }
        }
    }
}

#[test]
fn no_command_prints_a_code_on_standard_error() {
    let codes = Codes::new();
    for code in &codes.codes {
        let typed = format!("{}-{}", &code[..4], &code[4..]).to_lowercase();
        for code in [code.as_str(), typed.as_str()] {
            for args in [
                // Commands with a code as argument, in every state. The pending one is used up last.
                &["reject", code, "--no-such-flag"][..],
                &["approve", code, "--for", "never"],
                &["approve", code, "--note", "a\u{7}b"],
                &["approve", "--config", "/does/not/exist", code],
                &["approve", code],
                &["reject", code],
            ] {
                codes.check(args);
            }
        }
    }
}

#[test]
fn a_misplaced_code_is_not_echoed() {
    let codes = Codes::new();
    // A mistyped code may look like any word.
    let (_, real) = codes.codes.split_last().unwrap();
    for code in real {
        let typed = format!("{}-{}", &code[..4], &code[4..]).to_lowercase();
        for code in [code.as_str(), typed.as_str()] {
            for args in [
                &[code][..],
                &["aprove", code],
                &["list", code],
                &["log", code],
                &["unlock", "cli", code],
                &["revoke", code],
                &["seed", "whatsapp", code],
            ] {
                codes.check(args);
            }
        }
    }
}

#[test]
fn commands_print_codes_on_standard_output_only() {
    let codes = Codes::new();
    let pending = &codes.codes[3];
    let output = Output::of(codes.command(&["list", "--all", "--include-revoked"]));
    assert!(output.stdout.replace('-', "").contains(pending.as_str()), "{output:?}");
    for args in [
        &["list", "--all", "--include-revoked"][..],
        &["log"],
        &["doctor"],
        &["config"],
        &["explain", "whatsapp", "personal", "+5491155550004"],
        &["block", "whatsapp:+5491155550004"],
        &["forget", "whatsapp:+5491155550004"],
    ] {
        codes.check(args);
    }
    // The audit log is kept for long, and read by others.
    let log = Output::of(codes.command(&["log", "--json"]));
    codes.are_not_in(&log.stdout, &["log"]);
}

#[test]
fn the_gate_prints_codes_in_its_answers_only() {
    let codes = Codes::new();
    let mut command = codes.command(&["gate", "--auto-challenge"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in [
        message("whatsapp", "work", "+5491155550009").to_string(),
        message("irc", "libera", "ana").to_string(),
        format!(r#"{{"channel":"whatsapp","from":"{}"}}"#, codes.codes[3]),
        format!(r#"{{"channel":"{}","from":"x"}}"#, codes.codes[3]),
        codes.codes[3].clone(),
    ] {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no code was sent on irc/libera"), "{stderr}");
    let given = String::from_utf8(output.stdout).unwrap();
    let given = given.lines().filter_map(|line| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        answer["code"].as_str().map(str::to_owned)
    });
    let Codes { home, mut codes } = codes;
    codes.extend(given);
    assert_eq!(codes.len(), 8);
    Codes { home, codes }.are_not_in(&stderr, &["gate"]);
}
