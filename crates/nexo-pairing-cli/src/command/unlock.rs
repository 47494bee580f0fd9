//! `unlock`: takes a lockout back.

use clap::Args;
use nexo_pairing::{Actor, PairingBackend};
use serde_json::json;

use crate::context::{Context, Database};
use crate::error::{CliError, Exit};
use crate::person::wrong_id;
use crate::text::{cut, escaped};

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
    let unlocked = database.open_if_there().await?.unlock(&locked, &Actor::cli()).await?;
    let value = json!({ "unlocked": unlocked });
    if !unlocked {
        context.print(&value, String::new)?;
        return Err(CliError::Nothing {
            kind: "nothing_to_unlock",
            message: format!(
                "{} is not locked out and has no failed attempts",
                cut(&args.actor, 128)
            ),
            hint: None,
        });
    }
    context.print(&value, || {
        format!("unlocked {}\n{}", escaped(locked.as_str()), database.written())
    })?;
    Ok(Exit::Done)
}
