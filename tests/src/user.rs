//! Somebody without any rights of his own, as whom the program runs also where the tests are root's:
//! root may read and write everything, so that modes mean nothing to him.

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

/// A user with a folder, which is gone with the test, and with a umask.
#[derive(Debug)]
pub struct User {
    folder: TempDir,
    umask: String,
}

impl User {
    /// A user with a umask, as a shell takes it.
    #[must_use]
    pub fn with_umask(umask: &str) -> Self {
        let user =
            Self { folder: tempfile::tempdir().expect("a temporary folder"), umask: umask.into() };
        // The folder of the build may be closed to him.
        fs::copy(program(), user.program()).expect("the program can be copied");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(user.program(), open).expect("it is ours");
        user.own(user.folder.path());
        user
    }

    /// The folder that `NEXO_HOME` names; the program makes it.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("made").join("nexo")
    }

    /// A path in his folder, outside `NEXO_HOME`.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where his database is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.home().join("state").join("pairing.db")
    }

    /// Gives him a file or folder.
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

    /// Runs the program, which does what it is asked; its standard output.
    #[expect(clippy::must_use_candidate, reason = "that it did it is enough for many a test")]
    pub fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?} with umask {}: {output:?}", self.umask);
        output.stdout
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("nexo-pair")
    }
}
