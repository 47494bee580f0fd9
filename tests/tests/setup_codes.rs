//! Setup codes through the built program: issued, shown, scanned, cancelled; and their signing keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nexo_pairing::SetupCodeIssuer;
use nexo_pairing::setup::VerifyError;
use nexo_pairing::setup_code::decode_setup_code;
use nexo_pairing_tests::{Home, Output, Terminal, files_below, scan};
use rustix::process::Signal;
use serde_json::{Value, json};
use zune_core::bytestream::ZCursor;
use zune_png::PngDecoder;

const URL: &str = "wss://nexo.example.com";

fn key_of(home: &Home) -> PathBuf {
    home.path().join("secret").join("pairing.key")
}

fn mode_of(path: &std::path::Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// `start --json` with these arguments besides the URL.
fn start(home: &Home, args: &[&str]) -> Value {
    home.json(&[&["start", "--public-url", URL], args].concat())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// What a phone reads from the image.
fn scan_png(path: &std::path::Path) -> Vec<String> {
    let mut decoder = PngDecoder::new(ZCursor::new(fs::read(path).unwrap()));
    let pixels = decoder.decode().unwrap().u8().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    scan(width, height, |x, y| pixels[y * width + x] > 127)
}

#[test]
fn a_code_is_issued_with_an_empty_home() {
    let home = Home::new();
    let png = home.beside("p.png");
    let args = ["--for-device", "phone", "--qr-png", png.to_str().unwrap()];
    let before = time::OffsetDateTime::now_utc();
    let issued = start(&home, &args);
    let keys: Vec<_> = issued.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["url", "url_source", "bootstrap_token", "expires_at", "payload", "format"];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(issued["url"], "wss://nexo.example.com/pair");
    assert_eq!((&issued["url_source"], &issued["format"]), (&json!("--public-url"), &json!("v1")));

    let code = decode_setup_code(text(&issued, "payload")).unwrap();
    assert_eq!(code.bootstrap_token, text(&issued, "bootstrap_token"));
    let life = code.expires_at - before;
    assert!((60..=61).contains(&life.whole_seconds()), "{life}");
    let decoded = home.run_with(&["decode", "--json"], text(&issued, "payload")).json();
    assert_eq!(
        decoded,
        json!({
            "url": issued["url"], "expires_at": issued["expires_at"], "expired": false,
            "profile": "companion-v1", "device_label": "phone", "format": "v1",
        })
    );

    let key = key_of(&home);
    assert_eq!((fs::metadata(&key).unwrap().len(), mode_of(&key)), (32, 0o600));
    assert_eq!(mode_of(key.parent().unwrap()), 0o700);
    assert_eq!((scan_png(&png), mode_of(&png)), (vec![text(&issued, "payload").into()], 0o600));
    let claims = SetupCodeIssuer::open_or_create(&key).unwrap().verify(&code.bootstrap_token);
    assert_eq!(claims.unwrap().device_label.as_deref(), Some("phone"));
    let log = home.json(&["log"]);
    assert_eq!(log["events"][0]["action"], "code_issued");
    assert_eq!(log["events"][0]["actor"], "cli");
}

#[test]
fn a_compact_code_carries_the_same_claims() {
    let home = Home::new();
    let issued = start(&home, &["--compact", "--for-device", "Ana's phone", "--ttl-secs", "600"]);
    assert_eq!((&issued["format"], &issued["payload"]), (&json!("v2"), &issued["bootstrap_token"]));
    let decoded = home.run_with(&["decode", "--json"], text(&issued, "payload")).json();
    assert_eq!(
        (&decoded["url"], &decoded["device_label"]),
        (&issued["url"], &json!("Ana's phone"))
    );
}

/// The visible text of a printed code.
fn printed(home: &Home, args: &[&str]) -> String {
    let output = home.run(&[&["start", "--public-url", URL], args].concat());
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout
}

#[test]
fn without_a_terminal_a_code_is_printed_once() {
    let home = Home::new();
    for format in [&[][..], &["--compact"]] {
        let text = printed(&home, format);
        assert!(!text.contains('\u{1b}'), "colours are for terminals");
        let (qr, rest) = text.split_once("\n\n").unwrap();
        let lines: Vec<Vec<char>> = qr.lines().map(|line| line.chars().collect()).collect();
        let read = scan(lines[0].len(), 2 * lines.len(), |x, y| {
            matches!((lines[y / 2][x], y % 2), ('█', _) | ('▀', 0) | ('▄', 1))
        });
        assert_eq!(read, [rest.lines().next().unwrap()]);
        assert!(rest.contains("url:     wss://nexo.example.com/pair (from --public-url)\n"));
    }
}

/// `start` on a terminal.
fn on_terminal(home: &Home, args: &[&str], columns: u16, lines: u16) -> Terminal {
    let args = [&["start", "--public-url", URL], args].concat();
    Terminal::start(home.command(&args), columns, lines)
}

#[test]
fn an_expired_code_is_cleared_from_the_terminal() {
    let home = Home::new();
    for (args, columns, lines) in [(&[][..], 100, 60), (&["--compact"], 80, 32)] {
        let args = [args, &["--ttl-secs", "2"]].concat();
        let terminal = on_terminal(&home, &args, columns, lines);
        let seen = terminal.wait_for_text("valid for");
        let [payload] = &terminal.scan()[..] else { panic!("one code: {seen}") };
        assert_eq!(decode_setup_code(payload).unwrap().url, "wss://nexo.example.com/pair");
        assert!(seen.replace('\n', "").contains(payload), "for pasting: {seen}");
        assert!(seen.contains("wss://nexo.example.com/pair (from --public-url)"), "{seen}");
        let (exit, left) = terminal.end();
        assert_eq!((exit, left.trim()), (0, "the setup code has expired unused"));
    }
}

#[test]
fn a_code_that_does_not_fit_is_not_drawn() {
    let home = Home::new();
    let compact = ["--compact", "--for-device", "Ana's iPhone"];
    let terminal = on_terminal(&home, &compact, 40, 40);
    let seen = terminal.wait_for_text("valid for");
    assert!(seen.contains("41 columns and 21 lines"), "{seen}");
    assert!(seen.contains("--qr-png") && !seen.contains('█'), "{seen}");
    // A person makes the window larger.
    terminal.resize(80, 40);
    terminal.wait_for_text("█");
    terminal.wait_for_text("valid for");
    assert_eq!(terminal.scan().len(), 1);
    terminal.signal(Signal::INT);
    let (exit, left) = terminal.end();
    assert_eq!(exit, 0);
    assert!(left.starts_with("the setup code is valid for another "), "{left}");

    let terminal = on_terminal(&home, &[&compact[..], &["--no-wait"]].concat(), 80, 20);
    let (exit, seen) = terminal.end();
    assert!(exit == 0 && seen.contains("does not fit") && !seen.contains('█'), "{seen}");
}

#[test]
fn a_code_is_cleared_however_the_program_ends() {
    let home = Home::new();
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP] {
        let terminal = on_terminal(&home, &["--compact"], 80, 32);
        terminal.wait_for_text("valid for");
        terminal.signal(signal);
        let (exit, left) = terminal.end();
        assert!(exit == 0 && !left.contains('█'), "{signal:?}: {left}");
    }
}

#[test]
fn no_color_is_heard() {
    let home = Home::new();
    let mut command = home.command(&["start", "--public-url", URL, "--compact", "--no-wait"]);
    command.env("NO_COLOR", "1");
    let terminal = Terminal::start(command, 80, 60);
    let seen = terminal.wait_for_text("expires: ");
    assert_eq!(terminal.scan().len(), 1, "{seen}");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_cancelled_code_is_cleared_and_cannot_be_used() {
    let home = Home::new();
    let terminal = on_terminal(&home, &["--compact"], 80, 32);
    terminal.wait_for_text("valid for");
    let payload = terminal.scan().remove(0);
    let cancel = || home.run_with(&["cancel", "--json"], payload.as_bytes());
    assert_eq!(cancel().json(), json!({"cancelled": true}));
    let (exit, left) = terminal.end();
    assert_eq!((exit, left.trim()), (0, "the setup code was cancelled"));
    assert_eq!(cancel().json(), json!({"cancelled": false}));
    let actions = home
        .sqlite("SELECT group_concat(action) FROM (SELECT action FROM pairing_audit ORDER BY seq)");
    assert_eq!(actions.trim(), "code_issued,code_cancelled");
}

#[test]
fn only_our_own_codes_are_cancelled() {
    let (home, other) = (Home::new(), Home::new());
    start(&home, &[]);
    let foreign = start(&other, &[]);
    let cancel = |payload: &str| {
        let output = home.run_with(&["cancel", "--json"], payload);
        (output.code, output.error()["kind"].as_str().unwrap().to_owned())
    };
    assert_eq!(cancel(text(&foreign, "payload")), (1, "invalid_signature".into()));
    assert_eq!(cancel("nonsense"), (1, "malformed".into()));
    assert_eq!(home.sqlite("SELECT count(*) FROM pairing_redemptions").trim(), "0");
}

#[test]
fn a_code_is_valid_until_its_key_is_retired() {
    let home = Home::new();
    let key = key_of(&home);
    let issued = start(&home, &[]);
    let token = text(&issued, "bootstrap_token");
    let verify = || SetupCodeIssuer::open_or_create(&key).unwrap().verify(token);
    let keys = || home.json(&["keys", "list"])["keys"].as_array().unwrap().clone();
    let [old] = &keys()[..] else { panic!("one key") };
    assert_eq!(old["current"], true);

    let current = home.json(&["keys", "rotate"]);
    let ids: Vec<_> =
        keys().iter().map(|key| (key["id"].clone(), key["current"].clone())).collect();
    let expected = [(current["current"].clone(), json!(true)), (old["id"].clone(), json!(false))];
    assert_eq!(ids, expected);
    verify().unwrap();

    let (exit, error) = home.error(&["keys", "retire", text(&current, "current")]);
    assert_eq!((exit, &error["kind"]), (1, &json!("current_key")));
    assert_eq!(home.json(&["keys", "retire", text(old, "id")]), json!({"retired": old["id"]}));
    assert_eq!(verify(), Err(VerifyError::InvalidSignature));
    let (exit, error) = home.error(&["keys", "retire", text(old, "id")]);
    assert_eq!((exit, &error["kind"]), (1, &json!("unknown_key")));
    assert_eq!(home.error(&["keys", "retire", "../../etc"]).0, 2);
    let actions = home
        .sqlite("SELECT group_concat(action) FROM (SELECT action FROM pairing_audit ORDER BY seq)");
    assert_eq!(actions.trim(), "code_issued,key_rotated,key_retired");
}

#[test]
fn listing_or_retiring_keys_creates_no_key() {
    let home = Home::new();
    assert_eq!(home.json(&["keys", "list"]), json!({"keys": []}));
    let (exit, error) = home.error(&["keys", "retire", "0123abcd"]);
    assert_eq!((exit, &error["kind"]), (1, &json!("unknown_key")));
    let foreign = start(&Home::new(), &[]);
    let cancelled = home.run_with(&["cancel", "--json"], text(&foreign, "payload"));
    assert_eq!((cancelled.code, &cancelled.error()["kind"]), (1, &json!("invalid_signature")));
    assert!(files_below(&home.path()).is_empty());
}

#[test]
fn processes_that_create_the_key_at_once_share_one_key() {
    let home = Home::new();
    let args = ["start", "--public-url", URL, "--json"];
    let children: Vec<_> = (0..8).map(|_| home.command(&args).spawn().unwrap()).collect();
    let tokens: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let issued: Value = serde_json::from_slice(&output.stdout).unwrap();
            text(&issued, "bootstrap_token").to_owned()
        })
        .collect();
    let issuer = SetupCodeIssuer::open_or_create(key_of(&home)).unwrap();
    assert!(tokens.iter().all(|token| issuer.verify(token).is_ok()));
    let left: Vec<_> = fs::read_dir(key_of(&home).parent().unwrap()).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp")));
}

#[test]
fn a_bad_key_file_is_rejected_with_a_hint_and_kept() {
    let home = Home::new();
    let key = key_of(&home);
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    let put = |bytes: usize, mode: u32| {
        fs::write(&key, vec![7; bytes]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |what: &str, hint: &str| {
        let before = fs::read(&key).ok();
        for args in [&["start", "--public-url", URL][..], &["keys", "rotate"], &["keys", "list"]] {
            let (exit, error) = home.error(args);
            assert_eq!((exit, &error["kind"]), (3, &json!("key_file")), "{what} {args:?}");
            assert!(text(&error, "hint").contains(hint), "{what}: {error}");
        }
        assert_eq!(fs::read(&key).ok(), before, "{what}");
    };
    for length in [0, 31, 33] {
        put(length, 0o600);
        refused("length", "mv ");
    }
    for mode in [0o644, 0o640, 0o604, 0o660] {
        put(32, mode);
        refused("mode", "chmod 600 ");
    }
    put(32, 0o600);
    let elsewhere = home.beside("elsewhere.key");
    fs::rename(&key, &elsewhere).unwrap();
    symlink(&elsewhere, &key).unwrap();
    refused("symlink", "secret_external");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    refused("directory", "secret_path");
    fs::remove_dir(&key).unwrap();

    // The layout of mounted secrets.
    symlink(&elsewhere, &key).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o440)).unwrap();
    home.configure("setup_code: { secret_external: true }\npublic_url: wss://nexo.example.com");
    home.json(&["start"]);
    let (exit, error) = home.error(&["keys", "rotate"]);
    assert_eq!((exit, &error["kind"]), (1, &json!("external_key")));
}

#[test]
fn a_value_out_of_range_is_rejected_with_the_range() {
    let home = Home::new();
    let long = "x".repeat(300);
    for (args, range) in [
        (["--ttl-secs", "0"], "1 to 86400"),
        (["--ttl-secs", "-5"], "1 to 86400"),
        (["--ttl-secs", "90000"], "1 to 86400"),
        (["--ttl-secs", "soon"], "invalid digit"),
        (["--for-device", ""], "1 to 128 bytes"),
        (["--for-device", &long], "1 to 128 bytes"),
        (["--for-device", "a\u{1b}[2J"], "no control characters"),
        (["--profile", "Admin!"], "[a-z0-9]"),
    ] {
        let (exit, error) = home.error(&[&["start", "--public-url", URL][..], &args].concat());
        assert_eq!(exit, 2, "{args:?}: {error}");
        assert!(text(&error, "message").contains(range), "{args:?}: {error}");
    }
}

#[test]
fn a_rejected_url_issues_no_token() {
    let home = Home::new();
    for (url, exit, kind) in [
        ("ws://nexo.example.com", 1, "insecure_url"),
        ("ws://127.0.0.1:x@evil.com", 2, "invalid_url"),
        ("wss:///pair", 2, "invalid_url"),
        ("wss://user:pw@h", 2, "invalid_url"),
        ("ftp://h", 2, "invalid_url"),
        ("", 2, "invalid_url"),
    ] {
        let (ended, error) = home.error(&["start", "--public-url", url]);
        assert_eq!((ended, error["kind"].as_str()), (exit, Some(kind)), "{url}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
    assert!(files_below(&home.path()).is_empty());
    let output = home.run(&["start", "--public-url", "ws://192.168.1.5:7780", "--json"]);
    assert_eq!(output.json()["url"], "ws://192.168.1.5:7780/pair");
    let warning: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(warning["warning"]["kind"], "cleartext");
}

#[test]
fn with_nothing_set_there_is_a_seed_line_for_each_account() {
    let home = Home::configured(
        "accounts:\n  - { channel: whatsapp, account: personal }\n  \
         - { channel: telegram, account: cody_nexo_bot }",
    );
    let output = home.run(&["start"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    for line in
        ["nexo-pair seed telegram cody_nexo_bot SENDER", "nexo-pair seed whatsapp personal SENDER"]
    {
        assert!(output.stderr.lines().any(|reply| reply.trim() == line), "{}", output.stderr);
    }
    let (_, error) = home.error(&["start"]);
    assert_eq!(error["kind"], "loopback_only");
}

#[test]
fn the_first_url_wins_and_its_source_is_named() {
    let home = Home::new();
    let tunnel = home.path().join("state").join("tunnel.url");
    fs::create_dir_all(tunnel.parent().unwrap()).unwrap();
    fs::write(&tunnel, " wss://file.example.com \n").unwrap();
    let started = |args: &[&str], variable: Option<&str>| {
        let mut command = home.command(&[&["start", "--json"], args].concat());
        command.envs(variable.map(|url| ("NEXO_TUNNEL_URL", url)));
        Output::of(command)
    };
    let source = |output: Output| {
        let issued = output.json();
        (text(&issued, "url").to_owned(), text(&issued, "url_source").to_owned())
    };
    let of = |url: &str, source: &str| (format!("wss://{url}.example.com/pair"), source.to_owned());
    assert_eq!(source(started(&[], None)), of("file", "tunnel.url"));
    assert_eq!(source(started(&[], Some(""))), of("file", "tunnel.url"));
    let variable = Some("wss://variable.example.com");
    assert_eq!(source(started(&[], variable)), of("variable", "NEXO_TUNNEL_URL"));
    home.configure("public_url: wss://config.example.com");
    assert_eq!(source(started(&[], variable)), of("config", "pairing.public_url"));
    let flag = ["--public-url", "wss://flag.example.com"];
    assert_eq!(source(started(&flag, variable)), of("flag", "--public-url"));

    // A source that is set but invalid is not skipped.
    home.configure("{}");
    assert_eq!(started(&[], Some("wss://")).error()["kind"], "invalid_url");
    fs::write(&tunnel, "wss://a.example.com\nwss://b.example.com\n").unwrap();
    assert_eq!(started(&[], None).error()["kind"], "tunnel_file");
    fs::write(&tunnel, "x".repeat(1 << 20)).unwrap();
    assert_eq!(started(&[], None).error()["kind"], "tunnel_file");
    fs::write(&tunnel, " \n").unwrap();
    assert_eq!(started(&[], None).error()["kind"], "loopback_only");
}

#[test]
fn an_image_replaces_files_only() {
    let home = Home::new();
    let (file, target) = (home.beside("code.png"), home.beside("target"));
    let write = |path: &std::path::Path| {
        let args = ["start", "--public-url", URL, "--json", "--qr-png", path.to_str().unwrap()];
        home.run(&args).code
    };
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(write(&file), 0);
    assert_eq!((scan_png(&file).len(), mode_of(&file)), (1, 0o600));
    fs::write(&target, "precious").unwrap();
    let link = home.beside("link.png");
    symlink(&target, &link).unwrap();
    let issued = || home.sqlite("SELECT count(*) FROM pairing_audit WHERE action = 'code_issued'");
    let before = issued();
    assert_eq!(write(&link), 3);
    assert_eq!(write(&home.beside("no-such-folder").join("code.png")), 3);
    assert_eq!(write(&home.path()), 3);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(issued(), before, "a code that cannot be shown is not issued");
}

#[test]
fn no_secret_is_in_the_database_or_the_logs() {
    let home = Home::new();
    let args = ["start", "--public-url", URL, "--json", "--for-device", "phone"];
    for format in [&[][..], &["--compact"]] {
        let mut command = home.command(&[&args[..], format].concat());
        let output = Output::of(std::mem::replace(
            command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full"),
            Command::new("true"),
        ));
        let issued = output.json();
        let payload = text(&issued, "payload").to_owned();
        let cancelled = home.run_with(&["cancel"], payload.as_bytes());
        let token = text(&issued, "bootstrap_token");
        for reply in [&output.stderr, &cancelled.stderr, &cancelled.stdout] {
            assert!(!reply.contains(token) && !reply.contains(&payload), "{reply}");
        }
        let key = fs::read(key_of(&home)).unwrap();
        for (path, file) in files_below(&home.path()) {
            if path == key_of(&home) {
                continue;
            }
            for secret in [token.as_bytes(), payload.as_bytes(), &key] {
                let is_in = file.bytes().windows(secret.len()).any(|part| part == secret);
                assert!(!is_in, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_closed_output_is_not_an_error() {
    let home = Home::new();
    let mut command = home.command(&["start", "--public-url", URL]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
