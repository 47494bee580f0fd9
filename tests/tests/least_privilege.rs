//! The program's files are private under every umask, it has no more rights than it needs,
//! and it can read where it may not write.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use nexo_pairing_tests::{Output, Server, User, files_below, program};
use rustix::process::geteuid;

const UMASKS: [&str; 5] = ["000", "022", "027", "077", "0777"];

/// The modes of everything below a folder, by the path from there.
fn modes(folder: &Path) -> BTreeMap<String, u32> {
    fn collect(folder: &Path, root: &Path, modes: &mut BTreeMap<String, u32>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            modes.insert(name, metadata.mode() & 0o7777);
            if metadata.is_dir() {
                collect(&path, root, modes);
            }
        }
    }
    let mut modes = BTreeMap::new();
    collect(folder, folder, &mut modes);
    modes
}

#[test]
fn created_files_are_private_under_every_umask() {
    for umask in UMASKS {
        let user = User::with_umask(umask);
        let server = Server::of(user.command(Server::COMMAND));
        let made = |name: &str| user.beside("made").join(name).display().to_string();
        let url = server.url("ws");
        let started = ["start", "--public-url", &url, "--for-device", "phone", "--json"];
        let code = user.run_ok(&[&started[..], &["--qr-png", &made("code.png")]].concat());
        user.run_ok(&["keys", "rotate"]);
        user.run_ok(&["seed", "whatsapp", "personal", "+5491155556666"]);
        fs::write(user.beside("code.json"), code).unwrap();
        user.own(&user.beside("code.json"));
        user.run_ok(&["claim", "--file", "code.json"]);
        user.run_ok(&["backup", &made("copy.db")]);

        let modes = modes(&user.beside("made"));
        for (path, mode) in &modes {
            let is_folder = user.beside("made").join(path).is_dir();
            let wanted = if is_folder { 0o700 } else { 0o600 };
            assert_eq!(*mode, wanted, "{path} with umask {umask}: {mode:o}");
        }
        for name in [
            "nexo/state/pairing.db",
            "nexo/state/pairing.db-wal",
            "nexo/state/pairing.db-shm",
            "nexo/state/pairing.db.lock",
            "nexo/secret/pairing.key",
            &format!("nexo/{}", server.session_file("phone")),
            "code.png",
            "copy.db",
        ] {
            assert!(modes.contains_key(name), "{name} is not in {modes:?}");
        }
        let old_keys = modes.keys().filter_map(|it| it.strip_prefix("nexo/secret/pairing.key.d/"));
        assert_eq!(old_keys.filter(|name| !name.starts_with('.')).count(), 1, "{modes:?}");
        assert_eq!(server.end(), 0);
    }
}

#[test]
fn a_server_leaves_no_core_dump_and_cannot_be_inspected() {
    let user = User::with_umask("022");
    let server = Server::of(user.command(Server::COMMAND));
    let status = fs::read_to_string(server.proc("status")).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    let limits = fs::read_to_string(server.proc("limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().take(2).collect();
    assert_eq!(core, ["0", "0"]);
    // The files in /proc of a process that is not dumpable belong to root, not to its user.
    assert_eq!(fs::metadata(server.proc("environ")).unwrap().uid(), 0);
    assert_eq!(server.end(), 0);
}

/// The output of `list` and `explain`.
fn answers(user: &User) -> [String; 2] {
    let sender = "5491155556666@c.us";
    let mut explain = user.command(&["explain", "whatsapp", "personal", sender, "--json"]);
    explain.env("NEXO_PAIRING_GATE__MODE", "pairing");
    let explained = Output::of(explain);
    assert_eq!(explained.code, 0, "{explained:?}");
    [user.run_ok(&["list", "--all", "--json"]), explained.stdout]
}

/// Makes the folder read-only.
fn close(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn a_read_only_database_still_answers() {
    let user = User::with_umask("022");
    user.run_ok(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let folder = user.home().join("state");
    let before = answers(&user);
    assert!(before[0].contains("+5491155556666") && before[1].contains("\"rule\":6"), "{before:?}");
    close(&folder);
    let files = files_below(&folder);
    assert_eq!(answers(&user), before);
    let refused = user.run(&["revoke", "whatsapp:+5491155556666", "--json"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{refused:?}");
    assert_eq!(files_below(&folder), files);
}

/// A crash leaves changes in the WAL only, and an index of it. Without the index SQLite reads the WAL
/// only if it can create another one.
#[test]
fn a_wal_left_by_a_crash_is_read_even_from_a_read_only_folder() {
    for has_index in [true, false] {
        let user = User::with_umask("022");
        let server = Server::of(user.command(Server::COMMAND));
        user.run_ok(&["seed", "whatsapp", "personal", "+5491155556666"]);
        server.kill();
        let folder = user.home().join("state");
        let wal = folder.join("pairing.db-wal");
        assert!(wal.metadata().unwrap().len() > 0, "the WAL holds what was written");
        if !has_index {
            fs::remove_file(folder.join("pairing.db-shm")).unwrap();
        }
        close(&folder);
        let files = files_below(&folder);
        if has_index {
            let after = answers(&user);
            assert!(after[0].contains("+5491155556666"), "{after:?}");
            assert!(after[1].contains("\"rule\":6"), "{after:?}");
        } else {
            // It fails rather than return an old state.
            let refused = user.run(&["list", "--all"]);
            assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{refused:?}");
        }
        assert_eq!(files_below(&folder), files);
    }
}

/// The program as root, for the home of a service that runs as another user.
fn as_root(service: &User, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).env_clear().env("NEXO_HOME", service.home()).env("HOME", service.home());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Output::of(command);
    assert_eq!(output.code, 0, "{args:?}: {output:?}");
    output
}

#[test]
fn commands_run_by_root_leave_a_service_working() {
    if !geteuid().is_root() {
        println!("not tested: only root can act for another user");
        return;
    }
    let service = User::with_umask("022");
    fs::create_dir_all(service.home()).unwrap();
    service.own(&service.home());
    service.own(service.home().parent().unwrap());
    let start = ["start", "--public-url", "wss://nexo.example.com", "--json"];
    // Root comes first and creates database, key and folders.
    as_root(&service, &["seed", "whatsapp", "personal", "+5491155556666"]);
    as_root(&service, &start);
    as_root(&service, &["keys", "rotate"]);
    service.run_ok(&["seed", "whatsapp", "personal", "+14155550100"]);
    service.run_ok(&start);
    service.run_ok(&["keys", "rotate"]);
    // A session that root claims for the service belongs to the service, with its folder.
    let server = Server::of(service.command(Server::COMMAND));
    let code = service.beside("code.json");
    let claim = ["claim", "--file", code.to_str().unwrap()];
    for by_root in [true, false] {
        let start = ["start", "--public-url", &server.url("ws"), "--for-device", "phone", "--json"];
        fs::write(&code, service.run_ok(&start)).unwrap();
        service.own(&code);
        if by_root {
            as_root(&service, &claim);
        } else {
            service.run_ok(&claim);
        }
        let file = service.home().join(server.session_file("phone"));
        for path in [&file, &file.parent().unwrap().to_owned(), &service.home().join("pairing")] {
            assert_eq!(fs::metadata(path).unwrap().uid(), 65534, "{}", path.display());
        }
    }
    assert_eq!(server.end(), 0);
    // As in the manual: a backup, moved into place.
    let backup = service.home().join("backup.db");
    as_root(&service, &["backup", backup.to_str().unwrap()]);
    fs::rename(&backup, service.database()).unwrap();
    service.run_ok(&["revoke", "whatsapp:+14155550100"]);
    // No hint would take away files that the service needs.
    chown(service.home().join("secret/pairing.key"), Some(12_345), None).unwrap();
    let mut doctor = Command::new(program());
    doctor.arg("doctor").env_clear().env("NEXO_HOME", service.home());
    let checks = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
    assert!(checks.contains("chown 65534 ") && !checks.contains("chown 0 "), "{checks}");
}

#[test]
fn doctor_reports_who_else_can_write_to_the_gates_files() {
    let user = User::with_umask("022");
    let config = user.home().join("config");
    fs::create_dir_all(&config).unwrap();
    let file = config.join("pairing.yaml");
    let yaml = "pairing:\n  gate: {mode: pairing}\n  trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]\n";
    fs::write(&file, yaml).unwrap();
    for path in [user.home().parent().unwrap(), &user.home(), &config, &file] {
        user.own(path);
    }
    let found = |name: &str| {
        let output = user.run(&["doctor", "--json"]);
        let checks = output.json()["checks"].as_array().unwrap().clone();
        let check = checks.into_iter().find(|check| check["name"] == name).unwrap();
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"), text("mend"))
    };
    assert_eq!(found("folders").0, "ok");
    let (status, message, mend) = found("trusted_proxies");
    assert!(status == "warn" && message.starts_with("0.0.0.0/0 "), "{message}");
    assert!(mend.contains("pairing.trusted_proxies"), "{mend}");
    for folder in [&user.home(), &config] {
        fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
        let (status, message, mend) = found("folders");
        assert!(status == "fail" && message.contains("everybody"), "{message}");
        assert_eq!(mend, format!("chmod go-w {}", folder.display()));
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    }
    // Only root can give a file away.
    if geteuid().is_root() {
        chown(&file, Some(12_345), None).unwrap();
        let (status, message, mend) = found("configuration");
        assert!(status == "warn" && message.contains("user 12345"), "{message}");
        assert_eq!(mend, format!("sudo chown 65534 {}", file.display()));
    }
}
