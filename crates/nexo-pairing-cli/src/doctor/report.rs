//! The findings of checks.

use serde::Serialize;

use crate::CliError;
use crate::error::chain;
use crate::exit::Exit;
use crate::text::escape;

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked, such as `database`: stable, for programs.
    pub name: &'static str,
    /// The severity.
    pub status: Status,
    /// The finding in one line, escaped for a terminal.
    pub message: String,
    /// How to fix it: a command or an instruction. `mend` in JSON.
    #[serde(rename = "mend")]
    pub hint: Option<String>,
    /// The exit status if this is a failure.
    #[serde(skip)]
    exit: Exit,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In order.
    Ok,
    /// It works, but needs attention.
    Warn,
    /// It does not work, or is a security hole.
    Fail,
}

impl Finding {
    /// A finding without a problem.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, message.into(), None)
    }

    /// A warning.
    pub fn warn(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, message.into(), Some(hint.into()))
    }

    /// A failure of the storage: [`Exit::Storage`].
    pub fn fail(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, Status::Fail, message.into(), Some(hint.into()))
    }

    /// A failure, as a command would report it.
    pub(super) fn error(name: &'static str, error: &CliError) -> Self {
        let exit = error.exit();
        // Not to run the checks that are running.
        let hint = error.hint().filter(|hint| !hint.contains("`nexo-pair doctor`"));
        let hint = hint.map(str::to_owned);
        Self { exit, ..Self::new(name, Status::Fail, chain(error), hint) }
    }

    fn new(name: &'static str, status: Status, message: String, hint: Option<String>) -> Self {
        Self { name, status, message: escape(&message), hint, exit: Exit::Storage }
    }
}

/// The findings of all checks, in order. As JSON, the output of `nexo-pair doctor --json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The findings; `checks` in JSON.
    #[serde(rename = "checks")]
    pub findings: Vec<Finding>,
}

impl Report {
    /// The exit status of `nexo-pair doctor`: [`Exit::Done`] if nothing failed, else that of the worst
    /// failure.
    pub fn exit(&self) -> Exit {
        let failed = self.findings.iter().filter(|finding| finding.status == Status::Fail);
        failed.map(|finding| finding.exit).max().unwrap_or(Exit::Done)
    }
}
