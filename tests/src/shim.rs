//! A failing disk and a wrong clock, for the programs that are started with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How a disk fails for the files of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// A write fails with this error and has no effect.
    Write(i32),
    /// A write writes half and fails with this error.
    Torn(i32),
    /// A write writes half and reports it, which is not an error.
    Short,
    /// `fsync` fails with this error.
    Sync(i32),
}

/// A failing disk and a wrong clock, as configured.
#[derive(Debug)]
pub struct Shim {
    folder: TempDir,
}

impl Shim {
    /// A working disk and a correct clock.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder, which no default does")]
    pub fn new() -> Self {
        let shim = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim").join("shim.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut compile = Command::new(compiler);
        compile.args(["-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"]);
        let output =
            compile.arg(shim.library()).arg(source).output().expect("there is a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        shim.tell(0, Fault::None, 1);
        shim
    }

    /// The command, with this disk and this clock.
    #[must_use]
    pub fn under(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", self.library()).env("NEXO_SHIM", self.plan());
        command
    }

    /// From now on the clock is ahead by so many seconds.
    pub fn set_clock(&self, seconds: i64) {
        self.tell(seconds, Fault::None, 1);
    }

    /// From now on the disk fails once in so many calls.
    pub fn set_fault(&self, fault: Fault, one_in: u32) {
        self.tell(0, fault, one_in);
    }

    fn tell(&self, seconds: i64, fault: Fault, one_in: u32) {
        let (name, error) = match fault {
            Fault::None => ("none", 0),
            Fault::Write(error) => ("write", error),
            Fault::Torn(error) => ("torn", error),
            Fault::Short => ("short", 0),
            Fault::Sync(error) => ("sync", error),
        };
        // In one write: programs read it all the time.
        let next = self.folder.path().join("next");
        let line = format!("{seconds} {name} {error} {one_in}\n");
        let reply = fs::write(&next, line).and_then(|()| fs::rename(&next, self.plan()));
        reply.expect("the plan can be written");
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("shim.so")
    }

    fn plan(&self) -> PathBuf {
        self.folder.path().join("plan")
    }
}
