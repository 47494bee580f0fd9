//! A database that cannot be used: exit status 3, its path, a hint, and the file is left as it
//! was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nexo_pairing_tests::{Home, OLD_DATABASE, Output, program};
use serde_json::{Value, json};

/// Commands that only read, and commands that write.
const COMMANDS: [&[&str]; 8] = [
    &["list", "--all"],
    &["log"],
    &["explain", "whatsapp", "personal", "+5491155556666"],
    &["gate", "--dry-run"],
    &["gate"],
    &["seed", "whatsapp", "personal", "+5491155556666"],
    &["approve", "K7M9-PQ2X"],
    &["revoke", "whatsapp:+5491155556666"],
];

/// A home with a database that was used and closed.
fn used_home() -> Home {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155550001"]);
    home.json(&["block", "whatsapp:+5491155550002"]);
    home
}

/// Every command fails on the database, with this message.
fn each_command_fails(home: &Home, message: &str, hint: &str) {
    let bytes = || fs::read(home.database()).ok();
    let before = bytes();
    for args in COMMANDS {
        let (exit, error) = home.error(args);
        is_told(home, exit, &error, message, hint);
        let reply = home.run(args);
        assert_eq!((reply.code, reply.stdout.as_str()), (3, ""), "{args:?}");
        assert!(reply.stderr.contains("\nhint: "), "{args:?}: {}", reply.stderr);
        assert!(bytes() == before, "{args:?} changed the file");
    }
}

/// An error that names the path and gives a hint.
fn is_told(home: &Home, exit: i32, error: &Value, message: &str, hint: &str) {
    assert_eq!((exit, &error["kind"]), (3, &json!("storage")), "{error}");
    let reply = error["message"].as_str().unwrap();
    assert!(reply.contains(message), "{error}");
    assert!(reply.contains(home.database().to_str().unwrap()), "{error}");
    assert!(error["hint"].as_str().is_some_and(|reply| reply.contains(hint)), "{error}");
}

#[test]
fn a_directory_is_no_file() {
    let home = Home::new();
    fs::create_dir_all(home.database()).unwrap();
    each_command_fails(&home, "is not a regular file", "pairing.db/pairing.db");
    assert_eq!(fs::read_dir(home.database()).unwrap().count(), 0);
}

#[test]
fn a_file_of_another_kind_is_not_a_database() {
    let home = Home::new();
    fs::create_dir_all(home.database().parent().unwrap()).unwrap();
    for bytes in [b"This is a letter to my landlord.\n".repeat(200), vec![0; 8192], vec![b'x'; 5]] {
        fs::write(home.database(), bytes).unwrap();
        each_command_fails(&home, "is not a SQLite database", "the file was left unchanged");
    }
}

#[test]
fn a_truncated_database_is_damaged() {
    for (home, length) in
        [(used_home(), 40_000), (used_home(), 4096), (Home::with_old_database(), 8192)]
    {
        let file = OpenOptions::new().write(true).open(home.database()).unwrap();
        assert!(file.metadata().unwrap().len() > length);
        file.set_len(length).unwrap();
        each_command_fails(&home, "is damaged", "put a backup in its place");
    }
}

#[test]
fn an_emptied_database_does_not_pass_for_a_new_one() {
    let home = used_home();
    File::create(home.database()).unwrap();
    for args in [&["seed", "whatsapp", "personal", "+5491155556666"][..], &["gate"]] {
        let (exit, error) = home.error(args);
        is_told(&home, exit, &error, "is damaged", "put a backup in its place");
        assert_eq!(fs::metadata(home.database()).unwrap().len(), 0);
    }
}

#[test]
fn a_damaged_page_is_reported_when_read() {
    let home = used_home();
    let mut bytes = fs::read(home.database()).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page.fill(0xa5);
    }
    fs::write(home.database(), &bytes).unwrap();
    each_command_fails(&home, "is damaged", "put a backup in its place");
}

#[test]
fn a_database_of_a_newer_version_is_left_to_that_version() {
    let home = used_home();
    home.sqlite(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
            VALUES (99, 'from_the_future', '2030-01-01T00:00:00Z', '1')",
    );
    each_command_fails(&home, "has schema 99", "use the newer version");
}

#[test]
fn doctor_reports_each_of_these() {
    type BreakIt = fn(&Path);
    let break_it: [(&str, BreakIt); 3] = [
        ("is not a SQLite database", |db| fs::write(db, "a letter ".repeat(1000)).unwrap()),
        ("is damaged", |db| {
            OpenOptions::new().write(true).open(db).unwrap().set_len(4096).unwrap();
        }),
        ("is not a file", |db| {
            fs::remove_file(db).unwrap();
            fs::create_dir(db).unwrap();
        }),
    ];
    for (message, break_it) in break_it {
        let home = used_home();
        break_it(&home.database());
        let output = home.run(&["doctor", "--json"]);
        assert_eq!(output.code, 3, "{output:?}");
        let checks = output.json();
        let failed = checks["checks"].as_array().unwrap().iter();
        let reply: Vec<&Value> = failed.filter(|check| check["status"] == "fail").collect();
        assert!(
            reply.iter().any(|check| check["message"].as_str().unwrap().contains(message)),
            "{message}: {checks}"
        );
        assert!(reply.iter().all(|check| check["mend"].is_string()), "{checks}");
    }
}

#[test]
fn doctor_reports_all_findings_when_a_table_is_unreadable() {
    let home = used_home();
    home.sqlite("DROP TABLE pairing_accounts");
    let output = home.run(&["doctor", "--json"]);
    assert_eq!(output.code, 3, "{output:?}");
    let checks = output.json()["checks"].as_array().unwrap().clone();
    assert_eq!((&checks[0]["name"], &checks[0]["status"]), (&json!("configuration"), &json!("ok")));
    let last = checks.last().unwrap();
    assert_eq!((&last["name"], &last["status"]), (&json!("contents"), &json!("fail")));
    assert!(last["message"].as_str().unwrap().contains("pairing_accounts"), "{last}");
}

#[test]
fn another_users_database_is_not_touched() {
    let home = used_home();
    let state = home.path().join("state");
    fs::set_permissions(home.database(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = home.beside("nexo-pair");
    fs::copy(program(), &copy).unwrap();
    // Root may read everything: there, the commands run as nobody.
    let is_root = rustix::process::geteuid().is_root();
    let run = |args: &[&str]| -> Output {
        let mut command = home.in_home(Command::new(&copy), &[args, &["--json"]].concat());
        if is_root {
            command.uid(65534).gid(65534);
        }
        Output::of(command)
    };
    if is_root {
        // The temporary folder belongs to root.
        chown(home.path().parent().unwrap(), Some(65534), Some(65534)).unwrap();
    }
    for args in COMMANDS {
        let output = run(args);
        let error = output.error();
        is_told(&home, output.code, &error, "no permission", "run as the owner");
    }
    fs::set_permissions(home.database(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(home.json(&["list", "--all"])["blocked"].as_array().unwrap().len(), 1);
}

/// Runs a script with a file system of this size at `$DISK`, which only the script sees and which
/// ends with it. `None` if this machine does not allow that.
fn on_a_small_disk(home: &Home, size: &str, script: &str, args: &[&str]) -> Option<Output> {
    let disk = home.beside("disk");
    fs::create_dir(&disk).unwrap();
    let sh = |script: &str| {
        let script = format!("mount -t tmpfs -o size={size} none \"$DISK\"\n{script}");
        let unshare = ["--user", "--map-root-user", "--mount", "sh", "-eu", "-c", &script, "sh"];
        let mut command = home.in_home(Command::new("unshare"), &[&unshare, args].concat());
        command.env("DISK", &disk).env("PROGRAM", program()).env("OLD", OLD_DATABASE);
        Output::of(command)
    };
    let probe = sh("");
    if probe.code != 0 {
        println!("not tested: no file system can be mounted here: {}", probe.stderr);
        return None;
    }
    Some(sh(script))
}

/// The first line of standard error of a command on a full disk.
fn full_disk_is_told(output: &Output) {
    let reply: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(reply[1..], ["exit 3", "unchanged"], "{output:?}");
    let error: Value = serde_json::from_str(reply[0]).unwrap();
    let error = &error["error"];
    assert_eq!(error["kind"], "storage", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("no space left") && message.contains("disk/pairing.db"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("make room"), "{error}");
}

#[test]
fn a_full_disk_is_reported_and_nothing_is_lost() {
    let script = r#"
"$PROGRAM" --db "$DISK/pairing.db" seed whatsapp personal +5491155550001 >/dev/null
cp "$DISK/pairing.db" "$DISK/../before"
dd if=/dev/zero of="$DISK/ballast" bs=4k count="$1" 2>/dev/null || true
shift
set +e
"$PROGRAM" --db "$DISK/pairing.db" --json seed whatsapp personal "$@"
echo "exit $?" >&2
cmp "$DISK/pairing.db" "$DISK/../before" && echo unchanged >&2
rm "$DISK/ballast"
"$PROGRAM" --db "$DISK/pairing.db" --json list --all
"#;
    // No space at all, and space that runs out within the transaction.
    for ballast in ["1000", "60"] {
        let home = Home::new();
        let many: Vec<String> = (0..5000).map(|n| format!("+5491156{n:06}")).collect();
        let args: Vec<&str> =
            std::iter::once(ballast).chain(many.iter().map(String::as_str)).collect();
        let Some(output) = on_a_small_disk(&home, "512k", script, &args) else { return };
        full_disk_is_told(&output);
        // With space again it continues, with everything from before and nothing of the failed command.
        let listed = output.json();
        let allowed = listed["allow"].as_array().unwrap().iter().map(|grant| &grant["sender_id"]);
        assert_eq!(allowed.collect::<Vec<_>>(), ["+5491155550001"], "{ballast}");
    }
}

#[test]
fn a_database_of_0_1_8_on_a_full_disk_stays_as_it_was() {
    let script = r#"
cp "$OLD" "$DISK/pairing.db"
dd if=/dev/zero of="$DISK/ballast" bs=4k 2>/dev/null || true
set +e
"$PROGRAM" --db "$DISK/pairing.db" --json seed whatsapp personal +5491155550001
echo "exit $?" >&2
cmp "$DISK/pairing.db" "$OLD" && echo unchanged >&2
"#;
    let home = Home::new();
    if let Some(output) = on_a_small_disk(&home, "128k", script, &[]) {
        full_disk_is_told(&output);
    }
}
