//! Several processes on the same keys. A child is this test program, running only [`child`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nexo_pairing_setup::{KeyId, SetupCodeIssuer};

use crate::support::{Keys, both, mode, names};

const TASK: &str = "NEXO_PAIRING_TEST_TASK";
const KEY: &str = "NEXO_PAIRING_TEST_KEY";
const OUT: &str = "NEXO_PAIRING_TEST_OUT";

/// The work of a child; does nothing in a normal test run.
#[test]
fn child() {
    let Some(task) = std::env::var_os(TASK) else { return };
    let issuer = SetupCodeIssuer::open_or_create(std::env::var_os(KEY).unwrap()).unwrap();
    let id = match task.to_str().unwrap() {
        "open" => issuer.keys()[0].id,
        "rotate" => issuer.rotate().unwrap(),
        "rotate until killed" => loop {
            issuer.rotate().unwrap();
        },
        task => panic!("{task}"),
    };
    if let Some(out) = std::env::var_os(OUT) {
        std::fs::write(out, id.to_string()).unwrap();
    }
}

/// Starts a child with a umask.
fn start(key: &Path, task: &str, umask: &str, out: Option<PathBuf>) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask "$0" && exec "$@""#, umask]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::child", "--test-threads=1", "-q"]);
    command.env(TASK, task).env(KEY, key).env_remove(OUT);
    command.envs(out.map(|out| (OUT, out)));
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn run(keys: &Keys, task: &str, processes: usize) -> Vec<String> {
    let out = |number| keys.folder().join(format!("out{number}"));
    let started: Vec<_> =
        (0..processes).map(|number| start(&keys.path(), task, "077", Some(out(number)))).collect();
    for mut child in started {
        assert!(child.wait().unwrap().success());
    }
    let results = (0..processes).map(|number| {
        let id = std::fs::read_to_string(out(number)).unwrap();
        std::fs::remove_file(out(number)).unwrap();
        id
    });
    results.collect()
}

#[test]
fn eight_processes_that_create_the_key_at_once_agree() {
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
fn a_process_that_is_killed_while_it_rotates_leaves_a_valid_ring() {
    let keys = Keys::new();
    let codes = both(&keys.open().unwrap(), None);
    for round in 1..=20 {
        let mut child = start(&keys.path(), "rotate until killed", "077", None);
        let before = keys.open_external().unwrap().keys().len();
        // As soon as it is rotating; how far it gets differs each time.
        while keys.open_external().unwrap().keys().len() < before + round % 4 + 1 {
            assert_eq!(child.try_wait().unwrap(), None, "it runs until it is killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let issuer = keys.open_external().unwrap();
        for code in &codes {
            issuer.verify(&code.bootstrap_token).unwrap();
        }
    }
    keys.open().unwrap().rotate().unwrap();
    assert_eq!(names(keys.folder()), ["pairing.key", "pairing.key.d"]);
    let left = names(&keys.ring()).into_iter().filter(|name| KeyId::parse(name).is_err());
    assert_eq!(
        left.collect::<Vec<_>>(),
        [".lock"],
        "the leftovers of killed processes are removed"
    );
}

#[test]
fn no_umask_exposes_a_key_or_locks_us_out() {
    for umask in ["000", "022", "077", "377", "777"] {
        let keys = Keys::new();
        let folder = keys.folder().join("state/secret");
        let path = folder.join("pairing.key");
        for task in ["rotate", "rotate"] {
            assert!(start(&path, task, umask, None).wait().unwrap().success(), "{umask}");
        }
        let ring = folder.join("pairing.key.d");
        for made in [folder.parent().unwrap(), &folder, &ring] {
            assert_eq!(mode(made), 0o700, "{umask} {}", made.display());
        }
        let files = names(&ring).into_iter().map(|name| ring.join(name)).chain([path]);
        let files: Vec<_> = files.collect();
        assert_eq!(files.len(), 4, "{umask}: the lock and three keys");
        for made in files {
            assert_eq!(mode(&made), 0o600, "{umask} {}", made.display());
        }
    }
}
