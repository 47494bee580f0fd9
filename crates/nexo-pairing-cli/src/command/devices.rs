//! `devices`: lists and revokes the sessions of devices.

mod import;
mod list;
mod revoke;

use clap::Subcommand;

use crate::{Context, Result};

#[derive(Debug, Subcommand)]
pub(crate) enum Devices {
    /// Show which devices have a session.
    List(list::List),
    /// End the session of a device.
    Revoke(revoke::Revoke),
    /// Import the sessions of nexo-pairing 0.1.8.
    Import(import::Import),
}

pub(crate) async fn run(devices: Devices, context: &mut Context) -> Result {
    match devices {
        Devices::List(args) => list::run(&args, context).await,
        Devices::Revoke(args) => revoke::run(&args, context).await,
        Devices::Import(args) => import::run(&args, context).await,
    }
}
