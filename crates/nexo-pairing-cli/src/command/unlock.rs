//! `unlock`: lifts a lockout.

use clap::Args;
use nexo_pairing::Actor;
use serde_json::json;

use crate::text::{escape, truncate};
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(after_help = "Approvals at the command line count for the actor `cli`.\n\n\
    Example:\n  nexo-pair unlock cli")]
pub(crate) struct Unlock {
    /// The actor, as `log` shows it: cli, console:NAME or api:NAME.
    actor: String,
}

pub(crate) async fn run(args: Unlock, context: &mut Context) -> Result {
    let locked = Actor::parse(&args.actor)?;
    let database = context.database()?;
    if !database.find().await?.store().unlock(&locked, &Actor::cli()).await? {
        let actor = truncate(&args.actor, Actor::MAX_BYTES);
        let message = format!("{actor} is not locked out and has no failed attempts");
        return Err(CliError::refused("nothing_to_unlock", message));
    }
    context.print(&json!({ "unlocked": true }), || {
        format!("unlocked {}\n{}", escape(locked.as_str()), database.written())
    })
}
