//! A device is paired by a setup code, accepted by services, and revoked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nexo_pairing_tests::{Home, Output, Server, Terminal, files_below, wait_for};
use rustix::process::geteuid;
use serde_json::{Value, json};

/// The session database of 0.1.8, with a token in clear text.
const OLD_SESSIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/nexo-pairing-store/tests/fixtures/pairing_sessions-0.1.8.db"
);

/// A setup code with this URL.
fn issue(home: &Home, url: &str, args: &[&str]) -> Value {
    home.json(&[&["start", "--public-url", url], args].concat())
}

fn claim(home: &Home, code: &Value) -> Output {
    home.run_with(&["claim", "--json"], code.to_string())
}

/// The token that a claim has stored without printing it.
fn kept(claimed: &Output) -> String {
    assert_eq!((claimed.code, claimed.stderr.as_str()), (0, ""), "{claimed:?}");
    let file = claimed.json()["session_file"].as_str().unwrap().to_owned();
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(token.len(), 43);
    assert!(!claimed.stdout.contains(&token));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = Path::new(&file).parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    token
}

#[test]
fn a_device_is_paired_listed_accepted_and_revoked() {
    let home = Home::new();
    let (gateway, other) = (Server::start(&home, &[]), Server::start(&home, &[]));

    // As in the README, QR code included.
    let url = gateway.url("ws");
    let mut start = home.command(&["start", "--public-url", &url, "--for-device", "phone"]);
    let mut start = start.spawn().unwrap();
    let mut companion = home.command(&["claim", "--json"]);
    companion.stdin(Stdio::from(start.stdout.take().unwrap()));
    let claimed = Output::of(companion);
    assert!(start.wait().unwrap().success());
    let token = kept(&claimed);
    let reply = claimed.json();
    assert_eq!(reply["profile"], "companion-v1");
    assert_eq!(reply["device_label"], "phone");
    assert_eq!(reply["url"], format!("{url}/pair"));
    assert_eq!(reply["replaced"], false);
    let file = home.path().join(gateway.session_file("phone"));
    assert_eq!(reply["session_file"], file.to_str().unwrap());

    let devices = home.json(&["devices", "list"]);
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
    assert_eq!(devices["devices"][0]["device_label"], "phone");
    assert_eq!(devices["devices"][0]["expires_at"], reply["expires_at"]);
    for gateway in [&gateway, &other] {
        let (status, session) = gateway.session(&token);
        assert_eq!((status, &session["device_label"]), (200, &json!("phone")));
    }

    let revoked = home.json(&["devices", "revoke", "phone"]);
    assert_eq!(revoked["revoked"][0]["id"], devices["devices"][0]["id"]);
    for gateway in [&gateway, &other] {
        assert_eq!(gateway.session(&token).0, 401);
    }
    assert_eq!(home.json(&["devices", "list"]), json!({ "devices": [] }));
    let (code, error) = home.error(&["devices", "revoke", "phone"]);
    assert_eq!((code, &error["kind"]), (1, &json!("nothing_to_revoke")));
}

#[test]
fn a_code_used_twice_gives_one_session_and_revokes_it() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let code = issue(&home, &gateway.url("http"), &["--compact", "--for-device", "Ana's iPhone"]);
    let token = kept(&claim(&home, &code));
    assert_eq!(gateway.session(&token).0, 200);

    let again = claim(&home, &code);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    let error = again.error();
    assert_eq!(error["kind"], "replayed");
    assert!(error["message"].as_str().unwrap().contains("already used"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("a new one"), "{error}");
    assert_eq!(gateway.session(&token).0, 401);
    // The second claim did not change the session file of the first.
    let file = home.path().join(gateway.session_file("Ana%27s%20iPhone"));
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    assert_eq!(files_below(file.parent().unwrap()).len(), 1);

    let code = issue(&home, &gateway.url("http"), &["--for-device", "Ana's iPhone"]);
    let third = claim(&home, &code);
    assert_eq!(third.json()["replaced"], true);
    assert_eq!(gateway.session(&kept(&third)).0, 200);
}

#[test]
fn a_session_from_the_future_is_ended_before_the_clock_is_right_again() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let token = kept(&claim(&home, &issue(&home, &gateway.url("ws"), &["--for-device", "phone"])));
    // As if the clock had been set back since.
    home.sqlite(
        "UPDATE pairing_sessions SET issued_at = issued_at + 7200, expires_at = expires_at + 7200",
    );
    assert_eq!(gateway.session(&token).0, 401);
    home.json(&["devices", "revoke", "phone"]);
    home.sqlite("UPDATE pairing_sessions SET issued_at = issued_at - 7200");
    assert_eq!(gateway.session(&token).0, 401);
    let (code, error) = home.error(&["devices", "revoke", "phone"]);
    assert_eq!((code, &error["kind"]), (1, &json!("nothing_to_revoke")));
}

#[test]
fn setting_the_clock_back_does_not_revive_an_expired_session() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let token = kept(&claim(&home, &issue(&home, &gateway.url("ws"), &["--for-device", "phone"])));
    assert_eq!(gateway.session(&token).0, 200);
    // For a clock that jumps forward by so much, or back.
    let pass = |seconds: i64| {
        let column = |name| format!("{name} = {name} - {seconds}");
        let columns = ["issued_at", "expires_at", "revoked_at"].map(column).join(", ");
        home.sqlite(&format!("UPDATE pairing_sessions SET {columns}"));
    };
    let listed = || home.run(&["devices", "list", "--all"]).stdout;
    pass(86_401);
    assert!(listed().contains("expired"), "{}", listed());
    // A gateway purges at its start and then every minute.
    let _another = Server::start(&home, &[]);
    wait_for("the end of the session", || {
        let ended = home.sqlite("SELECT revoked_at = expires_at FROM pairing_sessions");
        (ended.trim() == "1").then_some(())
    });
    assert!(listed().contains("expired"), "{}", listed());
    pass(-86_401);
    assert_eq!(gateway.session(&token).0, 401);
    assert!(listed().contains("expired"), "{}", listed());
}

#[test]
fn a_claimed_code_is_cleared_from_the_screen() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let url = gateway.url("ws");
    let args = ["start", "--public-url", &url, "--for-device", "phone", "--compact"];
    let terminal = Terminal::start(home.command(&args), 80, 40);
    terminal.wait_for_text("valid for");
    let payload = terminal.scan().remove(0);
    let claimed = home.run_with(&["claim", "--json"], payload);
    assert_eq!(claimed.code, 0, "{claimed:?}");
    let id = home.json(&["devices", "list"])["devices"][0]["id"].clone();
    let (exit, left) = terminal.end();
    let expected = format!("claimed by phone (session {})", id.as_str().unwrap());
    assert!(exit == 0 && left.trim().ends_with(&expected) && !left.contains('█'), "{left}");
}

#[test]
fn an_unnamed_device_names_itself() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let code = issue(&home, &gateway.url("ws"), &[]).to_string();
    let claimed = home.run_with(&["claim", "--json", "--device-label", "kitchen tablet"], &code);
    kept(&claimed);
    assert_eq!(claimed.json()["device_label"], "kitchen tablet");
    assert!(home.path().join(gateway.session_file("kitchen%20tablet")).exists());
    let code = issue(&home, &gateway.url("ws"), &[]).to_string();
    kept(&home.run_with(&["claim", "--json"], &code));
    assert!(home.path().join(gateway.session_file("default")).exists());
    let devices = home.json(&["devices", "list"]);
    assert_eq!(devices["devices"][0]["device_label"], "kitchen tablet");
    assert_eq!(devices["devices"][1]["device_label"], Value::Null);
}

#[test]
fn an_invalid_code_leaves_nothing_behind() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let stranger = Home::new();
    let forged = issue(&stranger, &gateway.url("ws"), &[]);
    let cancelled = issue(&home, &gateway.url("ws"), &[]);
    assert_eq!(home.run_with(&["cancel"], cancelled.to_string()).code, 0);
    let elsewhere = issue(&home, &(gateway.url("http") + "/elsewhere"), &[]);
    for (code, exit, kind) in [
        (&forged, 1, "invalid_signature"),
        (&cancelled, 1, "cancelled"),
        (&elsewhere, 3, "bad_answer"),
    ] {
        let refused = claim(&home, code);
        assert_eq!((refused.code, &refused.error()["kind"]), (exit, &json!(kind)), "{refused:?}");
        assert!(refused.error()["hint"].is_string(), "{refused:?}");
    }
    assert!(files_below(&home.path().join("pairing")).is_empty());
    assert_eq!(home.json(&["devices", "list", "--all"]), json!({ "devices": [] }));
}

/// A device chooses a name that looks like another's: neither is mistaken for the other.
#[test]
fn a_confusable_name_is_marked_and_revokes_neither_device() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let honest = kept(&claim(&home, &issue(&home, &gateway.url("ws"), &["--for-device", "phone"])));
    for label in ["phone ", "phone\u{fe0f}", "ph\u{43e}ne", "phone   companion-v1   never"] {
        let code = issue(&home, &gateway.url("ws"), &[]).to_string();
        let claimed = home.run_with(&["claim", "--json", "--device-label", label], &code);
        let token = kept(&claimed);
        let devices = home.json(&["devices", "list"])["devices"].clone();
        assert_eq!(devices[0]["named_by_device"], false);
        assert_eq!(devices[1]["named_by_device"], true, "{label:?}: {devices}");
        let listed = home.run(&["devices", "list"]).stdout;
        let id = devices[1]["id"].as_str().unwrap();
        let line = listed.lines().find(|line| line.starts_with(id)).unwrap();
        assert!(line.contains("  itself  "), "{listed}");
        if label.starts_with("phone   ") {
            // Spaces that imitate the columns of the table are escaped.
            assert!(line.contains("phone \\u{20}\\u{20}companion-v1"), "{listed}");
        } else {
            assert!(listed.contains("names that look alike: "), "{listed}");
            let (code, error) = home.error(&["devices", "revoke", "phone"]);
            assert_eq!(
                (code, &error["kind"]),
                (1, &json!("ambiguous_label")),
                "{label:?}: {error}"
            );
            assert!(error["message"].as_str().unwrap().contains(id), "{error}");
        }
        assert_eq!(
            (gateway.session(&honest).0, gateway.session(&token).0),
            (200, 200),
            "{label:?}"
        );
        home.json(&["devices", "revoke", id]);
        assert_eq!(
            (gateway.session(&honest).0, gateway.session(&token).0),
            (200, 401),
            "{label:?}"
        );
    }
    // The name can be typed as it was shown.
    home.json(&["devices", "revoke", "phone "]);
    assert_eq!(gateway.session(&honest).0, 401);
}

#[test]
fn a_claim_without_space_for_its_token_does_not_use_up_the_code() {
    let (home, companion) = (Home::new(), Home::new());
    let gateway = Server::start(&home, &[]);
    let file = companion.beside("code.txt");
    fs::write(&file, issue(&home, &gateway.url("ws"), &[])["payload"].as_str().unwrap()).unwrap();
    // A separate disk that is full, and later is not.
    let script = r#"mount -t tmpfs -o size=256k tmpfs "$NEXO_HOME" || exit 77
        cat /dev/zero > "$NEXO_HOME/filler" 2>/dev/null
        "$0" "$@"; full=$?
        rm "$NEXO_HOME/filler"
        "$0" "$@" && exit "$full""#;
    let claim = companion.command(&["claim", "--json", "--file", file.to_str().unwrap()]);
    let user = if geteuid().is_root() { &[][..] } else { &["--user", "--map-root-user"] };
    let mut command = Command::new("unshare");
    command.arg("--mount").args(user).args(["sh", "-c", script]);
    command.arg(claim.get_program()).args(claim.get_args()).env("NEXO_HOME", companion.path());
    let output = Output::of(command);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.error()["message"].as_str().unwrap().contains("No space left"), "{output:?}");
    assert_eq!(output.json()["replaced"], false);
}

#[test]
fn a_foreign_setup_code_keeps_the_session_of_this_gateway() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let (gateway, foreign) = (Server::start(&home, &[]), Server::start(&elsewhere, &[]));
    let args = ["--for-device", "phone"];
    let ours = kept(&claim(&home, &issue(&home, &gateway.url("ws"), &args)));
    let theirs = claim(&home, &issue(&elsewhere, &foreign.url("ws"), &args));
    assert_eq!(theirs.json()["replaced"], false);
    assert_ne!(kept(&theirs), ours);
    let file = home.path().join(gateway.session_file("phone"));
    assert_eq!(fs::read_to_string(file).unwrap(), ours);
}

#[test]
fn no_secret_is_printed_at_any_log_level() {
    let home = Home::new();
    let gateway = Server::start(&home, &[]);
    let code = issue(&home, &gateway.url("ws"), &[]);
    let file = home.beside("code.txt");
    fs::write(&file, code["payload"].as_str().unwrap()).unwrap();
    let mut token = String::new();
    for exit in [0, 1] {
        let mut command = home.command(&["claim", "--file", file.to_str().unwrap()]);
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let output = Output::of(command);
        assert_eq!(output.code, exit, "{output:?}");
        if exit == 0 {
            let kept = home.path().join(gateway.session_file("default"));
            token = fs::read_to_string(kept).unwrap();
        }
        let reply = output.stdout + &output.stderr;
        for secret in [&token, code["payload"].as_str().unwrap()] {
            assert!(!reply.contains(secret), "{reply}");
        }
        assert!(!reply.contains(code["bootstrap_token"].as_str().unwrap()), "{reply}");
    }
}

#[test]
fn the_sessions_of_0_1_8_are_imported() {
    let home = Home::new();
    let old = home.beside("pairing_sessions.db");
    fs::copy(OLD_SESSIONS, &old).unwrap();
    let (before, old) = (fs::read(&old).unwrap(), old.to_str().unwrap());
    let report =
        |imported, unchanged| json!({"imported": imported, "unchanged": unchanged, "expired": 0});
    assert_eq!(home.json(&["devices", "import", old]), report(1, 0));
    assert_eq!(home.json(&["devices", "import", old]), report(0, 1));
    assert_eq!(fs::read(old).unwrap(), before);
    assert_eq!(home.json(&["devices", "list"])["devices"][0]["device_label"], "Ana's phone");

    let gateway = Server::start(&home, &[]);
    assert_eq!(gateway.session("legacy-session-token-1").0, 200);
    let kept = files_below(&home.path().join("state"));
    for path in kept.keys() {
        let bytes = fs::read(path).unwrap();
        assert!(!bytes.windows(22).any(|bytes| bytes == b"legacy-session-token-1"), "{path:?}");
    }
    home.json(&["devices", "revoke", "Ana's phone"]);
    assert_eq!(gateway.session("legacy-session-token-1").0, 401);
    // The old file does not revive a revoked session.
    assert_eq!(home.json(&["devices", "import", old]), report(0, 1));
    assert_eq!(gateway.session("legacy-session-token-1").0, 401);
}
