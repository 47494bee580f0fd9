//! Python programs that use the bus through an independent client.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::program;

/// The client: a PyPI package without dependencies.
const CLIENT: &str = "nats-py==2.16.0";

/// A command that runs a Python program of this repository, given by its path from the root.
///
/// The client is installed beside the built programs if it is missing.
#[must_use]
pub fn python(script: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(script);
    let mut command = Command::new("python3");
    // -B leaves no compiled files behind, -u disables buffering.
    command.args(["-B", "-u"]).arg(script).env("PYTHONPATH", client());
    command
}

/// The folder of the client.
fn client() -> PathBuf {
    let built = program();
    let folder = built.parent().expect("programs lie in a folder").join("python");
    fs::create_dir_all(&folder).expect("a folder beside the programs");
    // Tests run at the same time, in processes of their own.
    let lock = File::create(folder.join("lock")).expect("a new file");
    flock(&lock, FlockOperation::LockExclusive).expect("it can be locked");
    let place = folder.join(CLIENT);
    if !place.is_dir() {
        let unfinished = folder.join("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--root-user-action", "ignore", CLIENT, "--target"]).arg(&unfinished);
        let ran = pip.output().expect("this test needs `python3` on PATH");
        let reply = String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.success(),
            "this test needs {CLIENT}, which pip could not install: {reply}"
        );
        fs::rename(unfinished, &place).expect("the folder can be renamed");
    }
    place
}
