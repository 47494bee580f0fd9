//! A copy of the checkout in which the documents' commands run, isolated from the developer's own files
//! and settings.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use crate::context::{Context, Outcome, own_package_variables};

/// How many seconds a block may take; the program is built before.
const LIMIT: &str = "300";

pub(crate) struct Scratch {
    folder: Utf8PathBuf,
    files: BTreeSet<Utf8PathBuf>,
    /// Shared with the checkout, so that only our own crates are built again.
    target: Utf8PathBuf,
}

/// How a script ended.
pub(crate) struct Ran {
    /// `None` if a signal ended it; 124 if it took longer than [`LIMIT`].
    pub(crate) exit: Option<i32>,
    /// Standard output and standard error, as on a terminal.
    pub(crate) printed: String,
}

impl Scratch {
    /// Copies these files and builds the program `nexo-pair` from the copy.
    pub(crate) fn build(context: &Context, files: BTreeSet<Utf8PathBuf>) -> Outcome<Self> {
        let target = context.metadata.target_directory.clone();
        // The same folder each time, so that cargo finds its last build.
        let scratch = Self { folder: context.work_folder("readme"), files, target };
        scratch.reset(context)?;
        let build =
            context.cargo("build --quiet --locked --package nexo-pairing-cli --manifest-path");
        let build = build.arg(scratch.checkout().join("Cargo.toml"));
        build.env("CARGO_TARGET_DIR", &scratch.target).run()?;
        context.shell.create_dir(scratch.programs())?;
        context.shell.copy_file(scratch.target.join("debug/nexo-pair"), scratch.programs())?;
        Ok(scratch)
    }

    /// Restores the checkout and empties the homes.
    pub(crate) fn reset(&self, context: &Context) -> Outcome {
        for folder in [self.checkout(), self.home(), self.nexo_home()] {
            context.shell.remove_path(&folder)?;
            context.shell.create_dir(&folder)?;
        }
        copy_files(context, &self.files, &self.checkout())
    }

    /// Runs a script in the copy, for at most so many seconds.
    pub(crate) fn run(&self, script: &str) -> Outcome<Ran> {
        self.run_within(LIMIT, script)
    }

    fn run_within(&self, seconds: &str, script: &str) -> Outcome<Ran> {
        // A file rather than a pipe, which processes that the script leaves behind would keep open.
        let printed = self.folder.join("printed");
        let out = File::create(&printed)?;
        let mut command = Command::new("timeout");
        command.args([seconds, "sh", "-eu", "-c", script]).current_dir(self.checkout());
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        self.set_environment(&mut command);
        let mut shell = command.process_group(0).spawn()?;
        let status = shell.wait()?;
        // Fails if nothing is left of the group.
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -s KILL -- \"-$1\"", "sh", &shell.id().to_string()]);
        kill.stderr(Stdio::null()).status()?;
        let printed = String::from_utf8_lossy(&fs::read(printed)?).into_owned();
        Ok(Ran { exit: status.code(), printed })
    }

    fn set_environment(&self, command: &mut Command) {
        for name in own_package_variables() {
            command.env_remove(name);
        }
        // The developer's settings, of nexo-pair and of how programs print.
        let prints = ["COLUMNS", "CLICOLOR_FORCE", "FORCE_COLOR", "RUST_LOG", "ENV"];
        for (name, _) in std::env::vars_os() {
            let is_setting = |name: &str| {
                name.starts_with("NEXO_") || name.starts_with("XDG_") || prints.contains(&name)
            };
            if name.to_str().is_some_and(is_setting) {
                command.env_remove(name);
            }
        }
        // Cargo and rustup look below HOME unless these are set.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (std::env::var_os(name), std::env::home_dir()) {
                command.env(name, home.join(folder));
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.programs()));
        command.env("CARGO_TARGET_DIR", &self.target);
        command.env("HOME", self.home()).env("NEXO_HOME", self.nexo_home());
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    }

    fn checkout(&self) -> Utf8PathBuf {
        self.folder.join("checkout")
    }

    fn home(&self) -> Utf8PathBuf {
        self.folder.join("home")
    }

    fn nexo_home(&self) -> Utf8PathBuf {
        self.folder.join("nexo")
    }

    fn programs(&self) -> Utf8PathBuf {
        self.folder.join("bin")
    }
}

/// Copies these files with their modification times, by which cargo decides what to build again.
pub(crate) fn copy_files(
    context: &Context,
    files: &BTreeSet<Utf8PathBuf>,
    to: &Utf8Path,
) -> Outcome {
    for file in files {
        let (from, to) = (context.metadata.workspace_root.join(file), to.join(file));
        context.shell.create_dir(to.parent().unwrap_or(&to))?;
        context.shell.copy_file(&from, &to)?;
        File::open(&to)?.set_modified(from.metadata()?.modified()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, UNIX_EPOCH};

    use super::*;

    fn scratch(files: &[&str]) -> (tempfile::TempDir, Context, Scratch) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let mut context = Context::new().unwrap();
        context.metadata.workspace_root = path.join("root");
        context.shell.create_dir(path.join("root")).unwrap();
        let files = files.iter().map(Utf8PathBuf::from).collect();
        let scratch = Scratch { folder: path.join("scratch"), files, target: path };
        (folder, context, scratch)
    }

    #[test]
    fn copies_only_listed_files_and_keeps_their_times() {
        let (_folder, context, scratch) = scratch(&["a", "b/c"]);
        let root = &context.metadata.workspace_root;
        for file in ["a", "b/c", "ignored"] {
            context.shell.write_file(root.join(file), file).unwrap();
        }
        let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(root.join("a")).unwrap().set_modified(then).unwrap();
        scratch.reset(&context).unwrap();
        fs::write(scratch.nexo_home().join("left"), "").unwrap();
        scratch.reset(&context).unwrap();
        let copied = scratch.checkout();
        assert_eq!(fs::read_to_string(copied.join("b/c")).unwrap(), "b/c");
        assert_eq!(copied.join("a").metadata().unwrap().modified().unwrap(), then);
        assert!(!copied.join("ignored").exists());
        assert!(!scratch.nexo_home().join("left").exists());
    }

    #[test]
    fn a_script_has_its_own_homes_and_stops_at_its_first_error() {
        let (_folder, context, scratch) = scratch(&[]);
        scratch.reset(&context).unwrap();
        let ran =
            scratch.run("pwd; echo \"$NEXO_HOME\"; echo to stderr >&2; false; echo no").unwrap();
        assert_eq!(ran.exit, Some(1));
        let expected = format!("{}\n{}\nto stderr\n", scratch.checkout(), scratch.nexo_home());
        assert_eq!(ran.printed, expected);
        assert_eq!(scratch.run("cat; exit 3").unwrap().exit, Some(3));
    }

    #[test]
    fn processes_that_a_script_leaves_behind_end_with_it() {
        let (_folder, context, scratch) = scratch(&[]);
        scratch.reset(&context).unwrap();
        let ran = scratch.run("sleep 60 & echo $!").unwrap();
        assert_eq!(ran.exit, Some(0));
        let status = format!("/proc/{}/status", ran.printed.trim());
        let runs = || fs::read_to_string(&status).is_ok_and(|status| !status.contains("\tZ"));
        let ended_by = Instant::now() + Duration::from_secs(30);
        while runs() {
            assert!(Instant::now() < ended_by, "the process still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_script_that_takes_too_long_is_ended() {
        let (_folder, context, scratch) = scratch(&[]);
        scratch.reset(&context).unwrap();
        let started = Instant::now();
        let ran = scratch.run_within("0.05", "echo waiting; sleep 60").unwrap();
        assert_eq!((ran.exit, ran.printed.as_str()), (Some(124), "waiting\n"));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
