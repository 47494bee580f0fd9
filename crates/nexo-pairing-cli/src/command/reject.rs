//! `reject`: refuses whoever has a code.

use clap::Args;
use nexo_pairing::{Actor, SenderKey};
use serde_json::json;

use super::{TypedCode, lines};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Args)]
#[command(after_help = "The sender is told nothing. To keep him out for good use `block`.\n\n\
    Example:\n  nexo-pair reject K7M9-PQ2X")]
pub(crate) struct Reject {
    /// The code; case, spaces and hyphens do not matter.
    #[arg(required = true, num_args = 1..=16)]
    code: Vec<TypedCode>,
}

pub(crate) async fn run(args: Reject, context: &mut Context) -> Result<Exit, CliError> {
    let database = context.database()?;
    let store = database.find().await?.required()?;
    let rejected = store.reject(&TypedCode::join(&args.code), &Actor::cli()).await?;
    let key = SenderKey::new(rejected.channel, rejected.account_id, rejected.sender_id);
    let keys = [key];
    context
        .print(&json!({ "rejected": keys }), || lines("rejected", &keys) + &database.written())?;
    Ok(Exit::Done)
}
