//! A `NEXO_HOME` for one test, and the commands that run in it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Gate, OLD_DATABASE, line_of, program};

/// An empty `NEXO_HOME`, which is removed after the test.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

/// The output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status, or minus the number of the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Home {
    /// An empty home.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder, which no default does")]
    pub fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(home.path()).expect("a new folder");
        home
    }

    /// A home with this configuration below `pairing:`.
    #[must_use]
    pub fn configured(yaml: &str) -> Self {
        let home = Self::new();
        home.configure(yaml);
        home
    }

    /// A home with a copy of a database of 0.1.8, whose requests expired an hour ago.
    #[must_use]
    pub fn with_old_database() -> Self {
        let home = Self::new();
        fs::create_dir(home.path().join("state")).expect("a new folder");
        fs::copy(OLD_DATABASE, home.database()).expect("the database of 0.1.8 can be copied");
        home.sqlite("UPDATE pairing_pending SET created_at = strftime('%s', 'now') - 7200");
        home
    }

    /// The folder `NEXO_HOME`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("nexo")
    }

    /// A path beside `NEXO_HOME`, for files that must not be in it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The default path of the database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path().join("state").join("pairing.db")
    }

    /// Writes the configuration; `yaml` goes below `pairing:`, its lines without indentation.
    pub fn configure(&self, yaml: &str) {
        let folder = self.path().join("config");
        fs::create_dir_all(&folder).expect("a folder for the configuration");
        let lines = yaml.lines().map(|line| format!("  {line}\n"));
        let text = format!("pairing:\n{}", lines.collect::<String>());
        fs::write(folder.join("pairing.yaml"), text).expect("the configuration can be written");
    }

    /// The program with these arguments, in this home, with an otherwise empty environment.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.in_home(Command::new(program()), args)
    }

    /// Another program, in the same environment.
    #[must_use]
    pub fn in_home(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).env_clear().env("NEXO_HOME", self.path()).env("HOME", self.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command(args))
    }

    /// Runs the program with this standard input.
    #[must_use]
    pub fn run_with(&self, args: &[&str], input: impl AsRef<[u8]> + Send) -> Output {
        Output::of_with(self.command(args), input).expect("the program starts")
    }

    /// Runs the program with `--json`, which succeeds, and returns its output.
    #[expect(clippy::must_use_candidate, reason = "that it did it is enough for many a test")]
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
        output.json()
    }

    /// Runs the program with `--json`, which fails, and returns its exit status and error.
    #[must_use]
    pub fn error(&self, args: &[&str]) -> (i32, Value) {
        let output = self.run(&[args, &["--json"]].concat());
        assert_eq!(output.stdout, "", "{args:?}");
        (output.code, output.error())
    }

    /// Starts `gate` with these arguments.
    #[must_use]
    pub fn gate(&self, args: &[&str]) -> Gate {
        Gate::start(self.command(&[&["gate"], args].concat()))
    }

    /// Runs SQL on the database with the program `sqlite3` and returns its output.
    #[expect(clippy::must_use_candidate, reason = "a statement may have no answer")]
    pub fn sqlite(&self, sql: &str) -> String {
        sqlite(&self.database(), sql)
    }
}

/// Runs SQL on a database with the program `sqlite3`, as an operator would, and returns its output.
#[expect(clippy::must_use_candidate, reason = "a statement may have no answer")]
pub fn sqlite(database: &Path, sql: &str) -> String {
    let mut command = Command::new("sqlite3");
    let init = ["-init", "/dev/null", "-cmd", ".timeout 10000"];
    command.args(["-batch", "-bail"]).args(init).arg(database).arg(sql);
    let output = Output::new(command.output().expect("sqlite3 is installed"));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{sql}: {output:?}");
    output.stdout
}

impl Output {
    /// Runs a command to its end.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        Self::new(command.output().expect("the program starts"))
    }

    /// Runs a command with this standard input to its end.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn of_with(mut command: Command, input: impl AsRef<[u8]> + Send) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        std::thread::scope(|scope| {
            // A program that ends early reads no more, and its exit status says why.
            scope.spawn(move || drop(stdin.write_all(input.as_ref())));
            Ok(Self::new(child.wait_with_output()?))
        })
    }

    fn new(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        let code = exit_code(output.status);
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Standard output as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The lines of standard output as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let json = |line| serde_json::from_str(line);
        let lines = self.stdout.lines().map(json).collect::<Result<_, _>>();
        lines.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answers of a gate on a pipe, in the order of its lines.
    #[must_use]
    pub fn answers(&self) -> Vec<Value> {
        let mut answers = self.lines();
        // Messages to send come with the decision.
        answers.sort_by_key(line_of);
        answers
    }

    /// The value of `error` in the JSON on standard error.
    #[must_use]
    pub fn error(&self) -> Value {
        let error: Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        error["error"].clone()
    }
}

/// The exit status, or minus the number of the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}
