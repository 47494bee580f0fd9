//! `unlock`: takes a lockout back.

use clap::Args;
use nexo_pairing::Actor;
use serde_json::json;

use crate::context::{Context, Database};
use crate::error::CliError;
use crate::exit::Exit;
use crate::person::wrong_id;
use crate::text::{escape, truncate};

#[derive(Debug, Args)]
#[command(after_help = "Who approves at the command line is the actor `cli`.\n\n\
    Example:\n  nexo-pair unlock cli")]
pub(crate) struct Unlock {
    /// The actor, as `log` names him: cli, console:NAME or api:NAME.
    actor: String,
}

pub(crate) async fn run(args: Unlock, context: &mut Context) -> Result<Exit, CliError> {
    let locked = Actor::parse(&args.actor).map_err(wrong_id)?;
    let database: Database = context.database()?;
    let unlocked = match database.find().await?.store() {
        Some(store) => store.unlock(&locked, &Actor::cli()).await?,
        None => false,
    };
    if !unlocked {
        return Err(CliError::Nothing {
            kind: "nothing_to_unlock",
            message: format!(
                "{} is not locked out and has no failed attempts",
                truncate(&args.actor, Actor::MAX_BYTES)
            ),
            hint: None,
        });
    }
    context.print(&json!({ "unlocked": true }), || {
        format!("unlocked {}\n{}", escape(locked.as_str()), database.written())
    })?;
    Ok(Exit::Done)
}
