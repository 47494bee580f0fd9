//! Another user with write access to a folder can plant a link where the program is about to write a
//! secret: nothing is ever written through it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nexo_pairing_tests::{Home, Output, Server};

/// Another user's file that a link leads to, and a path without a file.
struct Bait {
    file: PathBuf,
    nothing: PathBuf,
}

impl Bait {
    fn new(home: &Home) -> Self {
        let bait = Self { file: home.beside("bait"), nothing: home.beside("nothing") };
        fs::write(&bait.file, "mine").unwrap();
        bait
    }

    fn each(&self) -> [&Path; 2] {
        [&self.file, &self.nothing]
    }

    /// Fails if something was written through a link.
    fn is_untouched(&self) {
        assert_eq!(fs::read_to_string(&self.file).unwrap(), "mine");
        assert!(fs::symlink_metadata(&self.nothing).is_err(), "a file was created");
    }
}

/// Runs the program, which refuses to write.
fn refuses(home: &Home, args: &[&str]) -> Output {
    let output = home.run(&[args, &["--json"]].concat());
    assert!([2, 3].contains(&output.code), "{args:?}: {output:?}");
    output
}

const START: [&str; 4] = ["start", "--public-url", "wss://nexo.example.com/pair", "--no-wait"];

#[test]
fn the_image_of_a_setup_code() {
    let home = Home::new();
    let bait = Bait::new(&home);
    for target in bait.each() {
        let link = home.beside("code.png");
        symlink(target, &link).unwrap();
        refuses(&home, &[&START[..], &["--qr-png", link.to_str().unwrap()]].concat());
        bait.is_untouched();
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn a_copy_of_the_database() {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let bait = Bait::new(&home);
    for target in bait.each() {
        let link = home.beside("copy.db");
        symlink(target, &link).unwrap();
        let refused = refuses(&home, &["backup", link.to_str().unwrap()]);
        assert!(refused.stderr.contains("copy.db"), "{refused:?}");
        bait.is_untouched();
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn the_key() {
    let home = Home::new();
    let bait = Bait::new(&home);
    let folder = home.path().join("secret");
    fs::create_dir(&folder).unwrap();
    for target in bait.each() {
        let link = folder.join("pairing.key");
        symlink(target, &link).unwrap();
        refuses(&home, &START);
        refuses(&home, &["keys", "rotate"]);
        bait.is_untouched();
        fs::remove_file(link).unwrap();
    }
}

/// Root would give its target to the owner of the folder.
#[test]
fn the_lock_of_the_key_ring() {
    let home = Home::new();
    home.json(&START);
    home.json(&["keys", "rotate"]);
    let bait = Bait::new(&home);
    let link = home.path().join("secret/pairing.key.d/.lock");
    for target in bait.each() {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        refuses(&home, &["keys", "rotate"]);
        bait.is_untouched();
    }
    fs::remove_file(&link).unwrap();
    home.json(&["keys", "rotate"]);
}

#[test]
fn the_folder_of_the_old_keys() {
    let home = Home::new();
    home.json(&START);
    let elsewhere = home.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for target in [&elsewhere, &home.beside("nowhere")] {
        let link = home.path().join("secret").join("pairing.key.d");
        symlink(target, &link).unwrap();
        refuses(&home, &["keys", "rotate"]);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "a key went elsewhere");
        assert!(!home.beside("nowhere").exists());
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn a_session() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let url = server.url("ws");
    let claim = || {
        let code = home.json(&["start", "--public-url", &url, "--for-device", "phone"]);
        home.run_with(&["claim", "--json"], code["payload"].as_str().unwrap())
    };
    let bait = Bait::new(&home);
    let folder = home.path().join("pairing").join("sessions");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    for target in bait.each() {
        let file = home.path().join(server.session_file("phone"));
        symlink(target, &file).unwrap();
        let claimed = claim();
        assert_eq!(claimed.code, 0, "{claimed:?}");
        // It takes the place of the link.
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        bait.is_untouched();
        fs::remove_file(file).unwrap();
    }

    // The folder is a link to one that others may write to.
    let elsewhere = home.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o777)).unwrap();
    fs::remove_dir(&folder).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    let refused = claim();
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "a session went elsewhere");
    assert_eq!(server.end(), 0);
}

/// The path with this suffix beside the database, without a file.
fn free_path_beside_the_database(home: &Home, suffix: &str) -> PathBuf {
    let path = PathBuf::from(format!("{}{suffix}", home.database().display()));
    // Most exist only while the database is open.
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn links_beside_the_database() {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let bait = Bait::new(&home);
    for suffix in [".lock", "-wal", "-shm", "-journal"] {
        let link = free_path_beside_the_database(&home, suffix);
        for target in bait.each() {
            symlink(target, &link).unwrap();
            let refused = refuses(&home, &["seed", "whatsapp", "personal", "+5491155557777"]);
            assert!(refused.stderr.contains(suffix), "{refused:?}");
            if suffix != ".lock" {
                refuses(&home, &["list"]);
            }
            bait.is_untouched();
            fs::remove_file(&link).unwrap();
        }
    }
}

/// A hard link to another user's file would do as well: root would write to the file and give it
/// to the owner of the database.
#[test]
fn hard_links_beside_the_database() {
    let home = Home::new();
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let bait = Bait::new(&home);
    for suffix in ["-wal", "-shm", "-journal", ".lock"] {
        let link = free_path_beside_the_database(&home, suffix);
        fs::hard_link(&bait.file, &link).unwrap();
        refuses(&home, &["seed", "whatsapp", "personal", "+14155550100"]);
        bait.is_untouched();
        fs::remove_file(&link).unwrap();
    }
    home.json(&["seed", "whatsapp", "personal", "+14155550100"]);
}
