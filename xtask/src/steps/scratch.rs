//! A copy of the checkout in which the documents' commands run, apart from the developer's own
//! files and settings.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::context::{self, Context, Failure, Outcome};

/// How long a block may take; the program is built before.
const LIMIT: Duration = Duration::from_secs(300);

/// The folder, and what a command there is told.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    files: BTreeSet<PathBuf>,
    /// Shared with the checkout, so that only our own crates are built again.
    target: PathBuf,
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None`: by a signal, or by us after [`LIMIT`].
    pub(crate) exit: Option<i32>,
    /// Standard output and standard error, as on a terminal.
    pub(crate) printed: String,
}

impl Scratch {
    /// Copies these files and builds the program `nexo-pair` from the copy.
    pub(crate) fn build(context: &Context, files: BTreeSet<PathBuf>) -> Outcome<Self> {
        let target = context.metadata()?.target_directory;
        // The same place each time, so that what was built there the last time still counts.
        let scratch = Self { folder: target.join("xtask").join("readme"), files, target };
        scratch.reset(context)?;
        let mut build =
            context.cargo(&["build", "--quiet", "--locked", "--package", "nexo-pairing-cli"]);
        context::run(
            build.current_dir(scratch.checkout()).env("CARGO_TARGET_DIR", &scratch.target),
        )?;
        let program = "nexo-pair";
        fs::create_dir_all(scratch.programs())
            .and_then(|()| {
                let built = scratch.target.join("debug").join(program);
                fs::copy(built, scratch.programs().join(program))
            })
            .map_err(|error| Failure::new(format!("the built {program}: {error}")))?;
        Ok(scratch)
    }

    /// Makes everything but the built program new.
    pub(crate) fn reset(&self, context: &Context) -> Outcome {
        self.copy(context.root()).map_err(|error| {
            Failure::new(format!("the copy in {}: {error}", self.folder.display()))
        })
    }

    fn copy(&self, root: &Path) -> io::Result<()> {
        for folder in [self.checkout(), self.home(), self.nexo_home()] {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
        }
        copy_files(root, &self.files, &self.checkout())
    }

    /// Runs a script in the copy.
    pub(crate) fn run(&self, script: &str) -> Outcome<Ran> {
        self.try_run(script, LIMIT).map_err(|error| Failure::new(format!("sh: {error}")))
    }

    fn try_run(&self, script: &str, limit: Duration) -> io::Result<Ran> {
        // A file rather than a pipe: what the script leaves running must not keep us waiting.
        let printed = self.folder.join("printed");
        let out = File::create(&printed)?;
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", script]).current_dir(self.checkout()).process_group(0);
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        self.set_environment(&mut command);
        let mut shell = command.spawn()?;
        let exit = wait(&mut shell, limit)?;
        end_group(shell.id())?;
        shell.wait()?;
        let printed = fs::read(printed)?;
        Ok(Ran { exit, printed: String::from_utf8_lossy(&printed).into_owned() })
    }

    fn set_environment(&self, command: &mut Command) {
        context::hide_own_package(command);
        context::remove_variables(command, |name| {
            // The developer's settings, of ours and of how programs print.
            let prints = ["COLUMNS", "CLICOLOR_FORCE", "FORCE_COLOR", "RUST_LOG", "ENV"];
            name.starts_with("NEXO_") || name.starts_with("XDG_") || prints.contains(&name)
        });
        // Cargo and rustup find theirs by HOME unless they are told.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (std::env::var_os(name), std::env::home_dir()) {
                command.env(name, home.join(folder));
            }
        }
        let own = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.programs()).chain(std::env::split_paths(&own));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .env("HOME", self.home())
            .env("NEXO_HOME", self.nexo_home())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
    }

    fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn nexo_home(&self) -> PathBuf {
        self.folder.join("nexo")
    }

    fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }
}

/// Copies these files, and when they were written: cargo goes by this to see what has to be built again.
pub(crate) fn copy_files(root: &Path, files: &BTreeSet<PathBuf>, to: &Path) -> io::Result<()> {
    for file in files {
        let (from, to) = (root.join(file), to.join(file));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&from, &to)?;
        File::open(&to)?.set_modified(from.metadata()?.modified()?)?;
    }
    Ok(())
}

/// The exit code, or `None` if there is none or not in time.
fn wait(shell: &mut Child, limit: Duration) -> io::Result<Option<i32>> {
    let started = Instant::now();
    loop {
        if let Some(status) = shell.try_wait()? {
            return Ok(status.code());
        }
        if started.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends whatever is left of the script; that nothing is left is no error.
fn end_group(leader: u32) -> io::Result<()> {
    let group = format!("-{leader}");
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s KILL -- \"$1\"", "sh", &group]);
    kill.stdout(Stdio::null()).stderr(Stdio::null()).status().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(files: &[&str]) -> (tempfile::TempDir, Scratch) {
        let folder = tempfile::tempdir().unwrap();
        let files = files.iter().map(PathBuf::from).collect();
        let scratch =
            Scratch { folder: folder.path().join("scratch"), files, target: folder.path().into() };
        (folder, scratch)
    }

    #[test]
    fn copies_only_what_is_listed_and_keeps_the_time() {
        let (folder, scratch) = scratch(&["a", "b/c"]);
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("b")).unwrap();
        for file in ["a", "b/c", "ignored"] {
            fs::write(root.join(file), file).unwrap();
        }
        let then = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(root.join("a")).unwrap().set_modified(then).unwrap();
        scratch.copy(&root).unwrap();
        fs::write(scratch.nexo_home().join("left"), "").unwrap();
        scratch.copy(&root).unwrap();
        let copied = scratch.checkout();
        assert_eq!(fs::read_to_string(copied.join("b/c")).unwrap(), "b/c");
        assert_eq!(copied.join("a").metadata().unwrap().modified().unwrap(), then);
        assert!(!copied.join("ignored").exists());
        assert!(!scratch.nexo_home().join("left").exists());
    }

    #[test]
    fn a_script_has_its_own_homes_and_stops_at_its_first_error() {
        let (folder, scratch) = scratch(&[]);
        scratch.copy(folder.path()).unwrap();
        let ran =
            scratch.run("pwd; echo \"$NEXO_HOME\"; echo to stderr >&2; false; echo no").unwrap();
        assert_eq!(ran.exit, Some(1));
        let [checkout, nexo] = [scratch.checkout(), scratch.nexo_home()];
        let expected = format!("{}\n{}\nto stderr\n", checkout.display(), nexo.display());
        assert_eq!(ran.printed, expected);
        assert_eq!(scratch.run("cat; exit 3").unwrap().exit, Some(3));
    }

    #[test]
    fn what_a_script_leaves_running_is_ended_with_it() {
        let (folder, scratch) = scratch(&[]);
        scratch.copy(folder.path()).unwrap();
        let ran = scratch.run("sleep 60 & echo $!").unwrap();
        assert_eq!(ran.exit, Some(0));
        let status = format!("/proc/{}/status", ran.printed.trim());
        let runs = || fs::read_to_string(&status).is_ok_and(|status| !status.contains("\tZ"));
        let ended_by = Instant::now() + Duration::from_secs(30);
        while runs() {
            assert!(Instant::now() < ended_by, "it still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_script_that_takes_too_long_is_ended() {
        let (folder, scratch) = scratch(&[]);
        scratch.copy(folder.path()).unwrap();
        let started = Instant::now();
        let ran = scratch.try_run("echo waiting; sleep 60", Duration::from_millis(50)).unwrap();
        assert_eq!((ran.exit, ran.printed.as_str()), (None, "waiting\n"));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
