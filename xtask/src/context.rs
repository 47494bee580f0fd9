//! Where the checkout is, and how a step runs a command in it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::metadata::Metadata;

/// Why a step failed: one message, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a step, or a part of one, comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// One failure that lists several problems, a line each.
    pub(crate) fn list(problems: &[String]) -> Self {
        let noun = if problems.len() == 1 { "problem" } else { "problems" };
        Self(format!("{} {noun}\n  {}", problems.len(), problems.join("\n  ")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The checkout that the steps look at.
#[derive(Debug)]
pub(crate) struct Context {
    root: PathBuf,
    not_checked: Mutex<Vec<String>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        let member = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = member.parent().unwrap_or(member).to_path_buf();
        Self { root, not_checked: Mutex::default() }
    }

    /// Says what could not be checked here, so that nobody takes it for checked.
    pub(crate) fn not_checked(&self, what: &str) {
        println!("NOT checked: {what}");
        let mut all = lock(&self.not_checked);
        all.push(what.to_owned());
    }

    /// All that could not be checked.
    pub(crate) fn left_unchecked(&self) -> Vec<String> {
        lock(&self.not_checked).clone()
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command that starts in the root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        hide_own_package(&mut command);
        command
    }

    /// The cargo that runs us, with these arguments.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments);
        command
    }

    /// What `cargo metadata` says about the workspace.
    pub(crate) fn metadata(&self) -> Outcome<Metadata> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--locked"];
        Metadata::parse(&output(&mut self.cargo(&arguments))?).map_err(Failure::new)
    }
}

/// Locks it, also when somebody panicked meanwhile: what is behind it is whole at any moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows a command and runs it; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    println!("$ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{shown}`: {status}"))),
        Err(error) => Err(Failure::new(format!("`{shown}` did not start: {error}"))),
    }
}

/// What a command writes to its standard output.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command
        .output()
        .map_err(|error| Failure::new(format!("`{shown}` did not start: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{shown}`: {}\n{}", output.status, said.trim_end())));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::new(format!("`{shown}` wrote something that is no UTF-8")))
}

/// Takes away what `cargo run` tells us about the package `xtask`. Build scripts that watch these
/// variables would otherwise run again whenever a developer calls cargo himself in between.
pub(crate) fn hide_own_package(command: &mut Command) {
    remove_variables(command, |name| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start))
    });
}

/// Hides the variables with these names from a command.
pub(crate) fn remove_variables(command: &mut Command, is_named: impl Fn(&str) -> bool) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(&is_named) {
            command.env_remove(&name);
        }
    }
}

/// A command as one would type it, with the variables that were set for it.
fn show(command: &Command) -> String {
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| format!("{}={}", name.display(), quote(value.to_os_string())));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    set.chain(words.map(|word| quote(word.to_os_string()))).collect::<Vec<_>>().join(" ")
}

fn quote(word: OsString) -> String {
    let word = word.to_string_lossy().into_owned();
    if word.is_empty() || word.contains([' ', '\'', '"', '$', '\n']) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_command_as_one_would_type_it() {
        let mut command = Command::new("cargo");
        command.args(["doc", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings").env_remove("CARGO");
        assert_eq!(show(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --workspace");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failure = run(Command::new("false").arg("now")).unwrap_err();
        assert!(failure.to_string().starts_with("`false now`: exit status: 1"), "{failure}");
        let failure = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(failure.to_string().contains("did not start"), "{failure}");
    }
}
