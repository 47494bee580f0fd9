//! What is wrong with an installation, and how to mend it: the checks of `nexo-pair doctor`, for
//! programs that embed them.
//!
//! [`run`] makes all of [`CHECKS`] and returns what they found. Nothing is printed, and nothing is made
//! or changed. The files are few and small, but they are read on the calling thread.
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
mod check;
mod configuration;
mod contents;
mod files;
mod folders;
mod installation;
mod paths;
mod report;

pub use check::Check;
pub use installation::{DoctorOptions, Installation};
pub use report::{Finding, Report, Status};

/// All checks, in the order in which their findings are reported. A check that has nothing to look at,
/// such as one of the accounts where the configuration cannot be read, finds nothing.
pub const CHECKS: &[Check] = &[
    Check::new("configuration", configuration::configuration),
    Check::waiting("key", |of| Box::pin(configuration::key(of))),
    Check::new("folders", folders::folders),
    Check::new("trusted_proxies", configuration::trusted_proxies),
    Check::new("folder", |of| of.database().map(files::folder).into_iter().collect()),
    Check::new("disk", |of| of.database().map(files::disk).into_iter().collect()),
    Check::new("database", |of| {
        let is_configured = of.config().is_some_and(|config| config.file().is_some());
        of.database().map(|path| files::database(path, is_configured)).into_iter().collect()
    }),
    Check::new("beside", |of| of.database_file().map(files::beside).unwrap_or_default()),
    Check::waiting("schema", |of| Box::pin(contents::schema(of))),
    Check::waiting("contents", |of| Box::pin(contents::contents(of))),
    Check::waiting("clock", |of| Box::pin(contents::clock(of))),
    Check::waiting("adapters", |of| Box::pin(accounts::adapters(of))),
    Check::waiting("mode", |of| Box::pin(accounts::mode(of))),
    Check::waiting("accounts", |of| Box::pin(accounts::accounts(of))),
];

/// Makes all [`CHECKS`] of an installation.
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
