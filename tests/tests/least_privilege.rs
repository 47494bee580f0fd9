//! What the program makes is its user's alone under every umask, it takes no more rights than it needs,
//! and it reads where it may not write.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nexo_pairing_tests::{Output, Server, User, files_below};

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
fn all_that_is_made_is_its_users_alone_under_every_umask() {
    for umask in UMASKS {
        let user = User::with_umask(umask);
        let server = Server::of(user.command(Server::COMMAND));
        let made = |name: &str| user.beside("made").join(name).display().to_string();
        let url = server.url("ws");
        let started = ["start", "--public-url", &url, "--for-device", "phone", "--json"];
        let code = user.does(&[&started[..], &["--qr-png", &made("code.png")]].concat());
        user.does(&["keys", "rotate"]);
        user.does(&["seed", "whatsapp", "personal", "+5491155556666"]);
        fs::write(user.beside("code.json"), code).unwrap();
        user.own(&user.beside("code.json"));
        user.does(&["claim", "--file", "code.json"]);
        user.does(&["backup", &made("copy.db")]);

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
fn a_server_leaves_no_core_dump_and_is_nobodys_to_look_into() {
    let user = User::with_umask("022");
    let server = Server::of(user.command(Server::COMMAND));
    let status = fs::read_to_string(server.proc("status")).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    let limits = fs::read_to_string(server.proc("limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().take(2).collect();
    assert_eq!(core, ["0", "0"]);
    // What the system shows of a process that is not dumpable is root's, not its user's.
    assert_eq!(fs::metadata(server.proc("environ")).unwrap().uid(), 0);
    assert_eq!(server.end(), 0);
}

/// What `list` and `explain` say.
fn answers(user: &User) -> [String; 2] {
    let sender = "5491155556666@c.us";
    let mut explain = user.command(&["explain", "whatsapp", "personal", sender, "--json"]);
    explain.env("NEXO_PAIRING_GATE__MODE", "pairing");
    let explained = Output::of(explain);
    assert_eq!(explained.code, 0, "{explained:?}");
    [user.does(&["list", "--all", "--json"]), explained.stdout]
}

/// Nobody may write in the folder any more.
fn close(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn a_database_that_cannot_be_written_still_answers() {
    let user = User::with_umask("022");
    user.does(&["seed", "whatsapp", "personal", "+5491155556666"]);
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

/// A crash leaves changes in the WAL alone, and an index of it. Without the index SQLite reads the WAL
/// only where it can make another one.
#[test]
fn what_a_crash_left_beside_it_counts_also_where_nothing_can_be_written() {
    for has_index in [true, false] {
        let user = User::with_umask("022");
        let server = Server::of(user.command(Server::COMMAND));
        user.does(&["seed", "whatsapp", "personal", "+5491155556666"]);
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
            // Nothing is answered rather than something old.
            let refused = user.run(&["list", "--all"]);
            assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{refused:?}");
        }
        assert_eq!(files_below(&folder), files);
    }
}
