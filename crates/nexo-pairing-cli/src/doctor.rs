//! Checks of an installation, with hints how to fix it: those of `nexo-pair doctor`, for programs that
//! embed them.
//!
//! [`run`] runs all of [`CHECKS`] and returns their findings. Nothing is printed, created or changed. The
//! files are few and small, but they are read on the calling thread.
//!
//! ```
//! use nexo_pairing::config::Sources;
//! use nexo_pairing_cli::Exit;
//! use nexo_pairing_cli::doctor::{self, DoctorOptions, Status};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let sources = Sources::from_vars([
//!     ("NEXO_HOME", "/nonexistent"),
//!     ("NEXO_PAIRING_GATE__MODE", "ajar"),
//! ]);
//! let report = doctor::run(&DoctorOptions::new(sources)).await;
//! for finding in report.findings.iter().filter(|finding| finding.status != Status::Ok) {
//!     println!("{}: {}", finding.name, finding.message);
//!     if let Some(hint) = &finding.hint {
//!         println!("  {hint}");
//!     }
//! }
//! assert_eq!(report.exit(), Exit::Usage);
//! # }
//! ```
//!
//! Some checks alone, beside one of your own:
//!
//! ```no_run
//! use nexo_pairing_cli::doctor::{CHECKS, DoctorOptions, Finding, Installation, Report};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let installation = Installation::read(&DoctorOptions::from_environment());
//! let mut report = Report::default();
//! for check in CHECKS.iter().filter(|check| ["disk", "clock"].contains(&check.name())) {
//!     report.findings.extend(check.run(&installation).await);
//! }
//! report.findings.push(Finding::warn("agent", "the agent has no model", "name one in agent.yaml"));
//! # }
//! ```

mod accounts;
mod configuration;
mod contents;
mod files;
mod folders;
mod installation;
mod paths;
mod report;

use std::fmt;

use futures_util::future::{BoxFuture, ready};

pub use installation::{DoctorOptions, Installation};
pub use report::{Finding, Report, Status};

/// One check of an installation.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    run: for<'a> fn(&'a Installation) -> BoxFuture<'a, Vec<Finding>>,
}

impl Check {
    /// The stable name, for programs. The findings have this name or a more specific one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the check; nothing is created or changed.
    pub async fn run(&self, installation: &Installation) -> Vec<Finding> {
        (self.run)(installation).await
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// All checks, in the order in which their findings are reported. A check that does not apply, such as one
/// of the accounts if the configuration cannot be read, has no findings.
pub const CHECKS: &[Check] = &[
    Check { name: "configuration", run: |of| Box::pin(ready(configuration::configuration(of))) },
    Check { name: "key", run: |of| Box::pin(configuration::key(of)) },
    Check { name: "folders", run: |of| Box::pin(ready(folders::folders(of))) },
    Check {
        name: "trusted_proxies",
        run: |of| Box::pin(ready(configuration::trusted_proxies(of))),
    },
    Check { name: "folder", run: |of| Box::pin(ready(files::folder(of))) },
    Check { name: "disk", run: |of| Box::pin(ready(files::disk(of))) },
    Check { name: "database", run: |of| Box::pin(ready(files::database(of))) },
    Check { name: "beside", run: |of| Box::pin(ready(files::beside(of))) },
    Check { name: "schema", run: |of| Box::pin(contents::schema(of)) },
    Check { name: "contents", run: |of| Box::pin(contents::contents(of)) },
    Check { name: "clock", run: |of| Box::pin(contents::clock(of)) },
    Check { name: "adapters", run: |of| Box::pin(accounts::adapters(of)) },
    Check { name: "mode", run: |of| Box::pin(accounts::mode(of)) },
    Check { name: "accounts", run: |of| Box::pin(accounts::accounts(of)) },
];

/// Runs all [`CHECKS`] on an installation.
///
/// Needs a Tokio runtime.
pub async fn run(options: &DoctorOptions) -> Report {
    let installation = Installation::read(options);
    let mut report = Report::default();
    for check in CHECKS {
        report.findings.extend(check.run(&installation).await);
    }
    report
}
