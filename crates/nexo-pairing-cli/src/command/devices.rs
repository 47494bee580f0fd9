//! `devices`: lists and revokes the sessions of devices.

mod import;
mod list;
mod revoke;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "A device gets a session with a setup code, and keeps it by renewing it.\n\n\
    Examples:\n  nexo-pair devices list\n  nexo-pair devices revoke \"Ana's iPhone\""
)]
pub(crate) struct Devices {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which devices have a session.
    List(list::List),
    /// End the session of a device.
    Revoke(revoke::Revoke),
    /// Take over the sessions of nexo-pairing 0.1.8.
    Import(import::Import),
}

pub(crate) async fn run(args: Devices, context: &mut Context) -> Result<(), CliError> {
    match args.command {
        Command::List(args) => list::run(&args, context).await,
        Command::Revoke(args) => revoke::run(&args, context).await,
        Command::Import(args) => import::run(&args, context).await,
    }
}
