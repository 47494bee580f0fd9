//! Several processes at the same keys. A child is this test program, told to run [`child`] only.

use std::process::{Child, Command};

use crate::support::{Keys, both, mode, names};
use nexo_pairing_setup::SetupCodeIssuer;

const TASK: &str = "NEXO_PAIRING_TEST_TASK";
const KEY: &str = "NEXO_PAIRING_TEST_KEY";
const OUT: &str = "NEXO_PAIRING_TEST_OUT";

/// What a child does; nothing in a run of all tests.
#[test]
fn child() {
    let Some(task) = std::env::var_os(TASK) else { return };
    let issuer = SetupCodeIssuer::open_or_create(std::env::var_os(KEY).unwrap()).unwrap();
    match task.to_str().unwrap() {
        "open" => {}
        "rotate" => drop(issuer.rotate().unwrap()),
        "rotate until killed" => loop {
            issuer.rotate().unwrap();
        },
        task => panic!("{task}"),
    }
    if let Some(out) = std::env::var_os(OUT) {
        std::fs::write(out, issuer.keys()[0].id.to_string()).unwrap();
    }
}

/// Starts a child, under a umask.
fn start(keys: &Keys, task: &str, umask: &str, out: Option<usize>) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask "$0" && exec "$@""#, umask]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::child", "--test-threads=1", "-q"]);
    command.env(TASK, task).env(KEY, keys.path()).env_remove(OUT);
    if let Some(number) = out {
        command.env(OUT, keys.folder().join(format!("out{number}")));
    }
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn run(keys: &Keys, task: &str, processes: usize) -> Vec<String> {
    let started: Vec<_> =
        (0..processes).map(|number| start(keys, task, "077", Some(number))).collect();
    for mut child in started {
        assert!(child.wait().unwrap().success());
    }
    let told = (0..processes).map(|number| {
        let path = keys.folder().join(format!("out{number}"));
        let id = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        id
    });
    told.collect()
}

#[test]
fn eight_processes_that_make_the_key_at_once_agree() {
    let keys = Keys::new();
    let ids = run(&keys, "open", 8);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(keys.open().unwrap().keys()[0].id.to_string(), ids[0]);
    assert_eq!(names(keys.folder()), ["pairing.key"]);
}

#[test]
fn eight_processes_that_rotate_at_once_lose_no_key() {
    let keys = Keys::new();
    let first = keys.open().unwrap().keys()[0].id;
    let codes = both(&keys.open().unwrap(), None);
    let mut ids = run(&keys, "rotate", 8);
    ids.push(first.to_string());
    ids.sort();
    let issuer = keys.open().unwrap();
    let mut listed: Vec<_> = issuer.keys().iter().map(|key| key.id.to_string()).collect();
    listed.sort();
    assert_eq!(listed, ids, "the keys of all nine");
    for code in codes {
        issuer.verify(&code.bootstrap_token).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_while_it_rotates_leaves_a_good_ring() {
    let keys = Keys::new();
    let codes = both(&keys.open().unwrap(), None);
    for round in 1..=20 {
        let mut child = start(&keys, "rotate until killed", "077", None);
        let before = keys.open_external().unwrap().keys().len();
        // As soon as it is at it; how far it is then is another each time.
        while keys.open_external().unwrap().keys().len() < before + round % 4 + 1 {
            assert_eq!(child.try_wait().unwrap(), None, "it goes on until it is killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let issuer = keys.open_external().unwrap();
        for code in &codes {
            issuer.verify(&code.bootstrap_token).unwrap();
        }
    }
    keys.open().unwrap().rotate().unwrap();
}

#[test]
fn no_umask_opens_a_key_to_others_or_shuts_it_to_us() {
    for (umask, task) in [("000", "rotate"), ("022", "rotate"), ("077", "rotate"), ("377", "open")]
    {
        let keys = Keys::new();
        assert!(start(&keys, task, umask, None).wait().unwrap().success(), "{umask}");
        assert_eq!(mode(&keys.path()), 0o600, "{umask}");
        for older in keys.open().unwrap().keys().iter().skip(1) {
            assert_eq!(mode(&keys.ring().join(older.id.to_string())), 0o600, "{umask}");
            assert_eq!(mode(&keys.ring()), 0o700, "{umask}");
        }
    }
}
