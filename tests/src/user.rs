//! A user without any rights, as which the program runs even if root runs the tests: root may read
//! and write everything, whatever the mode of a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{Output, program};

/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// A user with a umask and a folder, which is removed after the test.
#[derive(Debug)]
pub struct User {
    folder: TempDir,
    umask: String,
}

impl User {
    /// A user with a umask, in the syntax of a shell.
    #[must_use]
    pub fn with_umask(umask: &str) -> Self {
        let user =
            Self { folder: tempfile::tempdir().expect("a temporary folder"), umask: umask.into() };
        // The user may lack access to the folder of the build.
        fs::copy(program(), user.program()).expect("the program can be copied");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(user.program(), open).expect("it is ours");
        user.own(user.folder.path());
        user
    }

    /// The folder `NEXO_HOME`, which the program makes.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("made").join("nexo")
    }

    /// A path in the user's folder, outside `NEXO_HOME`.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of the user's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.home().join("state").join("pairing.db")
    }

    /// Makes the user the owner of a file or folder.
    pub fn own(&self, path: &Path) {
        if geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
        }
    }

    /// The program with these arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", &self.umask]);
        command.arg(self.program()).args(args);
        command.env_clear().env("NEXO_HOME", self.home()).env("HOME", self.home());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the program to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command(args))
    }

    /// Runs the program, which succeeds, and returns its standard output.
    #[expect(clippy::must_use_candidate, reason = "that it did it is enough for many a test")]
    pub fn run_ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?} with umask {}: {output:?}", self.umask);
        output.stdout
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("nexo-pair")
    }
}
