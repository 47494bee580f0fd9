//! `doctor`: checks the installation on this machine and says how to fix it. It changes nothing.

use clap::Args;

use crate::doctor::{self, DoctorOptions, Finding, Status};
use crate::exit::Exit;
use crate::text::escape;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is created or changed. Exit status 0 if nothing failed (warnings do not \
    count), 2 if the configuration is wrong, 3 if the storage is.\n\n\
    Example:\n  nexo-pair doctor --json | jq '.checks[] | select(.status != \"ok\")'"
)]
pub(crate) struct Doctor {}

pub(crate) async fn run(context: &mut Context) -> Result<Exit> {
    let report = doctor::run(&DoctorOptions::new(context.sources())).await;
    context.print(&report, || report.findings.iter().map(for_people).collect())?;
    Ok(report.exit())
}

fn for_people(finding: &Finding) -> String {
    let status = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    let Finding { name, message, hint, .. } = finding;
    let hint =
        hint.as_ref().map(|hint| format!("{:21}fix: {}\n", "", escape(hint))).unwrap_or_default();
    format!("{status:<5} {name:<14} {message}\n{hint}")
}
