//! What checks found.

use serde::Serialize;

use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::text::escape;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at, such as `database`: stable, for programs.
    pub name: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was found, in one line; fit for a terminal.
    pub message: String,
    /// What mends it: a command, or what to do. `mend` in JSON.
    #[serde(rename = "mend")]
    pub hint: Option<String>,
    /// How the program ends when this failed.
    #[serde(skip)]
    exit: Exit,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    /// It does not work, or lets in whom it should not.
    Fail,
}

impl Finding {
    /// Something that is as it should be.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, message.into(), None)
    }

    /// Something that works, but should be looked at.
    pub fn warn(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, message.into(), Some(hint.into()))
    }

    /// A failure of the storage: [`Exit::Storage`].
    pub fn fail(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, Status::Fail, message.into(), Some(hint.into()))
    }

    /// A failure as a command would tell it.
    pub(super) fn error(name: &'static str, error: &CliError) -> Self {
        let exit = error.exit();
        Self { exit, ..Self::new(name, Status::Fail, chain(error), error.hint()) }
    }

    fn new(name: &'static str, status: Status, message: String, hint: Option<String>) -> Self {
        Self { name, status, message: escape(&message), hint, exit: Exit::Storage }
    }
}

/// What all checks found, in their order. As JSON it is what `nexo-pair doctor --json` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The findings; `checks` in JSON.
    #[serde(rename = "checks")]
    pub findings: Vec<Finding>,
}

impl Report {
    /// How `nexo-pair doctor` ends: [`Exit::Done`] when nothing failed, else as the worst failure does.
    pub fn exit(&self) -> Exit {
        let failed = self.findings.iter().filter(|finding| finding.status == Status::Fail);
        failed.map(|finding| finding.exit).max().unwrap_or(Exit::Done)
    }
}
